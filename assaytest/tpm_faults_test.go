package assaytest_test

import (
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
)

func TestEveryTPMFaultHasANameOfItsOwnAndChangesTheRequest(t *testing.T) {
	names := make(map[string]bool)
	for _, f := range assaytest.TPMFaults() {
		t.Run(f.Name, func(t *testing.T) {
			if names[f.Name] || f.What == "" || len(f.Checks) == 0 {
				t.Errorf("name seen before, or no words: %+v", f)
			}
			names[f.Name] = true
			sound, err := f.Sound(vendor())
			if err != nil {
				t.Fatal(err)
			}
			broken, err := f.Broken(vendor())
			if err != nil {
				t.Fatal(err)
			}
			if text(t, sound) == text(t, broken) {
				t.Error("the request is the same with the fault as without")
			}
		})
	}
}

// Every check of a TPM attestation, but for those that need the service's challenge.
func TestEveryTPMCheckHasAFaultOfItsOwn(t *testing.T) {
	covered := make(map[evidence.Check]bool)
	for _, f := range assaytest.TPMFaults() {
		covered[f.Checks[0]] = true
	}
	for _, c := range []evidence.Check{
		evidence.TPMRequest, evidence.TPMRequestKey, evidence.KeyBinding, evidence.AIKCertificate, evidence.AIKKey, evidence.AttestFormat,
		evidence.AttestSignature, evidence.AttestType, evidence.AttestNonce, evidence.PCRSelection, evidence.PCRDigest, evidence.SHA1,
		evidence.BootAttestation, evidence.EventLogFormat, evidence.EventLogBank, evidence.EventLogStart, evidence.EventLogReplay,
		evidence.EventLogData, evidence.EventLogType, evidence.SecureBootLog, evidence.WindowsEvents, evidence.IMAFormat, evidence.IMAReplay,
		evidence.CertifiedKey, evidence.VBSFormat, evidence.VBSSignature, evidence.VBSBinding,
	} {
		if !covered[c] {
			t.Errorf("no fault for %s", c)
		}
	}
}

func text(t *testing.T, s *assaytest.TPMScenario) string {
	t.Helper()
	request, err := s.Request(challenge, "context")
	if err != nil {
		t.Fatal(err)
	}
	return request
}
