package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

// wantFailure parses and compares: no error for "", else one error that contains the failure.
func wantFailure(t *testing.T, what, text, failure string) {
	t.Helper()
	_, err := policy.Parse([]byte(text))
	switch {
	case failure == "" && err != nil:
		t.Errorf("%s: %.300v, want no error", what, err)
	case failure != "" && (err == nil || !strings.Contains(err.Error(), failure)):
		t.Errorf("%s: %.300v, want %q", what, err, failure)
	}
}

func TestLimitsOfTheTextHoldAtTheirEdge(t *testing.T) {
	filled := func(size int) string {
		return auth("=> permit();") + strings.Repeat(" ", size-len(auth("=> permit();")))
	}
	wantFailure(t, "text of the largest size", filled(policy.MaxText), "")
	wantFailure(t, "text one byte larger", filled(policy.MaxText+1), "the policy has 1048577 bytes, at most 1048576 are allowed")

	rules := func(n int) string { return strings.Repeat("=>permit();", n) }
	wantFailure(t, "most rules", auth(rules(policy.MaxRules)), "")
	wantFailure(t, "one rule more", auth(rules(policy.MaxRules+1)), "the policy has more than 4096 rules")
	inTwo := auth(rules(policy.MaxRules)) + " issuancerules { => issue(type=\"a\", value=1); };"
	wantFailure(t, "one rule more in another section", inTwo, "the policy has more than 4096 rules")

	conditions := func(n int) string { return strings.Repeat(`[type=="a"] && `, n-1) + `[type=="a"] => permit();` }
	wantFailure(t, "most conditions", auth(conditions(policy.MaxConditions)), "")
	wantFailure(t, "one condition more", auth(conditions(policy.MaxConditions+1)), "the rule has more than 64 conditions")

	nested := func(n int) string {
		return auth("[value==" + strings.Repeat("f(", n-1) + "1" + strings.Repeat(")", n-1) + "] => permit();")
	}
	wantFailure(t, "deepest expression", nested(policy.MaxNesting), "needs version 1.2")
	wantFailure(t, "one level deeper", nested(policy.MaxNesting+1), "expressions nest deeper than 32")

	calls := func(n int) string {
		return auth12("[value==" + strings.Repeat("NegateBool(", n-1) + "true" + strings.Repeat(")", n-1) + "] => permit();")
	}
	wantFailure(t, "deepest call", calls(policy.MaxNesting), "")
	wantFailure(t, "one call deeper", calls(policy.MaxNesting+1), "expressions nest deeper than 32")
	mixed := strings.Replace(calls(policy.MaxNesting), "true", "JsonToClaimValue(\"true\")", 1)
	wantFailure(t, "another function inside", mixed, "expressions nest deeper than 32")

	wantFailure(t, "most errors", auth(strings.Repeat("=>x();", policy.MaxErrors)), "mismatched input 'x'")
}

func TestDeepestExpressionIsNotRefusedForItsDepth(t *testing.T) {
	_, err := policy.Parse([]byte(auth("[value==" + strings.Repeat("f(", policy.MaxNesting-1) + "1" + strings.Repeat(")", policy.MaxNesting-1) + "] => permit();")))
	if err == nil || strings.Contains(err.Error(), "nest deeper") {
		t.Errorf("got %v, want only the errors of the version", err)
	}
}

func TestErrorsAreBounded(t *testing.T) {
	for _, n := range []int{policy.MaxErrors, policy.MaxErrors + 1, 50_000} {
		_, err := policy.Parse([]byte(auth(strings.Repeat("=>x();", n))))
		if errs, _ := errors.AsType[policy.Errors](err); len(errs) != policy.MaxErrors {
			t.Errorf("%d errors of %d, want %d", len(errs), n, policy.MaxErrors)
		}
	}
}

func TestClaimLimitHoldsAtItsEdge(t *testing.T) {
	p := mustParse(t, issuance(`=> add(type="new", value=1);`))
	claims := make([]policy.Claim, policy.MaxClaims+1)
	for i := range claims {
		claims[i] = policy.Claim{Type: "a", Value: policy.IntegerValue(int64(i)), Issuer: policy.AttestationService}
	}
	for _, tt := range []struct {
		claims int
		budget policy.Budget
		ok     bool
	}{
		{policy.MaxClaims - 1, policy.Budget{}, true}, // and one that the rule adds
		{policy.MaxClaims, policy.Budget{}, false},
		{policy.MaxClaims + 1, policy.Budget{}, false},
		{9, policy.Budget{Claims: 10}, true},
		{10, policy.Budget{Claims: 10}, false},
		{11, policy.Budget{Claims: 10}, false},
		{10, policy.Budget{Claims: -1}, true},
	} {
		_, err := p.Evaluate(claims[:tt.claims], tt.budget)
		if _, isError := errors.AsType[*policy.EvaluationError](err); (err == nil) != tt.ok || err != nil && !isError {
			t.Errorf("%d claims with %+v: %v, want success %t", tt.claims, tt.budget, err, tt.ok)
		}
	}
}

func TestStepLimitHoldsAtItsEdge(t *testing.T) {
	long := strings.Repeat("x", 640)
	tests := []struct {
		name, text, claims string
		steps              int
	}{
		{"one for a comparison", auth(`[type=="b"] => deny(); => permit();`), "a=1 a=2 a=3", 3},
		{"none after the first that fails", auth(`[type=="b", value==1, value==2] => deny(); [type=="a"] => permit();`), "a=1", 2},
		{"a long string costs by its length", auth(`[value=="b"] => deny(); => permit();`), "a=" + long, 11},
		{"sixteen for a claim made", issuance(`=> add(type="a", value=1);`), "", 16},
		{"sixteen for each member of a label", issuance(`c:[type=="a"] => issue(type="b", value=c.value);`), "a=1 a=2", 2 + 2*16 + 2*(16+16)},
		{"and sixteen for each claim issued", issuance(`c:[type=="a"] => issue(claim=c);`), "a=1 a=2", 2 + 2*(16+16)},
		{"the type of a claim costs by its length", issuance(`c:[value=="` + long + `"] => add(type=c.value, value=1);`), "a=" + long, (1 + 10) + (16 + 10) + (16 + 10)},
		{"a long string costs for each member of a small set", issuance(`c:[type=="a"] => add(type="` + long + `", value=c.value);`), "a=1 a=2", 2 + 2*16 + (16 + 2*641/64) + (16 + 3*641/64)},
		{"more for a comparison with a set", auth(`c:[type=="a"] && [type=="z", value==c.value] => deny(); => permit();`), "a=1 a=2 a=3 a=4", 4 + 4*16 + 4},
		{"that grows with it", auth(`c:[type=="a"] && [value==c.type, value==c.value] => permit();`), "a=1 a=2 a=3 a=a", 4 + 2*4*16 + 4 + 2},
	}
	for _, tt := range tests {
		p := mustParse(t, tt.text)
		_, err := p.Evaluate(claimsOf(tt.claims), policy.Budget{Steps: tt.steps})
		if err != nil {
			t.Errorf("%s: %v with %d steps", tt.name, err, tt.steps)
		}
		_, err = p.Evaluate(claimsOf(tt.claims), policy.Budget{Steps: tt.steps - 1})
		if _, ok := errors.AsType[*policy.EvaluationError](err); !ok || !strings.Contains(err.Error(), "the evaluation takes more than") {
			t.Errorf("%s: %v with %d steps, want an *EvaluationError", tt.name, err, tt.steps-1)
		}
	}
}

func TestValueLimitHoldsAtItsEdge(t *testing.T) {
	const member = 144
	for _, tt := range []struct {
		name, text, claims string
		values             int
	}{
		{"a label", issuance(`c:[type=="a"] => add(type="b", value=c.value);`), "a=1 a=2", 2 * member},
		{"labels of one rule together", issuance(`c:[type=="a"] && [type==c.type, value==c.value] => add(type="b", value=c.value);`), "a=1 a=2", 6 * member},
		{"labels of the largest rule", issuance(strings.Repeat(`c:[type=="a"] => add(type="b", value=c.value);`, 9)), "a=1 a=2", 2 * member},
		{"JSON that is read", issuance12(`=> add(type="b", value=JsonToClaimValue("[1,2]"));`), "", 3*16 + 2*24 + 2*member},
		{"queries that are put together", issuance12(`=> add(type="b", value=JmesPath("1", AppendString("@", "|@")));`), "", 16 + 3*256},
	} {
		p := mustParse(t, tt.text)
		if _, err := p.Evaluate(claimsOf(tt.claims), policy.Budget{Values: tt.values}); err != nil {
			t.Errorf("%s: %v with %d bytes", tt.name, err, tt.values)
		}
		_, err := p.Evaluate(claimsOf(tt.claims), policy.Budget{Values: tt.values - 1})
		if _, ok := errors.AsType[*policy.EvaluationError](err); !ok || !strings.Contains(err.Error(), "bytes of values") {
			t.Errorf("%s: %v with %d bytes, want an *EvaluationError", tt.name, err, tt.values-1)
		}
	}
}

func TestEveryStringThatFunctionsMakeCounts(t *testing.T) { // function_string_bytes
	for _, tt := range []struct {
		name, expression string
		bytes            int
	}{
		{"strings joined", `AppendString("abc", AppendString("d", "e"))`, 5 + 2},
		{"texts of results", `JmesPath("{\"a\":[1,\"b\"]}", "a")`, len(`[1,"b"]`)},
		{"strings that queries make", `JmesPath("\"ab\"", "upper(@)")`, 2 + 4},
		{"strings of JSON", `JsonToClaimValue("[\"ab\",\"c\",1]")`, 3},
	} {
		p := mustParse(t, issuance12(`=> add(type="r", value=`+tt.expression+`);`))
		if _, err := p.Evaluate(nil, policy.Budget{Strings: tt.bytes}); err != nil {
			t.Errorf("%s: %v with %d bytes", tt.name, err, tt.bytes)
		}
		_, err := p.Evaluate(nil, policy.Budget{Strings: tt.bytes - 1})
		if _, ok := errors.AsType[*policy.EvaluationError](err); !ok || !strings.Contains(err.Error(), "(function_string_bytes)") {
			t.Errorf("%s: %v with %d bytes, want an *EvaluationError", tt.name, err, tt.bytes-1)
		}
	}
}

// TestPublishedPoliciesFitTheLimits evaluates all rules of the published policies of version 1.2 together over the longest
// list of measurements (ima_entries) and the longest log (tcg_log_records).
func TestPublishedPoliciesFitTheLimits(t *testing.T) {
	var rules strings.Builder
	for _, name := range []string{"bitlocker", "boot-debugging", "ci-policy-and-revocation", "code-integrity", "dep", "driver-list", "elam", "hvci", "safemode-winpe", "secureboot"} {
		text := string(readPolicy(t, "tpm-v12-"+name+".txt"))
		text = text[strings.Index(text, "issuancerules"):]
		rules.WriteString(text[strings.Index(text, "{")+1 : strings.LastIndex(text, "}")])
	}
	p := mustParse(t, issuance12(rules.String()))
	for name, list := range map[string]struct {
		entries int
		entry   string
	}{
		"IMA": {100_000, `{"EventSeq":%d,"EventTypeString":"IMA_MEASUREMENT_EVENT","PcrIndex":10,"ProcessedData":{"TemplateName":"ima-ng","Name":"/usr/lib/x86_64-linux-gnu/libresolv.so","Digest":"sha256:%064[1]x"}}`},
		"TCG": {20_000, `{"EventSeq":%d,"EventType":2147483649,"EventTypeString":"EV_EFI_VARIABLE_DRIVER_CONFIG","PcrIndex":7,"ProcessedData":{"VariableGuid":"8BE4DF61-93CA-11D2-AA0D-00E098032B8C","UnicodeName":"SecureBoot","VariableData":"AQ"}}`},
	} {
		events := make([]string, list.entries)
		for i := range events {
			events[i] = fmt.Sprintf(list.entry, i)
		}
		claims := []policy.Claim{{Type: "events", Value: policy.StringValue(`{"Events":[` + strings.Join(events, ",") + `]}`), Issuer: policy.AttestationService}}
		if _, err := p.Evaluate(claims, policy.Budget{}); err != nil {
			t.Errorf("%s: %.300v", name, err)
		}
	}
}

const issueAll = `x:[type=="t"] && y:[type=="v"] => issue(type=x.value, value=y.value);`

// product makes 256 names and 256 numbers before rule.
func product(rule string) string {
	var b strings.Builder
	for i := range 256 {
		fmt.Fprintf(&b, `=> add(type="t", value="n%d"); => add(type="v", value=%d);`, i, i)
	}
	return b.String() + rule
}

// TestIssuedBytesAreLimited: each claim counts once, by its name and its value.
func TestIssuedBytesAreLimited(t *testing.T) {
	long := strings.Repeat("x", policy.MaxIssued-1-128)
	claims := []policy.Claim{{Type: "a", Value: policy.StringValue(long), Issuer: policy.AttestationService}}
	for text, ok := range map[string]bool{
		`c:[type=="a"] => issue(type="b", value=c.value);`:                                                  true,
		`c:[type=="a"] => issue(type="b", value=c.value); c:[type=="a"] => issue(type="b", value=c.value);`: true,
		`c:[type=="a"] => issue(type="bb", value=c.value);`:                                                 false,
		`c:[type=="a"] => issue(type="b", value=c.value); => issue(type="c", value=1);`:                     false,
		`c:[type=="a"] => issueproperty(type="bb", value=c.value);`:                                         false,
		`c:[type=="a"] => add(type="bb", value=c.value);`:                                                   true,
		product(issueAll): false,
	} {
		_, err := mustParse(t, issuance(text)).Evaluate(claims, policy.Budget{})
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "issues more than 1048576 bytes") {
			t.Errorf("%s: %v, want success %t", text, err, ok)
		}
	}
}

// TestHostileTextIsRefusedWithoutWork counts allocations: they must not grow with the text.
func TestHostileTextIsRefusedWithoutWork(t *testing.T) {
	const few = 70_000 // what a policy of the largest number of rules may need; a million rules would take far more
	for name, text := range map[string]string{
		"a million rules":            auth(strings.Repeat("=>permit();", 1_000_000)),
		"as many rules as fit":       auth(strings.Repeat("=>permit();", 90_000)),
		"a megabyte of quotes":       auth(strings.Repeat(`"`, 1_000_000)),
		"a megabyte of brackets":     auth(strings.Repeat("[", 1_000_000)),
		"a megabyte of parentheses":  auth("[value==" + strings.Repeat("f(", 500_000)),
		"a megabyte of minus signs":  auth("[value==" + strings.Repeat("-", 1_000_000)),
		"a megabyte of digits":       auth("[value==" + strings.Repeat("1", 1_000_000)),
		"a megabyte of backslashes":  auth(`[type=="` + strings.Repeat(`\`, 1_000_000)),
		"a megabyte of semicolons":   auth(strings.Repeat(";", 1_000_000)),
		"a megabyte of version":      "version=" + strings.Repeat("1", 1_000_000) + ".0;",
		"a megabyte of broken rules": auth(strings.Repeat("=>;", 300_000)),
		"a megabyte of sections":     "version=1.0;" + strings.Repeat("issuancerules{};", 60_000),
	} {
		var err error
		if n := testing.AllocsPerRun(1, func() { _, err = policy.Parse([]byte(text)) }); n > few {
			t.Errorf("%s: %.0f allocations", name, n)
		}
		if err == nil || len(err.Error()) > 40_000 {
			t.Errorf("%s: error of %d bytes", name, len(err.Error()))
		}
	}
}

// TestHostilePoliciesRunOutOfSteps evaluates the most work that the other limits allow: that it ends is the test.
func TestHostilePoliciesRunOutOfSteps(t *testing.T) {
	claims := make([]policy.Claim, 50_000)
	for i := range claims {
		claims[i] = policy.Claim{Type: "a", Value: policy.IntegerValue(int64(i)), Issuer: policy.AttestationService}
	}
	long := policy.Claim{Type: "a", Value: policy.StringValue(strings.Repeat("x", 4<<20)), Issuer: policy.CustomClaim}
	conditions := func(condition string) string {
		rule := condition + strings.Repeat("&&"+condition, policy.MaxConditions-2) + "=>permit();"
		return strings.Repeat("c:[type==\"a\"]&&"+rule, min(policy.MaxRules, 900_000/len(rule)))
	}
	tests := []struct {
		name, text string
		claims     []policy.Claim
	}{
		{"every rule looks at every claim", auth(conditions(`[value!=c.value]`)), claims},
		{"many rules", auth(strings.Repeat(`[value==-1]=>permit();`, policy.MaxRules)), claims},
		{"many tests in one condition", auth(`c:[type=="a"] && [` + strings.Repeat(`value!="a",`, 80_000) + `value==-1] => permit();`), claims},
		{"many sets in one condition", auth(`c:[type=="a"] && [` + strings.Repeat(`value==c.value,`, 60_000) + `value==-1] => permit();`), claims},
		{"the product of types and values", issuance(`c:[type=="a"] => add(type="t", value=c.value); ` + strings.Repeat(`c:[type=="t"] => add(type=c.type, value=c.value);`, 4000)), claims[:40_000]},
		{"long types", issuance(strings.Repeat(`c:[valueType=="String",type=="b"] && d:[type=="a"] => add(type=c.value, value=d.value);`, 2000)), append(claims[:2000:2000], policy.Claim{Type: "b", Value: policy.StringValue(long.Value.String()[:600_000])})},
		{"long strings", auth(conditions(`[value==c.value]`)), []policy.Claim{long, {Type: "b", Value: long.Value}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := mustParse(t, tt.text).Evaluate(tt.claims, policy.Budget{})
			if err == nil || !strings.Contains(err.Error(), "the evaluation takes more than 60000000 steps") && !strings.Contains(err.Error(), "more than 201326592 bytes of values") {
				t.Errorf("%.300v", err)
			}
		})
	}
}

// TestStringLimitHoldsAtItsEdge: the bytes of all strings that functions make, over all rules (policy.md section 13,
// function_string_bytes).
func TestStringLimitHoldsAtItsEdge(t *testing.T) {
	p := mustParse(t, issuance12(`a:[type=="a"] => add(type="x", value=AppendString(a.value, "12")); a:[type=="a"] => add(type="y", value=AppendString("12", a.value));`))
	half := strings.Repeat("x", policy.MaxStrings/2)
	for _, tt := range []struct {
		text   string
		budget int
		ok     bool
	}{
		{"abc", 10, true}, // 3+2 and 2+3
		{"abc", 9, false},
		{"abc", -1, true},
		{half[:len(half)-2], 0, true}, // half and half
		{half[:len(half)-1], 0, false},
	} {
		claims := []policy.Claim{{Type: "a", Value: policy.StringValue(tt.text), Issuer: policy.AttestationService}}
		_, err := p.Evaluate(claims, policy.Budget{Strings: tt.budget})
		_, isError := errors.AsType[*policy.EvaluationError](err)
		if (err == nil) != tt.ok || err != nil && (!isError || !strings.Contains(err.Error(), "(function_string_bytes)")) {
			t.Errorf("%d bytes with %d: %v, want success %t", len(tt.text), tt.budget, err, tt.ok)
		}
	}
}

func TestEvaluationEndsWhenNobodyWaits(t *testing.T) {
	done := make(chan struct{})
	policies := []*policy.Policy{
		mustParse(t, auth(`[type=="a"] => permit();`)),
		mustParse(t, issuance12(`a:[type=="a"] => issue(type="b", value=JmesPath("{}", "x"));`)),
		mustParse(t, issuance12(`=> issue(type="b", value=1);`)),
	}
	for _, p := range policies {
		if _, err := p.Evaluate(claimsOf("a=1"), policy.Budget{Done: done}); err != nil {
			t.Errorf("%s: %v", p.Text(), err)
		}
	}
	close(done)
	for _, p := range policies {
		_, err := p.Evaluate(claimsOf("a=1"), policy.Budget{Done: done})
		if _, ok := errors.AsType[*policy.EvaluationError](err); !ok || !strings.Contains(err.Error(), "its time is over") {
			t.Errorf("%s: %v, want an *EvaluationError", p.Text(), err)
		}
	}
}
