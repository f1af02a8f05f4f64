package verifier

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm/attreq"
	"github.com/assay-attestation/assay/internal/explain"
)

// ReportRequest is a request of the TPM protocol to appraise.
type ReportRequest struct {
	JWS        string
	ProviderID string          // whose challenge it must answer
	Now        time.Time       // when the challenge must be in force
	At         time.Time       // at which the evidence is judged
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
func (v *Verifier) AppraiseReport(ctx context.Context, r ReportRequest) (permit *ReportPermit, err error) {
	if r.Record == nil {
		r.Record = &explain.Record{}
	}
	p, ok := v.cfg.Policies[evidence.Tpm]
	if !ok {
		return nil, fmt.Errorf("no policy for attestation type %s", evidence.Tpm)
	}
	r.Record.Policy = p.Policy
	defer func() { note(&r.Record.Checks, err) }()
	request, err := attreq.Parse(r.JWS, v.cfg.TPM.Limits)
	if err != nil {
		return nil, err
	}
	r.Record.Checks.Pass(evidence.TPMRequest, "")
	verified, err := v.verifyReport(ctx, r, request, p)
	if err != nil {
		return nil, err
	}
	return v.permitReport(ctx, r, verified, p)
}

// verifyReport climbs the ladder of a request up to its verified facts.
func (v *Verifier) verifyReport(ctx context.Context, r ReportRequest, request *attreq.Request, p Policy) (*attreq.Verified, error) {
	journal := &r.Record.Checks
	signed, err := request.VerifySignature()
	if err != nil {
		return nil, err
	}
	journal.Pass(evidence.TPMRequestKey, "")
	challenge, err := v.cfg.TPM.Challenge(signed.Context(), r.ProviderID, r.Now)
	if err != nil {
		return nil, err
	}
	fresh, err := signed.Answer(challenge)
	if err != nil {
		return nil, err
	}
	journal.Pass(evidence.TPMChallenge, "")
	configuration, err := v.configure(ctx, r.Record, evidence.Tpm, p)
	if err != nil {
		return nil, err
	}
	in, err := v.tpmInput(r, configuration)
	if err != nil {
		r.Record.Judged = true
		return nil, err
	}
	verified, err := fresh.Verify(in)
	if err != nil {
		return nil, err
	}
	return verified, v.cfg.Baseline.acceptEnclave(verified)
}

// permitReport asks the policy.
func (v *Verifier) permitReport(ctx context.Context, r ReportRequest, e *attreq.Verified, p Policy) (*ReportPermit, error) {
	demands := v.cfg.Baseline.TPM
	if err := checkClientClaims(e, demands.ClaimPrefix); err != nil {
		return nil, err
	}
	made, err := e.Claims(attreq.ClaimOptions{PCRsInHex: demands.PCRsInHex, EventDigests: demands.EventDigests})
	if err != nil {
		return nil, err
	}
	found := v.compareReport(r, e, made)
	r.Record.Claims, r.Record.Judged = append(tpmIncoming(e, made, p, demands.ClaimPrefix), found...), true
	outcome, err := v.evaluate(ctx, r.Record, p.Policy)
	if err != nil {
		return nil, err
	}
	terms, err := outcome.ReportTerms()
	if err != nil {
		return nil, err
	}
	validity := min(cmp.Or(time.Duration(terms.Minutes)*time.Minute, v.cfg.TPM.Validity), v.cfg.TPM.Longest)
	return &ReportPermit{v.reportClaims(e, made, p, outcome.Issued()), validity, terms.OmitChain}, nil
}
