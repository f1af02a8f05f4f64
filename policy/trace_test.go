package policy_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

const tracedPolicy = `version=1.2;
configurationrules
{
    => issueproperty(type="x-ms-sgx-tcbidentifier", value="15");
};
authorizationrules
{
    c:[type=="x-ms-sgx-svn", value>=2] => add(type="modern", value=true);
    [type=="x-ms-sgx-is-debuggable", value==false] && ![type=="modern"] => permit();
    [type=="modern", issuer=="AttestationPolicy"] => permit();
};
issuancerules
{
    c:[type=="data"] => issue(type="first", value=JsonToClaimValue(JmesPath(c.value, "list[0]")));
    c:[type=="data"] && [type=="x-ms-sgx-svn", value==JsonToClaimValue(c.value)] => issue(type="same", value=1);
};
`

func tracedClaims() []policy.Claim {
	return append(claimsOf("x-ms-sgx-is-debuggable=false x-ms-sgx-svn=3"),
		policy.Claim{Type: "data", Value: policy.StringValue(`{"list":[7]}`), Issuer: policy.AttestationService})
}

// TestTraceTellsTheStory reads the text of a trace; each line was written down from policy.md section 5.
func TestTraceTellsTheStory(t *testing.T) {
	p := mustParse(t, tracedPolicy)
	trace := p.Explain("SgxEnclave", tracedClaims(), policy.Budget{})
	want := `configurationrules
  line 4, column 5: fired, issueproperty
    |     => issueproperty(type="x-ms-sgx-tcbidentifier", value="15");
    |     ^
    issueproperty x-ms-sgx-tcbidentifier = "15" (AttestationPolicy)
authorizationrules
  line 8, column 5: fired, add
    |     c:[type=="x-ms-sgx-svn", value>=2] => add(type="modern", value=true);
    |     ^
    holds: c:[type=="x-ms-sgx-svn", value>=2]
      satisfied by x-ms-sgx-svn = 3 (AttestationService)
    add modern = true (AttestationPolicy)
  line 9, column 5: did not fire
    |     [type=="x-ms-sgx-is-debuggable", value==false] && ![type=="modern"] => permit();
    |     ^
    holds: [type=="x-ms-sgx-is-debuggable", value==false]
      satisfied by x-ms-sgx-is-debuggable = false (AttestationService)
    does not hold: ![type=="modern"]
      satisfied by modern = true (AttestationPolicy)
  line 10, column 5: fired, permit
    |     [type=="modern", issuer=="AttestationPolicy"] => permit();
    |     ^
    holds: [type=="modern", issuer=="AttestationPolicy"]
      satisfied by modern = true (AttestationPolicy)
issuancerules
  line 14, column 5: fired, issue
    |     c:[type=="data"] => issue(type="first", value=JsonToClaimValue(JmesPath(c.value, "list[0]")));
    |     ^
    holds: c:[type=="data"]
      satisfied by data = "{\"list\":[7]}" (AttestationService)
    line 14, column 68: JmesPath("{\"list\":[7]}", "list[0]") = "7"
    line 14, column 51: JsonToClaimValue("7") = 7
    issue first = 7 (AttestationPolicy)
  line 15, column 5: failed  <== decided
    |     c:[type=="data"] && [type=="x-ms-sgx-svn", value==JsonToClaimValue(c.value)] => issue(type="same", value=1);
    |     ^
    holds: c:[type=="data"]
      satisfied by data = "{\"list\":[7]}" (AttestationService)
    fails: [type=="x-ms-sgx-svn", value==JsonToClaimValue(c.value)]
      line 15, column 55: JsonToClaimValue("{\"list\":[7]}") = error
    error: Policy Engine Exception: the rule at line 15, column 5 failed: JsonToClaimValue at line 15, column 55: the JSON contains an object; a claim's values are strings, integers and booleans. The rule: c:[type=="data"] && [type=="x-ms-sgx-svn", value==JsonToClaimValue(c.value)] => issue(type="same", value=1)
error: Policy Engine Exception: the rule at line 15, column 5 failed: JsonToClaimValue at line 15, column 55: the JSON contains an object; a claim's values are strings, integers and booleans. The rule: c:[type=="data"] && [type=="x-ms-sgx-svn", value==JsonToClaimValue(c.value)] => issue(type="same", value=1)
`
	if got := p.Describe(trace); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestTraceIsTheEvaluation holds verdict, message and claims of traces to those of evaluations, over all vectors.
func TestTraceIsTheEvaluation(t *testing.T) {
	for name, v := range readIndex(t) {
		if !v.Parses {
			continue
		}
		p := mustParse(t, string(readPolicy(t, name)))
		for _, when := range v.ExpectedWhen {
			claims, err := policy.ParseClaims(when.Claims)
			if err != nil {
				t.Fatal(err)
			}
			trace := p.Explain(typeOf(v), claims, policy.Budget{})
			got := expectedWhen{Verdict: string(trace.Verdict), Issued: membersOf(trace.Issued),
				Properties: membersOf(trace.Properties), Configuration: membersOf(trace.Configuration)}
			if diff := got.differs(when); diff != "" {
				t.Errorf("%s/%s: %s", name, when.Name, diff)
			}
			if _, err := p.Evaluate(claims, policy.Budget{}); err != nil && trace.Message != err.Error() {
				t.Errorf("%s/%s: message %q, want %q", name, when.Name, trace.Message, err)
			}
			if !utf8JSON(t, trace) || strings.Count(p.Describe(trace), "<== decided") > 1 {
				t.Errorf("%s/%s: %s", name, when.Name, p.Describe(trace))
			}
		}
	}
}

func utf8JSON(t *testing.T, v any) bool {
	t.Helper()
	b, err := json.Marshal(v)
	return err == nil && json.Valid(b)
}

func TestTraceNamesTheDecisiveRule(t *testing.T) {
	for _, tt := range []struct {
		rules   string
		verdict policy.Verdict
		line    int // 0: none
	}{
		{"[type==\"b\"] => permit();\n=> permit();\n=> permit();", policy.Permitted, 3},
		{"=> permit();\n[type==\"a\"] => deny();\n=> deny();", policy.DeniedByRule, 3},
		{"=> add(type=\"b\", value=1);\n[type==\"c\"] => permit();", policy.NotPermitted, 0},
		{"=> permit();\nc:[type==\"a\"] => add(type=c.value, value=1);", policy.Failed, 3},
	} {
		trace := mustParse(t, auth(tt.rules)).Explain("", claimsOf("a=1"), policy.Budget{})
		line := 0
		if trace.Decisive != nil {
			line = trace.Decisive.Line
		}
		if trace.Verdict != tt.verdict || line != tt.line {
			t.Errorf("%s: %s at line %d, want %s at %d", tt.rules, trace.Verdict, line, tt.verdict, tt.line)
		}
	}
}

// TestTraceStaysSmall: a trace is bounded however large policy and claims are, and keeps the rule that decided.
func TestTraceStaysSmall(t *testing.T) {
	numbers := make([]policy.Claim, 1000, 1001)
	for i := range numbers {
		numbers[i] = policy.Claim{Type: "a", Value: policy.IntegerValue(int64(i)), Issuer: policy.CustomClaim}
	}
	numbers = append(numbers, policy.Claim{Type: "a", Value: policy.StringValue(strings.Repeat("x", 1<<20)), Issuer: policy.CustomClaim})
	controls := make([]policy.Claim, 20)
	for i := range controls {
		controls[i] = policy.Claim{Type: "a", Value: policy.StringValue(strings.Repeat("\x01", 250+i)), Issuer: policy.CustomClaim}
	}
	several := func(test string) string { return strings.Repeat(test+",", 200) + test }
	for _, tt := range []struct {
		name, rules string
		claims      []policy.Claim
	}{
		{"many claims", strings.Repeat(`c:[type=="a", value!=1] && [value==c.value] => add(type="b", value=c.value);`, 4000), numbers},
		{"long types", `=> add(type="` + strings.Repeat("x", 500_000) + `", value=1);` + strings.Repeat(`[value==1] => add(type="b", value=1);`, 4000), nil},
		{"right sides", strings.Repeat(`c:[type=="a"] && [`+several("value!=c.value")+`] => add(type="b", value=1);`, 200), controls},
		{"arguments", strings.Repeat(`c:[type=="a"] && [`+several("value==IsSubsetOf(c.value, c.value)")+`] => add(type="b", value=1);`, 100), controls},
		{"long calls", strings.Repeat("[value=="+strings.Repeat(`AppendString("",`, 31)+`"`+strings.Repeat("x", 2000)+`"`+strings.Repeat(")", 31)+`] => add(type="b", value=1);`, 300), numbers},
	} {
		p := mustParse(t, strings.Replace(auth(tt.rules+"\n=> deny();"), "1.0", "1.2", 1))
		trace := p.Explain("", tt.claims, policy.Budget{Steps: 1 << 40, Values: 1 << 40})
		b, err := json.Marshal(trace)
		if err != nil {
			t.Fatal(err)
		}
		last := trace.Rules[len(trace.Rules)-1]
		if !trace.Truncated || len(trace.Rules) > policy.MaxTrace || len(b) > 16<<20 || last.Effect != "deny" || trace.Decisive == nil || trace.Decisive.Line != 3 {
			t.Errorf("%s: %d rules, %d bytes, last %.300v, %s", tt.name, len(trace.Rules), len(b), last, trace.Message)
		}
	}
}

func TestTracingOffCostsNothing(t *testing.T) {
	p, claims := mustParse(t, string(policy.DefaultSGX())), sgxClaims()
	const before = 12 // allocations of an evaluation before there were traces
	if n := testing.AllocsPerRun(100, func() { _, _ = p.Evaluate(claims, policy.Budget{}) }); n > before {
		t.Errorf("%v allocations, want %d at most", n, before)
	}
}

func TestTraceMarksReadOnlyValues(t *testing.T) {
	p := mustParse(t, issuance12(`c:[type=="pcrs"] => add(type="x", value=JmesPath(c.value, "a"));`))
	trace := p.Explain("", claimsOf("pcrs={}"), policy.Budget{})
	i := slices.IndexFunc(trace.Rules, func(r policy.RuleTrace) bool { return r.Section == "issuancerules" })
	if r := trace.Rules[i]; !r.Calls[0].ReadOnly || !r.Made[0].Claim.ReadOnly || !r.Conditions[0].Compared[0].Claim.ReadOnly {
		t.Errorf("got %+v", r)
	}
}
