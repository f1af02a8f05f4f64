package policy

// program is a policy made ready for evaluation: the rules of each section, with labels turned into slots.
type program struct {
	rules [noSection][]rule
	slots int // the most that one rule needs
}

type rule struct {
	section    sectionKind
	at         Location
	conditions []condition
	action     action
}

// condition holds if some claim satisfies all tests or, negated, if none does.
type condition struct {
	at      Location
	negated bool
	claim   string // the type that a test asks for, "" if none does; for explanations
	tests   []test
	slot    int // where the claims that satisfy it are kept, or none
}

// none is the slot of a condition whose claims nobody needs.
const none = -1

type test struct {
	property property
	relation relation
	right    expression
}

// expression is what stands on the right of a relation or of an assignment. Its value is a set (policy.md 5.2).
type expression interface {
	eval(m *machine) (*operand, error)
}

// effect is what an action does.
type effect uint8

const (
	permit effect = iota
	deny
	add           // to the incoming set; all that follow do that too
	issue         // to the outgoing set
	issueProperty // to the property set, which in configurationrules is the configuration
)

type action struct {
	verb     string // as the language spells it
	effect   effect
	copied   int        // the slot of the claims to copy; none if a claim is made of
	name     expression // its type
	value    expression
	declared *Kind // what valueType says
}

// property is one of the four properties of a claim.
type property uint8

const (
	typeProperty property = iota
	valueProperty
	valueTypeProperty
	issuerProperty
)

// of returns the claim's property.
func (p property) of(c *Claim) Value {
	switch p {
	case typeProperty:
		return StringValue(c.Type)
	case valueTypeProperty:
		return StringValue(c.Value.kind.String())
	case issuerProperty:
		return StringValue(string(c.Issuer))
	}
	return c.Value
}

// String returns the name that policies give the property.
func (p property) String() string { return [...]string{"type", "value", "valueType", "issuer"}[p] }

// relation is one of the six comparisons.
type relation uint8

const (
	equal relation = iota
	notEqual
	less
	lessOrEqual
	greater
	greaterOrEqual
)

// String returns the relation's sign.
func (r relation) String() string { return [...]string{"==", "!=", "<", "<=", ">", ">="}[r] }

// operand is a set of values, with the span of its integers.
type operand struct {
	values    set[Value]
	low, high int64 // of the integers among the values
	ordered   bool  // there are integers
	readOnly  bool  // no claim may be issued from it (policy.md section 7)
}

func (o *operand) add(v Value) {
	if !o.values.add(v) || v.kind != Integer {
		return
	}
	if !o.ordered {
		o.low, o.high, o.ordered = v.number, v.number, true
	}
	o.low, o.high = min(o.low, v.number), max(o.high, v.number)
}

func (o *operand) reset() {
	o.values.reset()
	o.ordered, o.readOnly = false, false
}

// some reports whether v stands in the relation to some member of the operand (policy.md sections 4 and 5.1).
// It takes the same time however many members there are.
func (o *operand) some(r relation, v Value) bool {
	switch members := o.values.members; {
	case r == equal && len(members) == 1: // a literal, most often
		return members[0] == v
	case r == equal:
		return o.values.has(v)
	case r == notEqual:
		return len(members) > 1 || len(members) == 1 && members[0] != v
	}
	if !o.ordered || v.kind != Integer {
		return false
	}
	switch r {
	case less:
		return v.number < o.high
	case lessOrEqual:
		return v.number <= o.high
	case greater:
		return v.number > o.low
	}
	return v.number >= o.low
}
