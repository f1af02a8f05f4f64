package jmespath

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jmespath-community/go-jmespath/pkg/parsing"
)

// Doubt is something in a query that compiles and is hardly what its author meant (policy.md sections 7.1 and 16).
type Doubt struct {
	Code string // a stable word
	Text string // what it really does, and what to write instead
}

// The codes of doubts.
const (
	NumberAsString = "number-as-string"
	ListNotNull    = "list-never-null"
	BareWord       = "bare-word"
	SmallEvents    = "small-events"
	HexDigest      = "hex-digest"
	NotStandard    = "not-standard-jmespath"
)

// Doubts returns what is doubtful in a query, each thing once; nil for one that does not compile.
func Doubts(query string) []Doubt {
	if _, err := Compile(query); err != nil {
		return nil
	}
	_, text, err := scan(query)
	if err != nil {
		return nil
	}
	tree, err := parsing.NewParser().Parse(text)
	if err != nil {
		return nil
	}
	var d doubter
	d.visit(tree, false)
	return d.found
}

type doubter struct{ found []Doubt }

func (d *doubter) add(code, format string, args ...any) {
	doubt := Doubt{code, fmt.Sprintf(format, args...)}
	if !slices.Contains(d.found, doubt) {
		d.found = append(d.found, doubt)
	}
}

// visit looks at a node and those below it. list says that the current value there is a list, and so never null.
func (d *doubter) visit(n parsing.ASTNode, list bool) {
	switch n.NodeType {
	case parsing.ASTPipe:
		d.visit(n.Children[0], list)
		d.visit(n.Children[1], isList(n.Children[0], list))
		return
	case parsing.ASTComparator:
		d.comparison(n, list)
	case parsing.ASTField:
		d.field(n.Value.(string))
	case parsing.ASTFunctionExpression:
		if name := n.Value.(string); !standard(name) && name != equalsIgnoreCase {
			d.add(NotStandard, "the function %s is not of standard JMESPath; Microsoft's service may not have it", name)
		}
	case parsing.ASTArithmeticExpression, parsing.ASTArithmeticUnaryExpression:
		d.add(NotStandard, "calculating with %s is not of standard JMESPath; Microsoft's service may not have it", operator(n.Value))
	case parsing.ASTLetExpression:
		d.add(NotStandard, "let is not of standard JMESPath; Microsoft's service may not have it")
	case parsing.ASTRootNode:
		d.add(NotStandard, "the root node $ is not of standard JMESPath; Microsoft's service may not have it")
	}
	if isSlice(n) && isText(n.Children[0]) {
		d.add(NotStandard, "slices of strings are not of standard JMESPath; Microsoft's service may not have them")
	}
	for _, child := range n.Children {
		d.visit(child, false)
	}
}

func isText(n parsing.ASTNode) bool {
	_, ok := n.Value.(string)
	return ok && n.NodeType == parsing.ASTLiteral
}

// isList reports whether a node gives a list whenever it is given one.
func isList(n parsing.ASTNode, list bool) bool {
	switch n.NodeType {
	case parsing.ASTProjection, parsing.ASTFilterProjection, parsing.ASTFlatten, parsing.ASTMultiSelectList:
		return true
	case parsing.ASTCurrentNode:
		return list
	case parsing.ASTPipe:
		return isList(n.Children[1], isList(n.Children[0], list))
	}
	return false
}

func (d *doubter) comparison(n parsing.ASTNode, list bool) {
	left, right := n.Children[0], n.Children[1]
	for _, pair := range [][2]parsing.ASTNode{{left, right}, {right, left}} {
		side, other := pair[0], pair[1]
		d.againstString(side, other)
		if isNull(other) && isList(side, list) && (operator(n.Value) == "!=" || operator(n.Value) == "==") {
			d.add(ListNotNull, "a filter or projection gives a list, perhaps an empty one, and a list is never null: "+
				"the comparison with null is always %v, whether anything was found or not. Write length(@) > `0`", operator(n.Value) == "!=")
		}
	}
}

// againstString looks at a comparison with a raw string.
func (d *doubter) againstString(side, other parsing.ASTNode) {
	text, ok := other.Value.(string)
	if !ok || other.NodeType != parsing.ASTLiteral {
		return
	}
	switch name := lastName(side); {
	case text != "" && strings.Trim(text, "0123456789") == "" && isNumeric(side, name):
		d.add(NumberAsString, "%s is a number and '%s' a string: they are never equal and have no order. Write `%s`", name, text, text)
	case digest(name) && len(text) >= 40 && strings.Trim(text, "0123456789abcdefABCDEF") == "":
		d.add(HexDigest, "the digests of pcrs are base64url unless the provider sets tpm_pcr_digest_text to hex: "+
			"%s never equals the hexadecimal '%s' otherwise", name, shorten(text))
	}
}

// isNull recognises the literal null and the field that is taken for it.
func isNull(n parsing.ASTNode) bool {
	return n.NodeType == parsing.ASTLiteral && n.Value == nil || n.NodeType == parsing.ASTField && n.Value == "null"
}

// lastName is the name of the field or function whose value a node gives.
func lastName(n parsing.ASTNode) string {
	switch n.NodeType {
	case parsing.ASTField, parsing.ASTFunctionExpression:
		return n.Value.(string)
	case parsing.ASTSubexpression:
		return lastName(n.Children[1])
	}
	return ""
}

// isNumeric tells functions whose result is a number, and the members of events that are (tpm.md section 9.1).
func isNumeric(n parsing.ASTNode, name string) bool {
	if n.NodeType == parsing.ASTFunctionExpression {
		return slices.Contains([]string{"length", "sum", "avg", "abs", "ceil", "floor", "to_number"}, name)
	}
	return slices.Contains([]string{"PcrIndex", "EventSeq", "EventType", "Index", "Value"}, name)
}

// digest tells the members of pcrs that are digests (tpm.md section 9.3).
func digest(name string) bool {
	return slices.Contains([]string{"SHA1", "SHA256", "SHA384", "SHA512"}, name)
}

// field looks at a bare word.
func (d *doubter) field(name string) {
	switch name {
	case "null", "true", "false":
		d.add(BareWord, "%s is the name of a member here, not the value: it is null unless the JSON has such a member. Write `%[1]s`", name)
	case "events":
		d.add(SmallEvents, "the list of events is called Events: events is null, and so is all that is found in it")
	}
}

// standard tells the functions of jmespath.org.
func standard(name string) bool {
	return slices.Contains([]string{
		"abs", "avg", "ceil", "contains", "ends_with", "floor", "join", "keys", "length", "map", "max", "max_by", "merge",
		"min", "min_by", "not_null", "reverse", "sort", "sort_by", "starts_with", "sum", "to_array", "to_number",
		"to_string", "type", "values",
	}, name)
}
