package policy

import "unicode/utf8"

// versionInfo = "version" "=" Integer "." Integer ";". Where it is broken, the rest is read as the newest version has
// it; where the text is no policy at all, nothing more is said.
func (p *parser) versionInfo(tree *policyNode) {
	p.enter("versionInfo")
	defer p.leave()
	tree.version = versionNode{1, 2}
	if !p.is("version") {
		switch word, near := p.similar("version"); {
		case near:
			p.misspelled(word, "version")
			if p.ahead().name != "=" {
				p.resynchronise()
				return
			}
		case p.sectionAhead() != noSection:
			p.mismatch("a policy begins with its version, as in version=1.0;", "version")
			tree.unversioned = true
			return
		default:
			p.mismatch(p.foreign(), "version")
			p.halted = true
			return
		}
	}
	p.skip()
	if p.versionNumber(tree) {
		p.semicolon()
	} else {
		p.resynchronise()
	}
}

// versionNumber reads the version behind its keyword and settles the language that the rest is written in.
func (p *parser) versionNumber(tree *policyNode) bool {
	const advice = "a version is written as in version=1.0;"
	if _, ok := p.expectWhy(advice, "="); !ok && p.is("==", ":") {
		p.skip()
	}
	var parts [3]token
	for i, name := range []string{numberToken, ".", numberToken} {
		if !p.is(name) {
			p.mismatchAt(p.tok, advice, name)
			return false
		}
		parts[i] = p.next()
	}
	return p.knownVersion(tree, parts[0], parts[2])
}

func (p *parser) knownVersion(tree *policyNode, major, minor token) bool {
	if major.fault != faultless || minor.fault != faultless {
		return false
	}
	switch v := shorten(major.raw, 20) + "." + shorten(minor.raw, 20); v {
	case "1.0", "1.1", "1.2":
		tree.version = versionNode{major: 1, minor: int(minor.raw[0] - '0')}
		return true
	default:
		p.report(major, "version %s is unknown, expecting 1.0, 1.1 or 1.2", v)
	}
	return false
}

// outside reports what stands between the sections.
func (p *parser) outside(tree *policyNode) {
	sections := []string{"configurationrules", "authorizationrules", "issuancerules", endOfText}
	switch {
	case p.is(";"):
		p.mismatchAt(p.tok, "one ';' is enough", sections...)
		p.skip()
	case p.is("}"):
		p.mismatchAt(p.tok, "no section is open here", sections...)
		p.skip()
		if p.is(";") {
			p.skip()
		}
	case p.is("version"):
		if !tree.unversioned {
			p.mismatchAt(p.tok, "the version stands once, before all sections", sections...)
		}
		p.resynchronise()
	case !p.mismatch(p.outsideAdvice(), sections...):
		tree.lost = true
		p.skipToSection()
	}
}

// encoded reports what of the text is not UTF-8: the whole if it is UTF-16, else the first byte.
func (p *parser) encoded() bool {
	switch at := notUTF8(p.source); {
	case utf16(p.source):
		p.report(token{raw: p.source[:2], pos: position{line: 1, column: 1}}, "the text is UTF-16, expecting UTF-8: save the file as UTF-8")
	case at >= 0:
		p.report(token{raw: "\uFFFD", pos: position{line: 1, column: 1}.behind(p.source[:at])},
			"the byte 0x%02X is not UTF-8, expecting UTF-8: the file may be in another encoding, such as Windows-1252", p.source[at])
	default:
		return true
	}
	return false
}

// utf16 recognises UTF-16 by its byte-order mark, or by a NUL next to the first character.
func utf16(text string) bool {
	return len(text) >= 2 && (startsWith(text, "\xFF\xFE", "\xFE\xFF") || (text[0] == 0) != (text[1] == 0))
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
