package assaytest_test

import (
	"testing"

	"github.com/assay-attestation/assay/assaytest"
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

func text(t *testing.T, s *assaytest.TPMScenario) string {
	t.Helper()
	request, err := s.Request(challenge, "context")
	if err != nil {
		t.Fatal(err)
	}
	return request
}
