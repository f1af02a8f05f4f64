package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/assay-attestation/assay/internal/strictjson"
)

// Kind is the type of a value, the property valueType of its claim.
type Kind uint8

// The three types that a value can have.
const (
	String Kind = iota
	Integer
	Boolean
)

// String returns the name that policies give the kind: "String", "Integer" or "Boolean".
func (k Kind) String() string {
	switch k {
	case Integer:
		return "Integer"
	case Boolean:
		return "Boolean"
	}
	return "String"
}

// Value is the value of a claim: a string, a signed 64-bit integer or a boolean. Values are compared with ==, and
// values of different kinds are never equal (policy.md section 4). The zero Value is the empty string.
type Value struct {
	kind   Kind
	number int64 // 1 for true
	text   string
}

// StringValue returns the string s as a value.
func StringValue(s string) Value { return Value{kind: String, text: s} }

// IntegerValue returns the integer n as a value.
func IntegerValue(n int64) Value { return Value{kind: Integer, number: n} }

// BooleanValue returns the truth value b as a value.
func BooleanValue(b bool) Value {
	if b {
		return Value{kind: Boolean, number: 1}
	}
	return Value{kind: Boolean}
}

// Kind returns the value's type.
func (v Value) Kind() Kind { return v.kind }

// Text returns the string, and whether the value is one.
func (v Value) Text() (string, bool) { return v.text, v.kind == String }

// Int returns the integer, and whether the value is one.
func (v Value) Int() (int64, bool) {
	if v.kind != Integer {
		return 0, false
	}
	return v.number, true
}

// Bool returns the truth value, and whether the value is one.
func (v Value) Bool() (value, ok bool) { return v.kind == Boolean && v.number == 1, v.kind == Boolean }

// Any returns the value as a string, an int64 or a bool.
func (v Value) Any() any {
	switch v.kind {
	case Integer:
		return v.number
	case Boolean:
		return v.number == 1
	}
	return v.text
}

// String returns the value for a person: a string in double quotes, with unprintable characters escaped.
func (v Value) String() string {
	if v.kind == String {
		return strconv.Quote(v.text)
	}
	return fmt.Sprint(v.Any())
}

// short returns the value for a message.
func (v Value) short() string { return Value{v.kind, v.number, shorten(v.text, 160)}.String() }

// listValues writes values one after the other, the first few of them.
func listValues(values []Value) string {
	texts := make([]string, 0, maxFound)
	for _, v := range values[:min(len(values), maxFound)] {
		texts = append(texts, v.short())
	}
	if len(values) > maxFound {
		texts = append(texts, "…")
	}
	return strings.Join(texts, ", ")
}

// MarshalJSON returns the value as a JSON string, number or boolean.
func (v Value) MarshalJSON() ([]byte, error) { return json.Marshal(v.Any()) }

// UnmarshalJSON reads a JSON string, an integer within 64 bits written without fraction and exponent, or a boolean.
func (v *Value) UnmarshalJSON(b []byte) error {
	switch {
	case string(b) == "true" || string(b) == "false":
		*v = BooleanValue(string(b) == "true")
		return nil
	case len(b) > 0 && b[0] == '"':
		*v = Value{kind: String}
		return json.Unmarshal(b, &v.text)
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return fmt.Errorf("claim value %s: expected a string, a 64-bit integer or a boolean", shorten(string(b), 40))
	}
	*v = IntegerValue(n)
	return nil
}

// Issuer says who made a claim (policy.md section 1).
type Issuer string

// The issuers of claims.
const (
	AttestationService Issuer = "AttestationService" // the service, from the evidence
	AttestationPolicy  Issuer = "AttestationPolicy"  // a rule of the policy
	CustomClaim        Issuer = "CustomClaim"        // the client, which is not to be believed
	ReferenceValue     Issuer = "ReferenceValue"     // the reference values of the provider (native.md section 5); always read-only
)

// Claim is a statement about the attested environment. Two claims are the same if all members are equal.
type Claim struct {
	Type     string `json:"type"`
	Value    Value  `json:"value"`
	Issuer   Issuer `json:"issuer"`
	ReadOnly bool   `json:"readOnly,omitzero"` // must not be issued, nor what functions make of it (policy.md section 1)
}

// String returns the claim for a person: x-ms-sgx-svn = 2 (AttestationService).
func (c Claim) String() string {
	return fmt.Sprintf("%s = %s (%s)", printable(shorten(c.Type, 160)), c.Value.short(), c.Issuer)
}

// ParseClaims reads a claims file: a JSON array of {"type", "value", "issuer"}, where issuer may be missing and then
// is AttestationService (native.md section 1.6). Unknown members are refused, since a misspelt issuer would
// otherwise make the service the issuer.
func ParseClaims(text []byte) ([]Claim, error) {
	var claims []Claim
	err := strictjson.Elements(text, func(element []byte) error {
		if len(claims) == MaxClaims {
			return fmt.Errorf("more than %d claims", MaxClaims)
		}
		var members map[string]json.RawMessage
		var c Claim
		err := strictjson.Exact(element, &members)
		if err == nil {
			err = c.read(members)
		}
		if err != nil {
			return fmt.Errorf("element %d: %w", len(claims)+1, err)
		}
		claims = append(claims, c)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("claims: expected an array of objects with type, value and issuer: %w", err)
	}
	return claims, nil
}

// read fills the claim from the members of its JSON object.
func (c *Claim) read(members map[string]json.RawMessage) error {
	c.Issuer = AttestationService
	targets := map[string]any{"type": &c.Type, "value": &c.Value, "issuer": &c.Issuer}
	for name, raw := range members {
		target, ok := targets[name]
		if !ok {
			return fmt.Errorf("unknown member %q, expected type, value and issuer", name)
		}
		if string(raw) == "null" {
			return fmt.Errorf("member %s: null", name)
		}
		if err := json.Unmarshal(raw, target); err != nil {
			return fmt.Errorf("member %s: %w", name, err)
		}
	}
	if members["type"] == nil || members["value"] == nil {
		return errors.New("a claim needs the members type and value")
	}
	if !c.Issuer.known() {
		return fmt.Errorf("issuer %q, expected %s, %s, %s or %s", c.Issuer, AttestationService, AttestationPolicy, CustomClaim, ReferenceValue)
	}
	return nil
}

func (i Issuer) known() bool {
	return i == AttestationService || i == AttestationPolicy || i == CustomClaim || i == ReferenceValue
}
