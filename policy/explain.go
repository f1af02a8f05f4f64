package policy

import "errors"

// Explain evaluates the policy as Configure and Evaluate do, and records how. The trace's verdict is that of the
// evaluation. attestationType is the name of the service's URLs; without one configuration rules are left out.
func (p *Policy) Explain(attestationType string, claims []Claim, budget Budget) *Trace {
	t := &tracer{trace: &Trace{Verdict: Permitted, Rules: []RuleTrace{}}}
	if attestationType != "" {
		configuration, err := p.configure(attestationType, budget, t)
		if err != nil {
			t.trace.fail(err)
			return t.trace
		}
		t.trace.Configuration = configuration.Properties()
	}
	m := newMachine(&p.program, claims, budget)
	m.trace = t
	verdict, outcome, err := m.evaluate(&p.program, len(claims))
	switch {
	case err != nil:
		t.trace.fail(err)
	case verdict.denied():
		t.trace.deny(t.refusal(verdict, nil))
	default:
		t.trace.Decisive = &verdict.permitting.at
		t.trace.Issued, t.trace.Properties = outcome.issued, outcome.properties
	}
	return t.trace
}

func (t *Trace) fail(err error) {
	t.Verdict, t.Message = Failed, err.Error()
	if e, ok := errors.AsType[*EvaluationError](err); ok && e.Rule.Line > 0 {
		t.Decisive = &e.Rule
	}
}

func (t *Trace) deny(d *Denied) {
	t.Verdict, t.Message = NotPermitted, d.Error()
	if d.Kind == ByRule {
		t.Verdict, t.Decisive = DeniedByRule, &d.Rule
	}
}

// why finds out why the policy refuses.
func (p *Policy) why(verdict authorization, claims []Claim, budget Budget) error {
	m := newMachine(&p.program, claims, budget)
	m.trace = &tracer{}
	_, _, err := m.evaluate(&p.program, len(claims))
	return m.trace.refusal(verdict, err)
}

// refusal makes the refusal of a verdict. An error is that the time was over between the two evaluations.
func (t *tracer) refusal(verdict authorization, err error) *Denied {
	d := &Denied{Kind: NoPermit, Unmet: t.reasons.Unmet, Cut: err != nil}
	if verdict.denying != nil {
		d.Kind, d.Rule, d.Met, d.Unmet = ByRule, verdict.denying.at, t.reasons.Met, nil
	}
	return d
}
