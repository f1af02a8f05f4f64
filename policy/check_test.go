package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

func TestStaticChecksNameTheirPlace(t *testing.T) {
	testBroken(t, []broken{
		{"label used twice", auth(`c:[type=="a"] && ‸c:[type=="b"] => permit();`), "the label 'c' is already that of the condition at line 2, column 22", condition},
		{"label of a later condition", auth(`[value==‸c.value] && c:[type=="a"] => permit();`), "no earlier condition of this rule has the label 'c'", propCond + " > expr"},
		{"label inside its own brackets", auth(`c:[type==‸c.type] => permit();`), "no earlier condition", propCond + " > expr"},
		{"label of another rule", auth(`c:[type=="a"] => permit(); [value==‸c.value] => permit();`), "no earlier condition", propCond + " > expr"},
		{"label in other case", auth(`c:[type=="a"] && [value==‸C.value] => permit();`), "no earlier condition", propCond + " > expr"},
		{"unknown label in an assignment", issuance(`=> issue(type="a", value=‸c.value);`), "no earlier condition", issueArg + " > assign > expr"},
		{"unknown label in a copy", issuance(`=> issue(claim=‸c);`), "no earlier condition", issueArg},
		{"type missing", issuance(`=> ‸issue(value=1);`), "issue needs type and value, type is missing", issueArg},
		{"value missing", issuance(`=> ‸add(type="a");`), "add needs type and value, value is missing", "policy > issueSection > issueRule > addAction > claimArg"},
		{"value missing in a property", issuance(`=> ‸IssueProperty(type="a");`), "issueproperty needs type and value, value is missing", "policy > issueSection > issueRule > propertyAction > claimArg"},
		{"property assigned twice", issuance(`=> issue(type="a", value=1, ‸value=2);`), "value is assigned twice", issueArg + " > assign"},
		{"type no string", issuance(`=> issue(type=‸1, value=1);`), "expecting String: type is a string", issueArg + " > assign > expr"},
		{"forged issuer", issuance(`=> issue(type="a", value=1, issuer=‸"AttestationService");`), "a rule issues in no other name", issueArg + " > assign > expr"},
		{"issuer of a label", issuance(`c:[type=="a"] => issue(type="a", value=1, issuer=‸c.issuer);`), "a rule issues in no other name", issueArg + " > assign > expr"},
		{"value type that disagrees", issuance(`=> issue(type="a", value=1, valueType=‸"String");`), `expecting '"Integer"', the type of the value`, issueArg + " > assign > expr"},
		{"value type that disagrees with a label's type", issuance(`c:[type=="a"] => issue(type="a", value=c.issuer, valueType=‸"Boolean");`), `expecting '"String"'`, issueArg + " > assign > expr"},
		{"unknown value type", issuance(`=> issue(type="a", value=1, valueType=‸"integer");`), `expecting {'"String"', '"Integer"', '"Boolean"'}`, issueArg + " > assign > expr"},
		{"value type not literal", issuance(`c:[type=="a"] => issue(type="a", value=1, valueType=‸c.valueType);`), `expecting {'"String"'`, issueArg + " > assign > expr"},
		{"order of type", auth(`[type‸<"a"] => permit();`), "expecting {'==', '!='}: type is a string and has no order", propCond},
		{"order of issuer", auth(`[issuer‸>="a"] => permit();`), "issuer is a string and has no order", propCond},
		{"order of valueType", auth(`[valueType‸>"a"] => permit();`), "valueType is a string and has no order", propCond},
		{"type compared with an integer", auth(`[type==‸1] => permit();`), "expecting String: type is a string", propCond + " > expr"},
		{"issuer compared with a boolean", auth(`[issuer!=‸true] => permit();`), "expecting String: issuer is a string", propCond + " > expr"},
		{"value ordered against a string", auth(`[type=="a", value>=‸"1"] => permit();`), "expecting Integer: '>=' compares integers only", propCond + " > expr"},
		{"value ordered against a boolean", auth(`[type=="a", value<‸true] => permit();`), "expecting Integer: '<' compares integers only", propCond + " > expr"},
		{"negation", auth(`‸![type=="a"] => permit();`), "needs version 1.2, this policy has version 1.0", condition},
		{"label of a negated condition", auth(`‸!c:[type=="a"] && [value==‸c.value] => permit();`), "needs version 1.2", condition},
		{"function call", issuance(`=> issue(type="a", value=‸AppendString("x", "y"));`), "the function call 'AppendString(...)' needs version 1.2, this policy has version 1.1", issueArg + " > assign > expr > functionCall"},
		{"function call without arguments", auth(`[value==‸f()] => permit();`), "needs version 1.2", propCond + " > expr > functionCall"},
		{"configuration in version 1.0", "version=1.0;\n‸configurationrules { }; authorizationrules { => permit(); };", "configurationrules needs version 1.1", "policy > configSection"},
		{"no authorization section", "version=1.0;\nissuancerules { };‸", "mismatched input '<EOF>' expecting 'authorizationrules'", "policy"},
		{"authorization twice", "version=1.0;\nauthorizationrules { => permit(); };\n‸authorizationrules { };", "authorizationrules stands twice, first at line 2", "policy > authSection"},
		{"configuration after authorization", "version=1.1;\nauthorizationrules { => permit(); };\n‸configurationrules { };", "configurationrules must stand before authorizationrules", "policy > configSection"},
		{"authorization after issuance", "version=1.1;\nissuancerules { };\n‸authorizationrules { => permit(); };", "authorizationrules must stand before issuancerules", "policy > authSection"},
	})
}

func TestWhatTheLanguageAllowsParses(t *testing.T) {
	for name, text := range map[string]string{
		"byte-order mark":              "\uFEFF" + auth("=> permit();"),
		"keywords in any case":         "VERSION=1.0; AuthorizationRules { [TYPE==\"a\", VALUE==TRUE] => Permit(); };",
		"CR and CRLF line ends":        "version=1.0;\r// comment\r\nauthorizationrules {\r=> permit(); };",
		"comments anywhere":            "// a\nversion=1.0; // b\nauthorizationrules { // ;\n=> permit(); // c\n}; // d",
		"other sections empty":         "version=1.1; configurationrules { }; authorizationrules { }; issuancerules { };",
		"issue in authorizationrules":  auth(`=> issue(type="a", value=1); [type=="a"] => permit();`),
		"the issuer that a rule has":   issuance(`=> issue(value=1, type="a", issuer="AttestationPolicy", valueType="Integer");`),
		"the type of a label's value":  issuance(`c:[type=="a"] => issue(type="b", value=c.value, valueType="String");`),
		"smallest and largest integer": auth(`[value==-9223372036854775808] && [value == - 9223372036854775807] && [value==9223372036854775807] => permit();`),
		"leading zeros":                auth(`[value==` + strings.Repeat("0", 100) + `1] && [value==-007] => permit();`),
		"escapes":                      auth(`[type=="a\"\\\n"] => permit();`),
		"any Unicode in strings":       auth("[type==\"é“\u2028\uFFFD\"] => permit();"),
		"underscores in labels":        auth(`_c1:[type=="a"] && [value==_c1.value] => permit();`),
		"white space between tokens":   "version = 1 . 0 ;authorizationrules{c\n:\t[ type == \"a\" ]=>permit ( ) ;} ;",
	} {
		if _, err := policy.Parse([]byte(text)); err != nil {
			t.Errorf("%s: %q: %v", name, text, err)
		}
	}
}

func TestCheckForFindsWrongConfigurationLiterals(t *testing.T) {
	const value = "policy > configSection > configRule > propertyAction > claimArg > assign > expr"
	tests := []struct{ name, attestationType, rule, failure string }{
		{"unknown name", "SgxEnclave", `=> issueproperty(type=‸"x-ms-sgx-tcb", value="10");`, `unknown configuration property "x-ms-sgx-tcb" for this attestation type`},
		{"name of another attestation type", "OpenEnclave", `=> issueproperty(type=‸"required_pcr_mask", value=15);`, `unknown configuration property "required_pcr_mask"`},
		{"attestation type without properties", "TdxVm", `=> issueproperty(type=‸"x-ms-sgx-tcbidentifier", value="10");`, "this attestation type has none"},
		{"wrong type", "SgxEnclave", `=> issueproperty(type="x-ms-sgx-tcbidentifier", value=‸10);`, "must be String, found the Integer 10"},
		{"wrong type under a condition", "Tpm", `[type=="a"] => issueproperty(type="require_valid_aik_cert", value=‸"true");`, `must be Boolean, found the String "true"`},
		{"two values", "Tpm", `=> issueproperty(type="required_pcr_mask", value=15); => issueproperty(type="required_pcr_mask", value=‸7);`, "is set to 15 and to 7"},
		{"one value twice", "SgxEnclave", `=> issueproperty(type="x-ms-sgx-tcbidentifier", value="10"); => issueproperty(type="x-ms-sgx-tcbidentifier", value="10");`, ""},
		{"values that exclude each other", "Tpm", `[type=="a"] => issueproperty(type="required_pcr_mask", value=15); [type=="b"] => issueproperty(type="required_pcr_mask", value=7);`, ""},
		{"nothing literal", "Tpm", `c:[type=="a"] => issueproperty(type=c.type, value=c.value); c:[type=="a"] => issueproperty(claim=c);`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, places := marked(configured(tt.rule))
			p, err := policy.Parse([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			err = p.CheckFor(tt.attestationType)
			if tt.failure == "" {
				if err != nil {
					t.Errorf("%s: %v", tt.rule, err)
				}
				return
			}
			e, ok := errors.AsType[*policy.Error](err)
			if !ok || !strings.Contains(e.Failure, tt.failure) || e.Rule != value {
				t.Fatalf("%s: %v, want %q in %s", tt.rule, err, tt.failure, value)
			}
			if got := lineColumn(e.Line, e.Column); got != places[0] {
				t.Errorf("%s: at %s, want %s", tt.rule, got, places[0])
			}
		})
	}
}

func TestCheckForRefusesUnknownAttestationType(t *testing.T) {
	p := mustParse(t, auth("=> permit();"))
	if err := p.CheckFor("sgx"); err == nil || !strings.Contains(err.Error(), `unknown attestation type "sgx"`) {
		t.Errorf("got %v", err)
	}
}
