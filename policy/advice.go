package policy

import "strings"

// What to tell people who write as other languages do. Each function returns "" where there is nothing to say.

const reservedLabel = "a reserved word cannot be a label"

// prefixAdvice is for what stands before a condition.
func prefixAdvice(t token) string {
	switch {
	case t.name == "(":
		return "conditions are not grouped by parentheses, '&&' joins them all"
	case t.name != identToken:
		return ""
	}
	switch strings.ToLower(t.raw) {
	case "exists":
		return `there is no 'exists': a condition holds if some claim satisfies it, as in [type=="a"]`
	case "not":
		return `there is no 'not': '!' before a condition negates it in version 1.2, as in ![type=="a"]`
	}
	return ""
}

// conditionAdvice is for what stands in place of a condition or its bracket.
func (p *parser) conditionAdvice() string {
	switch {
	case reserved(p.tok.name) && p.ahead().name == ":":
		return reservedLabel
	case isProperty(p.tok.name):
		return `the tests of a condition stand in brackets, as in [type=="a"]`
	}
	return ""
}

// callAdvice is for a name with parentheses that stands where a condition must.
func callAdvice(name token) string {
	switch strings.ToLower(name.raw) {
	case "count":
		return "there is no 'count': a condition holds if at least one claim satisfies it"
	case "if", "when", "unless":
		return "a rule is written conditions => action;"
	}
	return "a function stands on the right of a relation or an assignment"
}

// conjunctionAdvice is for what stands between two conditions.
func conjunctionAdvice(t token) string {
	switch strings.ToLower(t.raw) {
	case "or", "||", "|":
		return noOr
	case "and", "&", ",":
		return "conditions are joined with '&&'"
	case ">=", "->", "then":
		return "the arrow of a rule is '=>'"
	case ";":
		return "the rule has no action yet"
	}
	return ""
}

// separatorAdvice is for what stands behind an element of a list.
func (p *parser) separatorAdvice(closing string) string {
	if p.is("(") && (p.prev.name == "true" || p.prev.name == "false") {
		return "'" + p.prev.raw + "' is a value and has no parentheses"
	}
	if p.is(".") && p.prev.name == ")" {
		return "what a function gives is a value and has no properties"
	}
	switch strings.ToLower(p.tok.raw) {
	case "or", "||", "|":
		return noOr
	case "and", "&&", "&":
		if closing == "]" {
			return "the tests of a condition are joined with ','"
		}
	case "*", "/", "%", "-":
		return "the language does not calculate"
	}
	return ""
}

// relationMeant is for what stands in place of a relation: which one was meant, and what to tell.
func relationMeant(t token) (relation, advice string) {
	switch strings.ToLower(t.raw) {
	case "=", ":", "is", "eq", "equals":
		return "==", "a condition compares with '=='"
	case "ne", "isnot":
		return "!=", "write '!='"
	case "=>":
		return ">=", "write '>='"
	case "in":
		return "", "a value is compared with one other: write one rule for each"
	case "like", "contains", "matches", "startswith", "endswith":
		return "", "the language compares whole values only; in version 1.2 JmesPath has functions for parts of strings"
	}
	return "", ""
}

// propertyAdvice is for what stands in place of a property.
func (p *parser) propertyAdvice() string {
	switch {
	case p.prev.name == "," && p.is("]", ")"):
		return "no ',' stands behind the last one"
	case p.is("]"):
		return "a condition has at least one test"
	case p.is(stringToken):
		return "each value has the name of a property before it"
	case p.is("!"):
		return "'!' stands before the bracket of a condition"
	case p.is(identToken):
		return p.otherPropertyAdvice()
	}
	return ""
}

// otherPropertyAdvice is for a name that is no property.
func (p *parser) otherPropertyAdvice() string {
	switch strings.ToLower(p.tok.raw) {
	case "originalissuer", "properties":
		return "claims have these four properties only"
	}
	switch p.ahead().name {
	case ")":
		return "to copy the claims of a label write claim=" + symbol(p.tok)
	case ".":
		return "a test begins with a property of the claims that it looks for, without label"
	}
	return ""
}

// storeAdvice is for an action of AD FS that asks an attribute store.
func (p *parser) storeAdvice() string {
	switch strings.ToLower(p.tok.raw) {
	case "store", "types", "query", "param":
		return "there are no attribute stores: a rule has its claims from the evidence and from other rules"
	}
	return ""
}

// expressionAdvice is for what stands in place of an expression.
func (p *parser) expressionAdvice() string {
	switch t := p.tok; {
	case reserved(t.name) && p.ahead().name == ".":
		return reservedLabel
	case isProperty(t.name):
		return "a property has a label before it, as in c." + t.raw
	case t.name == "[", t.name == "{":
		return "there are no lists and objects: compare with one value, and write one rule for each"
	case t.name == "<":
		return "a placeholder has to be replaced by a value"
	case t.name == "(":
		return "expressions are not grouped by parentheses"
	case t.name == "!":
		return "NegateBool(value) negates in version 1.2"
	}
	return ""
}

// nameAdvice is for a name by itself where an expression must stand.
func nameAdvice(name token) string {
	switch strings.ToLower(name.raw) {
	case "null", "nil", "none", "undefined":
		return "there is no null: in version 1.2 '!' before a condition asks that no claim satisfies it"
	}
	return `a string stands between '"', a label is followed by a property, as in ` + symbol(name) + ".value"
}

// otherFunction tells what to write in place of a function of another language.
func otherFunction(name string) string {
	switch strings.ToLower(name) {
	case "concat", "append", "plus":
		return ": AppendString joins two strings"
	case "not":
		return ": NegateBool negates a Boolean"
	case "regexreplace", "replace", "contains", "startswith", "endswith", "length", "tolower", "lower", "toupper", "upper":
		return ": JmesPath has functions for strings"
	}
	return ""
}

// outsideAdvice is for what stands between sections.
func (p *parser) outsideAdvice() string {
	word, near := p.similar("configurationrules", "authorizationrules", "issuancerules")
	switch {
	case near:
		return didYouMean(word)
	case p.is("=>", "[", "!") || p.is(identToken) && p.startsCondition():
		return "a rule stands inside the braces of a section"
	}
	return ""
}

// verb takes the action of a rule. Another word is reported, and taken for the action that was meant, if that is plain.
func (p *parser) verb(kind sectionKind) (token, bool) {
	if p.is(kind.verbs()...) {
		return p.next(), true
	}
	advice := "the actions of " + kind.keyword()
	meant, more := p.verbMeant(kind)
	if meant == "" {
		return p.expectWhy(advice, kind.verbs()...)
	}
	t := p.tok
	p.mismatchAt(t, advice+after("; ", more), kind.verbs()...)
	p.skip()
	t.name, t.fault = meant, faultless
	return t, true
}

// verbMeant returns the action that was meant, and what to tell.
func (p *parser) verbMeant(kind sectionKind) (verb, advice string) {
	switch {
	case p.is("permit", "deny"):
		return p.tok.name, "authorizationrules decide"
	case isAction(p.tok):
		return p.tok.name, ""
	}
	if verb, near := p.similar(kind.verbs()...); near {
		return verb, didYouMean(verb)
	}
	if p.is(identToken) && kind == authSection {
		switch strings.ToLower(p.tok.raw) {
		case "allow", "accept", "grant", "pass":
			return "permit", didYouMean("permit")
		case "reject", "refuse", "block", "forbid":
			return "deny", didYouMean("deny")
		}
	}
	return "", ""
}
