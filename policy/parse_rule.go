package policy

import "strconv"

// condition = [ "!" ] [ Ident ":" ] "[" propCond { "," propCond } "]".
func (p *parser) condition() (conditionNode, bool) {
	p.enter("condition")
	defer p.leave()
	c := conditionNode{start: p.tok.pos}
	if p.is("!") {
		mark := p.next()
		c.negated = &mark
	}
	if !p.conditionLabel(&c) || !p.open(c) {
		return c, false
	}
	for {
		test, ok := p.propCond()
		if !ok {
			return c, false
		}
		c.tests = append(c.tests, test)
		t, ok := p.expect(",", "]")
		if !ok {
			return c, false
		}
		if t.name == "]" {
			c.end = p.last
			return c, true
		}
	}
}

// conditionLabel reads the label of a condition, if it has one.
func (p *parser) conditionLabel(c *conditionNode) bool {
	if !p.is(identToken) {
		return true
	}
	label := p.next()
	c.label = &label
	_, ok := p.expect(":")
	return ok
}

// open takes the bracket that opens a condition's tests.
func (p *parser) open(c conditionNode) bool {
	switch {
	case p.is("["):
		p.next()
		return true
	case c.label == nil && c.negated == nil && reserved(p.tok.name):
		p.mismatchWhy(": a reserved word cannot be a label", "=>", identToken, "[")
	case c.label == nil && c.negated == nil:
		p.mismatch("=>", identToken, "[")
	default:
		p.mismatch("[")
	}
	return false
}

// propCond = property relOp expr. A single equals sign is reported and read as the comparison that was meant.
func (p *parser) propCond() (testNode, bool) {
	p.enter("propCond")
	defer p.leave()
	relations := []string{"==", "!=", "<", "<=", ">", ">="}
	var t testNode
	var ok bool
	if t.property, ok = p.property(); !ok {
		return t, false
	}
	if p.is("=") {
		p.mismatchWhy(": a condition compares with '=='", relations...)
		t.relation = p.next()
	} else if t.relation, ok = p.expect(relations...); !ok {
		return t, false
	}
	t.right, ok = p.expr(1)
	return t, ok
}

// property = "type" | "value" | "valueType" | "issuer".
func (p *parser) property() (token, bool) {
	if p.is("type", "value", "valuetype", "issuer") {
		return p.next(), true
	}
	p.mismatch("type", "value", "valueType", "issuer")
	return token{}, false
}

// claimArg = "claim" "=" Ident | assign { "," assign }.
func (p *parser) claimArg(a *actionNode) bool {
	p.enter("claimArg")
	defer p.leave()
	if p.is("claim") {
		p.next()
		if !p.assignmentSign() {
			return false
		}
		label, ok := p.expect(identToken)
		a.copied = &label
		return ok
	}
	for {
		assign, ok := p.assign()
		if !ok {
			return false
		}
		a.assigns = append(a.assigns, assign)
		if !p.is(",", ")") {
			p.mismatch(",", ")")
			return false
		}
		if p.is(")") {
			return true
		}
		p.next()
	}
}

// assign = property "=" expr.
func (p *parser) assign() (assignNode, bool) {
	p.enter("assign")
	defer p.leave()
	var a assignNode
	var ok bool
	if a.property, ok = p.property(); !ok || !p.assignmentSign() {
		return a, false
	}
	a.right, ok = p.expr(1)
	return a, ok
}

// assignmentSign takes an equals sign. Two of them are reported and read as one.
func (p *parser) assignmentSign() bool {
	if p.is("==") {
		p.mismatchWhy(": an assignment is written with one '='", "=")
		p.next()
		return true
	}
	_, ok := p.expect("=")
	return ok
}

// expr = String | [ "-" ] Integer | "true" | "false" | Ident "." property | functionCall.
func (p *parser) expr(depth int) (exprNode, bool) {
	p.enter("expr")
	defer p.leave()
	if depth > MaxNesting {
		p.report(p.tok, "expressions nest deeper than %d", MaxNesting)
		return nil, false
	}
	switch start := p.tok; start.name {
	case stringToken:
		if start.problem != "" {
			p.report(start, "%s", start.problem)
		}
		p.next()
		return literalNode{start, StringValue(start.text)}, true
	case numberToken, "-":
		return p.integer()
	case "true", "false":
		p.next()
		return literalNode{start, BooleanValue(start.name == "true")}, true
	case identToken:
		return p.named(depth)
	}
	p.mismatch(expressions()...)
	return nil, false
}

// expressions returns the terminals that an expression can begin with.
func expressions() []string { return []string{stringToken, numberToken, "true", "false", identToken} }

// integer reads a decimal number of 64 bits with an optional sign.
func (p *parser) integer() (exprNode, bool) {
	start, sign := p.tok, ""
	if p.is("-") {
		sign = p.next().raw
	}
	digits, ok := p.expect(numberToken)
	if !ok {
		return nil, false
	}
	n, err := strconv.ParseInt(sign+digits.raw, 10, 64)
	if err != nil {
		p.report(digits, "the integer %s%s does not fit in 64 bits", sign, shorten(digits.raw, 40))
	}
	return literalNode{start, IntegerValue(n)}, true
}

// named reads what begins with an identifier: a label's property or a function call.
func (p *parser) named(depth int) (exprNode, bool) {
	name := p.next()
	switch {
	case p.is("("):
		p.enter("functionCall")
		defer p.leave()
		args, ok := p.args(depth)
		return callNode{name, args, p.last}, ok
	case p.is("."):
		p.next()
		property, ok := p.property()
		return referenceNode{name, property}, ok
	}
	p.report(name, "mismatched input '%s' expecting %s: a label is followed by a property, as in %[1]s.value",
		symbol(name), expectation(expressions()))
	return nil, false
}

// args reads the arguments of a function with their parentheses.
func (p *parser) args(depth int) ([]exprNode, bool) {
	p.next()
	if p.is(")") {
		p.next()
		return nil, true
	}
	var args []exprNode
	for {
		arg, ok := p.expr(depth + 1)
		if !ok {
			return args, false
		}
		args = append(args, arg)
		t, ok := p.expect(",", ")")
		if !ok || t.name == ")" {
			return args, ok
		}
	}
}
