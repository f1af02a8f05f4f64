package jmespath

import (
	"fmt"

	"github.com/jmespath-community/go-jmespath/pkg/parsing"
)

// builder rewrites the tree of a query. What costs more than a step becomes, or is preceded by, a call of a function
// that no query can name (see hook), because the interpreter hands its meter to functions only.
type builder struct {
	literals map[string]any
	known    map[string]entry // all functions, once one is needed
	used     map[string]entry // those that the query calls
	err      error            // the first
}

// hook is a call of one of our own functions. Names of queries are identifiers and have no NUL.
func hook(name string, args ...parsing.ASTNode) parsing.ASTNode {
	return parsing.ASTNode{NodeType: parsing.ASTFunctionExpression, Value: hookMark + name, Children: args}
}

const hookMark = "\x00"

// The hooks. Those for operators are named after them.
const (
	hookWeigh   = "weigh"   // (value, weight): pays for looking at each part of the value
	hookStep    = "step"    // (value, weight): pays for one evaluation of an expression reference
	hookFlatten = "flatten" // (value): what [] does
	hookEach    = "each"    // (value, weight): the values of an object in the order of their names, weighed
	hookNegate  = "negate"
	hookNumber  = "number"
)

// identity is the node of the current value.
func identity() parsing.ASTNode { return parsing.ASTNode{NodeType: parsing.ASTIdentity} }

// node rewrites a tree, children first.
func (b *builder) node(n parsing.ASTNode) parsing.ASTNode {
	out := b.inside(n)
	switch n.NodeType {
	case parsing.ASTBinding: // the library's parser takes it anywhere, its interpreter in let only
		b.fail("the query is not JMESPath: = compares nothing, == does")
	case parsing.ASTComparator, parsing.ASTArithmeticExpression:
		return hook(operator(n.Value), out.Children...)
	case parsing.ASTArithmeticUnaryExpression:
		return hook(map[bool]string{true: hookNegate, false: hookNumber}[operator(n.Value) == "-"], out.Children...)
	case parsing.ASTFlatten:
		return hook(hookFlatten, out.Children...)
	case parsing.ASTValueProjection, parsing.ASTProjection, parsing.ASTFilterProjection:
		return projection(out)
	case parsing.ASTFunctionExpression:
		b.function(out)
	case parsing.ASTExpRef:
		out.Children[0] = hook(hookStep, out.Children[0], number64(weight(out.Children[0])))
	case parsing.ASTVariable:
		if v, ok := b.literals[n.Value.(string)]; ok {
			return parsing.ASTNode{NodeType: parsing.ASTLiteral, Value: v}
		}
	}
	return out
}

// inside rewrites the trees below a node.
func (b *builder) inside(n parsing.ASTNode) parsing.ASTNode {
	out := parsing.ASTNode{NodeType: n.NodeType, Value: n.Value, Children: make([]parsing.ASTNode, len(n.Children))}
	for i, child := range n.Children {
		if n.NodeType == parsing.ASTBindings && child.NodeType == parsing.ASTBinding {
			out.Children[i] = b.inside(child)
		} else {
			out.Children[i] = b.node(child)
		}
	}
	return out
}

// projection rewrites the three projections, whose right sides run once for each element of the left. The
// interpreter takes an error on the left of a filter for null; in a pipe it stays an error.
func projection(n parsing.ASTNode) parsing.ASTNode {
	w := number64(weight(n.Children[1:]...))
	left := &n.Children[0]
	switch {
	case n.NodeType == parsing.ASTValueProjection:
		return parsing.ASTNode{NodeType: parsing.ASTProjection, Children: []parsing.ASTNode{hook(hookEach, *left, w), n.Children[1]}}
	case n.NodeType == parsing.ASTFilterProjection:
		filter := parsing.ASTNode{NodeType: n.NodeType, Children: []parsing.ASTNode{identity(), n.Children[1], n.Children[2]}}
		return parsing.ASTNode{NodeType: parsing.ASTPipe, Children: []parsing.ASTNode{hook(hookWeigh, *left, w), filter}}
	case isSlice(*left): // keeps its form, by which the interpreter knows that strings can be sliced
		left.Children[0] = hook(hookWeigh, left.Children[0], w)
	default:
		*left = hook(hookWeigh, *left, w)
	}
	return n
}

func isSlice(n parsing.ASTNode) bool {
	return n.NodeType == parsing.ASTIndexExpression && n.Children[1].NodeType == parsing.ASTSlice
}

func number64(n int) parsing.ASTNode {
	return parsing.ASTNode{NodeType: parsing.ASTLiteral, Value: float64(n)}
}

// stepsPerNode is the price of evaluating one node of a tree.
const stepsPerNode = 2

// weight is what one evaluation of trees costs.
func weight(trees ...parsing.ASTNode) int {
	n := 0
	for _, t := range trees {
		n += stepsPerNode + weight(t.Children...)
	}
	return n
}

// function checks the name and the number of arguments of a call.
func (b *builder) function(n parsing.ASTNode) {
	name := n.Value.(string)
	if b.known == nil {
		b.known, b.used = table(), map[string]entry{}
	}
	f, ok := b.known[name]
	b.used[name] = f
	if !ok {
		b.fail("the query calls %s, which is no function of JMESPath", shorten(name))
		return
	}
	least, most := f.arity()
	switch count := len(n.Children); {
	case count < least, most >= 0 && count > most:
		b.fail("the query calls %s with %d arguments, expected %s", name, count, f.counts())
	}
}

func (b *builder) fail(format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf(format, args...)
	}
}

// operator writes the operator that a node of the library stands for.
func operator(token any) string {
	switch token {
	case parsing.TOKEQ:
		return "=="
	case parsing.TOKNE:
		return "!="
	case parsing.TOKLT:
		return "<"
	case parsing.TOKLTE:
		return "<="
	case parsing.TOKGT:
		return ">"
	case parsing.TOKGTE:
		return ">="
	case parsing.TOKPlus:
		return "+"
	case parsing.TOKMinus:
		return "-"
	case parsing.TOKStar, parsing.TOKMultiply:
		return "*"
	case parsing.TOKDivide:
		return "/"
	case parsing.TOKModulo:
		return "%"
	}
	return "//"
}
