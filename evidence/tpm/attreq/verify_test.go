package attreq_test

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/attreq"
)

// windows is a sound Windows machine but for the edits.
func windows(t testing.TB, edits ...func(*assaytest.TPMScenario)) *assaytest.TPMScenario {
	t.Helper()
	s, err := vendor().BootScenario(assaytest.TPMBoot{Windows: true, SecureBoot: true, BootCounter: 7})
	if err != nil {
		t.Fatal(err)
	}
	for _, edit := range edits {
		edit(s)
	}
	return s
}

func claimsOf(t testing.TB, v *attreq.Verified, opt attreq.ClaimOptions) map[string]any {
	t.Helper()
	list, err := v.Claims(opt)
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{}
	for _, c := range list {
		if _, again := claims[c.Name]; again {
			t.Errorf("%s twice", c.Name)
		}
		claims[c.Name] = c.Value
	}
	return claims
}

func without(part assaytest.TPMPart) func(*assaytest.TPMScenario) {
	return func(s *assaytest.TPMScenario) {
		s.Edit.Bytes = func(p assaytest.TPMPart, b []byte) []byte {
			if p == part {
				return nil
			}
			return b
		}
	}
}

// TestCertificatesOfAttestationKeys: what is demanded of them, and what never may be.
func TestCertificatesOfAttestationKeys(t *testing.T) {
	none := without(assaytest.AIK.Certificate())
	foreign := func(s *assaytest.TPMScenario) { s.Certifier = assaytest.NewTPMVendor() }
	otherKey := func(s *assaytest.TPMScenario) {
		s.Edit.Key = func(r assaytest.TPMRole, key crypto.PublicKey) crypto.PublicKey {
			if r == assaytest.AIK {
				return vendor().Key(assaytest.OtherKey, assaytest.RSA2048).Public()
			}
			return key
		}
	}
	noCertificate := func(s *assaytest.TPMScenario) {
		s.Edit.Bytes = func(p assaytest.TPMPart, b []byte) []byte {
			if p == assaytest.AIK.Certificate() {
				return []byte("no certificate")
			}
			return b
		}
	}
	for _, tt := range []struct {
		name      string
		edit      func(*assaytest.TPMScenario)
		demanded  evidence.Check // refused where a certificate is demanded, "" if not
		otherwise evidence.Check // where none is
	}{
		{"sound", func(*assaytest.TPMScenario) {}, "", ""},
		{"none", none, evidence.AIKCertificate, ""},
		{"of an unknown CA", foreign, evidence.AIKCertificate, ""},
		{"of another key", otherKey, evidence.AIKKey, evidence.AIKKey},
		{"no certificate", noCertificate, evidence.AIKCertificate, evidence.AIKCertificate},
	} {
		for _, free := range []bool{false, true} {
			in := input(t)
			in.WithoutCertificate = free
			want := tt.demanded
			if free {
				want = tt.otherwise
			}
			v, err := judge(t, windows(t, tt.edit), in)
			if r, ok := errors.AsType[*evidence.Refusal](err); ok != (want != "") || ok && r.Check != want {
				t.Errorf("%s, without %t: %v, want %q", tt.name, free, err, want)
			} else if !ok && claimsOf(t, v, attreq.ClaimOptions{})["aikValidated"] != (tt.name == "sound") {
				t.Errorf("%s, without %t: aikValidated is wrong", tt.name, free)
			}
		}
	}
}

// TestRequestsAfterHibernation: both logs count, each against its own quote, in both versions.
func TestRequestsAfterHibernation(t *testing.T) {
	boot := func(b assaytest.TPMBoot) *assaytest.TPMLog {
		b.Windows, b.SecureBoot, b.BootCounter = true, true, 7
		log, err := b.Log(vendor())
		if err != nil {
			t.Fatal(err)
		}
		return log
	}
	for _, version := range []int{1, 2} {
		for name, tt := range map[string]struct {
			resumed assaytest.TPMBoot
			safe    bool // notSafeMode
		}{"sound": {assaytest.TPMBoot{}, true}, "safe mode after": {assaytest.TPMBoot{SafeMode: true}, false}} {
			s := windows(t)
			s.Hibernate(boot(tt.resumed))
			if version == 1 {
				s.UseVersion1()
			}
			in := input(t)
			in.AllowV1Basic = true
			v, err := judge(t, s, in)
			if err != nil {
				t.Fatalf("version %d, %s: %v", version, name, err)
			}
			claims := claimsOf(t, v, attreq.ClaimOptions{})
			if claims["notSafeMode"] != tt.safe || claims["bootEvents"] == nil || claims["secureBootEnabled"] != true {
				t.Errorf("version %d, %s: %v, %t", version, name, claims["notSafeMode"], claims["bootEvents"] != nil)
			}
		}
	}
	s := windows(t)
	before, err := judge(t, s, input(t))
	if err != nil {
		t.Fatal(err)
	}
	if claims := claimsOf(t, before, attreq.ClaimOptions{}); claims["bootEvents"] != nil || claims["x-ms-tpm-other-keys"] != nil {
		t.Error("claims without what they are about")
	}
}

// TestQuotesOfTheBootMustBeByTheSameKey, also where no certificate is demanded.
func TestQuotesOfTheBootMustBeByTheSameKey(t *testing.T) {
	s := windows(t)
	s.Hibernate(s.Current.Log)
	s.Edit.Signer = func(p assaytest.TPMPart, key crypto.Signer) crypto.Signer {
		if p == assaytest.TPMQuote.OfBoot() {
			return vendor().Key(assaytest.OtherKey, assaytest.RSA2048)
		}
		return key
	}
	_, err := judge(t, s, input(t))
	if r, ok := errors.AsType[*evidence.Refusal](err); !ok || r.Check != evidence.AttestSignature {
		t.Error(err)
	}
}

// TestHashOfTheAttestationKey is base64 with padding, of the key in DER.
func TestHashOfTheAttestationKey(t *testing.T) {
	for _, kind := range []assaytest.TPMKeyKind{assaytest.RSA2048, assaytest.P256, assaytest.P384} {
		s := windows(t, func(s *assaytest.TPMScenario) { s.AIKKind = kind })
		v, err := judge(t, s, input(t))
		if err != nil {
			t.Fatal(err)
		}
		spki, err := x509.MarshalPKIXPublicKey(vendor().Key(assaytest.AIK, kind).Public())
		if err != nil {
			t.Fatal(err)
		}
		want := base64.StdEncoding.EncodeToString(tpm.SHA256.Sum(spki))
		if got := claimsOf(t, v, attreq.ClaimOptions{})["aikPubHash"]; got != want || !strings.HasSuffix(want, "=") {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}
