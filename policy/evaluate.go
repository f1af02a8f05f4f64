package policy

// Evaluate runs the authorization rules and, if they permit, the issuance rules over the claims (policy.md
// section 5). The claims are not changed. The error is a *Denied if the policy refuses, an *EvaluationError if it
// cannot be evaluated; both are PolicyEvaluationError to a client.
//
// A refusal is evaluated once more to find out why, so that the way to a permit pays nothing for explanations.
func (p *Policy) Evaluate(claims []Claim, budget Budget) (*Outcome, error) {
	m := newMachine(&p.program, claims, budget)
	verdict, outcome, err := m.evaluate(&p.program, len(claims))
	if err != nil {
		return nil, err
	}
	if verdict.denied() {
		return nil, p.why(verdict, claims, budget)
	}
	return outcome, nil
}

// evaluate runs authorization and issuance.
func (m *machine) evaluate(p *program, claims int) (authorization, *Outcome, error) {
	if claims > m.limits.Claims {
		return authorization{}, nil, &EvaluationError{Err: tooManyClaims(m.limits.Claims)}
	}
	verdict, err := m.authorize(p.rules[authSection])
	if err != nil || verdict.denied() {
		return verdict, nil, err
	}
	rules := p.rules[issueSection]
	for i := range rules {
		if _, err := m.run(&rules[i]); err != nil {
			return verdict, nil, err
		}
	}
	o := &Outcome{permitted: verdict.permitting.at, issued: group(m.outgoing.members), properties: group(m.property.members)}
	return verdict, o, nil
}

// authorization is what the authorization rules decided: the first rule that permitted, the first that denied.
type authorization struct{ permitting, denying *rule }

// denied says that the policy refuses: a deny counts wherever it stands (policy.md section 5.4).
func (a authorization) denied() bool { return a.denying != nil || a.permitting == nil }

// authorize runs the authorization rules, all of them.
func (m *machine) authorize(rules []rule) (authorization, error) {
	var a authorization
	for i := range rules {
		r := &rules[i]
		failed, err := m.run(r)
		switch {
		case err != nil:
			return authorization{}, err
		case failed != none:
		case r.action.effect == permit && a.permitting == nil:
			a.permitting = r
		case r.action.effect == deny && a.denying == nil:
			a.denying = r
		}
	}
	return a, nil
}
