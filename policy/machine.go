package policy

import "fmt"

// machine is the state of one evaluation.
type machine struct {
	limits   Budget
	steps    int // that are left
	incoming set[Claim]
	outgoing set[Claim] // without issuers, like property
	property set[Claim]
	emitted  int        // bytes of the names and values in these two
	bound    [][]int32  // by slot: the claims of the label, as indexes into incoming
	rights   []*operand // of the condition at hand
	pool     []*operand // memory for the operands of one rule
	taken    int        // how many of the pool are in use
}

// roomForClaims is how many claims a usual policy makes.
const roomForClaims = 8

func newMachine(p *program, claims []Claim, b Budget) *machine {
	b = b.withDefaults()
	m := &machine{limits: b, steps: b.Steps, bound: make([][]int32, p.slots)}
	m.incoming.members = append(make([]Claim, 0, len(claims)+roomForClaims), claims...)
	return m
}

// run evaluates a rule and returns the index of the first condition that does not hold, or none after its action is
// done. Permit and deny are left to the caller.
func (m *machine) run(r *rule) (failed int, err error) {
	m.taken = 0
	for i := range r.conditions {
		holds, err := m.holds(&r.conditions[i])
		if err != nil {
			return none, &EvaluationError{Rule: r.at, Err: err}
		}
		if !holds {
			return i, nil
		}
	}
	if err := m.act(&r.action); err != nil {
		return none, &EvaluationError{Rule: r.at, Err: err}
	}
	return none, nil
}

// holds evaluates a condition: some claim must satisfy all its tests. Where the condition has a slot, all that do
// are kept there.
func (m *machine) holds(c *condition) (bool, error) {
	m.rights = m.rights[:0]
	for i := range c.tests {
		right, err := c.tests[i].right.eval(m)
		if err != nil {
			return false, err
		}
		m.rights = append(m.rights, right)
	}
	if c.slot == none {
		return m.anyClaim(c)
	}
	kept := m.bound[c.slot][:0]
	for i := 0; i < len(m.incoming.members) && m.steps >= 0; i++ {
		if m.satisfies(c, &m.incoming.members[i]) {
			kept = append(kept, int32(i))
		}
	}
	m.bound[c.slot] = kept
	return len(kept) > 0, m.exhausted()
}

func (m *machine) anyClaim(c *condition) (bool, error) {
	for i := 0; i < len(m.incoming.members) && m.steps >= 0; i++ {
		if m.satisfies(c, &m.incoming.members[i]) {
			return true, m.exhausted()
		}
	}
	return false, m.exhausted()
}

func (m *machine) satisfies(c *condition, claim *Claim) bool {
	for i := range c.tests {
		t, right := &c.tests[i], m.rights[i]
		v, members := t.property.of(claim), len(right.values.members)
		m.spend(1+min(members/4, stepsPerMember), members, len(v.text))
		if !right.some(t.relation, v) {
			return false
		}
	}
	return true
}

// spend takes the steps of an operation, and those of looking for a string of some bytes in a set of some members.
func (m *machine) spend(steps, members, bytes int) {
	m.steps -= steps + bytes*max(1, min(members, linear))/bytesPerStep
}

// exhausted returns an error once the steps are spent.
func (m *machine) exhausted() error {
	if m.steps >= 0 {
		return nil
	}
	return fmt.Errorf("the evaluation takes more than %d steps: use fewer rules, conditions or claims", m.limits.Steps)
}

// act carries out what a rule does to the claim sets.
func (m *machine) act(a *action) error {
	switch {
	case a.effect == permit || a.effect == deny:
		return nil
	case a.copied != none:
		return m.copyClaims(a)
	}
	return m.makeClaims(a)
}

func (m *machine) copyClaims(a *action) error {
	for _, i := range m.bound[a.copied] {
		if err := m.put(a.effect, m.incoming.members[i]); err != nil {
			return err
		}
	}
	return nil
}

// makeClaims makes one claim of each combination of a type and a value.
func (m *machine) makeClaims(a *action) error {
	names, err := a.name.eval(m)
	if err != nil {
		return err
	}
	values, err := a.value.eval(m)
	if err != nil {
		return err
	}
	for _, name := range names.values.members {
		text, ok := name.Text()
		if !ok {
			return fmt.Errorf("the type of a claim must be a string, found %v", name)
		}
		for _, v := range values.values.members {
			if a.declared != nil && *a.declared != v.kind {
				return fmt.Errorf("the action declares valueType %v, found %v", *a.declared, v)
			}
			if err := m.put(a.effect, Claim{Type: text, Value: v, Issuer: AttestationPolicy}); err != nil {
				return err
			}
		}
	}
	return nil
}

// put adds a claim to the sets that the effect names. A claim that a set has already is not added again.
func (m *machine) put(e effect, c Claim) error {
	bytes := len(c.Type) + len(c.Value.text)
	m.spend(stepsPerMember, len(m.incoming.members), bytes)
	if m.incoming.add(c) && len(m.incoming.members) > m.limits.Claims {
		return tooManyClaims(m.limits.Claims)
	}
	c.Issuer = "" // tokens do not say it
	switch e {
	case issue:
		if m.outgoing.members == nil {
			m.outgoing.members = make([]Claim, 0, roomForClaims)
		}
		m.emit(&m.outgoing, c, bytes)
	case issueProperty:
		m.emit(&m.property, c, bytes)
	case permit, deny, add:
	}
	if m.emitted > MaxIssued {
		return fmt.Errorf("the policy issues more than %d bytes of names and values (%d are added for each claim)", MaxIssued, bytesPerClaim)
	}
	return m.exhausted()
}

// emit adds a claim to a set that leaves the evaluation.
func (m *machine) emit(to *set[Claim], c Claim, bytes int) {
	m.spend(stepsPerMember, len(to.members), bytes)
	if to.add(c) {
		m.emitted += bytes + bytesPerClaim
	}
}

func tooManyClaims(limit int) error {
	return fmt.Errorf("the incoming set has more than %d claims", limit)
}

// operand lends an empty operand until the rule ends.
func (m *machine) operand() *operand {
	if m.taken == len(m.pool) {
		m.pool = append(m.pool, &operand{})
	}
	o := m.pool[m.taken]
	m.taken++
	o.reset()
	return o
}

// literal is an expression that is the same in every evaluation.
type literal struct{ value *operand }

func (l literal) eval(*machine) (*operand, error) { return l.value, nil }

// reference is a property of the claims bound to a label.
type reference struct {
	slot     int
	property property
}

func (r reference) eval(m *machine) (*operand, error) {
	o := m.operand()
	for _, i := range m.bound[r.slot] {
		v := r.property.of(&m.incoming.members[i])
		m.spend(stepsPerMember, len(o.values.members), len(v.text))
		o.add(v)
	}
	return o, m.exhausted()
}

// Evaluate runs the authorization rules and, if they permit, the issuance rules over the claims (policy.md
// section 5). The claims are not changed. The error is a *Denied if the policy refuses, an *EvaluationError if it
// cannot be evaluated; both are PolicyEvaluationError to a client.
func (p *Policy) Evaluate(claims []Claim, budget Budget) (*Outcome, error) {
	m := newMachine(&p.program, claims, budget)
	if len(claims) > m.limits.Claims {
		return nil, &EvaluationError{Err: tooManyClaims(m.limits.Claims)}
	}
	permitted, err := m.authorize(p.program.rules[authSection])
	if err != nil {
		return nil, err
	}
	rules := p.program.rules[issueSection]
	for i := range rules {
		if _, err := m.run(&rules[i]); err != nil {
			return nil, err
		}
	}
	return &Outcome{permitted: permitted, issued: group(m.outgoing.members), properties: group(m.property.members)}, nil
}

// authorize runs the authorization rules, all of them: a deny counts wherever it stands. It returns the first rule
// that permitted.
func (m *machine) authorize(rules []rule) (Location, error) {
	var permitting, denying *rule
	var missed []miss
	for i := range rules {
		r := &rules[i]
		failed, err := m.run(r)
		switch {
		case err != nil:
			return Location{}, err
		case failed != none && r.action.effect == permit && len(missed) < maxUnmet:
			missed = append(missed, miss{r, failed, len(m.incoming.members)})
		case failed != none:
		case r.action.effect == permit && permitting == nil:
			permitting = r
		case r.action.effect == deny && denying == nil:
			denying = r
		}
	}
	switch {
	case denying != nil:
		return Location{}, &Denied{Kind: ByRule, Rule: denying.at}
	case permitting == nil:
		return Location{}, &Denied{Kind: NoPermit, Unmet: m.explain(missed)}
	}
	return permitting.at, nil
}
