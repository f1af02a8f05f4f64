package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// evaluated is the JSON of policy eval, as scripts read it.
type evaluated struct {
	Verdict, Type, Hash               string
	Rule                              struct{ Line, Column int }
	Issued, Properties, Configuration members
	Evidence                          *verdict
	Notes                             []string
	JWS                               bool
	Error                             struct {
		Code, Check, Message string
		Line, Column         int
	}
}

// members are claims with numbers as they are written: JSON's float64 has not all integers.
type members map[string]any

// UnmarshalJSON implements [json.Unmarshaler].
func (m *members) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d.Decode((*map[string]any)(m))
}

// evalPolicy runs policy eval and reads its result.
func evalPolicy(t *testing.T, args ...string) (evaluated, int) {
	t.Helper()
	var got evaluated
	o := assay(t, append([]string{"policy", "eval", "--json"}, args...)...)
	o.read(t, &got)
	if (got.Verdict == "permit") != (o.status == exitOK) || (got.Verdict == "permit") != (got.Error.Code == "") {
		t.Errorf("%q: exit status %d, %+v", args, o.status, got)
	}
	return got, o.status
}

// expectedWhen is an entry of the member expected_when of a policy vector.
type expectedWhen struct {
	Name, Verdict                     string
	Claims                            json.RawMessage
	Issued, Properties, Configuration members
}

// evaluationVector is what an entry of vectors/policies/index.json says of evaluation.
type evaluationVector struct {
	policyVector
	ExpectedWhen       []expectedWhen    `json:"expected_when"`
	ExpectedOnRealLogs map[string]string `json:"expected_on_real_logs"`
}

// kind is the attestation type to evaluate the policy for.
func (v *evaluationVector) kind() string {
	if v.AttestationType == "any" {
		return "SgxEnclave"
	}
	return v.AttestationType
}

func evaluationVectors(t *testing.T) map[string]evaluationVector {
	t.Helper()
	var index map[string]evaluationVector
	vectortest.ReadJSON(t, "policies/index.json", &index)
	for name, v := range index {
		if v.Kind != "text" {
			delete(index, name)
		}
	}
	return index
}

func TestPolicyEvalGivesTheOutcomeOfEveryVector(t *testing.T) {
	for name, v := range evaluationVectors(t) {
		t.Run(name, func(t *testing.T) {
			file := vectortest.Path(t, path.Join("policies", name))
			if !v.Parses {
				got, status := evalPolicy(t, "--policy", file, "--type", v.kind(), "--claims", tempFile(t, "claims", "[]"))
				if status != exitRefused || got.Verdict != "error" || got.Error.Code != v.Code || got.Error.Line != v.Line || !slices.Contains(v.columns(), got.Error.Column) {
					t.Errorf("%+v, want %s at %d:%v", got, v.Code, v.Line, v.columns())
				}
			}
			for _, want := range v.ExpectedWhen {
				got, _ := evalPolicy(t, "--policy", file, "--type", v.kind(), "--claims", tempFile(t, "claims", string(want.Claims)))
				got.compare(t, &want)
			}
		})
	}
}

// compare compares the outcome with what is expected; of refusals only the verdict.
func (got *evaluated) compare(t *testing.T, want *expectedWhen) {
	t.Helper()
	if got.Verdict != want.Verdict {
		t.Errorf("%s: %s, want %s", want.Name, got.Verdict, want.Verdict)
	}
	if want.Verdict != "permit" {
		if got.Error.Code != "PolicyEvaluationError" || got.Issued != nil || got.Properties != nil {
			t.Errorf("%s: %+v, want a PolicyEvaluationError without claims", want.Name, got)
		}
		return
	}
	for _, pair := range [][2]members{{got.Issued, want.Issued}, {got.Properties, want.Properties}, {got.Configuration, want.Configuration}} {
		if pair[1] == nil {
			pair[1] = members{}
		}
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: %v, want %v", want.Name, pair[0], pair[1])
		}
	}
	if got.Rule.Line < 1 || got.Rule.Column < 1 {
		t.Errorf("%s: no place of the rule that permitted", want.Name)
	}
}

func TestPolicyEvalGivesTheClaimsOfRealLogs(t *testing.T) {
	var expected map[string]map[string]members
	vectortest.ReadJSON(t, "policies/expected-on-real-windows-logs.json", &expected)
	logs := 0
	for name, v := range evaluationVectors(t) {
		for log, claims := range v.ExpectedOnRealLogs {
			logs++
			got, _ := evalPolicy(t, "--policy", vectortest.Path(t, path.Join("policies", name)), "--claims", vectortest.Path(t, claims), "--type", "tpm")
			for claim, value := range got.Issued {
				if _, long := expected[name][log][claim].(map[string]any); long { // by its digest
					sum := sha256.Sum256([]byte(value.(string)))
					got.Issued[claim] = map[string]any{"length": json.Number(strconv.Itoa(len(value.(string)))), "sha256": hex.EncodeToString(sum[:])}
				}
			}
			if got.Verdict != "permit" || !reflect.DeepEqual(got.Issued, expected[name][log]) {
				t.Errorf("%s on %s: %s, %v, want %v", name, log, got.Verdict, got.Issued, expected[name][log])
			}
		}
	}
	if logs == 0 {
		vectortest.NoCase(t, "policy with results on real logs")
	}
}

// Policies that differ in what they do with simulated evidence.
const (
	copiesAll    = `version=1.0; authorizationrules { => permit(); }; issuancerules { c:[issuer=="AttestationService"] => issue(claim=c); };`
	refusesDebug = "version=1.0;\nauthorizationrules\n{\n    [type==\"x-ms-sgx-is-debuggable\", value==true] => deny();\n    [type==\"x-ms-sgx-svn\", value>=2] => permit();\n};\n"
	needsSVN99   = "version=1.0;\nauthorizationrules\n{\n    [type==\"x-ms-sgx-svn\", value>=99] => permit();\n};\n"
	doesNotParse = "version=1.0;\nauthorizationrules { => permit() };"
	failsAlways  = `version=1.2; authorizationrules { => permit(); }; issuancerules { c:[type=="x-ms-sgx-svn"] => issue(type="x", value=NegateBool(c.value)); };`
)

// simulatedEvidence are the flags that evaluate over evidence of a simulated enclave in dir.
func simulatedEvidence(dir string) []string {
	return []string{"--type", "sgx", "--evidence", filepath.Join(dir, "quote.bin"), "--collateral", filepath.Join(dir, "collateral"),
		"--trust-root", filepath.Join(dir, "root.pem")}
}

// TestPolicyEvalAgreesWithTheService has a service in development mode and policy eval judge the same evidence under the
// same policies. The token holds what eval says would be issued, and a refusal has the same code and message.
func TestPolicyEvalAgreesWithTheService(t *testing.T) {
	s := serve(t, "--dev", "--listen", "127.0.0.1:0", "--data", t.TempDir())
	dir := simulatedDir(t, time.Now())
	for name, text := range map[string]string{
		"copies": copiesAll, "permits": refusesDebug, "needs": needsSVN99, "fails": failsAlways, "bad": doesNotParse,
	} {
		for _, runtime := range [][]string{nil, {"--runtime-data", dir + "/runtime.json"}, {"--runtime-data", dir + "/runtime.json", "--runtime-type", "json"}} {
			policy := tempFile(t, "policy", text)
			args := append([]string{"attest", "sgx", dir + "/quote.bin", "--endpoint", s.URL, "--ca", s.CA, "--draft-policy", policy, "--json"}, runtime...)
			var token struct {
				Claims struct {
					Policy members `json:"x-ms-policy"`
				}
				Error struct{ Code, Message string }
			}
			o := afterwards().assay(t, args...)
			o.read(t, &token)
			got, status := evalPolicy(t, append(append([]string{"--policy", policy}, simulatedEvidence(dir)...), runtime...)...)
			if status != o.status || got.Error.Code != token.Error.Code || got.Error.Message != token.Error.Message {
				t.Errorf("%s %v: status %d, %+v; the service %d, %+v", name, runtime, status, got.Error, o.status, token.Error)
			}
			if len(got.Issued)+len(token.Claims.Policy) > 0 && !reflect.DeepEqual(got.Issued, token.Claims.Policy) {
				t.Errorf("%s %v: issued %v; the service %v", name, runtime, got.Issued, token.Claims.Policy)
			}
			if name == "copies" && (got.Issued["maa-ehd"] != nil) != (len(runtime) == 2) {
				t.Errorf("%v: maa-ehd is %v", runtime, got.Issued["maa-ehd"])
			}
		}
	}
}

func TestPolicyEvalVerifiesEvidenceAsEvidenceVerifyDoes(t *testing.T) {
	dir := simulatedDir(t, time.Now())
	policy := tempFile(t, "policy", refusesDebug)
	below := platformBelow(t, "OutOfDate")
	for _, tt := range []struct {
		name, dir string
		args      []string
		status    int
		check     string
	}{
		{"accepted", dir, nil, exitOK, ""},
		{"status that is accepted", dir, []string{"--accept-status", "UpToDate"}, exitOK, ""},
		{"status that is not", below, []string{"--accept-status", "UpToDate"}, exitRefused, "tcb-baseline"},
		{"status that nobody judges", below, nil, exitOK, ""},
		{"other runtime data", dir, []string{"--runtime-data", dir + "/root.pem"}, exitRefused, "runtime-data"},
		{"expired collateral", dir, []string{"--at", time.Now().AddDate(0, 3, 0).UTC().Format(time.RFC3339)}, exitRefused, "crl-expired"},
		{"expired collateral that is pinned", dir, []string{"--at", time.Now().AddDate(0, 3, 0).UTC().Format(time.RFC3339), "--collateral-expiry", "ignore"}, exitOK, ""},
		{"collateral that is not complete", withoutFile(t, dir, "qe_identity.json"), nil, exitMissing, "collateral-missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			evidence := simulatedEvidence(tt.dir)
			got, status := evalPolicy(t, slices.Concat([]string{"--policy", policy}, evidence, tt.args)...)
			if status != tt.status || got.Error.Check != tt.check || got.Type != "SgxEnclave" {
				t.Errorf("status %d, %+v; want %d, check %q", status, got, tt.status, tt.check)
			}
			var alone verdict
			assay(t, slices.Concat([]string{"evidence", "verify", "--json", evidence[3]}, evidence[:2], evidence[4:], tt.args)...).read(t, &alone)
			if !reflect.DeepEqual(got.Evidence, &alone) || len(alone.Checks) == 0 {
				t.Errorf("evidence: %+v\nevidence verify: %+v", got.Evidence, alone)
			}
			if e := got.Error; e.Check != "" && (got.Verdict != "error" || e.Code != alone.Error.Code || e.Message != alone.Error.Message) {
				t.Errorf("%s %+v, want an error as %+v", got.Verdict, got.Error, alone.Error)
			}
		})
	}
}

// withoutFile is a copy of a folder that sim wrote, without one file of its collateral.
func withoutFile(t *testing.T, dir, name string) string {
	t.Helper()
	other := t.TempDir()
	if err := os.CopyFS(other, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(other, "collateral", name)); err != nil {
		t.Fatal(err)
	}
	return other
}

// TestEvidenceIsNotLookedAtForAPolicyThatFailsBefore keeps the order of the service: configuration comes first.
func TestEvidenceIsNotLookedAtForAPolicyThatFailsBefore(t *testing.T) {
	const fails = `version=1.1; configurationrules { c:[type!=""] => issueproperty(type=c.value, value=1); }; authorizationrules { => permit(); };`
	for _, text := range []string{"version=1.0;", fails} {
		got, _ := evalPolicy(t, append([]string{"--policy", tempFile(t, "policy", text)}, simulatedEvidence(simulatedDir(t, time.Now()))...)...)
		if got.Verdict != "error" || got.Evidence != nil {
			t.Errorf("%+v, want an error of the policy, and no evidence", got)
		}
	}
}

func TestPolicyEvalFindsTheTypeInTheClaims(t *testing.T) {
	const claim = `{"type":"x-ms-attestation-type","value":"%s"}`
	claims := func(list ...string) string { return "[" + strings.Join(list, ",") + "]" }
	sgx, tpm := fmt.Sprintf(claim, "sgx"), fmt.Sprintf(claim, "tpm")
	const configures = `version=1.1; configurationrules { => issueproperty(type="required_pcr_mask", value=15); }; authorizationrules { => permit(); };`
	const simple = `version=1.0; authorizationrules { => permit(); };`
	for _, tt := range []struct {
		name, policy, claims string
		args                 []string
		status               int
		kind, code           string
	}{
		{"from the claim", configures, claims(tpm), nil, exitOK, "Tpm", ""},
		{"another type", configures, claims(sgx), nil, exitRefused, "SgxEnclave", "PolicyParsingError"},
		{"the flag wins", configures, claims(sgx), []string{"--type", "tpm"}, exitOK, "Tpm", ""},
		{"none, and no need of it", simple, claims(), nil, exitOK, "", ""},
		{"two, and no need of one", simple, claims(sgx, tpm), nil, exitOK, "", ""},
		{"none", configures, claims(), nil, exitUsage, "", ""},
		{"two", configures, claims(sgx, tpm), nil, exitUsage, "", ""},
		{"a client's word", configures, claims(strings.Replace(tpm, "}", `,"issuer":"CustomClaim"}`, 1)), nil, exitUsage, "", ""},
		{"no type of ours", configures, claims(fmt.Sprintf(claim, "toaster")), nil, exitUsage, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"--policy", tempFile(t, "policy", tt.policy), "--claims", tempFile(t, "claims", tt.claims)}, tt.args...)
			if tt.status == exitUsage {
				assay(t, append([]string{"policy", "eval"}, args...)...).want(t, exitUsage, "", "--type is missing: the policy has configuration rules")
				return
			}
			got, status := evalPolicy(t, args...)
			if status != tt.status || got.Type != tt.kind || got.Error.Code != tt.code || (len(got.Notes) > 0) != (tt.kind == "") {
				t.Errorf("status %d, %+v; want %d, type %q, code %q", status, got, tt.status, tt.kind, tt.code)
			}
		})
	}
}

func TestPolicyEvalForPeople(t *testing.T) {
	dir := simulatedDir(t, time.Now())
	evidence := simulatedEvidence(dir)
	claims := []string{"--claims", tempFile(t, "claims", `[{"type":"x-ms-sgx-svn","value":2},{"type":"x-ms-sgx-is-debuggable","value":true}]`)}
	const configures = `version=1.1; configurationrules { => issueproperty(type="x-ms-sgx-tcbidentifier", value="99"); };`
	selects := strings.Replace(copiesAll, "version=1.0;", configures, 1)
	jws := vectortest.Path(t, "policies/jws-unsigned.txt")
	for _, tt := range []struct {
		name, text string
		args       []string
		status     int
		want       []string
	}{
		{"permit", copiesAll, claims, exitOK, []string{"PERMIT  ", "rule         line 1, column 35", "Issued\n", "x-ms-sgx-svn            2"}},
		{"deny", refusesDebug, claims, exitRefused, []string{"DENY  ", "rule         line 4, column 5", "code     PolicyEvaluationError", "A Deny claim was issued"}},
		{"no permit", needsSVN99, claims, exitRefused, []string{"NO PERMIT  ", "found x-ms-sgx-svn = 2"}},
		{"error", failsAlways, claims, exitRefused, []string{"ERROR  ", "NegateBool"}},
		{"error of the text", doesNotParse, claims, exitRefused, []string{"ERROR  ", ":2:34: ", "{ => permit() };\n", "^\n"}},
		{"evidence", copiesAll, evidence, exitOK, []string{"PERMIT  ", "Platform\n", "status            UpToDate"}},
		{"evidence that nobody judges", copiesAll, simulatedEvidence(platformBelow(t, "OutOfDate")), exitOK, []string{"TCB STATUS OUTOFDATE", "--accept-status was not given"}},
		{"refused evidence", copiesAll, evidence[:6], exitRefused, []string{"ERROR  ", "check     untrusted-root"}},
		{"another baseline", selects, evidence, exitOK, []string{"Configuration\n  x-ms-sgx-tcbidentifier  99",
			"Note: the policy selects the TCB baseline 99; the evidence was judged by the collateral given, of evaluation "}},
		{"JWS", "", append([]string{"--policy", jws}, claims...), exitRefused, []string{"JWS; evaluated is the text in it"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := slices.Concat([]string{"policy", "eval"}, tt.args)
			if tt.text != "" {
				args = append(args, "--policy", tempFile(t, "policy", tt.text))
			}
			for _, want := range tt.want {
				assay(t, args...).want(t, tt.status, want, "")
			}
		})
	}
}
