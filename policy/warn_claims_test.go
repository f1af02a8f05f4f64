package policy_test

func claimRows() []doubtful {
	return []doubtful{
		{"unknown-claim", "SgxEnclave", "auth", `[type==‸"x-ms-sgx-is-debugable"‸, value==true] => deny();`, `"x-ms-sgx-is-debuggable"`,
			`[type=="x-ms-sgx-is-debuggable", value==true] => deny();`},
		{"unknown-claim", "SgxEnclave", "auth", `[type==‸"no-such-thing"‸, value==true] => deny();`, "",
			`=> add(type="no-such-thing", value=false); [type=="no-such-thing", value==true] => deny();`},
		{"unknown-claim", "SgxEnclave", "auth", `![type==‸"x-ms-sgx-report-data"‸, value=="a"] && [type=="x-ms-sgx-svn", value<2] => deny();`, "", ""},
		{"unknown-claim", "SgxEnclave", "auth", `=> add(type="released", value=1); [type==‸"relaesed"‸, value==2] => deny();`, `"released"`, ""},
		{"unknown-claim", "SgxEnclave", "auth", `[type==‸"x-ms-sgx-svn"‸, issuer=="AttestationPolicy", value==2] => deny();`, "",
			`=> add(type="x-ms-sgx-svn", value=1); [type=="x-ms-sgx-svn", issuer=="AttestationPolicy", value==2] => deny();`},
		{"unknown-claim", "SgxEnclave", "auth", `=> add(type="a", value=1); [type==‸"a"‸, issuer=="AttestationService", value==2] => deny();`, "",
			`=> add(type="a", value=1); [type=="a", issuer!="AttestationService", value==2] => deny();`},
		{"unknown-claim", "SevSnpVm", "auth", `[type==‸"x-ms-sevsnpvm-singlesocket"‸, value==false] => deny();`, "", ""}, // tokens.md section 7: AzureGuest, protocol 3.0
		{"unknown-claim", "Tpm", "auth", `[type==‸"secureBotEnabled"‸, value==false] => deny();`, `"secureBootEnabled"`,
			`[type=="my-own-claim", issuer=="CustomClaim"] => deny();`},
		{"unknown-claim", "Tpm", "auth", `[type==‸"bootEvent"‸, issuer=="AttestationService"] => deny();`, `"bootEvents"`,
			`[type=="bootEvents", issuer=="AttestationService"] => deny();`},
		{"claim-case", "SgxEnclave", "auth", `[type==‸"X-MS-SGX-SVN"‸, value<2] => deny();`, `"x-ms-sgx-svn"`,
			`[type=="x-ms-sgx-svn", value<2] => deny();`},
		{"claim-case", "SevSnpVm", "auth", `[type==‸"x-ms-sevsnpvm-imageid"‸, value!="00000000000000000000000000000000"] => deny();`, `"x-ms-sevsnpvm-imageId"`, ""},
		{"claim-case", "Tpm", "auth", `[type==‸"secureBootenabled"‸] => deny();`, `"secureBootEnabled"`, `[type=="anything-else"] => deny();`},
		{"foreign-claim", "SgxEnclave", "auth", `[type==‸"tdx_mrtd"‸, value=="0"] => deny();`, "", ""},
		{"foreign-claim", "AzureGuest", "auth", `[type==‸"x-ms-sevsnpvm-is-debuggable"‸, value==true] => deny();`, "",
			`[type=="x-ms-azurevm-testsigning-enabled", value==true] => deny();`},
		{"foreign-claim", "Tpm", "auth", `[type==‸"x-ms-sgx-svn"‸, value==0] => deny();`, "", `[type=="nonce", issuer=="CustomClaim"] => deny();`},
		{"late-claim", "SgxEnclave", "auth", `[type==‸"a"‸, value==1] => deny();` + "\n" + `=> add(type="a", value=1);`, "",
			`=> add(type="a", value=2); [type=="a", value==1] => deny();`},
		{"late-claim", "SgxEnclave", "issue", `![type==‸"a"‸] => issue(type="a", value=1);`, "",
			`[type=="x-ms-sgx-svn", value==0] => issue(type="a", value=0); ![type=="a"] => issue(type="a", value=1);`},
		{"late-claim", "Tpm", "issue", `[type==‸"a"‸, issuer!="CustomClaim"] => issue(type="b", value=1);` + "\n" + `=> issue(type="a", value=1);`, "",
			`c:[type=="a"] => issue(type="a", value=c.value);`},
		{"needs-version", "Tpm", "issue", `1c:[type==‸"events"‸, issuer=="AttestationService"] => issue(claim=c);`, "",
			`2c:[type=="events", issuer=="AttestationService"] => issue(claim=c);`},
		{"needs-version", "Tpm", "auth", `0[type==‸"pcrs"‸] => deny();`, "", ""},
		{"unverified-claim", "SgxEnclave", "config", `[type==‸"x-ms-sgx-svn"‸, value<2] => issueproperty(type="x-ms-sgx-tcbidentifier", value="17");`, "",
			`[type=="x-ms-attestation-type"] => issueproperty(type="x-ms-sgx-tcbidentifier", value="17");`},
		{"deprecated-claim", "SgxEnclave", "auth", `[type==‸"$svn"‸, value<2] => deny();`, `"x-ms-sgx-svn"`, `[type=="x-ms-sgx-svn", value<2] => deny();`},
		{"deprecated-claim", "Tpm", "auth", `[type==‸"vsmReportPresent"‸, issuer=="AttestationService", value==false] => deny();`, `"vbsReportPresent"`,
			`[type=="vbsReportPresent", issuer=="AttestationService", value==false] => deny();`},
		{"missable-claim", "SevSnpVm", "auth", `[type==‸"x-ms-compliance-status"‸, value!="azure-compliant-cvm"] => deny();`, "",
			`![type=="x-ms-compliance-status", value=="azure-compliant-cvm"] => deny();`},
		{"missable-claim", "Tpm", "auth", `![type==‸"debugged"‸, issuer=="CustomClaim", value==true] => permit();`, "",
			`[type=="debugged", issuer=="CustomClaim", value==false] => permit();`},
		{"missable-claim", "Tpm", "auth", `[type==‸"enclaveSvn"‸, issuer=="AttestationService", value<2] => deny();`, "",
			`[type=="aas-ehd", issuer=="CustomClaim"] => deny();`},
	}
}

func issuerRows() []doubtful {
	return []doubtful{
		{"unknown-issuer", "SgxEnclave", "auth", `[type=="x-ms-sgx-svn", issuer==‸"attestationservice"‸, value<2] => deny();`, `"AttestationService"`,
			`[type=="x-ms-sgx-svn", issuer=="AttestationService", value<2] => deny();`},
		{"unknown-issuer", "SgxEnclave", "auth", `[type=="x-ms-sgx-svn", issuer!=‸"Client"‸, value<2] => deny();`, "",
			`[type=="x-ms-sgx-svn", issuer!="CustomClaim", value<2] => deny();`},
		{"unknown-issuer", "SgxEnclave", "auth", `[type=="OSName", issuer==‸"CustomClaim"‸] => deny();`, "", ""},
		{"unknown-issuer", "SgxEnclave", "auth", `[issuer==‸"CustomClaim"‸] => deny();`, "", ""},
		{"unknown-issuer", "Tpm", "config", `[issuer==‸"CustomClaim"‸] => issueproperty(type="required_pcr_mask", value=15);`, "", ""},
		{"unknown-issuer", "Tpm", "auth", `[type=="OSName", issuer==‸"Customclaim"‸] => deny();`, `"CustomClaim"`,
			`[type=="OSName", issuer=="CustomClaim"] => deny();`},
		{"untested-issuer", "Tpm", "auth", `[type==‸"aikValidated"‸, value==true] => permit();`, `"aikValidated", issuer=="AttestationService"`,
			`[type=="aikValidated", value==true, issuer=="AttestationService"] => permit();`},
		{"untested-issuer", "Tpm", "auth", `[type==‸"aikValidated"‸, value==true, issuer!="AttestationPolicy"] => permit();`,
			`"aikValidated", issuer=="AttestationService"`, `[type=="aikValidated", value==true, issuer!="CustomClaim"] => permit();`},
		{"untested-issuer", "Tpm", "auth", `=> add(type="trusted", value=1); [type==‸"trusted"‸, value==2] => permit();`, `"trusted", issuer=="AttestationPolicy"`,
			`=> add(type="trusted", value=1); c:[type=="x"] && [type=="trusted", issuer==c.value] => permit();`},
		{"untyped-condition", "SgxEnclave", "auth", `[type=="x-ms-sgx-is-debuggable"] && ‸[value==true]‸ => deny();`, "",
			`[type=="x-ms-sgx-is-debuggable", value==true] => deny();`},
		{"untyped-condition", "Tpm", "auth", `[type=="tpmVersion", issuer=="AttestationService"] && ‸[issuer=="CustomClaim"]‸ => deny();`, "",
			`[issuer=="CustomClaim"] => deny();`},
		{"untyped-condition", "SgxEnclave", "auth", `[type=="x-ms-sgx-svn"] && ‸[value!=1,` + "‸\n" + `valueType=="Integer"] => deny();`, "",
			`c:[type=="x-ms-sgx-svn"] && [type!="x-ms-sgx-svn", value==c.value] => deny();`},
	}
}

func logicRows() []doubtful {
	return []doubtful{
		{"contradiction", "SgxEnclave", "auth", `[type=="x-ms-sgx-svn", value==1, ‸value==2‸] => deny();`, "", `[type=="x-ms-sgx-svn", value==1, value==1] => deny();`},
		{"contradiction", "SgxEnclave", "auth", `[type=="x-ms-sgx-svn", value==1, ‸value!=1‸] => deny();`, "", `[type=="x-ms-sgx-svn", value==1, value!=2] => deny();`},
		{"contradiction", "SgxEnclave", "auth", `[type=="x-ms-sgx-svn", value!=1, ‸value==1‸] => deny();`, "", ""},
		{"contradiction", "SgxEnclave", "auth", `[type=="x-ms-sgx-svn", value>5, ‸value<3‸] => deny();`, "", `[type=="x-ms-sgx-svn", value>3, value<5] => deny();`},
		{"contradiction", "SgxEnclave", "auth", `[type=="x-ms-sgx-svn", value<=3, value<=9, ‸value>3‸] => deny();`, "", `[type=="x-ms-sgx-svn", value<=3, value>=3] => deny();`},
		{"contradiction", "SgxEnclave", "auth", `[type=="x-ms-sgx-svn", value<4, ‸value==4‸] => deny();`, "", `[type=="x-ms-sgx-svn", value<4, value==3] => deny();`},
		{"contradiction", "SgxEnclave", "auth", `[type=="x-ms-sgx-svn", value==4, ‸value>4‸] => deny();`, "", `[type=="x-ms-sgx-svn", value==4, value>=4] => deny();`},
		{"contradiction", "SgxEnclave", "auth", `[type=="x-ms-sgx-svn", ‸value>9223372036854775807‸] => deny();`, "", `[type=="x-ms-sgx-svn", value>9223372036854775806] => deny();`},
		{"contradiction", "SgxEnclave", "auth", `[type=="x-ms-sgx-svn", ‸type=="x-ms-sgx-product-id"‸] => deny();`, "", ""},
		{"contradiction", "SgxEnclave", "auth", `[issuer=="AttestationService", ‸issuer=="AttestationPolicy"‸] => deny();`, "", ""},
		{"contradiction", "SgxEnclave", "auth", `[valueType=="String", ‸value==1‸] => deny();`, "", `[valueType=="Integer", value==1] => deny();`},
		{"contradiction", "SgxEnclave", "auth", `[valueType=="Boolean", ‸value>1‸] => deny();`, "", `[valueType!="Boolean", value>1] => deny();`},
		{"contradiction", "SgxEnclave", "auth", `![type=="x-ms-sgx-svn", value==1, ‸value==2‸] && [type=="x-ms-sgx-product-id", value==1] => deny();`, "", ""},
		{"contradiction", "SgxEnclave", "auth", `[type=="x-ms-sgx-svn", value==1] && ‸![value == 1, type=="x-ms-sgx-svn"]‸ => deny();`, "",
			`[type=="x-ms-sgx-svn", value==1] && ![type=="x-ms-sgx-product-id", value==1] => deny();`},
		{"contradiction", "SgxEnclave", "auth", `c:[type=="x-ms-sgx-svn"] && ‸![type=="x-ms-sgx-svn", value==c.value]‸ => deny();`, "",
			`c:[type=="x-ms-sgx-svn"] && ![type=="x-ms-sgx-product-id", value==c.value] => deny();`},
		{"contradiction", "SgxEnclave", "auth", `[type=="x-ms-sgx-mrsigner", value=="` + signer + `"] && [type=="x-ms-sgx-mrsigner", ‸value=="` + other + `"‸] => permit();`, "",
			`[type=="x-ms-sgx-mrsigner", value=="` + signer + `"] && [type=="x-ms-sgx-mrenclave", value=="` + other + `"] => permit();`},
		{"contradiction", "Tpm", "auth", service("enclaveSvn", "value>3") + ` && ` + service("enclaveSvn", "‸value==2‸") + ` => permit();`, "",
			service("enclaveSvn", "value>3") + ` && [type=="enclaveSvn", issuer=="CustomClaim", value==2] => permit();`},
		{"always-true", "SgxEnclave", "auth", `[type=="x-ms-attestation-type", ‸value=="sgx"‸] && [type=="x-ms-sgx-svn", value<2] => deny();`, "",
			`[type=="x-ms-attestation-type"] && [type=="x-ms-sgx-svn", value<2] => deny();`},
		{"always-true", "SgxEnclave", "auth", `[type=="x-ms-sgx-product-id", ‸value>=-9223372036854775808‸] && [type=="x-ms-sgx-svn", value==1] => deny();`, "",
			`[type=="x-ms-sgx-product-id", value>=-9223372036854775807] => deny();`},
		{"always-true", "SgxEnclave", "auth", `c:[type=="x-ms-sgx-svn", value<2] && ‸[type=="x-ms-sgx-svn", value==c.value]‸ => deny();`, "",
			`c:[type=="x-ms-sgx-svn", value<2] && [type=="x-ms-sgx-product-id", value==c.value] => deny();`},
		{"always-true", "SgxEnclave", "auth", `c:[type=="x-ms-sgx-svn", value<2] && ‸[value==c.value]‸ => deny();`, "", ""},
		{"always-true", "SgxEnclave", "auth", `[type=="x-ms-sgx-svn", value<2] && ‸[type=="x-ms-sgx-svn", value<2]‸ => deny();`, "",
			`[type=="x-ms-sgx-svn", value<2] && [type=="x-ms-sgx-svn", value<1] => deny();`},
	}
}

const other = "2c1a44952ae8207135c6c29b75b8c029372ee94b677e15c20bd42340f10d41aa"

// service is a condition on a claim of the service.
func service(name, test string) string {
	return `[type=="` + name + `", issuer=="AttestationService", ` + test + `]`
}
