package policy_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

func TestParseClaims(t *testing.T) {
	got, err := policy.ParseClaims([]byte(`[
		{"type": "a", "value": "x"},
		{"value": 9223372036854775807, "type": "b", "issuer": "CustomClaim"},
		{"type": "c", "value": -9223372036854775808, "issuer": "AttestationPolicy"},
		{"type": "c", "value": true, "issuer": "AttestationService"},
		{"type": "c", "value": false}]`))
	want := []policy.Claim{
		{Type: "a", Value: policy.StringValue("x"), Issuer: policy.AttestationService},
		{Type: "b", Value: policy.IntegerValue(math.MaxInt64), Issuer: policy.CustomClaim},
		{Type: "c", Value: policy.IntegerValue(math.MinInt64), Issuer: policy.AttestationPolicy},
		{Type: "c", Value: policy.BooleanValue(true), Issuer: policy.AttestationService},
		{Type: "c", Value: policy.BooleanValue(false), Issuer: policy.AttestationService},
	}
	if err != nil || len(got) != len(want) {
		t.Fatalf("got %v, %v", got, err)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("element %d: %v, want %v", i, got[i], want[i])
		}
	}
}

func TestParseClaimsRefuses(t *testing.T) {
	for text, want := range map[string]string{
		``:                                       "expected an array",
		`{}`:                                     "expected an array",
		`[1]`:                                    "expected an array",
		`[{"type":"a","value":1}]x`:              "invalid character",
		`[{"type":"a","value":1,"value":2}]`:     "duplicate",
		`[{"type":"a","value":1,"issuer":null}]`: "member issuer: null",
		`[{"type":"a"}]`:                         "element 1: a claim needs the members type and value",
		`[{"value":1}]`:                          "a claim needs the members type and value",
		`[{"type":1,"value":1}]`:                 "member type",
		`[{"type":"a","value":1},{"type":"a","value":1.5}]`:                       "element 2: member value: claim value 1.5: expected a string, a 64-bit integer or a boolean",
		`[{"type":"a","value":9223372036854775808}]`:                              "expected a string, a 64-bit integer or a boolean",
		`[{"type":"a","value":1e2}]`:                                              "expected a string, a 64-bit integer or a boolean",
		`[{"type":"a","value":[1]}]`:                                              "expected a string, a 64-bit integer or a boolean",
		`[{"type":"a","value":null}]`:                                             "member value: null",
		`[{"type":"a","value":1,"isuer":"CustomClaim"}]`:                          `unknown member "isuer"`,
		`[{"type":"a","value":1,"issuer":"attestationPolicy"}]`:                   `issuer "attestationPolicy", expected AttestationService, AttestationPolicy, CustomClaim or ReferenceValue`,
		"[" + strings.Repeat(`{"type":"a","value":1},`, policy.MaxClaims) + "{}]": "more than 100000 claims",
	} {
		if _, err := policy.ParseClaims([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %q", text, err, want)
		}
	}
}

func TestValuesReadBackFromJSON(t *testing.T) {
	for _, v := range []policy.Value{
		policy.StringValue(""), policy.StringValue("a\"\\<é\u2028"), policy.StringValue("1"), policy.StringValue("true"),
		policy.IntegerValue(0), policy.IntegerValue(1), policy.IntegerValue(math.MaxInt64), policy.IntegerValue(math.MinInt64),
		policy.BooleanValue(true), policy.BooleanValue(false),
	} {
		text, err := json.Marshal(v)
		var back policy.Value
		if err == nil {
			err = json.Unmarshal(text, &back)
		}
		if err != nil || back != v {
			t.Errorf("%v: %s gives %v (%v)", v, text, back, err)
		}
	}
}

func TestValueTellsItsKind(t *testing.T) {
	tests := []struct {
		value policy.Value
		kind  policy.Kind
		any   any
		text  string
	}{
		{policy.Value{}, policy.String, "", `""`},
		{policy.StringValue("a\n"), policy.String, "a\n", `"a\n"`},
		{policy.IntegerValue(1), policy.Integer, int64(1), "1"},
		{policy.BooleanValue(true), policy.Boolean, true, "true"},
		{policy.BooleanValue(false), policy.Boolean, false, "false"},
	}
	for _, tt := range tests {
		_, isText := tt.value.Text()
		_, isInt := tt.value.Int()
		_, isBool := tt.value.Bool()
		if tt.value.Kind() != tt.kind || tt.value.Any() != tt.any || tt.value.String() != tt.text ||
			isText != (tt.kind == policy.String) || isInt != (tt.kind == policy.Integer) || isBool != (tt.kind == policy.Boolean) {
			t.Errorf("%v: kind %v, any %v, text %t, int %t, bool %t", tt.value, tt.value.Kind(), tt.value.Any(), isText, isInt, isBool)
		}
	}
}

func TestValuesOfDifferentKindsDiffer(t *testing.T) {
	values := []policy.Value{
		policy.StringValue("1"), policy.StringValue("true"), policy.StringValue(""), policy.IntegerValue(0),
		policy.IntegerValue(1), policy.BooleanValue(false), policy.BooleanValue(true),
	}
	for i, a := range values {
		for j, b := range values {
			if (a == b) != (i == j) {
				t.Errorf("%v == %v is %t", a, b, a == b)
			}
		}
	}
}
