package policy

import (
	"slices"
	"strings"
)

// parser reads the whole grammar of policy.md section 3, one method per production. What only some versions have is
// read in all of them and judged by the checker. After an error it goes on where the text makes sense again
// (recover.go), so that every independent error is found and none is invented; methods return false where they lost
// the thread.
type parser struct {
	reporter
	lex     lexer
	tok     token // the next token, not taken yet
	prev    token // the last one taken
	version versionNode
	rules   int
	skipped int  // tokens that were skipped
	grouped bool // the rule at hand has conditions in parentheses
}

func newParser(source string) *parser {
	return &parser{reporter: reporter{source: source}, lex: newLexer(source)}
}

// is reports whether the next token stands for one of the terminals, or was meant to.
func (p *parser) is(names ...string) bool {
	terminal := p.tok.terminal()
	for _, name := range names {
		if terminal == name {
			return true
		}
	}
	return false
}

// next takes a token. What only looks like a word of the language is reported, and then taken for what was meant.
func (p *parser) next() token {
	t := p.tok
	if t.fault != faultless {
		p.mismatchAt(t, t.problem(), t.terminal())
	}
	p.skip()
	return t
}

// skip moves behind the next token without a look at it. After the last error that is reported the text is over.
func (p *parser) skip() {
	p.prev = p.tok
	p.read()
}

// read gets the next token. What was meant as a blank is reported, and no more is made of it.
func (p *parser) read() {
	for p.tok = p.lex.next(); p.tok.meant == blank && !p.halted; p.tok = p.lex.next() {
		p.report(p.tok, "%s", p.tok.problem())
	}
	if p.halted {
		p.tok = token{name: endOfText, pos: p.lex.at}
	}
}

// ahead returns the token behind the next one.
func (p *parser) ahead() token {
	l := p.lex
	t := l.next()
	for t.meant == blank {
		t = l.next()
	}
	return t
}

// expect takes a token that must be one of the terminals.
func (p *parser) expect(names ...string) (token, bool) { return p.expectWhy("", names...) }

func (p *parser) expectWhy(advice string, names ...string) (token, bool) {
	if !p.is(names...) && !p.mismatch(advice, names...) {
		return token{}, false
	}
	return p.next(), true
}

// mismatch reports that the next token is none of the terminals, with advice: that which is given, or what is wrong with
// the token itself. Where one of them stands behind it, the token is skipped as one too many, and mismatch returns true.
func (p *parser) mismatch(advice string, names ...string) bool {
	if p.misquoted() {
		return p.is(names...)
	}
	if p.strayQuote() {
		p.mismatchAt(token{raw: `"`, pos: p.tok.pos}, "one '\"' too many, or one missing", names...)
		p.lex.at = p.tok.pos.behind(`"`)
		p.read()
		return p.is(names...)
	}
	if advice == "" {
		advice = p.tok.problem()
	}
	p.mismatchAt(p.tok, advice, names...)
	if !p.oneTooMany(names...) {
		return false
	}
	p.skip()
	p.skipped++
	return true
}

// oneTooMany reports whether the text makes sense again without the next token. Braces are more than that, and what is
// glued to the word behind it belongs to it.
func (p *parser) oneTooMany(names ...string) bool {
	ahead := p.ahead()
	switch {
	case p.is("{"), p.is("}") && ahead.name == ";", p.tok.fault != faultless && p.tok.end() == ahead.pos.offset:
		return false
	}
	return slices.Contains(names, ahead.terminal())
}

func (p *parser) mismatchAt(t token, advice string, names ...string) {
	if advice != "" {
		advice = ": " + advice
	}
	p.report(t, "mismatched input '%s' expecting %s%s", symbol(t), expectation(names), advice)
}

// expectation writes terminals as the messages of the service do: one by itself, several in braces.
func expectation(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		switch name {
		case identToken, numberToken, stringToken:
			quoted[i] = name
		case "valuetype":
			quoted[i] = "'valueType'"
		default:
			quoted[i] = "'" + name + "'"
		}
	}
	if len(quoted) == 1 {
		return quoted[0]
	}
	return "{" + strings.Join(quoted, ", ") + "}"
}

// policy = versionInfo { section } EOF.
func (p *parser) policy() *policyNode {
	p.enter("policy")
	defer p.leave()
	tree := &policyNode{}
	if !p.encoded() {
		p.halted = true
	}
	p.read()
	p.versionInfo(tree)
	p.version = tree.version
	for !p.halted && !p.is(endOfText) {
		if kind := p.sectionAhead(); kind != noSection {
			tree.sections = append(tree.sections, p.section(kind))
		} else {
			p.outside(tree)
		}
	}
	tree.end = p.tok
	return tree
}

// section = keyword "{" { rule } "}" ";".
func (p *parser) section(kind sectionKind) sectionNode {
	p.enter(kind.production())
	defer p.leave()
	s := sectionNode{kind: kind, keyword: p.keyword(kind)}
	opened := p.openSection()
	for p.startsRule() && !p.halted {
		if p.rules++; p.rules > MaxRules {
			p.report(p.tok, "the policy has more than %d rules", MaxRules)
			p.halted = true
			return s
		}
		s.rules = append(s.rules, p.rule(kind))
	}
	if opened || p.is("}") {
		p.closeSection()
	}
	return s
}

// startsRule reports whether the next token begins a rule. Any token does but those that end a section, so that a
// wrong first word is an error of a rule and the rest of the section is still read.
func (p *parser) startsRule() bool {
	if p.is(";") {
		behind := p.ahead().name
		return behind != endOfText && sectionOf(behind) == noSection
	}
	return !p.is("}", endOfText) && p.sectionAhead() == noSection
}

// rule = [ conditions ] "=>" action ";".
func (p *parser) rule(kind sectionKind) ruleNode {
	p.enter(kind.ruleProduction())
	defer p.leave()
	r := ruleNode{start: p.tok.pos}
	if !p.ruleHead(&r) || !p.action(kind, &r.action) {
		p.resynchronise()
		return r
	}
	r.end = p.prev.end()
	p.semicolon()
	return r
}

// ruleHead reads everything of a rule before its action.
func (p *parser) ruleHead(r *ruleNode) bool {
	switch {
	case p.is("=>"):
		p.next()
		return true
	case p.is(";"):
		p.mismatchAt(p.tok, "one ';' ends a rule", p.conditionStarts(true)...)
		return false
	case isAction(p.tok) && p.ahead().name != ":":
		p.mismatchAt(p.tok, "an action stands behind '=>'", p.conditionStarts(true)...)
		return true
	}
	return p.conditions(r)
}

// conditions = condition { "&&" condition }, and the arrow behind it.
func (p *parser) conditions(r *ruleNode) bool {
	p.enter("conditions")
	defer p.leave()
	p.grouped = false
	skipped := p.skipped
	defer func() { r.lost = p.skipped > skipped }()
	for {
		if len(r.conditions) == MaxConditions {
			p.report(p.tok, "the rule has more than %d conditions", MaxConditions)
			return false
		}
		c, ok := p.condition(len(r.conditions) == 0)
		r.conditions = append(r.conditions, c)
		if more, ok := p.conjunction(ok); !more {
			return ok
		}
	}
}

// conjunction reads what stands between two conditions, or between the last one and the action. Of what follows a
// broken condition nothing is reported.
func (p *parser) conjunction(intact bool) (more, ok bool) {
	for p.grouped && p.is(")") {
		p.skip()
	}
	if intact && !p.is("&&", "=>") && !p.mismatch(conjunctionAdvice(p.tok), "&&", "=>") {
		if p.actionAhead() {
			return false, true
		}
		if p.joinedOtherwise() {
			return true, true
		}
	}
	if !p.skipTo("&&", "=>") {
		return false, false
	}
	return p.next().terminal() == "&&", true
}

// action = verb "(" [ claimArg ] ")".
func (p *parser) action(kind sectionKind, a *actionNode) bool {
	var ok bool
	if a.verb, ok = p.verb(kind); !ok {
		return false
	}
	p.enter(actionProduction(a.verb.name))
	defer p.leave()
	errs := len(p.errs)
	ok = p.argument(a)
	a.broken = len(p.errs) > errs
	return ok
}

// argument reads what an action has in parentheses.
func (p *parser) argument(a *actionNode) bool {
	if _, ok := p.expectWhy("an action has parentheses, as in permit()", "("); !ok {
		return p.is(";")
	}
	switch a.verb.name {
	case "permit", "deny":
		return p.close(a.verb.name + " takes no argument")
	}
	return p.claimArg(a)
}

// close takes a closing parenthesis. What stands before it instead is reported with advice and skipped.
func (p *parser) close(advice string) bool {
	if !p.is(")") && !p.mismatch(advice, ")") && !p.skipTo(")") {
		return false
	}
	p.next()
	return true
}
