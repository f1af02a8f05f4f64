package server_test

import (
	"crypto"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/config"
)

func version1(s *assaytest.TPMScenario) { s.UseVersion1() }

func vbsRequest(s *assaytest.TPMScenario) { s.VBS = true }

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
