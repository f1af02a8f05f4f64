// Package verifier appraises evidence: it is the one place that orders the steps from bytes to a permit. Schemes verify,
// the baseline and the policy decide, and only an appraisal that passed all of them yields a [Permit], which is what
// internal/issuer makes a token of. Handlers contain no verification, verification contains no policy, and storage
// takes no decision of trust.
package verifier

import (
	"cmp"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/collateral"
	"github.com/assay-attestation/assay/internal/explain"
	"github.com/assay-attestation/assay/internal/reference"
	"github.com/assay-attestation/assay/policy"
	"github.com/assay-attestation/assay/result"
)

// Endorser finds the collateral to judge an origin by. The baseline is "azuredefault" or a TCB evaluation data number
// in decimal. The error wraps [collateral.ErrUnknownBaseline] for a baseline that does not exist; every other one means
// that the collateral cannot be had, which is never the evidence's fault.
type Endorser interface {
	For(ctx context.Context, baseline string, o *dcap.Origin) (collateral.Baseline, error)
}

// Policy is a policy that a provider has in force.
type Policy struct {
	*policy.Policy
	Signer jsontext.Value // the JWK of whoever signed it, for the claim x-ms-policy-signer; nil: nobody did
	// Configuration remembers what the configuration rules, which see nothing of a request, set; nil: they run for each.
	Configuration func() (*policy.Configuration, error)
}

// Config is what a verifier needs; every field must be given but References.
type Config struct {
	DCAP     *dcap.Verifier
	Endorser Endorser
	Baseline Baseline
	TPM      TPM
	SNP      SNP
	// References are the reference values of the provider; nil: it has none.
	References *reference.Set
	Policies   map[evidence.Type]Policy
	Seats      *Seats
	Share      Share         // of the seats, for the provider's policies
	Endorsing  time.Duration // how long the collateral for one request may take
}

// Verifier appraises evidence for one provider. It is safe for concurrent use.
type Verifier struct {
	cfg      Config
	reserved map[evidence.Type]map[string]bool // names at the top level of tokens that only the service gives
}

// New makes a verifier.
func New(cfg Config) *Verifier {
	v := &Verifier{cfg, map[evidence.Type]map[string]bool{}}
	for t := range cfg.Policies {
		v.reserved[t] = map[string]bool{}
		for _, name := range policy.ServiceNames(string(t)) {
			v.reserved[t][name] = true
		}
	}
	return v
}

// Request is evidence to appraise, with what the client wants bound to it.
type Request struct {
	Type        evidence.Type
	Evidence    []byte
	RuntimeData *Data   // nil: none sent, report data is not checked
	InitData    *Data   // nil: none sent
	Nonce       *string // echoed in the token
	At          time.Time
	// Preview is a request of api version 2018-09-01-preview, whose tokens name the policy as they did then, too.
	Preview bool
	// Record is filled with what is learned, for whoever asks why; nil: nobody will. What is decided does not depend on it.
	Record *explain.Record
}

// Data is runtime or init data of a request (api.md section 4.1).
type Data struct {
	Bytes []byte
	JSON  bool // present it parsed
}

// Permit is the right to a token: evidence that was verified, satisfied the baseline, and was permitted by the
// provider's policy. Only [Verifier.Appraise] makes one.
type Permit struct {
	claims    result.Claims
	recipient *rsa.PublicKey
}

// Recipient is the key that the token must be encrypted to; nil: anybody may read it.
func (p *Permit) Recipient() *rsa.PublicKey { return p.recipient }

// Claims are those of the token to be, without the registered ones.
func (p *Permit) Claims() result.Claims { return p.claims }

// Rehearsal is what a permit would have been under a draft policy. It is worth nothing: no signed token can be made of it.
type Rehearsal struct {
	claims    result.Claims
	recipient *rsa.PublicKey
}

// Recipient is as that of a permit.
func (r *Rehearsal) Recipient() *rsa.PublicKey { return r.recipient }

// Claims are those of the unsigned token to be, without the registered ones.
func (r *Rehearsal) Claims() result.Claims { return r.claims }

// Appraise judges the evidence of r under the provider's policy. Errors are [evidence.Refusal], [policy.Denied],
// [policy.EvaluationError], or an error of the endorser.
func (v *Verifier) Appraise(ctx context.Context, r Request) (*Permit, error) {
	p, ok := v.cfg.Policies[r.Type]
	if !ok {
		return nil, fmt.Errorf("no policy for attestation type %s", r.Type)
	}
	claims, recipient, err := v.appraise(ctx, r, p)
	if err != nil {
		return nil, err
	}
	return &Permit{claims, recipient}, nil
}

// Rehearse judges the evidence of r as Appraise does, but under a draft policy. The error is [ErrNoDrafts] where the
// provider does not allow drafts.
func (v *Verifier) Rehearse(ctx context.Context, r Request, draft []byte) (*Rehearsal, error) {
	switch {
	case !v.cfg.Baseline.AllowDraftPolicy:
		return nil, ErrNoDrafts
	case v.cfg.Baseline.Strict:
		return nil, fmt.Errorf("%w: strict turned it off", ErrNoDrafts)
	}
	if r.Record == nil {
		r.Record = &explain.Record{}
	}
	r.Record.Draft = true
	p, err := v.cfg.Seats.draft(ctx, draft, string(r.Type))
	if err != nil {
		return nil, err
	}
	claims, recipient, err := v.appraise(ctx, r, Policy{Policy: p})
	if err != nil {
		return nil, err
	}
	return &Rehearsal{claims, recipient}, nil
}

// appraise runs the pipeline: parse, trace, endorse, verify, bind, baseline, reference values, policy.
func (v *Verifier) appraise(ctx context.Context, r Request, p Policy) (claims result.Claims, recipient *rsa.PublicKey, err error) {
	if r.Record == nil {
		r.Record = &explain.Record{}
	}
	r.Record.Policy = p.Policy
	defer func() { note(&r.Record.Checks, err) }()
	configuration, err := v.configure(ctx, r.Record, r.Type, p)
	if err != nil {
		return nil, nil, err
	}
	baseline := configuration.TCBBaseline()
	subject, err := v.verify(ctx, r, baseline)
	if err != nil {
		return nil, nil, err
	}
	bound, err := v.bind(r, subject)
	if err != nil {
		return nil, nil, err
	}
	if err := v.cfg.Baseline.accept(subject, r.At); err != nil {
		return nil, nil, err
	}
	if subject.standing != nil {
		r.Record.Checks.Pass(evidence.TCBBaseline, string(subject.standing.Status))
	}
	found, err := v.compare(r, subject)
	if err != nil {
		return nil, nil, err
	}
	service := serviceClaims(subject, bound, baseline, p)
	r.Record.Claims, r.Record.Judged = append(incoming(service, subject), found...), true
	outcome, err := v.evaluate(ctx, r.Record, p.Policy)
	if err != nil {
		return nil, nil, err
	}
	claims = tokenClaims(service, outcome.Issued(), v.reserved[r.Type])
	if r.Preview {
		claims[claimOldPolicyHash], err = oldPolicyHash(p.Hash())
	}
	return claims, subject.recipient, err
}

// note records the refusal that ended an appraisal, unless the check that made it did.
func note(j *evidence.Journal, err error) {
	r, ok := errors.AsType[*evidence.Refusal](err)
	if !ok {
		return
	}
	if n := len(j.Entries); n == 0 || j.Entries[n-1].Outcome != evidence.Fail {
		_ = j.Fail(r)
	}
}

// configure gives what the policy's configuration rules set, before the evidence is looked at. A fault of the policy is its verdict.
func (v *Verifier) configure(ctx context.Context, r *explain.Record, t evidence.Type, p Policy) (c *policy.Configuration, err error) {
	if p.Configuration != nil {
		c, err = p.Configuration()
		r.Judged = err != nil
		return c, err
	}
	seated := v.seat(ctx, r.Draft, func(ctx context.Context) {
		c, err = p.Configure(string(t), policy.Budget{Done: ctx.Done()})
		r.Judged = err != nil && ctx.Err() == nil
	})
	return c, cmp.Or(seated, err)
}

// seat runs work on a draft, or on a policy of the provider, when there is a seat for it.
func (v *Verifier) seat(ctx context.Context, draft bool, work func(context.Context)) error {
	if draft {
		return v.cfg.Seats.seat(ctx, true, work)
	}
	return v.cfg.Share.seat(ctx, v.cfg.Seats, work)
}

// evaluate evaluates the policy over the claims of the record.
func (v *Verifier) evaluate(ctx context.Context, r *explain.Record, p *policy.Policy) (outcome *policy.Outcome, err error) {
	seated := v.seat(ctx, r.Draft, func(ctx context.Context) {
		outcome, err = p.Evaluate(r.Claims, policy.Budget{Done: ctx.Done()})
	})
	return outcome, cmp.Or(seated, err)
}
