package policy

import (
	"math"
	"slices"
)

// conditions looks at the conditions of a rule, one by one and then together.
func (w *warner) conditions(r *ruleView) {
	for i := range r.node.conditions {
		n := &r.node.conditions[i]
		c := w.view(r, n)
		w.contradictions(c)
		w.claim(c)
		for _, t := range n.tests {
			w.test(r, c, t)
		}
		w.settle(c)
		r.conditions = append(r.conditions, c)
		if n.label != nil {
			r.labels[n.label.raw] = c
		}
	}
	w.together(r)
	w.untyped(r)
	w.missable(r)
}

// contradictions finds tests of one condition that no claim can satisfy together.
func (w *warner) contradictions(c *conditionView) {
	found := map[string]*demands{}
	for i := range c.node.tests {
		d, ok := demandOf(&c.node.tests[i])
		if !ok {
			continue
		}
		property := d.test.property.name
		if found[property] == nil {
			found[property] = &demands{}
		}
		if other := found[property].add(d); other != nil {
			w.contradiction(c, d, other)
			return
		}
	}
	if d, other := kindClash(found["valuetype"], found["value"]); d != nil {
		w.contradiction(c, *d, other)
	}
}

func (w *warner) contradiction(c *conditionView, d demand, other *demand) {
	c.nobody()
	if d.test == other.test {
		w.report(w.testMark(d.test), contradiction, "", "no value satisfies %v: %s", d, c.outcome())
		return
	}
	w.report(w.testMark(d.test), contradiction, "", "no claim satisfies both %v and %v: %s", other, d, c.outcome())
}

// settle decides when the condition holds, its negation included.
func (w *warner) settle(c *conditionView) {
	if c.holds == maybe && c.service != nil && !c.service.Optional && c.accepts(c.service) {
		c.holds = always
	}
	w.obvious(c)
	if c.node.negated != nil && c.holds != maybe {
		c.holds = never + always - c.holds
	}
}

// certain says whether the claim satisfies the test whatever its value is.
func (c *ClaimInfo) certain(t testNode) bool {
	l, ok := t.right.(literalNode)
	if !ok {
		return false
	}
	equal := t.relation.name == "=="
	switch t.property.name {
	case "type":
		return (l.value.text == c.Name) == equal
	case "issuer":
		return (l.value.text == string(c.Issuer)) == equal
	case "valuetype":
		return (l.value.text == c.Kind.String()) == equal && !c.loose
	}
	return t.unbounded(l.value) && c.Kind == Integer && !c.loose || equal && c.only(l.value) || t.relation.name == "!=" && !c.can(l.value)
}

// only says whether the claim never has another value.
func (c *ClaimInfo) only(v Value) bool { return len(c.Values) == 1 && c.can(v) }

// can says whether the claim may have the value.
func (c *ClaimInfo) can(v Value) bool {
	text := v.text
	if v.kind != String {
		text = v.String()
	}
	return c.loose || v.kind == c.Kind && (len(c.Values) == 0 || slices.Contains(c.Values, text))
}

// unbounded says whether every integer satisfies the test.
func (t *testNode) unbounded(v Value) bool {
	return t.relation.name == ">=" && v == IntegerValue(math.MinInt64) || t.relation.name == "<=" && v == IntegerValue(math.MaxInt64)
}

// obvious finds tests of the value that hold in any case.
func (w *warner) obvious(c *conditionView) {
	if c.holds == never {
		return
	}
	for i := range c.node.tests {
		t := &c.node.tests[i]
		l, ok := t.right.(literalNode)
		switch {
		case !ok || t.property.name != "value":
		case t.unbounded(l.value) && c.traits.kinds.has(Integer):
			w.report(w.testMark(t), alwaysTrue, "", "every integer satisfies %v", demand{t, l.value})
		case c.service != nil && !c.policy && c.service.only(l.value) && t.relation.name == "==":
			w.report(w.testMark(t), alwaysTrue, "", "the claim %s always is %s here: the test says nothing", c.service.Name, l.value.literal())
		}
	}
}
