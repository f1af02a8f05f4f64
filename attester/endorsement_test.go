package attester_test

import (
	"crypto/x509"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/swtpmtest"
)

// The policies of the TCG EK Credential Profile: A of the low range, B of the high one.
const (
	policyA    = "0020837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa"
	policyB256 = "0020ca3d0a99a2b93906f7a3342414efcfb3a385d44cd1fd459089d19b5071c0b7a0"
	policyB384 = "0030b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12"
)

// templates are the TPMT_PUBLIC of the profile, by the NV index of the certificate.
func templates(t *testing.T) map[tpm2.TPMHandle][]byte {
	t.Helper()
	zeros := strings.Repeat("00", 32)
	out := map[tpm2.TPMHandle][]byte{}
	for index, parts := range map[tpm2.TPMHandle][]string{
		swtpmtest.EKCertificateHighRSA: {"0001000b000300f2", policyB256, "000600800043", "0010", "0800", "00000000", "0000"},
		swtpmtest.EKCertificateP256:    {"0023000b000300b2", policyA, "000600800043", "0010", "0003", "0010", "0020", zeros, "0020", zeros},
		swtpmtest.EKCertificateHigh256: {"0023000b000300f2", policyB256, "000600800043", "0010", "0003", "0010", "0000", "0000"},
		swtpmtest.EKCertificateP384:    {"0023000c000300f2", policyB384, "000601000043", "0010", "0004", "0010", "0000", "0000"},
	} {
		b, err := hex.DecodeString(strings.Join(parts, ""))
		if err != nil {
			t.Fatal(err)
		}
		out[index] = b
	}
	return out
}

// TestAMachineEnrolsByTheEndorsementKeyThatIsCertified, of whatever kind.
func TestAMachineEnrolsByTheEndorsementKeyThatIsCertified(t *testing.T) {
	for index, template := range templates(t) {
		s := swtpmtest.Start(t)
		m := machine(t, s)
		e := newEnroller(t)
		e.eks = tpm.NewRoots([]tpm.Root{{Certificate: e.ca.Certificate}}, nil)
		c := s.Open(t)
		der := e.ca.CertifyEK(t, swtpmtest.EK(t, c, template))
		if index == swtpmtest.EKCertificateHighRSA {
			e.eks = nil // the certificate is one for key agreement
		}
		swtpmtest.Store(t, c, index, der)
		if _, err := m.Enroll(t.Context(), e.post); err != nil {
			t.Errorf("%08X: %v", uint32(index), err)
		}
		if string(e.decode(e.asked.EKCertificate)) != string(der) {
			t.Errorf("%08X: sent another certificate", uint32(index))
		}
		if area, err := tpm.ParsePublic(e.decode(e.asked.EKPublic)); err != nil || area.CheckEK() != nil {
			t.Errorf("%08X: the service takes no such endorsement key: %v", uint32(index), err)
		}
	}
}

// TestAMakersP384KeyEnrols: swtpm_setup makes and certifies it as the profile has it.
func TestAMakersP384KeyEnrols(t *testing.T) {
	maker := swtpmtest.NewMaker(t)
	s := maker.Start(t)
	swtpmtest.Remove(t, s.Open(t), swtpmtest.EKCertificateRSA)
	m := machine(t, s)
	e := newEnroller(t)
	e.eks = tpm.NewRoots([]tpm.Root{{Certificate: maker.Root}}, []*x509.Certificate{maker.Issuer})
	if _, err := m.Enroll(t.Context(), e.post); err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(e.decode(e.asked.EKCertificate))
	if err != nil || cert.PublicKeyAlgorithm != x509.ECDSA {
		t.Errorf("certificate of a %v key, %v", cert.PublicKeyAlgorithm, err)
	}
}
