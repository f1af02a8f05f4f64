package policy

import "errors"

// Explain evaluates the policy as Configure and Evaluate do, and records how. The trace's verdict is that of the
// evaluation. attestationType is the name of the service's URLs; without one configuration rules are left out.
func (p *Policy) Explain(attestationType string, claims []Claim, budget Budget) *Trace {
	t := &tracer{trace: &Trace{Verdict: Permitted, Rules: []RuleTrace{}}}
	if attestationType != "" {
		configuration, err := p.configure(attestationType, t)
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
		t.trace.deny(verdict)
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

func (t *Trace) deny(a authorization) {
	t.Verdict = NotPermitted
	if a.denying != nil {
		t.Verdict, t.Decisive = DeniedByRule, &a.denying.at
	}
	t.Message = t.denied().Error()
}

// why finds out why the policy refuses.
func (p *Policy) why(claims []Claim, budget Budget) error {
	t := p.Explain("", claims, budget)
	if t.Verdict == Failed { // the time was over between the two evaluations
		return &EvaluationError{Err: errors.New(t.Message)}
	}
	return t.denied()
}

// denied makes the refusal of a trace.
func (t *Trace) denied() *Denied {
	d := &Denied{Kind: NoPermit}
	if t.Verdict == DeniedByRule {
		d.Kind, d.Rule = ByRule, *t.Decisive
	}
	for i := range t.Rules {
		r := &t.Rules[i]
		switch {
		case d.Kind == ByRule && r.Rule == d.Rule:
			d.Met = r.Conditions
		case d.Kind == NoPermit && r.Effect == "" && r.permits && len(d.Unmet) < maxUnmet:
			d.Unmet = append(d.Unmet, Unmet{r.Rule, r.Conditions[len(r.Conditions)-1]})
		}
	}
	return d
}
