package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// explained is what policy explain prints with --json, as far as the tests look at it.
type explained struct {
	Verdict    string
	PolicyHash string
	Error      struct{ Code, Message string }
	Checks     []struct{ Name, Outcome string }
	Claims     []struct{ Type string }
	Issued     map[string]any
	Policy     *struct {
		Decisive *struct{ Line int }
		Rules    []struct {
			Section    string
			Fired      bool
			Conditions []struct{ Holds bool }
		}
	}
}

const oneRule = "version=1.0;\nauthorizationrules\n{\n    [type==\"a\", value>=2] => permit();\n};\n"

func explainFiles(t *testing.T, policy, claims string) []string {
	t.Helper()
	return []string{"policy", "explain", "--policy", tempFile(t, "p.txt", policy), "--claims", tempFile(t, "c.json", claims)}
}

func TestExplainShowsTheRulesThatRan(t *testing.T) {
	assay(t, explainFiles(t, oneRule, `[{"type":"a","value":3}]`)...).want(t, exitOK, `authorizationrules
  line 4, column 5: fired, permit  <== decided
    |     [type=="a", value>=2] => permit();
    |     ^
    holds: [type=="a", value>=2]
      satisfied by a = 3 (AttestationService)
permit: by the rule at line 4, column 5
`, "")
}

func TestExplainTellsWhyAPolicyRefuses(t *testing.T) {
	args := explainFiles(t, oneRule, `[{"type":"a","value":1}]`)
	assay(t, args...).want(t, exitRefused, "not satisfied by a = 1 (AttestationService): its value differs", "")
	var e explained
	o := assay(t, append(args, "--json")...)
	o.read(t, &e)
	if o.status != exitRefused || e.Verdict != "no-permit" || e.Error.Code != "PolicyEvaluationError" || e.PolicyHash == "" ||
		len(e.Claims) != 1 || e.Policy == nil || len(e.Policy.Rules) != 1 || e.Policy.Rules[0].Fired || e.Policy.Rules[0].Conditions[0].Holds {
		t.Errorf("exit status %d: %s", o.status, o.stdout)
	}
}

func TestExplainOfAPolicyThatDoesNotParse(t *testing.T) {
	args := explainFiles(t, "version=1.0;\nauthorizationrules { => permit() };", "[]")
	assay(t, append(args, "--type", "sgx")...).want(t, exitRefused, "expecting ';'", "")
	var e explained
	assay(t, append(args, "--type", "sgx", "--json")...).read(t, &e)
	if e.Verdict != "refused" || e.Error.Code != "PolicyParsingError" || e.Policy != nil {
		t.Errorf("got %+v", e)
	}
}

// TestExplainOfEvidence takes simulated evidence, sound and cut short: the checks stand before the rules, or alone.
func TestExplainOfEvidence(t *testing.T) {
	dir := t.TempDir()
	assay(t, "sim", "sgx", "--out", dir).want(t, exitOK, "", "")
	file := func(name string) string { return filepath.Join(dir, name) }
	policy := tempFile(t, "p.txt", "version=1.0;\nauthorizationrules { [type==\"x-ms-sgx-product-id\"] => permit(); };")
	args := func(evidence string) []string {
		return []string{"policy", "explain", "--policy", policy, "--type", "sgx", "--evidence", evidence,
			"--collateral", file("collateral"), "--trust-root", file("root.pem"), "--json"}
	}
	var e explained
	assay(t, args(file("quote.bin"))...).read(t, &e)
	signed := func(c struct{ Name, Outcome string }) bool { return c.Name == "quote-signature" && c.Outcome == "pass" }
	if e.Verdict != "permit" || !slices.ContainsFunc(e.Checks, signed) || e.Policy == nil {
		t.Errorf("sound: %+v", e)
	}
	quote, err := os.ReadFile(file("quote.bin"))
	if err != nil {
		t.Fatal(err)
	}
	var cut explained
	o := assay(t, args(tempFile(t, "cut.bin", string(quote[:100])))...)
	o.read(t, &cut)
	if o.status != exitRefused || cut.Verdict != "refused" || cut.Error.Code != "InvalidQuote" || cut.Policy != nil {
		t.Errorf("cut short: exit status %d, %+v", o.status, cut)
	}
}

func TestExplainOfAPublishedPolicyOnARealLog(t *testing.T) {
	log := vectortest.Path(t, "policies/events/goattest-option-rom-windows-sha1.claims.json")
	assay(t, "policy", "explain", "--policy", vectortest.Path(t, "policies/tpm-v12-hvci.txt"), "--claims", log).
		want(t, exitOK, `line 10, column 95: JsonToClaimValue("[]") = {}`, "")
}

func TestExplainNeedsSomethingToExplain(t *testing.T) {
	assay(t, "policy", "explain", "--policy", tempFile(t, "p.txt", oneRule)).want(t, exitUsage, "", "--claims or --evidence is missing")
}
