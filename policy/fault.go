package policy

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// fault is why a token is no word of the language, or a wrong one.
type fault uint8

const (
	faultless fault = iota
	unclosedString
	notDecimal
	signOfOthers
	blockComment
	hashComment
	markdownFence
	otherQuote
	fullWidth
	backslash
	unseen
	otherLetter
	notOfLanguage
)

// meant returns the terminal that the token was meant to stand for, or "".
func (t token) meant() string {
	switch t.fault {
	case signOfOthers:
		meant, _ := signMeant(t.raw)
		return meant
	case fullWidth:
		return narrow(t.raw)
	case otherQuote:
		return stringToken
	case otherLetter:
		return identToken
	case blockComment, hashComment, markdownFence, backslash, unseen:
		return blank
	case faultless, unclosedString, notDecimal, notOfLanguage:
	}
	return t.name
}

// problem says what is wrong with the token, or "".
func (t token) problem() string {
	switch t.fault {
	case faultless:
		return ""
	case unclosedString:
		return t.unclosed()
	case notDecimal:
		return t.notDecimal()
	case signOfOthers:
		_, why := signMeant(t.raw)
		return why
	case blockComment:
		return "block comments are not part of the language: a comment is '//' to the end of the line"
	case hashComment:
		return "'#' begins no comment: a comment is '//' to the end of the line"
	case markdownFence:
		return "``` is of Markdown and not of the policy: delete the line"
	case otherQuote:
		return fmt.Sprintf(`%s is not a quote of the language: strings stand between '"'`, t.quote())
	case fullWidth:
		return fmt.Sprintf("this is the full-width form of '%s'", t.meant())
	case backslash:
		return "a backslash has a meaning in strings only; the text may be escaped for JSON or Markdown"
	case unseen:
		return t.character() + " is not white space of the language, which is space, tab and line break"
	case otherLetter:
		return t.character() + " is not part of the language outside strings and comments, words have the letters A to Z of ASCII"
	case notOfLanguage:
	}
	if t.raw == "+" {
		return "'+' is not part of the language: strings are joined by AppendString(first, second) of version 1.2"
	}
	return t.character() + " is not part of the language outside strings and comments"
}

// unclosed says what is wrong with a string that runs to the end of its line.
func (t token) unclosed() string {
	if i := strings.IndexAny(t.raw, typographic); i >= 0 {
		quote, _ := utf8.DecodeRuneInString(t.raw[i:])
		return fmt.Sprintf(`the string is not closed on its line: %c is a typographic quote, '"' is expected`, quote)
	}
	if strings.ContainsAny(t.raw, "\r\n") {
		return "the string is not closed on its line: a string does not go over several lines"
	}
	return `the string is not closed on its line, '"' is expected`
}

func (t token) notDecimal() string {
	raw := shorten(t.raw, 40)
	if n, err := strconv.ParseInt(t.raw, 0, 64); err == nil {
		return fmt.Sprintf("'%s' is not a decimal integer, write %d", raw, n)
	}
	return fmt.Sprintf(`'%s' is not a decimal integer; a string stands between '"'`, raw)
}

// quote returns the mark that opens a string of other languages.
func (t token) quote() string {
	r, size := utf8.DecodeRuneInString(t.raw)
	if r == '\\' {
		size = len(`\"`)
	}
	return t.raw[:size]
}

// character names the first character of the token that is not of ASCII, or its first one.
func (t token) character() string {
	i := strings.IndexFunc(t.raw, func(r rune) bool { return r >= utf8.RuneSelf })
	r, _ := utf8.DecodeRuneInString(t.raw[max(i, 0):])
	switch name := characterName(r); {
	case name != "":
		return fmt.Sprintf("the character U+%04X (%s)", r, name)
	case i >= 0:
		return fmt.Sprintf("the character %q (U+%04X)", r, r)
	}
	return fmt.Sprintf("%q", r)
}

// characterName names the characters that are copied along unseen.
func characterName(r rune) string {
	switch r {
	case 0:
		return "NUL"
	case '\u00A0':
		return "no-break space"
	case '\u00AD':
		return "soft hyphen"
	case '\u200B':
		return "zero-width space"
	case '\u200C', '\u200D':
		return "zero-width joiner"
	case '\u2028':
		return "line separator"
	case '\u202F':
		return "narrow no-break space"
	case '\u3000':
		return "ideographic space"
	case '\uFEFF':
		return "byte-order mark"
	}
	return ""
}
