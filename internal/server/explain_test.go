package server_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/config"
)

// explanation is what the native routes answer (native.md section 3), as far as the tests look at it.
type explanation struct {
	RequestID, AttestationType, Verdict, PolicyHash string
	Draft                                           bool
	Error                                           *problem
	Checks                                          []struct{ Name, Outcome, Expected, Found string }
	Claims                                          []struct{ Type, Issuer string }
	Issued, Configuration                           map[string]any
	Policy                                          *struct {
		Verdict  string
		Decisive *struct{ Line, Column int }
		Rules    []struct{ Fired bool }
	}
}

func (s *testService) explanation(t *testing.T, id string) explanation {
	t.Helper()
	a := s.do(t, http.MethodGet, "/assay/v1/explanations/"+id, "")
	if a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	var e explanation
	decode(t, a.body, &e)
	if e.RequestID != id {
		t.Errorf("request %s, want %s", e.RequestID, id)
	}
	return e
}

// check returns how a check of the evidence ended, "" if it was not made.
func (e explanation) check(name string) string {
	for _, c := range e.Checks {
		if c.Name == name {
			return c.Outcome
		}
	}
	return ""
}

const onlyProductNine = "version=1.0;\nauthorizationrules\n{\n  [type==\"x-ms-sgx-product-id\", value==9] => permit();\n};"

// TestRequestsAreExplained asks why requests were decided as they were, by the id that their answers carried.
func TestRequestsAreExplained(t *testing.T) {
	s := start(t, config.Config{})
	for _, tt := range []struct {
		name    string
		answer  answer
		verdict string
		code    string
		judged  bool
		checks  map[string]string
	}{
		{"permit", s.attest(t, s.scenario(binds("x")), "runtimeData", data("x", "Binary")), "permit", "", true,
			map[string]string{"quote-signature": "pass", "tcb-baseline": "pass", "runtime-data": "pass"}},
		{"refused evidence", s.attest(t, s.scenario(fault(t, "quote-signature"))), "refused", "InvalidParameter", false,
			map[string]string{"pck-chain": "pass", "quote-signature": "fail"}},
		{"below the baseline", s.attest(t, s.scenario(level("OutOfDate"))), "refused", "InvalidParameter", false,
			map[string]string{"quote-signature": "pass", "tcb-baseline": "fail"}},
		{"runtime data of another hash", s.attest(t, s.scenario(), "runtimeData", data("x", "Binary")), "refused", "InvalidParameter", false,
			map[string]string{"quote-signature": "pass", "runtime-data": "fail", "tcb-baseline": ""}},
		{"draft that denies", s.attest(t, s.scenario(), "draftPolicyForAttestation", onlyProductNine), "no-permit", "PolicyEvaluationError", true,
			map[string]string{"tcb-baseline": "pass"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := s.explanation(t, tt.answer.header.Get("x-ms-request-id"))
			if e.Verdict != tt.verdict || (e.Policy != nil) != tt.judged || (e.Error != nil) != (tt.code != "") || e.AttestationType != "SgxEnclave" {
				t.Fatalf("got %+v", e)
			}
			if e.Error != nil && (e.Error.Code != tt.code || e.Error.Message != tt.answer.problem(t).Message) {
				t.Errorf("error %+v, the client got %s", e.Error, tt.answer.body)
			}
			for name, want := range tt.checks {
				if got := e.check(name); got != want {
					t.Errorf("check %s: %q, want %q", name, got, want)
				}
			}
			if len(e.Claims) > 0 != tt.judged || e.PolicyHash == "" {
				t.Errorf("%d claims, policy %q", len(e.Claims), e.PolicyHash)
			}
		})
	}
}

func TestExplanationHasIssuedClaimsAndConfiguration(t *testing.T) {
	s := start(t, config.Config{})
	e := s.explanation(t, s.attest(t, s.scenario()).header.Get("x-ms-request-id"))
	if e.Issued["tee"] != "sgx" || e.Configuration["x-ms-sgx-tcbidentifier"] != "azuredefault" || e.Policy.Decisive == nil {
		t.Errorf("got %+v", e)
	}
}

// TestExplainRouteGivesNoToken asks what a request would be answered with.
func TestExplainRouteGivesNoToken(t *testing.T) {
	s := start(t, config.Config{})
	body := s.evidence(t, s.scenario())
	for _, draft := range []string{"", onlyProductNine} {
		body["draftPolicyForAttestation"] = draft
		a := s.do(t, http.MethodPost, "/assay/v1/explain/SgxEnclave", text(map[string]any(body)))
		var e explanation
		decode(t, a.body, &e)
		want := "permit"
		if draft != "" {
			want = "no-permit"
		}
		if a.status != http.StatusOK || e.Verdict != want || e.Draft != (draft != "") || strings.Contains(string(a.body), "eyJ") {
			t.Errorf("draft %q: status %d: %s", draft, a.status, a.body)
		}
	}
	s.do(t, http.MethodPost, "/assay/v1/explain/SgxEnclave", "{").refused(t, 400, "InvalidParameter", "")
	body["draftPolicyForAttestation"] = "version=1.0;"
	var e explanation
	decode(t, s.do(t, http.MethodPost, "/assay/v1/explain/SgxEnclave", text(map[string]any(body))).body, &e)
	if e.Verdict != "refused" || e.Error == nil || e.Error.Code != "PolicyParsingError" {
		t.Errorf("draft that does not parse: %+v", e)
	}
}

func TestUnknownRequestsHaveNoExplanation(t *testing.T) {
	s := start(t, config.Config{})
	s.do(t, http.MethodGet, "/assay/v1/explanations/00-x-00", "").refused(t, 404, "NotFound", "", "x-ms-request-id")
	s.do(t, http.MethodGet, "/assay/v1/explanations/", "").refused(t, 404, "NotFound", "")
	s.do(t, http.MethodDelete, "/assay/v1/explanations/x", "").refused(t, 405, "MethodNotAllowed", "")
}

// TestExplanationsHoldNoEvidence looks for the quote in what is kept.
func TestExplanationsHoldNoEvidence(t *testing.T) {
	s := start(t, config.Config{})
	body := s.evidence(t, s.scenario())
	id := s.do(t, http.MethodPost, sgxPath, text(map[string]any(body))).header.Get("x-ms-request-id")
	kept := string(s.do(t, http.MethodGet, "/assay/v1/explanations/"+id, "").body)
	if quote := body["quote"].(string); strings.Contains(kept, quote[len(quote)/2:len(quote)/2+40]) {
		t.Error("the explanation holds the quote")
	}
}

func TestExplanationsAreForgotten(t *testing.T) {
	s := start(t, config.Config{Explanations: config.Explanations{Entries: 1, Age: time.Hour}})
	first := s.attest(t, s.scenario()).header.Get("x-ms-request-id")
	s.explanation(t, first)
	s.attest(t, s.scenario())
	s.do(t, http.MethodGet, "/assay/v1/explanations/"+first, "").refused(t, 404, "NotFound", "")
}

func TestHiddenReasons(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.txt")
	if err := os.WriteFile(file, []byte(onlyProductNine), 0o600); err != nil {
		t.Fatal(err)
	}
	failing := tempFile(t, "version=1.0;\nauthorizationrules { => permit(); c:[type==\"x-ms-sgx-svn\"] => add(type=c.value, value=1); };")
	for _, tt := range []struct{ policy, fixed string }{
		{file, "Policy Engine Exception: No Permit claim was issued in the authorizationrules section, authorization failed."},
		{failing, "Policy Engine Exception: The policy could not be evaluated"},
	} {
		cfg := config.Config{Policies: map[string]string{"SgxEnclave": tt.policy}}
		open := start(t, cfg)
		cfg.Settings.HidePolicyReasons = true
		hidden := start(t, cfg)
		if m := open.attest(t, open.scenario()).problem(t).Message; !strings.Contains(m, "line ") {
			t.Errorf("without the setting: %s", m)
		}
		a := hidden.attest(t, hidden.scenario())
		a.refused(t, 400, "PolicyEvaluationError", "", tt.fixed, "hide_policy_reasons")
		if m := a.problem(t).Message; strings.Contains(m, "x-ms-sgx") || strings.Contains(m, "line ") {
			t.Errorf("with the setting: %s", m)
		}
		kept := hidden.explanation(t, a.header.Get("x-ms-request-id"))
		if !strings.Contains(kept.Error.Message, "line ") {
			t.Errorf("the explanation hides the reasons too: %s", kept.Error.Message)
		}
	}
}

// TestPolicyTime sets the limit so low that no policy is fast enough.
func TestPolicyTime(t *testing.T) {
	rules := strings.Repeat("[type!=\"a\", type!=\"b\"] => add(type=\"c\", value=1);\n", 4000)
	s := start(t, config.Config{PolicyTime: 1, Policies: map[string]string{
		"SgxEnclave": tempFile(t, "version=1.0;\nauthorizationrules {\n"+rules+" => permit(); };"),
	}})
	s.attest(t, s.scenario()).refused(t, 400, "PolicyEvaluationError", "", "its time is over")
}

func TestExplainedPolicyNamesTheRule(t *testing.T) {
	s := start(t, config.Config{})
	a := s.attest(t, s.scenario(), "draftPolicyForAttestation",
		"version=1.0;\nauthorizationrules\n{\n  => permit();\n  [type==\"x-ms-sgx-svn\", value<100] => deny();\n};")
	e := s.explanation(t, a.header.Get("x-ms-request-id"))
	if e.Verdict != "deny" || e.Policy.Decisive.Line != 5 || !slices.ContainsFunc(e.Policy.Rules, func(r struct{ Fired bool }) bool { return r.Fired }) {
		t.Errorf("got %+v", e)
	}
}
