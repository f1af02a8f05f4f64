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

// rewriting is a text before and after an update.
type rewriting struct{ name, before, after string }

// updates reads testdata/update.txt, which says how it is written.
func updates(t *testing.T) []rewriting {
	t.Helper()
	b, err := os.ReadFile("testdata/update.txt")
	if err != nil {
		t.Fatal(err)
	}
	o, err := Subject{[]byte(release), "SgxEnclave", given(svn(0))}.Judge()
	if err != nil {
		t.Fatal(err)
	}
	var list []rewriting
	for _, part := range strings.Split(string(b), "\n=== ")[1:] {
		name, texts, _ := strings.Cut(part, "\n")
		before, after, found := strings.Cut(texts+"\n", "--- after\n")
		if !found {
			t.Fatalf("%s: no text after", name)
		}
		before = strings.TrimSuffix(before, "\n\\\n")
		list = append(list, rewriting{name, before, strings.ReplaceAll(strings.TrimRight(after, "\n")+"\n", "MESSAGE", quote(o.Message))})
	}
	if len(list) < 10 {
		t.Errorf("%d texts found", len(list))
	}
	return list
}

// TestUpdateChangesNothingButWhatDoesNotHold has texts before and after. The policy is release.
func TestUpdateChangesNothingButWhatDoesNotHold(t *testing.T) {
	for _, tt := range updates(t) {
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
	text, report := update(t, head+"  - {name: a, claims: {svn: 0}, expect: {verdict: deny}}\n"+
		"  - {name: b, claims: {svn: 0}, expect: {verdict: permit}}\n  - {name: c, claims: {svn: 1}}\n")
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
