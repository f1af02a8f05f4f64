package policy_test

import (
	"strings"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

// TestEachRuleOfTheSemantics walks policy.md sections 4 to 7, one row or more for each rule of theirs, in their words. What
// each function takes and gives stands in TestFunctions, what read-only forbids in TestReadOnlyClaims, the corners of section
// 14 in TestUndocumentedCorners. A want that ends in … is the beginning of an error.
func TestEachRuleOfTheSemantics(t *testing.T) {
	const failed = "policy evaluation: the rule at line "
	tests := []struct{ rule, text, claims, want string }{
		{"4 integers have 64 bits", issuance(`=> issue(type="a", value=9223372036854775807); => issue(type="a", value=-9223372036854775808);`), "", "a:[9223372036854775807,-9223372036854775808]"},
		{"4 integers have all six operators", auth(`[value==2] && [value!=1] && [value<3] && [value<=2] && [value>1] && [value>=2] => permit();`), "a=2", ""},
		{"4 strings have == and !=", auth(`[value=="x"] && [value!="y"] => permit();`), "a=x", ""},
		{"4 booleans have == and !=", auth(`[value==true] && [value!=false] => permit();`), "a=true", ""},
		{"4 different types are never equal", auth(`[value=="1"] => permit();`), "a=1", "no-permit"},
		{"4 != between different types is true", auth(`[value!="1"] => permit();`), "a=1", ""},
		{"4 an order between others than integers is false", auth(`c:[type=="a"] && [type=="b", value<c.value] => permit();`), `a=x b=1`, "no-permit"},
		{"4 and no error", auth(`[value<1] => permit(); => permit();`), `a=x`, ""},
		{"4 the JSON text null is a string", auth12(`c:[type=="a", value!="null"] => permit();`), `a="null"`, "no-permit"},

		{"5 authorization runs before issuance", "version=1.1;\nauthorizationrules { [type==\"b\"] => permit(); }; issuancerules { => issue(type=\"b\", value=1); };", "", "no-permit"},
		{"5 issuance sees what authorization added", "version=1.1;\nauthorizationrules { => permit(); => add(type=\"b\", value=1); }; issuancerules { c:[type==\"b\"] => issue(type=\"r\", value=c.value); };", "", "r:1"},

		{"5.1.1 all conditions must hold", auth(`[type=="a"] && [type=="b"] => permit();`), "a=1", "no-permit"},
		{"5.1.2 at least one claim satisfies a condition", auth(`[type=="a", value==2] => permit();`), "a=1 a=2", ""},
		{"5.1.2 that claim satisfies all property conditions", auth(`[type=="a", value==2] => permit();`), "a=1 b=2", "no-permit"},
		{"5.1.2 with ! no claim does", auth12(`![type=="a", value==2] => permit();`), "a=1 b=2", ""},
		{"5.1.2 with ! one claim is too many", auth12(`![type=="a"] => permit();`), "b=2 a=1", "no-permit"},
		{"5.1.3 a label is the set of all claims that satisfied", issuance(`c:[type=="a"] => issue(type="r", value=c.value);`), "a=1 b=9 a=2", "r:[1,2]"},
		{"5.1.4 the action runs once", issuance(`c:[type=="a"] => issue(type="r", value="once");`), "a=1 a=2", `r:"once"`},
		{"5.1 additions are seen by the following rules", issuance(`=> add(type="b", value=1); [type=="b"] => issue(type="r", value=1);`), "", "r:1"},
		{"5.1 and not by earlier ones", issuance(`[type=="b"] => issue(type="r", value=1); => add(type="b", value=1);`), "", ""},
		{"5.1 some member of a set on the right", auth(`c:[type=="a"] && [type=="b", value==c.value] => permit();`), "a=1 a=2 b=2", ""},
		{"5.1 an empty set never satisfies", auth12(`[type=="a", value!=JsonToClaimValue("[]")] => permit();`), "a=1", "no-permit"},

		{"5.2 a property of a label is a set without duplicates", issuance(`c:[value==1] => issue(type="r", value=c.value);`), "a=1 b=1", "r:1"},
		{"5.2 in the order in which claims were added", issuance(`c:[valueType=="Integer"] => issue(type="r", value=c.value);`), "b=3 a=1 c=2", "r:[3,1,2]"},
		{"5.2 so are type, issuer and valueType", issuance(`c:[type=="a"] => issue(type="t", value=c.type); c:[type=="a"] => issue(type="i", value=c.issuer); c:[type=="a"] => issue(type="v", value=c.valueType);`), "a=1 a=x@CustomClaim", `t:"a" i:["AttestationService","CustomClaim"] v:["Integer","String"]`},

		{"5.3 permit does not stop", auth(`=> permit(); => deny();`), "", "deny"},
		{"5.3 deny does not stop", auth(`=> deny(); c:[type=="a"] => add(type=c.value, value=1);`), "a=1", failed + "2, column 33: …"},
		{"5.3 add reaches the incoming set only", issuance(`=> add(type="r", value=1);`), "", ""},
		{"5.3 issue reaches the outgoing set", issuance(`=> issue(type="r", value=1);`), "", "r:1"},
		{"5.3 issue in authorization only adds", auth(`=> issue(type="r", value=1); [type=="r"] => permit();`), "", ""},
		{"5.3 issueproperty adds to the incoming set too", issuance(`=> issueproperty(type="p", value=1); [type=="p"] => issue(type="r", value=1);`), "", "r:1"},
		{"5.3 a copy keeps type and value", issuance(`c:[type=="a"] => issue(claim=c);`), "a=1 a=x", `a:[1,"x"]`},
		{"5.3 a copy keeps the issuer", issuance(`c:[type=="a"] => add(claim=c); d:[type=="a"] => issue(type="i", value=d.issuer);`), "a=1@CustomClaim", `i:"CustomClaim"`},
		{"5.3 one claim for each combination", issuance(`c:[valueType=="Integer"] => issue(type=c.type, value=c.value);`), "a=1 b=2", "a:[1,2] b:[1,2]"},
		{"5.3 a made claim is of the policy", issuance(`=> add(type="a", value=1); c:[type=="a"] => issue(type="i", value=c.issuer);`), "", `i:"AttestationPolicy"`},
		{"5.3 an empty value set makes no claim", issuance12(`=> issue(type="r", value=JsonToClaimValue("null"));`), "", ""},
		{"5.3 a claim that is there is not added again", issuance(`=> issue(type="r", value=1); => issue(type="r", value=1);`), "", "r:1"},
		{"5.3 issuing a read-only claim is an error", issuance12(`c:[type=="pcrs"] => issue(claim=c);`), "pcrs=x", failed + "2, column 54: the claim pcrs is read-only…"},

		{"5.4 any deny refuses", auth(`[type=="a"] => deny(); => permit();`), "a=1", "deny"},
		{"5.4 no permit refuses", auth(`[type=="a"] => permit();`), "", "no-permit"},
		{"5.4 an empty authorization section refuses everything", auth(``), "a=1", "no-permit"},
		{"5.4 issuance rules cannot refuse", issuance(`[type=="b"] => issue(type="r", value=1);`), "a=1", ""},
		{"5.4 a run-time error in any section fails", issuance12(`=> issue(type="r", value=NegateBool("x"));`), "", failed + "2, column 54: NegateBool at line 2, column 79: …"},

		{"5.5 grouped by type in order of first issue", issuance(`=> issue(type="b", value=1); => issue(type="a", value=2); => issue(type="b", value=3);`), "", "b:[1,3] a:2"},
		{"5.5 one value is a scalar, several an array", issuance(`=> issue(type="a", value=1); => issue(type="b", value=1); => issue(type="b", value=2);`), "", "a:1 b:[1,2]"},
		{"5.5 types of JSON follow those of values", issuance(`=> issue(type="a", value="1"); => issue(type="b", value=1); => issue(type="c", value=true);`), "", `a:"1" b:1 c:true`},
		{"5.5 JSON text stays a string", issuance(`=> issue(type="a", value="{}");`), "", `a:"{}"`},

		{"7 one means exactly one", issuance12(`c:[type=="a"] => issue(type="r", value=NegateBool(c.value));`), "a=true a=false", failed + "2, column 54: NegateBool at line 2, column 93: …"},
		{"7 the type of a claim is a string", issuance12(`=> issue(type=JsonToClaimValue("1"), value=1);`), "", failed + "2, column 54: the type of a claim must be a String…"},
		{"7.1 | binds weakest", issuance12("=> issue(type=\"r\", value=JmesPath(\"[1,2]\", \"[?@ > `1`] | length(@) == `1` && @[0] == `2`\"));"), "", `r:"true"`},
		{"7.1 a filter gives an array, perhaps empty", issuance12("=> issue(type=\"r\", value=JmesPath(\"[1,2]\", \"[?@ > `5`] | @ != `null`\"));"), "", `r:"true"`},
		{"7.1 equals_ignore_case folds", issuance12(`=> issue(type="r", value=JmesPath("\"ABC\"", "equals_ignore_case(@, 'abc')"));`), "", `r:"true"`},
	}
	for _, tt := range tests {
		got := outcome(mustParse(t, tt.text), tt.claims)
		begin, cut := strings.CutSuffix(tt.want, "…")
		if got != tt.want && !(cut && strings.HasPrefix(got, begin)) {
			t.Errorf("%s: %s on %q: got %q, want %q", tt.rule, tt.text, tt.claims, got, tt.want)
		}
	}
}

// TestPropertiesOfTokens: what issueproperty makes is kept from the token (policy.md sections 5.3 and 6).
func TestPropertiesOfTokens(t *testing.T) {
	o, err := mustParse(t, issuance(`=> issueproperty(type="omit_x5c", value=true); => issue(type="r", value=1);`)).Evaluate(nil, policy.Budget{})
	if err != nil || groupText(o.Issued()) != "r:1" || groupText(o.Properties()) != "omit_x5c:true" {
		t.Errorf("issued %v, properties %v (%v)", o.Issued(), o.Properties(), err)
	}
}
