package attester_test

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/swtpmtest"
)

// enroller is an attestation CA as the table of native.md section 4 has it. The credential is made by go-tpm.
type enroller struct {
	t      *testing.T
	ca     *swtpmtest.CA
	eks    *tpm.Roots // nil: without certificates of EKs
	other  bool       // makes the credential for another AIK
	asked  struct{ EKCertificate, EKPublic, AIKPublic string }
	secret []byte
	edit   func(answer map[string]any)
}

func newEnroller(t *testing.T) *enroller {
	return &enroller{t: t, ca: swtpmtest.NewCA(t)}
}

func (e *enroller) decode(text string) []byte {
	e.t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		e.t.Fatal(err)
	}
	return b
}

func (e *enroller) post(_ context.Context, path string, body []byte) ([]byte, error) {
	answer := map[string]any{}
	var err error
	switch path {
	case "/assay/v1/aik/challenges":
		err = e.challenge(body, answer)
	case "/assay/v1/aik/certificates":
		err = e.certify(body, answer)
	default:
		e.t.Errorf("posted to %s", path)
	}
	if err != nil {
		return nil, err
	}
	if e.edit != nil {
		e.edit(answer)
	}
	return json.Marshal(answer)
}

var errRefused = errors.New("the service refuses")

func (e *enroller) challenge(body []byte, answer map[string]any) error {
	if err := json.Unmarshal(body, &e.asked); err != nil {
		e.t.Fatal(err)
	}
	if e.eks != nil {
		if _, err := e.eks.VerifyEK(e.decode(e.asked.EKCertificate), time.Now()); err != nil {
			return err
		}
	}
	aik, err := tpm.ParsePublic(e.decode(e.asked.AIKPublic))
	if err != nil {
		return err
	}
	if err := aik.CheckAIK(); err != nil {
		return err
	}
	ek, err := tpm2.Unmarshal[tpm2.TPMTPublic](e.decode(e.asked.EKPublic))
	if err != nil {
		return err
	}
	key, err := tpm2.ImportEncapsulationKey(ek)
	if err != nil {
		return err
	}
	if e.other {
		aik.Name[5] ^= 1
	}
	e.secret = make([]byte, 32)
	rand.Read(e.secret)
	blob, secret, err := tpm2.CreateCredential(rand.Reader, key, aik.Name, e.secret)
	answer["context"], answer["expires"] = "sealed", time.Now().Add(5*time.Minute)
	answer["credentialBlob"], answer["encryptedSecret"] = withSize(blob), withSize(secret)
	return err
}

// withSize writes a TPM2B in base64url.
func withSize(b []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
}

func (e *enroller) certify(body []byte, answer map[string]any) error {
	var in struct{ Context, Secret string }
	if err := json.Unmarshal(body, &in); err != nil {
		e.t.Fatal(err)
	}
	if in.Context != "sealed" || subtle.ConstantTimeCompare(e.decode(in.Secret), e.secret) != 1 {
		return errRefused
	}
	aik, err := tpm.ParsePublic(e.decode(e.asked.AIKPublic))
	if err != nil {
		return err
	}
	answer["id"], answer["notAfter"] = "7", "2030-01-02T03:04:05Z"
	answer["certificate"] = base64.RawURLEncoding.EncodeToString(e.ca.Certify(e.t, aik.Key))
	answer["chain"] = []string{base64.RawURLEncoding.EncodeToString(e.ca.Certificate.Raw)}
	return nil
}

// TestAMachineEnrolsByTheCertificateOfItsEndorsementKeyAndAttests: its maker's CA is all that the service knows beforehand.
func TestAMachineEnrolsByTheCertificateOfItsEndorsementKeyAndAttests(t *testing.T) {
	maker := swtpmtest.NewMaker(t)
	s := maker.Start(t)
	m := machine(t, s)
	e := newEnroller(t)
	e.eks = tpm.NewRoots([]tpm.Root{{Certificate: maker.Root}}, []*x509.Certificate{maker.Issuer})
	for scheme, name := range attester.Schemes() {
		m.Scheme = attester.Scheme(scheme)
		enrolled, err := m.Enroll(t.Context(), e.post)
		if err != nil {
			t.Fatal(name, err)
		}
		cert, err := x509.ParseCertificate(enrolled.Certificate)
		if err != nil || !enrolled.NotAfter.Equal(cert.NotAfter) { // what the answer says beside it counts for nothing
			t.Errorf("%s: until %s, %v", name, enrolled.NotAfter, err)
		}
		if enrolled.ID != "7" || len(enrolled.Chain) != 1 {
			t.Errorf("%s: enrolled as %+v", name, enrolled)
		}
		if _, err := m.Attest(t.Context(), (&judge{t: t, roots: roots(e.ca), required: 0xFF}).post); err != nil {
			t.Error(name, err)
		}
	}
	s.Restart(t)
	again := machine(t, s)
	again.AIKCertificate, again.Scheme = m.AIKCertificate, m.Scheme
	if _, err := again.Attest(t.Context(), (&judge{t: t, roots: roots(e.ca), required: 0xFF}).post); err != nil {
		t.Errorf("after a restart the key is another: %v", err)
	}
}

func TestAMachineWithoutACertificateOfItsEndorsementKeyEnrolsAllTheSame(t *testing.T) {
	s := swtpmtest.Start(t)
	m := machine(t, s)
	e := newEnroller(t)
	if _, err := m.Enroll(t.Context(), e.post); err != nil || e.asked.EKCertificate != "" {
		t.Errorf("%v, certificate %q", err, e.asked.EKCertificate)
	}
}

func TestAChallengeForAnotherKeyIsNotAnswered(t *testing.T) {
	s := swtpmtest.Start(t)
	m := machine(t, s)
	e := newEnroller(t)
	e.other = true
	_, err := m.Enroll(t.Context(), e.post)
	wantProblem(t, err, "the TPM refuses the challenge", "enrol again")
	real := s.Open(t)
	for _, code := range []tpm2.TPMRC{tpm2.TPMRCIntegrity, tpm2.TPMRCValue, tpm2.TPMRCSize, tpm2.TPMRCFailure} { // what TPMs answer
		m.TPM = attester.New(answering{real, tpm2.TPMCCActivateCredential, code})
		_, err := m.Enroll(t.Context(), newEnroller(t).post)
		wantProblem(t, err, "the TPM refuses the challenge", "enrol again")
	}
}

func TestAnswersThatAreNoneOfEnrolmentAreNotTaken(t *testing.T) {
	s := swtpmtest.Start(t)
	m := machine(t, s)
	for name, edit := range map[string]func(map[string]any){
		"no blob":             func(a map[string]any) { delete(a, "credentialBlob") },
		"a blob without size": func(a map[string]any) { a["credentialBlob"] = "AAAA" },
		"a secret in hex":     func(a map[string]any) { a["encryptedSecret"] = "zz!" },
		"another type":        func(a map[string]any) { a["context"] = 1 },
	} {
		t.Run(name, func(t *testing.T) { wantBadAnswer(t, m, edit) })
	}
	other := swtpmtest.NewCA(t)
	for name, edit := range map[string]func(map[string]any){
		"no certificate":  func(a map[string]any) { delete(a, "certificate") },
		"no DER":          func(a map[string]any) { a["certificate"] = "AAAA" },
		"a long chain":    func(a map[string]any) { a["chain"] = make([]string, 9) },
		"a chain of text": func(a map[string]any) { a["chain"] = []string{"AAAA"} },
		"another key's": func(a map[string]any) {
			a["certificate"] = base64.RawURLEncoding.EncodeToString(other.Certify(t, other.Certificate.PublicKey))
		},
	} {
		t.Run(name, func(t *testing.T) {
			wantBadAnswer(t, m, func(a map[string]any) {
				if a["id"] != nil {
					edit(a)
				}
			})
		})
	}
}

func wantBadAnswer(t *testing.T, m *attester.Machine, edit func(map[string]any)) {
	t.Helper()
	e := newEnroller(t)
	e.edit = edit
	_, err := m.Enroll(t.Context(), e.post)
	if bad := new(attester.BadAnswer); !errors.As(err, &bad) {
		t.Errorf("got %v, want a bad answer", err)
	}
	if m.AIKCertificate != nil {
		t.Error("the certificate was taken all the same")
	}
}
