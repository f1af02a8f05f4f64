package policytest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/assay-attestation/assay/policy"
)

// member is a member of an expectation as a test file writes it: with a text, or with members of its own.
type member struct {
	name    string
	text    string // YAML on one line
	members []member
}

// flow writes members on one line.
func flow(members []member) string {
	parts := make([]string, len(members))
	for i, m := range members {
		text := m.text
		if m.members != nil {
			text = flow(m.members)
		}
		parts[i] = quote(m.name) + ": " + text
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// block writes members on lines of their own, indented by as many blanks.
func block(members []member, indent int) []string {
	var lines []string
	for _, m := range members {
		line := strings.Repeat(" ", indent) + quote(m.name) + ":"
		if m.members == nil {
			lines = append(lines, line+" "+m.text)
			continue
		}
		lines = append(append(lines, line), block(m.members, indent+step)...)
	}
	return lines
}

// step is how much deeper the members of a member are indented.
const step = 2

// named finds a member by its name.
func named(members []member, name string) (member, bool) {
	i := slices.IndexFunc(members, func(m member) bool { return m.name == name })
	if i < 0 {
		return member{}, false
	}
	return members[i], true
}

// valueText writes a value so that it is read as the same value again.
func valueText(v policy.Value) string {
	if text, ok := v.Text(); ok {
		return quote(text)
	}
	return v.String()
}

// valuesText writes the values of one claim type as a token has them: several as a list.
func valuesText(values []policy.Value, isList bool) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = valueText(v)
	}
	if !isList {
		return texts[0]
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// plain is text that no reader of YAML takes for anything else, unless it is one of reserved.
var plain = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*( [A-Za-z0-9_.-]+)*$`)

// reserved are the words that some readers of YAML take for a boolean, for nothing or for a number.
func reserved() []string {
	return []string{"true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"}
}

// quote writes a text, in quotes where it needs them.
func quote(s string) string {
	if plain.MatchString(s) && !slices.Contains(reserved(), strings.ToLower(s)) {
		return s
	}
	b := []byte{'"'}
	for _, r := range s {
		b = appendQuoted(b, r)
	}
	return string(append(b, '"'))
}

// appendQuoted appends a character of a text in double quotes. What cannot be seen is escaped.
func appendQuoted(b []byte, r rune) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(b, '\\', byte(r))
	case r == '\n':
		return append(b, `\n`...)
	case r == '\t':
		return append(b, `\t`...)
	case unicode.IsPrint(r):
		return utf8.AppendRune(b, r)
	case r > 0xFFFF:
		return fmt.Appendf(b, `\U%08X`, r)
	}
	return fmt.Appendf(b, `\u%04X`, r)
}
