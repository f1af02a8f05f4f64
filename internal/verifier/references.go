package verifier

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/attreq"
	"github.com/assay-attestation/assay/policy"
)

// compare holds the claims of verified evidence against the reference values of the provider. It gives the claims that the policy sees of them, and the
// token its compliance status. An error says that the status cannot stand in a token.
func (v *Verifier) compare(r Request, s *Subject) (claims []policy.Claim, err error) {
	found := v.cfg.References.Match(r.Type, slices.Concat(s.claims, s.facts), r.At)
	if found.ComplianceStatus != "" && s.comply != nil {
		err = s.comply(found.ComplianceStatus)
	}
	return found.Claims, err
}

// compareReport is compare of a request of the TPM protocol: made are its claims. Reports have no compliance status.
func (v *Verifier) compareReport(r ReportRequest, e *attreq.Verified, made []evidence.Claim) []policy.Claim {
	return v.cfg.References.Match(evidence.Tpm, slices.Concat(made, pcrFacts(e.Quoted())), r.At).Claims
}

// pcrFacts are the quoted PCRs as reference values name them: pcr-sha256-7, in hex.
func pcrFacts(q *tpm.Quoted) (facts []evidence.Claim) {
	for _, bank := range q.Banks() {
		name := strings.ToLower(bank.Alg.String())
		for i, value := range bank.Values {
			if value != nil {
				facts = append(facts, evidence.Claim{Name: fmt.Sprintf("pcr-%s-%d", name, i), Value: hex.EncodeToString(value)})
			}
		}
	}
	return facts
}
