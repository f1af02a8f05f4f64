package service_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/store/storetest"
)

const aikCertificates = "/assay/v1/aik/certificates"

// ownMaker is a maker of TPMs that nobody trusts unless told to. It makes its RSA keys once.
var ownMaker = sync.OnceValue(assaytest.NewTPMVendor)

// plainMachine has a TPM of ownMaker, whose AIK nobody has certified.
func plainMachine(t *testing.T) *assaytest.TPMScenario {
	t.Helper()
	sc, err := ownMaker().BootScenario(assaytest.TPMBoot{SecureBoot: true})
	if err != nil {
		t.Fatal(err)
	}
	sc.EKKind, sc.AIKKind = assaytest.P256, assaytest.P256
	sc.Enrolled(nil)
	return sc
}

// enrolling is the configuration of a service that enrols machines of ownMaker.
func enrolling(t *testing.T) string {
	t.Helper()
	root, err := ownMaker().CertificatePEM(assaytest.EKRoot)
	if err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/ek-root.pem"
	write(t, file, string(root))
	return "ek_roots: [{file: " + file + "}]\nsettings: {aik_enrolment: vendor}\n"
}

// post sends JSON and reads the answer, which must have that status.
func (r *replica) post(path string, body any, status int, into any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	a, err := r.do(http.MethodPost, path, b, "application/json")
	if err == nil && a.status != status {
		err = fmt.Errorf("%s: status %d: %s", path, a.status, a.body)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(a.body, into)
}

// activation is the answer of a TPM to a challenge.
type activation struct {
	Context string `json:"context"`
	Secret  string `json:"secret"`
}

// activate gets a challenge for the machine from the replica, and has its TPM answer.
func (r *replica) activate(sc *assaytest.TPMScenario) (a activation, err error) {
	m, err := sc.Enrolment()
	if err != nil {
		return a, err
	}
	body := map[string]any{
		"ekPublic": b64(m.EKPublic), "aikPublic": b64(m.AIKPublic), "ekCertificate": b64(m.EKCertificate), "ekChain": []string{b64(m.EKChain[0])},
	}
	var c struct{ Context, CredentialBlob, EncryptedSecret string }
	if err := r.post("/assay/v1/aik/challenges", body, http.StatusOK, &c); err != nil {
		return a, err
	}
	blob, err := base64.RawURLEncoding.DecodeString(c.CredentialBlob)
	if err != nil {
		return a, err
	}
	sealed, err := base64.RawURLEncoding.DecodeString(c.EncryptedSecret)
	if err != nil {
		return a, err
	}
	secret, err := sc.ActivateCredential(m.AIKPublic, blob, sealed)
	return activation{c.Context, b64(secret)}, err
}

// enrolled is a certificate of an attestation key.
type enrolled struct{ ID, Certificate string }

// certify sends the answer of a TPM.
func (r *replica) certify(a activation) (c enrolled, err error) {
	return c, r.post(aikCertificates, a, http.StatusCreated, &c)
}

// use has the machine send the certificate.
func (c enrolled) use(t *testing.T, sc *assaytest.TPMScenario) {
	t.Helper()
	der, err := base64.RawURLEncoding.DecodeString(c.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	sc.Enrolled(der)
}

// listed gives the certificates that the replica lists, by id.
func (r *replica) listed(t *testing.T) map[string]string {
	t.Helper()
	var list struct{ Certificates []enrolled }
	if err := r.get(aikCertificates+"?top=1000", &list); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, c := range list.Certificates {
		all[c.ID] = c.Certificate
	}
	if len(all) != len(list.Certificates) {
		t.Error("a certificate is listed twice")
	}
	return all
}

// refusedAIK reports whether the replica refuses the machine for the certificate of its attestation key, in those words.
func (r *replica) refusedAIK(sc *assaytest.TPMScenario, words string) bool {
	_, a, err := r.report(externalHost, r, externalHost, sc)
	return err != nil && a.status == http.StatusBadRequest && strings.Contains(string(a.body), "aik-certificate: ") && strings.Contains(string(a.body), words)
}

// TestThreeReplicasServeOneEnrolment: one challenges, another certifies, the third takes the report; and whichever revokes the certificate, all
// have followed within a second.
func TestThreeReplicasServeOneEnrolment(t *testing.T) {
	all := threeReplicas(t, enrolling(t))
	setTPMPolicy(t, externalHost, tpmPolicy(10), all...)
	sc := plainMachine(t)
	for _, r := range all {
		if !r.refusedAIK(sc, "no certificate") {
			t.Errorf("replica %s takes a machine that is not enrolled", r.name)
		}
	}
	answer, err := all[0].activate(sc)
	if err != nil {
		t.Fatal(err)
	}
	c, err := all[1].certify(answer)
	if err != nil {
		t.Fatal(err)
	}
	c.use(t, sc)
	for _, r := range []*replica{all[2], all[0], all[1]} {
		report, _, err := r.report(externalHost, all[0], externalHost, sc)
		if err != nil {
			t.Fatalf("replica %s: %v", r.name, err)
		}
		if err := r.relyOn(report); err != nil {
			t.Error(err)
		}
		if again, err := r.certify(answer); err != nil || again != c {
			t.Errorf("replica %s certifies the same answer as %+v, %v", r.name, again, err)
		}
		if list := r.listed(t); len(list) != 1 || list[c.ID] != c.Certificate {
			t.Errorf("replica %s lists %v", r.name, list)
		}
	}
	began := time.Now()
	if err := all[0].post(aikCertificates+"/"+c.ID+":revoke", map[string]string{"reason": "stolen"}, http.StatusOK, new(enrolled)); err != nil {
		t.Fatal(err)
	}
	if !all[0].refusedAIK(sc, c.ID) {
		t.Error("the replica that revoked the certificate takes it")
	}
	for _, r := range all[1:] {
		for !r.refusedAIK(sc, c.ID) {
			if time.Since(began) > 10*time.Second {
				t.Fatalf("replica %s takes a revoked certificate", r.name)
			}
		}
	}
	if took := time.Since(began); took >= enforceTime {
		t.Errorf("the slowest replica refused a revoked certificate after %s only", took)
	}
	if again, err := all[2].certify(answer); err == nil || !strings.Contains(err.Error(), "was revoked") {
		t.Errorf("the answer gives %+v after the revocation, %v", again, err)
	}
}

// manyAnswers is how often a machine answers in the tests that kill.
const manyAnswers = 80

// issue sends the answers to the replica by four at once, and kills it in the midst of that. It gives the certificates that were answered.
func issue(t *testing.T, victim *replica, answers []activation) []enrolled {
	t.Helper()
	got := make([]enrolled, len(answers))
	var done sync.WaitGroup
	var mu sync.Mutex
	next, certified := 0, 0
	killed := make(chan struct{})
	enough := rand.IntN(len(answers)/2) + 1
	for range writers {
		done.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= len(answers) {
					return
				}
				c, err := victim.certify(answers[i])
				if err != nil {
					return
				}
				got[i] = c
				mu.Lock()
				if certified++; certified == enough {
					close(killed)
				}
				mu.Unlock()
			}
		})
	}
	select {
	case <-killed:
	case <-time.After(time.Minute):
		t.Fatal("no certificates are issued")
	}
	time.Sleep(rand.N(4 * time.Millisecond))
	victim.kill()
	done.Wait()
	return got
}

// checkEnrolment kills the victim between challenges and certificates, and then while it certifies. Before the one nothing is usable; after the
// other what was answered is listed and usable, and all else can be had still, once; each certificate has one record in the audit trail.
func checkEnrolment(t *testing.T, victim, witness *replica) {
	t.Helper()
	setTPMPolicy(t, externalHost, tpmPolicy(10), victim)
	sc := plainMachine(t)
	answers := make([]activation, manyAnswers)
	for i := range answers {
		var err error
		if answers[i], err = victim.activate(sc); err != nil {
			t.Fatal(err)
		}
	}
	victim.kill()
	victim.mustStart()
	if n := len(witness.listed(t)); n != 0 || !witness.refusedAIK(sc, "no certificate") {
		t.Errorf("%d certificates before any was issued", n)
	}
	got := issue(t, victim, answers)
	if witness == victim {
		victim.mustStart()
	}
	list := witness.listed(t)
	ids := map[string]bool{}
	for i, c := range got {
		if c.ID != "" && list[c.ID] != c.Certificate {
			t.Errorf("a certificate that was answered is not listed: %s", c.ID)
		}
		again, err := witness.certify(answers[i])
		if err != nil || c.ID != "" && again != c || list[again.ID] != "" && list[again.ID] != again.Certificate {
			t.Errorf("answered again: %+v, %v; before %+v", again, err, c)
		}
		ids[again.ID] = true
		again.use(t, sc)
	}
	if _, _, err := witness.report(externalHost, witness, externalHost, sc); err != nil {
		t.Error(err)
	}
	after := witness.listed(t)
	t.Logf("%d certificates were listed when the replica was killed", len(list))
	if len(ids) != manyAnswers || len(after) != manyAnswers {
		t.Errorf("%d certificates are listed, %d were given, for %d challenges", len(after), len(ids), manyAnswers)
	}
	if n := records(t, witness.site, "EnrolAIK"); n != manyAnswers {
		t.Errorf("%d records of %d certificates", n, manyAnswers)
	}
}

// TestAKilledReplicaLeavesNoCertificateThatIsNotListed on PostgreSQL, where the others go on, and on SQLite, where it is started again.
func TestAKilledReplicaLeavesNoCertificateThatIsNotListed(t *testing.T) {
	t.Run("PostgreSQL", func(t *testing.T) {
		all := threeReplicas(t, enrolling(t))
		checkEnrolment(t, all[0], all[1])
	})
	t.Run("SQLite", func(t *testing.T) {
		r := newSite(t, storetest.SQLite(t)).replica(t, "only", enrolling(t))
		r.mustStart()
		checkEnrolment(t, r, r)
	})
}

// TestRevocationRacesWithMachines that attest, and that ask for the certificate again: what begins after the revocation was answered is
// refused, at the replica that answered it, and whatever certificate was given in between is the revoked one.
func TestRevocationRacesWithMachines(t *testing.T) {
	all := threeReplicas(t, enrolling(t))
	setTPMPolicy(t, externalHost, tpmPolicy(10), all...)
	first := plainMachine(t)
	answer, err := all[0].activate(first)
	if err != nil {
		t.Fatal(err)
	}
	c, err := all[0].certify(answer)
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	revoked := make(chan struct{})
	errs := make(chan error, 100)
	for i := range 4 {
		sc := plainMachine(t)
		c.use(t, sc)
		work.Go(func() { errs <- attestUntil(all[0], sc, c, revoked) })
		work.Go(func() { errs <- certifyUntil(all[i%3], answer, c) })
	}
	if err := all[0].post(aikCertificates+"/"+c.ID+":revoke", map[string]string{}, http.StatusOK, new(enrolled)); err != nil {
		t.Fatal(err)
	}
	close(revoked)
	work.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if list := all[1].listed(t); len(list) != 1 {
		t.Errorf("listed: %v", list)
	}
}

// attestUntil attests until the machine is refused because its certificate is revoked, which must not be later than the revocation.
func attestUntil(r *replica, sc *assaytest.TPMScenario, c enrolled, revoked <-chan struct{}) error {
	for {
		late := false
		select {
		case <-revoked:
			late = true
		default:
		}
		_, a, err := r.report(externalHost, r, externalHost, sc)
		switch {
		case err == nil && late:
			return errors.New("a report was made after the revocation")
		case err != nil && !(strings.Contains(string(a.body), "aik-certificate: ") && strings.Contains(string(a.body), c.ID)):
			return fmt.Errorf("refused otherwise: %w", err)
		case err != nil:
			return nil
		}
	}
}

// certifyUntil asks for the certificate again until it is refused because it is revoked.
func certifyUntil(r *replica, answer activation, c enrolled) error {
	for {
		again, err := r.certify(answer)
		if err != nil {
			if !strings.Contains(err.Error(), c.ID+" of the attestation key was revoked") {
				return err
			}
			return nil
		}
		if again != c {
			return fmt.Errorf("another certificate: %s", again.ID)
		}
	}
}
