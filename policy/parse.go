package policy

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// parser reads the whole grammar of policy.md section 3, one method per production. Methods return false where they
// lost the thread; the rule they belong to is then skipped up to its semicolon. What only some versions have is read
// in all of them and judged by the checker.
type parser struct {
	reporter
	lex   lexer
	tok   token // the next token, not taken yet
	last  int   // offset behind the last token taken
	rules int
}

func newParser(source string) *parser {
	p := &parser{reporter: reporter{source: source}, lex: newLexer(source)}
	p.tok = p.lex.next()
	return p
}

// is reports whether the next token is one of the terminals.
func (p *parser) is(names ...string) bool {
	for _, name := range names {
		if p.tok.name == name {
			return p.tok.problem == ""
		}
	}
	return false
}

// next takes a token. After the last error that is reported the text is over.
func (p *parser) next() token {
	t := p.tok
	p.last = t.end()
	if p.tok = p.lex.next(); p.halted {
		p.tok = token{name: endOfText, pos: p.lex.at}
	}
	return t
}

// expect takes a token that must be one of the terminals.
func (p *parser) expect(names ...string) (token, bool) {
	if !p.is(names...) {
		p.mismatch(names...)
		return token{}, false
	}
	return p.next(), true
}

// mismatch reports that the next token is none of the terminals.
func (p *parser) mismatch(names ...string) {
	p.mismatchWhy("", names...)
}

func (p *parser) mismatchWhy(why string, names ...string) {
	if p.tok.problem != "" {
		p.report(p.tok, "%s", p.tok.problem)
		return
	}
	p.report(p.tok, "mismatched input '%s' expecting %s%s", symbol(p.tok), expectation(names), why)
}

// expectation writes terminals as the messages of the service do: one by itself, several in braces.
func expectation(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = "'" + name + "'"
		if name == identToken || name == numberToken || name == stringToken {
			quoted[i] = name
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
	if !p.validUTF8() || !p.versionInfo(tree) {
		p.halted = true
	}
	for !p.halted && !p.is(endOfText) {
		kind := sectionOf(p.tok.name)
		if kind == noSection {
			p.mismatch("configurationrules", "authorizationrules", "issuancerules", endOfText)
			p.skipTo()
			continue
		}
		tree.sections = append(tree.sections, p.section(kind))
	}
	tree.end = p.tok
	return tree
}

// validUTF8 reports the first byte of the text that is not UTF-8.
func (p *parser) validUTF8() bool {
	at := notUTF8(p.source)
	if at < 0 {
		return true
	}
	before := p.source[:at]
	pos := position{line: 1 + lineBreaks(before), column: 1 + utf8.RuneCountInString(lineAt(before, at)), offset: at}
	p.report(token{raw: "\uFFFD", pos: pos}, "the byte 0x%02X is not UTF-8", p.source[at])
	return false
}

// notUTF8 returns the offset of the first byte that is not UTF-8, or -1. U+FFFD itself may be written.
func notUTF8(text string) int {
	for i, r := range text {
		if r != utf8.RuneError {
			continue
		}
		if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
			return i
		}
	}
	return -1
}

func lineBreaks(s string) int {
	return strings.Count(s, "\n") + strings.Count(s, "\r") - strings.Count(s, "\r\n")
}

// versionInfo = "version" "=" Integer "." Integer ";". It fails if the version stays unknown, since then nothing
// can be said about the rest.
func (p *parser) versionInfo(tree *policyNode) bool {
	p.enter("versionInfo")
	defer p.leave()
	for _, name := range []string{"version", "="} {
		if _, ok := p.expect(name); !ok {
			return false
		}
	}
	major, ok := p.expect(numberToken)
	if !ok {
		return false
	}
	if _, ok := p.expect("."); !ok {
		return false
	}
	minor, ok := p.expect(numberToken)
	if !ok || !p.version(tree, major, minor) {
		return false
	}
	p.semicolon()
	return true
}

// version settles the language that the rest of the text is written in.
func (p *parser) version(tree *policyNode, major, minor token) bool {
	switch v := shorten(major.raw, 20) + "." + shorten(minor.raw, 20); v {
	case "1.0", "1.1", "1.2":
		tree.version = versionNode{major: 1, minor: int(minor.raw[0] - '0')}
		return true
	default:
		p.report(major, "version %s is unknown, expecting 1.0, 1.1 or 1.2", v)
	}
	return false
}

// section = keyword "{" { rule } "}" ";".
func (p *parser) section(kind sectionKind) sectionNode {
	p.enter(kind.production())
	defer p.leave()
	s := sectionNode{kind: kind, keyword: p.next()}
	if _, ok := p.expect("{"); !ok {
		p.skipTo()
		return s
	}
	for p.startsRule() && !p.halted {
		if p.rules++; p.rules > MaxRules {
			p.report(p.tok, "the policy has more than %d rules", MaxRules)
			p.halted = true
			return s
		}
		s.rules = append(s.rules, p.rule(kind))
	}
	if _, ok := p.expect("}"); !ok {
		return s
	}
	p.semicolon()
	return s
}

// startsRule reports whether the next token begins a rule. Any token does but those that end a section, so that a
// wrong first word is an error of a rule and the rest of the section is still read.
func (p *parser) startsRule() bool {
	return !p.is("}", endOfText) && sectionOf(p.tok.name) == noSection
}

// semicolon takes the semicolon that ends a rule, a section or the version. Where it is missing, the error is
// reported and the text goes on as if it were there.
func (p *parser) semicolon() {
	if p.is(";") {
		p.next()
		return
	}
	p.mismatch(";")
	if !p.is("=>", "[", "!", identToken) {
		p.resynchronise()
	}
}

// resynchronise skips to the end of the rule: behind its semicolon, or before what ends its section.
func (p *parser) resynchronise() {
	for p.startsRule() {
		if t := p.next(); t.name == ";" {
			return
		}
	}
}

// skipTo skips to the next section.
func (p *parser) skipTo() {
	for !p.is(endOfText) && (sectionOf(p.tok.name) == noSection) {
		p.next()
	}
}

// rule = [ conditions ] "=>" action ";".
func (p *parser) rule(kind sectionKind) ruleNode {
	p.enter(kind.ruleProduction())
	defer p.leave()
	r := ruleNode{start: p.tok.pos}
	if !p.ruleHead(&r) || !p.action(kind, &r.action) {
		r.broken = true
		p.resynchronise()
		return r
	}
	r.end = p.last
	p.semicolon()
	return r
}

// ruleHead reads everything of a rule before its action.
func (p *parser) ruleHead(r *ruleNode) bool {
	if p.is("=>") {
		p.next()
		return true
	}
	p.enter("conditions")
	defer p.leave()
	for {
		if len(r.conditions) == MaxConditions {
			p.report(p.tok, "the rule has more than %d conditions", MaxConditions)
			return false
		}
		c, ok := p.condition()
		if !ok {
			return false
		}
		r.conditions = append(r.conditions, c)
		t, ok := p.expect("&&", "=>")
		if !ok {
			return false
		}
		if t.name == "=>" {
			return true
		}
	}
}

// action = verb "(" [ claimArg ] ")".
func (p *parser) action(kind sectionKind, a *actionNode) bool {
	if production := actionProduction(p.tok.name); production != "" {
		p.enter(production)
		defer p.leave()
	}
	if !p.is(kind.verbs()...) {
		p.mismatchWhy(fmt.Sprintf(", the actions of %s", kind.keyword()), kind.verbs()...)
		return false
	}
	a.verb = p.next()
	if _, ok := p.expect("("); !ok {
		return false
	}
	if a.verb.name != "permit" && a.verb.name != "deny" && !p.claimArg(a) {
		return false
	}
	_, ok := p.expect(")")
	return ok
}
