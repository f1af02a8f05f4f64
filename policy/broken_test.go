package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

// mistake is a policy as people write it, with a mark before each place that is wrong, and for each of them what the
// message must say: parts in their order, with " … " between them. What was found comes first, then what was expected.
type mistake struct {
	name, text string
	says       []string
}

// auth12 puts a rule into the authorization section of a policy of version 1.2, on line 2.
func auth12(rule string) string { return "version=1.2;\nauthorizationrules { " + rule + " };" }

func testMistakes(t *testing.T, mistakes []mistake) {
	t.Helper()
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			text, places := marked(m.text)
			if len(places) != len(m.says) {
				t.Fatalf("%d marks, %d messages", len(places), len(m.says))
			}
			_, err := policy.Parse([]byte(text))
			errs, _ := errors.AsType[policy.Errors](err)
			for i, e := range errs {
				if i < len(places) && lineColumn(e.Line, e.Column) == places[i] && saysAll(e.Failure, m.says[i]) && saysExpectation(e.Failure) {
					continue
				}
				t.Errorf("error %d: %s", i+1, e.Detail())
			}
			if len(errs) != len(places) || t.Failed() {
				t.Errorf("%s\n%d errors, want %d, at %v:\n%s", m.text, len(errs), len(places), places, strings.Join(m.says, "\n"))
			}
		})
	}
}

// saysAll reports whether a message has the parts in their order.
func saysAll(message, parts string) bool {
	for _, part := range strings.Split(parts, " … ") {
		_, rest, found := strings.Cut(message, part)
		if !found {
			return false
		}
		message = rest
	}
	return true
}

// saysExpectation reports whether a message says what was expected at its place.
func saysExpectation(message string) bool {
	for _, word := range []string{"expecting", "expected", "needs", "must", "no earlier condition", "at most", "more than", "bound to nothing", "not white space", "not part of the language", "has a meaning in strings only", "begins no comment", "delete the line"} {
		if strings.Contains(message, word) {
			return true
		}
	}
	return false
}

// TestHabitsOfADFS: policy.md section 3 lists what this language does not have of that of AD FS.
func TestHabitsOfADFS(t *testing.T) {
	testMistakes(t, []mistake{
		{"exists", auth(`‸exists([type=="a"]) => permit();`), []string{`'exists' expecting {'=>', Ident, '[', '}'} … there is no 'exists' … as in [type=="a"]`}},
		{"EXISTS of two", auth(`‸EXISTS([type=="a"]) && ‸exists([type=="b"]) => permit();`), []string{`'EXISTS' … there is no 'exists'`, `'exists' expecting {Ident, '['} … there is no 'exists'`}},
		{"NOT EXISTS", auth(`‸NOT EXISTS([type=="a"]) => permit();`), []string{`'NOT' expecting {'=>', Ident, '[', '}'} … there is no 'not': '!' before a condition negates it in version 1.2, as in ![type=="a"]`}},
		{"NOT EXISTS in version 1.2", auth12(`[type=="b"] && ‸NOT EXISTS([type=="a"]) => permit();`), []string{`'NOT' expecting {Ident, '[', '!'} … as in ![type=="a"]`}},
		{"count", auth(`‸count([type=="group"]) >= 2 => permit();`), []string{`'count' expecting … there is no 'count': a condition holds if at least one claim satisfies it`}},
		{"regular expression", auth(`[type=="a", value ‸=~ "^x"] => permit();`), []string{"'=~' expecting '==': the language has no regular expressions"}},
		{"negated regular expression", auth(`[type=="a", value‸!~"^x"] => permit();`), []string{"'!~' expecting '!=': the language has no regular expressions"}},
		{"concatenation", issuance(`c:[type=="a"] => issue(type="b", value="x" ‸+ c.value);`), []string{"'+' expecting {',', ')'} … strings are joined by AppendString(first, second) of version 1.2"}},
		{"concatenation in a condition", auth(`c:[type=="a"] && [value==c.value‸+"x"] => permit();`), []string{"'+' expecting {',', ']'} … AppendString"}},
		{"attribute store", issuance(`c:[type=="a"] => issue(‸store="Active Directory", types=("b"), query=";mail;{0}", param=c.value);`),
			[]string{`'store' expecting {'claim', 'type', 'value', 'valueType', 'issuer'} … there are no attribute stores`}},
		{"attribute store in add", issuance(`c:[type=="a"] => add(type="b", value=c.value, ‸query="x");`), []string{`'query' expecting {'type', 'value', 'valueType', 'issuer'} … there are no attribute stores`}},
		{"the claim that AD FS templates pass through", issuance(`c:[Type == "a", Issuer == "AttestationService"] => issue(Type = "b", Issuer = ‸c.Issuer, ‸OriginalIssuer = c.OriginalIssuer, Value = c.Value, ValueType = ‸c.ValueType);`),
			[]string{`'c' expecting '"AttestationPolicy"'`, `'OriginalIssuer' expecting {'type', 'value', 'valueType', 'issuer'} … these four properties only`, `'c' expecting {'"String"', '"Integer"', '"Boolean"'}`}},
		{"rule name", auth("‸@RuleName = \"x\" [type==\"a\"] => permit();"), []string{`'@' expecting {'=>', Ident, '[', '}'} … not part of the language`}},
		{"or", auth(`[type=="a"] ‸|| [type=="b"] => permit();`), []string{`'||' expecting … '&&' … cannot be joined by or: write one rule for each case`}},
		{"or in words", auth(`[type=="a"] ‸OR [type=="b"] => permit();`), []string{`'OR' expecting {'&&', '=>'}: conditions cannot be joined by or: write one rule for each case`}},
		{"and in words", auth(`[type=="a"] ‸and c:[type=="b"] => permit();`), []string{`'and' expecting {'&&', '=>'}: conditions are joined with '&&'`}},
		{"or inside brackets", auth(`[type=="a" ‸|| type=="b"] => permit();`), []string{`'||' expecting {',', ']'}: conditions cannot be joined by or`}},
		{"and inside brackets", auth(`[type=="a" ‸&& value==1] => permit();`), []string{`'&&' expecting {',', ']'}: the tests of a condition are joined with ','`}},
		{"parenthesised conditions", auth(`‸([type=="a"] && [type=="b"]) => permit();`), []string{`'(' expecting {'=>', Ident, '[', '}'}: conditions are not grouped by parentheses`}},
		{"parenthesised or", auth(`[type=="c"] && ‸([type=="a"] ‸|| [type=="b"]) => permit();`), []string{`'(' expecting {Ident, '['}`, `'||' … write one rule`}},
		{"parentheses for brackets", auth(`c:‸(type=="a") => permit();`), []string{`'(' expecting '['`}},
		{"every claim", issuance(`c:[‸] => issue(claim=c);`), []string{`']' expecting {'type', 'value', 'valueType', 'issuer'}: a condition has at least one test`}},
		{"function of AD FS", issuance12(`c:[type=="a"] => issue(type="b", value=‸RegExReplace(c.value, "a", "b"));`), []string{`unknown function 'RegExReplace', expecting {'AppendString' … JmesPath has functions for strings`}},
		{"claim by its short name", issuance(`c:[type=="a"] => issue(‸c);`), []string{`'c' expecting {'claim', 'type', 'value', 'valueType', 'issuer'}: to copy the claims of a label write claim=c`}},
		{"part of a copy", issuance(`c:[type=="a"] => issue(claim=c‸.value);`), []string{`'.' expecting ')': a copy takes the whole claims of one label`}},
		{"copy of a string", issuance(`c:[type=="a"] => issue(claim=‸"c");`), []string{`'"c"' expecting Ident`}},
	})
}

// TestHabitsOfOtherLanguages: Rego, JSON, C#, SQL and the like.
func TestHabitsOfOtherLanguages(t *testing.T) {
	testMistakes(t, []mistake{
		{"single quotes", auth(`[type==‸'a', value==‸'b'] => permit();`), []string{`''a'' expecting String: ' is not a quote of the language`, `''b'' expecting String`}},
		{"backticks", auth("[type==‸`a`] => permit();"), []string{"'`a`' expecting String: ` is not a quote of the language"}},
		{"assignment for comparison", auth(`[type‸="a", value‸=true] => permit();`), []string{`'=' expecting {'==', '!=', '<', '<=', '>', '>='}: a condition compares with '=='`, `'=' expecting`}},
		{"comparison for assignment", issuance(`=> issue(type‸=="a", value‸==1);`), []string{`'==' expecting '=': an assignment is written with one '='`, `'==' expecting '='`}},
		{"colons", auth(`[type‸: "a", value‸: 1] => permit();`), []string{`':' expecting {'==', '!=', '<', '<=', '>', '>='}: a condition compares with '=='`, `':' expecting`}},
		{"colons in an action", issuance(`=> issue(type‸: "a", value‸: 1);`), []string{`':' expecting '='`, `':' expecting '='`}},
		{"three equals signs", auth(`[type‸==="a"] => permit();`), []string{`'===' expecting '==': a condition compares with '=='`}},
		{"unequal in SQL", auth(`[type=="a", value‸<>1] => permit();`), []string{`'<>' expecting '!='`}},
		{"less or equal the wrong way round", auth(`[type=="a", value‸=<1] => permit();`), []string{`'=<' expecting '<='`}},
		{"greater or equal the wrong way round", auth(`[type=="a", value‸=>1] => permit();`), []string{`'=>' expecting {'==', '!=', '<', '<=', '>', '>='}: write '>='`}},
		{"equality in words", auth(`[type ‸is "a", value ‸eq 1] => permit();`), []string{`'is' expecting {'==' … compares with '=='`, `'eq' expecting {'=='`}},
		{"several values", auth(`[type=="a", value ‸in ("x", "y")] => permit();`), []string{`'in' expecting {'==' … one rule for each`}},
		{"list of values", auth(`[type=="a", value==‸["x", "y"]] => permit();`), []string{`'[' expecting {String, Integer, 'true', 'false', Ident}: there are no lists`}},
		{"pattern", auth(`[type ‸like "x%", value==1] => permit();`), []string{`'like' expecting {'==' … whole values only`}},
		{"value first", auth(`[‸"a" == type] => permit();`), []string{`'"a"' expecting {'type', 'value', 'valueType', 'issuer'}`}},
		{"label on the left", auth(`c:[type=="a"] && [‸c.value == 1] => permit();`), []string{`'c' expecting {'type', 'value', 'valueType', 'issuer'}: a test begins with a property`}},
		{"label without brackets", auth(`c:[type=="a"] && c‸.value == 1 => permit(); => ‸x();`), []string{`'.' expecting ':': a label is written as in c:[type=="a"]`, `'x' expecting`}},
		{"negation inside the bracket", auth12(`[‸!type=="a"] => permit();`), []string{`'!' expecting {'type' … '!' stands before the bracket`}},
		{"null", auth(`[type=="a", value!=‸null] => permit();`), []string{`'null' expecting {String, Integer, 'true', 'false', Ident}: there is no null`}},
		{"boolean as a call", auth(`[type=="a", value==True‸()] => permit();`), []string{`'(' expecting {',', ']'}: 'True' is a value and has no parentheses`}},
		{"hash comment", auth("‸# comment; with => things\n=> permit();"), []string{"begins no comment: a comment is '//' to the end of the line"}},
		{"block comment", auth("‸/* two\nlines */ => ‸x();"), []string{"block comments are not part of the language: a comment is '//'", `'x' expecting {'permit'`}},
		{"hexadecimal", auth(`[type=="a", value==‸0xFF] => permit();`), []string{`'0xFF' expecting Integer: '0xFF' is not a decimal integer, write 255`}},
		{"digits in groups", auth(`[type=="a", value==‸1_000] => permit();`), []string{`'1_000' expecting Integer … write 1000`}},
		{"fraction", auth(`[type=="a", value==‸1.5, value==-‸.5] => permit();`), []string{`'1.5' expecting Integer: numbers have no fraction`, `'.' expecting Integer`}},
		{"exponent", auth(`[type=="a", value==‸1e3] => permit();`), []string{`'1e3' expecting Integer`}},
		{"integer beyond 64 bits", auth(`[type=="a", value==‸9223372036854775808, value==-‸9223372036854775809] => permit();`), []string{"the integer 9223372036854775808 does not fit in 64 bits, expecting -9223372036854775808 to 9223372036854775807", "the integer -9223372036854775809 does not fit"}},
		{"plus sign", auth(`[type=="a", value==‸+5] => permit();`), []string{`'+' expecting {String, Integer`}},
		{"if", auth(`‸if ([type=="a"]) { permit(); } => permit();`), []string{`'if' expecting {'=>' … conditions => action;`}},
		{"thin arrow", auth(`[type=="a"] ‸-> permit();`), []string{`'->' expecting '=>': the arrow of a rule is '=>'`}},
		{"arrow with two lines", auth(`[type=="a"] ‸==> permit();`), []string{`'==>' expecting '=>'`}},
		{"greater or equal for the arrow", auth(`[type=="a"] ‸>= permit();`), []string{`'>=' expecting {'&&', '=>'}: the arrow of a rule is '=>'`}},
		{"then", auth(`[type=="a"] ‸then permit();`), []string{`'then' expecting {'&&', '=>'}: the arrow of a rule is '=>'`}},
		{"assignment of Rego", issuance(`=> issue(type‸:="a", value=1);`), []string{`':=' expecting '=': an assignment is written with '='`}},
		{"a word for permit", auth("=> ‸allow();"), []string{"'allow' expecting {'permit', 'deny', 'add', 'issue'}: the actions of authorizationrules; did you mean 'permit'?"}},
		{"permit as in JSON", auth("‸\"permit\": true;"), []string{`'"permit"' expecting {'=>', Ident, '[', '}'}`}},
		{"template placeholder", auth(`[type=="a", value==‸<product-id>] && [type=="b", value==‸<svn>] => permit();`), []string{`'<' expecting {String … a placeholder has to be replaced by a value`, `'<' expecting {String`}},
		{"arithmetic", auth(`c:[type=="a"] && [value==c.value ‸* 2] => permit();`), []string{`'*' expecting {',', ']'}: the language does not calculate`}},
		{"a variable", issuance(`=> issue(type="a", value=‸$x);`), []string{`'$' expecting {String`}},
		{"a query outside quotes", issuance12(`c:[type=="events"] => issue(type="a", value=JmesPath(c.value, ‸Events[0]));`), []string{`'Events' expecting {String, Integer, 'true', 'false', Ident}`}},
	})
}
