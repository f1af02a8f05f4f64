package policytest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/policy"
)

// files makes a folder of files, whose names may have folders in them.
func files(t testing.TB, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// test is a folder with the policy release and one test file for it.
func testFolder(t testing.TB, text string) string {
	return files(t, map[string]string{"release.policy": release, "release.test.yaml": text})
}

// run runs the tests of a folder and returns the report of its only file.
func run(t testing.TB, dir string, opt Options) FileReport {
	t.Helper()
	report, err := Run(t.Context(), []string{dir}, opt)
	if err != nil || len(report.Files) != 1 {
		t.Fatalf("%+v, %v, want a report of one file", report, err)
	}
	return report.Files[0]
}

// head begins a test file of the policy release.
const head = "policy: release.policy\ntype: sgx\ncases:\n"

// permit is an expectation that svn 2 meets.
const permit = `{verdict: permit, issued: {release: 2}, properties: {omit_x5c: true}, configuration: {x-ms-sgx-tcbidentifier: "17"}}`

func TestEveryDifferenceIsShown(t *testing.T) {
	for _, tt := range []struct{ name, claims, expect, diff string }{
		{"as expected", "{svn: 2}", permit, ""},
		{"as expected, with the rule", "{svn: 2}", strings.Replace(permit, "permit", "permit, line: 9, column: 5", 1), ""},
		{"another verdict, whose claims are left out", "{svn: 0}", permit, "- verdict: permit\n+ verdict: deny\n  the service says: " + policy.DenyMessage},
		{"permit instead of deny", "{svn: 2}", "{verdict: deny, line: 8, code: PolicyEvaluationError, message: denies}",
			"- verdict: deny\n+ verdict: permit\n- code: PolicyEvaluationError\n- line: 8\n+ line: 9\n- message: denies"},
		{"another value", "{svn: 3}", permit, "  issued:\n-   release: 2\n+   release: 3"},
		{"another type of value", "{svn: 2}", strings.Replace(permit, "release: 2", `release: "2"`, 1), "  issued:\n-   release: \"2\"\n+   release: 2"},
		{"several values", "{svn: [2, 3]}", permit, "  issued:\n-   release: 2\n+   release: [2, 3]"},
		{"values in another order", "{svn: [2, 3]}", strings.Replace(permit, "release: 2", "release: [3, 2]", 1), "  issued:\n-   release: [3, 2]\n+   release: [2, 3]"},
		{"a list of one is no value", "{svn: 2}", strings.Replace(permit, "release: 2", "release: [2]", 1), "  issued:\n-   release: [2]\n+   release: 2"},
		{"a claim that is not issued", "{svn: 2}", strings.Replace(permit, "release: 2", "release: 2, tier: gold", 1), "  issued:\n-   tier: gold"},
		{"issued is left out", "{svn: 2}", strings.Replace(permit, "issued: {release: 2}, ", "", 1), "  issued:\n+   release: 2"},
		{"properties are left out", "{svn: 2}", strings.Replace(permit, "properties: {omit_x5c: true}, ", "", 1), "  properties:\n+   omit_x5c: true"},
		{"configuration is left out", "{svn: 2}", strings.Replace(permit, `, configuration: {x-ms-sgx-tcbidentifier: "17"}`, "", 1), "  configuration:\n+   x-ms-sgx-tcbidentifier: \"17\""},
		{"everything is left out", "{svn: 2}", "{verdict: permit}",
			"  issued:\n+   release: 2\n  properties:\n+   omit_x5c: true\n  configuration:\n+   x-ms-sgx-tcbidentifier: \"17\""},
		{"another rule", "{svn: 2}", strings.Replace(permit, "permit", "permit, line: 8, column: 6", 1), "- line: 8\n+ line: 9\n- column: 6\n+ column: 5"},
		{"deny", "{svn: 0}", "{verdict: deny}", ""},
		{"deny by the rule", "{svn: 0}", "{verdict: deny, line: 8, column: 5, code: PolicyEvaluationError, message: The rule at line 8}", ""},
		{"deny by another rule", "{svn: 0}", "{verdict: deny, line: 9}", "- line: 9\n+ line: 8\n  the service says: " + policy.DenyMessage},
		{"no permit", "{svn: 1}", "{verdict: no-permit, message: found svn = 1}", ""},
		{"no permit for another reason", "{svn: 1}", "{verdict: no-permit, message: found svn = 0}", "- message: \"found svn = 0\"\n+ message: \"" + policy.NoPermitMessage},
		{"deny is not no permit", "{svn: 1}", "{verdict: deny, line: 8}", "- verdict: deny\n+ verdict: no-permit\n- line: 8\n"},
		{"error", "{svn: 9}", "{code: PolicyEvaluationError, line: 15}", ""},
		{"error of another code", "{svn: 9}", "{verdict: error, code: PolicyParsingError, line: 15}", "- code: PolicyParsingError\n+ code: PolicyEvaluationError\n"},
		{"error with another message", "{svn: 9}", "{verdict: error, code: PolicyEvaluationError, message: division}", "- message: division\n+ message: \"Policy Engine Exception: the rule at line 15, column 5 failed"},
		{"no error", "{svn: 2}", "{code: PolicyEvaluationError, line: 15}", "- code: PolicyEvaluationError\n- line: 15\n+ line: 9"},
		{"no expectation", "{svn: 0}", "", "  no expectation; this was found:\n+ verdict: deny\n  the service says: " + policy.DenyMessage},
		{"an expectation with nothing in it", "{svn: 2}", "{}", "  no expectation; this was found:\n+ verdict: permit\n  issued:\n+   release: 2\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := run(t, testFolder(t, head+"  - name: case\n    claims: "+tt.claims+"\n    expect: "+tt.expect+"\n"), Options{})
			if f.Err != nil {
				t.Fatal(f.Err)
			}
			c := f.Cases[0]
			if got := strings.Join(c.Lines(), "\n"); !strings.HasPrefix(got, tt.diff) || (got == "") != (tt.diff == "") {
				t.Errorf("got\n%s\nwant\n%s", got, tt.diff)
			}
			if want := map[bool]Status{true: Passed, false: Failed}[tt.diff == ""]; c.Status != want || c.Line != 4 || c.Name != "case" {
				t.Errorf("got %s in line %d, want %s in line 4", c.Status, c.Line, want)
			}
		})
	}
}

func TestAPolicyThatMustNotParseIsTestedWithoutClaims(t *testing.T) {
	for _, tt := range []struct{ expect, diff string }{
		{"{code: PolicyParsingError, line: 2, column: 34}", ""},
		{"{code: PolicyParsingError, line: 2, message: expecting ';'}", ""},
		{"{code: PolicyParsingError, line: 1}", "- line: 1\n+ line: 2"},
		{"{code: PolicyParsingError, line: 2, column: 3}", "- column: 3\n+ column: 34"},
	} {
		f := run(t, files(t, map[string]string{
			"bad.policy":    "version=1.0;\nauthorizationrules { => permit() };",
			"bad.test.yaml": "policy: bad.policy\ntype: sgx\ncases:\n  - name: case\n    expect: " + tt.expect + "\n",
		}), Options{})
		if f.Err != nil {
			t.Fatal(f.Err)
		}
		if got := strings.Join(f.Cases[0].Lines(), "\n"); !strings.HasPrefix(got, tt.diff) || (got == "") != (tt.diff == "") {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.expect, got, tt.diff)
		}
	}
}

// TestEvidenceIsAppraisedForItsClaims has the options say what the evidence is worth.
func TestEvidenceIsAppraisedForItsClaims(t *testing.T) {
	const text = head + "  - name: case\n    evidence: {file: quote.bin, collateral: set, at: 2026-05-01T12:00:00Z, accept-status: UpToDate, runtime-data: x}\n    expect: "
	foreign := evidence.Refuse(evidence.UntrustedRoot, "the root is foreign")
	for _, tt := range []struct {
		name, expect string
		err          error
		status       Status
	}{
		{"permit", permit, nil, Passed},
		{"another verdict", "{verdict: deny}", nil, Failed},
		{"refusal", "{code: InvalidParameter, check: untrusted-root}", foreign, Passed},
		{"refusal by the message", "{verdict: error, code: InvalidParameter, message: is foreign}", foreign, Passed},
		{"refusal by another check", "{code: InvalidParameter, check: revoked}", foreign, Failed},
		{"refusal instead of a permit", permit, foreign, Failed},
		{"unreadable", permit, errors.New("no such file"), Broken},
		{"unreadable is no error to expect", "{code: InvalidParameter, message: no such file}", errors.New("no such file"), Broken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := testFolder(t, text+tt.expect+"\n")
			var asked Evidence
			f := run(t, dir, Options{Appraise: func(e Evidence, p *policy.Policy, c *policy.Configuration) ([]policy.Claim, error) {
				asked = e
				return []policy.Claim{svn(2)}, tt.err
			}})
			if f.Err != nil || f.Cases[0].Status != tt.status {
				t.Errorf("got %s %v (%v), want %s\n%s", f.Cases[0].Status, f.Cases[0].Err, f.Err, tt.status, strings.Join(f.Cases[0].Lines(), "\n"))
			}
			if asked.File != filepath.Join(dir, "quote.bin") || asked.Collateral != filepath.Join(dir, "set") || asked.RuntimeData != filepath.Join(dir, "x") ||
				asked.Accept != "UpToDate" || asked.Type != "SgxEnclave" || asked.At.Year() != 2026 {
				t.Errorf("asked for %+v", asked)
			}
		})
	}
}

func TestTestFilesAreFoundBelowFolders(t *testing.T) {
	const text = head + "  - {name: case, claims: {svn: 0}, expect: {verdict: deny}}\n"
	dir := files(t, map[string]string{
		"release.policy": release, "b.test.yaml": text, "a.test.yml": text, "README.md": "x", "x.yaml": "x", "test.yaml": "x",
		"sub/deep/release.policy": release, "sub/deep/c.test.yaml": text, ".git/d.test.yaml": "x", "empty/x": "",
	})
	names := func(paths ...string) []string {
		report, err := Run(t.Context(), paths, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range report.Files {
			name, _ := filepath.Rel(dir, f.Name)
			names = append(names, filepath.ToSlash(name))
			if f.Err != nil || len(f.Cases) != 1 || f.Cases[0].Status != Passed {
				t.Errorf("%+v, want one case that passes", f)
			}
		}
		return names
	}
	want := []string{"a.test.yml", "b.test.yaml", "sub/deep/c.test.yaml"}
	if got := names(dir); !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
	if got := names(dir, dir, filepath.Join(dir, "b.test.yaml")); !slices.Equal(got, want) {
		t.Errorf("named twice: found %v, want %v", got, want)
	}
	if got := names(filepath.Join(dir, "sub"), filepath.Join(dir, "b.test.yaml")); !slices.Equal(got, []string{want[2], want[1]}) {
		t.Errorf("found %v", got)
	}
	for _, absent := range []string{filepath.Join(dir, "empty"), filepath.Join(dir, "nowhere")} {
		if report, err := Run(t.Context(), []string{dir, absent}, Options{}); err == nil || !strings.Contains(err.Error(), absent) {
			t.Errorf("%s: %+v, %v, want an error that names the path", absent, report, err)
		}
	}
}

func TestARunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	cancel(stop)
	if _, err := Run(ctx, []string{testFolder(t, "")}, Options{}); !errors.Is(err, stop) {
		t.Errorf("got %v, want the cause", err)
	}
}
