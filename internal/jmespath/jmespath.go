// Package jmespath runs JMESPath queries of policies (policy.md section 7.1). Parser and interpreter are those of
// github.com/jmespath-community/go-jmespath; what stands here makes them fit for queries and documents of strangers:
//
//   - length and nesting are checked before a query is compiled (scan.go);
//   - the syntax tree is rewritten so that every step whose cost depends on the document pays for it first, and
//     errors are never swallowed (tree.go);
//   - integers are exact however large, and members of objects come in the order of their names (number.go,
//     functions.go);
//   - the function equals_ignore_case is added.
//
// A search is a pure function of query, document and meter.
package jmespath

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jmespath-community/go-jmespath/pkg/interpreter"
	"github.com/jmespath-community/go-jmespath/pkg/parsing"
)

// Query is a compiled query. It may be used by any number of goroutines.
type Query struct {
	tree  parsing.ASTNode
	calls map[string]entry
	once  weight // what one evaluation costs at least
}

// Compile reads a query of at most MaxQuery bytes, nested at most MaxNesting deep. Unknown functions and wrong numbers
// of arguments are errors too.
func Compile(query string) (q *Query, err error) {
	defer recovered(&err, "the query cannot be read")
	literals, text, err := scan(query)
	if err != nil {
		return nil, err
	}
	tree, err := parsing.NewParser().Parse(text)
	if err != nil {
		return nil, syntaxError(query, text, err)
	}
	b := builder{literals: literals, variables: countVariables(tree)}
	b.noBinding(tree)
	run, once := b.node(tree)
	if b.err != nil {
		return nil, b.err
	}
	return &Query{tree: run, calls: b.used, once: once}, nil
}

// syntaxError gives an error of the parser with the place in the query. Where literals were taken out of the text, the
// place is not known.
func syntaxError(query, text string, err error) error {
	var s parsing.SyntaxError
	message := words(err.Error())
	if !errors.As(err, &s) || query != text {
		return fmt.Errorf("the query is not JMESPath: %s", message)
	}
	at := min(max(s.Offset, 0), len(query))
	return fmt.Errorf("the query is not JMESPath: %s at offset %d, before %q", message, at, shorten(query[at:]))
}

// words writes a message of the parser with the signs that it has names for.
func words(message string) string {
	message = strings.TrimPrefix(message, "SyntaxError: ")
	return strings.NewReplacer(
		"TOKNumber", "a number (write `1` in back-ticks)", "TOKEOF", "the end", "TOKRbracket", "]", "TOKLbracket", "[",
		"TOKRparen", ")", "TOKLparen", "(", "TOKRbrace", "}", "TOKLbrace", "{", "TOKComma", "a comma", "TOKColon", "a colon",
		"TOKUnquotedIdentifier", "a name", "TOKQuotedIdentifier", "a quoted name", "TOKAssign", "=, where == compares",
		"TOKStringLiteral", "a string", "TOKJSONLiteral", "a literal", "TOKDot", "a dot", "TOKStar", "*", "TOKFlatten", "[]",
		"TOKFilter", "[?", "TOKCurrent", "@", "TOKPipe", "|", "TOKAnd", "&&", "TOKOr", "||", "TOKNot", "!", "TOK", "",
		"tQuotedIdentifier or tUnquotedIdentifier", "a name", "tColon or tNumber", "a colon or a number",
		"lbracket, or lbrace", "[ or {",
	).Replace(message)
}

// Search runs the query over a document of Parse. The result is made of the same types. Errors are a call that the
// query's functions do not take, or those of the meter.
func (q *Query) Search(document any, m *Meter) (result any, err error) {
	defer recovered(&err, "the query cannot be run")
	m.Values -= q.once.bytes
	if err := m.Spend(q.once.steps); err != nil {
		return nil, err
	}
	return interpreter.NewInterpreter(document, &caller{m, q.calls}, nil).Execute(q.tree, document)
}

// recovered turns a panic of the library into an error.
func recovered(err *error, what string) {
	if fault := recover(); fault != nil {
		*err = fmt.Errorf("%s: %v", what, fault)
	}
}

// Meter is what work may still cost. The figures fall; below zero the work ends.
type Meter struct {
	Steps   int             // about one for each value looked at
	Strings int             // bytes of the strings that are made
	Values  int             // bytes of memory for the values that are read or made, strings that are made not counted
	Done    <-chan struct{} // closed when nobody waits any more; nil: somebody does
}

// The errors of a meter that has run out.
var (
	ErrSteps   = errors.New("the evaluation takes too many steps")
	ErrStrings = errors.New("the evaluation makes too many bytes of strings (function_string_bytes)")
	ErrValues  = errors.New("the evaluation reads or makes too many bytes of values")
	ErrDone    = errors.New("the evaluation was stopped: its time is over")
)

// Spend takes steps.
func (m *Meter) Spend(steps int) error {
	m.Steps -= steps
	return m.Err()
}

// Write takes the bytes of a string before it is made.
func (m *Meter) Write(bytes int) error {
	m.Strings -= bytes
	if m.Strings < 0 {
		return ErrStrings
	}
	return m.Spend(bytes / bytesPerStep)
}

// Err returns why the work must end, or nil.
func (m *Meter) Err() error {
	switch {
	case m.Steps < 0:
		return ErrSteps
	case m.Values < 0:
		return ErrValues
	case m.Done == nil:
		return nil
	}
	select {
	case <-m.Done:
		return ErrDone
	default:
		return nil
	}
}

// bytesPerStep is how many bytes of a string are looked at or copied for one step.
const bytesPerStep = 64

// shorten cuts s for a message, between characters.
func shorten(s string) string {
	const most = 60
	for i := range s {
		if i > most {
			return s[:i] + "…"
		}
	}
	return s
}
