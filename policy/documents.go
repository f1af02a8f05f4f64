package policy

import (
	"errors"
	"fmt"

	"github.com/assay-attestation/assay/internal/jmespath"
)

// documents keeps what functions of one evaluation have read: policies ask many queries of one claim.
type documents struct {
	parsed  map[string]any
	queries map[string]*jmespath.Query
}

// document reads JSON text once.
func (m *machine) document(text string) (any, error) {
	if m.json == nil {
		m.json = &documents{map[string]any{}, map[string]*jmespath.Query{}}
	}
	if v, ok := m.json.parsed[text]; ok {
		return v, m.meter.Spend(len(text) / bytesPerStep)
	}
	v, err := jmespath.Parse(text, &m.meter)
	if err == nil {
		m.json.keep(text, v)
	}
	return v, err
}

// keep remembers what a text stands for.
func (d *documents) keep(text string, v any) {
	if len(d.parsed) == maxDocuments {
		clear(d.parsed)
	}
	d.parsed[text] = v
}

// maxDocuments is how many documents are kept at a time.
const maxDocuments = 8

// bytesPerQuery is what each byte of a query that is compiled in an evaluation costs of MaxValues.
const bytesPerQuery = 256

// query compiles a query that was not compiled with the policy, once.
func (m *machine) query(text string) (*jmespath.Query, error) {
	if q, ok := m.json.queries[text]; ok {
		return q, nil
	}
	m.meter.Values -= bytesPerQuery * len(text)
	if err := m.meter.Spend(stepsPerMember * len(text)); err != nil {
		return nil, err
	}
	q, err := jmespath.Compile(text)
	if len(m.json.queries) == maxDocuments {
		clear(m.json.queries)
	}
	if err == nil {
		m.json.queries[text] = q
	}
	return q, err
}

// jmesPath puts the JSON text of what a query finds into out (policy.md section 7).
func (m *machine) jmesPath(ready *jmespath.Query, json, query, out *operand) error {
	document, err := m.jsonArgument(json)
	if err != nil {
		return err
	}
	text, err := query.text("query")
	if err != nil {
		return err
	}
	if ready == nil {
		if ready, err = m.query(text); err != nil {
			return err
		}
	}
	found, err := ready.Search(document, &m.meter)
	if err != nil {
		return err
	}
	result, err := jmespath.Text(found, &m.meter)
	if err != nil {
		return err
	}
	m.json.keep(result, found) // most often it is asked next
	out.add(StringValue(result))
	out.readOnly = json.readOnly || query.readOnly
	return nil
}

// jsonArgument reads the argument json of a function.
func (m *machine) jsonArgument(json *operand) (any, error) {
	text, err := json.text("json")
	if err != nil {
		return nil, err
	}
	v, err := m.document(text)
	if err != nil {
		return nil, fmt.Errorf("the argument \"json\" is %w; it begins %v", err, StringValue(shorten(text, 80)))
	}
	return v, nil
}

// jsonToClaimValue puts the values that JSON text stands for into out (policy.md section 7).
func (m *machine) jsonToClaimValue(json, out *operand) error {
	v, err := m.jsonArgument(json)
	if err != nil {
		return err
	}
	out.readOnly = json.readOnly
	elements, isArray := v.([]any)
	if !isArray {
		elements = []any{v}
	}
	for _, e := range elements {
		if e == nil {
			continue
		}
		value, err := claimValue(e)
		if err != nil {
			return err
		}
		if err := m.meter.Write(len(value.text)); err != nil {
			return err
		}
		m.hold(out, value)
	}
	return m.meter.Err()
}

// claimValue turns a JSON string, boolean or whole number into a value.
func claimValue(v any) (Value, error) {
	switch v := v.(type) {
	case string:
		return StringValue(v), nil
	case bool:
		return BooleanValue(v), nil
	case []any:
		return Value{}, errors.New("the JSON contains an array within an array; a claim's values are strings, integers and booleans")
	case map[string]any:
		return Value{}, errors.New("the JSON contains an object; a claim's values are strings, integers and booleans")
	}
	n, ok := jmespath.Int64(v)
	if !ok {
		text, _ := jmespath.Text(v, &jmespath.Meter{Steps: jmespath.MaxDigits, Strings: jmespath.MaxDigits})
		return Value{}, fmt.Errorf("the number %s is not a 64-bit integer", shorten(text, 40))
	}
	return IntegerValue(n), nil
}
