package policy

import (
	"fmt"
	"strings"
)

// Describe writes the trace for a person: the rules in order, each with its line of the policy and a caret below the place,
// what its conditions were compared with, the values of its function calls, and the claims it made. The rule that
// decided is marked.
func (p *Policy) Describe(t *Trace) string {
	w := &traceWriter{policy: p, trace: t}
	for i := range t.Rules {
		w.rule(&t.Rules[i])
	}
	if t.Truncated {
		w.line(0, "(the trace is longer than %d entries: rules that decided nothing are left out)", MaxTrace)
	}
	w.line(0, "%s", t.conclusion())
	return w.out.String()
}

// conclusion says how the evaluation ended.
func (t *Trace) conclusion() string {
	if t.Verdict != Permitted {
		return string(t.Verdict) + ": " + printable(t.Message)
	}
	return fmt.Sprintf("permit: by the rule at %v", *t.Decisive)
}

type traceWriter struct {
	policy  *Policy
	trace   *Trace
	out     strings.Builder
	section string // the one that was written last
}

func (w *traceWriter) line(indent int, format string, args ...any) {
	w.out.WriteString(strings.Repeat("  ", indent))
	fmt.Fprintf(&w.out, format, args...)
	w.out.WriteByte('\n')
}

func (w *traceWriter) rule(r *RuleTrace) {
	if r.Section != w.section {
		w.section = r.Section
		w.line(0, "%s", r.Section)
	}
	w.line(1, "%v: %s%s", r.Rule, r.state(), w.mark(r))
	w.source(r.Rule)
	for i := range r.Conditions {
		w.condition(&r.Conditions[i])
	}
	w.calls(2, r.Calls)
	for _, m := range r.Made {
		w.line(2, "%s %s", map[bool]string{false: r.Effect, true: "known already:"}[m.Known], describeClaim(m.Claim))
	}
	if r.Error != "" {
		w.line(2, "error: %s", printable(r.Error))
	}
}

// state says what became of the rule.
func (r *RuleTrace) state() string {
	switch {
	case r.Error != "":
		return "failed"
	case r.Fired:
		return "fired, " + r.Effect
	}
	return "did not fire"
}

func (w *traceWriter) mark(r *RuleTrace) string {
	if d := w.trace.Decisive; d != nil && *d == r.Rule {
		return "  <== decided"
	}
	return ""
}

// source writes the line of the policy in which a place lies, and a caret below it.
func (w *traceWriter) source(at Location) {
	line, caret := window(lineNumber(w.policy.text, at.Line), at.Column-1)
	w.line(2, "| %s", line)
	w.line(2, "| %s^", caret)
}

// lineNumber returns a line of the text, from 1.
func lineNumber(text string, n int) string {
	text = strings.TrimPrefix(text, "\uFEFF")
	for ; n > 1; n-- {
		text = text[lineLength(text):]
		text = text[lineBreak(text):]
	}
	return text[:lineLength(text)]
}

func (w *traceWriter) condition(c *ConditionTrace) {
	w.line(2, "%s: %s%s", c.state(), c.Condition.quote(), c.against(false))
	w.calls(3, c.Calls)
	for _, compared := range c.Compared {
		w.line(3, "%s", compared.verdict())
	}
	switch {
	case c.Cut:
		w.line(3, "(more claims were compared than are recorded)")
	case len(c.Compared) == 0 && c.Type != "" && !c.Failed:
		w.line(3, "no claim of type %s", printable(c.Type))
	}
}

func (c *ConditionTrace) state() string {
	switch {
	case c.Failed:
		return "fails"
	case c.Holds:
		return "holds"
	}
	return "does not hold"
}

// verdict says whether the claim satisfies the condition, and if not by which property.
func (c ComparedClaim) verdict() string {
	if c.Satisfies {
		return "satisfied by " + describeClaim(c.Claim)
	}
	return "not satisfied by " + describeClaim(c.Claim) + ": its " + c.Fails + " differs" + c.note()
}

func describeClaim(c Claim) string {
	if c.ReadOnly {
		return c.String() + ", read-only"
	}
	return c.String()
}

func (w *traceWriter) calls(indent int, calls []CallTrace) {
	for _, c := range calls {
		args := make([]string, len(c.Arguments))
		for i, a := range c.Arguments {
			args[i] = setText(a)
		}
		result := setText(c.Result)
		if c.Error != "" {
			result = "error"
		}
		w.line(indent, "%v: %s(%s) = %s", c.Call, c.Function, strings.Join(args, ", "), result)
	}
}

// setText writes a set: one value by itself, several in braces.
func setText(values []Value) string {
	if len(values) == 1 {
		return values[0].short()
	}
	return "{" + listValues(values) + "}"
}
