package policy_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/assay-attestation/assay/policy"
)

func kinds() []string {
	return []string{"SgxEnclave", "OpenEnclave", "SevSnpVm", "TdxVm", "AzureGuest", "Tpm"}
}

// TestClaimsAreThoseOfTheSpecification compares the names with those that the specification lists, in its order or not.
func TestClaimsAreThoseOfTheSpecification(t *testing.T) {
	common := " x-ms-attestation-type x-ms-ver x-ms-policy-hash assay-reference"                             // policy.md section 8, native.md section 5
	sgx := "x-ms-sgx-is-debuggable x-ms-sgx-product-id x-ms-sgx-mrsigner x-ms-sgx-mrenclave x-ms-sgx-svn " + // the same
		"$is-debuggable $product-id $sgx-mrsigner $sgx-mrenclave $svn $tee maa-ehd ext-collateral-expired" + common
	snp := prefixed("x-ms-sevsnpvm-", "authorkeydigest bootloader-svn familyId guestsvn hostdata idkeydigest imageId is-debuggable "+
		"launchmeasurement microcode-svn migration-allowed reportdata reportid smt-allowed snpfw-svn tee-svn vmpl") // tokens.md section 7
	tdx := "eat_profile dbgstat intuse attester_tcb_status ext-collateral-expired" + prefixed("tdx_", "mrseam mrsignerseam mrtd mrconfigid mrowner "+
		"mrownerconfig rtmr0 rtmr1 rtmr2 rtmr3 report_data seam_attributes td_attributes xfam tee_tcb_svn seamsvn "+
		"td_attributes_debug td_attributes_septve_disable td_attributes_protection_keys td_attributes_key_locker td_attributes_perfmon") // section 8
	guest := "secureboot x-ms-isolation-tee x-ms-runtime ext-collateral-expired" + prefixed("x-ms-azurevm-", "attestation-protocol-ver attested-pcrs bootdebug-enabled "+
		"kerneldebug-enabled hypervisordebug-enabled testsigning-enabled flightsigning-enabled elam-enabled debuggersdisabled signingdisabled dbvalidated "+
		"dbxvalidated default-securebootkeysvalidated hvci-policy is-windows osbuild osdistro ostype osversion-major osversion-minor vmid os-provisioning") // section 9
	tpm := "aikValidated aikPubHash tpmVersion secureBootEnabled bootDebuggingDisabled notSafeMode notWinPE vbsEnabled iommuEnabled vbsReportPresent vsmReportPresent " +
		"enclaveOwnerId enclaveAuthorId enclaveFamilyId enclaveImageId enclaveSvn enclavePlatformSvn enclaveFlags " +
		"events bootEvents pcrs x-ms-tpm-request-key x-ms-tpm-other-keys aas-ehd" + common // tpm.md section 8
	data := " x-ms-runtime x-ms-inittime nonce x-ms-compliance-status" // tokens.md section 5
	for kind, want := range map[string]string{
		"SgxEnclave": sgx, "OpenEnclave": sgx, "SevSnpVm": snp + data + common, "TdxVm": tdx + data + common, "AzureGuest": guest + common, "Tpm": tpm,
		"": "", "sgx": "", "sgxenclave": "",
	} {
		var got []string
		for _, c := range policy.Claims(kind) {
			got = append(got, c.Name)
		}
		names := strings.Fields(want)
		slices.Sort(got)
		slices.Sort(names)
		if !slices.Equal(got, names) {
			t.Errorf("%q:\ngot  %v\nwant %v", kind, got, names)
		}
	}
}

func prefixed(prefix, names string) string {
	return " " + prefix + strings.Join(strings.Fields(names), " "+prefix)
}

func TestClaimsAreWholeSentencesAndHangTogether(t *testing.T) {
	for _, kind := range kinds() {
		claims := map[string]policy.ClaimInfo{}
		for _, c := range policy.Claims(kind) {
			if _, twice := claims[c.Name]; twice || !strings.HasSuffix(c.Meaning, ".") || c.Since != 0 && c.Since != 2 {
				t.Errorf("%s: %+v", kind, c)
			}
			reference := c.Name == "assay-reference"
			if (c.Issuer == policy.CustomClaim) != (c.Name == "aas-ehd") || (c.Issuer == policy.ReferenceValue) != reference || c.ReadOnly != (c.Name == "pcrs" || reference) {
				t.Errorf("%s: %s of %s, read-only %t", kind, c.Name, c.Issuer, c.ReadOnly)
			}
			if since2 := slices.Contains([]string{"events", "bootEvents", "pcrs"}, c.Name); since2 != (c.Since == 2) {
				t.Errorf("%s: %s since 1.%d", kind, c.Name, c.Since)
			}
			claims[c.Name] = c
		}
		for _, c := range claims {
			if now, ok := claims[c.Deprecated]; c.Deprecated != "" && (!ok || now.Kind != c.Kind || now.Format != c.Format || now.Deprecated != "") {
				t.Errorf("%s: %s for %s: %+v", kind, c.Deprecated, c.Name, now)
			}
		}
	}
}

func TestCallersMayChangeTheirCatalogue(t *testing.T) {
	policy.Claims("Tpm")[0].Name = "changed"
	policy.Properties("Tpm")[0].Name = "changed"
	if policy.Claims("Tpm")[0].Name == "changed" || policy.Properties("Tpm")[0].Name == "changed" {
		t.Error("the change is seen by others")
	}
}

// registered are names of tokens that are no claims of evidence (tokens.md sections 4 and 5.2).
func registered(name string) bool {
	return slices.Contains([]string{"iss", "iat", "exp", "nbf", "jti", "x-ms-policy"}, name)
}

// TestRealTokensHaveTheClaimsOfTheCatalogue: what the service puts into tokens of these types is what policies see.
func TestRealTokensHaveTheClaimsOfTheCatalogue(t *testing.T) {
	for file, kind := range map[string]string{
		"maa/snp/sample.jwt":                                      "SevSnpVm",
		"maa/tokens/azureguest-cvm-weu-2023-03-30.jwt":            "AzureGuest",
		"maa/tokens/azureguest-trustedlaunch-eus2-2022-04-14.jwt": "AzureGuest",
	} {
		body := tokenBody(t, file)
		for name, value := range body {
			if registered(name) {
				continue
			}
			i := slices.IndexFunc(policy.Claims(kind), func(c policy.ClaimInfo) bool { return c.Name == name })
			if i < 0 {
				t.Errorf("%s: no claim %s of %s", file, name, kind)
				continue
			}
			checkValue(t, policy.Claims(kind)[i], value)
		}
		for _, c := range policy.Claims(kind) {
			if _, ok := body[c.Name]; !ok && !c.Optional {
				t.Errorf("%s: lacks %s, which is not optional", file, c.Name)
			}
		}
	}
}

func tokenBody(t *testing.T, file string) map[string]any {
	t.Helper()
	parts := strings.Split(strings.TrimSpace(string(vectortest.Read(t, file))), ".")
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	if err := json.Unmarshal(text, &body); err != nil {
		t.Fatal(err)
	}
	return body
}

// checkValue compares a value of a token with what the catalogue says of it.
func checkValue(t *testing.T, c policy.ClaimInfo, value any) {
	t.Helper()
	switch v := value.(type) {
	case bool:
		if c.Kind != policy.Boolean {
			t.Errorf("%s is %v, not Boolean", c.Name, c.Kind)
		}
	case float64:
		if c.Kind != policy.Integer {
			t.Errorf("%s is %v, not Integer", c.Name, c.Kind)
		}
	case string:
		var digits int
		hex, _ := fmt.Sscanf(c.Format, "%d lower-case hexadecimal digits", &digits)
		if c.Kind != policy.String || hex == 1 && (len(v) != digits || strings.Trim(v, "0123456789abcdef") != "") || hex == 0 && len(v) >= 64 && c.Format == "" {
			t.Errorf("%s: %v, %q, but the value is %q", c.Name, c.Kind, c.Format, v)
		}
		if len(c.Values) > 0 && !slices.Contains(c.Values, v) {
			t.Errorf("%s: %q is not in %q", c.Name, v, c.Values)
		}
	case []any:
		if !c.Several {
			t.Errorf("%s has several values", c.Name)
		}
		checkValue(t, c, v[0])
	default:
		if c.Kind != policy.String || c.Format != "JSON text" {
			t.Errorf("%s: %v, %q, but it is an object", c.Name, c.Kind, c.Format)
		}
	}
}

// TestServiceNamesAreThoseOfRealTokens: no policy issued anything in these tokens but in the one of SGX, where x-ms-policy
// says what.
func TestServiceNamesAreThoseOfRealTokens(t *testing.T) {
	for file, kind := range map[string]string{
		"maa/snp/sample.jwt": "SevSnpVm", "maa/tokens/azureguest-cvm-weu-2023-03-30.jwt": "AzureGuest", "maa/tokens/sgx-eus-2024-01-25.jwt": "SgxEnclave",
	} {
		body := tokenBody(t, file)
		issued, _ := body["x-ms-policy"].(map[string]any)
		names := policy.ServiceNames(kind)
		for name := range body {
			if _, ok := issued[name]; ok == slices.Contains(names, name) {
				t.Errorf("%s: %s issued %t and among the names of the service", file, name, ok)
			}
		}
	}
	for _, kind := range append(kinds(), "") {
		names := policy.ServiceNames(kind)
		for _, name := range strings.Fields("iss iat exp nbf jti nonce ver cnf rp_data") { // policy.md section 5.5
			if !slices.Contains(names, name) {
				t.Errorf("%q: not %s", kind, name)
			}
		}
		if len(slices.Compact(slices.Sorted(slices.Values(names)))) != len(names) || slices.Contains(names, "secureBootEnabled") || slices.Contains(names, "$svn") {
			t.Errorf("%q: %v", kind, names)
		}
	}
}

func TestPropertiesAreThoseOfTheSpecification(t *testing.T) { // policy.md section 6
	sgx := `x-ms-sgx-tcbidentifier String configurationrules "azuredefault"`
	for kind, want := range map[string]string{
		"SgxEnclave": sgx, "OpenEnclave": sgx, "SevSnpVm": "", "TdxVm": "", "AzureGuest": "", "": "",
		"Tpm": "require_valid_aik_cert Boolean configurationrules true, required_pcr_mask Integer configurationrules 16777215, " +
			"report_validity_in_minutes Integer issuancerules 1440, omit_x5c Boolean issuancerules false",
	} {
		var got []string
		for _, p := range policy.Properties(kind) {
			got = append(got, fmt.Sprint(p.Name, " ", p.Kind, " ", p.Section, " ", p.Default))
			if !strings.HasSuffix(p.Meaning, ".") {
				t.Errorf("%+v", p)
			}
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("%q:\ngot  %s\nwant %s", kind, text, want)
		}
	}
}
