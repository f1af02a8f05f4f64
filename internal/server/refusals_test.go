package server_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
)

// goldenRefusals holds what clients are told, one refusal a paragraph, with values that change from run to run replaced.
const goldenRefusals = "testdata/refusals.txt"

// TestRefusalsExplainThemselves compares the message of one refusal for each check of the evidence, and of each way in
// which a policy can refuse, with the golden file. Whoever changes a message reads it there: it alone must say which
// claim or check failed and what would have passed.
func TestRefusalsExplainThemselves(t *testing.T) {
	var b strings.Builder
	for _, r := range slices.Concat(evidenceRefusals(t), tpmRefusals(t), guestRefusals(t), azureRefusals(t), policyRefusals(t)) {
		fmt.Fprintf(&b, "%s\n  %s\n\n", r.name, steady(r.message))
	}
	if update() {
		if err := os.WriteFile(goldenRefusals, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(goldenRefusals)
	if err != nil {
		t.Fatal(err)
	}
	compareParagraphs(t, b.String(), string(want))
}

// update says whether the golden file is to be written: go test -run TestRefusals ./internal/server -args update.
func update() bool { return flag.Arg(0) == "update" }

func compareParagraphs(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n\n"), strings.Split(want, "\n\n")
	for i := range max(len(g), len(w)) {
		switch {
		case i >= len(g):
			t.Errorf("missing:\n%s", w[i])
		case i >= len(w):
			t.Errorf("new:\n%s", g[i])
		case g[i] != w[i]:
			t.Errorf("got\n%s\nwant\n%s", g[i], w[i])
		}
	}
}

type refusalText struct{ name, message string }

// steady replaces keys, hashes, times and numbers of bytes that differ between runs.
func steady(message string) string {
	message = regexp.MustCompile(`\d{4}-\d\d-\d\d(T[0-9:.]+Z)?`).ReplaceAllString(message, "<time>")
	message = regexp.MustCompile(`\b[0-9a-f]{40,}\b`).ReplaceAllString(message, "<digest>")
	message = regexp.MustCompile(`\bkey [A-Za-z0-9+/]{43}=`).ReplaceAllString(message, "key <hash>")
	message = regexp.MustCompile(`\b(expected|found) [A-Za-z0-9_-]{22,24}([,)])`).ReplaceAllString(message, "$1 <challenge>$2")
	return regexp.MustCompile(`\b(offset )\d+`).ReplaceAllString(message, "$1<n>")
}

// evidenceRefusals breaks one thing for each check that assaytest can make fail.
func evidenceRefusals(t *testing.T) (list []refusalText) {
	t.Helper()
	folder := t.TempDir()
	seen := map[evidence.Check]bool{}
	for _, f := range assaytest.Faults() {
		if seen[f.Checks[0]] || f.Name == "empty" {
			continue
		}
		seen[f.Checks[0]] = true
		s := start(t, config.Config{Data: folder})
		s.pcs.Alter(f.Apply)
		list = append(list, refusalText{"evidence, " + f.Name, s.attest(t, s.scenario(f.Apply)).problem(t).Message})
	}
	for _, c := range []struct {
		name     string
		settings provider.Settings
		edits    []func(*assaytest.Scenario)
		members  []any
	}{
		{"status", provider.Settings{}, []func(*assaytest.Scenario){level("OutOfDate")}, nil},
		{"evaluation number", provider.Settings{TCBMinEvaluationNumber: 18}, nil, nil},
		{"advisory", provider.Settings{TCBRefusedAdvisories: []string{"INTEL-SA-90001"}}, []func(*assaytest.Scenario){level("SWHardeningNeeded")}, nil},
		{"debuggable", provider.Settings{RefuseDebuggable: true}, []func(*assaytest.Scenario){debuggable}, nil},
		{"runtime data", provider.Settings{}, nil, []any{"runtimeData", data("x", "Binary")}},
		{"init data", provider.Settings{}, nil, []any{"initTimeData", data("x", "Binary")}},
		{"runtime data is no JSON", provider.Settings{}, []func(*assaytest.Scenario){binds("{x")}, []any{"runtimeData", data("{x", "JSON")}},
	} {
		s := start(t, config.Config{Data: folder, Settings: c.settings})
		s.pcs.Alter(func(sc *assaytest.Scenario) {
			for _, edit := range c.edits {
				edit(sc)
			}
		})
		list = append(list, refusalText{"baseline and binding, " + c.name, s.attest(t, s.scenario(c.edits...), c.members...).problem(t).Message})
	}
	return list
}

// policyRefusals sends sound evidence of svn 2 and product 1 with drafts that refuse it, each in a way of its own.
func policyRefusals(t *testing.T) (list []refusalText) {
	t.Helper()
	s := start(t, config.Config{})
	for _, c := range []struct{ name, version, authorization, issuance string }{
		{"deny", "1.0", `=> permit(); [type=="x-ms-sgx-svn", value<3] => deny();`, ""},
		{"deny that always fires", "1.0", `=> permit(); => deny();`, ""},
		{"deny on a missing claim", "1.2", `=> permit(); ![type=="release"] => deny();`, ""},
		{"no permit, wrong value", "1.0", `[type=="x-ms-sgx-product-id", value==7] => permit();`, ""},
		{"no permit, missing claim", "1.0", `[type=="secureBootEnabled", value==true] => permit();`, ""},
		{"no permit, wrong type of value", "1.0", `[type=="x-ms-sgx-is-debuggable", value=="false"] => permit();`, ""},
		{"no permit, wrong issuer", "1.0", `[type=="x-ms-sgx-svn", issuer=="CustomClaim"] => permit();`, ""},
		{"no permit, second condition", "1.0", `[type=="x-ms-sgx-svn"] && [type=="x-ms-sgx-is-debuggable", value==true] => permit();`, ""},
		{"no permit, two rules", "1.0", `[type=="x-ms-sgx-svn", value==7] => permit(); [type=="x-ms-sgx-svn", value==8] => permit();`, ""},
		{"no permit, value of a label", "1.0", `c:[type=="x-ms-sgx-product-id"] && [type=="x-ms-sgx-svn", value<c.value] => permit();`, ""},
		{"no permit, value of a function", "1.2", `[type=="x-ms-sgx-svn", value==JsonToClaimValue("[5,6]")] => permit();`, ""},
		{"no permit, negated", "1.2", `![type=="x-ms-sgx-svn", value>1] => permit();`, ""},
		{"no permit rule", "1.0", `=> add(type="a", value=1);`, ""},
		{"function, wrong type", "1.2", `=> permit();`, `c:[type=="x-ms-sgx-svn"] => issue(type="r", value=NegateBool(c.value));`},
		{"function, several values", "1.2", `=> permit();`, `c:[type!="none"] => issue(type="r", value=AppendString("a", c.issuer)); c:[type!="none"] => issue(type="s", value=NegateBool(c.type));`},
		{"function, no JSON", "1.2", `=> permit();`, `c:[type=="x-ms-sgx-mrsigner"] => issue(type="r", value=JmesPath(AppendString("x", c.value), "a"));`},
		{"function, bad query", "1.2", `=> permit();`, `=> issue(type="r", value=JmesPath("{}", "Events[?a == 1]"));`},
		{"function, argument of the query", "1.2", `=> permit();`, `=> issue(type="r", value=JmesPath("{}", "length(a)"));`},
		{"function, object", "1.2", `=> permit();`, `=> issue(type="r", value=JsonToClaimValue("{\"a\":1}"));`},
		{"function, fraction", "1.2", `=> permit();`, `=> issue(type="r", value=JsonToClaimValue("1.5"));`},
		{"type of a claim", "1.0", `=> permit();`, `c:[type=="x-ms-sgx-svn"] => issue(type=c.value, value=1);`},
		{"declared type", "1.0", `=> permit();`, `c:[type=="x-ms-sgx-svn"] => issue(type="r", value=c.value, valueType="String");`},
	} {
		text := fmt.Sprintf("version=%s;\nauthorizationrules\n{\n    %s\n};\nissuancerules\n{\n    %s\n};\n", c.version, c.authorization, c.issuance)
		a := s.attest(t, s.scenario(), "draftPolicyForAttestation", text)
		a.refused(t, http.StatusBadRequest, "PolicyEvaluationError", "")
		list = append(list, refusalText{"policy, " + c.name, a.problem(t).Message})
	}
	return list
}
