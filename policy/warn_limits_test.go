package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

func TestWarningsAreBounded(t *testing.T) {
	unused := func(n int) *policy.Policy {
		return mustParse(t, framed("SgxEnclave", "auth", numbered(n, `c:[type=="x-ms-sgx-svn", value==%d] => deny();`)))
	}
	for _, n := range []int{policy.MaxWarnings - 1, policy.MaxWarnings, policy.MaxWarnings + 1, 4000} {
		if got := len(unused(n).Warnings("SgxEnclave")); got != min(n, policy.MaxWarnings) {
			t.Errorf("%d warnings of %d", got, n)
		}
	}
	last := unused(4000).Warnings("SgxEnclave")[policy.MaxWarnings-1]
	if last.Line != policy.MaxWarnings+3 {
		t.Errorf("the last warning is that of line %d, want the first %d of the text", last.Line, policy.MaxWarnings)
	}
}

// numbered repeats a rule with the numbers from 0 on in it, one in a line.
func numbered(n int, rule string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, rule+"\n", i)
	}
	return b.String()
}

// TestVerdictIsToldHoweverManyWarningsThereAre: the warning that matters most is not the one to be left out.
func TestVerdictIsToldHoweverManyWarningsThereAre(t *testing.T) {
	text := framed("SgxEnclave", "auth", numbered(2*policy.MaxWarnings, `c:[type=="x-ms-sgx-svn", value==%d] => deny();`)+"=> deny();")
	found := mustParse(t, text).Warnings("SgxEnclave")
	if len(found) != policy.MaxWarnings || verdictCode(found) != "deny-always" {
		t.Errorf("%d warnings, verdict %q", len(found), verdictCode(found))
	}
}

// TestNamesAreLookedUpForAFewOnly: the search for the name that was meant is the one thing that is not done for all.
func TestNamesAreLookedUpForAFewOnly(t *testing.T) {
	const most = 128
	for _, tt := range []struct {
		before int
		found  string
	}{{0, "unknown-claim"}, {most - 1, "unknown-claim"}, {most, ""}} {
		rules := numbered(tt.before, `[type=="a-claim-of-mine-%d"] => deny();`) + `[type=="secureBotEnabled"] => deny();`
		if got := codesOf(mustParse(t, framed("Tpm", "auth", rules)), "Tpm"); got != tt.found {
			t.Errorf("after %d names: %q, want %q", tt.before, got, tt.found)
		}
	}
}

func TestLongFixesAreLeftOut(t *testing.T) {
	for n, want := range map[int]bool{510: true, 512: false} { // and two quotes
		text := framed("SgxEnclave", "auth", `=> add(type="a", value="x"); [type=="a", value=="`+strings.Repeat("AB", n/2)+`"] => deny();`)
		found := mustParse(t, text).Warnings("SgxEnclave")
		if len(found) != 1 || (found[0].Fix != "") != want {
			t.Errorf("%d digits: %+v, want a fix %t", n, found, want)
		}
	}
}

// TestWarningsTakeWorkInProportionToTheText counts allocations for policies and for ones of twice the size: what would
// pair all rules, all conditions of a rule, or all tests of a condition with each other would take four times as much.
func TestWarningsTakeWorkInProportionToTheText(t *testing.T) {
	shapes := map[string]func(n int) string{
		"rules that make claims": func(n int) string {
			return numbered(n, `=> issue(type="claim%d", value=1);`)
		},
		"rules that read what others make": func(n int) string {
			return numbered(n, `=> add(type="a%d", value=1);`) + numbered(n, `[type=="a%d", issuer=="AttestationPolicy"] => add(type="b", value=1);`)
		},
		"equal rules": func(n int) string { return strings.Repeat(`=> issue(type="a", value=1);`, n) },
		"conditions with labels": func(n int) string {
			condition := `c%[1]d:[type=="secureBootEnabled", value==true, issuer=="AttestationService"] && [type=="x", value==c%[1]d.value] && `
			return strings.Repeat(strings.ReplaceAll(numbered(16, condition), "\n", " ")+`[type=="x"] => add(type="a", value=1);`, n/16)
		},
		"tests of one condition": func(n int) string {
			return `[` + strings.Repeat(`value!=1,`, n) + `value==2] => issue(type="a", value=1);`
		},
		"bounds of one condition": func(n int) string {
			return `[` + strings.ReplaceAll(numbered(n, `value>%d,`), "\n", "") + `value<9999999] => issue(type="a", value=1);`
		},
		"values under one name": func(n int) string { return numbered(n, `=> issue(type="a", value=%d);`) },
		"nested calls": func(n int) string {
			call := strings.Repeat(`AppendString("a",`, 30) + `"b"` + strings.Repeat(`)`, 30)
			return strings.Repeat(`=> add(type="a", value=`+call+`);`, n/16)
		},
	}
	for name, shape := range shapes {
		small, large := mustParse(t, framed("Tpm", "issue", shape(800))), mustParse(t, framed("Tpm", "issue", shape(1600)))
		count := func(p *policy.Policy) float64 { return testing.AllocsPerRun(2, func() { p.Warnings("Tpm") }) }
		if a, b := count(small), count(large); b > 2.5*a {
			t.Errorf("%s: %.0f allocations, and %.0f for twice the text", name, a, b)
		}
	}
}

// TestLargestPolicyGetsItsWarnings reads a policy at the limits of the language: as many rules and conditions as the text holds.
func TestLargestPolicyGetsItsWarnings(t *testing.T) {
	condition := `[type=="x",value==1]`
	rule := strings.Repeat(condition+`&&`, policy.MaxConditions-1) + condition + `=>add(type="x",value=1);`
	text := framed("Tpm", "issue", strings.Repeat(rule, (policy.MaxText-1000)/len(rule)))
	found := mustParse(t, text).Warnings("Tpm")
	if len(found) != policy.MaxWarnings {
		t.Errorf("%d warnings", len(found))
	}
}
