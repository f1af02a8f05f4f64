package server_test

import (
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/store"
)

// switches are all names of README.md section 6 of the specification. Each is tested with both values and the name in its refusal
// where it says; those without a place are of evidence that this version does not verify, and refused as unknown keys.
func switches() map[string]string {
	return map[string]string{
		"strict":                           "TestSettings",
		"allow_draft_policy":               "TestSettings",
		"collateral_expiry":                "TestSettings",
		"tcb_accepted_statuses":            "TestSettings",
		"tcb_min_evaluation_number":        "TestSettings",
		"tcb_min_date":                     "TestSettings",
		"tcb_refused_advisories":           "TestSettings",
		"require_crls":                     "TestSettings",
		"require_zero_report_data_tail":    "TestSettings",
		"refuse_debuggable":                "TestSettings",
		"hide_policy_reasons":              "TestHiddenReasonsAreForReaders",
		"anonymous_policy_read":            "TestSwitchesOfAccess",
		"tpmAttestationAuthentication":     "TestSwitchesOfAccess",
		"publicNetworkAccess":              "TestSwitchesOfAccess",
		"tpm_allow_sha1":                   "TestSettingsOfTPMs",
		"tpm_allow_v1_basic":               "TestSettingsOfTPMs",
		"tpm_secureboot_require_authority": "TestSettingsOfTPMs",
		"tpm_custom_claim_prefix":          "TestSettingsOfTPMs",
		"tpm_pcr_digest_text":              "TestSettingsOfTPMs",
		"tpm_event_digests":                "TestSettingsOfTPMs",
		"tpm_drtm_signing_key":             "TestSettingsOfTPMs",
		"tpm_emit_attestation_type":        "TestSettingsOfTPMs",
		"api_2018_preview":                 "TestSwitchesOfTheService",
		"arm_facade":                       "TestSwitchesOfTheService",

		"aik_enrolment": "TestSwitchOfEnrolment",

		"azureguest_require_nonce":    "TestSettingsOfAzureGuests",
		"azureguest_require_ak_chain": "TestSettingsOfAzureGuests",
		"azureguest_secureboot_keys":  "TestSettingsOfAzureGuests",

		"snp_allow_masked_chip_id": "TestSettingsOfGuests",
		"snp_crls":                 "TestSettingsOfGuests",
		"snp_kds":                  "TestSwitchOfTheKeyService",
		"snp_uvm_issuers":          "TestSettingsOfGuests",
	}
}

// TestEverySwitchIsTestedOrUnknown holds the list to the tests and to the configuration.
func TestEverySwitchIsTestedOrUnknown(t *testing.T) {
	var source strings.Builder
	for _, file := range []string{"settings_test.go", "switches_test.go", "settings_tpm_test.go", "settings_snp_test.go", "settings_azure_test.go", "enrolment_test.go", "kds_test.go"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(b)
	}
	for name, test := range switches() {
		_, err := config.Read(tempFile(t, "settings:\n  "+name+": on\n"))
		_, stored := provider.ParseSettings([]byte(`{"` + name + `":true}`))
		unknown := regexp.MustCompile(`unknown field "` + name + `"`)
		switch {
		case test == "" && (err == nil || stored == nil || !unknown.MatchString(err.Error()) || !unknown.MatchString(stored.Error())):
			t.Errorf("%s: expected to be refused as an unknown key, found %v and %v", name, err, stored)
		case test == "":
		case !strings.Contains(source.String(), "func "+test+"("):
			t.Errorf("%s: there is no %s", name, test)
		case strings.Count(source.String(), name) < 2:
			t.Errorf("%s: only its row here names it", name)
		}
	}
}

// TestSwitchesOfAccess: each on the provider that has it so and on one that does not; the refusal names it.
func TestSwitchesOfAccess(t *testing.T) {
	const tpm = "/attest/Tpm?api-version=2022-08-01"
	e := startEstate(t, config.Config{},
		store.Provider{Name: "open", Settings: []byte(`{"anonymous_policy_read":true}`), TPMAttestationAuthentication: "Disabled", PublicNetworkAccess: "Enabled"},
		store.Provider{Name: "closed", Settings: []byte(`{"anonymous_policy_read":false}`), TPMAttestationAuthentication: "Enabled", PublicNetworkAccess: "Disabled"},
		store.Provider{Name: "usual"},
		store.Provider{Name: "strict", Settings: []byte(`{"anonymous_policy_read":true,"strict":true}`), TPMAttestationAuthentication: "Disabled"})
	for _, tt := range []struct {
		name, method, path, address string
		refused                     []string // the providers
		status                      int
		code                        string
	}{
		{"anonymous_policy_read", "GET", sgxPolicy, "127.0.0.1:1", []string{"closed", "usual", "strict"}, http.StatusUnauthorized, "Unauthorized"},
		{"tpmAttestationAuthentication", "POST", tpm, "127.0.0.1:1", []string{"closed", "usual"}, http.StatusUnauthorized, "Unauthorized"},
		{"publicNetworkAccess", "GET", "/certs", "203.0.113.7:1", []string{"closed"}, http.StatusForbidden, "Forbidden"},
	} {
		for _, at := range []string{"open", "closed", "usual", "strict"} {
			a := from(e.service.For(e.ids[at]), tt.address, tt.method, tt.path, "")
			if slices.Contains(tt.refused, at) {
				a.refused(t, tt.status, tt.code, "", tt.name)
			} else if a.status == tt.status {
				t.Errorf("%s: %s is refused: %s", tt.name, at, a.body)
			}
		}
	}
}

// TestSwitchesOfTheDefaultProvider: it takes those of the configuration.
func TestSwitchesOfTheDefaultProvider(t *testing.T) {
	open := startEstate(t, config.Config{Settings: provider.Settings{AnonymousPolicyRead: true, TPMAttestationAuthentication: "Disabled", PublicNetworkAccess: "Enabled"}})
	closed := startEstate(t, config.Config{Settings: provider.Settings{PublicNetworkAccess: "Disabled", TPMAttestationAuthentication: "Enabled"}})
	for _, tt := range []struct {
		e                    *estate
		policy, tpm, outside int
	}{{open, 200, 400, 200}, {closed, 401, 401, 403}} {
		for path, want := range map[string]int{"GET " + sgxPolicy: tt.policy, "POST /attest/Tpm?api-version=2022-08-01": tt.tpm} {
			method, path, _ := strings.Cut(path, " ")
			if a := from(tt.e.service, "127.0.0.1:1", method, path, ""); a.status != want {
				t.Errorf("%s: status %d, want %d", path, a.status, want)
			}
		}
		if a := from(tt.e.service, "203.0.113.7:1", "GET", "/certs", ""); a.status != tt.outside {
			t.Errorf("from outside: status %d, want %d", a.status, tt.outside)
		}
	}
}

// TestSwitchesOfTheService: what is switched off is not there, and the refusal says why.
func TestSwitchesOfTheService(t *testing.T) {
	no := false
	on := startEstate(t, config.Config{ARMFacade: true})
	off := startEstate(t, config.Config{Preview2018: &no})
	served := map[string]bool{}
	for _, op := range off.service.Operations() {
		served[op.Method+" "+op.Pattern] = true
	}
	switched := map[string]int{}
	for _, op := range on.service.Operations() {
		if served[op.Method+" "+op.Pattern] {
			continue
		}
		name := "arm_facade"
		if strings.HasPrefix(op.Pattern, "/operations/") || strings.HasPrefix(op.Pattern, "/attest/Tee/") {
			name = "api_2018_preview"
		}
		switched[name]++
		path := inBraces.ReplaceAllString(op.Pattern, "name")
		off.send(t, sending{method: op.Method, path: path + "?api-version=" + preview, token: off.token("All.owner")}).
			refused(t, http.StatusNotFound, "NotFound", "", "No such operation", name+" is off")
	}
	if switched["api_2018_preview"] != 10 || switched["arm_facade"] != len(armExpectations()) {
		t.Errorf("switched off: %v, want 10 operations of 2018-09-01-preview and %d of ARM", switched, len(armExpectations()))
	}
	for _, path := range []string{"/attest/SgxEnclave", "/policies/SgxEnclave", "/tcbbaselines/SgxEnclave"} {
		method := map[bool]string{true: "POST", false: "GET"}[strings.HasPrefix(path, "/attest")]
		q := sending{method: method, path: path + "?api-version=" + preview}
		off.send(t, q).refused(t, http.StatusBadRequest, "UnsupportedApiVersion", "", "api_2018_preview is off")
		if a := on.send(t, q); a.status == http.StatusBadRequest && a.problem(t).Code == "UnsupportedApiVersion" {
			t.Errorf("%s: refused while api_2018_preview is on: %s", path, a.body)
		}
	}
	off.send(t, sending{method: "GET", path: "/nothing"}).refused(t, http.StatusNotFound, "NotFound", "")
}

// TestHiddenReasonsAreForReaders: hide_policy_reasons hides them from everybody but those who may read the policy.
func TestHiddenReasonsAreForReaders(t *testing.T) {
	cfg := config.Config{Dev: true, Policies: map[string]string{"SgxEnclave": tempFile(t, onlyProductNine)}}
	for _, hide := range []bool{false, true} {
		cfg.Settings.HidePolicyReasons = hide
		e := startEstate(t, cfg, store.Provider{Name: "other"})
		for name, tt := range map[string]struct {
			token string
			reads bool
		}{
			"nobody": {"", false}, "reader": {e.token("default.reader"), true}, "owner of all": {e.token("All.owner"), true},
			"reader of another": {e.token("other.reader"), false}, "bad token": {e.v1.Unsigned(e.claims("default.reader")), false},
		} {
			a := e.send(t, sending{method: "POST", path: sgxPath, body: e.quote(t), token: tt.token})
			a.refused(t, http.StatusBadRequest, "PolicyEvaluationError", "", "No Permit claim was issued in the authorizationrules section, authorization failed.")
			m := a.problem(t).Message
			if said := strings.Contains(m, "x-ms-sgx-product-id"); said != (tt.reads || !hide) {
				t.Errorf("%s, hidden %t: %s", name, hide, m)
			}
			if named := strings.Contains(m, "hide_policy_reasons"); named != (hide && !tt.reads) {
				t.Errorf("%s, hidden %t: %s", name, hide, m)
			}
		}
	}
}
