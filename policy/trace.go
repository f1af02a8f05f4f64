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
	permits    bool             // the action is permit, fired or not
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
	Compared  []ComparedClaim `json:"compared"` // claims that satisfy it, and those of its type that do not, maxFound of each
}

// AgainstTrace is the value of a right side that is no literal.
type AgainstTrace struct {
	Property string  `json:"property"`
	Relation string  `json:"relation"`
	Values   []Value `json:"values"`
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

// MaxTrace is how many entries a trace has: rules, conditions, compared claims, calls and made claims.
const MaxTrace = 10_000

// maxTracedText is how many bytes of a string a trace keeps.
const maxTracedText = 256

// tracer records a trace. A nil tracer records nothing, and costs nothing.
type tracer struct {
	trace   *Trace
	entries int
	current *RuleTrace
	calls   []CallTrace // of the condition or action at hand
	open    bool        // the last condition is not decided yet
}

func (t *tracer) rule(r *rule) {
	if t == nil {
		return
	}
	t.current = &RuleTrace{Section: r.section.keyword(), Rule: r.at, Conditions: []ConditionTrace{}, permits: r.action.effect == permit}
	t.calls, t.open = nil, false
	t.entries++
}

// ruleDone keeps the rule, unless the trace is full and the rule decided nothing.
func (t *tracer) ruleDone(r *rule, failed int, err error) {
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
		c.Effect = r.action.verb
	}
	if err != nil {
		c.Error = err.Error()
	}
	decides := err != nil || c.Fired && r.action.effect <= deny && !t.decided(r.action.verb)
	if t.entries > MaxTrace && !decides {
		t.trace.Truncated = true
		return
	}
	t.trace.Rules = append(t.trace.Rules, *c)
}

// decided says whether a rule of that effect has fired before.
func (t *tracer) decided(effect string) bool {
	for i := range t.trace.Rules {
		if t.trace.Rules[i].Effect == effect {
			return true
		}
	}
	return false
}

// full says that no more details are recorded.
func (t *tracer) full() bool { return t == nil || t.entries > MaxTrace }

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
	for i, test := range c.tests {
		if _, ok := test.right.(literal); !ok {
			out.Against = append(out.Against, AgainstTrace{test.property.String(), test.relation.String(), cutAll(m.rights[i].values.members)})
		}
	}
	if !t.full() {
		out.Compared = append(out.Compared, m.comparisons(c)...)
		t.entries += len(out.Compared)
	}
}

// comparisons lists claims that satisfy a condition, and claims of the type it asks for that do not.
func (m *machine) comparisons(c *condition) []ComparedClaim {
	var list []ComparedClaim
	good, bad := 0, 0
	for i := range m.incoming.members {
		claim := &m.incoming.members[i]
		if c.claim != "" && claim.Type != c.claim {
			continue
		}
		switch failed := m.unsatisfied(c, claim); {
		case failed == none && good < maxFound:
			good++
			list = append(list, ComparedClaim{Claim: cutClaim(*claim), Satisfies: true})
		case failed != none && c.claim != "" && bad < maxFound:
			bad++
			compared := ComparedClaim{Claim: cutClaim(*claim), Fails: c.tests[failed].property.String()}
			compared.Asked = m.askedType(c, failed, claim)
			list = append(list, compared)
		}
	}
	return list
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
	t.entries++
	entry := CallTrace{Call: c.at, Function: c.function, ReadOnly: out.readOnly, Result: cutAll(out.values.members)}
	for _, a := range args {
		entry.Arguments = append(entry.Arguments, cutAll(a.values.members))
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

// cut shortens a string, in memory of its own so that a trace does not keep what it was cut from.
func (v Value) cut() Value {
	if len(v.text) > maxTracedText {
		v.text = strings.Clone(shorten(v.text, maxTracedText))
	}
	return v
}

func cutClaim(c Claim) Claim {
	c.Value = c.Value.cut()
	return c
}
