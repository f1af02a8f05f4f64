package server_test

import (
	"crypto"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/config"
)

func version1(s *assaytest.TPMScenario) { s.UseVersion1() }

func vbsRequest(s *assaytest.TPMScenario) { s.VBS = true }

// TestMachinesGetReports: both versions, with and without an enclave, wrapped and bare, with every binding of keys.
func TestMachinesGetReports(t *testing.T) {
	s := startTPM(t, config.Config{}, permitTPM())
	linux := machine(t, assaytest.TPMBoot{SecureBoot: true})
	for name, sc := range map[string]*assaytest.TPMScenario{
		"version 2":            windows(t),
		"version 2, Linux":     linux,
		"version 2, bare":      windows(t, func(s *assaytest.TPMScenario) { s.Bare = true }),
		"version 2, certified": windows(t, func(s *assaytest.TPMScenario) { s.Binding = assaytest.BoundByCertify }),
		"version 2, SHA-384":   windows(t, func(s *assaytest.TPMScenario) { s.HashAlg = "sha-384" }),
		"version 2, ECDSA":     windows(t, func(s *assaytest.TPMScenario) { s.AIKKind = assaytest.P256 }),
		"version 2, enclave":   windows(t, vbsRequest),
		"version 2, other keys": windows(t, func(s *assaytest.TPMScenario) {
			s.OtherKeys = []assaytest.TPMOtherKey{{Certified: true}, {Kind: assaytest.P256}}
		}),
		"version 1":          windows(t, version1),
		"version 1, enclave": windows(t, version1, vbsRequest),
	} {
		t.Run(name, func(t *testing.T) {
			claims, header, _ := s.attestTPM(t, sc).report(t, sc.Bare)
			for claim, want := range map[string]any{
				"aikValidated": true, "secureBootEnabled": true, "vbsReportPresent": sc.VBS, "vsmReportPresent": sc.VBS, "rp_data": sc.RPData, "nonce": sc.RPData, "iss": s.URL, "ver": "1.0", "x-ms-ver": "1.0",
			} {
				if claims[claim] != want {
					t.Errorf("%s: got %v, want %v", claim, claims[claim], want)
				}
			}
			if !strings.Contains(header, `"x5c":[`) || claims["x-ms-attestation-type"] != nil || claims["x-ms-policy"] != nil {
				t.Errorf("header %.80s, claims %v", header, claims)
			}
			if (claims["x-ms-tpm-request-key"] != nil) != (sc.Version == 2) || (claims["x-ms-tpm-other-keys"] != nil) != (len(sc.OtherKeys) > 0) {
				t.Errorf("keys: %v, %v", claims["x-ms-tpm-request-key"], claims["x-ms-tpm-other-keys"])
			}
			if (claims["enclaveSvn"] != nil) != sc.VBS {
				t.Errorf("enclaveSvn: %v", claims["enclaveSvn"])
			}
		})
	}
}

// TestReportsHaveTheirClaimsInOrder as tokens.md section 10 has it; what the policy issues under a name of the service is lost.
func TestReportsHaveTheirClaimsInOrder(t *testing.T) {
	policy := tpmPolicy(pcrs0to14, "=> permit();", `=> issue(type="zz", value=1); => issue(type="aa", value="x"); => issue(type="zz", value=2);
		=> issue(type="nonce", value="own"); => issue(type="x-ms-attestation-type", value="own"); => issue(type="cnf", value="own"); => issue(type="x-ms-tpm-request-key", value="own");
		=> issueproperty(type="report_validity_in_minutes", value=10); => issueproperty(type="omit_x5c", value=true);`)
	s := startTPM(t, config.Config{}, policy)
	sc := windows(t)
	claims, header, payload := s.attestTPM(t, sc).report(t, false)
	order := `^\{"nbf":\d+,"exp":\d+,"iat":\d+,"iss":"[^"]+","jti":"[0-9a-f]{40}","ver":"1.0","x-ms-ver":"1.0","ext-development":true,` +
		`"rp_data":"[^"]+","nonce":"[^"]+","cnf":\{"jwk":\{"kty":"RSA","n":"[^"]+","e":"AQAB"\}\},"x-ms-policy-hash":"[^"]+",` +
		`"x-ms-tpm-request-key":\{"jwk":\{"kty":"RSA","n":"[^"]+","e":"AQAB"\},"info":\{"tpm_quote":\{"hash_alg":"sha-256"\}\}\},"zz":\[1,2\],"aa":"x"\}$`
	if !regexp.MustCompile(order).MatchString(payload) {
		t.Errorf("got %s", payload)
	}
	if strings.Contains(header, `"x5c"`) || !strings.Contains(header, `"x5t"`) {
		t.Errorf("header %s", header)
	}
	exp, iat := fmt.Sprint(claims["exp"]), fmt.Sprint(claims["iat"])
	var from, until int64
	if _, err := fmt.Sscan(iat, &from); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(exp, &until); err != nil || until-from != 600 {
		t.Errorf("%v: from %s to %s", err, iat, exp)
	}
}

// TestFaultsOfTPMPolicies are verdicts of the policy.
func TestFaultsOfTPMPolicies(t *testing.T) {
	for name, tt := range map[string]struct{ configuration, authorization, issuance, fragment string }{
		"denied":        {pcrs0to14, "=> deny();", "", "A Deny claim was issued"},
		"validity zero": {pcrs0to14, "=> permit();", `=> issueproperty(type="report_validity_in_minutes", value=0);`, "report_validity_in_minutes"},
		"validity text": {pcrs0to14, "=> permit();", `=> issueproperty(type="report_validity_in_minutes", value="9");`, "report_validity_in_minutes"},
		"mask":          {`=> issueproperty(type="required_pcr_mask", value=-1);`, "=> permit();", "", "required_pcr_mask"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startTPM(t, config.Config{}, tpmPolicy(tt.configuration, tt.authorization, tt.issuance))
			s.attestTPM(t, windows(t)).refused(t, http.StatusBadRequest, "PolicyEvaluationError", "", tt.fragment)
		})
	}
}

// TestPoliciesDemandPCRsAndCertificates by their configuration rules.
func TestPoliciesDemandPCRsAndCertificates(t *testing.T) {
	few := func(s *assaytest.TPMScenario) {
		s.Current.Quoted = []assaytest.TPMSelection{{Bank: crypto.SHA256, PCRs: assaytest.PCRRange(0, 14)}}
	}
	unknown := func(s *assaytest.TPMScenario) { s.Certifier = assaytest.NewTPMVendor() }
	for name, tt := range map[string]struct {
		configuration string
		edits         []func(*assaytest.TPMScenario)
		fragment      string
	}{
		"all PCRs by default":       {``, nil, "pcr-selection"},
		"15 are there":              {pcrs0to14, nil, ""},
		"a 16th":                    {`=> issueproperty(type="required_pcr_mask", value=65535);`, nil, "pcr-selection"},
		"certificate of another CA": {pcrs0to14, []func(*assaytest.TPMScenario){unknown}, "aik-certificate"},
		"and that does not matter":  {pcrs0to14 + `=> issueproperty(type="require_valid_aik_cert", value=false);`, []func(*assaytest.TPMScenario){unknown}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := startTPM(t, config.Config{}, tpmPolicy(tt.configuration, "=> permit();", `c:[type=="aikValidated"] => issue(claim=c);`))
			a := s.attestTPM(t, windows(t, append(tt.edits, few)...))
			if tt.fragment != "" {
				a.refused(t, http.StatusBadRequest, "InvalidParameter", "", tt.fragment)
				return
			}
			if claims, _, _ := a.report(t, false); claims["aikValidated"] != (len(tt.edits) == 0) {
				t.Errorf("aikValidated %v", claims["aikValidated"])
			}
		})
	}
}

// TestBadMessagesOfTheTPMProtocol are refused in words of their own, also where there is no policy yet.
func TestBadMessagesOfTheTPMProtocol(t *testing.T) {
	s, unset := startTPM(t, config.Config{}, permitTPM()), start(t, config.Config{})
	for body, fragment := range map[string]string{
		``: "expected one JSON object", `{}`: `"data" is missing`, `{"data":""}`: `"data" is missing`, `{"data":"*"}`: "base64", `{"data":"e30","DATA":"e30"}`: "duplicate",
		`{"data":"e30"}`: "tpm-request: the message has neither type nor request", `{"data":"eyJyZXF1ZXN0IjoieCJ9"}`: "tpm-request: the request is no JWS",
	} {
		s.do(t, http.MethodPost, tpmPath, body).refused(t, http.StatusBadRequest, "InvalidParameter", "", fragment)
		unset.do(t, http.MethodPost, tpmPath, body).refused(t, http.StatusBadRequest, "Bad request", "", "A VBS attestation policy has not been set on the attestation provider.")
	}
}

// TestDecisionsAboutTPMsAreExplainedAndAudited as those about enclaves.
func TestDecisionsAboutTPMsAreExplainedAndAudited(t *testing.T) {
	trail := t.TempDir() + "/audit.jsonl"
	s := startTPM(t, config.Config{Audit: config.Audit{File: trail, Attest: true}}, tpmPolicy(pcrs0to14, `[type=="secureBootEnabled", value==false] => permit();`, ""))
	a := s.attestTPM(t, windows(t))
	a.refused(t, http.StatusBadRequest, "PolicyEvaluationError", "", "secureBootEnabled")
	id := strings.NewReplacer("/", "%2F", "+", "%2B").Replace(a.header.Get("x-ms-request-id"))
	e := s.do(t, http.MethodGet, "/assay/v1/explanations/"+id, "")
	for _, fragment := range []string{`"attestationType":"Tpm"`, `"name":"tpm-challenge","outcome":"pass"`, `"verdict":"no-permit"`, `"type":"aikValidated"`} {
		if !strings.Contains(string(e.body), fragment) {
			t.Errorf("the explanation lacks %s: %s", fragment, e.body)
		}
	}
	s.stop()
	written, err := os.ReadFile(trail)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(written), `"AttestTpm"`); n != 1 || !strings.Contains(string(written), `"PolicyEvaluationError"`) {
		t.Errorf("%d decisions in the audit trail, want 1: a challenge is none: %s", n, written)
	}
}
