package policytest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/policy"
)

// TestFilesThatCannotBeRunAreNoPasses has a file for each reason to refuse one. Each error names the place.
func TestFilesThatCannotBeRunAreNoPasses(t *testing.T) {
	one := func(members string) string { return head + "  - {name: a, " + members + "}\n" }
	expecting := func(expect string) string { return one("claims: [], expect: {" + expect + "}") }
	evidence := func(members string) string {
		return one("evidence: {" + members + "}, expect: {verdict: deny}")
	}
	for _, tt := range []struct{ text, want string }{
		{"", "expected one YAML document"},
		{"- a", "expected one YAML document"},
		{head + "  - {name: a, claims: []}\n---\na: b\n", "1:1: expected one YAML document"},
		{"\uFEFF" + head + "  - {name: a, claims: []}\n", "1:1: the file begins with a byte-order mark"},
		{"policy: [", "1:9: "},
		{"policy: release.policy\ntype: sgx\n", "1:1: expected the member cases"},
		{head + "  []\n", "4:3: cases: expected at least one"},
		{"policy: release.policy\ntype: sgx\ncases:\n", "3:8: cases: expected a list, found nothing"},
		{"policy: release.policy\ntype: sgx\ncases: {a: b}\n", "cases: expected a list, found a mapping"},
		{"type: sgx\ncases: []", "expected the member policy"},
		{"policy: release.policy\ncases: []", "expected the member type"},
		{"policy: release.policy\ntype: toaster\ncases: []", `2:7: expected one of sgx, openenclave, snp, tdx, azureguest or tpm, found "toaster"`},
		{"policy: release.policy\ntype: 1\ncases: []", "expected text"},
		{"policy: absent.policy\ntype: sgx\ncases: []", "1:9: policy: "},
		{"policy: .\ntype: sgx\ncases: []", "expected a file, found d"},
		{"policy: damaged.jws\ntype: sgx\ncases: []", "policy: policy JWS: malformed: payload"},
		{"policy: /etc/passwd\ntype: sgx\ncases: []", "expected a path relative to the folder of the test file"},
		{"policy: '-'\ntype: sgx\ncases: []", "expected a path relative"},
		{"policy: ''\ntype: sgx\ncases: []", "expected a path relative"},
		{head + "  - just text\n", "4:5: expected a mapping with the members claims, evidence, expect, name"},
		{head + "  - {}\n", "4:5: expected the member name"},
		{one("clams: []"), `4:15: unknown member "clams", expected one of claims, evidence, expect, name`},
		{"polcy: x\n" + head, `1:1: unknown member "polcy", expected one of cases, claims, policy, type`},
		{one("name: b"), "already"},
		{one("claims: []") + "  - {name: a, claims: []}\n", `5:5: name: two cases are named "a"`},
		{head + "  - {name: 7, claims: []}\n", `found "7": put it in quotes if it is text`},
		{head + "  - {name: '', claims: []}\n", "expected text, found none"},
		{one("expect: {verdict: deny}"), "expected claims or evidence, found none"},
		{one("1: x"), "expected a name, found"},
		{one("claims: [], evidence: {file: a, collateral: b, at: 2026-05-01T12:00:00Z}"), "expected claims or evidence, found both"},
		{one("claims: absent.json"), "claims: stat "},
		{one("claims: list.json"), "list.json: claims: expected an array of objects"},
		{one("claims: 1"), "claims: expected a file's name, a list of claims or a mapping"},
		{one("claims: "), "claims: expected a file's name"},
		{one("claims: [1]"), "expected a mapping with the members issuer, type, value"},
		{one("claims: [{type: a}]"), "expected a claim with the members type and value"},
		{one("claims: [{value: a}]"), "expected a claim with the members type and value"},
		{one("claims: [{type: a, value: 1, isuer: CustomClaim}]"), `unknown member "isuer"`},
		{one("claims: [{type: a, value: 1, issuer: Me}]"), "expected one of [AttestationService AttestationPolicy CustomClaim ReferenceValue]"},
		{one("claims: {a: 1, a: 2}"), "already"},
		{one("claims: {a: {b: 1}}"), "expected a string, a decimal integer within 64 bits, true or false, found a mapping"},
		{one("claims: {a: [[1]]}"), "found a list"},
		{one("claims: {a: }"), "found nothing"},
		{one("claims: {a: 1.5}"), `found "1.5": put it in quotes if it is text`},
		{one("claims: {a: 0x10}"), "put it in quotes"},
		{one("claims: {a: 010}"), "put it in quotes"},
		{one("claims: {a: 1_000}"), "put it in quotes"},
		{one("claims: {a: +1}"), "put it in quotes"},
		{one("claims: {a: -0}"), "put it in quotes"},
		{one("claims: {a: 9223372036854775808}"), "put it in quotes"},
		{one("claims: {a: True}"), "put it in quotes"},
		{one("claims: {a: no}"), "put it in quotes"},
		{one("claims: {a: On}"), "put it in quotes"},
		{one("claims: {a: 1e3}"), "put it in quotes"},
		{one("claims: &x [], expect: {verdict: deny}"), "anchors"},
		{one("claims: *x"), "anchors"},
		{one("claims: {<<: {a: 1}}"), "anchors"},
		{one("claims: !!str x"), "tags"},
		{one("claims: [], expect: 1"), "expected a mapping with the members check, code"},
		{expecting("verdict: perhaps"), "expected one of [permit deny no-permit error]"},
		{expecting("verdict: permit, isued: {}"), `unknown member "isued"`},
		{expecting("issued: {a: 1}"), "expect: expected a verdict"},
		{expecting("line: 4"), "expect: expected a verdict"},
		{expecting("verdict: permit, issued: {a: []}"), "expected values, found an empty list"},
		{expecting("verdict: permit, issued: [a]"), "expected a mapping of claim types to values"},
		{expecting("verdict: deny, issued: {a: 1}"), "go with the verdict permit"},
		{expecting("verdict: permit, message: x"), "do not go with the verdict permit"},
		{expecting("verdict: no-permit, line: 8"), "no rule decides a no-permit"},
		{expecting("verdict: deny, column: 8"), "a column needs its line"},
		{expecting("verdict: deny, line: 0"), "expected a number from 1"},
		{expecting("verdict: deny, line: x"), "expected a number from 1"},
		{expecting("verdict: error"), "the verdict error needs a code"},
		{expecting("verdict: error, line: 3"), "the verdict error needs a code"},
		{expecting("code: PolicyEvaluationError"), "an error needs line, check or message"},
		{evidence("collateral: a, at: 2026-05-01T12:00:00Z"), "evidence: expected the members file, collateral and at"},
		{evidence("file: a, at: 2026-05-01T12:00:00Z"), "evidence: expected the members"},
		{evidence("file: a, collateral: a"), "evidence: expected the members"},
		{evidence("file: a, collateral: a, at: yesterday"), "expected a time such as"},
		{evidence("file: /a, collateral: a, at: 2026-05-01T12:00:00Z"), "expected a path relative"},
		{evidence("file: a, collateral: a, at: 2026-05-01T12:00:00Z, trust: b"), `unknown member "trust"`},
	} {
		dir := testFolder(t, tt.text)
		more := map[string]string{"list.json": "{}", "damaged.jws": b64.URL([]byte(`{"alg":"none"}`)) + ".e30."}
		for name, text := range more {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		f := run(t, dir, Options{})
		if f.Err == nil || !strings.Contains(f.Err.Error(), tt.want) || !strings.HasPrefix(f.Err.Error(), f.Name) || len(f.Cases) > 0 {
			t.Errorf("%q:\ngot  %v, %d cases\nwant %s", tt.text, f.Err, len(f.Cases), tt.want)
		}
	}
}

// claimsSeen returns what a case with these claims has its policy see.
func claimsSeen(t *testing.T, common, own string) []string {
	t.Helper()
	dir := testFolder(t, "policy: release.policy\ntype: sgx\n"+common+"cases:\n  - name: a\n"+own+"    expect: {verdict: deny}\n")
	if err := os.WriteFile(filepath.Join(dir, "claims.json"), []byte(`[{"type":"svn","value":5},{"type":"c","value":"x","issuer":"CustomClaim"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := readFile(filepath.Join(dir, "release.test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, c := range f.cases[0].claims {
		seen = append(seen, c.String())
	}
	return seen
}

func TestClaimsAreWrittenInThreeForms(t *testing.T) {
	const common = "claims:\n  svn: 1\n  debug: false\n"
	const service, custom = " (AttestationService)", " (CustomClaim)"
	for _, tt := range []struct {
		name, common, own string
		want              []string
	}{
		{"mapping", "", "    claims: {a: 1, b: [x, true], 'c d': -5, e: []}\n",
			[]string{"a = 1" + service, `b = "x"` + service, "b = true" + service, "c d = -5" + service}},
		{"list", "", "    claims:\n      - {type: a, value: '1', issuer: CustomClaim}\n      - type: a\n        value: 1\n",
			[]string{`a = "1"` + custom, "a = 1" + service}},
		{"claims file", "", "    claims: claims.json\n", []string{"svn = 5" + service, `c = "x"` + custom}},
		{"text of several lines", "", "    claims:\n      json: |\n        {\"a\":1}\n", []string{`json = "{\"a\":1}\n"` + service}},
		{"common to all cases", common, "", []string{"svn = 1" + service, "debug = false" + service}},
		{"one type is replaced", common, "    claims: {svn: [2, 3]}\n", []string{"debug = false" + service, "svn = 2" + service, "svn = 3" + service}},
		{"one type is replaced by a list", common, "    claims: [{type: svn, value: 2}]\n", []string{"debug = false" + service, "svn = 2" + service}},
		{"types of a claims file are replaced", "claims: claims.json\n", "    claims: {svn: 2}\n", []string{`c = "x"` + custom, "svn = 2" + service}},
		{"one type is taken away", common, "    claims: {svn: []}\n", []string{"debug = false" + service}},
		{"none of its own", common, "    claims: []\n", []string{"svn = 1" + service, "debug = false" + service}},
		{"none at all", "", "    claims: []\n", nil},
		{"an empty mapping", "", "    claims: {}\n", nil},
	} {
		if got := claimsSeen(t, tt.common, tt.own); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestThePolicyMayComeInAJWS(t *testing.T) {
	jws := b64.URL([]byte(`{"alg":"none"}`)) + "." + b64.URL([]byte(`{"AttestationPolicy":"`+b64.URL([]byte(release))+`"}`)) + "."
	f := run(t, files(t, map[string]string{"sub/release.policy": jws, "sub/release.test.yaml": head + "  - {name: a, claims: {svn: 0}, expect: {verdict: deny, line: 8}}\n"}), Options{})
	if f.Err != nil || f.Cases[0].Status != Passed {
		t.Errorf("%+v, want a pass", f)
	}
}

// TestLimitsHoldAtTheirEdges has a text at each limit, which is read, and one beyond, which is refused.
func TestLimitsHoldAtTheirEdges(t *testing.T) {
	ending := func(text string) string {
		return text + "  - {name: last, claims: {svn: 0}, expect: {verdict: deny}}\n"
	}
	cases := func(n int) string {
		var b strings.Builder
		b.WriteString(head)
		for i := range n - 1 {
			fmt.Fprintf(&b, "  - {name: case %d, claims: [], expect: {verdict: no-permit}}\n", i)
		}
		return ending(b.String())
	}
	fill := func(size int) string { // comments of a thousand bytes
		text := ending(head)
		for size-len(text) > 1000 {
			text += "#" + strings.Repeat("x", 998) + "\n"
		}
		return text + "#" + strings.Repeat("x", size-len(text)-1)
	}
	claims := func(n int) string {
		return "policy: release.policy\ntype: sgx\nclaims: many.json\ncases:\n" +
			"  - {name: last, claims: {svn: [" + strings.Repeat("0, ", n-1) + "0]}, expect: {verdict: deny}}\n"
	}
	for _, tt := range []struct {
		name, edge, beyond, want string
	}{
		{"bytes", fill(MaxFile), fill(MaxFile + 1), "larger than"},
		{"lines", ending(head) + strings.Repeat("\n", MaxLines-5), ending(head) + strings.Repeat("\n", MaxLines-4), "at most 10000 lines"},
		{"line", ending(head) + "#" + strings.Repeat("x", MaxLine-1), ending(head) + "#" + strings.Repeat("x", MaxLine), "5:1: expected at most 8192 bytes on a line"},
		{"brackets", ending(head) + "#" + strings.Repeat("[", MaxOpen), ending(head) + "#" + strings.Repeat("{", MaxOpen+1), "5:1: expected at most 512 open brackets"},
		{"cases", cases(MaxCases), cases(MaxCases + 1), "cases: expected at most 1000 cases"},
		{"name", ending(head + "  - {name: " + strings.Repeat("x", MaxName) + ", claims: [], expect: {verdict: no-permit}}\n"),
			ending(head + "  - {name: " + strings.Repeat("x", MaxName+1) + ", claims: [], expect: {verdict: no-permit}}\n"), "at most 200 bytes in a name"},
		{"claims", claims(1), claims(2), "claims: expected at most 100000 claims"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for text, want := range map[string]string{tt.edge: "", tt.beyond: tt.want} {
				dir := testFolder(t, text)
				many := "[" + strings.Repeat(`{"type":"x","value":1},`, policy.MaxClaims-2) + `{"type":"x","value":1}]`
				if err := os.WriteFile(filepath.Join(dir, "many.json"), []byte(many), 0o600); err != nil {
					t.Fatal(err)
				}
				f := run(t, dir, Options{})
				switch {
				case want == "" && (f.Err != nil || f.Cases[len(f.Cases)-1].Status != Passed):
					t.Errorf("at the limit: %v", f.Err)
				case want != "" && (f.Err == nil || !strings.Contains(f.Err.Error(), want)):
					t.Errorf("beyond the limit: %v, want %s", f.Err, want)
				}
			}
		})
	}
}

func TestLimitsOfTheSearch(t *testing.T) {
	content := map[string]string{}
	for i := range MaxFiles {
		content[fmt.Sprintf("%d.test.yaml", i)] = ""
	}
	dir := files(t, content)
	if found, err := find([]string{dir}); err != nil || len(found) != MaxFiles {
		t.Errorf("%d files, %v, want %d", len(found), err, MaxFiles)
	}
	other := files(t, map[string]string{"a.test.yaml": ""})
	if _, err := find([]string{dir, other}); err == nil || !strings.Contains(err.Error(), "at most 1000 test files") {
		t.Errorf("got %v, want the limit", err)
	}
	f := finder{entries: MaxEntries - 2} // the folder itself and one file are left
	if err := f.walk(other); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	f = finder{entries: MaxEntries - 1}
	if err := f.walk(other); err == nil || !strings.Contains(err.Error(), "at most 100000 files and folders") {
		t.Errorf("beyond the limit: %v", err)
	}
}

// TestHostileTextIsRefusedBeforeItIsParsed has the texts over which the YAML parser takes long or grows deep.
func TestHostileTextIsRefusedBeforeItIsParsed(t *testing.T) {
	for _, word := range []string{"[", "{", "- ", "? ", "&a ", "!t ", "a: ", "[\n", "{a: [\n"} {
		text := strings.Repeat(word, MaxFile/len(word))
		if _, err := parseYAML([]byte(text)); err == nil || !strings.Contains(err.Error(), "expected at most") {
			t.Errorf("%q…: %.100v, want a limit", word, err)
		}
	}
}

// FuzzParseFile has any text for a test file: it is read or refused.
func FuzzParseFile(f *testing.F) {
	dir := testFolder(f, "")
	f.Add([]byte(head + "  - name: a\n    claims: {svn: 1}\n    expect: {verdict: deny, line: 8}\n"))
	f.Add([]byte("policy: release.policy\ntype: sgx\nclaims: [{type: a, value: 1}]\ncases:\n  - {name: a, evidence: {file: a, collateral: b, at: 2026-05-01T12:00:00Z}, expect: {code: x, check: y}}\n"))
	f.Add([]byte("a: |\n  b\nc: >-\n  d\n---\n...\n# e\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := parseFile(filepath.Join(dir, "fuzz.test.yaml"), text)
		if err == nil && (len(file.cases) == 0 || file.kind == "" || file.text == nil) {
			t.Errorf("read as %+v", file)
		}
	})
}
