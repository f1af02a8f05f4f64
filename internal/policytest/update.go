package policytest

import (
	"cmp"
	"errors"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/assay-attestation/assay/internal/wholefile"
)

// change is a case with the expectation that it is to have.
type change struct {
	*testCase
	found *expectation
}

// errRewrite says that an expectation stands where it cannot be written anew safely.
var errRewrite = errors.New("the expectations cannot be written anew in this layout: nothing was written, edit them by hand")

// update writes the expectations of cases anew in the test file. All other bytes stay as they are, and so do the members
// of an expectation that hold. What it would write is read again first: it must be the same tests with the new
// expectations, or nothing is written.
func (f *testFile) update(changes []change) error {
	e := editor{source: f.source, starts: lineStarts(f.source)}
	for _, c := range changes {
		e.rewrite(c)
	}
	text, err := e.apply()
	if err != nil {
		return err
	}
	if f.newline == "" || !f.sameBut(changes, text) {
		return errRewrite
	}
	text = strings.ReplaceAll(text, "\n", f.newline)
	return wholefile.Replace(f.name, []byte(text))
}

// sameBut reports whether text is the file with nothing but the changes made.
func (f *testFile) sameBut(changes []change, text string) bool {
	other, err := parseFile(f.name, []byte(text))
	if err != nil || len(other.cases) != len(f.cases) {
		return false
	}
	for i := range f.cases {
		want, got := f.cases[i], other.cases[i]
		for _, c := range changes {
			if c.testCase == &f.cases[i] {
				want.expect = c.found
			}
		}
		if (want.expect == nil) != (got.expect == nil) || len(compare(want.expect.members(), got.expect.members(), "")) > 0 {
			return false
		}
		for _, c := range []*testCase{&want, &got} {
			c.expect, c.node, c.line = nil, nil, 0
		}
		if !reflect.DeepEqual(want, got) {
			return false
		}
	}
	return string(other.text) == string(f.text) && other.kind == f.kind
}

// edit puts a text into the place of the bytes from start to end.
type edit struct {
	start, end int
	text       string
}

// editor rewrites expectations in the text of a test file.
type editor struct {
	source string
	starts []int // of the lines, and the end of the text
	edits  []edit
	failed bool
}

func lineStarts(text string) []int {
	starts := []int{0}
	for line := range strings.Lines(text) {
		starts = append(starts, starts[len(starts)-1]+len(line))
	}
	return starts
}

// line returns the line with that number, from 1, without its end.
func (e *editor) line(n int) string {
	if n < 1 || n >= len(e.starts) {
		return ""
	}
	return strings.TrimSuffix(e.source[e.starts[n-1]:e.starts[n]], "\n")
}

// offset returns the byte at which a column begins; columns count characters from 1.
func (e *editor) offset(line, column int) int {
	if line < 1 || line >= len(e.starts) {
		e.failed = true
		return 0
	}
	at := e.starts[line-1]
	for i := range e.line(line) {
		if column--; column == 0 {
			return at + i
		}
	}
	return at + len(e.line(line))
}

func (e *editor) replace(start, end int, text string) {
	e.edits = append(e.edits, edit{start, end, text})
}

// insert puts lines behind the line with that number.
func (e *editor) insert(line int, lines []string) {
	text := strings.Join(lines, "\n") + "\n"
	if line >= len(e.starts) {
		e.failed = true
		return
	}
	at := e.starts[line]
	if at > 0 && e.source[at-1] != '\n' { // the text does not end in a line break
		text = "\n" + text
	}
	e.replace(at, at, text)
}

// remove takes lines away, with their ends.
func (e *editor) remove(first, last int) {
	if last >= len(e.starts) {
		e.failed = true
		return
	}
	e.replace(e.starts[first-1], e.starts[last], "")
}

// apply makes the edits, from the last to the first.
func (e *editor) apply() (string, error) {
	slices.SortStableFunc(e.edits, func(a, b edit) int { return cmp.Compare(b.start, a.start) })
	text, limit := e.source, len(e.source)
	for _, edit := range e.edits {
		if e.failed || edit.start > edit.end || edit.end > limit {
			return "", errRewrite
		}
		text = text[:edit.start] + edit.text + text[edit.end:]
		limit = edit.start
	}
	return text, nil
}

// rewrite makes the edits of one case.
func (e *editor) rewrite(c change) {
	members := c.found.members()
	if c.node.IsFlowStyle {
		e.rewriteInline(c.node, members)
		return
	}
	at := memberOf(c.node, "expect")
	switch {
	case at == nil:
		indent := start(c.node).Column - 1
		lines := append([]string{strings.Repeat(" ", indent) + "expect:"}, block(members, indent+step)...)
		e.insert(e.end(c.node.Values[len(c.node.Values)-1]), lines)
	case at.Value.Type() == ast.NullType:
		e.insert(start(at).Line, block(members, start(at).Column-1+step))
	default:
		e.value(at, c.expect.members(), members)
	}
}

// rewriteInline is rewrite for a case that stands in braces.
func (e *editor) rewriteInline(n *ast.MappingNode, members []member) {
	if at := memberOf(n, "expect"); at != nil {
		e.braces(at, flow(members))
		return
	}
	end := e.offset(n.End.Position.Line, n.End.Position.Column)
	e.replace(end, end, ", expect: "+flow(members))
}

func memberOf(n *ast.MappingNode, name string) *ast.MappingValueNode {
	for _, v := range n.Values {
		if key, ok := v.Key.(*ast.StringNode); ok && key.Value == name {
			return v
		}
	}
	return nil
}

// value rewrites the value of a member, a mapping, from its old to its new members.
func (e *editor) value(at *ast.MappingValueNode, before, after []member) {
	n, ok := at.Value.(*ast.MappingNode)
	switch text := flow(after); {
	case !ok:
		e.failed = true
	case !n.IsFlowStyle:
		e.lines(n, before, after)
	case len(text) <= longest:
		e.braces(at, text)
	default:
		lines := block(after, start(at).Column-1+step)
		e.braces(at, "\n"+strings.Join(lines, "\n"))
	}
}

// braces puts a text in the place of a mapping in braces.
func (e *editor) braces(at *ast.MappingValueNode, text string) {
	n, ok := at.Value.(*ast.MappingNode)
	if !ok || !n.IsFlowStyle || n.End == nil {
		e.failed = true
		return
	}
	from := e.offset(n.Start.Position.Line, n.Start.Position.Column)
	if strings.HasPrefix(text, "\n") {
		from = len(strings.TrimRight(e.source[:from], " "))
	}
	e.replace(from, e.offset(n.End.Position.Line, n.End.Position.Column)+1, text)
}

// lines rewrites a mapping whose members stand on lines of their own. Members that hold keep their lines.
func (e *editor) lines(n *ast.MappingNode, before, after []member) {
	for _, v := range n.Values {
		key, _ := v.Key.(*ast.StringNode)
		old, _ := named(before, key.Value)
		if m, ok := named(after, key.Value); ok {
			e.member(v, old, m)
		} else {
			e.remove(start(v).Line, e.end(v))
		}
	}
	var added []member
	for _, m := range after {
		if memberOf(n, m.name) == nil {
			added = append(added, m)
		}
	}
	if len(added) > 0 {
		e.insert(e.end(n.Values[len(n.Values)-1]), block(added, start(n).Column-1))
	}
}

// member rewrites one member, if it does not hold.
func (e *editor) member(v *ast.MappingValueNode, before, after member) {
	switch {
	case len(compare([]member{before}, []member{after}, "")) == 0:
	case after.members != nil:
		e.value(v, before.members, after.members)
	default:
		first, last := start(v).Line, e.end(v)
		from := e.offset(v.Start.Position.Line, v.Start.Position.Column) + 1
		to := e.offset(last, 1) + len(e.line(last))
		e.replace(from, to, after.value(start(v).Column-1)+e.remark(v, first, last))
	}
}

// remark is the comment behind a value that stands on one line, with the blanks before it.
func (e *editor) remark(v *ast.MappingValueNode, first, last int) string {
	c := v.Value.GetComment()
	if c == nil || first != last || len(c.Comments) == 0 {
		return ""
	}
	at := c.Comments[0].GetToken().Position
	if at.Line != first {
		return ""
	}
	line, from := e.line(first), e.offset(first, at.Column)-e.starts[first-1]
	if from >= len(line) || line[from] != '#' {
		return ""
	}
	return line[len(strings.TrimRight(line[:from], " \t")):]
}

// end is the last line of a member. Comments behind it are not part of it.
func (e *editor) end(v *ast.MappingValueNode) int {
	var tail tail
	ast.Walk(&tail, v)
	indent := start(v).Column
	last := tail.line
	for n := last + 1; n < len(e.starts); n++ {
		text := strings.TrimLeft(e.line(n), " ")
		switch {
		case text == "":
			continue
		case len(e.line(n))-len(text) < indent:
			return last
		case tail.literal || !strings.HasPrefix(text, "#"):
			last = n
		}
	}
	return last
}

// tail finds the last line on which a token of a node begins.
type tail struct {
	line    int
	literal bool // a block of text begins there, in which nothing is a comment
}

// Visit implements [ast.Visitor].
func (t *tail) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.CommentGroupNode, *ast.CommentNode:
		return nil
	case *ast.LiteralNode:
		t.reach(n.Start.Position.Line, true)
		return nil // the place of the text in it is not known
	case *ast.MappingNode:
		if n.End != nil {
			t.reach(n.End.Position.Line, false)
		}
	case *ast.SequenceNode:
		if n.End != nil {
			t.reach(n.End.Position.Line, false)
		}
	}
	t.reach(n.GetToken().Position.Line, false)
	return t
}

func (t *tail) reach(line int, literal bool) {
	if line > t.line || line == t.line && literal {
		t.line, t.literal = line, literal
	}
}
