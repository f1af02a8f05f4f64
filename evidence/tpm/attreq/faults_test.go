package attreq_test

import (
	"crypto"
	"encoding/pem"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"crypto/x509"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/attreq"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// vendor gives one vendor to all tests, since its RSA keys take their time.
var vendor = sync.OnceValue(assaytest.NewTPMVendor)

var challenge = []byte("0123456789abcdef")

// input trusts the simulated vendor.
func input(t *testing.T) attreq.Input {
	t.Helper()
	text, err := vendor().CertificatePEM(assaytest.AIKRoot)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return attreq.Input{
		At:           time.Date(2030, 6, 15, 0, 0, 0, 0, time.UTC),
		Roots:        tpm.NewRoots([]tpm.Root{{Certificate: root}}, nil),
		AllowV1Basic: true,
	}
}

// judge takes a request through all steps.
func judge(t *testing.T, s *assaytest.TPMScenario, in attreq.Input) (*attreq.Verified, error) {
	t.Helper()
	jws, err := s.Request(challenge, "context")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := attreq.Parse(jws, attreq.DefaultLimits())
	if err != nil {
		return nil, err
	}
	signed, err := parsed.VerifySignature()
	if err != nil {
		return nil, err
	}
	if signed.Context() != "context" {
		t.Errorf("context %q", signed.Context())
	}
	fresh, err := signed.Answer(challenge)
	if err != nil {
		return nil, err
	}
	return fresh.Verify(in)
}

func TestEachFaultIsRefusedByItsCheckAndWithoutItAccepted(t *testing.T) {
	in := input(t)
	for _, f := range assaytest.TPMFaults() {
		t.Run(f.Name, func(t *testing.T) {
			sound, err := f.Sound(vendor())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := judge(t, sound, in); err != nil {
				t.Fatal("without the fault:", err)
			}
			broken, err := f.Broken(vendor())
			if err != nil {
				t.Fatal(err)
			}
			_, err = judge(t, broken, in)
			refusal, ok := errors.AsType[*evidence.Refusal](err)
			if !ok {
				t.Fatalf("%s: error %v, want a refusal by %q", f.What, err, f.Checks)
			}
			if !slices.Contains(f.Checks, refusal.Check) {
				t.Errorf("%s: refused by %q, want %q", f.What, refusal, f.Checks)
			}
		})
	}
}

func TestSoundScenariosOfEveryKindAreAccepted(t *testing.T) {
	in := input(t)
	for name, change := range map[string]func(*assaytest.TPMScenario){
		"as is":     func(*assaytest.TPMScenario) {},
		"PSS":       func(s *assaytest.TPMScenario) { s.AIKScheme.PSS = true },
		"P-256":     func(s *assaytest.TPMScenario) { s.AIKKind = assaytest.P256 },
		"P-384":     func(s *assaytest.TPMScenario) { s.AIKKind, s.AIKScheme.Hash = assaytest.P384, crypto.SHA384 },
		"SHA-384":   func(s *assaytest.TPMScenario) { s.HashAlg, s.AIKScheme.Hash = "sha-384", crypto.SHA384 },
		"version 1": (*assaytest.TPMScenario).UseVersion1,
		"certified": func(s *assaytest.TPMScenario) {
			s.Binding = assaytest.BoundByCertify
			s.OtherKeys = []assaytest.TPMOtherKey{{Kind: assaytest.P384, Certified: true}, {Kind: assaytest.RSA2048}}
		},
		"VBS": func(s *assaytest.TPMScenario) { s.VBS = true },
		"VBS of version 1": func(s *assaytest.TPMScenario) {
			s.VBS = true
			s.UseVersion1()
		},
		"two banks": func(s *assaytest.TPMScenario) {
			s.Current.Quoted = append(s.Current.Quoted, assaytest.TPMSelection{Bank: crypto.SHA1, PCRs: []int{7}})
		},
		"custom claims": func(s *assaytest.TPMScenario) {
			s.RPID = "https://rp.example"
			s.CustomClaims = []assaytest.TPMCustomClaim{{Name: "a", Value: `"b"`, Type: "string"}, {Name: "n", Value: "1", Type: "integer"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := vendor().BootScenario(assaytest.SoundTPMBoot())
			if err != nil {
				t.Fatal(err)
			}
			change(s)
			if _, err := judge(t, s, in); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestALinuxWithFileMeasurementsIsAccepted(t *testing.T) {
	s, err := vendor().BootScenario(assaytest.TPMBoot{SecureBoot: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := judge(t, s, input(t)); err != nil {
		t.Error(err)
	}
}

func TestARealWindowsLogOfTheSHA1BankIsAcceptedWhereSHA1IsAllowed(t *testing.T) {
	for _, file := range []string{"windows/windows_gcp_shielded_vm.wbcl", "eventlogs/goattest-option-rom-windows-sha1.bin"} {
		log, err := assaytest.ReadTPMLog(vectortest.Read(t, "tpm/"+file))
		if err != nil {
			t.Fatal(err)
		}
		for version := 1; version <= 2; version++ {
			s := vendor().Scenario()
			s.Current.Log = log
			s.Current.Quoted = []assaytest.TPMSelection{{Bank: crypto.SHA1, PCRs: assaytest.AllPCRs()}}
			if version == 1 {
				s.UseVersion1()
			}
			in := input(t)
			_, err := judge(t, s, in)
			if refusal, ok := errors.AsType[*evidence.Refusal](err); !ok || refusal.Check != evidence.SHA1 {
				t.Errorf("%s, version %d: error %v, want a refusal by %s", file, version, err, evidence.SHA1)
			}
			in.AllowSHA1 = true
			if _, err := judge(t, s, in); err != nil {
				t.Errorf("%s, version %d: %v", file, version, err)
			}
		}
	}
}
