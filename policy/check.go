package policy

import (
	"strconv"
	"strings"
)

// checker applies the static checks of policy.md section 3.1 that the grammar leaves open, and the differences
// between the versions. Rules that did not parse are left out: what they lack is not known.
type checker struct {
	*reporter
	version versionNode
	inCall  bool // what is checked stands among the arguments of a function
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
			c.report(s.keyword, "%s stands twice, first at line %d: expecting one with the rules of both", s.kind.keyword(), first.line)
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
	if _, ok := seen[authSection]; !ok && !tree.lost {
		c.report(tree.end, "mismatched input '%s' expecting 'authorizationrules': the section is required", symbol(tree.end))
	}
}

func (c *checker) section(s *sectionNode) {
	c.enter(s.kind.production())
	defer c.leave()
	c.enter(s.kind.ruleProduction())
	defer c.leave()
	for i := range s.rules {
		c.rule(&s.rules[i])
	}
}

// scope holds the labels of a rule: all of them, and how many conditions bind theirs by now.
type scope struct {
	conditions []conditionNode
	bound      int
	lost       bool // there may be more
}

// find returns the condition that has the label, and whether it binds it by now.
func (s *scope) find(label string) (n *conditionNode, bound bool) {
	for i := range s.conditions {
		if n = &s.conditions[i]; n.label != nil && n.label.raw == label {
			return n, i < s.bound
		}
	}
	return nil, false
}

// names returns the labels that are bound.
func (s *scope) names() []string {
	var names []string
	for _, n := range s.conditions[:s.bound] {
		if n.label != nil && n.negated == nil {
			names = append(names, n.label.raw)
		}
	}
	return names
}

// current returns the condition that is being checked, or nil in the action.
func (s *scope) current() *conditionNode {
	if s.bound == len(s.conditions) {
		return nil
	}
	return &s.conditions[s.bound]
}

// advice tells which labels there are.
func (s *scope) advice(label string) string {
	names := s.names()
	if meant, ok := similar(label, names...); ok {
		return ": " + didYouMean(meant)
	}
	return after(", expecting ", strings.Join(names, " or "))
}

// after puts a text behind another, if there is one.
func after(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

func (c *checker) rule(r *ruleNode) {
	labels := &scope{conditions: r.conditions, lost: r.lost}
	c.enter("conditions")
	for i := range r.conditions {
		c.condition(&r.conditions[i], labels)
		labels.bound++
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

func (c *checker) condition(n *conditionNode, labels *scope) {
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
	if other, ok := labels.find(n.label.raw); ok {
		c.report(*n.label, "the label '%s' is already that of the condition at line %d, column %d, expecting another name",
			symbol(*n.label), other.label.pos.line, other.label.pos.column)
	}
}

// test checks one property condition: which relations its property takes, and with what.
func (c *checker) test(t testNode, labels *scope) {
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
func (c *checker) expr(e exprNode, labels *scope) {
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
func (c *checker) call(n callNode, labels *scope) {
	c.enter("functionCall")
	defer c.leave()
	early := c.version.minor < 2
	f, known := functionNamed(n.name.raw)
	switch {
	case !known && early:
		c.report(n.name, "unknown function '%s', %s; any needs version 1.2, this policy has version 1.%d", symbol(n.name), functionAdvice(n.name.raw), c.version.minor)
	case !known:
		c.report(n.name, "unknown function '%s', %s", symbol(n.name), functionAdvice(n.name.raw))
	case early && !c.inCall:
		c.report(n.name, "the function call '%s(...)' needs version 1.2, this policy has version 1.%d", symbol(n.name), c.version.minor)
	case !early && len(n.args) != len(f.Parameters):
		c.report(n.name, "found %s, expecting %s", counted(len(n.args), "argument"), f.Signature())
	}
	within := c.inCall
	c.inCall = true
	for _, arg := range n.args {
		c.expr(arg, labels)
	}
	c.inCall = within
}

// counted writes a number with the noun that it counts.
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}

// label checks that a label is bound where it is used.
func (c *checker) label(name token, labels *scope) {
	switch n, bound := labels.find(name.raw); {
	case bound && n.negated != nil:
		c.report(name, "the label '%s' is bound to nothing: its condition at line %d is negated", symbol(name), n.start.line)
	case bound:
	case n != nil && n == labels.current():
		c.report(name, "no earlier condition of this rule has the label '%s': it is that of this condition itself", symbol(name))
	case n != nil:
		c.report(name, "no earlier condition of this rule has the label '%s': that at line %d, column %d stands later", symbol(name),
			n.start.line, n.start.column)
	case !labels.lost:
		c.report(name, "no earlier condition of this rule has the label '%s'%s", symbol(name), labels.advice(name.raw))
	}
}

// assigns checks that an action describes a whole claim and forges none.
func (c *checker) assigns(a *actionNode, labels *scope) {
	c.enter("claimArg")
	defer c.leave()
	given := map[string]exprNode{}
	for _, assign := range a.assigns {
		c.enter("assign")
		if _, twice := given[assign.property.name]; twice {
			c.report(assign.property, "%s is assigned twice, expecting one value", assign.property.raw)
		}
		given[assign.property.name] = assign.right
		c.expr(assign.right, labels)
		c.leave()
	}
	for _, name := range []string{"type", "value"} {
		if given[name] == nil && !a.broken {
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

// functionAdvice tells which functions there are, and which was meant.
func functionAdvice(name string) string {
	advice := functionInstead(name)
	var names []string
	for _, f := range Functions() {
		names = append(names, f.Name)
	}
	if meant, ok := similar(name, names...); ok && !strings.EqualFold(name, meant) {
		return advice + ": " + didYouMean(meant)
	}
	return advice + otherFunction(name)
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
