package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/store"
)

const (
	aikChallenges   = "/assay/v1/aik/challenges"
	aikCertificates = "/assay/v1/aik/certificates"
)

// ekRoot is the root of a simulated maker's endorsement keys as a file.
func ekRoot(t testing.TB, v *assaytest.TPMVendor) []config.AIKRoot {
	t.Helper()
	root, err := v.CertificatePEM(assaytest.EKRoot)
	if err != nil {
		t.Fatal(err)
	}
	return []config.AIKRoot{{File: tempFile(t, string(root))}}
}

// enrolling is a service in production that knows one maker of TPMs, with providers that enrol as their names say.
func enrolling(t *testing.T) *estate {
	t.Helper()
	return enrollingWith(t, config.Config{EKRoots: ekRoot(t, tpmVendor())})
}

// enrollingWith is the same with makers of another configuration.
func enrollingWith(t *testing.T, cfg config.Config) *estate {
	t.Helper()
	e := startEstate(t, cfg, store.Provider{Name: "vendor"}, store.Provider{Name: "pinned"}, store.Provider{Name: "off"})
	for _, name := range []string{"vendor", "pinned", "off"} {
		e.enrols(t, name, name)
		a := e.send(t, sending{
			at: name, method: http.MethodPut, path: "/policies/Tpm?api-version=2022-08-01", body: unsigned(policyPayload(permitTPM())), contentType: "text/plain",
			token: e.token("All.owner"),
		})
		if a.status != http.StatusOK {
			t.Fatalf("setting a policy: status %d: %s", a.status, a.body)
		}
	}
	return e
}

// enrols sets the switch of a provider.
func (e *estate) enrols(t *testing.T, name, value string) {
	t.Helper()
	if a := e.settings(t, name, `{"aik_enrolment":"`+value+`"}`); a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
}

// post sends JSON to a provider as somebody who may read there.
func (e *estate) post(t testing.TB, at, path string, body any) answer {
	t.Helper()
	return e.postAs(t, at, at+".reader", path, body)
}

// postAs sends JSON to a site as somebody with a role.
func (e *estate) postAs(t testing.TB, at, role, path string, body any) answer {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return e.send(t, sending{at: at, method: http.MethodPost, path: path, body: string(b), contentType: "application/json", token: e.token(role)})
}

// enrolBody is the first request of a machine.
func enrolBody(t testing.TB, sc *assaytest.TPMScenario, edits ...func(*assaytest.TPMEnrolment)) map[string]any {
	t.Helper()
	m, err := sc.Enrolment()
	if err != nil {
		t.Fatal(err)
	}
	for _, edit := range edits {
		edit(m)
	}
	body := map[string]any{"ekPublic": b64url(m.EKPublic), "aikPublic": b64url(m.AIKPublic)}
	if m.EKCertificate != nil {
		body["ekCertificate"] = b64url(m.EKCertificate)
	}
	chain := []string{}
	for _, c := range m.EKChain {
		chain = append(chain, b64url(c))
	}
	body["ekChain"] = chain
	return body
}

func withoutCertificate(m *assaytest.TPMEnrolment) { m.EKCertificate, m.EKChain = nil, nil }

// aikChallenge is the answer to the first request.
type aikChallenge struct {
	Context, CredentialBlob, EncryptedSecret string
	Expires                                  time.Time
}

func (a answer) challenge(t testing.TB) (c aikChallenge) {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("challenge: status %d: %s", a.status, a.body)
	}
	decode(t, a.body, &c)
	return c
}

// unb64 reads base64url.
func unb64(t testing.TB, text string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// activate has the TPM of a machine answer.
func (c aikChallenge) activate(t testing.TB, sc *assaytest.TPMScenario) map[string]any {
	t.Helper()
	m, err := sc.Enrolment()
	if err != nil {
		t.Fatal(err)
	}
	secret, err := sc.ActivateCredential(m.AIKPublic, unb64(t, c.CredentialBlob), unb64(t, c.EncryptedSecret))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{"context": c.Context, "secret": b64url(secret)}
}

// aikCertificate is the answer to the second request.
type aikCertificate struct {
	ID, Certificate                        string
	Chain                                  []string
	NotAfter                               time.Time
	AIKHash, EKHash, Reason, By, RevokedBy string
	RevokedAt                              time.Time
}

func (a answer) certificate(t testing.TB) (c aikCertificate) {
	t.Helper()
	if a.status != http.StatusCreated {
		t.Fatalf("certificate: status %d: %s", a.status, a.body)
	}
	decode(t, a.body, &c)
	return c
}

// enrol makes both requests and has the machine use its certificate from then on.
func (e *estate) enrol(t testing.TB, at string, sc *assaytest.TPMScenario, edits ...func(*assaytest.TPMEnrolment)) aikCertificate {
	t.Helper()
	challenge := e.post(t, at, aikChallenges, enrolBody(t, sc, edits...)).challenge(t)
	c := e.post(t, at, aikCertificates, challenge.activate(t, sc)).certificate(t)
	sc.Enrolled(unb64(t, c.Certificate))
	return c
}

// TestAnEnrolledMachineAttests from nothing to a report, at the provider where it was enrolled and no other.
func TestAnEnrolledMachineAttests(t *testing.T) {
	e := enrolling(t)
	sc := windows(t)
	e.attestTPM(t, "vendor", sc).refused(t, http.StatusBadRequest, "InvalidParameter", "", "aik-certificate")
	first := e.post(t, "vendor", aikChallenges, enrolBody(t, sc)).challenge(t)
	if blob, secret := unb64(t, first.CredentialBlob), unb64(t, first.EncryptedSecret); len(blob) != 70 || len(secret) != 258 {
		t.Errorf("blob %d, secret %d bytes; tpm-evidence.md section 3 measured 70 and 258", len(blob), len(secret))
	}
	if d := time.Until(first.Expires); d < 4*time.Minute || d > 5*time.Minute {
		t.Errorf("expires in %s, want 5 minutes", d)
	}
	c := e.enrol(t, "vendor", sc)
	if len(c.Chain) != 1 || len(c.ID) != 32 {
		t.Errorf("id %q, chain of %d", c.ID, len(c.Chain))
	}
	claims, _, _ := e.attestTPM(t, "vendor", sc).report(t, false)
	if claims["aikValidated"] != true {
		t.Errorf("aikValidated is %v", claims["aikValidated"])
	}
	e.attestTPM(t, "pinned", sc).refused(t, http.StatusBadRequest, "InvalidParameter", "", "aik-certificate")
}

// TestSwitchOfEnrolment covers the three values of aik_enrolment, and off again.
func TestSwitchOfEnrolment(t *testing.T) {
	e := enrolling(t)
	sc := windows(t)
	for _, path := range []string{aikChallenges, aikCertificates} {
		e.post(t, "off", path, enrolBody(t, sc)).refused(t, http.StatusBadRequest, "InvalidOperation", "", "aik_enrolment is off")
	}
	e.post(t, "pinned", aikChallenges, enrolBody(t, sc)).refused(t, http.StatusBadRequest, "InvalidParameter", "", "ek-certificate", "not pinned", "PUT /assay/v1/ek/")
	e.enrol(t, "vendor", sc)
	e.attestTPM(t, "vendor", sc).report(t, false)
	e.enrols(t, "vendor", "off")
	e.attestTPM(t, "vendor", sc).refused(t, http.StatusBadRequest, "InvalidParameter", "", "aik-certificate")
	e.enrols(t, "vendor", "vendor")
	answer := e.post(t, "vendor", aikChallenges, enrolBody(t, sc)).challenge(t).activate(t, sc)
	e.enrols(t, "vendor", "pinned") // in between
	e.post(t, "vendor", aikCertificates, answer).refused(t, http.StatusBadRequest, "InvalidParameter", "", "ek-certificate", "not pinned")
	e.attestTPM(t, "vendor", sc).report(t, false) // what was enrolled counts
	e.enrols(t, "vendor", "off")
	e.post(t, "vendor", aikCertificates, answer).refused(t, http.StatusBadRequest, "InvalidOperation", "", "aik_enrolment is off")
	if a := e.settings(t, "vendor", `{"aik_enrolment":"on"}`); a.status != http.StatusBadRequest {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

// TestEndorsementKeysOnCurvesEnrol: those that the TCG's profile has for P-256 and P-384, with attestation keys of any kind. A credential of
// the sizes of one kind is none for another.
func TestEndorsementKeysOnCurvesEnrol(t *testing.T) {
	e := enrolling(t)
	for ek, sizes := range map[assaytest.TPMKeyKind][2]int{assaytest.P256: {70, 70}, assaytest.P384: {86, 102}} {
		sc := windows(t, func(s *assaytest.TPMScenario) { s.EKKind = ek })
		c := e.post(t, "vendor", aikChallenges, enrolBody(t, sc)).challenge(t)
		if got := [2]int{len(unb64(t, c.CredentialBlob)), len(unb64(t, c.EncryptedSecret))}; got != sizes {
			t.Errorf("blob and secret of %d bytes, want %d", got, sizes)
		}
		e.enrol(t, "vendor", sc)
		e.attestTPM(t, "vendor", sc).report(t, false)
		other, err := windows(t).Enrolment()
		if err != nil {
			t.Fatal(err)
		}
		rsa := func(m *assaytest.TPMEnrolment) { m.EKPublic = other.EKPublic }
		e.post(t, "vendor", aikChallenges, enrolBody(t, sc, rsa)).refused(t, http.StatusBadRequest, "InvalidParameter", "", "ek-certificate: ", "of another key than ekPublic")
	}
}

// TestProductionTrustsNoMakerOfTPMsUnasked, least of all the simulated one whose keys everybody has.
func TestProductionTrustsNoMakerOfTPMsUnasked(t *testing.T) {
	e := startEstate(t, config.Config{}, store.Provider{Name: "vendor"})
	e.enrols(t, "vendor", "vendor")
	sc := assaytest.WellKnownTPMVendor().Scenario()
	e.post(t, "vendor", aikChallenges, enrolBody(t, sc)).refused(t, http.StatusBadRequest, "InvalidParameter", "", "ek-certificate: ", "no root is trusted")
}

// TestCertificatesAreListedByPages: each is on one page, whatever the case in which the id before it is written.
func TestCertificatesAreListedByPages(t *testing.T) {
	e := enrolling(t)
	sc := windows(t)
	want := map[string]bool{e.enrol(t, "vendor", sc).ID: true, e.enrol(t, "vendor", sc).ID: true, e.enrol(t, "vendor", sc).ID: true}
	after := ""
	for range 4 {
		a := e.send(t, sending{at: "vendor", method: http.MethodGet, path: aikCertificates + "?top=1&after=" + strings.ToUpper(after), token: e.token("vendor.reader")})
		var page struct{ Certificates []aikCertificate }
		decode(t, a.body, &page)
		if last := len(want) == 0; last != (len(page.Certificates) == 0) || len(page.Certificates) > 1 || !last && !want[page.Certificates[0].ID] {
			t.Fatalf("after %s: %s", after, a.body)
		}
		for _, c := range page.Certificates {
			after = c.ID
			delete(want, after)
		}
	}
	e.send(t, sending{at: "vendor", method: http.MethodGet, path: aikCertificates + "?top=0", token: e.token("vendor.reader")}).
		refused(t, http.StatusBadRequest, "InvalidParameter", "", "top: expected a positive number")
}

// TestWhatCountsWhileEnrolmentIsOff: revocations, also of keys that another CA certifies; pins do not.
func TestWhatCountsWhileEnrolmentIsOff(t *testing.T) {
	e := enrolling(t)
	pinned, revoked := windows(t, strange), windows(t)
	pinned.Enrolled(nil)
	aik := "/assay/v1/aik/pins/" + spkiHash(t, strangeTPM().Key(assaytest.AIK, assaytest.RSA2048).Public())
	e.pin(t, "vendor", http.MethodPut, aik, http.StatusCreated)
	e.attestTPM(t, "vendor", pinned).report(t, false)
	c := e.enrol(t, "vendor", revoked)
	e.enrols(t, "vendor", "off")
	e.attestTPM(t, "vendor", pinned).refused(t, http.StatusBadRequest, "InvalidParameter", "", "aik-certificate: ", "no certificate")
	e.revoke(t, c.ID)
	e.attestTPM(t, "vendor", revoked).refused(t, http.StatusBadRequest, "InvalidParameter", "", "aik-certificate: ", c.ID, "revoked")
	e.pin(t, "vendor", http.MethodDelete, aik, http.StatusNoContent)
}
