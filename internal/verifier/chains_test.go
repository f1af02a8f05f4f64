package verifier

import (
	"context"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/snp"
)

// TestKeyServiceIsAskedForMissingChainsOnly: not in place of one that came and is not trusted, and for no longer than collateral may take.
func TestKeyServiceIsAskedForMissingChainsOnly(t *testing.T) {
	for _, c := range []struct {
		name  string
		roots snp.Roots
		edit  func(*assaytest.AMDScenario)
		asked bool
		check evidence.Check
	}{
		{"sound", newAMDBench(t).roots, func(*assaytest.AMDScenario) {}, false, ""},
		{"not trusted", snp.AMDRoots(), func(*assaytest.AMDScenario) {}, false, evidence.UntrustedRoot},
		{"leaf only", newAMDBench(t).roots, func(s *assaytest.AMDScenario) { s.Chain = []assaytest.AMDRole{assaytest.VCEK} }, true, evidence.SNPTCB},
	} {
		b := newGuestBench(t, c.edit)
		asked := false
		b.cfg.SNP.Signers, b.cfg.Endorsing, b.cfg.Baseline.SNP.FetchChains = NewSigners(c.roots), time.Hour, true
		b.cfg.SNP.Chains = func(ctx context.Context, _ *snp.Report) (*snp.Chain, error) {
			asked = true
			if end, ok := ctx.Deadline(); !ok || time.Until(end) > time.Hour {
				t.Errorf("%s: asked until %v, %v", c.name, end, ok)
			}
			return nil, evidence.Refuse(evidence.SNPTCB, "as the key service says")
		}
		_, err := b.Appraise(t.Context(), b.request)
		if asked != c.asked || (err == nil) != (c.check == "") || err != nil && !check(c.check)(err) {
			t.Errorf("%s: asked %v, %v", c.name, asked, err)
		}
	}
}
