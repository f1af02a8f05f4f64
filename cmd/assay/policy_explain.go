package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/explain"
	"github.com/assay-attestation/assay/internal/policytest"
	"github.com/assay-attestation/assay/policy"
)

// runPolicyExplain evaluates a policy as the service would, and shows how (native.md section 1.6).
func runPolicyExplain(_ context.Context, c *call) error {
	in, err := readPolicyInput(c)
	if err != nil {
		return err
	}
	o, err := in.judge()
	if err != nil {
		return err
	}
	e := in.record(o).Explain(policy.Budget{})
	return c.tell(&explanationReport{e, in}, o.Err)
}

// record is what the service would keep of a request that was decided like this.
func (in *policyInput) record(o *policytest.Outcome) *explain.Record {
	r := &explain.Record{Type: evidence.Type(in.kind), Code: o.Code, Error: o.Message}
	if in.verification != nil {
		r.Checks = in.verification.journal
	}
	p, err := policy.Parse(in.text)
	if err != nil {
		return r
	}
	r.Policy, r.Claims = p, in.claims
	denied, failed := errors.As(o.Err, new(*policy.Denied)), errors.As(o.Err, new(*policy.EvaluationError))
	r.Judged = o.Err == nil || denied || failed
	return r
}

// explanationReport is the result of policy explain; as JSON it is the explanation that the service gives.
type explanationReport struct {
	*explain.Explanation
	in *policyInput
}

// print shows the whole evaluation; of a policy that does not parse, its errors.
func (r *explanationReport) print(s sheet, err error) {
	colour := green
	if err != nil {
		colour = red
	}
	s.heading(colour, strings.ToUpper(strings.ReplaceAll(string(r.Verdict), "-", " ")), r.in.file+" over "+r.in.over)
	s.rows(row{"type", r.in.kind}, row{"policy hash", r.PolicyHash})
	if r.in.jws {
		s.rows(row{"form", "JWS; explained is the text in it, and the signature is not looked at"})
	}
	fmt.Fprintln(s.w)
	if !s.parseErrors(r.in.file, err) {
		fmt.Fprint(s.w, r.Text())
	}
}
