package server_test

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
)

// tpmClient makes both rounds on a path, with a token or without one.
type tpmClient struct {
	*testService
	path, token string
}

func (c tpmClient) send(t testing.TB, data string) answer {
	t.Helper()
	body, err := json.Marshal(map[string]string{"data": data})
	if err != nil {
		t.Fatal(err)
	}
	header := []string{"Authorization", ""} // none
	if c.token != "" {
		header[1] = "Bearer " + c.token
	}
	return c.do(t, http.MethodPost, c.path, string(body), header...)
}

// rounds makes both, of which the second is left out if the first is refused.
func (c tpmClient) rounds(t testing.TB, sc *assaytest.TPMScenario) (first, second answer) {
	t.Helper()
	if first = c.send(t, sc.Init()); first.status != http.StatusOK {
		return first, answer{}
	}
	return first, c.send(t, c.reply(t, sc, first))
}

// reply answers a challenge.
func (c tpmClient) reply(t testing.TB, sc *assaytest.TPMScenario, first answer) string {
	t.Helper()
	var m struct {
		Challenge string `json:"challenge"`
		Context   string `json:"service_context"`
	}
	first.inner(t, sc.Bare, &m)
	request, err := sc.Request(unb64url(t, m.Challenge), m.Context)
	if err != nil {
		t.Fatal(err)
	}
	return sc.Data(request)
}

func unb64url(t testing.TB, text string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestAuthenticationOfTPMAttestation: both rounds need a token of a reader, unless the provider's switch is Disabled (management.md
// section 4.4). The 401 has the body that was recorded of other operations (api.md section 5).
func TestAuthenticationOfTPMAttestation(t *testing.T) {
	for setting, open := range map[string]bool{"": false, "Enabled": false, "Disabled": true} {
		t.Run(setting, func(t *testing.T) {
			s := startTPM(t, config.Config{Settings: provider.Settings{TPMAttestationAuthentication: setting}}, permitTPM())
			sc := windows(t)
			anonymous, reader := tpmClient{s, tpmPath, ""}, tpmClient{s, tpmPath, s.token(t, auth.Reader)}
			_, second := reader.rounds(t, sc)
			second.report(t, false)
			first, second := anonymous.rounds(t, sc)
			if open {
				second.report(t, false)
				return
			}
			second = anonymous.send(t, anonymous.reply(t, sc, reader.send(t, sc.Init()))) // of somebody else's challenge
			for round, a := range []answer{first, second} {
				want := `{"error":{"code":"Unauthorized","message":"Access to /attest/Tpm requires a valid JWT bearer token"}}`
				if a.status != http.StatusUnauthorized || string(a.body) != want {
					t.Errorf("round %d: status %d: %s", round+1, a.status, a.body)
				}
				if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer authorization_uri="`) || !strings.Contains(got, `", resource="https://attest.azure.net"`) {
					t.Errorf("round %d: WWW-Authenticate %s", round+1, got)
				}
			}
			if a := (tpmClient{s, tpmPath, "x.y.z"}).send(t, sc.Init()); a.status != http.StatusUnauthorized {
				t.Errorf("no JWT: status %d", a.status)
			}
		})
	}
}

// TestEveryVersionHasTheTPMProtocol, on paths in any case. Each round has a request id of its own, in the short form (api.md
// sections 2 and 6.1), which do checks.
func TestEveryVersionHasTheTPMProtocol(t *testing.T) {
	s := startTPM(t, config.Config{}, permitTPM())
	token, sc := s.token(t, auth.Reader), windows(t)
	ids := map[string]bool{}
	rounds := 0
	for _, version := range []string{"2018-09-01-preview", "2020-10-01", "2022-08-01", "2022-09-01-preview", "2023-04-01-preview", "2025-06-01", "2026-03-11-preview"} {
		for _, path := range []string{"/attest/Tpm", "/attest/tpm", "/ATTEST/TPM"} {
			first, second := tpmClient{s, path + "?x=1&api-version=" + version, token}.rounds(t, sc)
			second.report(t, false)
			for _, a := range []answer{first, second} {
				ids[a.header.Get("x-ms-request-id")] = true
				rounds++
			}
		}
	}
	if len(ids) != rounds {
		t.Errorf("%d request ids in %d rounds", len(ids), rounds)
	}
	c := tpmClient{s, "/attest/Tpm", token}
	c.send(t, sc.Init()).refused(t, http.StatusBadRequest, "InvalidParameter", "", "api-version")
	c.path = "/attest/Tpm?api-version=2019-01-01"
	c.send(t, sc.Init()).refused(t, http.StatusBadRequest, "UnsupportedApiVersion", "", "2019-01-01")
	for _, path := range []string{"/attest/Vbs", "/attest/VbsEnclave"} { // tpm.md section 1: there is none
		c.path = path + "?api-version=2022-08-01"
		if a := s.do(t, http.MethodPost, c.path, "{}"); a.status != http.StatusNotFound {
			t.Errorf("%s: status %d", path, a.status)
		}
	}
}

// otherValue is a machine whose request shows another value of a PCR than was quoted.
func otherValue(sc *assaytest.TPMScenario) {
	sc.Edit.Bytes = func(p assaytest.TPMPart, b []byte) []byte {
		if p == assaytest.TPMPCRValues {
			digest := b64url(sc.Current.Log.Replay(crypto.SHA256)[0])
			return []byte(strings.Replace(string(b), digest, b64url(make([]byte, 32)), 1))
		}
		return b
	}
}

const noPermit = `[type=="secureBootEnabled", value==false] => permit();`

// TestTPMRequestsAreExplained asks why requests were decided as they were: the checks in the order of tpm.md section 13 up to the one
// that failed, and the rules with the claims that they saw once the policy was asked.
func TestTPMRequestsAreExplained(t *testing.T) {
	permit, deny := startTPM(t, config.Config{}, permitTPM()), startTPM(t, config.Config{}, tpmPolicy(pcrs0to14, "\n"+noPermit, ""))
	for _, tt := range []struct {
		name    string
		s       *testService
		edits   []func(*assaytest.TPMScenario)
		verdict string
		code    string
		checks  string // in their order
		failed  string
	}{
		{"permit", permit, nil, "permit", "", "tpm-request tpm-request-signature tpm-challenge aik-certificate", ""},
		{"permit, enclave", permit, []func(*assaytest.TPMScenario){vbsRequest}, "permit", "", "tpm-request tpm-challenge aik-certificate vbs-signature", ""},
		{"another value", permit, []func(*assaytest.TPMScenario){otherValue}, "refused", "InvalidParameter", "tpm-request tpm-challenge aik-certificate attest-signature", "pcr-digest"},
		{"denied", deny, nil, "no-permit", "PolicyEvaluationError", "tpm-request tpm-challenge aik-certificate", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := tt.s.attestTPM(t, windows(t, tt.edits...))
			e := tt.s.explained(t, a)
			judged := tt.verdict != "refused"
			if e.Verdict != tt.verdict || e.AttestationType != "Tpm" || (e.Policy != nil) != judged || (e.Error != nil) != (tt.code != "") || len(e.Claims) > 0 != judged || e.PolicyHash == "" {
				t.Fatalf("got %+v", e)
			}
			if e.Error != nil && (e.Error.Code != tt.code || e.Error.Message != a.problem(t).Message) {
				t.Errorf("error %+v, the client got %s", e.Error, a.body)
			}
			checkOrder(t, e, strings.Fields(tt.checks), tt.failed)
		})
	}
}

// checkOrder looks for checks that passed in this order, and for the one that failed at the end.
func checkOrder(t *testing.T, e explanation, passed []string, failed string) {
	t.Helper()
	for _, c := range e.Checks {
		if len(passed) > 0 && c.Name == passed[0] && c.Outcome == "pass" {
			passed = passed[1:]
		}
		if c.Outcome == "fail" && c.Name != failed {
			t.Errorf("%s failed", c.Name)
		}
	}
	if len(passed) > 0 {
		t.Errorf("%s has not passed in its turn: %+v", passed[0], e.Checks)
	}
	if last := e.Checks[len(e.Checks)-1]; failed != "" && (last.Name != failed || last.Outcome != "fail" || last.Expected == "" || last.Found == "") {
		t.Errorf("the last check is %+v", last)
	}
}

// TestTPMExplanationsHoldNoEvidence: neither quote, log nor request (native.md section 3), and only readers get them.
func TestTPMExplanationsHoldNoEvidence(t *testing.T) {
	s := startTPM(t, config.Config{Settings: provider.Settings{TPMAttestationAuthentication: "Disabled"}}, tpmPolicy(pcrs0to14, "=> permit();", ""))
	c := tpmClient{s, tpmPath, ""}
	sc := windows(t)
	reply := c.reply(t, sc, c.send(t, sc.Init()))
	a := c.send(t, reply)
	id := strings.NewReplacer("/", "%2F", "+", "%2B").Replace(a.header.Get("x-ms-request-id"))
	kept := string(s.do(t, http.MethodGet, "/assay/v1/explanations/"+id, "").body)
	var m struct{ Payload struct{ Request string } }
	decode(t, unb64url(t, reply), &m)
	_, payload := jwsParts(t, m.Payload.Request)
	var sent struct {
		Data struct {
			Context string `json:"service_context"`
			TPM     struct {
				Current struct {
					Quote, Signature string
					Logs             []struct{ Log string }
				} `json:"current_attestation"`
			} `json:"tpm_att_data"`
		} `json:"att_data"`
	}
	decode(t, []byte(payload), &sent)
	at := sent.Data.TPM.Current
	for name, secret := range map[string]string{"request": m.Payload.Request, "context": sent.Data.Context, "quote": at.Quote, "signature": at.Signature, "log": at.Logs[0].Log} {
		if len(secret) < 100 || strings.Contains(kept, secret[len(secret)/2:len(secret)/2+40]) {
			t.Errorf("the explanation holds the %s (of %d characters)", name, len(secret))
		}
	}
	s.do(t, http.MethodGet, "/assay/v1/explanations/"+id, "", "Authorization", "").refused(t, http.StatusUnauthorized, "Unauthorized", "")
}

// TestExplainRouteOfTPMsGivesNoReport: the answer to a challenge is explained beforehand, and can still be sent afterwards.
func TestExplainRouteOfTPMsGivesNoReport(t *testing.T) {
	const path = "/assay/v1/explain/Tpm"
	for policy, want := range map[string]string{"=> permit();": "permit", noPermit: "no-permit"} {
		s := startTPM(t, config.Config{}, tpmPolicy(pcrs0to14, policy, `=> issue(type="x", value=1);`))
		explain, attest := tpmClient{s, path, s.token(t, auth.Reader)}, tpmClient{s, tpmPath, s.token(t, auth.Reader)}
		sc := windows(t)
		reply := attest.reply(t, sc, attest.send(t, sc.Init()))
		a := explain.send(t, reply)
		var e explanation
		decode(t, a.body, &e)
		if e.Verdict != want || e.AttestationType != "Tpm" || (want == "permit") != (text(e.Issued) == `{"x":1}`) || strings.Contains(string(a.body), "eyJ") {
			t.Errorf("status %d: %s", a.status, a.body)
		}
		if second := attest.send(t, reply); (second.status == http.StatusOK) != (want == "permit") {
			t.Errorf("status %d: %s", second.status, second.body)
		}
		explain.send(t, sc.Init()).refused(t, http.StatusBadRequest, "InvalidParameter", "", `no member "request"`)
		s.do(t, http.MethodPost, path, "{").refused(t, http.StatusBadRequest, "InvalidParameter", "", "expected one JSON object")
		explain.token = ""
		if a := explain.send(t, reply); a.status != http.StatusUnauthorized {
			t.Errorf("without a token: status %d", a.status)
		}
	}
	start(t, config.Config{}).do(t, http.MethodPost, path, "{}").refused(t, http.StatusBadRequest, "Bad request", "")
}

// TestHiddenReasonsOfTPMPolicies: with hide_policy_reasons an anonymous caller is told the verdict only, a reader the rule.
func TestHiddenReasonsOfTPMPolicies(t *testing.T) {
	settings := provider.Settings{TPMAttestationAuthentication: "Disabled"}
	for _, hide := range []bool{false, true} {
		settings.HidePolicyReasons = hide
		s := startTPM(t, config.Config{Settings: settings}, tpmPolicy(pcrs0to14, "\n"+noPermit, ""))
		for name, token := range map[string]string{"anonymous": "", "reader": s.token(t, auth.Reader)} {
			_, a := tpmClient{s, tpmPath, token}.rounds(t, windows(t))
			a.refused(t, http.StatusBadRequest, "PolicyEvaluationError", "", "No Permit claim was issued in the authorizationrules section")
			m := a.problem(t).Message
			if hidden := hide && token == ""; strings.Contains(m, "hide_policy_reasons") != hidden || strings.Contains(m, "line 2") == hidden || strings.Contains(m, "secureBootEnabled") == hidden {
				t.Errorf("%s, setting %t: %s", name, hide, m)
			}
			if kept := s.explained(t, a).Error; kept == nil || !strings.Contains(kept.Message, "line 2") {
				t.Errorf("%s, setting %t: the explanation says %+v", name, hide, kept)
			}
		}
	}
}

// TestDecisionsAboutTPMsAreInTheAuditTrail, where that is wanted: of the second round, the only one in which something is decided.
func TestDecisionsAboutTPMsAreInTheAuditTrail(t *testing.T) {
	wanted := config.Audit{Attest: true}
	for name, tt := range map[string]struct {
		audit               config.Audit
		policy              string
		edits               []func(*assaytest.TPMScenario)
		status, code, check string
		records             int
	}{
		"permit":                {wanted, "=> permit();", nil, "200", "", "", 1},
		"evidence refused":      {wanted, "=> permit();", []func(*assaytest.TPMScenario){otherValue}, "400", "InvalidParameter", "pcr-digest", 1},
		"refused by the policy": {wanted, noPermit, nil, "400", "PolicyEvaluationError", "", 1},
		"not wanted":            {config.Audit{}, "=> permit();", nil, "200", "", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := startTPM(t, config.Config{Audit: tt.audit}, tpmPolicy(pcrs0to14, tt.policy, ""))
			before := len(trail(t, s.data))
			a := s.attestTPM(t, windows(t, tt.edits...))
			records := trail(t, s.data)[before:]
			if len(records) != tt.records {
				t.Fatalf("status %d, %d records, want %d", a.status, len(records), tt.records)
			}
			for _, r := range records {
				if r.OperationName != "AttestTpm" || r.ResultSignature != tt.status || r.Properties.Code != tt.code || r.Properties.Check != tt.check ||
					r.Properties.RequestID != a.header.Get("x-ms-request-id") || !strings.Contains(r.text, `"category":"Operational"`) {
					t.Errorf("status %d: %s", a.status, r.text)
				}
				if strings.Contains(r.text, "secureBootEnabled") {
					t.Errorf("the record holds a part of the policy: %s", r.text)
				}
			}
			if logged := s.log.events(); !slices.ContainsFunc(logged, func(line string) bool {
				return strings.Contains(line, a.header.Get("x-ms-request-id")) && strings.Contains(line, `"operationName":"AttestTpm"`)
			}) {
				t.Errorf("the request is not in the log: %s", logged)
			}
		})
	}
}
