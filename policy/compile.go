package policy

import "github.com/assay-attestation/assay/internal/jmespath"

// compiler turns one rule of a checked tree into its program.
type compiler struct {
	source string
	used   map[string]bool // labels that the rule's expressions and action refer to
	slots  map[string]int  // of the labels bound so far

	queries *queries // of the whole policy
}

func compile(source string, tree *policyNode) program {
	var p program
	var qs queries
	for _, s := range tree.sections {
		for i := range s.rules {
			c := compiler{source, map[string]bool{}, map[string]int{}, &qs}
			p.rules[s.kind] = append(p.rules[s.kind], c.rule(s.kind, &s.rules[i]))
			p.slots = max(p.slots, len(c.slots))
		}
	}
	return p
}

func (c *compiler) rule(kind sectionKind, n *ruleNode) rule {
	c.references(n)
	r := rule{section: kind, at: c.location(n.start, n.end), conditions: make([]condition, len(n.conditions))}
	for i := range n.conditions {
		r.conditions[i] = c.condition(&n.conditions[i])
	}
	r.action = c.action(kind, &n.action)
	return r
}

// references collects the labels that are used, so that the claims of no other condition are kept.
func (c *compiler) references(n *ruleNode) {
	for _, condition := range n.conditions {
		for _, t := range condition.tests {
			c.refer(t.right)
		}
	}
	for _, a := range n.action.assigns {
		c.refer(a.right)
	}
	if n.action.copied != nil {
		c.used[n.action.copied.raw] = true
	}
}

func (c *compiler) refer(e exprNode) {
	switch n := e.(type) {
	case referenceNode:
		c.used[n.label.raw] = true
	case callNode:
		for _, arg := range n.args {
			c.refer(arg)
		}
	}
}

func (c *compiler) location(start position, end int) Location {
	return Location{Line: start.line, Column: start.column, Text: c.source[start.offset:end]}
}

func (c *compiler) condition(n *conditionNode) condition {
	out := condition{at: c.location(n.start, n.end), negated: n.negated != nil, tests: make([]test, len(n.tests)), slot: none}
	for i, t := range n.tests {
		out.tests[i] = test{property: propertyOf(t.property), relation: relationOf(t.relation), right: c.expression(t.right)}
		if l, ok := t.right.(literalNode); ok && out.tests[i].property == typeProperty && out.tests[i].relation == equal {
			out.claim = l.value.text
		}
	}
	if n.label != nil && !out.negated && c.used[n.label.raw] {
		out.slot = len(c.slots)
		c.slots[n.label.raw] = out.slot
	}
	return out
}

// expression compiles what stands on the right of a relation or an assignment, or is an argument.
func (c *compiler) expression(n exprNode) expression {
	switch n := n.(type) {
	case referenceNode:
		return reference{c.slots[n.label.raw], propertyOf(n.property)}
	case callNode:
		return c.call(n)
	}
	l, _ := n.(literalNode)
	o := &operand{}
	o.add(l.value)
	return literal{o}
}

// call compiles a function call.
func (c *compiler) call(n callNode) expression {
	out := &call{at: c.location(n.name.pos, n.end), function: n.name.raw, args: make([]expression, len(n.args))}
	for i, arg := range n.args {
		out.args[i] = c.expression(arg)
	}
	if l, ok := n.args[len(n.args)-1].(literalNode); ok && out.function == "JmesPath" && l.value.kind == String {
		out.query = c.queries.compile(l.value.text)
	}
	return out
}

// queries compiles the queries that stand in a policy as literals, the first maxCompiled bytes of them: compiled they
// take about two hundred times their length. Evaluation compiles the others, and pays for it.
type queries struct{ bytes int }

const maxCompiled = 64 << 10

// compile returns nil where evaluation has to compile the query, or to say what is wrong with it.
func (qs *queries) compile(text string) *jmespath.Query {
	if qs.bytes += len(text); qs.bytes > maxCompiled {
		return nil
	}
	q, _ := jmespath.Compile(text) // evaluation gives the error
	return q
}

// action compiles what a rule does. Nothing of authorizationrules reaches the token, so issue only adds there
// (policy.md section 3.1).
func (c *compiler) action(kind sectionKind, n *actionNode) action {
	a := action{verb: n.verb.name, effect: effectOf(kind, n.verb.name), copied: none}
	if n.copied != nil {
		a.copied = c.slots[n.copied.raw]
	}
	for _, assign := range n.assigns {
		switch propertyOf(assign.property) {
		case typeProperty:
			a.name = c.expression(assign.right)
		case valueProperty:
			a.value = c.expression(assign.right)
		case valueTypeProperty:
			if declared, ok := namedKind(assign.right); ok {
				a.declared = &declared
			}
		case issuerProperty: // can only be what it is without
		}
	}
	return a
}

func effectOf(kind sectionKind, verb string) effect {
	switch {
	case verb == "permit":
		return permit
	case verb == "deny":
		return deny
	case verb == "issueproperty":
		return issueProperty
	case verb == "issue" && kind != authSection:
		return issue
	}
	return add
}

func propertyOf(t token) property {
	switch t.name {
	case "type":
		return typeProperty
	case "valuetype":
		return valueTypeProperty
	case "issuer":
		return issuerProperty
	}
	return valueProperty
}

func relationOf(t token) relation {
	switch t.name {
	case "!=":
		return notEqual
	case "<":
		return less
	case "<=":
		return lessOrEqual
	case ">":
		return greater
	case ">=":
		return greaterOrEqual
	}
	return equal
}
