package policy_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

// warningExample is a policy of docs/policy-warnings.md with the warnings that it gets for an attestation type.
type warningExample struct{ code, kind, text, warnings string }

// TestDocumentedWarningsAreThoseOfTheChecker runs the example of each code: it gets exactly one warning, of that code and
// with that text.
func TestDocumentedWarningsAreThoseOfTheChecker(t *testing.T) {
	examples := warningExamples(t)
	if len(examples) != len(policy.WarningCodes()) {
		t.Errorf("%d examples of %d codes", len(examples), len(policy.WarningCodes()))
	}
	for _, e := range examples {
		found := mustParse(t, e.text).Warnings(e.kind)
		if got := shownWarnings(found); got != e.warnings || len(found) != 1 || found[0].Code != e.code {
			t.Errorf("%s: got\n%s\nwant\n%s", e.code, got, e.warnings)
		}
	}
}

// shownWarnings shows warnings as the command line does, without the name of a file.
func shownWarnings(found []policy.Warning) string {
	var lines []string
	for _, w := range found {
		lines = append(lines, fmt.Sprintf("%d:%d: warning: %s [%s]", w.Line, w.Column, w.Text, w.Code))
		if w.Fix != "" {
			lines = append(lines, "  write instead: "+w.Fix)
		}
	}
	return strings.Join(lines, "\n")
}

func warningExamples(t *testing.T) []warningExample {
	t.Helper()
	section := regexp.MustCompile("(?s)\n## ([a-z-]+)\n.*?\n```policy (\\w+)\n(.*?)\n```\n\n```warnings\n(.*?)\n```\n")
	var examples []warningExample
	for _, m := range section.FindAllStringSubmatch(warningsManual(t), -1) {
		examples = append(examples, warningExample{m[1], m[2], m[3], m[4]})
	}
	return examples
}

func warningsManual(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/policy-warnings.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTableOfWarningsHasEveryCode(t *testing.T) {
	var got, want []string
	for _, m := range regexp.MustCompile("(?m)^\\| \\[`(.*)`\\]\\(#(.*)\\) \\| (.*) \\|$").FindAllStringSubmatch(warningsManual(t), -1) {
		if m[1] != m[2] {
			t.Errorf("%s leads to %s", m[1], m[2])
		}
		got = append(got, m[1]+": "+m[3])
	}
	for _, c := range policy.WarningCodes() {
		want = append(want, c.Code+": "+c.Meaning)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
