package policy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

// example is a policy of docs/policy.md, with what the fences after it say of it.
type example struct {
	line                      int
	text                      string
	claims, outcome, mistakes string
}

// TestDocumentedExamplesDoWhatTheySay runs every policy fence of the language reference. A fence errors after it holds
// the errors of a policy that does not parse; a fence outcome after a fence claims holds what evaluation gives, in
// the words of the vectors.
func TestDocumentedExamplesDoWhatTheySay(t *testing.T) {
	examples := readExamples(t)
	if len(examples) < 10 {
		t.Errorf("only %d examples found", len(examples))
	}
	for _, e := range examples {
		t.Run(fmt.Sprint("line ", e.line), func(t *testing.T) {
			p, err := policy.Parse([]byte(e.text))
			switch {
			case e.mistakes != "":
				compareMistakes(t, err, e.mistakes)
			case err != nil:
				t.Error(err)
			case e.outcome != "":
				compareOutcome(t, p, e)
			}
		})
	}
}

func compareMistakes(t *testing.T, err error, want string) {
	t.Helper()
	errs, _ := errors.AsType[policy.Errors](err)
	var details []string
	for _, e := range errs {
		details = append(details, e.Detail())
	}
	if got := strings.Join(details, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func compareOutcome(t *testing.T, p *policy.Policy, e example) {
	t.Helper()
	claims, err := policy.ParseClaims([]byte(e.claims))
	if err != nil {
		t.Fatal(err)
	}
	var want expectedWhen
	if err := json.Unmarshal([]byte(e.outcome), &want); err != nil {
		t.Fatal(err)
	}
	if diff := evaluate(p, "SgxEnclave", claims).differs(want); diff != "" {
		t.Error(diff)
	}
}

func readExamples(t *testing.T) []example {
	t.Helper()
	text, err := os.ReadFile("../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	var examples []example
	lines := strings.Split(string(text), "\n")
	for i := 0; i < len(lines); i++ {
		fence, ok := strings.CutPrefix(lines[i], "```")
		if !ok {
			continue
		}
		start := i + 1
		for i++; lines[i] != "```"; i++ {
		}
		body := strings.Join(lines[start:i], "\n")
		if fence == "policy" {
			examples = append(examples, example{line: start, text: body})
		} else if len(examples) > 0 {
			examples[len(examples)-1].add(fence, body)
		}
	}
	return examples
}

// add takes a fence that follows the policy.
func (e *example) add(fence, body string) {
	switch fence {
	case "claims":
		e.claims = body
	case "outcome":
		e.outcome = body
	case "errors":
		e.mistakes = body
	}
}

// TestDocumentedLimitsAreThoseOfTheCode looks for each figure in the table of docs/policy.md.
func TestDocumentedLimitsAreThoseOfTheCode(t *testing.T) {
	text, err := os.ReadFile("../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]string{
		"MaxText":       fmt.Sprintf("| `policy_text` | %d MiB |", policy.MaxText>>20),
		"MaxRules":      fmt.Sprintf("| `policy_rules` | %d rules", policy.MaxRules),
		"MaxConditions": fmt.Sprintf("| `rule_conditions` | %d conditions", policy.MaxConditions),
		"MaxNesting":    fmt.Sprintf("| `policy_expr_nesting` | %d |", policy.MaxNesting),
		"MaxClaims":     fmt.Sprintf("| `incoming_claims` | %d 000 claims", policy.MaxClaims/1000),
		"MaxStrings":    fmt.Sprintf("| `function_string_bytes` | %d MiB", policy.MaxStrings>>20),
		"MaxSteps":      fmt.Sprintf("| evaluation steps | %d 000 000 |", policy.MaxSteps/1_000_000),
		"MaxValues":     fmt.Sprintf("| %d MiB |", policy.MaxValues>>20),
		"MaxIssued":     fmt.Sprintf("and for 128 bytes more | %d MiB |", policy.MaxIssued>>20),
	} {
		if !strings.Contains(string(text), row) {
			t.Errorf("%s: docs/policy.md has no %q", name, row)
		}
	}
}

// TestDocumentedReferenceValuesAreOfEachType: there is an example of each attestation type, named in its first line, and the checker finds
// nothing wrong with it for that type.
func TestDocumentedReferenceValuesAreOfEachType(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range readExamples(t) {
		first, _, _ := strings.Cut(e.text, "\n")
		kind, named := strings.CutPrefix(first, "// ")
		if !named || !strings.Contains(e.text, "assay-reference") {
			continue
		}
		seen[kind] = true
		p, err := policy.Parse([]byte(e.text))
		if err != nil {
			t.Fatal(err)
		}
		if found := p.Warnings(kind); len(found) > 0 {
			t.Errorf("%s: %+v", kind, found)
		}
	}
	for _, kind := range kinds() {
		if !seen[kind] {
			t.Errorf("no example for %s", kind)
		}
	}
}
