package policy

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Error is one error of a policy text, in the terms of policy.md section 12.
type Error struct {
	Line, Column int    // from 1; columns count characters
	Symbol       string // the offending word of the text, shortened; "<EOF>" at its end
	Failure      string // what is wrong, and what was expected
	Rule         string // the path of productions that failed: "policy > versionInfo"
	Source       string // the whole line of the text

	offset int
}

// Error returns the message in the form of Microsoft's service, without its opening words.
func (e *Error) Error() string {
	return fmt.Sprintf("Offending symbol: '%s' Line: '%d', Column: '%d' Failure message: '%s' Failing rule: '%s'",
		e.Symbol, e.Line, e.Column, e.Failure, e.Rule)
}

// Detail returns the error in several lines for a terminal: position and failure, the line of the text with a caret
// below the place, and the path of productions.
func (e *Error) Detail() string {
	line, caret := window(e.Source, e.Column-1)
	return fmt.Sprintf("%d:%d: %s\n  | %s\n  | %s^\n  in %s", e.Line, e.Column, e.Failure, line, caret, e.Rule)
}

// Errors is the error of Parse and CheckFor: one or more errors in the order of their position.
type Errors []*Error

// Error returns the messages of all errors.
func (es Errors) Error() string {
	texts := make([]string, len(es))
	for i, e := range es {
		texts[i] = e.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns the single errors.
func (es Errors) Unwrap() []error {
	errs := make([]error, len(es))
	for i, e := range es {
		errs[i] = e
	}
	return errs
}

// reporter collects the errors of one text and knows the path of productions that is being read.
type reporter struct {
	source string
	path   []string
	errs   Errors
	halted bool // no further error is taken
}

// enter adds a production to the path until leave is called.
func (r *reporter) enter(production string) { r.path = append(r.path, production) }

func (r *reporter) leave() { r.path = r.path[:len(r.path)-1] }

// report adds an error at a token. A second error at the same place is a consequence of the first and is dropped.
func (r *reporter) report(at token, format string, args ...any) {
	if r.halted || r.reported(at.pos.offset) {
		return
	}
	r.errs = append(r.errs, &Error{
		Line: at.pos.line, Column: at.pos.column, Symbol: symbol(at), Failure: fmt.Sprintf(format, args...),
		Rule: strings.Join(r.path, " > "), Source: lineAt(r.source, at.pos.offset), offset: at.pos.offset,
	})
	r.halted = len(r.errs) == MaxErrors
}

func (r *reporter) reported(offset int) bool {
	return slices.ContainsFunc(r.errs, func(e *Error) bool { return e.offset == offset })
}

// err returns the errors in the order of their position, or nil.
func (r *reporter) err() error {
	if len(r.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(r.errs, func(a, b *Error) int { return a.offset - b.offset })
	return r.errs
}

func tooLong(size int) error {
	return Errors{{Line: 1, Column: 1, Symbol: endOfText, Rule: "policy",
		Failure: fmt.Sprintf("the policy has %d bytes, at most %d are allowed (policy_text)", size, MaxText)}}
}

func symbol(t token) string {
	if t.name == endOfText {
		return endOfText
	}
	return shorten(printable(t.raw), 64)
}

// lineAt returns the line of the text in which the offset lies, without its break.
func lineAt(text string, offset int) string {
	start := strings.LastIndexAny(text[:offset], "\r\n") + 1
	if start == 0 {
		text = strings.TrimPrefix(text, "\uFEFF")
	}
	start = min(start, len(text))
	return text[start : start+lineLength(text[start:])]
}

// window returns the part of a line around its character at, and the white space that puts a caret below it.
func window(line string, at int) (part, indent string) {
	const before, width = 60, 120
	runes := []rune(line)
	at = min(at, len(runes))
	start := max(0, at-before)
	end := min(len(runes), start+width)
	var pad strings.Builder
	for _, r := range runes[start:at] {
		if r != '\t' {
			r = ' '
		}
		pad.WriteRune(r)
	}
	return printable(string(runes[start:end])), pad.String()
}

// shorten cuts s to about n bytes, at the border of a character.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// printable replaces what could garble a terminal or a log; tabs stay.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}
