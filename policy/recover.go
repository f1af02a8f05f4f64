package policy

import (
	"slices"
	"strings"
)

// The parser's ways to go on after an error.

// skipTo skips to one of the terminals, over what stands in brackets, and reports whether it is there. It stops before
// what ends a rule.
func (p *parser) skipTo(names ...string) bool {
	brackets, braces := 0, 0
	for ; ; p.skip() {
		switch {
		case p.is(endOfText) || sectionOf(p.tok.name) != noSection:
			return false
		case p.is("{"):
			braces++
		case p.is("}"):
			if braces--; braces < 0 {
				return false
			}
		case braces > 0:
		case p.is(";", "=>"), brackets == 0 && p.is(names...):
			return p.is(names...)
		case p.is("(", "["):
			brackets++
		case p.is(")", "]"):
			if brackets == 0 && slices.Contains(names, ")") {
				return false
			}
			brackets = max(0, brackets-1)
		}
		if p.is(identToken) {
			p.lost++
		}
	}
}

// resynchronise skips to the end of the rule: behind its semicolon, or before what ends its section.
func (p *parser) resynchronise() {
	for !p.skipTo(";") {
		if !p.is("=>") {
			return
		}
		p.skip()
	}
	p.skip()
}

// skipToSection skips to the next section.
func (p *parser) skipToSection() {
	for !p.is(endOfText) && p.sectionAhead() == noSection {
		p.skip()
	}
}

// semicolon takes the semicolon that ends a rule, a section or the version. Where it is missing, the error is
// reported and the text goes on as if it were there.
func (p *parser) semicolon() {
	if _, ok := p.expect(";"); ok {
		return
	}
	if !p.is("=>") && !p.startsCondition() && p.sectionAhead() == noSection {
		p.resynchronise()
	}
}

// startsCondition reports whether a condition begins here.
func (p *parser) startsCondition() bool {
	if p.is(identToken) {
		ahead := p.ahead()
		return ahead.name == ":" || ahead.name == "["
	}
	return p.is("[", "!")
}

// actionAhead reports whether an action begins here, or behind one token that stands in place of its arrow and is
// skipped.
func (p *parser) actionAhead() bool {
	if isAction(p.tok) {
		return true
	}
	if !isAction(p.ahead()) {
		return false
	}
	p.skip()
	return true
}

// joinedOtherwise reports whether a condition begins here, or behind a comma or a word that stands in place of '&&' and
// is skipped.
func (p *parser) joinedOtherwise() bool {
	if p.is(",") || conjunctionAdvice(p.tok) != "" {
		p.skip()
	}
	return p.startsCondition()
}

// list reads elements with commas between them, and takes the mark that closes the list. It reports whether that was
// found.
func (p *parser) list(closing string, element func() bool) bool {
	for {
		if element() && !p.is(",", closing) {
			if !p.mismatch(p.separatorAdvice(closing), ",", closing) {
				if p.separatedOtherwise() {
					continue
				}
				if closing == "]" && (p.is("[") || p.is("&&") && slices.Contains(p.conditionStarts(false), p.ahead().name)) {
					return false
				}
			}
		}
		if !p.is(",", closing) && !p.skipTo(",", closing) {
			return false
		}
		if p.next().terminal() == closing {
			return true
		}
	}
}

// separatedOtherwise reports whether the next element of a list begins here, or behind one token that stands in place
// of the comma and is skipped.
func (p *parser) separatedOtherwise() bool {
	if isProperty(p.tok.name) {
		return strings.IndexAny(p.ahead().terminal(), "=!<>") == 0
	}
	if !isProperty(p.ahead().name) || p.is(",", ".") {
		return false
	}
	p.skip()
	return true
}

// keyword takes the word that opens a section.
func (p *parser) keyword(kind sectionKind) token {
	if p.tok.name != kind.keyword() {
		p.misspelled(kind.keyword(), "configurationrules", "authorizationrules", "issuancerules", endOfText)
	}
	t := p.tok
	p.skip()
	return t
}

// sectionAhead returns the section that begins here, even if its keyword is misspelled, or noSection.
func (p *parser) sectionAhead() sectionKind {
	if kind := sectionOf(p.tok.name); kind != noSection || !p.is(identToken) || p.ahead().name != "{" {
		return kind
	}
	word, _ := p.similar("configurationrules", "authorizationrules", "issuancerules")
	return sectionOf(word)
}

// openSection takes the brace that opens a section, and reports whether it is there.
func (p *parser) openSection() bool {
	_, ok := p.expect("{")
	switch {
	case ok && p.is("{"):
		p.mismatchAt(p.tok, "one '{' opens a section", p.conditionStarts(true)...)
		p.skip()
	case !ok && !p.is("=>") && !p.startsCondition():
		p.skipToSection()
	}
	return ok
}

// closeSection takes what ends a section. A semicolon behind which nothing of the section can come stands for both marks.
func (p *parser) closeSection() {
	if _, ok := p.expect("}"); ok {
		p.semicolon()
	} else if p.is(";") {
		p.skip()
	}
}

// misquoted reports that the string before the next token is to blame for what follows it: another quote closed it
// than was meant. The text is then read again from where it was probably meant to end.
func (p *parser) misquoted() bool {
	s := p.prev
	if s.name != stringToken || !swallows(s) && (p.tok.pos.offset != s.end() || !p.tok.isWord()) {
		return false
	}
	advice := `the string ends before '` + symbol(p.tok) + `': its closing '"' is missing, or one inside it stands without backslash`
	if swallows(s) {
		advice = "a typographic quote does not close it"
	}
	line := p.source[s.pos.offset:]
	meant := line[:probableEnd(line[:lineLength(line)])]
	p.lex.at = s.pos.behind(meant)
	s.raw = s.raw[:min(len(s.raw), len(meant))]
	p.mismatchAt(s, advice, stringToken)
	p.read()
	return true
}

// strayQuote reports whether the next token is a string only because a quote is one too many on its line, or one is
// missing.
func (p *parser) strayQuote() bool {
	if p.tok.name != stringToken {
		return false
	}
	line := p.source[p.tok.pos.offset:]
	line = line[:lineLength(line)]
	return (strings.Count(line, `"`)-strings.Count(line, `\"`))%2 == 1
}

// swallows says whether a string goes on behind a typographic quote as a rule does behind a string.
func swallows(s token) bool {
	i := strings.IndexAny(s.raw, typographic)
	if i < 0 {
		return false
	}
	behind := strings.TrimLeft(s.raw[i:], typographic+" \t")
	return startsWith(behind, ",", "]", ")")
}

// isWord says whether the token is a word, a number or a string, but no property.
func (t token) isWord() bool {
	return t.name == identToken || t.name == numberToken || t.name == stringToken || reserved(t.name) && !isProperty(t.name)
}
