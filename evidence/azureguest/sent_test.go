package azureguest_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/evidence/tpm"
)

// TestThePCRsThatWereSentAreThoseThatWereVerified in each case that is accepted.
func TestThePCRsThatWereSentAreThoseThatWereVerified(t *testing.T) {
	cases := 0
	for _, c := range vectors(t) {
		if !strings.HasPrefix(c.Expect, "accept") {
			continue
		}
		v, err := c.verify(t, azureguest.Input{})
		if err != nil {
			continue // TestVectors says so
		}
		b, err := c.information(t)
		if err != nil {
			t.Fatal(err)
		}
		bundle, err := azureguest.Parse(b, limits())
		if err != nil {
			t.Fatal(err)
		}
		sent := bundle.SentPCRs()
		for pcr := range tpm.PCRCount {
			if !bytes.Equal(sent.Values[pcr], v.PCR(pcr)) {
				t.Errorf("%s: PCR %d: sent %x, verified %x", c.ID, pcr, sent.Values[pcr], v.PCR(pcr))
			}
		}
		if cases++; sent.Alg != tpm.SHA256 || sent.Values[0] == nil {
			t.Errorf("%s: %v", c.ID, sent)
		}
	}
	if cases == 0 {
		t.Error("no case is accepted")
	}
}
