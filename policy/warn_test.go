package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

// doubtful is a rule with one warning, at the text between two marks, and a near miss that has none.
type doubtful struct {
	code, kind, section string
	rule                string
	fix                 string
	miss                string
}

// framed puts rules of a section into a policy without warnings of an attestation type. The section "verdict" is the
// whole authorization section, "text" the whole policy; a digit in front of the rule is the minor version, 2 without.
func framed(kind, section, rule string) string {
	if section == "text" {
		return rule
	}
	minor, rules := "2", rule
	if rule[0] >= '0' && rule[0] <= '2' {
		minor, rules = rule[:1], rule[1:]
	}
	parts := map[string]string{section: rules}
	if section != "verdict" {
		parts["verdict"] = harmless(kind) + parts["auth"]
	}
	text := "version=1." + minor + ";\n"
	if section == "config" {
		text += "configurationrules {\n" + rules + "\n};\n"
	}
	return text + "authorizationrules {\n" + parts["verdict"] + "\n};\nissuancerules {\n" + parts["issue"] + "\n};\n"
}

// harmless is a permit rule of which nothing is doubtful.
func harmless(kind string) string {
	return map[string]string{
		"SgxEnclave": `[type=="x-ms-sgx-svn", value>=2] => permit();`,
		"SevSnpVm":   `[type=="x-ms-sevsnpvm-is-debuggable", value==false] => permit();`,
		"TdxVm":      `[type=="dbgstat", value=="disabled"] => permit();`,
		"AzureGuest": `[type=="secureboot", value==true] => permit();`,
		"Tpm":        `[type=="secureBootEnabled", value==true, issuer=="AttestationService"] => permit();`,
		"":           `[type=="a", value==true] => permit();`,
	}[kind] + "\n"
}

const signer = "4aea5f9a0ed04b11f889aadfe6a1d376213a29a95a85ce7337ae6f7fece6610c"

// testDoubtful wants the warning of each row and nothing else, and none of the near miss.
func testDoubtful(t *testing.T, rows []doubtful) {
	t.Helper()
	for i, row := range rows {
		t.Run(fmt.Sprintf("%s %d", row.code, i), func(t *testing.T) {
			text, places := marked(framed(row.kind, row.section, row.rule))
			found := mustParse(t, text).Warnings(row.kind)
			if len(found) != 1 || len(places) != 2 {
				t.Fatalf("%s\ngot %d warnings, want one: %+v", row.rule, len(found), found)
			}
			w := found[0]
			if w.Code != row.code || w.Fix != row.fix {
				t.Errorf("%s\ngot %s, fix %s\nwant %s, fix %s\n%s", row.rule, w.Code, w.Fix, row.code, row.fix, w.Text)
			}
			if start, end := lineColumn(w.Line, w.Column), lineColumn(w.Line, w.EndColumn); start != places[0] || end != places[1] {
				t.Errorf("%s\ngot %s to %s, want %s to %s", row.rule, start, end, places[0], places[1])
			}
			if row.miss == "" {
				return
			}
			if found := mustParse(t, framed(row.kind, row.section, row.miss)).Warnings(row.kind); len(found) > 0 {
				t.Errorf("%s\ngot %+v, want none", row.miss, found)
			}
		})
	}
}

// warningRows are the rows of all tables below: each code must be among them with a near miss.
func warningRows() []doubtful {
	return slices.Concat(claimRows(), issuerRows(), valueRows(), functionRows(), logicRows(), verdictRows(), actionRows(), propertyRows())
}

func TestEveryCodeIsTestedWithANearMiss(t *testing.T) {
	tested := map[string]bool{}
	for _, row := range warningRows() {
		tested[row.code] = tested[row.code] || row.miss != ""
	}
	for _, c := range policy.WarningCodes() {
		if !tested[c.Code] {
			t.Errorf("%s has no test with a near miss", c.Code)
		}
		delete(tested, c.Code)
		if !strings.HasSuffix(c.Meaning, ".") || strings.Trim(c.Code, "abcdefghijklmnopqrstuvwxyz-") != "" {
			t.Errorf("%+v", c)
		}
	}
	for code := range tested {
		t.Errorf("%s is not among the codes", code)
	}
}

func TestWarningsOfClaims(t *testing.T)     { testDoubtful(t, claimRows()) }
func TestWarningsOfIssuers(t *testing.T)    { testDoubtful(t, issuerRows()) }
func TestWarningsOfValues(t *testing.T)     { testDoubtful(t, valueRows()) }
func TestWarningsOfFunctions(t *testing.T)  { testDoubtful(t, functionRows()) }
func TestWarningsOfLogic(t *testing.T)      { testDoubtful(t, logicRows()) }
func TestWarningsOfVerdicts(t *testing.T)   { testDoubtful(t, verdictRows()) }
func TestWarningsOfActions(t *testing.T)    { testDoubtful(t, actionRows()) }
func TestWarningsOfProperties(t *testing.T) { testDoubtful(t, propertyRows()) }

// TestFixesRemoveTheirWarning writes each fix in place of the doubtful text: the policy parses, and the warning is gone.
func TestFixesRemoveTheirWarning(t *testing.T) {
	fixed := 0
	for _, row := range warningRows() {
		if row.fix == "" {
			continue
		}
		fixed++
		text, _ := marked(framed(row.kind, row.section, row.rule))
		text = written([]byte(text), mustParse(t, text).Warnings(row.kind)[0])
		if found := mustParse(t, text).Warnings(row.kind); slices.ContainsFunc(found, func(w policy.Warning) bool { return w.Code == row.code }) {
			t.Errorf("%s\nwith %s: %+v", row.rule, row.fix, found)
		}
	}
	if fixed < 20 {
		t.Errorf("only %d rows have a fix", fixed)
	}
}

func TestWithoutAttestationTypeOnlyTheTextCounts(t *testing.T) {
	for rule, codes := range map[string]string{
		`[type=="no-such-claim", value==1] => permit();`:                                               "",
		`[type=="x-ms-sgx-svn", value==true] => permit();`:                                             "",
		`c:[type=="a"] => permit();`:                                                                   "unused-label",
		`[type=="a", value==1, value==2] => permit();`:                                                 "contradiction",
		`[type=="a", value=="` + strings.ToUpper(signer) + `"] => permit();`:                           "upper-case-hex",
		`=> add(type="a", value=1); [type=="a", value=="1"] => permit();`:                              "",
		`=> add(type="a", value=1); [type=="a", issuer=="AttestationPolicy", value=="1"] => permit();`: "wrong-type",
		`[type=="pcrs"] => permit();`:                                                                  "",
	} {
		for _, kind := range []string{"", "sgx", "Sgx"} {
			if got := codesOf(mustParse(t, framed("", "auth", rule)), kind); got != codes {
				t.Errorf("%s for %q: %s, want %s", rule, kind, got, codes)
			}
		}
	}
}

// codesOf returns the codes of a policy's warnings, each once and sorted.
func codesOf(p *policy.Policy, kind string) string {
	var codes []string
	for _, w := range p.Warnings(kind) {
		codes = append(codes, w.Code)
	}
	slices.Sort(codes)
	return strings.Join(slices.Compact(codes), " ")
}
