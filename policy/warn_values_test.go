package policy_test

import "strings"

func valueRows() []doubtful {
	upper := strings.ToUpper(signer)
	return []doubtful{
		{"wrong-type", "SgxEnclave", "auth", `[type=="x-ms-sgx-is-debuggable", value==‸"true"‸] => deny();`, "true", `[type=="x-ms-sgx-is-debuggable", value==true] => deny();`},
		{"wrong-type", "SgxEnclave", "auth", `[type=="x-ms-sgx-is-debuggable", value!=‸0‸] && [type=="x-ms-sgx-svn", value<2] => deny();`, "false", ""},
		{"wrong-type", "SgxEnclave", "auth", `[type=="x-ms-sgx-svn", value==‸"2"‸] => deny();`, "2", `[type=="x-ms-sgx-svn", value==2] => deny();`},
		{"wrong-type", "SgxEnclave", "auth", `[type=="x-ms-sgx-svn", value==‸"two"‸] => deny();`, "", ""},
		{"wrong-type", "AzureGuest", "auth", `[type=="x-ms-azurevm-osbuild", value==‸22‸] => deny();`, `"22"`,
			`[type=="x-ms-azurevm-os-provisioning", value==22] => permit();`}, // tokens.md section 9: of any type
		{"wrong-type", "SgxEnclave", "auth", `[type=="x-ms-sgx-is-debuggable", value‸>=‸1] => deny();`, "", `[type=="x-ms-sgx-svn", value>=1] => deny();`},
		{"wrong-type", "SgxEnclave", "auth", `[type=="x-ms-sgx-svn", valueType==‸"String"‸] => deny();`, `"Integer"`, `[type=="x-ms-sgx-svn", valueType=="Integer", value<2] => deny();`},
		{"wrong-type", "SgxEnclave", "auth", `=> add(type="a", value=1); [type=="a", value==‸"1"‸] => deny();`, "1",
			`=> add(type="a", value=1); => add(type="a", value="x"); [type=="a", value=="1"] => deny();`},
		{"wrong-type", "SgxEnclave", "auth", `c:[type=="x-ms-sgx-svn"] && [type=="x-ms-sgx-is-debuggable", value==‸c.value‸] => deny();`, "",
			`c:[type=="x-ms-sgx-svn"] && [type=="x-ms-sgx-product-id", value==c.value] => deny();`},
		{"wrong-type", "SgxEnclave", "auth", `c:[type=="x-ms-sgx-svn"] && [type=="x-ms-sgx-product-id", value==‸c.type‸] => deny();`, "", ""},
		{"wrong-type", "SgxEnclave", "auth", `c:[type=="x-ms-sgx-svn"] && [type==‸c.value‸] => deny();`, "", `c:[type=="x-ms-sgx-mrsigner"] && [type==c.value] => deny();`},
		{"wrong-type", "SgxEnclave", "auth", `c:[type=="x-ms-sgx-mrsigner"] && [type=="x-ms-sgx-svn", value>‸c.value‸] => deny();`, "",
			`c:[type=="x-ms-sgx-product-id"] && [type=="x-ms-sgx-svn", value>c.value] => deny();`},
		{"wrong-type", "SgxEnclave", "auth", `c:[type=="x-ms-sgx-mrsigner"] && [type=="x-ms-sgx-svn", value==‸AppendString(c.value, "")‸] => deny();`, "", ""},
		{"wrong-type", "SgxEnclave", "issue", `c:[type=="x-ms-sgx-svn"] => issue(type="a", value=ContainsOnlyValue(c.value, ‸true‸));`, "",
			`c:[type=="x-ms-sgx-svn"] => issue(type="a", value=ContainsOnlyValue(c.value, 2));`},
		{"wrong-format", "SgxEnclave", "auth", `[type=="x-ms-sgx-mrsigner", value==‸"mrsigner1"‸] => deny();`, "", `[type=="x-ms-sgx-mrsigner", value=="` + signer + `"] => deny();`},
		{"wrong-format", "SgxEnclave", "auth", `[type=="x-ms-sgx-mrsigner", value==‸"` + signer + `00"‸] => deny();`, "", ""},
		{"wrong-format", "SgxEnclave", "auth", `[type=="x-ms-policy-hash", value==‸"` + signer + `"‸] => deny();`, "",
			`[type=="x-ms-policy-hash", value=="z0FRjKS0ssQTNur1V6BV8WIrh9M3fzgTo0EfHRvapWU"] => deny();`},
		{"wrong-format", "AzureGuest", "auth", `[type=="x-ms-azurevm-vmid", value==‸"b2c4e7a0-0000-4000-8000-000000000001"‸] => permit();`, `"B2C4E7A0-0000-4000-8000-000000000001"`,
			`[type=="x-ms-azurevm-vmid", value=="B2C4E7A0-0000-4000-8000-000000000001"] => permit();`},
		{"wrong-format", "Tpm", "auth", service("aikPubHash", `value==‸"R-Y_KpHkZzyJzx_vXvyqNSjNsiTYv6zF_JFJdCYsPfc"‸`) + ` => permit();`, "",
			service("aikPubHash", `value=="R+Y/KpHkZzyJzx/vXvyqNSjNsiTYv6zF/JFJdCYsPfc="`) + ` => permit();`},
		{"upper-case-hex", "SgxEnclave", "auth", `[type=="x-ms-sgx-mrsigner", value==‸"` + upper + `"‸] => deny();`, `"` + signer + `"`, `[type=="x-ms-sgx-mrsigner", value=="` + signer + `"] => deny();`},
		{"upper-case-hex", "", "auth", `[type=="a", value==‸"` + upper + `"‸] => deny();`, `"` + signer + `"`, `[type=="a", value=="` + upper + `X"] => deny();`},
		{"upper-case-hex", "", "auth", `[type=="a", value==‸"` + upper[:32] + `"‸] => deny();`, `"` + signer[:32] + `"`, `[type=="a", value=="` + upper[:30] + `"] => deny();`},
		{"impossible-value", "TdxVm", "auth", `[type=="attester_tcb_status", value==‸"UptoDate"‸] => permit();`, `"UpToDate"`, `[type=="attester_tcb_status", value=="UpToDate"] => permit();`},
		{"impossible-value", "SgxEnclave", "auth", `[type=="x-ms-attestation-type", value==‸"tdxvm"‸] => permit();`, `"sgx"`, ""},
		{"impossible-value", "Tpm", "auth", service("tpmVersion", "value==‸1‸") + ` => deny();`, "2", service("tpmVersion", "value<1") + ` => deny();`},
		{"impossible-value", "SgxEnclave", "auth", `[type=="x-ms-sgx-svn", valueType==‸"integer"‸] => deny();`, `"Integer"`, `[type=="x-ms-sgx-svn", valueType=="Integer", value<2] => deny();`},
	}
}

func functionRows() []doubtful {
	from := `c:[type=="events", issuer=="AttestationService"] => add(type="a", value=JmesPath(c.value, "Events[0].EventType")); `
	convert := `c:[type=="events", issuer=="AttestationService"] => add(type="a", value=JsonToClaimValue(JmesPath(c.value, "Events[0].EventType"))); `
	made := func(test string) string {
		return `[type=="a", issuer=="AttestationPolicy", ` + test + `] => issue(type="b", value=1);`
	}
	pcrs := `c:[type=="pcrs", issuer=="AttestationService"] => add(type="a", value=JsonToClaimValue(JmesPath(c.value, "PCRs[0].Digests.SHA256"))); `
	query := func(q string) string {
		return `c:[type=="events", issuer=="AttestationService"] => issue(type="a", value=JmesPath(c.value, ` + q + `));`
	}
	return []doubtful{
		{"json-text", "Tpm", "issue", from + made(`value==‸true‸`), `"true"`, convert + made(`value==true`)},
		{"json-text", "Tpm", "issue", from + made(`value!=‸1‸`), `"1"`, from + made(`value!="null"`)},
		{"json-text", "Tpm", "issue", from + made(`value>‸1‸`), "", ""},
		{"json-text", "Tpm", "issue", from + made(`value==‸"CACHED"‸`), `"\"CACHED\""`, from + made(`value=="\"CACHED\""`)},
		{"json-text", "AzureGuest", "auth", `[type=="x-ms-isolation-tee", value==‸"none"‸] => permit();`, `"\"none\""`, ""},
		{"json-text", "Tpm", "issue", `c:[type=="events", issuer=="AttestationService"] => issue(type="a", value=ContainsOnlyValue(JmesPath(c.value, "Events[0]"), ‸false‸));`, `"false"`,
			`c:[type=="events", issuer=="AttestationService"] => issue(type="a", value=ContainsOnlyValue(JsonToClaimValue(JmesPath(c.value, "Events[0]")), false));`},
		{"hex-digest", "Tpm", "issue", pcrs + made(`value==‸"`+signer+`"‸`), "", pcrs + made(`value=="z0FRjKS0ssQTNur1V6BV8WIrh9M3fzgTo0EfHRvapWU"`)},
		{"hex-digest", "Tpm", "auth", `c:[type=="pcrs", issuer=="AttestationService"] => add(type="a", value=JmesPath(c.value, ‸"PCRs[?Digests.SHA256 == '` + signer + `']"‸));`, "",
			`c:[type=="pcrs", issuer=="AttestationService"] => add(type="a", value=JmesPath(c.value, "PCRs[?Digests.SHA256 == 'z0FRjKS0ssQTNur1V6BV8WIrh9M3fzgTo0EfHRvapWU']"));`},
		{"number-as-string", "Tpm", "issue", query(`‸"Events[?PcrIndex == '20']"‸`), "", query("\"Events[?PcrIndex == `20`]\"")},
		{"list-never-null", "Tpm", "issue", query("‸\"Events[?EventType] | @ != `null`\"‸"), "", query("\"Events[?EventType] | length(@) > `0`\"")},
		{"bare-word", "Tpm", "issue", query(`‸"Events[?ProcessedData != null]"‸`), "", query("\"Events[?ProcessedData != `null`]\"")},
		{"small-events", "Tpm", "issue", query(`‸"events[?PcrIndex]"‸`), "", query(`"Events[?PcrIndex]"`)},
		{"not-standard-jmespath", "Tpm", "issue", query(`‸"lower('A')"‸`), "", query(`"to_string('A')"`)},
		{"bad-argument", "SgxEnclave", "issue", `c:[type=="x-ms-sgx-svn"] => issue(type="a", value=NegateBool(‸c.value‸));`, "",
			`c:[type=="x-ms-sgx-is-debuggable"] => issue(type="a", value=NegateBool(c.value));`},
		{"bad-argument", "SgxEnclave", "issue", `=> issue(type="a", value=NegateBool(‸"true"‸));`, "true", `=> issue(type="a", value=NegateBool(true));`},
		{"bad-argument", "SgxEnclave", "issue", `c:[type=="x-ms-sgx-svn"] => issue(type="a", value=AppendString("x", ‸c.value‸));`, "",
			`c:[type=="x-ms-sgx-svn"] => issue(type="a", value=AppendString("x", c.type));`},
		{"bad-argument", "SgxEnclave", "issue", `=> issue(type="a", value=AppendString("x", ‸-1‸));`, `"-1"`, ""},
		{"bad-argument", "SgxEnclave", "issue", `=> issue(type="a", value=JsonToClaimValue(‸"abc"‸));`, "", `=> issue(type="a", value=JsonToClaimValue("\"abc\""));`},
		{"bad-argument", "SgxEnclave", "issue", `=> issue(type="a", value=JsonToClaimValue(‸IsSubsetOf(1, 1)‸));`, "", ""},
		{"bad-argument", "SgxEnclave", "issue", `=> issue(type="a", value=JmesPath("{}", ‸""‸));`, "", `=> issue(type="a", value=JmesPath("{}", "@"));`},
		{"bad-argument", "SgxEnclave", "issue", `=> issue(type="a", value=JmesPath("{}", ‸"a["‸));`, "", `=> issue(type="a", value=JmesPath("{}", "a[0]"));`},
		{"bad-argument", "SgxEnclave", "issue", `=> issue(type="a", value=JmesPath(‸"{"‸, "a"));`, "", `=> issue(type="a", value=JmesPath("{}", "a"));`},
	}
}
