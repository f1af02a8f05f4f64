package policy_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/assay-attestation/assay/policy"
)

// issuance12 puts rules into the issuance section of a policy of version 1.2 that permits, on line 2.
func issuance12(rules string) string {
	return "version=1.2;\nauthorizationrules { => permit(); }; issuancerules { " + rules + " };"
}

// result12 issues the value of an expression over the claims a, bound to a, and b, bound to b.
func result12(expression string) string {
	return issuance12(`a:[type=="a"] && b:[type=="b"] => issue(type="r", value=` + expression + `);`)
}

func TestFunctions(t *testing.T) { // policy.md section 7
	tests := []struct{ name, expression, claims, want string }{
		{"AppendString joins", `AppendString(a.value, b.value)`, `a=x b=y`, `r:"xy"`},
		{"AppendString takes empty strings", `AppendString(AppendString("", ""), a.value)`, `a=x b=y`, `r:"x"`},
		{"AppendString takes no integer", `AppendString(a.value, "y")`, `a=1 b=y`, `AppendString at line 2, column 110: the argument "first" must be a String, found the Integer 1`},
		{"AppendString takes one string", `AppendString("x", b.value)`, `a=1 b=y b=z`, `the argument "second" must be one String, found 2: "y", "z"`},
		{"NegateBool negates", `NegateBool(a.value)`, `a=false b=1`, `r:true`},
		{"NegateBool takes no string", `NegateBool(b.value)`, `a=false b=x`, `the argument "value" must be a Boolean, found the String "x"`},
		{"NegateBool takes one value", `NegateBool(a.value)`, `a=false a=true b=1`, `the argument "value" must be one Boolean, found 2: false, true`},
		{"IsSubsetOf a part", `IsSubsetOf(a.value, b.value)`, `a=1 a=2 b=2 b=1 b=3`, `r:true`},
		{"IsSubsetOf more", `IsSubsetOf(b.value, a.value)`, `a=1 a=2 b=2 b=1 b=3`, `r:false`},
		{"IsSubsetOf the empty set", `IsSubsetOf(JsonToClaimValue("[]"), a.value)`, `a=1 b=1`, `r:true`},
		{"IsSubsetOf in the empty set", `IsSubsetOf(a.value, JsonToClaimValue("[]"))`, `a=1 b=1`, `r:false`},
		{"IsSubsetOf tells types apart", `IsSubsetOf(a.value, b.value)`, `a=true b=1`, `r:false`},
		{"ContainsOnlyValue holds", `ContainsOnlyValue(a.value, 1)`, `a=1 a=1@CustomClaim b=1`, `r:true`},
		{"ContainsOnlyValue with another member", `ContainsOnlyValue(a.value, 1)`, `a=1 a=2 b=1`, `r:false`},
		{"ContainsOnlyValue of another type", `ContainsOnlyValue(a.value, "1")`, `a=1 b=1`, `r:false`},
		{"ContainsOnlyValue of the empty set", `ContainsOnlyValue(JsonToClaimValue("null"), 1)`, `a=1 b=1`, `r:false`},
		{"ContainsOnlyValue of two values", `ContainsOnlyValue(a.value, b.value)`, `a=1 b=1 b=2`, `the argument "value" must be one value, found 2: 1, 2`},
		{"JmesPath finds", `JmesPath(a.value, "x.y")`, `a={"x":{"y":[1,{"z":2}]}} b=1`, `r:"[1,{\"z\":2}]"`},
		{"JmesPath finds nothing", `JmesPath(a.value, "z")`, `a={"x":1} b=1`, `r:"null"`},
		{"JmesPath of a string keeps the quotes", `JmesPath(a.value, "x")`, `a={"x":"s"} b=1`, `r:"\"s\""`},
		{"JmesPath with a made query", `JmesPath(a.value, AppendString("[?n==` + "`" + `", AppendString(b.value, "` + "`" + `]|[0].v")))`, `a=[{"n":34,"v":true}] b="34"`, `r:"true"`},
		{"JmesPath needs JSON", `JmesPath(b.value, "x")`, `a=1 b=abc`, `JmesPath at line 2, column 110: the argument "json" is not JSON: invalid character 'a' at start of value at offset 0; it begins "abc"`},
		{"JmesPath needs some JSON", `JmesPath("", "x")`, `a=1 b=1`, `the argument "json" is not JSON: the text is empty`},
		{"JmesPath needs a query", `JmesPath("{}", "")`, `a=1 b=1`, `the query is not JMESPath: Incomplete expression at offset 0, before ""`},
		{"JmesPath needs a good query", `JmesPath("{}", "foo[")`, `a=1 b=1`, `the query is not JMESPath`},
		{"JmesPath takes no integer", `JmesPath(a.value, "x")`, `a=1 b=1`, `the argument "json" must be a String, found the Integer 1`},
		{"JsonToClaimValue of an integer", `JsonToClaimValue(a.value)`, `a="9007199254740993" b=1`, `r:9007199254740993`},
		{"JsonToClaimValue of the largest integer", `JsonToClaimValue(a.value)`, `a="9223372036854775807" b=1`, `r:9223372036854775807`},
		{"JsonToClaimValue of the smallest integer", `JsonToClaimValue(a.value)`, `a="-9223372036854775808" b=1`, `r:-9223372036854775808`},
		{"JsonToClaimValue beyond 64 bits", `JsonToClaimValue(a.value)`, `a="9223372036854775808" b=1`, `the number 9223372036854775808 is not a 64-bit integer`},
		{"JsonToClaimValue with a point", `JsonToClaimValue(a.value)`, `a="1.0" b=1`, `r:1`},
		{"JsonToClaimValue with an exponent", `JsonToClaimValue(a.value)`, `a="1e2" b=1`, `r:100`},
		{"JsonToClaimValue of a fraction", `JsonToClaimValue(a.value)`, `a="1.5" b=1`, `the number 1.5 is not a 64-bit integer`},
		{"JsonToClaimValue of a boolean", `JsonToClaimValue(a.value)`, `a="true" b=1`, `r:true`},
		{"JsonToClaimValue of a string", `JsonToClaimValue("\"s\"")`, `a=1 b=1`, `r:"s"`},
		{"JsonToClaimValue of null makes no claim", `JsonToClaimValue("null")`, `a=1 b=1`, ``},
		{"JsonToClaimValue of an array", `JsonToClaimValue("[1,\"1\",null,true,1]")`, `a=1 b=1`, `r:[1,"1",true]`},
		{"JsonToClaimValue of an object", `JsonToClaimValue("{}")`, `a=1 b=1`, `the JSON contains an object`},
		{"JsonToClaimValue of an array of objects", `JsonToClaimValue("[{}]")`, `a=1 b=1`, `the JSON contains an object`},
		{"JsonToClaimValue of an array of arrays", `JsonToClaimValue("[[1]]")`, `a=1 b=1`, `an array within an array`},
		{"JsonToClaimValue of bare text", `JsonToClaimValue("abc")`, `a=1 b=1`, `not JSON`},
		{"an array becomes several claims", `JsonToClaimValue(JmesPath(a.value, "[*].x"))`, `a=[{"x":2},{"x":1},{"y":3},{"x":2}] b=1`, `r:[2,1]`},
		{"functions take properties", `AppendString(a.type, a.issuer)`, `a=1 b=1`, `r:"aAttestationService"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			claims := claimsOf(tt.claims)
			for i, c := range claims { // JSON text that is no scalar, or stands in quotes, is a string
				if s, ok := c.Value.Text(); ok {
					claims[i].Value = policy.StringValue(s)
				}
			}
			got := outcomeOf(mustParse(t, result12(tt.expression)), claims)
			if got != tt.want && (tt.want == "" || strings.HasPrefix(tt.want, "r:") || !strings.Contains(got, tt.want)) {
				t.Errorf("%s on %q: %q, want %q", tt.expression, tt.claims, got, tt.want)
			}
		})
	}
}

func TestNegatedConditions(t *testing.T) { // policy.md sections 3.1 and 5.1
	tests := []struct{ name, rules, claims, want string }{
		{"no claim satisfies", `![type=="a"] => issue(type="r", value=1);`, "b=1", "r:1"},
		{"a claim satisfies", `![type=="a"] => issue(type="r", value=1);`, "b=1 a=1", ""},
		{"a claim satisfies one test", `![type=="a", value==2] => issue(type="r", value=1);`, "a=1", "r:1"},
		{"beside one that is not negated", `c:[type=="b"] && ![type=="a"] => issue(type="r", value=c.value);`, "b=1", "r:1"},
		{"with an unused label", `n:![type=="a"] => issue(type="r", value=1);`, "", "refused"},
		{"with the label after the mark", `!n:[type=="a"] => issue(type="r", value=1);`, "", "r:1"},
		{"its label is bound to nothing", `!n:[type=="a"] => issue(type="r", value=n.value);`, "", "refused"},
		{"against a label", `c:[type=="b"] && ![type=="a", value==c.value] => issue(type="r", value=1);`, "b=1 a=2", "r:1"},
		{"it sees what rules added", `=> add(type="a", value=1); ![type=="a"] => issue(type="r", value=1);`, "", ""},
	}
	for _, tt := range tests {
		p, err := policy.Parse([]byte(issuance12(tt.rules)))
		got := "refused"
		if err == nil {
			got = outcome(p, tt.claims)
		}
		if got != tt.want {
			t.Errorf("%s: %s on %q: %q, want %q (%v)", tt.name, tt.rules, tt.claims, got, tt.want, err)
		}
	}
}

func TestFunctionsInConditions(t *testing.T) {
	tests := []struct{ name, rules, claims, want string }{
		{"some member of the result", `c:[type=="a"] && [type=="b", value==JsonToClaimValue(c.value)] => issue(type="r", value=1);`, `a="[1,2]" b=2`, "r:1"},
		{"no member of the result", `c:[type=="a"] && [type=="b", value==JsonToClaimValue(c.value)] => issue(type="r", value=1);`, `a="[1,2]" b=3`, ""},
		{"an empty result", `c:[type=="a"] && [type=="b", value!=JsonToClaimValue(c.value)] => issue(type="r", value=1);`, `a="[]" b=3`, ""},
		{"a made type", `[type==AppendString("a", "b")] => issue(type="r", value=1);`, `ab=1`, "r:1"},
		{"ordering", `c:[type=="a"] && [type=="b", value<JsonToClaimValue(c.value)] => issue(type="r", value=1);`, `a="[1,5]" b=4`, "r:1"},
		{"a made type in an action", `=> issue(type=AppendString("a", "b"), value=1);`, ``, "ab:1"},
		{"a failing function fails the evaluation", `[type=="b", value==NegateBool("x")] => issue(type="r", value=1);`, ``,
			`policy evaluation: the rule at line 2, column 54: NegateBool at line 2, column 73: the argument "value" must be a Boolean, found the String "x"`},
		{"arguments are evaluated left to right", `[type=="b", value==AppendString(NegateBool(1), NegateBool(2))] => issue(type="r", value=1);`, ``,
			`policy evaluation: the rule at line 2, column 54: NegateBool at line 2, column 86: the argument "value" must be a Boolean, found the Integer 1`},
	}
	for _, tt := range tests {
		if got := outcome(mustParse(t, issuance12(tt.rules)), tt.claims); got != tt.want {
			t.Errorf("%s: %s on %q: %q, want %q", tt.name, tt.rules, tt.claims, got, tt.want)
		}
	}
}

func TestReadOnlyClaims(t *testing.T) { // policy.md sections 1, 5.3 and 7
	const refused = "is read-only, or made of one that is, and cannot be issued"
	tests := []struct{ name, rules, want string }{
		{"in conditions", `c:[type=="pcrs", value==JmesPath("\"x\"", "@")] => issue(type="r", value=1);`, ""},
		{"issued", `c:[type=="pcrs"] => issue(type="r", value=c.value);`, refused},
		{"copied", `c:[type=="pcrs"] => issue(claim=c);`, refused},
		{"as a property", `c:[type=="pcrs"] => issueproperty(type="r", value=c.value);`, refused},
		{"its type", `c:[type=="pcrs"] => issue(type=c.type, value=1);`, refused},
		{"through add", `c:[type=="pcrs"] => add(type="r", value=c.value); d:[type=="r"] => issue(type="s", value=d.value);`, refused},
		{"through a copy by add", `c:[type=="pcrs"] => add(claim=c); c:[type=="pcrs"] => issue(claim=c);`, refused},
		{"with others of its label", `c:[issuer=="AttestationService"] => issue(type="r", value=c.value);`, refused},
		{"through JmesPath", `c:[type=="pcrs"] => issue(type="r", value=JmesPath(c.value, "x"));`, refused},
		{"through its query", `c:[type=="query"] => issue(type="r", value=JmesPath("{}", c.value));`, "r:\"null\""},
		{"through JsonToClaimValue", `c:[type=="pcrs"] => issue(type="r", value=JsonToClaimValue(JmesPath(c.value, "x")));`, refused},
		{"through AppendString", `c:[type=="pcrs"] => issue(type="r", value=AppendString("", c.value));`, refused},
		{"through NegateBool", `c:[type=="pcrs"] => issue(type="r", value=NegateBool(JsonToClaimValue(JmesPath(c.value, "x"))));`, refused},
		{"made by the policy", `=> issue(type="pcrs", value="forged");`, refused},
		{"made by the policy in two rules", `=> add(type="pcrs", value="forged"); c:[type=="pcrs", value=="forged"] => issue(type="r", value=c.value);`, refused},
		{"made with a type that is put together", `=> issue(type=AppendString("pc", "rs"), value=1);`, refused},
		{"of reference values", `c:[type=="assay-reference"] => issue(type="r", value=c.value);`, refused},
		{"of reference values, copied", `c:[issuer=="ReferenceValue"] => issue(claim=c);`, refused},
		{"of reference values, as a property", `c:[type=="any-name"] => issueproperty(type="r", value=c.value);`, refused},
		{"of reference values, copied by add", `c:[type=="any-name"] => add(claim=c); c:[type=="any-name"] => issue(claim=c);`, refused},
		{"called as of reference values by the policy", `=> issue(type="assay-reference", value="own");`, `assay-reference:"own"`},
		{"IsSubsetOf is never", `c:[type=="pcrs"] => issue(type="r", value=IsSubsetOf(c.value, c.value));`, "r:true"},
		{"ContainsOnlyValue is never", `c:[type=="pcrs"] => issue(type="r", value=ContainsOnlyValue(c.value, "x"));`, "r:false"},
	}
	claims := []policy.Claim{
		{Type: "pcrs", Value: policy.StringValue(`{"x":true}`), Issuer: policy.AttestationService},
		{Type: "query", Value: policy.StringValue("x"), Issuer: policy.AttestationService},
		{Type: "assay-reference", Value: policy.StringValue("prod"), Issuer: policy.ReferenceValue},
		{Type: "any-name", Value: policy.StringValue("x"), Issuer: policy.ReferenceValue},
	}
	for _, tt := range tests {
		if got := outcomeOf(mustParse(t, issuance12(tt.rules)), claims); got != tt.want && !(tt.want == refused && strings.Contains(got, refused)) {
			t.Errorf("%s: %s: %q, want %q", tt.name, tt.rules, got, tt.want)
		}
	}
}

// TestPoliciesOnRealLogs evaluates the published policies over the claims of two real Windows boot logs.
func TestPoliciesOnRealLogs(t *testing.T) {
	var index map[string]struct {
		Logs map[string]string `json:"expected_on_real_logs"`
	}
	vectortest.ReadJSON(t, "policies/index.json", &index)
	var expected map[string]map[string]map[string]any
	vectortest.ReadJSON(t, "policies/expected-on-real-windows-logs.json", &expected)
	runs := 0
	for name, entry := range index {
		for log, file := range entry.Logs {
			claims, err := policy.ParseClaims(vectortest.Read(t, file))
			if err != nil {
				t.Fatal(err)
			}
			o, err := mustParse(t, string(readPolicy(t, name))).Evaluate(claims, policy.Budget{})
			if err != nil {
				t.Errorf("%s on %s: %v", name, log, err)
				continue
			}
			compareIssued(t, name+" on "+log, o.Issued(), expected[name][log])
			runs++
		}
	}
	if runs == 0 {
		t.Error("the index names no log")
	}
}

// compareIssued compares claims with expected ones, where a long string may be given by its hash and length.
func compareIssued(t *testing.T, what string, issued []policy.Group, want map[string]any) {
	t.Helper()
	if len(issued) != len(want) {
		t.Errorf("%s: issued %s, want %d claims", what, groupText(issued), len(want))
	}
	for _, g := range issued {
		got := jsonOf(t, g)
		if s, ok := g.Any().(string); ok {
			if digest, ok := want[g.Type].(map[string]any); ok {
				sum := sha256.Sum256([]byte(s))
				got = jsonOf(t, map[string]any{"sha256": hex.EncodeToString(sum[:]), "length": len(s)})
				want[g.Type] = digest
			}
		}
		if w := jsonOf(t, want[g.Type]); got != w {
			t.Errorf("%s: %s is %.300s, want %s", what, g.Type, got, w)
		}
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestQueriesBeyondThoseCompiledWithThePolicy: queries that Parse leaves to evaluation give the same.
func TestQueriesBeyondThoseCompiledWithThePolicy(t *testing.T) {
	long := "x" + strings.Repeat(" ", 15<<10)
	var rules strings.Builder
	for range 8 { // 120 KiB
		rules.WriteString(`c:[type=="a"] => issue(type="r", value=JmesPath(c.value, "` + long + `"));` + "\n")
	}
	rules.WriteString(`c:[type=="a"] => issue(type="bad", value=JmesPath(c.value, "x["));`)
	claims := []policy.Claim{{Type: "a", Value: policy.StringValue(`{"x":1}`), Issuer: policy.AttestationService}}
	got := outcomeOf(mustParse(t, issuance12(rules.String())), claims)
	if !strings.HasPrefix(got, "policy evaluation: the rule at line 10, column 1: JmesPath at line 10, column 42: the query is not JMESPath") {
		t.Errorf("got %s", got)
	}
	good := strings.TrimSuffix(rules.String(), "\n"+`c:[type=="a"] => issue(type="bad", value=JmesPath(c.value, "x["));`)
	if got := outcomeOf(mustParse(t, issuance12(good)), claims); got != `r:"1"` {
		t.Errorf("got %s", got)
	}
}
