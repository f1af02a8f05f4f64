package policytest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/assay-attestation/assay/policy"
)

// parseYAML reads one YAML document whose top is a mapping. Anchors, aliases, merge keys and tags are refused: what a
// line of a test says must be seen in it.
func parseYAML(b []byte) (*ast.MappingNode, error) {
	if err := bound(b); err != nil {
		return nil, err
	}
	file, err := parser.ParseBytes(b, parser.ParseComments)
	if err != nil {
		return nil, syntax(err)
	}
	var top *ast.MappingNode
	if len(file.Docs) == 1 {
		top, _ = file.Docs[0].Body.(*ast.MappingNode)
	}
	if top == nil {
		return nil, errors.New("1:1: expected one YAML document with the members policy, type and cases")
	}
	var s screen
	ast.Walk(&s, top)
	return top, s.err
}

// bound holds a text to the limits that keep the parser's work in proportion: it takes long over long lines and over
// brackets in brackets.
func bound(b []byte) error {
	if len(b) > MaxFile {
		return fmt.Errorf("1:1: %w", tooMany(MaxFile, "bytes"))
	}
	if bytes.HasPrefix(b, []byte("\uFEFF")) {
		return errors.New("1:1: the file begins with a byte-order mark: save it without")
	}
	if bytes.Count(b, []byte("\n")) >= MaxLines {
		return fmt.Errorf("1:1: %w", tooMany(MaxLines, "lines"))
	}
	n, open := 0, 0
	for line := range bytes.Lines(b) {
		n++
		if len(line) > MaxLine {
			return fmt.Errorf("%d:1: expected at most %d bytes on a line, found %d: put long claims into a claims file", n, MaxLine, len(line))
		}
		for _, c := range line {
			switch c {
			case '[', '{':
				open++
			case ']', '}':
				open = max(0, open-1)
			}
			if open > MaxOpen {
				return fmt.Errorf("%d:1: expected at most %d open brackets, found more", n, MaxOpen)
			}
		}
	}
	return nil
}

// syntax gives an error of the YAML parser on one line.
func syntax(err error) error {
	if e, ok := errors.AsType[yaml.Error](err); ok && e.GetToken() != nil {
		at := e.GetToken().Position
		return fmt.Errorf("%d:%d: %s", at.Line, at.Column, e.GetMessage())
	}
	return err
}

// screen looks for what test files may not use.
type screen struct{ err error }

// Visit implements [ast.Visitor].
func (s *screen) Visit(n ast.Node) ast.Visitor {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode, *ast.TagNode, *ast.DirectiveNode, *ast.MappingKeyNode:
		if s.err == nil {
			s.err = wrong(n, "anchors, aliases, merge keys, tags and complex keys are not for test files")
		}
	}
	if s.err != nil {
		return nil
	}
	return s
}

// wrong is an error at the place of a node.
func wrong(n ast.Node, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	at := start(n)
	return fmt.Errorf("%d:%d: %w", at.Line, at.Column, err)
}

// start is where a node begins. The token of a block mapping is its first colon, that of a member its own.
func start(n ast.Node) *token.Position {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return start(n.Values[0])
		}
	case *ast.MappingValueNode:
		return start(n.Key)
	}
	return n.GetToken().Position
}

// readers read the members of a mapping, each by its name.
type readers map[string]func(ast.Node) error

// read reads a mapping, whose members must all be known.
func (r readers) read(n ast.Node) error {
	known := strings.Join(slices.Sorted(maps.Keys(r)), ", ")
	return eachMember(n, "a mapping with the members "+known, func(key *ast.StringNode, value ast.Node) error {
		read, ok := r[key.Value]
		if !ok {
			return wrong(key, "unknown member %q, expected one of %s", key.Value, known)
		}
		return read(value)
	})
}

// eachMember hands out the members of a mapping. The names are those of the text; the parser refuses one that stands
// twice.
func eachMember(n ast.Node, expected string, take func(key *ast.StringNode, value ast.Node) error) error {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		return wrong(n, "expected %s, found %s", expected, describe(n))
	}
	for _, v := range m.Values {
		key, ok := v.Key.(*ast.StringNode)
		if !ok {
			return wrong(v.Key, "expected a name, found %s: put it in quotes if it is text", describe(v.Key))
		}
		if err := take(key, v.Value); err != nil {
			return err
		}
	}
	return nil
}

// describe names what a node is.
func describe(n ast.Node) string {
	switch n := n.(type) {
	case *ast.MappingNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "nothing"
	default:
		return fmt.Sprintf("%.40q", n.GetToken().Value)
	}
}

// textOf reads a text.
func textOf(n ast.Node) (string, error) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	}
	return "", wrong(n, "expected text, found %s: put it in quotes if it is text", describe(n))
}

// textVar makes a reader of a text that must not be empty.
func textVar(s *string) func(ast.Node) error {
	return func(n ast.Node) (err error) {
		if *s, err = textOf(n); err == nil && *s == "" {
			err = wrong(n, "expected text, found none")
		}
		return err
	}
}

// numberVar makes a reader of a number from 1.
func numberVar(v *int) func(ast.Node) error {
	return func(n ast.Node) error {
		number, ok := n.(*ast.IntegerNode)
		if ok {
			*v, _ = strconv.Atoi(number.Token.Value)
		}
		if *v <= 0 {
			return wrong(n, "expected a number from 1, found %s", describe(n))
		}
		return nil
	}
}

var decimal = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)

// valueOf reads the value of a claim. What YAML writes in several ways is taken in one only, so that a digest of digits
// is no number by accident and a number no other one.
func valueOf(n ast.Node) (policy.Value, error) {
	const expected = "expected a string, a decimal integer within 64 bits, true or false"
	switch n := n.(type) {
	case *ast.StringNode:
		if n.Token.Type != token.StringType || !ambiguous(n.Value) { // any other type has quotes
			return policy.StringValue(n.Value), nil
		}
	case *ast.LiteralNode:
		return policy.StringValue(n.Value.Value), nil
	case *ast.BoolNode:
		if n.Token.Value == "true" || n.Token.Value == "false" {
			return policy.BooleanValue(n.Value), nil
		}
	case *ast.IntegerNode:
		number, err := strconv.ParseInt(n.Token.Value, 10, 64)
		if err == nil && decimal.MatchString(n.Token.Value) {
			return policy.IntegerValue(number), nil
		}
	}
	return policy.Value{}, wrong(n, "%s, found %s: put it in quotes if it is text", expected, describe(n))
}

// float is a number as YAML's core schema has it, also where our parser takes it for text.
var float = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)

// ambiguous says whether text without quotes is a boolean or a number to some readers of YAML.
func ambiguous(text string) bool {
	return float.MatchString(text) || slices.Contains(reserved(), strings.ToLower(text))
}

// elementsOf returns the elements of a list, or what is no list as the only one.
func elementsOf(n ast.Node) (elements []ast.Node, isList bool) {
	if list, ok := n.(*ast.SequenceNode); ok {
		return list.Values, true
	}
	return []ast.Node{n}, false
}
