package policy_test

import "testing"

// TestWhatIsNoReasonForAWarning holds rules that look doubtful and are not.
func TestWhatIsNoReasonForAWarning(t *testing.T) {
	for _, tt := range []struct{ name, kind, section, rules string }{
		{"a claim whose name the text does not tell may be any", "SgxEnclave", "auth",
			`c:[type=="x-ms-sgx-mrsigner"] => add(type=c.value, value=1); [type=="no-such-claim", value==1] => deny();`},
		{"the values of such claims may be of any type", "SgxEnclave", "auth",
			`c:[type=="x-ms-sgx-mrsigner"] && d:[type=="maa-ehd"] => add(type=c.value, value=JsonToClaimValue(d.value)); ` +
				`[type=="a", value==1] => deny(); [type=="a", value=="x"] => deny();`},
		{"issuance rules see what authorization rules add", "SgxEnclave", "text",
			`version=1.0; authorizationrules { [type=="x-ms-sgx-svn", value>=2] => add(type="new", value=true); [type=="new", value==true] => permit(); }; ` +
				`issuancerules { c:[type=="new"] => issue(type="fresh", value=c.value); };`},
		{"a property is a claim too", "Tpm", "issue",
			`=> issueproperty(type="omit_x5c", value=true); [type=="omit_x5c", issuer=="AttestationPolicy", value==true] => issue(type="a", value=1);`},
		{"configuration rules see the properties set before", "Tpm", "config",
			`=> issueproperty(type="required_pcr_mask", value=15); [type=="required_pcr_mask", value==15] => issueproperty(type="require_valid_aik_cert", value=false);`},
		{"several claims of one type", "AzureGuest", "auth",
			`[type=="x-ms-azurevm-attested-pcrs", value==0] && [type=="x-ms-azurevm-attested-pcrs", value==7] => permit();`},
		{"a claim of the service and one of the policy", "SgxEnclave", "auth",
			`=> add(type="x-ms-sgx-svn", value=9); [type=="x-ms-sgx-svn", value==2] && [type=="x-ms-sgx-svn", value==9] => deny();`},
		{"a client may send several claims of one type", "Tpm", "auth",
			`[type=="role", issuer=="CustomClaim", value==1] && [type=="role", issuer=="CustomClaim", value==2] => permit();`},
		{"a client's claim has any type and form", "Tpm", "auth",
			`[type=="role", issuer=="CustomClaim", value>3] => permit(); [type=="role", issuer=="CustomClaim", value=="A"] => permit();`},
		{"claims of clients are not all optional ones", "Tpm", "auth", `[type=="aas-ehd", issuer=="CustomClaim"] => permit();`},
		{"a test of the issuer that claims decide", "Tpm", "auth",
			`c:[issuer=="AttestationService", type!="pcrs"] && [type=="secureBootEnabled", value==true, issuer==c.issuer] => permit();`},
		{"a type that claims decide", "SgxEnclave", "auth", `c:[type=="maa-ehd"] && [type==c.value, value==1] => deny();`},
		{"other types are typed as well", "SgxEnclave", "auth", `[type=="x-ms-sgx-svn"] && [type!="x-ms-sgx-svn", value==9] => deny();`},
		{"an exclusion that says something", "SgxEnclave", "auth", `[type=="x-ms-sgx-svn", value!=1, value!=2, value<9] => deny();`},
		{"the same rule after claims without a name", "SgxEnclave", "auth",
			`[type=="maa-ehd", value!="QQ"] => permit(); c:[type=="maa-ehd"] => add(type=c.value, value="x"); [type=="maa-ehd", value!="QQ"] => permit();`},
		{"the same rule without a type after new claims", "SgxEnclave", "auth",
			`[value==77] => permit(); [type=="x-ms-sgx-product-id", value==1] => add(type="n", value=77); [value==77] => permit();`},
		{"a rule that builds on what it made", "SgxEnclave", "issue",
			`=> add(type="s", value="a"); c:[type=="s"] => add(type="s", value=AppendString("b", c.type)); c:[type=="s"] => add(type="s", value=AppendString("b", c.type));`},
		{"the same rule in two sections", "SgxEnclave", "text",
			`version=1.0; authorizationrules { [type=="x-ms-sgx-svn", value>=2] => permit(); => add(type="a", value=1); }; issuancerules { => add(type="a", value=1); };`},
		{"rules that exclude each other", "SgxEnclave", "issue",
			`[type=="x-ms-sgx-is-debuggable", value==true] => issue(type="mode", value="debug"); [type=="x-ms-sgx-is-debuggable", value==false] => issue(type="mode", value="release");`},
		{"one value from two rules", "SgxEnclave", "issue", `=> issue(type="a", value=1); [type=="x-ms-sgx-svn", value==1] => issue(type="a", value=1);`},
		{"an array for those who read arrays", "SevSnpVm", "issue", `=> issue(type="a", value=1); => issue(type="a", value=2);`},
		{"JSON text that is tested as such", "Tpm", "issue",
			`c:[type=="events", issuer=="AttestationService"] => add(type="a", value=JmesPath(c.value, "Events[0].PcrIndex")); ` +
				`[type=="a", issuer=="AttestationPolicy", value!="null", value=="12"] => issue(type="b", value=true);`},
		{"JSON text among other values", "Tpm", "issue",
			`c:[type=="events", issuer=="AttestationService"] => add(type="a", value=JmesPath(c.value, "Events[0].PcrIndex")); => add(type="a", value="none"); ` +
				`[type=="a", issuer=="AttestationPolicy", value=="none"] => issue(type="b", value=true);`},
		{"a query that claims decide", "Tpm", "issue",
			`c:[type=="events", issuer=="AttestationService"] && q:[type=="query", issuer=="CustomClaim"] => issue(type="a", value=JmesPath(c.value, q.value));`},
		{"sets of which one may be a member", "SgxEnclave", "issue",
			`c:[type=="x-ms-sgx-svn"] && d:[type=="x-ms-sgx-product-id"] => issue(type="a", value=IsSubsetOf(c.value, d.value));`},
		{"a property whose value claims decide", "Tpm", "issue", `c:[type=="lifetime", issuer=="CustomClaim"] => issueproperty(type="report_validity_in_minutes", value=c.value);`},
		{"a property that is copied", "Tpm", "issue", `c:[type=="omit_x5c", issuer=="CustomClaim"] => issueproperty(claim=c);`},
		{"negative numbers", "SgxEnclave", "auth", `[type=="x-ms-sgx-svn", value>-2, value<2] => deny();`},
		{"a deny that a missing claim is meant to get around", "SevSnpVm", "auth", `[type=="nonce"] => deny();`},
		{"a deny on what the policy made of a claim that may be missing", "SevSnpVm", "auth",
			`![type=="nonce"] => add(type="anonymous", value=true); [type=="anonymous", value==true] => deny();`},
	} {
		if found := mustParse(t, framed(tt.kind, tt.section, tt.rules)).Warnings(tt.kind); len(found) > 0 {
			t.Errorf("%s: %s\n%+v", tt.name, tt.rules, found)
		}
	}
}

// TestWarningsOfOneRuleDoNotHideEachOther: independent faults are all told, and one fault is told once.
func TestWarningsOfOneRuleDoNotHideEachOther(t *testing.T) {
	for rule, want := range map[string]string{
		`c:[type=="x-ms-sgx-svn", value=="2"] && [type=="x-ms-sgx-is-debugable", value==true] => issue(type="iss", value=1);`: "reserved-name unknown-claim unused-label wrong-type",
		`[type=="no-such", value==1, value=="1", valueType=="integer"] => issue(type="a", value=1);`:                          "contradiction impossible-value",
		`[type=="no-such", value=="ABC", issuer=="AttestationService"] => issue(type="a", value=1);`:                          "unknown-claim",
		`c:[type=="x-ms-sgx-svn"] => issueproperty(claim=c);`:                                                                 "unknown-property",
		`c:[type=="x-ms-sgx-svn"] => issue(type="a", value=NegateBool(NegateBool(c.value)));`:                                 "bad-argument",
	} {
		if got := codesOf(mustParse(t, framed("SgxEnclave", "issue", rule)), "SgxEnclave"); got != want {
			t.Errorf("%s: %s, want %s", rule, got, want)
		}
	}
}
