package policy

import (
	"fmt"
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
	name    string
	raw     string // as written
	text    string // what a string says
	pos     position
	problem string // why this is no word of the language; the token then matches no terminal but its class
}

// end returns the offset after the token's last byte.
func (t token) end() int { return t.pos.offset + len(t.raw) }

// reserved says whether a word, in lower case, may not be a label (policy.md section 2).
func reserved(word string) bool {
	switch word {
	case "version", "configurationrules", "authorizationrules", "issuancerules", "permit", "deny", "add", "issue",
		"issueproperty", "claim", "type", "value", "valuetype", "issuer", "true", "false":
		return true
	}
	return false
}

// lexer cuts a policy text into tokens (policy.md section 2). It never fails: what is no word of the language becomes
// a token with a problem.
type lexer struct {
	text string
	at   position
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
	if n := punctuation(rest); n > 0 {
		return l.take(token{name: rest[:n], raw: rest[:n]})
	}
	_, size := utf8.DecodeRuneInString(rest)
	return l.take(token{raw: rest[:size], problem: strangeCharacter(rest)})
}

// take moves behind the token, none of which spans lines, and gives it its position.
func (l *lexer) take(t token) token {
	t.pos = l.at
	l.at.offset += len(t.raw)
	l.at.column += utf8.RuneCountInString(t.raw)
	return t
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
			return l.take(token{name: stringToken, raw: rest[:i+1], text: unescape(rest[1:i])})
		case rest[i] == '\\' && i+1 < len(rest) && rest[i+1] != '\r' && rest[i+1] != '\n':
			i++
		}
		i++
	}
	return l.take(token{name: stringToken, raw: rest[:i], problem: unclosed(rest[:i])})
}

func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(s)
}

// unclosed says what is wrong with a string that runs to the end of its line.
func unclosed(line string) string {
	if i := strings.IndexAny(line, "\u201C\u201D\u201E"); i >= 0 {
		quote, _ := utf8.DecodeRuneInString(line[i:])
		return fmt.Sprintf(`the string is not closed on its line: %c is a typographic quote, '"' is expected`, quote)
	}
	return `the string is not closed on its line, '"' is expected`
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
		t.problem = fmt.Sprintf("'%s' is not a decimal integer", shorten(t.raw, 40))
	}
	return l.take(t)
}

// word reads a reserved word, in any case of its letters, or an identifier.
func (l *lexer) word(rest string) token {
	n := 1
	for n < len(rest) && (isLetter(rest[n]) || isDigit(rest[n])) {
		n++
	}
	t := token{name: identToken, raw: rest[:n]}
	if lower := strings.ToLower(t.raw); reserved(lower) {
		t.name = lower
	}
	return l.take(t)
}

// punctuation returns the length of the punctuation mark that s starts with, the longest that fits, or 0.
func punctuation(s string) int {
	if len(s) >= 2 {
		switch s[:2] {
		case "=>", "==", "!=", "<=", ">=", "&&":
			return 2
		}
	}
	if strings.IndexByte("<>={}[]();:,.!-", s[0]) >= 0 {
		return 1
	}
	return 0
}

// strangeCharacter says why the text may not go on as rest does.
func strangeCharacter(rest string) string {
	r, _ := utf8.DecodeRuneInString(rest)
	switch {
	case strings.ContainsRune("\u201C\u201D\u201E\u2018\u2019'", r):
		return fmt.Sprintf(`%c is not a quote of the language: strings stand between '"'`, r)
	case strings.HasPrefix(rest, "/*"):
		return "block comments are not part of the language: a comment is '//' to the end of the line"
	case r == '|':
		return "conditions cannot be joined by or: write one rule for each case"
	case r == '&':
		return "mismatched input '&' expecting '&&'"
	}
	return fmt.Sprintf("the character %q is not part of the language outside strings and comments", r)
}

// lineLength returns how many bytes of s stand before its first line break.
func lineLength(s string) int {
	if i := strings.IndexAny(s, "\r\n"); i >= 0 {
		return i
	}
	return len(s)
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
