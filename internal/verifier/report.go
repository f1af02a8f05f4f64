package verifier

import (
	"context"
	"errors"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/explain"
)

// ReportRequest is a request of the TPM protocol to appraise.
type ReportRequest struct {
	JWS        string
	ProviderID string // whose challenge it must answer
	At         time.Time
	Record     *explain.Record // as in Request
}

// ReportPermit is the right to a report: TPM or VBS evidence that was verified and permitted by the provider's policy. Only
// [Verifier.AppraiseReport] makes one.
type ReportPermit struct {
	claims    []evidence.Claim
	validity  time.Duration
	omitChain bool
}

// Claims are those of the report to be, in their order, without the registered ones.
func (p *ReportPermit) Claims() []evidence.Claim { return p.claims }

// Validity is how long the report is to be valid.
func (p *ReportPermit) Validity() time.Duration { return p.validity }

// OmitChain reports whether the header is to have x5t instead of x5c (policy property omit_x5c).
func (p *ReportPermit) OmitChain() bool { return p.omitChain }

// AppraiseReport judges a request of the TPM protocol under the provider's policy (tpm.md section 13). Errors are as those of
// Appraise.
func (v *Verifier) AppraiseReport(ctx context.Context, r ReportRequest) (*ReportPermit, error) {
	return nil, errors.New("not implemented")
}
