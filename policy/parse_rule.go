package policy

import (
	"slices"
	"strconv"
	"strings"
)

// conditionStarts returns what a condition can begin with; the first one of a rule may be missing, as may the rule.
func (p *parser) conditionStarts(first bool) []string {
	starts := []string{identToken, "["}
	if p.version.minor >= 2 {
		starts = append(starts, "!")
	}
	if first {
		starts = append(append([]string{"=>"}, starts...), "}")
	}
	return starts
}

// condition = [ "!" ] [ Ident ":" ] "[" propCond { "," propCond } "]".
func (p *parser) condition(first bool) (conditionNode, bool) {
	p.enter("condition")
	defer p.leave()
	if !p.begins(first) {
		return conditionNode{}, false
	}
	c := conditionNode{start: p.tok.pos}
	if p.is("!") {
		mark := p.next()
		c.negated = &mark
	}
	if !p.conditionLabel(&c, first) || !p.open() {
		return c, false
	}
	lost := p.lost
	ok := p.list("]", func() bool {
		test, ok := p.propCond()
		if ok {
			c.tests = append(doubled(c.tests), test)
		}
		return ok
	})
	if ok {
		p.lost = lost // there are no labels inside brackets
	}
	c.end = p.prev.end()
	return c, ok
}

// begins reports whether a condition begins here, or behind what is reported and skipped.
func (p *parser) begins(first bool) bool {
	if p.prefixes(first) {
		return p.startsCondition()
	}
	return p.is("[", "!", identToken) || p.mismatch(p.conditionAdvice(), p.conditionStarts(first)...) && p.startsCondition()
}

// prefixes skips what other languages put before a condition, and reports whether there was something.
func (p *parser) prefixes(first bool) (reported bool) {
	for ; ; reported = true {
		advice := prefixAdvice(p.tok)
		if advice == "" || p.is(identToken) && p.ahead().name == ":" {
			return reported
		}
		if !reported {
			p.mismatchAt(p.tok, advice, p.conditionStarts(first)...)
		}
		p.grouped = p.grouped || p.is("(")
		p.skip()
	}
}

// conditionLabel reads the label of a condition, if it has one.
func (p *parser) conditionLabel(c *conditionNode, first bool) bool {
	if !p.is(identToken) {
		return true
	}
	label := p.next()
	if p.is("(") {
		p.mismatchAt(label, callAdvice(label), p.conditionStarts(first)...)
		return false
	}
	_, ok := p.expectWhy(`a label is written as in c:[type=="a"]`, ":")
	if !ok && !p.is("[") && p.ahead().name != "[" {
		return false // perhaps it is none
	}
	c.label = &label
	return ok || p.is("[")
}

// open takes the bracket that opens a condition's tests.
func (p *parser) open() bool {
	_, ok := p.expectWhy(p.conditionAdvice(), "[")
	return ok
}

// propCond = property relOp expr.
func (p *parser) propCond() (testNode, bool) {
	p.enter("propCond")
	defer p.leave()
	var t testNode
	var ok bool
	if t.property, ok = p.property(properties()...); !ok {
		return t, false
	}
	if t.relation, ok = p.relation(); !ok {
		return t, false
	}
	t.right, ok = p.expr(1)
	return t, ok
}

// relation takes one of the six signs. A sign that other languages have in its place is reported and read as what was meant.
func (p *parser) relation() (token, bool) {
	relations := []string{"==", "!=", "<", "<=", ">", ">="}
	if p.is(relations...) {
		return p.next(), true
	}
	meant, advice := relationMeant(p.tok)
	if meant == "" || meant == ">=" && !p.ahead().startsExpression() {
		return p.expectWhy(advice, relations...)
	}
	p.mismatchAt(p.tok, advice, relations...)
	t := p.tok
	t.name, t.fault = meant, faultless
	p.skip()
	if p.is("=") || p.is(relations...) {
		p.skip()
	}
	return t, true
}

// properties returns the four properties of a claim.
func properties() []string { return []string{"type", "value", "valuetype", "issuer"} }

// property takes the name of a property. The names are those that may stand here.
func (p *parser) property(names ...string) (token, bool) {
	if isProperty(p.tok.name) {
		return p.next(), true
	}
	if advice := p.storeAdvice(); advice != "" {
		p.mismatchAt(p.tok, advice, names...)
		p.skipTo(")")
		return token{}, false
	}
	if word, ok := p.similar(properties()...); ok {
		p.misspelled(word, names...)
		t := p.tok
		t.name, t.fault = word, faultless
		p.skip()
		return t, true
	}
	return p.expectWhy(p.propertyAdvice(), names...)
}

// claimArg = "claim" "=" Ident | assign { "," assign }.
func (p *parser) claimArg(a *actionNode) bool {
	p.enter("claimArg")
	defer p.leave()
	if p.is("claim") {
		return p.copyOf(a)
	}
	return p.list(")", func() bool {
		if len(a.assigns) == maxElements {
			return p.tooMany("an action has")
		}
		assign, ok := p.assign(len(a.assigns) == 0)
		if ok {
			a.assigns = append(a.assigns, assign)
		}
		return ok
	})
}

// copyOf reads the label whose claims an action copies.
func (p *parser) copyOf(a *actionNode) bool {
	p.next()
	if !p.assignmentSign() {
		return p.skipTo(")") && p.close("")
	}
	label, ok := p.expectWhy("the label of a condition", identToken)
	if !ok {
		return p.skipTo(")") && p.close("")
	}
	if p.is(")") {
		a.copied = &label
	}
	return p.close("a copy takes the whole claims of one label")
}

// assign = property "=" expr.
func (p *parser) assign(first bool) (assignNode, bool) {
	p.enter("assign")
	defer p.leave()
	names := properties()
	if first {
		names = append([]string{"claim"}, names...)
	}
	var a assignNode
	var ok bool
	a.property, ok = p.property(names...)
	switch {
	case a.property.name == "claim": // behind a token too many
		p.skipTo(")")
		return a, false
	case !ok || !p.assignmentSign():
		return a, false
	}
	a.right, ok = p.expr(1)
	return a, ok
}

// assignmentSign takes an equals sign. What stands in its place is reported, and signs of comparison are read as it.
func (p *parser) assignmentSign() bool {
	if p.is("==", ":") {
		p.mismatchAt(p.tok, "an assignment is written with one '='", "=")
		p.skip()
		return true
	}
	_, ok := p.expectWhy("an assignment is written with one '='", "=")
	return ok || p.tok.startsExpression()
}

// expr = String | [ "-" ] Integer | "true" | "false" | Ident "." property | functionCall.
func (p *parser) expr(depth int) (exprNode, bool) {
	p.enter("expr")
	defer p.leave()
	if depth > MaxNesting {
		p.report(p.tok, "expressions nest deeper than %d", MaxNesting)
		return nil, false
	}
	if !p.tok.startsExpression() && !p.noExpression() {
		return nil, false
	}
	switch start := p.tok; start.terminal() {
	case numberToken, "-":
		return p.integer()
	case "true", "false":
		p.next()
		return literalNode{start, BooleanValue(start.name == "true")}, true
	case identToken:
		return p.named(depth)
	default:
		p.next()
		return literalNode{start, StringValue(start.text())}, true
	}
}

// noExpression reports that no expression begins here, and returns whether one does behind the token.
func (p *parser) noExpression() bool {
	if advice := p.expressionAdvice(); advice != "" {
		p.mismatchAt(p.tok, advice, expressions()...)
		return false
	}
	return p.mismatch("", expressions()...)
}

// expressions returns the terminals that an expression can begin with.
func expressions() []string { return []string{stringToken, numberToken, "true", "false", identToken} }

func (t token) startsExpression() bool {
	return t.terminal() == "-" || slices.Contains(expressions(), t.terminal())
}

// integer reads a decimal number of 64 bits with an optional sign.
func (p *parser) integer() (exprNode, bool) {
	start, sign := p.tok, ""
	if p.is("-") {
		p.next()
		sign = "-"
	}
	digits, ok := p.expect(numberToken)
	if !ok {
		return nil, false
	}
	if p.is(".") && p.ahead().name == numberToken {
		p.fraction(digits)
	}
	n, err := strconv.ParseInt(sign+"0"+shorten(strings.TrimLeft(digits.raw, "0"), 40), 10, 64)
	if err != nil {
		p.report(digits, "the integer %s%s does not fit in 64 bits, expecting -9223372036854775808 to 9223372036854775807",
			sign, shorten(digits.raw, 40))
	}
	return literalNode{start, IntegerValue(n)}, true
}

// fraction reports a number with a decimal point, and takes what stands behind its integer part.
func (p *parser) fraction(digits token) {
	p.skip()
	digits.raw = p.source[digits.pos.offset:p.tok.end()]
	p.skip()
	p.mismatchAt(digits, "numbers have no fraction", numberToken)
}

// named reads what begins with an identifier: a label's property or a function call.
func (p *parser) named(depth int) (exprNode, bool) {
	name := p.next()
	if !p.is("(", ".") && !p.behindName(name) {
		return nil, false
	}
	switch {
	case p.is("("):
		p.enter("functionCall")
		defer p.leave()
		errs := len(p.errs)
		args, ok := p.args(depth)
		return callNode{name, args, p.prev.end()}, ok && len(p.errs) == errs
	case p.is("."):
		p.next()
		property, ok := p.property(properties()...)
		return referenceNode{name, property}, ok
	}
	return nil, false
}

// behindName reports that neither a property nor arguments stand behind a name, and returns whether they do behind one
// token too many.
func (p *parser) behindName(name token) bool {
	switch _, function := functionNamed(name.raw); {
	case function && !p.mismatch("a function has its arguments in parentheses", "("):
		if p.skipTo(")") {
			p.skip()
		}
		return false
	case function:
		return true
	case !p.is(identToken) && p.oneTooMany(".", "("):
		return p.mismatch("a label is followed by a property, as in "+symbol(name)+".value", ".", "(")
	}
	p.mismatchAt(name, nameAdvice(name), expressions()...)
	return false
}

// args reads the arguments of a function with their parentheses.
func (p *parser) args(depth int) (args []exprNode, ok bool) {
	p.next()
	if p.is(")") {
		p.next()
		return nil, true
	}
	ok = p.list(")", func() bool {
		if len(args) == maxElements {
			return p.tooMany("a function has")
		}
		arg, ok := p.expr(depth + 1)
		if ok {
			args = append(args, arg)
		}
		return ok
	})
	return args, ok
}

// maxElements is how many arguments of a function, and assignments of an action, are read. No valid rule has so many.
const maxElements = 16

// tooMany reports the first element too many and skips to the end of the list.
func (p *parser) tooMany(what string) bool {
	p.report(p.tok, "%s at most %d arguments", what, maxElements)
	p.skipTo(")")
	return false
}

// doubled returns a list with room for one more, and grows it so that long lists are not copied often.
func doubled(tests []testNode) []testNode {
	if len(tests) < cap(tests) {
		return tests
	}
	return append(make([]testNode, 0, max(1, 2*len(tests))), tests...)
}
