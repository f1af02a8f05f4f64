package server_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/server"
)

// strange is a machine whose maker nobody knows.
func strange(s *assaytest.TPMScenario) { s.Vendor, s.Certifier = strangeTPM(), strangeTPM() }

// TestEnrolmentIsRefused for its own reason each.
func TestEnrolmentIsRefused(t *testing.T) {
	e := enrolling(t)
	sc := windows(t)
	foreign, err := windows(t, strange).Enrolment()
	if err != nil {
		t.Fatal(err)
	}
	area := func(a tpm2.TPMAObject) []byte {
		b, err := sc.AIKArea(a)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	sound := tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, Restricted: true, SignEncrypt: true}
	free, decrypts := sound, sound
	free.Restricted, decrypts.Decrypt = false, true
	for name, tt := range map[string]struct {
		edit  func(*assaytest.TPMEnrolment)
		words []string
	}{
		"AIK not restricted": {func(m *assaytest.TPMEnrolment) { m.AIKPublic = area(free) }, []string{"aik-key: ", "expected restricted"}},
		"AIK that decrypts":  {func(m *assaytest.TPMEnrolment) { m.AIKPublic = area(decrypts) }, []string{"aik-key: ", "expected not decrypt"}},
		"EK as AIK":          {func(m *assaytest.TPMEnrolment) { m.AIKPublic = m.EKPublic }, []string{"aik-key: "}},
		"AIK as EK":          {func(m *assaytest.TPMEnrolment) { m.EKPublic = m.AIKPublic }, []string{"ek-certificate: ", "expected decrypt, not sign"}},
		"EK of an unknown maker": {func(m *assaytest.TPMEnrolment) {
			m.EKCertificate, m.EKChain, m.EKPublic = foreign.EKCertificate, foreign.EKChain, foreign.EKPublic
		}, []string{"ek-certificate: ", "does not lead to a trusted root"}},
		"another TPM's EK": {func(m *assaytest.TPMEnrolment) { m.EKPublic = foreign.EKPublic }, []string{"ek-certificate: ", "of another key than ekPublic"}},
		"no certificate":   {withoutCertificate, []string{"ek-certificate: ", "no certificate and is not pinned"}},
		"no chain":         {func(m *assaytest.TPMEnrolment) { m.EKChain = nil }, []string{"ek-certificate: ", "does not lead to a trusted root", "send the intermediate certificates", "ek_roots"}},
		"long chain":       {func(m *assaytest.TPMEnrolment) { m.EKChain = slices.Repeat(m.EKChain, 9) }, []string{"ekChain", "at most 8"}},
		"chain of nothing": {func(m *assaytest.TPMEnrolment) { m.EKChain = [][]byte{{1}} }, []string{"ek-certificate: ", "cannot be read"}},
		"no AIK":           {func(m *assaytest.TPMEnrolment) { m.AIKPublic = nil }, []string{"aikPublic", "missing"}},
		"AIK cut off":      {func(m *assaytest.TPMEnrolment) { m.AIKPublic = m.AIKPublic[:40] }, []string{"attest-format: "}},
	} {
		t.Run(name, func(t *testing.T) {
			e.post(t, "vendor", aikChallenges, enrolBody(t, sc, tt.edit)).refused(t, http.StatusBadRequest, "InvalidParameter", "", tt.words...)
		})
	}
	e.post(t, "vendor", aikChallenges, []int{1}).refused(t, http.StatusBadRequest, "InvalidParameter", "", "request body")
}

// TestAnotherTPMCannotActivate: the machine that answers has neither the EK, nor the AIK of the challenge, or it answers another one.
func TestAnotherTPMCannotActivate(t *testing.T) {
	e := enrolling(t)
	sc := windows(t)
	challenge := e.post(t, "vendor", aikChallenges, enrolBody(t, sc)).challenge(t)
	blob, secret := unb64(t, challenge.CredentialBlob), unb64(t, challenge.EncryptedSecret)
	m, err := sc.Enrolment()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := windows(t, strange).ActivateCredential(m.AIKPublic, blob, secret); err == nil {
		t.Error("another EK opens the credential")
	}
	if _, err := sc.ActivateCredential(m.EKPublic, blob, secret); err == nil {
		t.Error("the credential is for another object, too")
	}
	other := e.post(t, "vendor", aikChallenges, enrolBody(t, sc)).challenge(t)
	right, wrong := challenge.activate(t, sc), other.activate(t, sc)
	swapped := map[string]any{"context": right["context"], "secret": wrong["secret"]}
	guessed := map[string]any{"context": right["context"], "secret": b64url(make([]byte, 32))}
	for _, body := range []any{swapped, guessed} {
		e.post(t, "vendor", aikCertificates, body).refused(t, http.StatusBadRequest, "InvalidParameter", "", "aik-enrolment: ", "not the one of the challenge")
	}
	e.postAs(t, "pinned", "All.owner", aikCertificates, right).refused(t, http.StatusBadRequest, "InvalidParameter", "", "aik-enrolment: ", "another attestation provider")
	e.post(t, "vendor", aikCertificates, map[string]any{"context": right["context"]}).refused(t, http.StatusBadRequest, "InvalidParameter", "", "secret")
	if n := e.countAIKs(t, "vendor"); n != 0 {
		t.Errorf("%d certificates", n)
	}
	e.post(t, "vendor", aikCertificates, right).certificate(t) // the right answer counts still
}

// countAIKs counts the certificates of a provider.
func (e *estate) countAIKs(t testing.TB, at string) int {
	t.Helper()
	a := e.send(t, sending{at: at, method: http.MethodGet, path: aikCertificates, token: e.token(at + ".reader")})
	var list struct{ Certificates []aikCertificate }
	decode(t, a.body, &list)
	return len(list.Certificates)
}

// TestOneChallengeGivesOneCertificate, however often, by whom and at which of three replicas at once it is answered.
func TestOneChallengeGivesOneCertificate(t *testing.T) {
	e := enrolling(t)
	sites := []string{"vendor"}
	for _, name := range []string{"second", "third"} {
		s, err := server.New(e.cfg, server.Options{Logger: slog.New(slog.DiscardHandler), Clock: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		e.sites[name] = httptest.NewTLSServer(s.For(e.ids["vendor"]))
		t.Cleanup(func() { e.sites[name].Close(); s.Close() })
		sites = append(sites, name)
	}
	sc := windows(t)
	answer := e.postAs(t, "second", "vendor.reader", aikChallenges, enrolBody(t, sc)).challenge(t).activate(t, sc)
	got := make([]aikCertificate, 9)
	var work sync.WaitGroup
	for i := range got {
		work.Go(func() { got[i] = e.postAs(t, sites[i%3], "vendor.reader", aikCertificates, answer).certificate(t) })
	}
	work.Wait()
	for _, c := range got {
		if c.ID != got[0].ID || c.Certificate != got[0].Certificate || !slices.Equal(c.Chain, got[0].Chain) {
			t.Errorf("certificates %s and %s", c.ID, got[0].ID)
		}
	}
	if n := e.countAIKs(t, "vendor"); n != 1 {
		t.Errorf("%d certificates, want 1", n)
	}
	sc.Enrolled(unb64(t, got[0].Certificate))
	for _, site := range sites {
		e.attestTPM(t, site, sc).report(t, false)
	}
	e.revoke(t, got[0].ID)
	time.Sleep(4 * provider.PollTime)
	for _, site := range sites {
		e.attestTPM(t, site, sc).refused(t, http.StatusBadRequest, "InvalidParameter", "", "aik-certificate: ", got[0].ID, "revoked")
	}
	e.postAs(t, "third", "vendor.reader", aikCertificates, answer).refused(t, http.StatusBadRequest, "InvalidParameter", "", "aik-enrolment: ", got[0].ID, "revoked")
}

// revoke revokes a certificate of the provider vendor.
func (e *estate) revoke(t testing.TB, id string) (c aikCertificate) {
	t.Helper()
	a := e.postAs(t, "vendor", "vendor.contributor", aikCertificates+"/"+id+":revoke", map[string]any{"reason": "stolen"})
	if a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	decode(t, a.body, &c)
	return c
}

// TestRevokedCertificates: neither the key nor its TPM enrols again, but for a TPM whose EK is pinned, with another key.
func TestRevokedCertificates(t *testing.T) {
	e := enrolling(t)
	sc, other := windows(t), windows(t, func(s *assaytest.TPMScenario) { s.AIKKind = assaytest.P256 })
	c := e.enrol(t, "vendor", sc)
	first := e.revoke(t, strings.ToUpper(c.ID))
	if first.Reason != "stolen" || first.RevokedAt.IsZero() || first.RevokedBy == "" || first.ID != c.ID {
		t.Errorf("%+v", first)
	}
	if again := e.revoke(t, c.ID); again.RevokedAt != first.RevokedAt {
		t.Error("it was revoked twice")
	}
	e.attestTPM(t, "vendor", sc).refused(t, http.StatusBadRequest, "InvalidParameter", "", "aik-certificate: ", c.ID, "revoked")
	answerOf := func(sc *assaytest.TPMScenario) map[string]any {
		return e.post(t, "vendor", aikChallenges, enrolBody(t, sc)).challenge(t).activate(t, sc)
	}
	e.post(t, "vendor", aikCertificates, answerOf(sc)).refused(t, http.StatusBadRequest, "InvalidParameter", "", "aik-enrolment: ", c.ID, "new attestation key")
	e.post(t, "vendor", aikCertificates, answerOf(other)).refused(t, http.StatusBadRequest, "InvalidParameter", "", "aik-enrolment: ", c.ID, "pin the endorsement key")
	e.pin(t, "vendor", http.MethodPut, "/assay/v1/ek/"+c.endorsed(t, e), http.StatusCreated)
	e.post(t, "vendor", aikCertificates, answerOf(sc)).refused(t, http.StatusBadRequest, "InvalidParameter", "", "aik-enrolment: ", c.ID, "new attestation key")
	e.enrol(t, "vendor", other)
	e.attestTPM(t, "vendor", other).report(t, false)
	missing := strings.Repeat("0", 32)
	e.postAs(t, "vendor", "vendor.owner", aikCertificates+"/"+missing+":revoke", map[string]any{}).refused(t, http.StatusNotFound, "NotFound", "", missing)
	e.postAs(t, "vendor", "vendor.owner", aikCertificates+"/"+c.ID+":revoke", map[string]any{"reason": strings.Repeat("r", 257)}).
		refused(t, http.StatusBadRequest, "InvalidParameter", "", "at most 256 bytes")
}

// endorsed asks for the hash of the endorsement key of a certificate.
func (c aikCertificate) endorsed(t testing.TB, e *estate) string {
	t.Helper()
	a := e.send(t, sending{at: "vendor", method: http.MethodGet, path: aikCertificates + "/" + c.ID, token: e.token("vendor.reader")})
	var one struct{ EKHash, AIKHash, Certificate string }
	decode(t, a.body, &one)
	if one.Certificate != c.Certificate || len(one.AIKHash) != 64 {
		t.Errorf("GET gives %s", a.body)
	}
	return one.EKHash
}

// pin sends PUT or DELETE of a pin as somebody who may write.
func (e *estate) pin(t testing.TB, at, method, path string, status int) {
	t.Helper()
	if a := e.send(t, sending{at: at, method: method, path: path, token: e.token(at + ".contributor")}); a.status != status {
		t.Errorf("%s %s: status %d, want %d: %s", method, path, a.status, status, a.body)
	}
}

// spkiHash is the hash of a key in paths.
func spkiHash(t testing.TB, key any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// TestPins: a pinned EK enrols, a pinned AIK needs no certificate, and both no longer than they are pinned.
func TestPins(t *testing.T) {
	e := enrolling(t)
	sc := windows(t, strange)
	ek := "/assay/v1/ek/" + spkiHash(t, strangeTPM().Key(assaytest.EK, assaytest.RSA2048).Public())
	aik := "/assay/v1/aik/pins/" + spkiHash(t, strangeTPM().Key(assaytest.AIK, assaytest.RSA2048).Public())
	e.pin(t, "pinned", http.MethodPut, ek, http.StatusCreated)
	e.pin(t, "pinned", http.MethodPut, strings.ToUpper(ek), http.StatusOK)
	late := e.post(t, "pinned", aikChallenges, enrolBody(t, sc, withoutCertificate)).challenge(t).activate(t, sc)
	e.enrol(t, "pinned", sc, withoutCertificate)
	e.attestTPM(t, "pinned", sc).report(t, false)
	e.pin(t, "pinned", http.MethodDelete, ek, http.StatusNoContent)
	e.pin(t, "pinned", http.MethodDelete, ek, http.StatusNotFound)
	e.post(t, "pinned", aikCertificates, late).refused(t, http.StatusBadRequest, "InvalidParameter", "", "ek-certificate: ", "not pinned")
	e.attestTPM(t, "pinned", sc).report(t, false) // what was enrolled counts

	bare := windows(t, strange)
	bare.Enrolled(nil) // no certificate at all
	e.attestTPM(t, "pinned", bare).refused(t, http.StatusBadRequest, "InvalidParameter", "", "aik-certificate: ", "no certificate")
	e.pin(t, "pinned", http.MethodPut, aik, http.StatusCreated)
	claims, _, _ := e.attestTPM(t, "pinned", bare).report(t, false)
	if claims["aikValidated"] != true {
		t.Errorf("aikValidated is %v", claims["aikValidated"])
	}
	e.attestTPM(t, "vendor", bare).refused(t, http.StatusBadRequest, "InvalidParameter", "", "aik-certificate: ")
	e.pin(t, "pinned", http.MethodDelete, aik, http.StatusNoContent)
	e.attestTPM(t, "pinned", bare).refused(t, http.StatusBadRequest, "InvalidParameter", "", "aik-certificate: ", "no certificate")
	for _, path := range []string{"/assay/v1/ek/12", "/assay/v1/aik/pins/" + strings.Repeat("g", 64)} {
		e.pin(t, "pinned", http.MethodPut, path, http.StatusBadRequest)
	}
	e.pin(t, "off", http.MethodPut, ek, http.StatusBadRequest)
}

// TestPinsCountAsTheyAreAtTheAnswer, whatever the endorsement key was trusted for at the challenge.
func TestPinsCountAsTheyAreAtTheAnswer(t *testing.T) {
	e := enrolling(t)
	sc := windows(t)
	ek := "/assay/v1/ek/" + spkiHash(t, tpmVendor().Key(assaytest.EK, assaytest.RSA2048).Public())
	answer := func() map[string]any {
		return e.post(t, "vendor", aikChallenges, enrolBody(t, sc)).challenge(t).activate(t, sc)
	}
	certified := answer()
	e.enrols(t, "vendor", "pinned")
	e.pin(t, "vendor", http.MethodPut, ek, http.StatusCreated)
	e.post(t, "vendor", aikCertificates, certified).certificate(t)
	e.enrols(t, "vendor", "vendor")
	pinned := answer()
	e.pin(t, "vendor", http.MethodDelete, ek, http.StatusNoContent)
	e.post(t, "vendor", aikCertificates, pinned).refused(t, http.StatusBadRequest, "InvalidParameter", "", "ek-certificate: ", "not pinned", "a new enrolment challenge")
}

// TestEnrolledCertificatesExpire after 90 days, by name.
func TestEnrolledCertificatesExpire(t *testing.T) {
	cfg := config.Config{
		Policies: map[string]string{"Tpm": tempFile(t, permitTPM())}, EKRoots: ekRoot(t, tpmVendor()),
		Settings: provider.Settings{TPMAttestationAuthentication: "Disabled", TPMSettings: provider.TPMSettings{AIKEnrolment: "vendor"}},
	}
	m := newTimeMachine(t, cfg)
	sc := windows(t)
	post := func(path string, body any) answer {
		return m.do(t, http.MethodPost, path, text(body), "Content-Type", "application/json", "Authorization", "Bearer "+m.token(t, "reader"))
	}
	c := post(aikCertificates, post(aikChallenges, enrolBody(t, sc)).challenge(t).activate(t, sc)).certificate(t)
	sc.Enrolled(unb64(t, c.Certificate))
	for _, tt := range []struct {
		ahead time.Duration
		holds bool
	}{{0, true}, {90*24*time.Hour - time.Hour, true}, {90*24*time.Hour + time.Minute, false}} {
		m.startAhead(t, tt.ahead)
		a := m.attestTPM(t, sc)
		if tt.holds {
			a.report(t, false)
		} else {
			a.refused(t, http.StatusBadRequest, "InvalidParameter", "", "aik-certificate: ", c.ID, "has expired")
		}
	}
}

// TestEnrolmentsAreInTheAuditTrail: what was issued, revoked and pinned, by whom.
func TestEnrolmentsAreInTheAuditTrail(t *testing.T) {
	e := enrolling(t)
	sc := windows(t)
	c := e.enrol(t, "vendor", sc)
	e.revoke(t, c.ID)
	hash := strings.Repeat("ab", 32)
	e.pin(t, "vendor", http.MethodPut, "/assay/v1/ek/"+hash, http.StatusCreated)
	e.pin(t, "vendor", http.MethodDelete, "/assay/v1/ek/"+hash, http.StatusNoContent)
	want := map[string][2]string{"EnrolAIK": {"", c.ID}, "RevokeAIKCertificate": {c.ID, ""}, "PinEK": {"", hash}, "UnpinEK": {hash, ""}}
	for _, r := range trail(t, e.cfg.Data) {
		if w, ok := want[r.OperationName]; ok && r.Properties.Provider == "vendor" && r.Properties.Before == w[0] && r.Properties.After == w[1] && r.Identity != "" {
			delete(want, r.OperationName)
		}
	}
	if len(want) > 0 {
		t.Errorf("not in the trail: %v", want)
	}
}
