package policy

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
