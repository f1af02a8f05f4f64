package policy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/assay-attestation/assay/policy"
)

// vector is an entry of vectors/policies/index.json, whose README says what the members mean.
type vector struct {
	Kind            string         `json:"kind"`
	AttestationType string         `json:"attestation_type"`
	Version         string         `json:"version"`
	Parses          bool           `json:"parses"`
	Hash            string         `json:"policy_hash"`
	place                          // of the first error
	MoreErrors      []place        `json:"more_errors"`
	ExpectedWhen    []expectedWhen `json:"expected_when"`
}

type place struct {
	Code   string  `json:"code"`
	Line   int     `json:"line"`
	Column columns `json:"column"`
	Rule   string  `json:"rule"`
}

// columns is one column, or a list of those that are right.
type columns []int

func (c *columns) UnmarshalJSON(b []byte) error {
	if b[0] == '[' {
		return json.Unmarshal(b, (*[]int)(c))
	}
	*c = make(columns, 1)
	return json.Unmarshal(b, &(*c)[0])
}

type expectedWhen struct {
	Name          string          `json:"name"`
	Claims        json.RawMessage `json:"claims"`
	Verdict       string          `json:"verdict"`
	Issued        members         `json:"issued"`
	Properties    members         `json:"properties"`
	Configuration members         `json:"configuration"`
}

type members map[string]any

// UnmarshalJSON keeps numbers as they are written.
func (m *members) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d.Decode((*map[string]any)(m))
}

func readIndex(t testing.TB) map[string]vector {
	t.Helper()
	var index map[string]vector
	vectortest.ReadJSON(t, "policies/index.json", &index)
	for name, v := range index {
		if v.Kind != "text" {
			delete(index, name)
		}
	}
	return index
}

func readPolicy(t testing.TB, name string) []byte {
	t.Helper()
	return vectortest.Read(t, path.Join("policies", name))
}

func TestPoliciesHashAsIndexed(t *testing.T) {
	for name, v := range readIndex(t) {
		if got := policy.Hash(readPolicy(t, name)); got != v.Hash {
			t.Errorf("%s: hash %s, want %s", name, got, v.Hash)
		}
	}
}

func TestPoliciesParseAsIndexed(t *testing.T) {
	for name, v := range readIndex(t) {
		t.Run(name, func(t *testing.T) {
			p, err := policy.Parse(readPolicy(t, name))
			switch {
			case !v.Parses:
				wantErrors(t, err, append([]place{v.place}, v.MoreErrors...)...)
			case err != nil:
				t.Errorf("refused: %v", err)
			default:
				checkParsed(t, p, v)
			}
		})
	}
}

func checkParsed(t *testing.T, p *policy.Policy, v vector) {
	t.Helper()
	major, minor := p.Version()
	if got := string(rune('0'+major)) + "." + string(rune('0'+minor)); got != v.Version {
		t.Errorf("version %s, want %s", got, v.Version)
	}
	if p.Hash() != v.Hash {
		t.Errorf("hash %s, want %s", p.Hash(), v.Hash)
	}
	if err := p.CheckFor(typeOf(v)); err != nil {
		t.Errorf("CheckFor(%s): %v", typeOf(v), err)
	}
}

// typeOf is the attestation type to use a vector with.
func typeOf(v vector) string {
	if v.AttestationType == "any" {
		return "SgxEnclave"
	}
	return v.AttestationType
}

// wantErrors compares the errors of a text with their places: as many, in this order, at these lines and columns,
// below these productions. A place without columns allows any.
func wantErrors(t *testing.T, err error, want ...place) {
	t.Helper()
	errs, _ := errors.AsType[policy.Errors](err)
	if len(errs) != len(want) {
		t.Fatalf("%d errors, want %d: %v", len(errs), len(want), err)
	}
	for i, e := range errs {
		w := want[i]
		if e.Line != w.Line || len(w.Column) > 0 && !slices.Contains(w.Column, e.Column) || !strings.HasPrefix(e.Rule, w.Rule) {
			t.Errorf("error %d at %d:%d in %s, want %d:%d in %s\n%s", i, e.Line, e.Column, e.Rule, w.Line, w.Column, w.Rule, e.Detail())
		}
	}
}

func TestPoliciesEvaluateAsIndexed(t *testing.T) {
	for name, v := range readIndex(t) {
		if !v.Parses {
			continue
		}
		p, err := policy.Parse(readPolicy(t, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, want := range v.ExpectedWhen {
			t.Run(name+"/"+want.Name, func(t *testing.T) {
				claims, err := policy.ParseClaims(want.Claims)
				if err != nil {
					t.Fatal(err)
				}
				got := evaluate(p, typeOf(v), claims)
				if diff := got.differs(want); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// evaluate runs all stages of a policy and describes the outcome in the words of the index.
func evaluate(p *policy.Policy, attestationType string, claims []policy.Claim) expectedWhen {
	configuration, err := p.Configure(attestationType, policy.Budget{})
	if err != nil {
		return expectedWhen{Verdict: "error"}
	}
	got := expectedWhen{Verdict: "permit", Configuration: membersOf(configuration.Properties())}
	outcome, err := p.Evaluate(claims, policy.Budget{})
	if err != nil {
		return expectedWhen{Verdict: verdictOf(err)}
	}
	got.Issued, got.Properties = membersOf(outcome.Issued()), membersOf(outcome.Properties())
	return got
}

func verdictOf(err error) string {
	switch denied, ok := errors.AsType[*policy.Denied](err); {
	case !ok:
		return "error"
	case denied.Kind == policy.ByRule:
		return "deny"
	}
	return "no-permit"
}

func membersOf(groups []policy.Group) members {
	m := members{}
	for _, g := range groups {
		m[g.Type] = g
	}
	return m
}

// differs compares two outcomes by their JSON. What a refusal leaves behind is not compared.
func (got expectedWhen) differs(want expectedWhen) string {
	if got.Verdict != want.Verdict {
		return "verdict " + got.Verdict + ", want " + want.Verdict
	}
	if want.Verdict != "permit" {
		return ""
	}
	for _, pair := range [][2]members{
		{got.Issued, want.Issued}, {got.Properties, want.Properties}, {got.Configuration, want.Configuration},
	} {
		if g, w := text(pair[0]), text(pair[1]); g != w {
			return "got " + g + "\nwant " + w
		}
	}
	return ""
}

// text is the JSON of the members, sorted by name; none and nil are the same.
func text(m members) string {
	if len(m) == 0 {
		return "{}"
	}
	b, err := json.Marshal(m)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func TestDefaultSGXIsTheDocumentedText(t *testing.T) {
	const length, hash = 592, "ViVGS4BYl70X8eUrgryHg0TtbEk9WtIc6DtTBEFxaWc" // policy.md section 9.1
	text := policy.DefaultSGX()
	if len(text) != length || policy.Hash(text) != hash {
		t.Errorf("%d bytes with hash %s, want %d with %s", len(text), policy.Hash(text), length, hash)
	}
}
