// Package verifier appraises evidence: it is the one place that orders the steps from bytes to a permit. Schemes verify,
// the baseline and the policy decide, and only an appraisal that passed all of them yields a [Permit], which is what
// internal/issuer makes a token of. Handlers contain no verification, verification contains no policy, and storage
// takes no decision of trust.
package verifier

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/sgx"
	"github.com/assay-attestation/assay/internal/collateral"
	"github.com/assay-attestation/assay/policy"
	"github.com/assay-attestation/assay/result"
)

// Endorser finds the collateral to judge an origin by. The baseline is "azuredefault" or a TCB evaluation data number
// in decimal. The error wraps [collateral.ErrUnknownBaseline] for a baseline that does not exist; every other one means
// that the collateral cannot be had, which is never the evidence's fault.
type Endorser interface {
	For(ctx context.Context, baseline string, o *dcap.Origin) (collateral.Baseline, error)
}

// Config is what a verifier needs; every field must be given.
type Config struct {
	DCAP      *dcap.Verifier
	Endorser  Endorser
	Baseline  Baseline
	Policies  map[evidence.Type]*policy.Policy
	Endorsing time.Duration // how long the collateral for one request may take
}

// Verifier appraises evidence for one provider. It is safe for concurrent use.
type Verifier struct {
	cfg   Config
	seats chan struct{} // one is taken for each policy that is being evaluated
}

// seatsPerCore bounds how many policies are evaluated at a time. One written to be large takes a hundred megabytes and
// half a second; a usual one takes microseconds and does not notice.
const seatsPerCore = 2

// New makes a verifier.
func New(cfg Config) *Verifier {
	return &Verifier{cfg, make(chan struct{}, seatsPerCore*runtime.GOMAXPROCS(0))}
}

// Request is evidence to appraise, with what the client wants bound to it.
type Request struct {
	Type        evidence.Type
	Evidence    []byte
	RuntimeData *Data   // nil: none sent, report data is not checked
	InitData    *Data   // nil: none sent
	Nonce       *string // echoed in the token
	At          time.Time
}

// Data is runtime or init data of a request (api.md section 4.1).
type Data struct {
	Bytes []byte
	JSON  bool // present it parsed
}

// Permit is the right to a token: evidence that was verified, satisfied the baseline, and was permitted by the
// provider's policy. Only [Verifier.Appraise] makes one.
type Permit struct {
	claims result.Claims
}

// Claims are those of the token to be, without the registered ones.
func (p *Permit) Claims() result.Claims { return p.claims }

// Rehearsal is what a permit would have been under a draft policy. It is worth nothing: no signed token can be made of it.
type Rehearsal struct {
	claims result.Claims
}

// Claims are those of the unsigned token to be, without the registered ones.
func (r *Rehearsal) Claims() result.Claims { return r.claims }

// Appraise judges the evidence of r under the provider's policy. Errors are [evidence.Refusal], [policy.Denied],
// [policy.EvaluationError], or an error of the endorser.
func (v *Verifier) Appraise(ctx context.Context, r Request) (*Permit, error) {
	p, ok := v.cfg.Policies[r.Type]
	if !ok {
		return nil, fmt.Errorf("no policy for attestation type %s", r.Type)
	}
	claims, err := v.appraise(ctx, r, p)
	if err != nil {
		return nil, err
	}
	return &Permit{claims}, nil
}

// Rehearse judges the evidence of r as Appraise does, but under a draft policy. The error is [ErrNoDrafts] where the
// provider does not allow drafts.
func (v *Verifier) Rehearse(ctx context.Context, r Request, draft []byte) (*Rehearsal, error) {
	if !v.cfg.Baseline.AllowDraftPolicy || v.cfg.Baseline.Strict {
		return nil, ErrNoDrafts
	}
	p, err := policy.Parse(draft)
	if err == nil {
		err = p.CheckFor(string(r.Type))
	}
	if err != nil {
		return nil, err
	}
	claims, err := v.appraise(ctx, r, p)
	if err != nil {
		return nil, err
	}
	return &Rehearsal{claims}, nil
}

// appraise runs the pipeline: parse, trace, endorse, verify, bind, baseline, policy.
func (v *Verifier) appraise(ctx context.Context, r Request, p *policy.Policy) (result.Claims, error) {
	configuration, err := p.Configure(string(r.Type))
	if err != nil {
		return nil, err
	}
	baseline := configuration.TCBBaseline()
	verified, err := v.verify(ctx, r, baseline)
	if err != nil {
		return nil, err
	}
	bound, err := v.bind(r, verified)
	if err != nil {
		return nil, err
	}
	if err := v.cfg.Baseline.accept(verified, r.At); err != nil {
		return nil, err
	}
	service := serviceClaims(verified, bound, baseline, p)
	outcome, err := v.evaluate(ctx, p, incoming(service, verified))
	if err != nil {
		return nil, err
	}
	return tokenClaims(service, outcome.Issued()), nil
}

// evaluate evaluates the policy when there is a seat for it.
func (v *Verifier) evaluate(ctx context.Context, p *policy.Policy, claims []policy.Claim) (*policy.Outcome, error) {
	select {
	case v.seats <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-v.seats }()
	return p.Evaluate(claims, policy.Budget{})
}

// verify climbs the ladder of SGX evidence up to its verified facts.
func (v *Verifier) verify(ctx context.Context, r Request, baseline string) (*sgx.Verified, error) {
	parse := sgx.Parse
	if r.Type == evidence.OpenEnclave {
		parse = sgx.ParseOpenEnclave
	}
	e, err := parse(r.Evidence)
	if err != nil {
		return nil, err
	}
	origin, err := v.cfg.DCAP.Trace(e.Quote, r.At, nil)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, v.cfg.Endorsing)
	defer cancel()
	endorsed, err := v.cfg.Endorser.For(ctx, baseline, origin)
	if err != nil {
		return nil, err
	}
	return sgx.Verify(v.cfg.DCAP, origin, e, sgx.Input{
		Collateral: endorsed.Collateral, Options: v.cfg.Baseline.options(r.At, endorsed.Expiry),
	})
}
