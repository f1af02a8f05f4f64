package policy_test

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

// cost parses a text, which must fail, and returns how many allocations that takes, of how many bytes. One copy of the
// text is not counted.
func cost(t *testing.T, text []byte, failure string) (count, size int) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := policy.Parse(text)
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), failure) {
		t.Errorf("%.100q: %.300v, want %q", text, err, failure)
	}
	size = int(after.TotalAlloc - before.TotalAlloc)
	if len(text) <= policy.MaxText {
		size -= len(text)
	}
	return int(after.Mallocs - before.Mallocs), size
}

func TestTextsBeyondTheLimitAreNotEvenCopied(t *testing.T) {
	for name, text := range map[string][]byte{
		"a text of 100 MB":                   bytes.Repeat([]byte("=>permit();\n"), 9_000_000),
		"a string of 100 MB":                 []byte(auth(`[type=="` + strings.Repeat("a", 100_000_000) + `"] => permit();`)),
		"a million rules":                    []byte(auth(strings.Repeat("=>permit();", 1_000_000))),
		"a million conditions":               []byte(auth(strings.Repeat(`[value==1]&&`, 1_000_000) + "[value==1]=>permit();")),
		"a million errors":                   []byte(auth(strings.Repeat("=>x();", 1_000_000))),
		"500,000 brackets":                   []byte(auth("[value==" + strings.Repeat("[", 500_000) + strings.Repeat("]", 600_000) + "]=>permit();")),
		"500,000 nested calls":               []byte(auth12("[value==" + strings.Repeat("f(", 500_000) + strings.Repeat(")", 500_000) + "]=>permit();")),
		"64 conditions in each of the rules": []byte(auth(strings.Repeat(strings.Repeat("[value==1]&&", 63)+"[value==1]=>permit();", policy.MaxRules))),
	} {
		if count, size := cost(t, text, "at most 1048576 are allowed"); count > 20 || size > 4<<10 {
			t.Errorf("%s: %d allocations of %d bytes", name, count, size)
		}
	}
}

// TestWorkDoesNotGrowWithTheExcess compares texts that break a limit, or are broken themselves, with others that are
// twice as long: what is allocated must be the same but for the copy of the text, and for what pools give or not.
func TestWorkDoesNotGrowWithTheExcess(t *testing.T) {
	for _, tt := range []struct {
		name    string
		text    func(many string) string
		unit    string
		failure string
	}{
		{"brackets in a condition", auth, "[", "mismatched input '['"},
		{"brackets in brackets", inTest, "[", "mismatched input '['"},
		{"nested calls", inTest12, "f(", "expressions nest deeper than 32"},
		{"nested calls of a function", inTest12, "NegateBool(", "expressions nest deeper than 32"},
		{"parentheses", auth, "(", "not grouped"},
		{"braces", auth, "{", "mismatched input '{'"},
		{"rules", auth, "=>permit();", "the policy has more than 4096 rules"},
		{"conditions", auth, `[type=="a"]&&`, "the rule has more than 64 conditions"},
		{"labels", auth, `c:[type=="a"]&&`, "the rule has more than 64 conditions"},
		{"arguments", inCall, "1,", "a function has at most 16 arguments"},
		{"assignments", inIssue, `value=1,`, "an action has at most 16 arguments"},
		{"sections", outside, "issuancerules{};", "stands twice"},
		{"versions", outside, "version=1.0;", "stands once"},
		{"errors", auth, "=>x();", "mismatched input 'x'"},
		{"errors in one rule", inTest, "1,x==", "mismatched input 'x'"},
		{"unknown functions", inTest12, "1,value==f()", "mismatched input"},
		{"misspelled words", outside, "authorisationrules{", "did you mean"},
		{"no-break spaces", auth, "\u00A0", "no-break space"},
		{"strange characters", auth, "%", "not part of the language"},
		{"words of other letters", auth, "é ", "not part of the language"},
		{"quotes", auth, `"`, "mismatched input"},
		{"single quotes", auth, "' ", "is not a quote"},
		{"French quotes that stay open", auth, "« ", "is not a quote"},
		{"escaped quotes", auth, `\" `, "is not a quote"},
		{"block comments that stay open", auth, "/* ", "block comments"},
		{"semicolons", auth, ";", "one ';' ends a rule"},
		{"minus signs", inTest, "-", "expecting Integer"},
		{"digits", inTest, "1", "does not fit in 64 bits"},
	} {
		half := policy.MaxText / 2 / len(tt.unit) * 9 / 10
		few, many := []byte(tt.text(strings.Repeat(tt.unit, half))), []byte(tt.text(strings.Repeat(tt.unit, 2*half)))
		count, size := cost(t, few, tt.failure)
		if count2, size2 := cost(t, many, tt.failure); count2 > count+count/2+8 || size2 > size+size/2+16<<10 {
			t.Errorf("%s: %d allocations of %d bytes, for twice the text %d of %d", tt.name, count, size, count2, size2)
		}
	}
}

func inTest(s string) string   { return auth("[value==" + s) }
func inTest12(s string) string { return auth12("[value==" + s) }
func inCall(s string) string   { return auth12("[value==IsSubsetOf(" + s + "1)]=>permit();") }
func inIssue(s string) string  { return auth("=>issue(" + s + "value=1);") }
func outside(s string) string  { return "version=1.0;" + s }

// TestParsingTakesBoundedMemory parses the largest policies: however they are made, 64 times their size is enough.
func TestParsingTakesBoundedMemory(t *testing.T) {
	fill := func(before, unit, after string) string {
		return before + strings.Repeat(unit, (policy.MaxText-len(before)-len(after))/len(unit)) + after
	}
	for name, text := range map[string]string{
		"tests":           fill("version=1.2;authorizationrules{[", `type=="",`, `value==1]=>permit();};`),
		"calls":           fill("version=1.2;authorizationrules{[", "value==IsSubsetOf(1,1),", `value==1]=>permit();};`),
		"labels":          fill(`version=1.2;authorizationrules{c:[type=="a"]&&[`, "value==c.value,", `value==1]=>permit();};`),
		"full rules":      fill("version=1.2;authorizationrules{", strings.Repeat("[value==1]&&", 63)+"[value==1]=>permit();", "};"),
		"nested calls":    fill("version=1.2;authorizationrules{", "[value=="+strings.Repeat("NegateBool(", 31)+"true"+strings.Repeat(")", 31)+"]=>permit();", "};"),
		"short functions": fill("version=1.2;authorizationrules{[", "value==NegateBool(NegateBool(true)),", `value==1]=>permit();};`),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		p := mustParse(t, text)
		runtime.ReadMemStats(&after)
		if size := after.TotalAlloc - before.TotalAlloc; size > 80<<20 {
			t.Errorf("%s: %d bytes for %d", name, size, len(text))
		}
		runtime.KeepAlive(p)
	}
}

// TestFullRulesCostTheirConditions: policy.md section 5.1, one comparison for each condition that holds at once.
func TestFullRulesCostTheirConditions(t *testing.T) {
	const rules = 1000
	rule := strings.Repeat("[value!=-1]&&", policy.MaxConditions-1) + "[value!=-1]=>permit();"
	p := mustParse(t, auth(strings.Repeat(rule, rules)))
	for steps, ok := range map[int]bool{policy.MaxConditions * rules: true, policy.MaxConditions*rules - 1: false} {
		_, err := p.Evaluate(claimsOf("a=1"), policy.Budget{Steps: steps})
		if _, isError := errors.AsType[*policy.EvaluationError](err); (err == nil) != ok || err != nil && !isError {
			t.Errorf("%d steps: %v, want success %t", steps, err, ok)
		}
	}
}
