package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

// mark stands in the policies of these tests before each place where an error is expected.
const mark = "‸"

// marked removes the marks from a text and returns their places as line:column.
func marked(text string) (clean string, places []string) {
	line, column := 1, 1
	var b strings.Builder
	for _, r := range text {
		switch string(r) {
		case mark:
			places = append(places, lineColumn(line, column))
			continue
		case "\n":
			line, column = line+1, 0
		}
		column++
		b.WriteRune(r)
	}
	return b.String(), places
}

func lineColumn(line, column int) string { return fmt.Sprintf("%d:%d", line, column) }

func mustParse(t testing.TB, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	return p
}

// broken is a policy with marks, and what the first error must say.
type broken struct {
	name, text    string
	failure, rule string // failure: a part; rule: the beginning
}

// auth puts a rule into the authorization section of a policy of version 1.0, on line 2.
func auth(rule string) string { return "version=1.0;\nauthorizationrules { " + rule + " };" }

// issuance puts a rule into the issuance section of a policy that permits, on line 2.
func issuance(rule string) string {
	return "version=1.1;\nauthorizationrules { => permit(); }; issuancerules { " + rule + " };"
}

// configured puts a rule into the configuration section of a policy that permits, on line 2.
func configured(rule string) string {
	return "version=1.1;\nconfigurationrules { " + rule + " }; authorizationrules { => permit(); };"
}

func testBroken(t *testing.T, tests []broken) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, want := marked(tt.text)
			_, err := policy.Parse([]byte(text))
			errs, _ := errors.AsType[policy.Errors](err)
			var got []string
			for _, e := range errs {
				got = append(got, lineColumn(e.Line, e.Column))
			}
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Fatalf("%s\nerrors at %v, want %v: %v", tt.text, got, want, err)
			}
			if !strings.Contains(errs[0].Failure, tt.failure) {
				t.Errorf("%s\nfailure %q, want %q", tt.text, errs[0].Failure, tt.failure)
			}
			if !strings.HasPrefix(errs[0].Rule, tt.rule) {
				t.Errorf("%s\nrule %q, want %q", tt.text, errs[0].Rule, tt.rule)
			}
		})
	}
}

const (
	authRule  = "policy > authSection > authRule"
	condition = authRule + " > conditions > condition"
	propCond  = condition + " > propCond"
	permits   = "\nauthorizationrules { => permit(); };"
	issueArg  = "policy > issueSection > issueRule > issueAction > claimArg"
)

func TestParseNamesThePlaceOfSyntaxErrors(t *testing.T) {
	testBroken(t, []broken{
		{"empty text", "‸", "mismatched input '<EOF>' expecting 'version'", "policy > versionInfo"},
		{"no version", "‸authorizationrules { => permit(); };", "expecting 'version'", "policy > versionInfo"},
		{"version without equals", "version ‸1.0;" + permits, "mismatched input '1' expecting '='", "policy > versionInfo"},
		{"version without minor", "version=1‸;" + permits, "mismatched input ';' expecting '.'", "policy > versionInfo"},
		{"version in quotes", "version=‸\"1.0\";" + permits, `mismatched input '"1.0"' expecting Integer`, "policy > versionInfo"},
		{"unknown version", "version=‸1.3;\nauthorizationrules { => permit(); };", "version 1.3 is unknown, expecting 1.0, 1.1 or 1.2", "policy > versionInfo"},
		{"version 2", "version = ‸2.0;" + permits, "version 2.0 is unknown", "policy > versionInfo"},
		{"version with leading zero", "version = ‸1.00;" + permits, "version 1.00 is unknown", "policy > versionInfo"},
		{"version without semicolon", "version=1.0\n‸authorizationrules { => permit(); };", "expecting ';'", "policy > versionInfo"},
		{"unknown section", "version=1.0;\n‸rules { => permit(); };\nauthorizationrules { => permit(); };", "mismatched input 'rules' expecting {'configurationrules', 'authorizationrules', 'issuancerules', '<EOF>'}", "policy"},
		{"section without brace", "version=1.0;\nauthorizationrules ‸=> permit();", "expecting '{'", "policy > authSection"},
		{"section not closed", "version=1.0;\nauthorizationrules { => permit();‸", "mismatched input '<EOF>' expecting '}'", "policy > authSection"},
		{"section not closed before the next", "version=1.0;\nauthorizationrules { => permit();\n‸issuancerules { };", "expecting '}'", "policy > authSection"},
		{"section without semicolon", "version=1.0;\nauthorizationrules { => permit(); }\n‸issuancerules { };", "mismatched input 'issuancerules' expecting ';'", "policy > authSection"},
		{"last section without semicolon", "version=1.0;\nauthorizationrules { => permit(); }‸", "mismatched input '<EOF>' expecting ';'", "policy > authSection"},
		{"rule without semicolon", auth("=> permit() ‸=> permit();"), "mismatched input '=>' expecting ';'", authRule},
		{"last rule without semicolon", "version=1.0;\nauthorizationrules { => permit() ‸};", "mismatched input '}' expecting ';'", authRule},
		{"rule without arrow", auth("‸permit();"), "expecting {'=>', Ident, '[', '}'}", authRule},
		{"conditions without arrow", auth(`[type=="a"] ‸permit();`), "mismatched input 'permit' expecting {'&&', '=>'}", authRule + " > conditions"},
		{"conditions without and", auth(`[type=="a"] ‸[type=="b"] => permit();`), "expecting {'&&', '=>'}", authRule + " > conditions"},
		{"single and", auth(`[type=="a"] ‸& [type=="b"] => permit();`), "mismatched input '&' expecting '&&'", authRule + " > conditions"},
		{"or", auth(`[type=="a"] ‸|| [type=="b"] => permit();`), "write one rule for each case", authRule + " > conditions"},
		{"conditions in parentheses", auth(`‸([type=="a"]) => permit();`), "mismatched input '('", condition},
		{"exists", auth(`‸exists([type=="a"]) => permit();`), "mismatched input 'exists' expecting {'=>', Ident, '[', '}'}", condition},
		{"empty brackets", auth("[‸] => permit();"), "mismatched input ']' expecting {'type', 'value', 'valueType', 'issuer'}", condition},
		{"brackets not closed", auth(`[type=="a" ‸=> permit();`), "mismatched input '=>' expecting {',', ']'}", condition},
		{"tests without comma", auth(`[type=="a" ‸value==1] => permit();`), "mismatched input 'value' expecting {',', ']'}", condition},
		{"comma at the end of brackets", auth(`[type=="a",‸] => permit();`), "expecting {'type'", propCond},
		{"unknown property", auth(`[‸name=="a"] => permit();`), "mismatched input 'name' expecting {'type'", propCond},
		{"assignment in a condition", auth(`[type‸="a"] => permit();`), "a condition compares with '=='", propCond},
		{"regular expression match", auth(`[type=="a", value ‸=~ "x"] => permit();`), "expecting '==': the language has no regular expressions", propCond},
		{"test without right side", auth(`[type==‸] => permit();`), "mismatched input ']' expecting {String, Integer, 'true', 'false', Ident}", propCond + " > expr"},
		{"bare word", auth(`[type==‸abc] => permit();`), `mismatched input 'abc' expecting {String, Integer, 'true', 'false', Ident}: a string stands between '"', a label is followed by a property, as in abc.value`, propCond + " > expr"},
		{"concatenation", issuance(`=> issue(type="a"‸+"b", value=1);`), "'+' is not part of the language", issueArg},
		{"label without colon", auth(`c‸[type=="a"] => permit();`), "mismatched input '[' expecting ':'", condition},
		{"label without brackets", auth(`c: ‸type=="a" => permit();`), "mismatched input 'type' expecting '['", condition},
		{"parentheses for brackets", auth(`c:‸(type=="a") => permit();`), "mismatched input '(' expecting '['", condition},
		{"copy without equals", issuance(`c:[type=="a"] => issue(claim ‸c);`), "mismatched input 'c' expecting '='", issueArg},
		{"assignment without equals", issuance(`=> issue(type ‸"a", value=1);`), "expecting '='", issueArg + " > assign"},
		{"action without argument", issuance(`=> issue‸;`), "mismatched input ';' expecting '('", "policy > issueSection > issueRule > issueAction"},
		{"function call not closed", auth(`[value==f(1‸] => permit();`), "mismatched input ']' expecting {',', ')'}", propCond + " > expr > functionCall"},
		{"reserved word as label", auth(`‸Issue:[type=="a"] => permit();`), "a reserved word cannot be a label", condition},
		{"label in other letters", auth(`‸é:[type=="a"] => permit();`), "the character 'é' (U+00E9) is not part of the language outside strings and comments", condition},
		{"unknown action", auth("=> ‸allow();"), "mismatched input 'allow' expecting {'permit', 'deny', 'add', 'issue'}: the actions of authorizationrules", authRule},
		{"permit without parentheses", auth("=> permit‸;"), "mismatched input ';' expecting '('", authRule + " > permitAction"},
		{"permit with an argument", auth(`=> permit(‸type="a");`), "mismatched input 'type' expecting ')'", authRule + " > permitAction"},
		{"deny with an argument", auth(`=> deny(‸true);`), "mismatched input 'true' expecting ')'", authRule + " > denyAction"},
		{"issueproperty in authorizationrules", auth(`=> ‸issueproperty(type="a", value=1);`), "the actions of authorizationrules", authRule},
		{"permit in issuancerules", issuance("=> ‸permit();"), "expecting {'add', 'issue', 'issueproperty'}: the actions of issuancerules", "policy > issueSection > issueRule"},
		{"issue in configurationrules", configured(`=> ‸issue(type="a", value=1);`), "expecting 'issueproperty'", "policy > configSection > configRule"},
		{"positional argument", issuance(`=> issue(‸"a", value=true);`), "expecting {'claim', 'type', 'value', 'valueType', 'issuer'}", issueArg},
		{"empty argument", issuance("=> issue(‸);"), "mismatched input ')' expecting {'claim', 'type'", issueArg},
		{"comparison in an assignment", issuance(`=> issue(type‸=="a", value=1);`), "an assignment is written with one '='", issueArg + " > assign"},
		{"comparison in a copy", issuance(`c:[type=="a"] => issue(claim‸==c);`), "an assignment is written with one '='", issueArg},
		{"copy of a string", issuance(`c:[type=="a"] => issue(claim=‸"c");`), "expecting Ident", issueArg},
		{"assignments without comma", issuance(`=> issue(type="a" ‸value=1);`), "mismatched input 'value' expecting {',', ')'}", issueArg},
		{"property without name", issuance(`c:[type=="a"] => issue(type="b", value=c.‸x);`), "mismatched input 'x' expecting {'type'", issueArg + " > assign > expr"},
		{"string not closed", issuance(`=> issue(type=‸"a, value=1);`), "the string is not closed on its line", issueArg + " > assign > expr"},
		{"typographic quote at the start", auth(`[type==‸“a”] => permit();`), "“ is not a quote of the language", propCond + " > expr"},
		{"single quotes", auth(`[type==‸'a'] => permit();`), "' is not a quote of the language", propCond + " > expr"},
		{"hexadecimal integer", auth(`[type=="a", value==‸0xFF] => permit();`), "'0xFF' is not a decimal integer", propCond + " > expr"},
		{"fraction", auth(`[type=="a", value==‸1.5] => permit();`), "mismatched input '1.5' expecting Integer", propCond + " > expr"},
		{"integer beyond 64 bits", auth(`[type=="a", value==‸9223372036854775808] => permit();`), "does not fit in 64 bits", propCond + " > expr"},
		{"negative beyond 64 bits", auth(`[type=="a", value==-‸9223372036854775809] => permit();`), "the integer -9223372036854775809 does not fit", propCond + " > expr"},
		{"minus before a string", auth(`[type=="a", value==-‸"1"] => permit();`), "expecting Integer", propCond + " > expr"},
		{"block comment", auth(`‸/* no */ => permit();`), "block comments are not part of the language", "policy > authSection"},
		{"text after the last section", auth("=> permit();") + "\n‸x", "mismatched input 'x' expecting", "policy"},
		{"template placeholder", auth(`[type=="a", value==‸<product-id>] => permit();`), "mismatched input '<' expecting {String", propCond + " > expr"},
	})
}

func TestParseReportsEveryIndependentError(t *testing.T) {
	testBroken(t, []broken{
		{"in each rule", "version=1.0;\nauthorizationrules {\n[type‸=\"a\"] => permit();\n=> ‸allow();\n=> permit()\n‸};\nissuancerules {\n=> issue(‸\"a\");\n[‸] => issue(type=\"a\", value=1);\n};", "", propCond},
		{"grammar and checks", "version=1.0;\nauthorizationrules { [‸] => permit(); };\nissuancerules { => issue(type=‸5, value=1); };", "", condition},
		{"several of one rule", auth(`‸![type‸="a", value‸="b"] => permit();`), "", condition},
	})
}
