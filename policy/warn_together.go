package policy

import (
	"fmt"
	"slices"
	"strings"
)

// together finds conditions of a rule that cannot hold together, or of which one says nothing beside another.
func (w *warner) together(r *ruleView) {
	seen := map[string]*conditionView{}
	for _, c := range r.conditions {
		c.words = c.node.words()
		key := strings.Join(slices.Sorted(slices.Values(c.words)), ",")
		switch first := seen[key]; {
		case first == nil:
			seen[key] = c
		case (first.node.negated == nil) != (c.node.negated == nil):
			c.holds = never
			w.report(c.node.mark(), contradiction, "", "the condition at %s says the opposite: the rule never fires", place(first.node.start))
		default:
			w.report(c.node.mark(), alwaysTrue, "", "the condition says what that at %s says already", place(first.node.start))
		}
		w.implied(r, c)
	}
	w.sameClaim(r)
}

func place(p position) string { return fmt.Sprintf("line %d, column %d", p.line, p.column) }

// words returns the tests in one spelling.
func (n *conditionNode) words() []string {
	words := make([]string, len(n.tests))
	for i, t := range n.tests {
		words[i] = t.property.name + t.relation.name + spelling(t.right, nil)
	}
	return words
}

// spelling returns an expression in one spelling. Labels in names are called what that says.
func spelling(e exprNode, names map[string]string) string {
	switch n := e.(type) {
	case literalNode:
		return n.value.literal()
	case referenceNode:
		if name, ok := names[n.label.raw]; ok {
			return name + "." + n.property.name
		}
		return n.label.raw + "." + n.property.name
	case callNode:
		args := make([]string, len(n.args))
		for i, a := range n.args {
			args[i] = spelling(a, names)
		}
		return n.name.raw + "(" + strings.Join(args, ",") + ")"
	}
	return ""
}

// implied finds a condition that compares a property with the same property of a label, and else tests nothing that
// the label's condition does not test: the claims of the label satisfy it.
func (w *warner) implied(r *ruleView, c *conditionView) {
	var label *conditionView
	var rest []string
	for i, t := range c.node.tests {
		ref, ok := t.right.(referenceNode)
		if ok && label == nil && t.relation.name == "==" && ref.property.name == t.property.name {
			label = r.labels[ref.label.raw]
			continue
		}
		rest = append(rest, c.words[i])
	}
	if label == nil || label.node.negated != nil || slices.ContainsFunc(rest, func(word string) bool { return !label.says(word) }) {
		return
	}
	c.implied = true
	if c.node.negated != nil {
		c.holds = never
		w.report(c.node.mark(), contradiction, "", "the claims of the condition at %s satisfy the brackets: the rule never fires", place(label.node.start))
		return
	}
	w.report(c.node.mark(), alwaysTrue, "", "the claims of the condition at %s satisfy this one: it says nothing", place(label.node.start))
}

// says reports whether a test in that spelling is one of the condition's.
func (c *conditionView) says(word string) bool {
	if c.index == nil {
		c.index = make(map[string]bool, len(c.words))
		for _, w := range c.words {
			c.index[w] = true
		}
	}
	return c.index[word]
}

// sameClaim finds conditions that ask for two values of a claim of which there is only one.
func (w *warner) sameClaim(r *ruleView) {
	found := map[string]*demands{}
	for _, c := range r.conditions {
		if c.node.negated != nil || c.service == nil || c.policy || c.other || c.service.Several || c.holds == never {
			continue
		}
		if found[c.service.Name] == nil {
			found[c.service.Name] = &demands{}
		}
		for i := range c.node.tests {
			d, ok := demandOf(&c.node.tests[i])
			if !ok || d.test.property.name != "value" {
				continue
			}
			if other := found[c.service.Name].add(d); other != nil {
				c.holds = never
				w.report(w.testMark(d.test), contradiction, "",
					"there is one claim %s, which cannot satisfy both %v and %v: the rule never fires. For one or the other, write two rules", c.service.Name, other, d)
				return
			}
		}
	}
}

// untyped finds conditions that forget the type beside conditions that name one (policy.md section 14.7).
func (w *warner) untyped(r *ruleView) {
	if !slices.ContainsFunc(r.conditions, func(c *conditionView) bool { return c.typed }) {
		return
	}
	for _, c := range r.conditions {
		if !c.typed && !c.implied {
			w.report(c.node.mark(), untypedCondition, "",
				"without a test of the type any claim can satisfy the condition, whatever the conditions beside it ask for: put the test into the brackets of the claim that is meant")
		}
	}
}

// missable finds rules that a missing claim gets around: a deny that needs a claim which may be left out, or a permit
// by a negated condition on one.
func (w *warner) missable(r *ruleView) {
	verb := r.node.action.verb.name
	for _, c := range r.conditions {
		negated := c.node.negated != nil
		if c.name == nil || c.strange || c.holds != maybe || !c.leftOut(w) || !c.testsValue() || verb != "deny" && verb != "permit" || negated != (verb == "permit") {
			continue
		}
		text := "the claim %s may be missing, and then the rule does not deny: permit on the value that it must have"
		if negated {
			text = "the claim %s may be missing, and then the negated condition holds: ask for the value that it must have"
		}
		w.report(c.name.start.mark(), missableClaim, "", text, c.title())
	}
}

// leftOut says whether the claim can be missing because the evidence lacks it or the client does not send it.
func (c *conditionView) leftOut(w *warner) bool {
	return w.catalog.known() && !c.policy && (c.service == nil || c.service.Optional)
}

func (c *conditionView) testsValue() bool {
	return slices.ContainsFunc(c.node.tests, func(t testNode) bool { return t.property.name == "value" })
}
