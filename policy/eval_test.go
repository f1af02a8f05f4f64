package policy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

// claimsOf writes claims shortly: "a=1 b=true c=text d=x@CustomClaim"; without an issuer it is the service.
func claimsOf(text string) []policy.Claim {
	var claims []policy.Claim
	for _, word := range strings.Fields(text) {
		name, value, _ := strings.Cut(word, "=")
		value, issuer, given := strings.Cut(value, "@")
		c := policy.Claim{Type: name, Value: policy.StringValue(value), Issuer: policy.AttestationService}
		if given {
			c.Issuer = policy.Issuer(issuer)
		}
		if err := json.Unmarshal([]byte(value), &c.Value); err != nil {
			c.Value = policy.StringValue(value)
		}
		claims = append(claims, c)
	}
	return claims
}

// outcome evaluates and says in short what came out: the issued claims as JSON, "deny", "no-permit" or the error.
func outcome(p *policy.Policy, claims string) string { return outcomeOf(p, claimsOf(claims)) }

func outcomeOf(p *policy.Policy, claims []policy.Claim) string {
	o, err := p.Evaluate(claims, policy.Budget{})
	switch {
	case err == nil:
		return groupText(o.Issued())
	case verdictOf(err) == "error":
		return failure(err)
	}
	return verdictOf(err)
}

// failure is an evaluation error without the text of its rule.
func failure(err error) string {
	e, ok := errors.AsType[*policy.EvaluationError](err)
	if !ok {
		return err.Error()
	}
	return fmt.Sprintf("policy evaluation: the rule at %v: %v", e.Rule, e.Err)
}

// groupText is the groups as the members of an object, in their order.
func groupText(groups []policy.Group) string {
	parts := make([]string, len(groups))
	for i, g := range groups {
		b, err := json.Marshal(g)
		if err != nil {
			return err.Error()
		}
		parts[i] = g.Type + ":" + string(b)
	}
	return strings.Join(parts, " ")
}

func TestComparison(t *testing.T) { // policy.md section 4
	tests := []struct {
		test, claim string
		holds       bool
	}{
		{`value==1`, "a=1", true},
		{`value==1`, "a=2", false},
		{`value!=1`, "a=2", true},
		{`value!=1`, "a=1", false},
		{`value<2`, "a=1", true},
		{`value<1`, "a=1", false},
		{`value<=1`, "a=1", true},
		{`value<=0`, "a=1", false},
		{`value>0`, "a=1", true},
		{`value>1`, "a=1", false},
		{`value>=1`, "a=1", true},
		{`value>=2`, "a=1", false},
		{`value>=-5`, "a=-5", true},
		{`value<-4`, "a=-5", true},
		{`value==true`, "a=true", true},
		{`value==true`, "a=false", false},
		{`value!=true`, "a=false", true},
		{`value=="x"`, "a=x", true},
		{`value!="x"`, "a=y", true},
		// values of different types are never equal, and have no order
		{`value=="1"`, "a=1", false},
		{`value!="1"`, "a=1", true},
		{`value==1`, "a=true", false},
		{`value==true`, "a=1", false},
		{`value=="true"`, "a=true", false},
		{`value>=0`, "a=true", false},
		{`value>=0`, "a=x", false},
		{`value<=0`, "a=false", false},
		// strings compare letter by letter
		{`value=="4AEA"`, "a=4aea", false},
		{`type=="A"`, "a=1", false},
		// the other properties
		{`type=="a"`, "a=1", true},
		{`type!="a"`, "a=1", false},
		{`issuer=="AttestationService"`, "a=1", true},
		{`issuer=="attestationservice"`, "a=1", false},
		{`issuer!="CustomClaim"`, "a=1@CustomClaim", false},
		{`valueType=="Integer"`, "a=1", true},
		{`valueType=="Boolean"`, "a=true", true},
		{`valueType=="String"`, "a=x", true},
		{`valueType=="String"`, "a=1", false},
		// all tests of one condition hold for one and the same claim
		{`type=="a", value==2`, "a=1 b=2", false},
		{`type=="b", value==2`, "a=1 b=2", true},
		{`type=="a", value==1, value!=2, issuer=="AttestationService"`, "a=1", true},
	}
	for _, tt := range tests {
		want := map[bool]string{true: "", false: "no-permit"}[tt.holds]
		if got := outcome(mustParse(t, auth("["+tt.test+"] => permit();")), tt.claim); got != want {
			t.Errorf("[%s] on %s: %q, want %q", tt.test, tt.claim, got, want)
		}
	}
}

func TestComparisonWithALabel(t *testing.T) { // policy.md section 5.1: some member of the label's set
	tests := []struct {
		test, claims string
		holds        bool
	}{
		{`value==x.value`, "x=1 x=2 a=2", true},
		{`value==x.value`, "x=1 x=2 a=3", false},
		{`value!=x.value`, "x=1 a=1", false},
		{`value!=x.value`, "x=1 x=2 a=1", true},
		{`value<x.value`, "x=1 x=5 a=4", true},
		{`value<x.value`, "x=1 x=5 a=5", false},
		{`value<=x.value`, "x=1 x=5 a=5", true},
		{`value>x.value`, "x=3 x=5 a=4", true},
		{`value>x.value`, "x=3 x=5 a=3", false},
		{`value>=x.value`, "x=3 x=5 a=3", true},
		{`value>=x.value`, "x=text x=true a=3", false},
		{`value==x.type`, "x=1 a=x", true},
		{`value==x.valueType`, "x=1 a=Integer", true},
		{`value==x.issuer`, "x=1@CustomClaim a=CustomClaim", true},
		{`value==x.issuer`, "x=1 a=CustomClaim", false},
	}
	for _, tt := range tests {
		want := map[bool]string{true: "", false: "no-permit"}[tt.holds]
		rule := `x:[type=="x"] && [type=="a", ` + tt.test + `] => permit();`
		if got := outcome(mustParse(t, auth(rule)), tt.claims); got != want {
			t.Errorf("%s on %s: %q, want %q", rule, tt.claims, got, want)
		}
	}
}

func TestAuthorization(t *testing.T) { // policy.md section 5.4
	tests := []struct{ name, rules, claims, want string }{
		{"no rules refuse", "", "", "no-permit"},
		{"permit", "=> permit();", "", ""},
		{"deny", "=> deny();", "", "deny"},
		{"a deny after a permit counts", "=> permit(); => deny();", "", "deny"},
		{"a permit after a deny does not", "=> deny(); => permit();", "", "deny"},
		{"one permit of several is enough", `[type=="a"] => permit(); [type=="b"] => permit();`, "b=1", ""},
		{"all conditions must hold", `[type=="a"] && [type=="b"] => permit();`, "b=1", "no-permit"},
		{"conditions may hold for different claims", `[type=="a"] && [value==2] => permit();`, "a=1 b=2", ""},
		{"later rules see what was added", `=> add(type="x", value=1); [type=="x", issuer=="AttestationPolicy"] => permit();`, "", ""},
		{"earlier rules do not", `[type=="x"] => permit(); => add(type="x", value=1);`, "", "no-permit"},
		{"issue adds here", `=> issue(type="x", value=1); [type=="x"] => permit();`, "", ""},
	}
	for _, tt := range tests {
		if got := outcome(mustParse(t, auth(tt.rules)), tt.claims); got != tt.want {
			t.Errorf("%s: %s: %q, want %q", tt.name, tt.rules, got, tt.want)
		}
	}
}

func TestIssuance(t *testing.T) { // policy.md sections 5.2, 5.3, 5.5
	tests := []struct{ name, rules, claims, want string }{
		{"a literal", `=> issue(type="a", value=1);`, "", "a:1"},
		{"each kind of value", `=> issue(type="s", value="x"); => issue(type="i", value=-1); => issue(type="b", value=false);`, "", `s:"x" i:-1 b:false`},
		{"escapes", `=> issue(type="s", value="a\"\\\n");`, "", `s:"a\"\\\\n"`},
		{"a label's value keeps its type", `c:[type=="a"] => issue(type="b", value=c.value);`, "a=5", "b:5"},
		{"a rule that does not fire issues nothing", `c:[type=="a"] => issue(type="b", value=c.value);`, "c=5", ""},
		{"several values make an array in order", `c:[type=="a"] => issue(type="b", value=c.value);`, "a=3 x=9 a=1 a=2", "b:[3,1,2]"},
		{"several types and values make their product", `c:[type!="z"] => issue(type=c.type, value=c.value);`, "a=1 b=2", "a:[1,2] b:[1,2]"},
		{"groups stand in the order of first issue", `=> issue(type="b", value=1); => issue(type="a", value=1); => issue(type="b", value=2);`, "", "b:[1,2] a:1"},
		{"a copy keeps type and value", `c:[type=="a"] => issue(claim=c);`, "a=1 a=2", "a:[1,2]"},
		{"a copy keeps its issuer", `c:[type=="a"] => issue(claim=c); [type=="a", issuer=="AttestationPolicy"] => issue(type="copied", value=true);`, "a=1", "a:1"},
		{"a copy by add changes nothing", `c:[type=="a"] => add(claim=c); d:[type=="a"] => issue(claim=d);`, "a=1", "a:1"},
		{"a new claim has the policy as issuer", `c:[type=="a"] => add(type="b", value=c.issuer); d:[type=="b"] => issue(type="is", value=d.issuer); d:[type=="b"] => issue(type="was", value=d.value);`, "a=1", `is:"AttestationPolicy" was:"AttestationService"`},
		{"add issues nothing", `=> add(type="a", value=1);`, "", ""},
		{"issued claims are seen later", `=> issue(type="a", value=1); c:[type=="a"] => issue(type="b", value=c.value);`, "", "a:1 b:1"},
		{"properties are seen later and not issued", `=> issueproperty(type="a", value=1); c:[type=="a"] => issue(type="b", value=c.value);`, "", "b:1"},
		{"a string with JSON text stays a string", `=> issue(type="a", value="[1,2]");`, "", `a:"[1,2]"`},
		{"the value of one claim as type of another", `c:[type=="a"] => issue(type=c.value, value=true);`, "a=x a=y", "x:true y:true"},
		{"the type cannot be an integer", `c:[type=="a"] => issue(type=c.value, value=true);`, "a=1", "policy evaluation: the rule at line 2, column 54: the type of a claim must be a String, found the Integer 1"},
		{"a declared type that agrees", `c:[type=="a"] => issue(type="b", value=c.value, valueType="Integer");`, "a=1", "b:1"},
		{"a declared type that does not", `c:[type=="a"] => issue(type="b", value=c.value, valueType="Integer");`, "a=x", `policy evaluation: the rule at line 2, column 54: the action declares valueType Integer, found the String "x"`},
		{"service claims are not overwritten in the set", `=> add(type="a", value=2); c:[type=="a"] => issue(type="b", value=c.value);`, "a=1", "b:[1,2]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := outcome(mustParse(t, issuance(tt.rules)), tt.claims); got != tt.want {
				t.Errorf("%s on %q: %q, want %q", tt.rules, tt.claims, got, tt.want)
			}
		})
	}
}

// TestUndocumentedCorners has one row or more for each row of policy.md section 14, and fails if one of the 18 is missing.
// Those decided by the parser, 3, 8, 14 to 16 and half of 4, want "refused"; 13, of configuration rules, shows what they set.
func TestUndocumentedCorners(t *testing.T) {
	seen := map[string]bool{}
	tests := []struct{ corner, text, claims, want string }{
		{"1: an action runs once for several matches", issuance(`c:[type=="a"] && d:[type=="a"] => issue(type="b", value=c.value);`), "a=1 a=2", "b:[1,2]"},
		{"2: duplicates are never added", issuance(`=> issue(type="a", value=1); => issue(type="a", value=1);`), "", "a:1"},
		{"2: duplicates of different issuers are one value", issuance(`c:[type=="a"] => issue(claim=c); => issue(type="a", value=1);`), "a=1", "a:1"},
		{"3: empty brackets", auth("[] => permit();"), "a=1", "refused"},
		{"4: negative integers", issuance(`=> issue(type="a", value=-7);`), "", "a:-7"},
		{"4: hexadecimal integers", issuance(`=> issue(type="a", value=0x7);`), "", "refused"},
		{"5: case of reserved words", "Version=1.0;\nAUTHORIZATIONRULES { [Type==\"a\"] => PERMIT(); };\nIssuancerules { => ISSUE(Type=\"b\", Value=True); };", "a=1", "b:true"},
		{"6: case of strings", auth(`[type=="A"] => permit();`), "a=1", "no-permit"},
		{"7: a condition without type matches any claim", auth(`c:[type=="a"] && [value==true] => permit();`), "a=1 other=true", ""},
		{"8: sections in other order", "version=1.0;\nissuancerules { }; authorizationrules { => permit(); };", "", "refused"},
		{"8: two sections of one kind", "version=1.0;\nauthorizationrules { => permit(); }; authorizationrules { };", "", "refused"},
		{"9: value against a label's type", auth(`c:[type=="a"] && [value==c.type] => permit();`), "a=1 b=a", ""},
		{"10: one type with values of different kinds", issuance(`=> issue(type="a", value=1); => issue(type="a", value="1");`), "", `a:[1,"1"]`},
		{"11: the policy's claim beside the service's", issuance(`=> add(type="a", value=1); c:[type=="a", issuer=="AttestationService"] => issue(type="s", value=c.value); c:[type=="a"] => issue(type="n", value=c.issuer);`), "a=1", `s:1 n:["AttestationService","AttestationPolicy"]`},
		{"12: an error of an issuance rule fails everything", issuance(`=> issue(type="x", value=1); c:[type=="a"] => issue(type=c.value, value=1);`), "a=true", "policy evaluation: the rule at line 2, column 83: the type of a claim must be a String, found the Boolean true"},
		{"13: configuration rules see the attestation type", configured(`[type=="x-ms-attestation-type", value=="sgx"] => issueproperty(type="x-ms-sgx-tcbidentifier", value="15");`), "a=1", `x-ms-sgx-tcbidentifier:"15"`},
		{"13: configuration rules see no claim of the evidence", configured(`[type=="a"] => issueproperty(type="x-ms-sgx-tcbidentifier", value="15");`), "a=1", ""},
		{"14: comments after the last section", auth("=> permit();") + "\n// end", "", ""},
		{"14: text after the last section", auth("=> permit();") + "\nend", "", "refused"},
		{"15: letters of labels", auth(`ü:[type=="a"] => permit();`), "a=1", "refused"},
		{"15: letters in strings", issuance(`=> issue(type="ü", value="日");`), "", `ü:"日"`},
		{"16: line feed inside a string", auth("[type==\"a\n\"] => permit();"), "a=1", "refused"},
		{"17: a rule does not see its own additions", issuance(`c:[valueType=="Integer"] => issue(type="b", value=c.value);`), "a=1", "b:1"},
		{"18: rules after a permit are evaluated", auth(`=> permit(); => add(type="b", value=1); [type=="b"] => deny();`), "", "deny"},
	}
	for _, tt := range tests {
		t.Run(tt.corner, func(t *testing.T) {
			p, err := policy.Parse([]byte(tt.text))
			got := "refused"
			switch {
			case err != nil:
			case strings.HasPrefix(tt.corner, "13:"):
				got = configuration(t, p)
			default:
				got = outcome(p, tt.claims)
			}
			if got != tt.want {
				t.Errorf("%s on %q: %q, want %q (%v)", tt.text, tt.claims, got, tt.want, err)
			}
		})
		number, _, _ := strings.Cut(tt.corner, ":")
		seen[number] = true
	}
	if len(seen) != 18 {
		t.Errorf("%d of 18 corners: %v", len(seen), seen)
	}
}

// configuration is what a policy sets for SGX.
func configuration(t *testing.T, p *policy.Policy) string {
	t.Helper()
	c, err := p.Configure("SgxEnclave", policy.Budget{})
	if err != nil {
		t.Fatal(err)
	}
	return groupText(c.Properties())
}

func TestConfigurationRules(t *testing.T) { // policy.md sections 5, 6; corner 14.13
	tests := []struct{ name, rules, want string }{
		{"none", "", ""},
		{"a property", `=> issueproperty(type="x-ms-sgx-tcbidentifier", value="15");`, `x-ms-sgx-tcbidentifier:"15"`},
		{"the attestation type is seen", `[type=="x-ms-attestation-type", value=="sgx", issuer=="AttestationService"] => issueproperty(type="x-ms-sgx-tcbidentifier", value="15");`, `x-ms-sgx-tcbidentifier:"15"`},
		{"no other claim is", `[type!="x-ms-attestation-type"] => issueproperty(type="x-ms-sgx-tcbidentifier", value="15");`, ""},
		{"the same value twice", `=> issueproperty(type="x-ms-sgx-tcbidentifier", value="15"); => issueproperty(type="x-ms-sgx-tcbidentifier", value="15");`, `x-ms-sgx-tcbidentifier:"15"`},
		{"two values", `=> issueproperty(type="x-ms-sgx-tcbidentifier", value="15"); => issueproperty(type="x-ms-sgx-tcbidentifier", value="16");`, `policy evaluation: the rule at line 2, column 83: the configuration property x-ms-sgx-tcbidentifier is set to "15" and to "16"`},
		{"two long values", `=> issueproperty(type="x-ms-sgx-tcbidentifier", value="15"); => issueproperty(type="x-ms-sgx-tcbidentifier", value="` + strings.Repeat("1", 1000) + `");`,
			`policy evaluation: the rule at line 2, column 83: the configuration property x-ms-sgx-tcbidentifier is set to "15" and to "` + strings.Repeat("1", 160) + `…"`},
		{"unknown name", `c:[value=="sgx"] => issueproperty(type=c.type, value=c.value);`, `policy evaluation: the rule at line 2, column 22: unknown configuration property "x-ms-attestation-type" for this attestation type`},
		{"wrong type", `=> issueproperty(type="x-ms-sgx-tcbidentifier", value=15);`, "policy evaluation: the rule at line 2, column 22: the configuration property x-ms-sgx-tcbidentifier must be String, found the Integer 15"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			configuration, err := mustParse(t, configured(tt.rules)).Configure("SgxEnclave", policy.Budget{})
			got := ""
			if err != nil {
				got = failure(err)
			}
			if err == nil {
				got = groupText(configuration.Properties())
			} else if _, ok := errors.AsType[*policy.EvaluationError](err); !ok {
				t.Errorf("%T, want *EvaluationError", err)
			}
			if got != tt.want {
				t.Errorf("%s: %q, want %q", tt.rules, got, tt.want)
			}
		})
	}
}

func TestConfigureKnowsTheAttestationTypes(t *testing.T) {
	for attestationType, claim := range map[string]string{ // tokens.md section 5.1
		"SgxEnclave": "sgx", "OpenEnclave": "sgx", "SevSnpVm": "sevsnpvm", "TdxVm": "tdxvm", "AzureGuest": "azurevm", "Tpm": "tpm",
	} {
		// The rule fails, and so shows that it fired, on exactly the expected value.
		p := mustParse(t, configured(`[type=="x-ms-attestation-type", value=="`+claim+`"] => issueproperty(type="none", value=1);`))
		if _, err := p.Configure(attestationType, policy.Budget{}); err == nil || !strings.Contains(err.Error(), `unknown configuration property "none"`) {
			t.Errorf("%s: %v", attestationType, err)
		}
	}
	if _, err := mustParse(t, configured("")).Configure("SGX", policy.Budget{}); err == nil {
		t.Error("an unknown attestation type was accepted")
	}
}

func TestAttestationTypesAreFoundByTheirNamesAndClaims(t *testing.T) {
	for name, want := range map[string]string{
		"SgxEnclave": "SgxEnclave", "SGX": "SgxEnclave", "openenclave": "OpenEnclave", "oe": "OpenEnclave", "snp": "SevSnpVm",
		"TDX": "TdxVm", "azureguest": "AzureGuest", "vbs": "Tpm", "tpm": "Tpm", "": "", "sg": "",
	} {
		if got, ok := policy.ParseType(name); got != want || ok != (want != "") {
			t.Errorf("name %q: %q, %v, want %q", name, got, ok, want)
		}
	}
	for value, want := range map[policy.Value]string{ // tokens.md section 5.1
		policy.StringValue("sgx"): "SgxEnclave", policy.StringValue("sevsnpvm"): "SevSnpVm", policy.StringValue("tdxvm"): "TdxVm",
		policy.StringValue("azurevm"): "AzureGuest", policy.StringValue("tpm"): "Tpm",
		policy.StringValue("SGX"): "", policy.IntegerValue(1): "",
	} {
		if got, ok := policy.TypeOf(value); got != want || ok != (want != "") {
			t.Errorf("claim %v: %q, %v, want %q", value, got, ok, want)
		}
	}
}

func TestConfiguresSaysWhetherThereAreConfigurationRules(t *testing.T) {
	for rules, want := range map[string]bool{"": false, `[value==1] => issueproperty(type="a", value=1);`: true} {
		if got := mustParse(t, configured(rules)).Configures(); got != want {
			t.Errorf("%q: %v, want %v", rules, got, want)
		}
	}
}

func TestTCBBaseline(t *testing.T) {
	for rule, want := range map[string]string{
		"": "azuredefault",
		`=> issueproperty(type="x-ms-sgx-tcbidentifier", value="15");`: "15",
	} {
		c, err := mustParse(t, configured(rule)).Configure("OpenEnclave", policy.Budget{})
		if err != nil || c.TCBBaseline() != want {
			t.Errorf("%q: %v (%v), want %s", rule, c, err, want)
		}
	}
}

func TestEvaluateLeavesItsInputAlone(t *testing.T) {
	p := mustParse(t, issuance(`c:[type=="a"] => issue(type="b", value=c.value); => issue(type="c", value=1);`))
	claims := claimsOf("a=1 a=2")
	claims = append(claims, claimsOf("x=1 y=2")...)[:2] // with room behind its end
	for range 2 {
		o, err := p.Evaluate(claims, policy.Budget{})
		if err != nil || groupText(o.Issued()) != "b:[1,2] c:1" {
			t.Fatalf("got %v, %v", o, err)
		}
	}
	if got := claims[:3][2].Type; got != "x" {
		t.Errorf("the memory behind the claims was overwritten with %s", got)
	}
}

func TestPropertiesOfIssuanceRules(t *testing.T) {
	p := mustParse(t, issuance(`=> issueproperty(type="omit_x5c", value=true); => issueproperty(type="report_validity_in_minutes", value=60);`))
	o, err := p.Evaluate(nil, policy.Budget{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := groupText(o.Properties()), "omit_x5c:true report_validity_in_minutes:60"; got != want || len(o.Issued()) != 0 {
		t.Errorf("properties %q, want %q; issued %v, want none", got, want, o.Issued())
	}
}
