package policy_test

import (
	"os"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

// publishedCodes are the codes that the policies of the vectors get, each once and sorted. permit-always is what
// most of them deserve. What the others are for:
//
//   - The functions' examples use claims that no attestation type has.
//   - Two signers are placeholders, so that their policies refuse everything.
//   - The conditions of Microsoft's TPM samples do not name the issuer, so that a client's claim satisfies them too; two
//     look without it for what the policy itself made.
//   - The driver list and the ELAM rule are wrong (policy.md sections 7.1 and 16).
func publishedCodes() map[string]string {
	return map[string]string{
		"any-deny-all.txt":                     "deny-always",
		"any-minimal-oneline.txt":              "permit-always",
		"azureguest-v10-vmid.txt":              "unknown-claim", // x-ms-azurevm-boot-integrity-svg
		"fn-appendstring.txt":                  "permit-always unknown-claim",
		"fn-containsonlyvalue.txt":             "permit-always unknown-claim",
		"fn-issubsetof.txt":                    "permit-always unknown-claim",
		"fn-jmespath-claims.txt":               "permit-always unknown-claim",
		"fn-jmespath-literal.txt":              "permit-always",
		"fn-jsontoclaimvalue.txt":              "permit-always unknown-claim",
		"fn-negatebool.txt":                    "permit-always unknown-claim",
		"fn-not-condition.txt":                 "late-claim permit-always", // the rule makes the claim itself
		"grammar-v10-claim-copy.txt":           "permit-always unknown-claim",
		"sgx-v10-always-encrypted.txt":         "",
		"sgx-v10-default-2021.txt":             "permit-always",
		"sgx-v10-default-2022-exact.txt":       "permit-always",
		"sgx-v10-default-legacy-names.txt":     "deprecated-claim permit-always unused-label", // permits if a claim is there that always is
		"sgx-v10-mrsigner-rotation.txt":        "no-permit wrong-format",
		"sgx-v10-multi-mrsigner.txt":           "no-permit wrong-format",
		"sgx-v10-sdk-draft-accept.txt":         "",
		"sgx-v10-sdk-draft-leading-space.txt":  "",
		"sgx-v10-sdk-draft-reject.txt":         "",
		"sgx-v11-default-2023-exact.txt":       "permit-always",
		"sgx-v11-default-exact.txt":            "permit-always",
		"sgx-v11-default.txt":                  "permit-always",
		"sgx-v11-tcb-duplicate-rule.txt":       "duplicate-rule permit-always",
		"sgx-v11-tcb-spaced.txt":               "permit-always",
		"tdx-v10-default.txt":                  "permit-always",
		"tpm-v10-add-custom-claim.txt":         "",
		"tpm-v10-four-conditions.txt":          "permit-always untested-issuer",
		"tpm-v10-permit-secureboot.txt":        "",
		"tpm-v10-six-conditions.txt":           "permit-always untested-issuer",
		"tpm-v10-two-conditions.txt":           "permit-always untested-issuer",
		"tpm-v11-configuration.txt":            "permit-always untested-issuer",
		"tpm-v12-bitlocker.txt":                "permit-always untested-issuer",
		"tpm-v12-boot-debugging.txt":           "permit-always",
		"tpm-v12-ci-policy-and-revocation.txt": "permit-always",
		"tpm-v12-code-integrity.txt":           "permit-always",
		"tpm-v12-dep.txt":                      "permit-always untested-issuer",
		"tpm-v12-driver-list.txt":              "number-as-string permit-always small-events",
		"tpm-v12-elam.txt":                     "list-never-null permit-always",
		"tpm-v12-hvci.txt":                     "permit-always",
		"tpm-v12-issue-all-events.txt":         "permit-always",
		"tpm-v12-safemode-winpe.txt":           "permit-always",
		"tpm-v12-secureboot.txt":               "permit-always",
		"vbs-v10-open.txt":                     "permit-always",
	}
}

func TestPublishedPoliciesGetExactlyTheirWarnings(t *testing.T) {
	want := publishedCodes()
	for name, v := range readIndex(t) {
		codes, ok := want[name]
		if !v.Parses || !ok && os.Getenv("ASSAY_VECTORS") != "" {
			continue
		}
		if !ok {
			t.Errorf("%s: its warnings are not written down", name)
		}
		if got := codesOf(mustParse(t, string(readPolicy(t, name))), typeOf(v)); got != codes {
			t.Errorf("%s: %q, want %q", name, got, codes)
		}
	}
}

// TestKnownWrongSamplesGetTheirWarning takes the slips of published samples that policy.md section 16 names, as far
// as they parse.
func TestKnownWrongSamplesGetTheirWarning(t *testing.T) {
	for _, tt := range []struct{ name, rule, codes string }{
		{"PcrIndex against a string",
			`c:[type=="events", issuer=="AttestationService"] => add(type="x", value=JmesPath(c.value, "Events[?EventTypeString == 'EV_SEPARATOR' && PcrIndex == '20']"));`, "number-as-string"},
		{"length against a string",
			`c:[type=="events", issuer=="AttestationService"] => add(type="x", value=JmesPath(c.value, "Events[?EventSeq] | length(@) == '1'"));`, "number-as-string"},
		{"a list that is not null",
			"c:[type==\"events\", issuer==\"AttestationService\"] => add(type=\"x\", value=JmesPath(c.value, \"Events[? EventSeq] | @ != `null`\"));", "list-never-null"},
		{"a bare null",
			`c:[type=="events", issuer=="AttestationService"] => add(type="x", value=JmesPath(c.value, "Events[?ProcessedData != null]"));`, "bare-word"},
		{"events with a small e",
			`c:[type=="events", issuer=="AttestationService"] => add(type="x", value=JmesPath(c.value, "events[?EventSeq]"));`, "small-events"},
		{"hexadecimal digests",
			`c:[type=="pcrs", issuer=="AttestationService"] => add(type="x", value=JmesPath(c.value, "PCRs[?Index == ` + "`0`" + `].Digests.SHA256 | @[0] == '` + signer + `'"));`, "hex-digest"},
		{"the claim of the VBS sample", `[type=="vsmReportPresent", issuer=="AttestationService", value==true] => permit();`, "deprecated-claim"},
		{"issue in the authorization section", `=> issue(type="x", value=true);`, "issue-in-authorization"},
		{"a claim that is never made", `c:[type=="boolProperties", issuer=="AttestationPolicy"] => add(type="x", value=c.value);`, "unknown-claim"},
	} {
		if got := codesOf(mustParse(t, framed("Tpm", "auth", tt.rule)), "Tpm"); got != tt.codes {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.codes)
		}
	}
}

func TestDefaultPolicyHasOnlyTheRemark(t *testing.T) {
	for _, kind := range []string{"SgxEnclave", "OpenEnclave"} {
		if got := codesOf(mustParse(t, string(policy.DefaultSGX())), kind); got != "permit-always" {
			t.Errorf("%s: %s", kind, got)
		}
	}
}
