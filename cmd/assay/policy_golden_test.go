package main

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// golden is the JSON of policy test, as scripts read it.
type golden struct {
	Passed, Failed, Updated, Broken int
	Files                           []struct {
		File, Error string
		Cases       []struct {
			Name, Status, Message, Error string
			Line                         int
			Differences                  []struct{ Member, Claim, Expected, Found string }
		}
	}
}

// testPolicies runs policy test and reads its result.
func testPolicies(t *testing.T, status int, args ...string) golden {
	t.Helper()
	o := assay(t, append([]string{"policy", "test", "--json"}, args...)...)
	if o.status != status {
		t.Errorf("%q: exit status %d, want %d\n%.2000s", args, o.status, status, o.stdout)
	}
	var got golden
	o.read(t, &got)
	return got
}

// writeFiles writes files into a folder.
func writeFiles(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// compact is JSON on one line, which is YAML, too.
func compact(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// writeGolden turns a policy of the vectors into a policy and a test file in dir, and reports how many cases that has. The
// expectations are those of the index.
func (v *evaluationVector) writeGolden(t *testing.T, dir, name string) int {
	t.Helper()
	var cases []string
	add := func(name, members string) { cases = append(cases, fmt.Sprintf("  - name: %q\n%s", name, members)) }
	if !v.Parses {
		add("does not parse", fmt.Sprintf("    expect: {code: %s, line: %d}\n", v.Code, v.Line))
	}
	for i, when := range v.ExpectedWhen {
		claims := fmt.Sprintf("    claims: %s\n", when.Claims)
		if i%2 == 1 || len(claims) > 4000 { // in a claims file
			file := fmt.Sprintf("%s.%d.json", name, i)
			writeFiles(t, dir, map[string]string{file: string(when.Claims)})
			claims = fmt.Sprintf("    claims: %s\n", file)
		}
		claims = strings.ReplaceAll(strings.TrimRight(claims, "\n"), "\n", " ") + "\n"
		expect := fmt.Sprintf("    expect:\n      verdict: %s\n", when.Verdict)
		if when.Verdict == "error" {
			expect += "      code: PolicyEvaluationError\n      message: \"the rule at line \"\n"
		}
		for member, claims := range map[string]members{"issued": when.Issued, "properties": when.Properties, "configuration": when.Configuration} {
			if len(claims) > 0 {
				expect += "      " + member + ": " + compact(t, claims) + "\n"
			}
		}
		add(when.Name, claims+expect)
	}
	if len(cases) == 0 {
		return 0
	}
	writeFiles(t, dir, map[string]string{
		name:                string(vectortest.Read(t, path.Join("policies", name))),
		name + ".test.yaml": "policy: " + name + "\ntype: " + v.kind() + "\ncases:\n" + strings.Join(cases, ""),
	})
	return len(cases)
}

// TestPolicyTestOnEveryVector writes the index of the vectors as test files, runs them, then changes one expectation of
// each file: the command must notice, and --update must bring back what was there.
func TestPolicyTestOnEveryVector(t *testing.T) {
	dir, cases, files := t.TempDir(), 0, 0
	for name, v := range evaluationVectors(t) {
		if n := v.writeGolden(t, dir, name); n > 0 {
			cases, files = cases+n, files+1
		}
	}
	got := testPolicies(t, exitOK, dir)
	if got.Passed != cases || got.Failed+got.Updated+got.Broken > 0 || len(got.Files) != files || cases < 50 {
		t.Fatalf("%d of %d cases in %d files passed: %+v", got.Passed, cases, files, got)
	}
	for _, f := range got.Files {
		spoil(t, f.File)
	}
	spoiled := testPolicies(t, exitRefused, dir)
	if spoiled.Failed != files || spoiled.Passed != cases-files {
		t.Errorf("%d failed of %d files with one wrong expectation each", spoiled.Failed, files)
	}
	if updated := testPolicies(t, exitOK, dir, "--update"); updated.Updated != files {
		t.Errorf("%d updated, want %d", updated.Updated, files)
	}
	if again := testPolicies(t, exitOK, dir, "--update"); again.Passed != cases || again.Updated != 0 {
		t.Errorf("a second update: %+v", again)
	}
}

// spoil changes the first expectation of a test file.
func spoil(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before := string(b)
	for _, change := range [][2]string{
		{"verdict: permit\n", "verdict: deny\n"}, {"verdict: deny\n", "verdict: no-permit\n"}, {"verdict: no-permit\n", "verdict: deny\n"},
		{"code: PolicyParsingError, line: ", "code: PolicyParsingError, line: 9"}, {"code: PolicyEvaluationError", "code: PolicyParsingError"},
	} {
		if strings.Contains(before, change[0]) && !strings.Contains(strings.Split(before, change[0])[0], "verdict:") {
			after := strings.Replace(before, change[0], change[1], 1)
			if change[1] == "verdict: deny\n" { // claims go with a permit only
				head, tail, _ := strings.Cut(after, change[1])
				lines := strings.Split(tail, "\n")
				n := slices.IndexFunc(lines, func(l string) bool { return !strings.HasPrefix(l, "      ") })
				after = head + change[1] + strings.Join(lines[n:], "\n")
			}
			writeFiles(t, filepath.Dir(file), map[string]string{filepath.Base(file): after})
			return
		}
	}
	t.Fatalf("%s has no expectation to spoil:\n%s", file, before)
}

const goldenPolicy = "version=1.0;\nauthorizationrules\n{\n    [type==\"svn\", value==0] => deny();\n    [type==\"svn\", value>=2] => permit();\n};\n"

func TestPolicyTestEndsByWhatItFound(t *testing.T) {
	const head = "policy: p.txt\ntype: sgx\ncases:\n"
	const good = "  - {name: good, claims: {svn: 0}, expect: {verdict: deny, line: 4}}\n"
	const bad = "  - {name: bad, claims: {svn: 0}, expect: {verdict: deny, line: 5}}\n"
	const missing = "  - {name: missing, claims: {svn: 0}}\n"
	const broken = "  - {name: broken, evidence: {file: absent, collateral: absent, at: 2026-05-01T12:00:00Z}, expect: {verdict: deny}}\n"
	for _, tt := range []struct {
		name, text string
		status     int
		stdout     string
	}{
		{"all pass", head + good, exitOK, "ok       DIR/p.test.yaml:4: good\nPASS  1 passed, 0 failed, 0 updated, 0 could not be run\n"},
		{"one fails", head + good + bad, exitRefused,
			"FAIL     DIR/p.test.yaml:5: bad\n        - line: 5\n        + line: 4\n          the service says: Policy Engine"},
		{"a case without expectation", head + missing, exitRefused,
			"FAIL     DIR/p.test.yaml:4: missing\n          no expectation; this was found:\n        + verdict: deny\n"},
		{"a case that cannot be run", head + good + broken, exitUsage, "ERROR    DIR/p.test.yaml:5: broken\n        open DIR/absent: no such file"},
		{"a file without cases", "policy: p.txt\ntype: sgx\ncases: []\n", exitUsage, "ERROR    DIR/p.test.yaml:3:8: cases: expected at least one"},
		{"a file that cannot be read beside a failure", head + bad + "x", exitUsage, "ERROR    DIR/p.test.yaml:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := writeFiles(t, t.TempDir(), map[string]string{"p.txt": goldenPolicy, "p.test.yaml": tt.text})
			assay(t, "policy", "test", dir).want(t, tt.status, strings.ReplaceAll(tt.stdout, "DIR", dir), "")
		})
	}
	empty := t.TempDir()
	assay(t, "policy", "test", empty).want(t, exitUsage, "", "expected test files (NAME.test.yaml) in the folder or below, found none")
	assay(t, "policy", "test", filepath.Join(empty, "absent")).want(t, exitUsage, "", "no such file")
}

func TestPolicyTestUpdateIsToldAndHoldsAfterwards(t *testing.T) {
	const before = "policy: p.txt # the policy\ntype: sgx\ncases:\n  - name: a\n    claims: {svn: 2} # two\n" +
		"    expect:\n      verdict: deny # no\n      line: 4\n  - name: b\n    claims: {svn: 1}\n"
	const after = "policy: p.txt # the policy\ntype: sgx\ncases:\n  - name: a\n    claims: {svn: 2} # two\n" +
		"    expect:\n      verdict: permit # no\n      line: 5\n  - name: b\n    claims: {svn: 1}\n    expect:\n      verdict: no-permit\n"
	dir := writeFiles(t, t.TempDir(), map[string]string{"p.txt": goldenPolicy, "p.test.yaml": before})
	o := assay(t, "policy", "test", dir, "--update")
	for _, want := range []string{"UPDATED  ", "        - verdict: deny\n        + verdict: permit\n", "ADDED    ",
		"no expectation; this was found:", "Look at the change before you commit it", "0 passed, 0 failed, 2 updated"} {
		o.want(t, exitOK, want, "")
	}
	if b, err := os.ReadFile(filepath.Join(dir, "p.test.yaml")); err != nil || string(b) != after {
		t.Errorf("got (%v)\n%s\nwant\n%s", err, b, after)
	}
	if got := testPolicies(t, exitOK, dir, "--update"); got.Passed != 2 || got.Updated != 0 {
		t.Errorf("a second update: %+v", got)
	}
}

func TestPolicyTestWritesJUnit(t *testing.T) {
	const text = "policy: p.txt\ntype: sgx\ncases:\n  - {name: good, claims: {svn: 0}, expect: {verdict: deny}}\n  - {name: bad, claims: {svn: 0}, expect: {verdict: permit}}\n"
	dir := writeFiles(t, t.TempDir(), map[string]string{"p.txt": goldenPolicy, "p.test.yaml": text})
	file := filepath.Join(t.TempDir(), "report.xml")
	assay(t, "policy", "test", dir, "--junit", file).want(t, exitRefused, "FAIL  1 passed, 1 failed", "")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Failures int `xml:"failures,attr"`
		Cases    []struct {
			Name    string  `xml:"name,attr"`
			Failure *string `xml:"failure"`
		} `xml:"testsuite>testcase"`
	}
	if err := xml.Unmarshal(b, &got); err != nil || got.Failures != 1 || len(got.Cases) != 2 || got.Cases[0].Failure != nil ||
		got.Cases[1].Failure == nil || !strings.Contains(*got.Cases[1].Failure, "- verdict: permit\n+ verdict: deny\n") {
		t.Errorf("%v: %s", err, b)
	}
	o := assay(t, "policy", "test", dir, "--junit", filepath.Join(dir, "absent", "report.xml"))
	o.want(t, exitUsage, "FAIL  1 passed, 1 failed", "assay: --junit: open ")
}

// TestPolicyTestVerifiesEvidence has cases over the evidence of a simulated enclave, at the time at which it was made.
func TestPolicyTestVerifiesEvidence(t *testing.T) {
	at := time.Now().Add(-time.Hour).Truncate(time.Second)
	dir := simulatedDir(t, at)
	evidence := func(more string) string {
		return fmt.Sprintf("    evidence: {file: quote.bin, collateral: collateral, at: %s%s}\n", at.UTC().Format(time.RFC3339), more)
	}
	const root, permit = ", trust-root: root.pem", "    expect: {verdict: permit, line: 5}\n"
	foreign := evidence("") // under Intel's root
	later := strings.Replace(evidence(root), at.UTC().Format(time.RFC3339), at.AddDate(1, 0, 0).UTC().Format(time.RFC3339), 1)
	for _, tt := range []struct{ name, evidence, expect, status string }{
		{"good", evidence(root), permit, "pass"},
		{"good with all members", evidence(root + ", runtime-data: runtime.json, runtime-type: json, accept-status: UpToDate, collateral-expiry: enforce"), permit, "pass"},
		{"foreign root", foreign, "    expect: {code: InvalidParameter, check: untrusted-root}\n", "pass"},
		{"foreign root is no permit", foreign, permit, "fail"},
		{"unbound data", evidence(root + ", runtime-data: root.pem"), "    expect: {code: InvalidParameter, check: runtime-data}\n", "pass"},
		{"later", later, "    expect: {code: CollateralUnavailable, check: crl-expired}\n", "pass"},
		{"no such file", evidence(root + ", runtime-data: absent"), permit, "error"},
		{"no such status", evidence(root + ", accept-status: Fine"), permit, "error"},
		{"no such expiry", evidence(root + ", collateral-expiry: never"), permit, "error"},
		{"no such type", evidence(root + ", runtime-type: yaml"), permit, "error"},
		{"no certificate", evidence(", trust-root: runtime.json"), permit, "error"},
	} {
		writeFiles(t, dir, map[string]string{"p.txt": refusesDebug, "p.test.yaml": "policy: p.txt\ntype: sgx\ncases:\n  - name: a\n" + tt.evidence + tt.expect})
		var got golden
		assay(t, "policy", "test", dir, "--json").read(t, &got)
		if c := got.Files[0].Cases; len(c) != 1 || c[0].Status != tt.status || (c[0].Error != "") != (tt.status == "error") {
			t.Errorf("%s: %+v, want %s", tt.name, got, tt.status)
		}
	}
	writeFiles(t, dir, map[string]string{"p.test.yaml": "policy: p.txt\ntype: tpm\ncases:\n  - name: a\n" + evidence(root) + permit})
	if got := testPolicies(t, exitUsage, dir); !strings.Contains(got.Files[0].Cases[0].Error, "type Tpm: of evidence, expected sgx, openenclave, snp, tdx or azureguest") {
		t.Errorf("evidence of a type that is not verified: %+v", got)
	}
}

func TestPolicyTestVerifiesEvidenceOfGuests(t *testing.T) {
	dir := t.TempDir()
	for _, folder := range []string{"snp", "dcap"} { // paths in a test file are below its folder
		if err := os.Symlink(vectortest.Path(t, folder), filepath.Join(dir, folder)); err != nil {
			t.Fatal(err)
		}
	}
	guest := "{file: snp/maa-sample/report.bin, at: 2025-04-08T04:15:00Z"
	chain := ", chain: snp/maa-sample/chain.pem"
	tdx := "{file: dcap/synthetic/tdx-01/quote.bin, at: 2030-06-15T00:00:00Z, collateral: dcap/synthetic/tdx-01, trust-root: dcap/synthetic/test_root.pem"
	const policy = "version=1.0;\nauthorizationrules{\n=> permit();\n};\nissuancerules{};\n"
	for _, tt := range []struct{ kind, evidence, expect, status, message string }{
		{"snp", guest + chain, "{verdict: permit, line: 3}", "pass", ""},
		{"snp", guest, "{verdict: error, code: InvalidParameter, check: snp-chain}", "pass", ""},
		{"tdx", tdx, "{verdict: permit, line: 3}", "pass", ""},
		{"tdx", tdx + chain, "{verdict: permit, line: 3}", "", "chain is for SEV-SNP"},
		{"snp", guest + chain + ", collateral: x", "{verdict: permit, line: 3}", "", "mean nothing"},
		{"tdx", guest, "{verdict: permit, line: 3}", "", "expected the members file, collateral"},
	} {
		writeFiles(t, dir, map[string]string{"p.txt": policy,
			"p.test.yaml": "policy: p.txt\ntype: " + tt.kind + "\ncases:\n  - name: a\n    evidence: " + tt.evidence + "}\n    expect: " + tt.expect + "\n"})
		o := assay(t, "policy", "test", dir, "--json")
		if !strings.Contains(o.stdout, tt.message) || tt.status != "" && !strings.Contains(o.stdout, `"status":"`+tt.status+`"`) {
			t.Errorf("%s %s: %s", tt.kind, tt.evidence, o.stdout)
		}
	}
}
