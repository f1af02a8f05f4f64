package policy

import "strings"

// Trace is what happened when a policy was evaluated: every rule in order, each condition with the claims it was
// compared with, each function call with its value, each claim that was made. Long strings are cut; what exceeds
// MaxTrace entries is left out, but never the rule that decided.
type Trace struct {
	Verdict       Verdict     `json:"verdict"`
	Message       string      `json:"message,omitzero"`  // of the refusal, as clients get it
	Decisive      *Location   `json:"decisive,omitzero"` // the rule that permitted, denied or failed; nil if none did
	Rules         []RuleTrace `json:"rules"`
	Truncated     bool        `json:"truncated,omitzero"` // rules are missing
	Issued        []Group     `json:"-"`
	Properties    []Group     `json:"-"`
	Configuration []Group     `json:"-"`
}

// Verdict is how an evaluation ended.
type Verdict string

// The four ends of an evaluation; all but the first are PolicyEvaluationError to a client.
const (
	Permitted    Verdict = "permit"
	DeniedByRule Verdict = "deny"
	NotPermitted Verdict = "no-permit"
	Failed       Verdict = "error"
)

// RuleTrace is what one rule did.
type RuleTrace struct {
	Section    string           `json:"section"` // the keyword that opens it
	Rule       Location         `json:"rule"`
	Fired      bool             `json:"fired"`
	Error      string           `json:"error,omitzero"`
	Conditions []ConditionTrace `json:"conditions"` // those that were evaluated: none after the first that did not hold
	Calls      []CallTrace      `json:"calls,omitzero"`
	Effect     string           `json:"effect,omitzero"` // the verb of the action, where the rule fired
	Made       []MadeClaim      `json:"made,omitzero"`
}

// ConditionTrace is how one condition was decided.
type ConditionTrace struct {
	Condition Location        `json:"condition"`
	Negated   bool            `json:"negated,omitzero"` // it holds if no claim satisfies it
	Holds     bool            `json:"holds"`
	Failed    bool            `json:"failed,omitzero"` // a right side could not be evaluated
	Type      string          `json:"type,omitzero"`   // of claims that it asks for
	Against   []AgainstTrace  `json:"against,omitzero"`
	Calls     []CallTrace     `json:"calls,omitzero"`
	Compared  []ComparedClaim `json:"compared"`     // claims that satisfy it, and those of its type that do not, maxFound of each
	Cut       bool            `json:"cut,omitzero"` // Compared may lack some: too much was compared in the evaluation
}

// AgainstTrace is the value of a right side that is no literal.
type AgainstTrace struct {
	Property string  `json:"property"`
	Relation string  `json:"relation"`
	Values   []Value `json:"values"`

	readOnly bool // one of them is of a read-only claim
}

// ComparedClaim is a claim that a condition was compared with.
type ComparedClaim struct {
	Claim     Claim  `json:"claim"`
	Satisfies bool   `json:"satisfies"`
	Fails     string `json:"fails,omitzero"` // the property of the first test that it does not pass
	Asked     string `json:"asked,omitzero"` // the type of value that the test asks for, where it is not the claim's
}

// CallTrace is a function call and its value.
type CallTrace struct {
	Call      Location  `json:"call"`
	Function  string    `json:"function"`
	Arguments [][]Value `json:"arguments"`
	Result    []Value   `json:"result"`
	ReadOnly  bool      `json:"readOnly,omitzero"`
	Error     string    `json:"error,omitzero"`
}

// MadeClaim is a claim that an action made or copied.
type MadeClaim struct {
	Claim Claim `json:"claim"`
	Known bool  `json:"known,omitzero"` // the incoming set had it already
}

// MaxTrace is how many entries a trace has: rules, conditions, compared claims, calls, made claims, and values of right
// sides, arguments and results.
const MaxTrace = 10_000

// maxTracedText is how many bytes of a string a trace keeps.
const maxTracedText = 256

// maxLooked is how much is looked at, in the steps of an evaluation, to find the claims that conditions were compared with.
const maxLooked = MaxSteps / 4

// tracer records why a policy refuses and, if there is a trace, all that happens. A nil tracer records nothing, and costs
// nothing.
type tracer struct {
	trace     *Trace // nil: only why the policy refuses is asked
	reasons   Denied // of a refusal, whatever the trace has room for
	denied    bool   // by a rule
	permitted bool
	entries   int // of the trace
	looked    int // at claims, so far
	rule      *rule
	current   *RuleTrace
	calls     []CallTrace // of the condition or action at hand
	open      bool        // the last condition is not decided yet
}

func (t *tracer) begin(r *rule) {
	if t == nil {
		return
	}
	t.rule, t.current = r, &RuleTrace{Section: r.section.keyword(), Rule: r.at, Conditions: []ConditionTrace{}}
	t.calls, t.open = nil, false
	t.entries++
}

// done keeps the rule, unless the trace is full and the rule decided nothing.
func (t *tracer) done(failed int, err error) {
	if t == nil {
		return
	}
	c := t.current
	if t.open {
		broken := &c.Conditions[len(c.Conditions)-1]
		broken.Failed, broken.Calls, t.calls = true, t.calls, nil
	}
	c.Fired, c.Calls = failed == none && err == nil, t.calls
	if c.Fired {
		c.Effect = t.rule.action.verb
	}
	if err != nil {
		c.Error = err.Error()
	}
	decides := t.decide() || err != nil
	switch {
	case t.trace == nil:
	case t.entries > MaxTrace && !decides:
		t.trace.Truncated = true
	default:
		t.trace.Rules = append(t.trace.Rules, *c)
	}
}

// decide keeps the reasons for a refusal, and says whether the rule is the first that permits or denies.
func (t *tracer) decide() bool {
	c := t.current
	switch {
	case t.rule.action.effect == permit && c.Fired:
		first := !t.permitted
		t.permitted = true
		return first
	case t.rule.action.effect == deny && c.Fired && !t.denied:
		t.denied, t.reasons.Met = true, c.Conditions
		return true
	case t.rule.action.effect == permit && c.Error == "" && len(t.reasons.Unmet) < maxUnmet:
		t.reasons.Unmet = append(t.reasons.Unmet, Unmet{c.Rule, c.Conditions[len(c.Conditions)-1]})
	}
	return false
}

// full says that no more details are recorded in the trace.
func (t *tracer) full() bool { return t == nil || t.trace == nil || t.entries > MaxTrace }

// wants says whether it will be asked how a condition of the rule at hand was decided.
func (t *tracer) wants(holds bool) bool {
	switch t.rule.action.effect {
	case permit:
		return !t.full() || !holds && len(t.reasons.Unmet) < maxUnmet
	case deny:
		return !t.full() || holds && !t.denied
	case add, issue, issueProperty:
	}
	return !t.full()
}

func (t *tracer) condition(c *condition) {
	if t == nil {
		return
	}
	t.entries++
	t.open = true
	t.current.Conditions = append(t.current.Conditions, ConditionTrace{
		Condition: c.at, Negated: c.negated, Type: c.claim, Compared: []ComparedClaim{},
	})
}

// compared records how a condition was decided, after its right sides are known.
func (t *tracer) compared(m *machine, c *condition, found bool) {
	if t == nil {
		return
	}
	out := &t.current.Conditions[len(t.current.Conditions)-1]
	out.Holds, out.Calls = found != c.negated, t.calls
	t.calls, t.open = nil, false
	if out.Cut = !t.wants(out.Holds); out.Cut {
		return
	}
	for i, test := range c.tests {
		if _, ok := test.right.(literal); !ok && len(out.Against) < maxAgainst {
			values := cutAll(m.rights[i].values.members)
			t.entries += 1 + len(values)
			out.Against = append(out.Against, AgainstTrace{test.property.String(), test.relation.String(), values, m.rights[i].readOnly})
		}
	}
	t.compare(m, c, out)
	t.entries += len(out.Compared)
}

// maxAgainst is how many right sides of a condition a trace keeps.
const maxAgainst = 16

// compare lists claims that satisfy a condition, and claims of the type it asks for that do not.
func (t *tracer) compare(m *machine, c *condition, out *ConditionTrace) {
	good, bad := 0, 0
	for i := range m.incoming.members {
		if good == maxFound && (bad == maxFound || c.claim == "") {
			return
		}
		if t.looked > maxLooked {
			out.Cut = true
			return
		}
		claim := &m.incoming.members[i]
		t.looked += 1 + len(claim.Type)/bytesPerStep
		if c.claim != "" && claim.Type != c.claim {
			continue
		}
		failed, looked := m.unsatisfied(c, claim)
		t.looked += looked
		switch {
		case failed == none && good < maxFound:
			good++
			out.Compared = append(out.Compared, ComparedClaim{Claim: cutClaim(*claim), Satisfies: true})
		case failed != none && c.claim != "" && bad < maxFound:
			bad++
			compared := ComparedClaim{Claim: cutClaim(*claim), Fails: c.tests[failed].property.String()}
			compared.Asked = m.askedType(c, failed, claim)
			out.Compared = append(out.Compared, compared)
		}
	}
}

// askedType names the type of value that a test asks for, if it is not the claim's: values of different types are never
// equal, and only integers have an order.
func (m *machine) askedType(c *condition, failed int, claim *Claim) string {
	asked := m.rights[failed].values.members
	if c.tests[failed].property != valueProperty || len(asked) == 0 {
		return ""
	}
	for _, v := range asked {
		if v.kind == claim.Value.kind {
			return ""
		}
	}
	return asked[0].kind.String()
}

func (t *tracer) called(c *call, args []*operand, out *operand, err error) {
	if t.full() {
		return
	}
	at := c.at
	at.Text = shorten(at.Text, maxTracedText)
	entry := CallTrace{Call: at, Function: c.function, ReadOnly: out.readOnly, Result: cutAll(out.values.members)}
	t.entries += 1 + len(entry.Result)
	for _, a := range args {
		values := cutAll(a.values.members)
		t.entries += len(values)
		entry.Arguments = append(entry.Arguments, values)
	}
	if err != nil {
		entry.Error = err.Error()
	}
	t.calls = append(t.calls, entry)
}

func (t *tracer) made(c Claim, added bool) {
	if t.full() {
		return
	}
	t.entries++
	t.current.Made = append(t.current.Made, MadeClaim{cutClaim(c), !added})
}

// cutAll shortens the first few of some values.
func cutAll(values []Value) []Value {
	out := make([]Value, 0, min(len(values), 2*maxFound))
	for _, v := range values[:cap(out)] {
		out = append(out, v.cut())
	}
	return out
}

// cut shortens a string.
func (v Value) cut() Value {
	v.text = cutText(v.text)
	return v
}

// cutText shortens a string, in memory of its own so that a trace does not keep what it was cut from.
func cutText(s string) string {
	if len(s) > maxTracedText {
		s = strings.Clone(shorten(s, maxTracedText))
	}
	return s
}

func cutClaim(c Claim) Claim {
	c.Type, c.Value = cutText(c.Type), c.Value.cut()
	return c
}
