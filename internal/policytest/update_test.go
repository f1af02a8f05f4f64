package policytest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

// update runs the tests of a text with Update, and returns the text afterwards and the report.
func update(t testing.TB, text string) (string, FileReport) {
	t.Helper()
	dir := testFolder(t, text)
	report := run(t, dir, Options{Update: true})
	b, err := os.ReadFile(filepath.Join(dir, "release.test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b), report
}

// settled checks that a text passes, and that another update leaves it alone.
func settled(t testing.TB, text string) {
	t.Helper()
	again, report := update(t, text)
	if report.Err != nil || again != text {
		t.Errorf("a second update changed (%v)\n%s\ninto\n%s", report.Err, text, again)
	}
	for _, c := range report.Cases {
		if c.Status != Passed {
			t.Errorf("%s: %s after the update\n%s", c.Name, c.Status, strings.Join(c.Lines(), "\n"))
		}
	}
}

// TestUpdateChangesNothingButWhatDoesNotHold has texts before and after. The policy is release.
func TestUpdateChangesNothingButWhatDoesNotHold(t *testing.T) {
	for _, tt := range []struct{ name, before, after string }{
		{"a value, with the comments around it",
			"  # first\n  - name: a   # the name\n    claims: {svn:   2}\n    expect:  # what\n      # why\n      verdict: permit # yes\n      issued:\n        release: 3   # the release\n      properties: {omit_x5c: true}   # x5c\n      # the baseline\n      configuration:\n        x-ms-sgx-tcbidentifier: \"17\"\n    # last\n# end\n",
			"  # first\n  - name: a   # the name\n    claims: {svn:   2}\n    expect:  # what\n      # why\n      verdict: permit # yes\n      issued:\n        release: 2   # the release\n      properties: {omit_x5c: true}   # x5c\n      # the baseline\n      configuration:\n        x-ms-sgx-tcbidentifier: \"17\"\n    # last\n# end\n"},
		{"members that are missing or too many",
			"  - name: a\n    claims: {svn: 2}\n    expect:\n      verdict: permit\n      line: 9\n      issued:\n        tier: gold\n        release: 2\n        other: 1\n      configuration: {x: 1}\n    # tail\n",
			"  - name: a\n    claims: {svn: 2}\n    expect:\n      verdict: permit\n      line: 9\n      issued:\n        release: 2\n      configuration: {x-ms-sgx-tcbidentifier: \"17\"}\n      properties:\n        omit_x5c: true\n    # tail\n"},
		{"another claim",
			"  - name: a\n    claims: {svn: 2}\n    expect:\n      verdict: permit\n      issued:\n        tier: gold\n      properties: {omit_x5c: true}\n      configuration: {x-ms-sgx-tcbidentifier: '17'}\n",
			"  - name: a\n    claims: {svn: 2}\n    expect:\n      verdict: permit\n      issued:\n        release: 2\n      properties: {omit_x5c: true}\n      configuration: {x-ms-sgx-tcbidentifier: '17'}\n"},
		{"a list on lines of its own",
			"  - name: a\n    claims: {svn: [2, 3]}\n    expect:\n      verdict: permit\n      issued:\n        release:\n          - 3\n          - 2\n      properties: {omit_x5c: true}\n      configuration: {x-ms-sgx-tcbidentifier: '17'}\n",
			"  - name: a\n    claims: {svn: [2, 3]}\n    expect:\n      verdict: permit\n      issued:\n        release: [2, 3]\n      properties: {omit_x5c: true}\n      configuration: {x-ms-sgx-tcbidentifier: '17'}\n"},
		{"another verdict on lines of its own",
			"  - name: a\n    expect:\n      verdict: permit  # once\n      issued:\n        release: 2\n      line: 9\n    claims: {svn: 0}\n",
			"  - name: a\n    expect:\n      verdict: deny  # once\n      line: 8\n    claims: {svn: 0}\n"},
		{"a message of several lines",
			"  - name: a\n    claims: {svn: 0}\n    expect:\n      verdict: deny\n      message: |\n        # no comment\n        x\n",
			"  - name: a\n    claims: {svn: 0}\n    expect:\n      verdict: deny\n      message: \"" + policy.DenyMessage + " The rule at line 8, column 5 denies: [type==\\\"svn\\\", value==0] => deny(); found svn = 0 (AttestationService).\"\n"},
		{"in braces",
			"  - {name: ä, claims: {svn: 0}, expect: {verdict: permit}}  # c\n  - name: ö\n    claims: {svn: 1}\n    expect: {verdict: deny} # d\n",
			"  - {name: ä, claims: {svn: 0}, expect: {verdict: deny}}  # c\n  - name: ö\n    claims: {svn: 1}\n    expect: {verdict: no-permit} # d\n"},
		{"in braces over several lines",
			"  - name: a\n    claims: {svn: 1}\n    expect: {\n      verdict: deny,\n      line: 8\n    }\n  - {name: b, claims: {svn: 0}, expect: {verdict: deny}}\n",
			"  - name: a\n    claims: {svn: 1}\n    expect: {verdict: no-permit}\n  - {name: b, claims: {svn: 0}, expect: {verdict: deny}}\n"},
		{"too long for braces",
			"  - name: a\n    claims: {svn: 2}\n    expect: {verdict: deny}\n",
			"  - name: a\n    claims: {svn: 2}\n    expect:\n      verdict: permit\n      issued:\n        release: 2\n      properties:\n        omit_x5c: true\n      configuration:\n        x-ms-sgx-tcbidentifier: \"17\"\n"},
		{"no expectation",
			"  - name: a\n    claims:\n      svn: 0   # none\n\n  # next\n  - claims: [{type: svn, value: 1}]\n    name: b\n  - {name: c, claims: {svn: 9}}\n  - name: d\n    claims: {svn: 0}\n    expect:   # to do\n  - name: e\n    claims: {svn: 0}\n    expect: {}\n",
			"  - name: a\n    claims:\n      svn: 0   # none\n    expect:\n      verdict: deny\n\n  # next\n  - claims: [{type: svn, value: 1}]\n    name: b\n    expect:\n      verdict: no-permit\n  - {name: c, claims: {svn: 9}, expect: {verdict: error, code: PolicyEvaluationError, line: 15}}\n  - name: d\n    claims: {svn: 0}\n    expect:   # to do\n      verdict: deny\n  - name: e\n    claims: {svn: 0}\n    expect: {verdict: deny}\n"},
		{"claims as a list without indent, and a text block at the end",
			"- name: a\n  claims:\n  - type: svn\n    value: 0\n- name: b\n  claims:\n    svn: 0\n    json: |\n      # {\n",
			"- name: a\n  claims:\n  - type: svn\n    value: 0\n  expect:\n    verdict: deny\n- name: b\n  claims:\n    svn: 0\n    json: |\n      # {\n  expect:\n    verdict: deny\n"},
		{"no line break at the end", "  - name: a\n    claims: {svn: 0}", "  - name: a\n    claims: {svn: 0}\n    expect:\n      verdict: deny\n"},
		{"an error that has become another", "  - name: a\n    claims: {svn: 9}\n    expect:\n      code: PolicyParsingError\n      line: 1\n      column: 1\n",
			"  - name: a\n    claims: {svn: 9}\n    expect:\n      code: PolicyEvaluationError\n      line: 15\n      column: 5\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, newline := range []string{"\n", "\r\n"} {
				before, after := strings.ReplaceAll(head+tt.before, "\n", newline), strings.ReplaceAll(head+tt.after, "\n", newline)
				got, report := update(t, before)
				if report.Err != nil {
					t.Fatalf("%q: %v", newline, report.Err)
				}
				if got != after {
					t.Errorf("got\n%s\nwant\n%s", got, after)
				}
				settled(t, got)
			}
		})
	}
}

func TestUpdateSaysWhatItDid(t *testing.T) {
	text, report := update(t, head+"  - {name: a, claims: {svn: 0}, expect: {verdict: deny}}\n  - {name: b, claims: {svn: 0}, expect: {verdict: permit}}\n  - {name: c, claims: {svn: 1}}\n")
	for i, want := range []Status{Passed, Updated, Added} {
		if c := report.Cases[i]; c.Status != want || (want == Passed) != (len(c.Lines()) == 0) {
			t.Errorf("case %s: %s, want %s\n%s", c.Name, c.Status, want, strings.Join(c.Lines(), "\n"))
		}
	}
	if lines := strings.Join(report.Cases[2].Lines(), "\n"); !strings.Contains(lines, "no expectation; this was found:\n+ verdict: no-permit") {
		t.Errorf("an expectation was added with the words\n%s", lines)
	}
	settled(t, text)
}

// TestWhatCannotBeWrittenSafelyIsNotWritten has layouts that the editor does not know. The cases stay failed.
func TestWhatCannotBeWrittenSafelyIsNotWritten(t *testing.T) {
	for _, text := range []string{
		head + "  - {name: a, claims: {svn: 0}, expect: null}\n",
		head + "  - name: a\n    claims: {svn: 0}\n    expect: null\n",
		head + "  - {name: a, claims: {svn: 0},}\n",
		head + "  - {name: a, claims: {svn: 0}}\r\n",
	} {
		got, report := update(t, text)
		if got != text || report.Err == nil || !strings.Contains(report.Err.Error(), "nothing was written") || report.Cases[0].Status != Failed {
			t.Errorf("%q became\n%s\n%+v, want it unchanged, with an error, and the case failed", text, got, report)
		}
	}
}

func TestUpdateKeepsTheModeOfTheFile(t *testing.T) {
	dir := testFolder(t, head+"  - {name: a, claims: {svn: 0}}\n")
	name := filepath.Join(dir, "release.test.yaml")
	if err := os.Chmod(name, 0o640); err != nil {
		t.Fatal(err)
	}
	run(t, dir, Options{Update: true})
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v, want 0640", info.Mode(), err)
	}
}

func TestBrokenCasesAreNotUpdated(t *testing.T) {
	const text = head + "  - {name: a, evidence: {file: a, collateral: b, at: 2026-05-01T12:00:00Z}, expect: {verdict: deny}}\n"
	dir := testFolder(t, text)
	report := run(t, dir, Options{Update: true, Appraise: func(Evidence, *policy.Policy, *policy.Configuration) ([]policy.Claim, error) {
		return nil, os.ErrNotExist
	}})
	b, _ := os.ReadFile(filepath.Join(dir, "release.test.yaml"))
	if report.Cases[0].Status != Broken || string(b) != text {
		t.Errorf("%+v, text\n%s", report, b)
	}
}

// FuzzUpdate has any layout of a file of one or two cases: after an update it passes, or nothing was written.
func FuzzUpdate(f *testing.F) {
	for _, text := range []string{
		"  - name: a\n    claims: {svn: 2}\n    expect:\n      verdict: permit # x\n      issued:\n        release: 3   # y\n",
		"  - {name: a, claims: {svn: 0}}\n  - name: b\n    claims:\n    - type: svn\n      value: 1\n    expect: {\n      verdict: permit\n    }\n",
		"- claims: {json: |\n  x\n  svn: 9}\n  expect:\n    code: PolicyEvaluationError\n    message: >-\n      x\n  name: a\n",
	} {
		f.Add(text)
	}
	dir := testFolder(f, "")
	name := filepath.Join(dir, "release.test.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(name, []byte(head+text), 0o600); err != nil {
			t.Fatal(err)
		}
		first := run(t, dir, Options{Update: true, Appraise: func(Evidence, *policy.Policy, *policy.Configuration) ([]policy.Claim, error) {
			return []policy.Claim{svn(0)}, nil
		}})
		if first.Err != nil {
			if b, _ := os.ReadFile(name); string(b) != head+text {
				t.Errorf("%v, and yet\n%s\nbecame\n%s", first.Err, head+text, b)
			}
			return
		}
		for _, c := range run(t, dir, Options{Appraise: func(Evidence, *policy.Policy, *policy.Configuration) ([]policy.Claim, error) {
			return []policy.Claim{svn(0)}, nil
		}}).Cases {
			if c.Status != Passed {
				t.Errorf("%s after the update of\n%s\n%s", c.Status, text, strings.Join(c.Lines(), "\n"))
			}
		}
	})
}
