package policy

import (
	"strings"
	"unicode/utf8"
)

// position is a place in the policy text.
type position struct {
	line, column int // from 1; columns count characters
	offset       int // from 0, in bytes
}

// The names of the token classes that are no fixed words.
const (
	endOfText   = "<EOF>"
	identToken  = "Ident"
	numberToken = "Integer"
	stringToken = "String"
)

// token is one word of the language. Its name is the terminal symbol of the grammar that it stands for: the word
// itself in lower case for reserved words and punctuation, or one of the four classes above.
type token struct {
	name  string
	raw   string // as written
	pos   position
	fault fault // why this is no word of the language, or a wrong one
}

// end returns the offset after the token's last byte.
func (t token) end() int { return t.pos.offset + len(t.raw) }

// terminal returns the terminal that the token stands for or was meant to stand for, or "".
func (t token) terminal() string {
	if t.fault == faultless {
		return t.name
	}
	return t.meant()
}

// reservedAs returns the reserved word, in lower case, that a word is in any case of its letters, or "" (policy.md
// section 2).
func reservedAs(word string) string {
	for _, w := range [...]string{"version", "configurationrules", "authorizationrules", "issuancerules", "permit", "deny",
		"add", "issue", "issueproperty", "claim", "type", "value", "valuetype", "issuer", "true", "false"} {
		if len(w) == len(word) && strings.EqualFold(w, word) {
			return w
		}
	}
	return ""
}

// reserved says whether a word, in lower case, may not be a label.
func reserved(word string) bool { return reservedAs(word) == word && word != "" }

// lexer cuts a policy text into tokens (policy.md section 2). It never fails: what is no word of the language becomes
// a token with a problem, and where it is plain what its author meant, the token says so (lookalike.go).
type lexer struct {
	text string
	at   position
	open unclosed
}

func newLexer(text string) lexer {
	l := lexer{text: text, at: position{line: 1, column: 1}}
	if strings.HasPrefix(text, "\uFEFF") {
		l.at.offset = len("\uFEFF")
	}
	return l
}

// next returns the next token; at the end of the text always endOfText.
func (l *lexer) next() token {
	l.skipSpace()
	rest := l.text[l.at.offset:]
	switch {
	case rest == "":
		return token{name: endOfText, pos: l.at}
	case rest[0] == '"':
		return l.quoted(rest)
	case isDigit(rest[0]):
		return l.number(rest)
	case isLetter(rest[0]):
		return l.word(rest)
	}
	if t, ok := l.lookalike(rest); ok {
		return l.take(t)
	}
	if n := punctuation(rest); n > 0 {
		return l.take(token{name: rest[:n], raw: rest[:n]})
	}
	_, size := utf8.DecodeRuneInString(rest)
	return l.take(token{raw: rest[:size], fault: notOfLanguage})
}

// take moves behind the token and gives it its position.
func (l *lexer) take(t token) token {
	t.pos = l.at
	l.at = l.at.behind(t.raw)
	return t
}

// behind returns the position behind a part of the text that begins here.
func (p position) behind(part string) position {
	p.offset += len(part)
	if i := strings.LastIndexAny(part, "\r\n"); i >= 0 {
		p.line, p.column = p.line+lineBreaks(part), 1
		part = part[i+1:]
	}
	p.column += utf8.RuneCountInString(part)
	return p
}

// skipSpace moves behind white space and comments.
func (l *lexer) skipSpace() {
	for l.at.offset < len(l.text) {
		rest := l.text[l.at.offset:]
		switch {
		case rest[0] == ' ' || rest[0] == '\t':
			l.at.offset, l.at.column = l.at.offset+1, l.at.column+1
		case rest[0] == '\n' || rest[0] == '\r':
			l.at = position{line: l.at.line + 1, column: 1, offset: l.at.offset + lineBreak(rest)}
		case strings.HasPrefix(rest, "//"):
			l.take(token{raw: rest[:lineLength(rest)]})
		default:
			return
		}
	}
}

// quoted reads a string. Of the escapes only \" and \\ stand for one character; a backslash before any other is kept.
func (l *lexer) quoted(rest string) token {
	i := 1
	for i < len(rest) && rest[i] != '\r' && rest[i] != '\n' {
		switch {
		case rest[i] == '"':
			return l.take(token{name: stringToken, raw: rest[:i+1]})
		case rest[i] == '\\' && i+1 < len(rest) && rest[i+1] != '\r' && rest[i+1] != '\n':
			i++
		}
		i++
	}
	end := probableEnd(rest[:i])
	if end == i {
		end += continued(rest[i:])
	}
	if end == i {
		end = len(strings.TrimRight(strings.TrimRight(rest[:i], " \t"), "],"))
	}
	return l.take(token{name: stringToken, raw: rest[:end], fault: unclosedString})
}

// text returns what a string says.
func (t token) text() string {
	if t.fault != faultless {
		return strings.Trim(t.raw, "\"＂“”„«»‘’‚'`\\")
	}
	return unescape(t.raw[1 : len(t.raw)-1])
}

func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(s)
}

// number reads a decimal integer. Letters glued to it are taken along, so that 0x1F is one error and not two words.
func (l *lexer) number(rest string) token {
	n, decimal := 0, true
	for n < len(rest) && (isDigit(rest[n]) || isLetter(rest[n])) {
		decimal = decimal && isDigit(rest[n])
		n++
	}
	t := token{name: numberToken, raw: rest[:n]}
	if !decimal {
		t.fault = notDecimal
	}
	return l.take(t)
}

// word reads a reserved word, in any case of its letters, or an identifier.
func (l *lexer) word(rest string) token {
	n := 1
	for n < len(rest) && (isLetter(rest[n]) || isDigit(rest[n])) {
		n++
	}
	if n < len(rest) && rest[n] >= utf8.RuneSelf {
		if t, ok := otherWord(rest); ok && len(t.raw) > n {
			return l.take(t)
		}
	}
	t := token{name: identToken, raw: rest[:n]}
	if w := reservedAs(t.raw); w != "" {
		t.name = w
	}
	return l.take(t)
}

// signs are the punctuation marks of one character.
const signs = "<>={}[]();:,.!-"

// punctuation returns the length of the punctuation mark that s starts with, the longest that fits, or 0.
func punctuation(s string) int {
	if s == "" {
		return 0
	}
	if len(s) >= 2 {
		switch s[:2] {
		case "=>", "==", "!=", "<=", ">=", "&&":
			return 2
		}
	}
	if strings.IndexByte(signs, s[0]) >= 0 {
		return 1
	}
	return 0
}

// lineLength returns how many bytes of s stand before its first line break.
func lineLength(s string) int {
	if i := strings.IndexAny(s, "\r\n"); i >= 0 {
		return i
	}
	return len(s)
}

func lineBreaks(s string) int {
	return strings.Count(s, "\n") + strings.Count(s, "\r") - strings.Count(s, "\r\n")
}

// lineBreak returns the length of the line break that s starts with: LF, CR, or both as one.
func lineBreak(s string) int {
	if strings.HasPrefix(s, "\r\n") {
		return 2
	}
	return 1
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' }
