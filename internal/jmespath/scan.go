package jmespath

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Limits of a query, checked before anything is done that recurses or grows with it.
const (
	// MaxQuery is how many bytes a query may have (jmespath_query).
	MaxQuery = 16 << 10
	// MaxNesting is how deep brackets, braces and parentheses may nest, those of literals included, and signs before an
	// expression may follow each other (jmespath_nesting).
	MaxNesting = 32
)

// scanner walks over a query. It knows the quotes of JMESPath and its brackets, and nothing else of it.
type scanner struct {
	query    string
	at       int
	depth    int
	signs    int // that follow each other: ! & - +
	literals map[string]any
	prefix   string // of the variables that stand for literals
	text     strings.Builder
}

// scan holds a query to the limits. The library reads literals into floating-point numbers; those with an integer that
// has no exact one are taken out: the text returned has variables in their place, and literals has their values.
func scan(query string) (literals map[string]any, text string, err error) {
	if len(query) > MaxQuery {
		return nil, "", fmt.Errorf("the query has %d bytes, at most %d are allowed (jmespath_query)", len(query), MaxQuery)
	}
	s := scanner{query: query, literals: map[string]any{}, prefix: "$literal"}
	for strings.Contains(query, s.prefix) {
		s.prefix += "_"
	}
	for s.at < len(query) {
		if err := s.step(); err != nil {
			return nil, "", err
		}
	}
	return s.literals, s.text.String(), nil
}

// step copies one character or one quoted part.
func (s *scanner) step() error {
	c := s.query[s.at]
	switch c {
	case '\'', '"', '`':
		return s.quoted(c)
	case '[', '{', '(':
		s.depth++
	case ']', '}', ')':
		s.depth--
	case '!', '&', '-', '+', ' ', '\t', '\r', '\n':
		s.signs++
	default:
		s.signs = 0
	}
	if strings.IndexByte(" \t\r\n", c) >= 0 {
		s.signs-- // is no sign and ends no row of them
	}
	s.text.WriteByte(c)
	s.at++
	if max(s.depth, s.signs) > MaxNesting {
		return s.tooDeep()
	}
	return nil
}

func (s *scanner) tooDeep() error {
	return fmt.Errorf("the query nests deeper than %d at offset %d (jmespath_nesting)", MaxNesting, s.at)
}

// quoted copies what stands in quotes; a missing end is left to the parser.
func (s *scanner) quoted(quote byte) error {
	end := s.at + 1
	for end < len(s.query) && s.query[end] != quote {
		if s.query[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end+1, len(s.query))
	part := s.query[s.at:end]
	if quote == '`' {
		replaced, err := s.literal(part)
		if err != nil {
			return err
		}
		part = replaced
	}
	s.text.WriteString(part)
	s.at, s.signs = end, 0
	return nil
}

// What each byte of a literal may cost, which is more than any does.
const (
	stepsPerLiteral = stepsPerNumber
	bytesPerLiteral = bytesPerObject + bytesPerFirst
)

// literal returns what to write for a literal: itself, or a variable.
func (s *scanner) literal(part string) (string, error) {
	inner := strings.ReplaceAll(strings.Trim(part, "`"), "\\`", "`")
	m := Meter{Steps: stepsPerLiteral * MaxQuery, Values: bytesPerLiteral * MaxQuery}
	value, err := parse(inner, MaxNesting-s.depth, &m)
	switch {
	case err == nil && !hasBig(value):
		return part, nil
	case err == nil:
		name := fmt.Sprintf("%s%d", s.prefix, len(s.literals))
		s.literals[name] = value
		return name, nil
	case json.Valid([]byte(inner)): // the parser would take it
		return "", fmt.Errorf("the literal at offset %d: %w", s.at, err)
	}
	return part, nil // the parser says what is wrong
}

// hasBig reports whether a value has an integer without an exact floating-point number.
func hasBig(value any) bool {
	switch v := value.(type) {
	case Integer:
		return true
	case []any:
		for _, member := range v {
			if hasBig(member) {
				return true
			}
		}
	case map[string]any:
		for _, member := range v {
			if hasBig(member) {
				return true
			}
		}
	}
	return false
}
