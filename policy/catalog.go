package policy

import "slices"

// ClaimInfo describes a claim that policies of an attestation type may meet (policy.md section 8).
type ClaimInfo struct {
	Name       string
	Kind       Kind
	Issuer     Issuer   // AttestationService, ReferenceValue, or CustomClaim for claims that clients are known to send
	Format     string   // of the value: "64 lower-case hexadecimal digits"; "" if there is nothing to say
	Meaning    string   // one sentence
	Values     []string // all that the value can be, if that is a closed list; numbers in decimal
	ReadOnly   bool     // it can be tested and be the input of functions, never be issued
	Optional   bool     // not made from all evidence: its absence proves nothing
	Several    bool     // there may be several claims of this type
	Since      int      // the minor version of the language from which on it is there: 0 or 2
	Deprecated string   // of an old name: the current one

	form  form // what Format says, as far as it can be checked
	loose bool // its kind is not known for certain
}

// Claims returns the claims that policies of an attestation type may meet, in the order of documentation. The type is
// named as in the service's URLs: "SgxEnclave"; for other names there are none. The list is the caller's own.
func Claims(attestationType string) []ClaimInfo {
	claims := claimsOfType(attestationType)
	for i := range claims {
		c := &claims[i]
		if c.Issuer == "" {
			c.Issuer = AttestationService
		}
		c.Format = c.form.String()
	}
	return claims
}

func claimsOfType(attestationType string) []ClaimInfo {
	common := slices.Concat(commonClaims(attestationWord(attestationType)), referenceName())
	switch attestationType {
	case "SgxEnclave", "OpenEnclave":
		return slices.Concat(sgxClaims(), common, oldSGXClaims())
	case "SevSnpVm":
		return slices.Concat(snpClaims(), common, dataClaims(), complianceClaim())
	case "TdxVm":
		return slices.Concat(tdxClaims(), common, dataClaims(), complianceClaim())
	case "AzureGuest":
		return slices.Concat(guestClaims(), common)
	case "Tpm":
		return slices.Concat(tpmClaims(), vbsClaims(), jsonClaims(), common, clientClaims())
	}
	return nil
}

// attestationWord returns the value of the claim AttestationType, or "" for unknown types (tokens.md section 5.1).
func attestationWord(attestationType string) string {
	switch attestationType {
	case "SgxEnclave", "OpenEnclave":
		return "sgx"
	case "SevSnpVm":
		return "sevsnpvm"
	case "TdxVm":
		return "tdxvm"
	case "AzureGuest":
		return "azurevm"
	case "Tpm":
		return "tpm"
	}
	return ""
}

// attestationTypes are the names under which Claims and Properties know something.
func attestationTypes() []string {
	return []string{"SgxEnclave", "OpenEnclave", "SevSnpVm", "TdxVm", "AzureGuest", "Tpm"}
}

// commonClaims are those of all attestation types (policy.md section 8); word is the value of AttestationType.
func commonClaims(word string) []ClaimInfo {
	return []ClaimInfo{
		{Name: AttestationType, Values: []string{word}, Meaning: "The kind of the attested environment."},
		{Name: "x-ms-policy-hash", form: base64URL(43), Meaning: "The hash of the policy that is being evaluated."},
		{Name: "x-ms-ver", Values: []string{"1.0"}, Meaning: "The version of the token's layout."},
	}
}

// ServiceNames returns the names at the top level of an attestation type's tokens that only the service gives, in no
// order of meaning: what a policy issues under one of them does not stand there (policy.md section 5.5, tokens.md
// sections 4 to 10). For unknown types these are the names common to all.
func ServiceNames(attestationType string) []string {
	names := []string{
		"iss", "iat", "exp", "nbf", "jti", "aud", "sub", "cnf", "nonce", "rp_data", "ver",
		"x-ms-ver", AttestationType, "x-ms-policy-hash", "x-ms-policy-signer", "ext-development",
	}
	if attestationType == "Tpm" {
		return append(names, "x-ms-tpm-request-key", "x-ms-tpm-other-keys")
	}
	names = append(names, "x-ms-policy", "x-ms-runtime", "x-ms-inittime", "x-ms-compliance-status")
	switch attestationType {
	case "SgxEnclave", "OpenEnclave":
		names = append(names,
			"x-ms-sgx-report-data", "x-ms-sgx-tcbidentifier", "x-ms-sgx-collateral", "maa-attestationcollateral",
			"x-ms-sgx-config-id", "x-ms-sgx-config-svn", "x-ms-sgx-isv-extended-product-id", "x-ms-sgx-isv-family-id",
			"x-ms-sgx-ehd", "aas-ehd")
	}
	for _, c := range claimsOfType(attestationType) {
		if c.Deprecated == "" && c.Name != collateralExpired && c.Issuer != ReferenceValue && !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}

// PropertyInfo describes what issueproperty may set for an attestation type (policy.md section 6).
type PropertyInfo struct {
	Name    string
	Kind    Kind
	Section string // where it is set: "configurationrules" or "issuancerules"
	Default string // as a policy writes it
	Meaning string // one sentence
}

// Properties returns the properties that policies of an attestation type may set, in the order of documentation; none
// for types that have none and for unknown names. The list is the caller's own.
func Properties(attestationType string) []PropertyInfo {
	switch attestationType {
	case "SgxEnclave", "OpenEnclave":
		return []PropertyInfo{
			{TCBIdentifier, String, configSection.keyword(), `"azuredefault"`,
				`The TCB baseline to hold the quote against: "azuredefault", or a TCB evaluation data number such as "17".`},
		}
	case "Tpm":
		return []PropertyInfo{
			{requireValidAIK, Boolean, configSection.keyword(), "true",
				"The attestation key needs a valid certificate; with false the policy looks at aikValidated itself."},
			{requiredPCRs, Integer, configSection.keyword(), "16777215", "Bit n set: PCR n must be in the quote."},
			{reportValidity, Integer, issueSection.keyword(), "1440", "The lifetime of the token in minutes, one year (525600) at most."},
			{omitChain, Boolean, issueSection.keyword(), "false", "With true the token's header carries x5t instead of x5c."},
		}
	}
	return nil
}

// Names of claims and properties of which the package knows more than the catalogue says.
const (
	collateralExpired = "ext-collateral-expired"
	requireValidAIK   = "require_valid_aik_cert"
	requiredPCRs      = "required_pcr_mask"
	reportValidity    = "report_validity_in_minutes"
	omitChain         = "omit_x5c"
)
