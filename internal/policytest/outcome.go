package policytest

import (
	"errors"
	"fmt"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/api"
	"github.com/assay-attestation/assay/policy"
)

// Subject is a policy and what it is evaluated over.
type Subject struct {
	Policy []byte // the text
	// Type is the attestation type under its name in the service's URLs. Without one the policy must not have
	// configuration rules.
	Type string
	// Claims gives the claims that the policy sees. It is asked after configuration, as the service verifies evidence.
	Claims func(*policy.Policy, *policy.Configuration) ([]policy.Claim, error)
}

// Outcome is how an evaluation ended.
type Outcome struct {
	Verdict       policy.Verdict
	Issued        []policy.Group // outgoing claims as the token has them; of a permit only
	Properties    []policy.Group // what issueproperty made in issuancerules; of a permit only
	Configuration []policy.Group // what the configuration rules set

	Line, Column int    // of the rule that decided, or of the first error; 0 where no rule did
	Code         string // the service's error code; "" of a permit
	Check        string // the check of the evidence that failed
	Message      string // the service's message
	Err          error  // behind all this; nil of a permit
}

// Judge evaluates the policy as the service would: it is parsed, checked for the type, configured, and evaluated over
// the claims (policy.md section 5). What refuses the client is in the outcome. The error is that of Claims where it
// is no refusal, or that of a type that is unknown or missing.
func (s Subject) Judge() (*Outcome, error) {
	o := &Outcome{Verdict: policy.Permitted}
	err := s.judge(o)
	if err == nil {
		return o, nil
	}
	if !o.refuse(err) {
		return nil, err
	}
	return o, nil
}

// judge goes the way to a permit and notes in o what it learns. The error is what stopped it.
func (s Subject) judge(o *Outcome) error {
	p, err := policy.Parse(s.Policy)
	if err != nil {
		return err
	}
	configuration, err := s.configure(p)
	if err != nil {
		return err
	}
	o.Configuration = configuration.Properties()
	claims, err := s.Claims(p, configuration)
	if err != nil {
		return err
	}
	permit, err := p.Evaluate(claims, policy.Budget{})
	if err != nil {
		return err
	}
	o.Issued, o.Properties = permit.Issued(), permit.Properties()
	o.Line, o.Column = permit.PermittedBy().Line, permit.PermittedBy().Column
	return nil
}

// configure runs the configuration rules for the type.
func (s Subject) configure(p *policy.Policy) (*policy.Configuration, error) {
	switch {
	case s.Type == "" && p.Configures():
		return nil, ErrNoType
	case s.Type == "":
		return &policy.Configuration{}, nil
	}
	if err := p.CheckFor(s.Type); err != nil {
		return nil, err
	}
	return p.Configure(s.Type, policy.Budget{})
}

// ErrNoType says that a policy has configuration rules, and nothing says for which attestation type.
var ErrNoType = fmt.Errorf("the policy has configuration rules, whose meaning depends on the attestation type: expected one of %s", policy.TypeNames)

// refuse turns an error that refuses the client into the outcome, and reports whether err is one.
func (o *Outcome) refuse(err error) bool {
	o.Verdict, o.Err = policy.Failed, err
	o.Code, o.Message = api.Describe(err)
	if errs, ok := errors.AsType[policy.Errors](err); ok && len(errs) > 0 {
		o.Line, o.Column = errs[0].Line, errs[0].Column
		return true
	}
	if failed, ok := errors.AsType[*policy.EvaluationError](err); ok {
		o.Line, o.Column = failed.Rule.Line, failed.Rule.Column
		return true
	}
	if denied, ok := errors.AsType[*policy.Denied](err); ok {
		o.Line, o.Column = denied.Rule.Line, denied.Rule.Column
		o.Verdict = policy.NotPermitted
		if denied.Kind == policy.ByRule {
			o.Verdict = policy.DeniedByRule
		}
		return true
	}
	refusal, ok := errors.AsType[*evidence.Refusal](err)
	if ok {
		o.Check = string(refusal.Check)
	}
	return ok
}
