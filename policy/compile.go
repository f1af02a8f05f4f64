package policy

// compiler turns one rule of a checked tree into its program.
type compiler struct {
	source string
	used   map[string]bool // labels that the rule's expressions and action refer to
	slots  map[string]int  // of the labels bound so far
}

func compile(source string, tree *policyNode) program {
	var p program
	for _, s := range tree.sections {
		for i := range s.rules {
			c := compiler{source, map[string]bool{}, map[string]int{}}
			p.rules[s.kind] = append(p.rules[s.kind], c.rule(s.kind, &s.rules[i]))
			p.slots = max(p.slots, len(c.slots))
		}
	}
	return p
}

func (c *compiler) rule(kind sectionKind, n *ruleNode) rule {
	c.references(n)
	r := rule{at: c.location(n.start, n.end), conditions: make([]condition, len(n.conditions))}
	for i := range n.conditions {
		r.conditions[i] = c.condition(&n.conditions[i])
	}
	r.action = c.action(kind, &n.action)
	return r
}

// references collects the labels that are used, so that the claims of no other condition are kept.
func (c *compiler) references(n *ruleNode) {
	refer := func(e exprNode) {
		if r, ok := e.(referenceNode); ok {
			c.used[r.label.raw] = true
		}
	}
	for _, condition := range n.conditions {
		for _, t := range condition.tests {
			refer(t.right)
		}
	}
	for _, a := range n.action.assigns {
		refer(a.right)
	}
	if n.action.copied != nil {
		c.used[n.action.copied.raw] = true
	}
}

func (c *compiler) location(start position, end int) Location {
	return Location{Line: start.line, Column: start.column, Text: c.source[start.offset:end]}
}

func (c *compiler) condition(n *conditionNode) condition {
	out := condition{at: c.location(n.start, n.end), tests: make([]test, len(n.tests)), slot: none}
	for i, t := range n.tests {
		out.tests[i] = test{property: propertyOf(t.property), relation: relationOf(t.relation), right: c.expression(t.right)}
		if l, ok := t.right.(literalNode); ok && out.tests[i].property == typeProperty && out.tests[i].relation == equal {
			out.claim = l.value.text
		}
	}
	if n.label != nil && c.used[n.label.raw] {
		out.slot = len(c.slots)
		c.slots[n.label.raw] = out.slot
	}
	return out
}

// expression compiles a right side. The checker has refused function calls, so that there are two kinds.
func (c *compiler) expression(n exprNode) expression {
	if r, ok := n.(referenceNode); ok {
		return reference{c.slots[r.label.raw], propertyOf(r.property)}
	}
	l, _ := n.(literalNode)
	o := &operand{}
	o.add(l.value)
	return literal{o}
}

// action compiles what a rule does. Nothing of authorizationrules reaches the token, so issue only adds there
// (policy.md section 3.1).
func (c *compiler) action(kind sectionKind, n *actionNode) action {
	a := action{effect: effectOf(kind, n.verb.name), copied: none}
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
