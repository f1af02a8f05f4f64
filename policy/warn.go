package policy

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Warning is something in a valid policy that its author hardly meant.
type Warning struct {
	Line, Column int    // where the doubtful text starts; from 1, in characters
	EndColumn    int    // behind its last character on that line
	Code         string // one of WarningCodes
	Text         string // what is wrong, and what it really does
	Fix          string // the policy text to write in place of the doubtful one; "" if there is no single one
}

// The limits of warnings.
const (
	// MaxWarnings is how many warnings a policy gets; the rest is left out.
	MaxWarnings = 100
	// maxSearches is for how many unknown names the known one that was meant is looked for.
	maxSearches = 128
	// maxFix is how long a Fix may be, in bytes: longer ones are left out.
	maxFix = 512
)

// Warnings returns what is doubtful in the policy, in the order of the text, MaxWarnings at most. attestationType is
// the name of the service's URLs: "SgxEnclave". With "", or a name that is not known, what depends on the claims of
// an attestation type is not looked at. A policy with warnings is valid, and is evaluated as it stands.
func (p *Policy) Warnings(attestationType string) []Warning {
	w := newWarner(p, attestationType)
	w.policy(p.tree)
	found := append(w.verdicts.warnings(w), w.found...)
	found = found[:min(len(found), MaxWarnings)]
	slices.SortStableFunc(found, func(a, b Warning) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return found
}

// warner looks for what is doubtful in one policy. It reads the rules once, in their order, and what it does for a
// rule grows with the length of that rule only.
type warner struct {
	source   string
	minor    int // of the version
	catalog  catalog
	makers   map[string]int // by name: the line of the first rule that makes claims of it
	searches int            // for names that were meant, which are left
	verdicts verdicts
	found    []Warning
}

func newWarner(p *Policy, attestationType string) *warner {
	return &warner{
		source: p.text, minor: p.tree.version.minor, searches: maxSearches,
		catalog: newCatalog(attestationType), makers: makers(p.tree),
	}
}

func (w *warner) policy(tree *policyNode) {
	all := newWorld()
	for i := range tree.sections {
		s := &tree.sections[i]
		switch s.kind {
		case configSection:
			w.section(s, newWorld()) // the other sections see nothing of it
			continue
		case authSection:
			w.verdicts.keyword = s.keyword
		}
		w.section(s, all)
	}
}

func (w *warner) section(s *sectionNode, world *world) {
	for i := range s.rules {
		r := &ruleView{section: s.kind, node: &s.rules[i], world: world, labels: map[string]*conditionView{}}
		w.conditions(r)
		w.duplicate(r)
		w.action(r)
		if s.kind == authSection {
			w.verdicts.take(r)
		}
		world.take(r)
	}
}

// mark is a part of the text, which a warning shows as far as its first line goes.
type mark struct {
	start position
	end   int // offset
}

func (t token) mark() mark          { return mark{t.pos, t.end()} }
func (n *conditionNode) mark() mark { return mark{n.start, n.end} }
func (n *ruleNode) mark() mark      { return mark{n.start, n.end} }

// report adds a warning, unless there are enough.
func (w *warner) report(m mark, code, fix, format string, args ...any) {
	if len(w.found) < MaxWarnings {
		w.found = append(w.found, w.warning(m, code, fix, fmt.Sprintf(format, args...)))
	}
}

func (w *warner) warning(m mark, code, fix, text string) Warning {
	shown := w.source[m.start.offset:m.end]
	if n := lineLength(shown); n < len(shown) || len(fix) > maxFix {
		shown, fix = shown[:n], ""
	}
	return Warning{
		Line: m.start.line, Column: m.start.column, EndColumn: m.start.column + utf8.RuneCountInString(shown),
		Code: code, Text: printable(text), Fix: fix,
	}
}

// mark returns the part of the text that an expression takes.
func (w *warner) mark(e exprNode) mark {
	m := e.where().mark()
	switch n := e.(type) {
	case literalNode:
		if n.start.name == "-" { // the number is a word of its own
			l := lexer{text: w.source, at: n.start.pos}
			l.next()
			m.end = l.next().end()
		}
	case referenceNode:
		m.end = n.property.end()
	case callNode:
		m.end = n.end
	}
	return m
}

// testMark returns the part of the text that a test takes.
func (w *warner) testMark(t *testNode) mark { return mark{t.property.pos, w.mark(t.right).end} }

// literal returns how a policy writes the value.
func (v Value) literal() string {
	if v.kind == String {
		return quoteLiteral(v.text)
	}
	return v.String()
}

// quoteLiteral returns how a policy writes the string.
func quoteLiteral(s string) string {
	if strings.ContainsAny(s, `"\\`) {
		s = strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`)
	}
	return `"` + s + `"`
}
