package policy

import "strings"

// checker applies the static checks of policy.md section 3.1 that the grammar leaves open, and the differences
// between the versions. Rules that did not parse are left out: what they lack is not known.
type checker struct {
	*reporter
	version versionNode
}

// check reports to r what is wrong with the tree beyond its grammar.
func check(r *reporter, tree *policyNode) {
	c := checker{reporter: r, version: tree.version}
	c.enter("policy")
	defer c.leave()
	c.sections(tree)
	for i := range tree.sections {
		c.section(&tree.sections[i])
	}
}

// sections checks that each section stands at most once, in order, and that the required one is there.
func (c *checker) sections(tree *policyNode) {
	seen := map[sectionKind]position{}
	last := configSection
	for _, s := range tree.sections {
		c.enter(s.kind.production())
		first, again := seen[s.kind]
		switch {
		case again:
			c.report(s.keyword, "%s stands twice, first at line %d", s.kind.keyword(), first.line)
		case s.kind < last:
			c.report(s.keyword, "%s must stand before %s", s.kind.keyword(), last.keyword())
		case s.kind == configSection && c.version.minor < 1:
			c.report(s.keyword, "configurationrules needs version 1.1, this policy has version 1.0")
		}
		c.leave()
		if !again {
			seen[s.kind] = s.keyword.pos
		}
		last = max(last, s.kind)
	}
	if _, ok := seen[authSection]; !ok && len(c.errs) == 0 {
		c.report(tree.end, "mismatched input '%s' expecting 'authorizationrules': the section is required", symbol(tree.end))
	}
}

func (c *checker) section(s *sectionNode) {
	c.enter(s.kind.production())
	defer c.leave()
	c.enter(s.kind.ruleProduction())
	defer c.leave()
	for i := range s.rules {
		if !s.rules[i].broken {
			c.rule(&s.rules[i])
		}
	}
}

// scope holds the labels of a rule that are bound so far.
type scope map[string]*conditionNode

func (c *checker) rule(r *ruleNode) {
	labels := scope{}
	c.enter("conditions")
	for i := range r.conditions {
		c.condition(&r.conditions[i], labels)
	}
	c.leave()
	c.enter(actionProduction(r.action.verb.name))
	defer c.leave()
	switch {
	case r.action.copied != nil:
		c.enter("claimArg")
		defer c.leave()
		c.label(*r.action.copied, labels)
	case len(r.action.assigns) > 0:
		c.assigns(&r.action, labels)
	}
}

func (c *checker) condition(n *conditionNode, labels scope) {
	c.enter("condition")
	defer c.leave()
	if n.negated != nil && c.version.minor < 2 {
		c.report(*n.negated, "'!' before a condition needs version 1.2, this policy has version 1.%d", c.version.minor)
	}
	c.enter("propCond")
	for _, t := range n.tests {
		c.test(t, labels)
	}
	c.leave()
	if n.label == nil {
		return
	}
	if other, ok := labels[n.label.raw]; ok {
		c.report(*n.label, "the label '%s' is already that of the condition at line %d, column %d",
			symbol(*n.label), other.label.pos.line, other.label.pos.column)
		return
	}
	labels[n.label.raw] = n
}

// test checks one property condition: which relations its property takes, and with what.
func (c *checker) test(t testNode, labels scope) {
	text := t.property.name != "value" // the three other properties are strings
	ordering := strings.ContainsAny(t.relation.name, "<>")
	if text && ordering {
		c.report(t.relation, "mismatched input '%s' expecting {'==', '!='}: %s is a string and has no order",
			t.relation.raw, t.property.raw)
	}
	c.expr(t.right, labels)
	c.enter("expr")
	defer c.leave()
	right := t.right.where()
	switch kind, known := staticKind(t.right); {
	case !known:
	case text && kind != String:
		c.report(right, "mismatched input '%s' expecting String: %s is a string", symbol(right), t.property.raw)
	case isLiteral(t.right) && !text && ordering && kind != Integer:
		c.report(right, "mismatched input '%s' expecting Integer: '%s' compares integers only", symbol(right), t.relation.raw)
	}
}

func isLiteral(e exprNode) bool {
	_, ok := e.(literalNode)
	return ok
}

// staticKind returns the kind that all values of an expression have, and whether it can be told from the text.
func staticKind(e exprNode) (Kind, bool) {
	switch n := e.(type) {
	case literalNode:
		return n.value.Kind(), true
	case referenceNode:
		return String, n.property.name != "value"
	case callNode:
		f, _ := functionNamed(n.name.raw)
		return f.kind()
	}
	return String, false
}

// expr checks the labels and the functions that an expression uses.
func (c *checker) expr(e exprNode, labels scope) {
	c.enter("expr")
	defer c.leave()
	switch n := e.(type) {
	case referenceNode:
		c.label(n.label, labels)
	case callNode:
		c.call(n, labels)
	}
}

// call checks name and number of arguments of a function call.
func (c *checker) call(n callNode, labels scope) {
	c.enter("functionCall")
	defer c.leave()
	f, known := functionNamed(n.name.raw)
	switch {
	case c.version.minor < 2:
		c.report(n.name, "the function call '%s(...)' needs version 1.2, this policy has version 1.%d",
			symbol(n.name), c.version.minor)
	case !known:
		c.report(n.name, "unknown function '%s', %s", symbol(n.name), functionInstead(n.name.raw))
	case len(n.args) != len(f.Parameters):
		c.report(n.name, "%s takes %d arguments, found %d: %s", f.Name, len(f.Parameters), len(n.args), f.Signature())
	}
	for _, arg := range n.args {
		c.expr(arg, labels)
	}
}

// label checks that a label is bound where it is used.
func (c *checker) label(name token, labels scope) {
	switch n, ok := labels[name.raw]; {
	case !ok:
		c.report(name, "no earlier condition of this rule has the label '%s'", symbol(name))
	case n.negated != nil:
		c.report(name, "the label '%s' is bound to nothing: its condition at line %d is negated", symbol(name), n.start.line)
	}
}

// assigns checks that an action describes a whole claim and forges none.
func (c *checker) assigns(a *actionNode, labels scope) {
	c.enter("claimArg")
	defer c.leave()
	given := map[string]exprNode{}
	for _, assign := range a.assigns {
		c.enter("assign")
		if _, twice := given[assign.property.name]; twice {
			c.report(assign.property, "%s is assigned twice", assign.property.raw)
		}
		given[assign.property.name] = assign.right
		c.expr(assign.right, labels)
		c.leave()
	}
	for _, name := range []string{"type", "value"} {
		if given[name] == nil {
			c.report(a.verb, "%s needs type and value, %s is missing", strings.ToLower(a.verb.raw), name)
		}
	}
	c.enter("assign")
	c.enter("expr")
	c.assigned(given)
	c.leave()
	c.leave()
}

// assigned checks what the properties are given.
func (c *checker) assigned(given map[string]exprNode) {
	if e := given["type"]; e != nil {
		if kind, known := staticKind(e); known && kind != String {
			c.report(e.where(), "mismatched input '%s' expecting String: type is a string", symbol(e.where()))
		}
	}
	if e := given["issuer"]; e != nil {
		if l, ok := e.(literalNode); !ok || l.value != StringValue(string(AttestationPolicy)) {
			c.report(e.where(), `mismatched input '%s' expecting '"AttestationPolicy"': a rule issues in no other name`, symbol(e.where()))
		}
	}
	if e := given["valuetype"]; e != nil {
		c.valueType(e, given["value"])
	}
}

// valueType checks that a valueType agrees with the value where both can be seen. Where it cannot,
// evaluation finds out.
func (c *checker) valueType(e, value exprNode) {
	kind, ok := namedKind(e)
	if !ok {
		c.report(e.where(), `mismatched input '%s' expecting {'"String"', '"Integer"', '"Boolean"'}`, symbol(e.where()))
		return
	}
	if actual, known := staticKind(value); known && actual != kind {
		c.report(e.where(), `mismatched input '%s' expecting '"%s"', the type of the value`, symbol(e.where()), actual)
	}
}

// namedKind returns the kind that a literal names.
func namedKind(e exprNode) (Kind, bool) {
	l, _ := e.(literalNode)
	for _, kind := range []Kind{String, Integer, Boolean} {
		if l.value == StringValue(kind.String()) {
			return kind, true
		}
	}
	return String, false
}
