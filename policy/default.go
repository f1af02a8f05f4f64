package policy

// Default returns the policy that a provider has for an attestation type, named as in the service's URLs, until its owner
// sets another; nil for Tpm, which has none, and for unknown types (policy.md section 9).
func Default(attestationType string) []byte {
	switch attestationType {
	case "SgxEnclave", "OpenEnclave":
		return DefaultSGX()
	case "SevSnpVm", "TdxVm":
		return []byte("version= 1.0;\n\nauthorizationrules\n{\n    => permit();\n};\n\nissuancerules\n{\n};")
	case "AzureGuest":
		return []byte(defaultAzureGuest)
	}
	return nil
}

// defaultAzureGuest denies a guest whose boot was not what Azure boots by default. The real text is not public; this has the
// denies that are known of it.
const defaultAzureGuest = `version= 1.0;
authorizationrules
{
    [type=="x-ms-azurevm-default-securebootkeysvalidated", value==false] => deny();
    [type=="x-ms-azurevm-debuggersdisabled", value==false] => deny();
    [type=="secureboot", value==false] => deny();
    [type=="x-ms-azurevm-signingdisabled", value==false] => deny();
    [type=="x-ms-azurevm-dbvalidated", value==false] => deny();
    [type=="x-ms-azurevm-dbxvalidated", value==false] => deny();
    => permit();
};
issuancerules
{
};`

// DefaultSGX returns the policy that SgxEnclave and OpenEnclave have until an owner sets another: it permits every
// enclave and issues six claims under their old names. Tokens carry the hash of its bytes, so not one of them may
// change (policy.md section 9.1).
func DefaultSGX() []byte {
	return []byte(`version= 1.1;` +
		`configurationrules{=> issueproperty(type="x-ms-sgx-tcbidentifier", value="azuredefault");};` +
		`authorizationrules{=> permit();};` +
		`issuancerules{` +
		`c:[type=="x-ms-sgx-is-debuggable"] => issue(type="is-debuggable", value=c.value);` +
		`c:[type=="x-ms-sgx-mrsigner"] => issue(type="sgx-mrsigner", value=c.value);` +
		`c:[type=="x-ms-sgx-mrenclave"] => issue(type="sgx-mrenclave", value=c.value);` +
		`c:[type=="x-ms-sgx-product-id"] => issue(type="product-id", value=c.value);` +
		`c:[type=="x-ms-sgx-svn"] => issue(type="svn", value=c.value);` +
		`c:[type=="x-ms-attestation-type"] => issue(type="tee", value=c.value);` +
		`};`)
}
