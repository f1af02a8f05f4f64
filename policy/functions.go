package policy

import (
	"fmt"
	"strings"

	"github.com/assay-attestation/assay/internal/jmespath"
)

// Function describes a function of version 1.2 (policy.md section 7).
type Function struct {
	Name       string
	Parameters []string // names, for people
	Result     string   // what it gives: String, Boolean or set
	Summary    string
}

// Functions returns the six functions of the language in alphabetical order.
func Functions() []Function {
	return []Function{
		{"AppendString", []string{"first", "second"}, "String", "first followed by second; each is one string, which may be empty"},
		{"ContainsOnlyValue", []string{"set", "value"}, "Boolean", "true if the set is not empty and every member equals the one value, type included"},
		{"IsSubsetOf", []string{"subset", "superset"}, "Boolean", "true if every member of subset is a member of superset; the empty set is a subset of all"},
		{"JmesPath", []string{"json", "query"}, "String", "the JSON text of what the JMESPath query finds in the JSON text; null if it finds nothing"},
		{"JsonToClaimValue", []string{"json"}, "set", "the value that the JSON text stands for: an integer, a boolean, a string, or the set of an array's members; null gives the empty set"},
		{"NegateBool", []string{"value"}, "Boolean", "true for false and false for true"},
	}
}

// functionNamed returns the function of that name, which is case-sensitive.
func functionNamed(name string) (Function, bool) {
	for _, f := range Functions() {
		if f.Name == name {
			return f, true
		}
	}
	return Function{}, false
}

// kind returns the type of the function's result, and whether it has only one.
func (f Function) kind() (Kind, bool) {
	switch f.Result {
	case "String":
		return String, true
	case "Boolean":
		return Boolean, true
	}
	return String, false
}

// Signature returns the function as documentation writes it: NegateBool(value).
func (f Function) Signature() string { return f.Name + "(" + strings.Join(f.Parameters, ", ") + ")" }

// functionInstead tells what to write instead of a name that is no function.
func functionInstead(name string) string {
	names := make([]string, 0, 6)
	for _, f := range Functions() {
		if strings.EqualFold(f.Name, name) {
			return fmt.Sprintf("names of functions are case-sensitive: expecting '%s'", f.Name)
		}
		names = append(names, "'"+f.Name+"'")
	}
	return "expecting {" + strings.Join(names, ", ") + "}"
}

// call is a function call. Its arguments are evaluated left to right before it (policy.md section 5.2).
type call struct {
	at       Location
	function string
	args     []expression
	query    *jmespath.Query // the second argument of JmesPath, where it is a literal that compiles
}

func (c *call) eval(m *machine) (*operand, error) {
	args := make([]*operand, len(c.args))
	for i, a := range c.args {
		var err error
		if args[i], err = a.eval(m); err != nil {
			return nil, err
		}
	}
	out := m.operand()
	m.spend(stepsPerMember, 0, 0)
	err := c.apply(m, args, out)
	if err == nil {
		err = m.meter.Err()
	}
	if err != nil {
		err = fmt.Errorf("%s at %v: %w", c.function, c.at, err)
	}
	m.trace.called(c, args, out, err)
	return out, err
}

func (c *call) apply(m *machine, args []*operand, out *operand) error {
	switch c.function {
	case "AppendString":
		return m.appendString(args[0], args[1], out)
	case "ContainsOnlyValue":
		return containsOnlyValue(args[0], args[1], out)
	case "IsSubsetOf":
		m.isSubsetOf(args[0], args[1], out)
		return nil
	case "JmesPath":
		return m.jmesPath(c.query, args[0], args[1], out)
	case "JsonToClaimValue":
		return m.jsonToClaimValue(args[0], out)
	}
	return negateBool(args[0], out)
}

// one returns the only member of an argument; what names what that must be.
func (o *operand) one(name, what string) (Value, error) {
	switch members := o.values.members; len(members) {
	case 0:
		return Value{}, fmt.Errorf("the argument \"%s\" must be one %s, found none", name, what)
	case 1:
		return members[0], nil
	default:
		return Value{}, fmt.Errorf("the argument \"%s\" must be one %s, found %d: %s", name, what, len(members), listValues(members))
	}
}

// text returns the only member of an argument, a string.
func (o *operand) text(name string) (string, error) {
	v, err := o.one(name, "String")
	if err != nil {
		return "", err
	}
	s, ok := v.Text()
	if !ok {
		return "", fmt.Errorf("the argument \"%s\" must be a String, found the %v %s", name, v.kind, v.short())
	}
	return s, nil
}

func (m *machine) appendString(first, second, out *operand) error {
	a, err := first.text("first")
	if err != nil {
		return err
	}
	b, err := second.text("second")
	if err != nil {
		return err
	}
	if err := m.meter.Write(len(a) + len(b)); err != nil {
		return err
	}
	out.add(StringValue(a + b))
	out.readOnly = first.readOnly || second.readOnly
	return nil
}

func containsOnlyValue(set, value, out *operand) error {
	v, err := value.one("value", "value")
	if err != nil {
		return err
	}
	members := set.values.members
	out.add(BooleanValue(len(members) == 1 && members[0] == v)) // members are there once
	return nil
}

func (m *machine) isSubsetOf(subset, superset, out *operand) {
	for _, v := range subset.values.members {
		m.spend(stepsPerMember, len(superset.values.members), len(v.text))
		if !superset.values.has(v) {
			out.add(BooleanValue(false))
			return
		}
	}
	out.add(BooleanValue(true))
}

func negateBool(value, out *operand) error {
	v, err := value.one("value", "Boolean")
	if err != nil {
		return err
	}
	b, ok := v.Bool()
	if !ok {
		return fmt.Errorf("the argument \"value\" must be a Boolean, found the %v %s", v.kind, v.short())
	}
	out.add(BooleanValue(!b))
	out.readOnly = value.readOnly
	return nil
}
