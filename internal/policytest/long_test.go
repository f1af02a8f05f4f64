package policytest

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// copies issues every claim that it sees.
const copies = `version=1.0; authorizationrules { => permit(); }; issuancerules { c:[type!=""] => issue(claim=c); };`

// copied runs a case over one claim a with Update, and returns what was written as its expectation.
func copied(t *testing.T, value, expect string) (written string, report FileReport) {
	t.Helper()
	const before = "policy: copies.policy\ntype: sgx\ncases:\n  - name: a\n    claims: claims.json\n"
	dir := files(t, map[string]string{"copies.policy": copies, "claims.json": value, "copies.test.yaml": before + expect})
	report = run(t, dir, Options{Update: true})
	b, err := os.ReadFile(filepath.Join(dir, "copies.test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if again := run(t, dir, Options{}); report.Err == nil && again.Cases[0].Status != Passed {
		t.Errorf("%s after the update, %v\n%s", again.Cases[0].Status, again.Err, b)
	}
	return strings.TrimPrefix(string(b), before), report
}

// TestOfLongStringsTheDigestIsExpected has strings at the length from which they are not written out.
func TestOfLongStringsTheDigestIsExpected(t *testing.T) {
	claim := func(text string) string { return fmt.Sprintf(`[{"type":"a","value":%q}]`, text) }
	short, long := strings.Repeat("x", written), strings.Repeat("x", written+1)
	sum := fmt.Sprintf("{sha256: \"%x\", length: %d}", sha256.Sum256([]byte(long)), written+1)
	for _, tt := range []struct{ text, want string }{{short, short}, {long, sum}} {
		got, _ := copied(t, claim(tt.text), "")
		if want := "    expect:\n      verdict: permit\n      issued:\n        a: " + tt.want + "\n"; got != want {
			t.Errorf("%d bytes: got\n%s\nwant\n%s", len(tt.text), got, want)
		}
	}
	for _, expect := range []string{sum, strings.ToUpper(sum[:60]) + sum[60:], long} { // however it is written
		expect = strings.Replace(expect, "{SHA256:", "{sha256:", 1)
		if _, report := copied(t, claim(long), "    expect: {verdict: permit, issued: {a: "+expect+"}}\n"); report.Err != nil || report.Cases[0].Status != Passed {
			t.Errorf("%.100s: %+v, want a pass", expect, report)
		}
	}
	if _, report := copied(t, claim(long+"y"), "    expect: {verdict: permit, issued: {a: "+sum+"}}\n"); report.Cases[0].Status != Updated {
		t.Errorf("another string: %+v, want a difference", report)
	}
	for _, wrong := range []string{"{sha256: abcd, length: 2000}", sum[:74] + ", length: 1000}", "{length: 2000}", sum[:74] + "}", "{}", strings.Replace(sum, `"`, `"x`, 1)} {
		if _, report := copied(t, claim(long), "    expect: {verdict: permit, issued: {a: "+wrong+"}}\n"); report.Err == nil {
			t.Errorf("%s was read as a value", wrong)
		}
	}
}

func TestLongListsAreWrittenOnLinesOfTheirOwn(t *testing.T) {
	var claims, items []string
	for i := range 30 {
		claims = append(claims, fmt.Sprintf(`{"type":"a","value":"driver %d"}`, i))
		items = append(items, fmt.Sprintf("          - driver %d\n", i))
	}
	value := "[" + strings.Join(claims, ",") + "]"
	want := "    expect:\n      verdict: permit\n      issued:\n        a:\n" + strings.Join(items, "")
	if got, _ := copied(t, value, ""); got != want {
		t.Errorf("added:\n%s\nwant\n%s", got, want)
	}
	const old = "    expect:\n      verdict: permit\n      issued:\n        a:\n          - one\n          - two\n"
	if got, _ := copied(t, value, old); got != want {
		t.Errorf("updated:\n%s\nwant\n%s", got, want)
	}
}

// TestLongMessagesAreShortened: a message is expected as a part of what the service says, so that its beginning does.
func TestLongMessagesAreShortened(t *testing.T) {
	o := &Outcome{Verdict: "deny", Message: strings.Repeat("ä", written)}
	e := o.like(&expectation{verdict: "deny", message: "x"})
	if len(e.message) > written || len(e.message) < written-1 || !strings.HasPrefix(o.Message, e.message) {
		t.Errorf("%d bytes of %d: %.20q…", len(e.message), len(o.Message), e.message)
	}
}
