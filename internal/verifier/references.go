package verifier

import (
	"slices"

	"github.com/assay-attestation/assay/policy"
)

// compare holds the claims of verified evidence against the reference values of the provider. It gives the claims that the policy sees of them, and the
// token its compliance status.
func (v *Verifier) compare(r Request, s *Subject) []policy.Claim {
	found := v.cfg.References.Match(r.Type, slices.Concat(s.claims, s.facts), r.At)
	if found.ComplianceStatus != "" && s.comply != nil {
		s.comply(found.ComplianceStatus)
	}
	return found.Claims
}
