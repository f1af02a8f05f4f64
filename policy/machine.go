package policy

import (
	"errors"
	"fmt"

	"github.com/assay-attestation/assay/internal/jmespath"
)

// machine is the state of one evaluation.
type machine struct {
	limits   Budget
	meter    jmespath.Meter // what is left of the steps and the bytes of strings
	incoming set[Claim]
	outgoing set[Claim] // without issuers, like property
	property set[Claim]
	emitted  int        // bytes of the names and values in these two
	bound    [][]int32  // by slot: the claims of the label, as indexes into incoming
	rights   []*operand // of the condition at hand
	pool     []*operand // memory for the operands of one rule
	taken    int        // how many of the pool are in use
	lent     int        // bytes of values that these hold
	json     *documents // that functions have read; nil until one does
	trace    *tracer    // nil: nobody asks why
}

// roomForClaims is how many claims a usual policy makes.
const roomForClaims = 8

func newMachine(p *program, claims []Claim, b Budget) *machine {
	b = b.withDefaults()
	m := &machine{limits: b, bound: make([][]int32, p.slots)}
	m.meter = jmespath.Meter{Steps: b.Steps, Strings: b.Strings, Values: b.Values, Done: b.Done}
	m.incoming.members = append(make([]Claim, 0, len(claims)+roomForClaims), claims...)
	for i := range m.incoming.members {
		c := &m.incoming.members[i]
		c.ReadOnly = c.mustNotBeIssued()
	}
	return m
}

// readOnlyClaim is the one claim that is always read-only, whoever makes it (policy.md section 1).
const readOnlyClaim = "pcrs"

// mustNotBeIssued says whether a claim is read-only: by its mark, by its name, or since it is of the reference values, whoever hands it in.
func (c *Claim) mustNotBeIssued() bool {
	return c.ReadOnly || c.Type == readOnlyClaim || c.Issuer == ReferenceValue
}

// run evaluates a rule and returns the index of the first condition that does not hold, or none after its action is
// done. Permit and deny are left to the caller.
func (m *machine) run(r *rule) (failed int, err error) {
	m.meter.Values += m.lent
	m.taken, m.lent = 0, 0
	m.trace.begin(r)
	failed, err = m.runConditions(r)
	if failed == none && err == nil {
		err = m.act(&r.action)
	}
	if err != nil {
		failed, err = none, m.failure(r, err)
	}
	m.trace.done(failed, err)
	return failed, err
}

func (m *machine) runConditions(r *rule) (failed int, err error) {
	for i := range r.conditions {
		if holds, err := m.holds(&r.conditions[i]); !holds || err != nil {
			return i, err
		}
	}
	return none, nil
}

// failure says in which rule evaluation came to its end, and which limit it met if it met one.
func (m *machine) failure(r *rule, err error) error {
	switch {
	case errors.Is(err, jmespath.ErrSteps):
		err = fmt.Errorf("the evaluation takes more than %d steps: use fewer rules, conditions or claims, or simpler queries", m.limits.Steps)
	case errors.Is(err, jmespath.ErrStrings):
		err = fmt.Errorf("functions make more than %d bytes of strings (function_string_bytes): use fewer or shorter results", m.limits.Strings)
	case errors.Is(err, jmespath.ErrValues):
		err = fmt.Errorf("functions read or make more than %d bytes of values: ask for less at a time, and read the JSON less often", m.limits.Values)
	}
	return &EvaluationError{Rule: r.at, Err: err}
}

// holds evaluates a condition: some claim must satisfy all its tests, or none if it is negated. Where the condition
// has a slot, all that do are kept there.
func (m *machine) holds(c *condition) (bool, error) {
	m.trace.condition(c)
	m.rights = m.rights[:0]
	for i := range c.tests {
		right, err := c.tests[i].right.eval(m)
		if err != nil {
			return false, err
		}
		m.rights = append(m.rights, right)
	}
	found := false
	if c.slot == none {
		found = m.anyClaim(c)
	} else {
		found = m.keepClaims(c)
	}
	m.trace.compared(m, c, found)
	return found != c.negated, m.meter.Err()
}

func (m *machine) keepClaims(c *condition) bool {
	kept := m.bound[c.slot][:0]
	for i := 0; i < len(m.incoming.members) && m.meter.Steps >= 0; i++ {
		if m.satisfies(c, &m.incoming.members[i]) {
			kept = append(kept, int32(i))
		}
	}
	m.bound[c.slot] = kept
	return len(kept) > 0
}

func (m *machine) anyClaim(c *condition) bool {
	for i := 0; i < len(m.incoming.members) && m.meter.Steps >= 0; i++ {
		if m.satisfies(c, &m.incoming.members[i]) {
			return true
		}
	}
	return false
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

// unsatisfied returns the first test that a claim does not pass, or none, and what looking for it would have cost; for
// explanations, which cost no steps.
func (m *machine) unsatisfied(c *condition, claim *Claim) (failed, steps int) {
	for i := range c.tests {
		v := c.tests[i].property.of(claim)
		steps += 1 + len(v.text)/bytesPerStep
		if !m.rights[i].some(c.tests[i].relation, v) {
			return i, steps
		}
	}
	return none, steps
}

// spend takes the steps of an operation, and those of looking for a string of some bytes in a set of some members.
func (m *machine) spend(steps, members, bytes int) {
	m.meter.Steps -= steps + bytes*max(1, min(members, linear))/bytesPerStep
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
			return fmt.Errorf("the type of a claim must be a String, found the %v %s", name.kind, name.short())
		}
		for _, v := range values.values.members {
			if a.declared != nil && *a.declared != v.kind {
				return fmt.Errorf("the action declares valueType %v, found the %v %s", *a.declared, v.kind, v.short())
			}
			c := Claim{Type: text, Value: v, Issuer: AttestationPolicy, ReadOnly: names.readOnly || values.readOnly}
			if err := m.put(a.effect, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// put adds a claim to the sets that the effect names. A claim that a set has already is not added again.
func (m *machine) put(e effect, c Claim) error {
	c.ReadOnly = c.mustNotBeIssued()
	if c.ReadOnly && (e == issue || e == issueProperty) {
		return fmt.Errorf("the claim %s is read-only, or made of one that is, and cannot be issued: use it in conditions", printable(shorten(c.Type, 160)))
	}
	bytes := len(c.Type) + len(c.Value.text)
	m.spend(stepsPerMember, len(m.incoming.members), bytes)
	added := m.incoming.add(c)
	m.trace.made(c, added)
	if added && len(m.incoming.members) > m.limits.Claims {
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
	return m.meter.Err()
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
		c := &m.incoming.members[i]
		v := r.property.of(c)
		m.hold(o, v)
		o.readOnly = o.readOnly || c.ReadOnly
	}
	return o, m.meter.Err()
}

// hold adds a member to an operand, which lives as long as its rule is run.
func (m *machine) hold(o *operand, v Value) {
	m.spend(stepsPerMember, len(o.values.members), len(v.text))
	m.meter.Values -= bytesPerMember
	m.lent += bytesPerMember
	o.add(v)
}
