package policytest

import (
	"crypto/sha256"
	"encoding/hex"
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
	text    string   // YAML on one line
	items   []string // of a text that is a list
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
			lines = append(lines, line+m.value(indent))
			continue
		}
		lines = append(append(lines, line), block(m.members, indent+step)...)
	}
	return lines
}

// value writes what stands behind the name and the colon of a member without members: its text, or a long list on
// lines of its own.
func (m member) value(indent int) string {
	if len(m.text) <= longest || m.items == nil {
		return " " + m.text
	}
	between := "\n" + strings.Repeat(" ", indent+step) + "- "
	return between + strings.Join(m.items, between)
}

// longest is how long a mapping in braces or a list in brackets may get before it is written on several lines.
const longest = 100

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

// written is how many bytes of a string are written out. Of a longer one its digest and its length are written.
const written = 1000

// valueText writes a value so that it is read as the same value again.
func valueText(v policy.Value) string {
	text, ok := v.Text()
	switch {
	case !ok:
		return v.String()
	case len(text) <= written:
		return quote(text)
	}
	return digestText(hex.EncodeToString(digest(text)), len(text))
}

func digest(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// digestText writes a long string.
func digestText(sha256 string, length int) string {
	return fmt.Sprintf("{sha256: %q, length: %d}", sha256, length)
}

// claimMember writes the values of one claim type as a token has them: several as a list.
func claimMember(name string, values []string, isList bool) member {
	if !isList {
		return member{name: name, text: values[0]}
	}
	return member{name: name, text: "[" + strings.Join(values, ", ") + "]", items: values}
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
