package jmespath

import (
	"fmt"

	"github.com/jmespath-community/go-jmespath/pkg/parsing"
)

// builder rewrites the tree of a query. What costs more than a step becomes, or is preceded by, a call of a function
// that no query can name (see hook), because the interpreter hands its meter to functions only.
type builder struct {
	literals  map[string]any
	variables int              // that the query binds
	known     map[string]entry // all functions, once one is needed
	used      map[string]entry // those that the query calls
	err       error            // the first
}

// hook is a call of one of our own functions. Names of queries are identifiers and have no NUL.
func hook(name string, args ...parsing.ASTNode) parsing.ASTNode {
	return parsing.ASTNode{NodeType: parsing.ASTFunctionExpression, Value: hookMark + name, Children: args}
}

const hookMark = "\x00"

// The hooks. Those for operators are named after them. A weight is two arguments: steps, and bytes of values.
const (
	hookWeigh   = "weigh"   // (value, weight): pays for looking at each part of the value
	hookSlice   = "slice"   // (value, weight): the same for a value of which a part is taken
	hookStep    = "step"    // (value, weight): pays for one evaluation of an expression reference
	hookFlatten = "flatten" // (value): what [] does
	hookValues  = "values"  // (value, weight): the values of an object in the order of their names, weighed
	hookNegate  = "negate"
	hookNumber  = "number"
)

// identity is the node of the current value.
func identity() parsing.ASTNode { return parsing.ASTNode{NodeType: parsing.ASTIdentity} }

// weight is what one evaluation of a tree costs, beside what depends on values.
type weight struct{ steps, bytes int }

func (w weight) plus(v weight) weight { return weight{w.steps + v.steps, w.bytes + v.bytes} }

// args are the weight as arguments of a hook.
func (w weight) args() []parsing.ASTNode {
	number := func(n int) parsing.ASTNode { return parsing.ASTNode{NodeType: parsing.ASTLiteral, Value: float64(n)} }
	return []parsing.ASTNode{number(w.steps), number(w.bytes)}
}

// The prices of evaluating one node of a tree, and of the nodes that rewriting adds to a projection or an expression
// reference.
const (
	stepsPerNode = 2
	stepsPerHook = 5 * stepsPerNode
)

// node rewrites a tree, children first, and weighs it.
func (b *builder) node(n parsing.ASTNode) (parsing.ASTNode, weight) {
	out := parsing.ASTNode{NodeType: n.NodeType, Value: n.Value, Children: make([]parsing.ASTNode, len(n.Children))}
	weights, w := make([]weight, len(n.Children)), b.weigh(n)
	for i, child := range n.Children {
		if n.NodeType != parsing.ASTBindings {
			b.noBinding(child)
		}
		out.Children[i], weights[i] = b.node(child)
		w = w.plus(weights[i])
	}
	switch n.NodeType {
	case parsing.ASTComparator, parsing.ASTArithmeticExpression:
		return hook(operator(n.Value), out.Children...), w
	case parsing.ASTArithmeticUnaryExpression:
		return hook(map[bool]string{true: hookNegate, false: hookNumber}[operator(n.Value) == "-"], out.Children...), w
	case parsing.ASTFlatten:
		return hook(hookFlatten, out.Children...), w
	case parsing.ASTValueProjection, parsing.ASTProjection, parsing.ASTFilterProjection:
		var right weight
		for _, r := range weights[1:] {
			right = right.plus(r)
		}
		return projection(out, right.args()), w
	case parsing.ASTFunctionExpression:
		b.function(out)
	case parsing.ASTExpRef:
		out.Children[0] = hook(hookStep, append([]parsing.ASTNode{out.Children[0]}, w.args()...)...)
	case parsing.ASTVariable:
		if v, ok := b.literals[n.Value.(string)]; ok {
			return parsing.ASTNode{NodeType: parsing.ASTLiteral, Value: v}, w
		}
	}
	return out, w
}

// noBinding refuses a binding outside of let, which the parser takes anywhere.
func (b *builder) noBinding(n parsing.ASTNode) {
	if n.NodeType == parsing.ASTBinding {
		b.fail("the query is not JMESPath: = compares nothing, == does")
	}
}

// weigh says what a node costs without its children.
func (b *builder) weigh(n parsing.ASTNode) weight {
	w := weight{steps: stepsPerNode}
	switch n.NodeType {
	case parsing.ASTValueProjection, parsing.ASTProjection, parsing.ASTFilterProjection:
		w.steps += stepsPerHook
	case parsing.ASTExpRef:
		return weight{w.steps + stepsPerHook, bytesPerObject}
	case parsing.ASTMultiSelectList:
		w.bytes = arrayBytes(2 * len(n.Children))
	case parsing.ASTMultiSelectHash:
		w.bytes = objectBytes(len(n.Children))
	case parsing.ASTFunctionExpression, parsing.ASTArithmeticExpression, parsing.ASTArithmeticUnaryExpression:
		w.bytes = bytesPerNumber
	case parsing.ASTBinding: // copies all variables
		return weight{w.steps + b.variables, objectBytes(b.variables)}
	}
	return w
}

// countVariables counts the places of a query that bind one.
func countVariables(n parsing.ASTNode) int {
	count := 0
	if n.NodeType == parsing.ASTBinding {
		count = 1
	}
	for _, child := range n.Children {
		count += countVariables(child)
	}
	return count
}

// projection rewrites the three projections, whose right sides run once for each element of the left, at the price w. The
// interpreter takes an error on the left of a filter for null; in a pipe it stays an error.
func projection(n parsing.ASTNode, w []parsing.ASTNode) parsing.ASTNode {
	weighed := func(name string, v parsing.ASTNode) parsing.ASTNode {
		return hook(name, append([]parsing.ASTNode{v}, w...)...)
	}
	left := &n.Children[0]
	switch {
	case n.NodeType == parsing.ASTValueProjection:
		return parsing.ASTNode{NodeType: parsing.ASTProjection, Children: []parsing.ASTNode{weighed(hookValues, *left), n.Children[1]}}
	case n.NodeType == parsing.ASTFilterProjection:
		filter := parsing.ASTNode{NodeType: n.NodeType, Children: []parsing.ASTNode{identity(), n.Children[1], n.Children[2]}}
		return parsing.ASTNode{NodeType: parsing.ASTPipe, Children: []parsing.ASTNode{weighed(hookWeigh, *left), filter}}
	case isSlice(*left): // keeps its form, by which the interpreter knows that strings can be sliced
		left.Children[0] = weighed(hookSlice, left.Children[0])
	default:
		*left = weighed(hookWeigh, *left)
	}
	return n
}

func isSlice(n parsing.ASTNode) bool {
	return n.NodeType == parsing.ASTIndexExpression && n.Children[1].NodeType == parsing.ASTSlice
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
