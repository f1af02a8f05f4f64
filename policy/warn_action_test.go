package policy_test

func verdictRows() []doubtful {
	return []doubtful{
		{"permit-always", "SgxEnclave", "verdict", `=> ‸permit‸();`, "", `[type=="x-ms-sgx-is-debuggable", value==true] => deny(); => permit();`},
		{"permit-always", "SevSnpVm", "verdict", `[type=="x-ms-sevsnpvm-vmpl"] => ‸permit‸();`, "", `[type=="x-ms-compliance-status"] => permit();`},
		{"permit-always", "", "verdict", `=> ‸permit‸();`, "", `[type=="a"] => permit();`},
		{"no-permit", "SgxEnclave", "text", `version=1.0; ‸authorizationrules‸ { [type=="x-ms-sgx-svn", value<2] => deny(); };`, "",
			`version=1.0; authorizationrules { [type=="x-ms-sgx-svn", value<2] => deny(); [type=="x-ms-sgx-svn", value<9] => permit(); };`},
		{"no-permit", "", "text", `version=1.0; ‸authorizationrules‸ { };`, "", ""},
		{"deny-always", "SgxEnclave", "auth", `=> ‸deny‸();`, "", `[type=="x-ms-sgx-svn", value==0] => deny();`},
		{"deny-always", "SgxEnclave", "auth", `[type=="x-ms-sgx-svn"] => ‸deny‸();`, "", `![type=="x-ms-sgx-svn"] => deny();`},
		{"deny-always", "SgxEnclave", "verdict", `=> permit(); => ‸deny‸();`, "", ""},
		{"deny-after-permit", "SgxEnclave", "verdict", `=> permit();` + "\n" + `[type=="x-ms-sgx-svn", value<2] => ‸deny‸();`, "",
			`[type=="x-ms-sgx-svn", value<2] => deny(); => permit();`},
		{"deny-after-permit", "SgxEnclave", "verdict", `=> permit(); [type=="x-ms-sgx-svn", value<2] => ‸deny‸(); [type=="x-ms-sgx-product-id", value==1] => deny();`, "",
			`[type=="x-ms-sgx-product-id", value==2] => permit(); [type=="x-ms-sgx-svn", value<2] => deny();`},
	}
}

func actionRows() []doubtful {
	return []doubtful{
		{"issue-in-authorization", "SgxEnclave", "auth", `=> ‸issue‸(type="a", value=1);`, "add", `=> add(type="a", value=1);`},
		{"no-effect", "SgxEnclave", "issue", `c:[type=="x-ms-sgx-svn"] => ‸add‸(claim=c);`, "", `c:[type=="x-ms-sgx-svn"] => add(type="svn", value=c.value);`},
		{"no-effect", "SgxEnclave", "auth", `c:[type=="x-ms-sgx-svn"] => ‸issue‸(claim=c);`, "", ""},
		{"read-only-claim", "Tpm", "issue", `c:[type=="pcrs", issuer=="AttestationService"] => ‸issue‸(claim=c);`, "",
			`c:[type=="events", issuer=="AttestationService"] => issue(claim=c);`},
		{"read-only-claim", "Tpm", "issue", `c:[type=="pcrs", issuer=="AttestationService"] => ‸issue‸(type="a", value=JmesPath(c.value, "PCRs[0]"));`, "",
			`c:[type=="pcrs", issuer=="AttestationService"] => issue(type="a", value=ContainsOnlyValue(c.value, "{}"));`},
		{"read-only-claim", "Tpm", "issue", `c:[type=="pcrs", issuer=="AttestationService"] => add(type="a", value=JsonToClaimValue(c.value));` + "\n" +
			`c:[type=="a", issuer=="AttestationPolicy"] => ‸issue‸(claim=c);`, "",
			`c:[type=="pcrs", issuer=="AttestationService"] => add(type="a", value=c.value); [type=="a", issuer=="AttestationPolicy"] => issue(type="b", value=1);`},
		{"read-only-claim", "Tpm", "issue", `c:[issuer=="AttestationService"] => ‸issue‸(claim=c);`, "", `c:[issuer=="AttestationService", type!="pcrs"] => issue(claim=c);`},
		{"read-only-claim", "Tpm", "issue", `c:[type=="pcrs", issuer=="AttestationService"] => ‸issueproperty‸(type="omit_x5c", value=c.value);`, "", ""},
		{"reserved-name", "SgxEnclave", "issue", `=> issue(type=‸"iss"‸, value="a");`, "", `=> issue(type="issuer", value="a");`},
		{"reserved-name", "SgxEnclave", "issue", `c:[type=="x-ms-sgx-svn"] => issue(claim=‸c‸);`, "", `c:[type=="ext-collateral-expired"] => issue(claim=c);`},
		{"reserved-name", "TdxVm", "issue", `=> issue(type=‸"tdx_mrtd"‸, value="a");`, "", `=> issue(type="tdx_foo", value="a");`},
		{"reserved-name", "Tpm", "issue", `=> issue(type=‸"x-ms-tpm-request-key"‸, value="a");`, "", `=> issue(type="secureBootEnabled", value=true);`},
		{"several-values", "SgxEnclave", "issue", `=> issue(type="a", value="x");` + "\n" + `=> issue(type="a", value=‸"y"‸);`, "",
			`[type=="x-ms-sgx-svn", value==1] => issue(type="a", value="x"); [type=="x-ms-sgx-svn", value==2] => issue(type="a", value="y");`},
		{"several-values", "Tpm", "issue", service("secureBootEnabled", "value==true") + ` => issue(type="a", value=true);` + "\n" + `=> issue(type="a", value=‸false‸);`, "",
			service("secureBootEnabled", "value==true") + ` => issue(type="a", value=true); => issue(type="b", value=false);`},
		{"duplicate-rule", "SgxEnclave", "issue", `c:[type=="x-ms-sgx-svn"] => issue(type="svn", value=c.value);` + "\n" + `‸d : [type=="x-ms-sgx-svn"]=>issue(type="svn", value=d.value)‸;`, "",
			`c:[type=="x-ms-sgx-svn"] => issue(type="svn", value=c.value); c:[type=="x-ms-sgx-svn"] => issue(type="svn2", value=c.value);`},
		{"duplicate-rule", "SgxEnclave", "auth", `[type=="x-ms-sgx-svn", value==1] => deny();` + "\n" + `‸[type=="x-ms-sgx-svn", value==1] => deny()‸;`, "",
			`=> add(type="n", value=1); [type=="n", value==2] => deny(); => add(type="n", value=2); [type=="n", value==2] => deny();`},
		{"unused-label", "SgxEnclave", "auth", `‸c‸:[type=="x-ms-sgx-svn", value==1] => deny();`, "",
			`c:[type=="x-ms-sgx-svn", value==1] && [type=="x-ms-sgx-product-id", value==JsonToClaimValue(AppendString("1", c.type))] => deny();`},
		{"unused-label", "SgxEnclave", "issue", `![type=="x-ms-sgx-svn", value==1] && ‸d‸:[type=="x-ms-sgx-svn", value<9] => issue(type="a", value=1);`, "",
			`d:[type=="x-ms-sgx-svn", value<9] => issue(type="a", value=d.value);`},
	}
}

func propertyRows() []doubtful {
	return []doubtful{
		{"unknown-property", "SgxEnclave", "issue", `=> issueproperty(type=‸"omit_x5c"‸, value=true);`, "", ""},
		{"unknown-property", "Tpm", "issue", `=> issueproperty(type=‸"omit_x5"‸, value=true);`, `"omit_x5c"`, `=> issueproperty(type="omit_x5c", value=true);`},
		{"unknown-property", "Tpm", "issue", `=> issueproperty(type=‸"required_pcr_mask"‸, value=15);`, "", ""},
		{"property-value", "Tpm", "issue", `=> issueproperty(type="omit_x5c", value=‸"true"‸);`, "true", `=> issueproperty(type="omit_x5c", value=true);`},
		{"property-value", "Tpm", "issue", `=> issueproperty(type="report_validity_in_minutes", value=‸525601‸);`, "525600", `=> issueproperty(type="report_validity_in_minutes", value=525600);`},
		{"property-value", "Tpm", "issue", `=> issueproperty(type="report_validity_in_minutes", value=‸0‸);`, "", `=> issueproperty(type="report_validity_in_minutes", value=1);`},
		{"property-value", "Tpm", "config", `=> issueproperty(type="required_pcr_mask", value=‸16777216‸);`, "16777215", `=> issueproperty(type="required_pcr_mask", value=16777215);`},
		{"property-value", "SgxEnclave", "config", `=> issueproperty(type="x-ms-sgx-tcbidentifier", value=‸"AzureDefault"‸);`, `"azuredefault"`,
			`=> issueproperty(type="x-ms-sgx-tcbidentifier", value="azuredefault");`},
		{"property-value", "SgxEnclave", "config", `=> issueproperty(type="x-ms-sgx-tcbidentifier", value=‸"latest"‸);`, "", `=> issueproperty(type="x-ms-sgx-tcbidentifier", value="17");`},
	}
}
