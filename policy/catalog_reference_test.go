package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

// TestReferenceKeysAreClaimsOfTheEvidence: what tokens have from elsewhere, objects and old names are none.
func TestReferenceKeysAreClaimsOfTheEvidence(t *testing.T) {
	for kind, c := range map[string]struct{ has, lacks string }{
		"SgxEnclave": {"x-ms-sgx-mrenclave x-ms-sgx-svn x-ms-sgx-config-id x-ms-sgx-report-data", "$svn maa-ehd ext-collateral-expired x-ms-ver x-ms-sgx-collateral"},
		"SevSnpVm":   {"x-ms-sevsnpvm-hostdata x-ms-sevsnpvm-vmpl", "x-ms-runtime nonce x-ms-compliance-status x-ms-policy-hash x-ms-attestation-type"},
		"TdxVm":      {"tdx_mrtd attester_tcb_status", "ext-collateral-expired x-ms-runtime pcr-sha256-0"},
		"AzureGuest": {"secureboot pcr-sha256-0 pcr-sha256-23 x-ms-isolation-tee.tdx_mrtd x-ms-isolation-tee.x-ms-sevsnpvm-vmpl", "x-ms-isolation-tee pcr-sha1-0 pcr-sha256-24 tdx_mrtd x-ms-isolation-tee.x-ms-runtime"},
		"Tpm":        {"aikValidated enclaveSvn pcr-sha1-0 pcr-sha256-7 pcr-sha384-23", "pcrs events vsmReportPresent aas-ehd pcr-sha512-0"},
	} {
		var names []string
		for _, k := range policy.ReferenceKeys(kind) {
			names = append(names, k.Name)
		}
		if len(slices.Compact(slices.Sorted(slices.Values(names)))) != len(names) {
			t.Errorf("%s: a key stands twice in %v", kind, names)
		}
		for _, name := range strings.Fields(c.has) {
			if !slices.Contains(names, name) {
				t.Errorf("%s: no %s", kind, name)
			}
		}
		for _, name := range strings.Fields(c.lacks) {
			if slices.Contains(names, name) {
				t.Errorf("%s: %s is a key", kind, name)
			}
		}
	}
	if keys := policy.ReferenceKeys("other"); len(keys) != 0 {
		t.Errorf("an unknown type has %v", keys)
	}
}

// TestReferenceClaimsAreTheKeysUnderTheirPrefix, read-only and of their issuer.
func TestReferenceClaimsAreTheKeysUnderTheirPrefix(t *testing.T) {
	for _, kind := range kinds() {
		keys := policy.ReferenceKeys(kind)
		for i, c := range policy.ReferenceClaims(kind) {
			k := keys[i]
			if c.Name != "assay-reference-"+k.Name || c.Kind != k.Kind || c.Format != k.Format || c.Issuer != "ReferenceValue" || !c.ReadOnly || !c.Optional || !c.Several {
				t.Errorf("%s: %+v of %+v", kind, c, k)
			}
		}
	}
}
