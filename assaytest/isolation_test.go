package assaytest_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
)

// pieces are what a verifier receives, each document with its issuer chain.
func pieces(t *testing.T, s *assaytest.Scenario) map[string][]byte {
	t.Helper()
	quote, err := s.Quote()
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Collateral()
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"quote":       quote,
		"TCB info":    slices.Concat(c.TCBInfo, c.TCBInfoChain),
		"QE identity": slices.Concat(c.QEIdentity, c.QEIdentityChain),
		"PCK CRL":     c.PCKCRL,
		"root CRL":    c.RootCRL,
	}
}

func TestAFaultLeavesAllButOnePieceUnchanged(t *testing.T) {
	intel := assaytest.NewIntel()
	for _, f := range assaytest.Faults() {
		t.Run(f.Name, func(t *testing.T) {
			broken := intel.Scenario(now)
			f.Apply(broken)
			sound := intel.Scenario(now)
			sound.QuoteVersion, sound.OpenEnclave = broken.QuoteVersion, broken.OpenEnclave
			var changed []string
			got := pieces(t, broken)
			for name, want := range pieces(t, sound) {
				if !bytes.Equal(got[name], want) {
					changed = append(changed, name)
				}
			}
			slices.Sort(changed)
			withSigner := []string{"QE identity", "TCB info"}
			withRoot := []string{"QE identity", "TCB info", "quote"}
			if len(changed) != 1 && !slices.Equal(changed, withSigner) && !slices.Equal(changed, withRoot) {
				t.Errorf("changed %q, want one of them, or all that contain one certificate", changed)
			}
		})
	}
}

func TestATDXFaultLeavesAllButOnePieceUnchanged(t *testing.T) {
	intel := assaytest.NewIntel()
	for _, f := range assaytest.TDXFaults() {
		broken := intel.TDXScenario(now)
		f.Apply(broken)
		sound := intel.TDXScenario(now)
		sound.QuoteVersion, sound.TD.V15 = broken.QuoteVersion, broken.TD.V15
		var changed []string
		got := pieces(t, broken)
		for name, want := range pieces(t, sound) {
			if !bytes.Equal(got[name], want) {
				changed = append(changed, name)
			}
		}
		if len(changed) != 1 {
			t.Errorf("%s: changed %q, want one of them", f.Name, changed)
		}
	}
}
