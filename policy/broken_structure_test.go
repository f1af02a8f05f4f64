package policy_test

import "testing"

func TestMistakesInsideRules(t *testing.T) {
	testMistakes(t, []mistake{
		{"tests without comma", auth(`[type=="a" ‸value==1] => permit();`), []string{`'value' expecting {',', ']'}`}},
		{"semicolon for the comma", auth(`[type=="a"‸; value==1] => permit();`), []string{`';' expecting {',', ']'}`}},
		{"comma at the end", auth(`[type=="a",‸] => permit();`), []string{`']' expecting {'type', 'value', 'valueType', 'issuer'}: no ',' stands behind the last one`}},
		{"comma at the beginning", auth(`[‸, type=="a"] => permit();`), []string{`',' expecting {'type', 'value', 'valueType', 'issuer'}`}},
		{"comma at the end of an action", issuance(`=> issue(type="a", value=1,‸);`), []string{`')' expecting {'type' … no ',' stands behind the last one`}},
		{"assignments without comma", issuance(`=> issue(type="a" ‸value=1);`), []string{`'value' expecting {',', ')'}`}},
		{"bracket not closed", auth(`[type=="a" ‸=> permit();`), []string{`'=>' expecting {',', ']'}`}},
		{"bracket not closed before the next condition", auth(`[type=="a" ‸&& [type=="b"] => permit();`), []string{`'&&' expecting {',', ']'}`}},
		{"bracket not opened", auth(`‸type=="a"] => permit();`), []string{`'type' expecting {'=>', Ident, '[', '}'}: the tests of a condition stand in brackets`}},
		{"bracket not opened behind a label", auth(`c:‸type=="a"] => permit();`), []string{`'type' expecting '['`}},
		{"bracket twice", auth(`[type=="a"]‸] => permit();`), []string{`']' expecting {'&&', '=>'}`}},
		{"braces for brackets", auth(`c:‸{type=="a"} => permit();`), []string{`'{' expecting '['`}},
		{"label without colon", auth(`c‸[type=="a"] && [value==c.value] => permit();`), []string{`'[' expecting ':': a label is written as in c:[type=="a"]`}},
		{"label with equals", auth(`c‸=[type=="a"] && [value==c.value] => permit();`), []string{`'=' expecting ':'`}},
		{"conditions without and", auth(`[type=="a"] ‸[type=="b"] => permit();`), []string{`'[' expecting {'&&', '=>'}`}},
		{"conditions with a comma", auth(`[type=="a"]‸, [type=="b"] => permit();`), []string{`',' expecting {'&&', '=>'}: conditions are joined with '&&'`}},
		{"one ampersand", auth(`[type=="a"] ‸& [type=="b"] => permit();`), []string{`'&' expecting '&&'`}},
		{"semicolon before the arrow", auth(`[type=="a"]‸; => permit();`), []string{`';' expecting {'&&', '=>'}: the rule has no action yet`}},
		{"no arrow", auth(`[type=="a"] ‸permit();`), []string{`'permit' expecting {'&&', '=>'}`}},
		{"no arrow and no conditions", auth(`‸permit();`), []string{`'permit' expecting {'=>', Ident, '[', '}'}: an action stands behind '=>'`}},
		{"arrow twice", auth(`[type=="a"] => ‸=> permit();`), []string{`'=>' expecting {'permit', 'deny', 'add', 'issue'}`}},
		{"nothing behind the arrow", auth(`[type=="a"] => ‸;`), []string{`';' expecting {'permit', 'deny', 'add', 'issue'}`}},
		{"two actions", auth(`=> permit() ‸&& deny();`), []string{`'&&' expecting ';'`}},
		{"rule without semicolon", auth(`=> permit() ‸=> deny();`), []string{`'=>' expecting ';'`}},
		{"last rule without semicolon", "version=1.0;\nauthorizationrules {\n=> permit()\n‸};", []string{`'}' expecting ';'`}},
		{"two semicolons", auth(`=> permit();‸; => deny();`), []string{`';' expecting {'=>', Ident, '[', '}'}: one ';' ends a rule`}},
		{"permit without parentheses", auth("=> permit‸;"), []string{`';' expecting '('`}},
		{"permit with an argument", auth(`=> permit(‸type="a");`), []string{`'type' expecting ')': permit takes no argument`}},
		{"deny with an argument", auth(`=> deny(‸"no debug");`), []string{`'"no debug"' expecting ')': deny takes no argument`}},
		{"parenthesis twice", auth(`=> permit()‸);`), []string{`')' expecting ';'`}},
		{"parenthesis not closed", issuance(`=> issue(type="a", value=1‸; => issue(type=‸2, value=2);`), []string{`';' expecting {',', ')'}`, `'2' expecting String`}},
		{"positional argument", issuance(`=> issue(‸"a", value=true);`), []string{`'"a"' expecting {'claim', 'type', 'value', 'valueType', 'issuer'}`}},
		{"nothing issued", issuance(`=> issue(‸);`), []string{`')' expecting {'claim', 'type', 'value', 'valueType', 'issuer'}`}},
		{"text without quotes", auth(`[type==‸x-ms-sgx-svn, value==‸4aea5f] => ‸x();`), []string{`'x' expecting {String … a string stands between '"'`, `'4aea5f' is not a decimal integer; a string stands between '"'`, `'x' expecting`}},
		{"or between values", auth(`[type=="a", value=="x" ‸|| "y"] => ‸x();`), []string{`'||' expecting {',', ']'}: conditions cannot be joined by or`, `'x' expecting`}},
		{"property of a function", issuance12(`c:[type=="a"] => issue(type="b", value=JmesPath(c.value, "x")‸.value); => ‸x();`), []string{`'.' expecting {',', ')'}: what a function gives is a value and has no properties`, `'x' expecting`}},
		{"label without property", issuance(`c:[type=="a"] => issue(type="b", value=‸c);`), []string{`'c' expecting {String, Integer, 'true', 'false', Ident}: a string stands between '"', a label is followed by a property, as in c.value`}},
		{"unknown property of a label", issuance(`c:[type=="a"] => issue(type="b", value=c.‸name);`), []string{`'name' expecting {'type', 'value', 'valueType', 'issuer'}`}},
		{"property without label", issuance(`c:[type=="a"] => issue(type="b", value=‸value);`), []string{`'value' expecting {String … a property has a label before it, as in c.value`}},
		{"reserved word as label", auth(`‸Value:[type=="a"] && [value==‸Value.value] => permit();`), []string{`'Value' expecting {'=>', Ident, '[', '}'}: a reserved word cannot be a label`, `'Value' expecting {String, Integer, 'true', 'false', Ident}: a reserved word cannot be a label`}},
		{"issue in configurationrules", configured(`=> ‸issue(type="a", value=1);`), []string{`'issue' expecting 'issueproperty': the actions of configurationrules`}},
		{"permit in issuancerules", issuance(`=> ‸permit();`), []string{`'permit' expecting {'add', 'issue', 'issueproperty'}: the actions of issuancerules; authorizationrules decide`}},
		{"argument missing", issuance12(`c:[type=="a"] => issue(type="b", value=‸JmesPath(c.value));`), []string{`found 1 argument, expecting JmesPath(json, query)`}},
		{"argument too many", issuance12(`c:[type=="a"] => issue(type="b", value=‸NegateBool(c.value, true));`), []string{`found 2 arguments, expecting NegateBool(value)`}},
		{"call not closed", issuance12(`c:[type=="a"] => issue(type="b", value=NegateBool(c.value‸;`), []string{`';' expecting {',', ')'}`}},
		{"function without parentheses", issuance12(`c:[type=="a"] => issue(type="b", value=NegateBool ‸c.value));`), []string{`'c' expecting '(': a function has its arguments in parentheses`}},
		{"arguments without comma", issuance12(`c:[type=="a"] => issue(type="b", value=AppendString(c.value ‸"x"));`), []string{`'"x"' expecting {',', ')'}`}},
	})
}

func TestMisspelledWords(t *testing.T) {
	testMistakes(t, []mistake{
		{"authorisationrules", "version=1.0;\n‸authorisationrules { => permit(); };", []string{"'authorisationrules' expecting {'configurationrules', 'authorizationrules', 'issuancerules', '<EOF>'}: did you mean 'authorizationrules'?"}},
		{"issuancerule", "version=1.0;\nauthorizationrules { => permit(); };\n‸issuancerule { => issue(type=‸1, value=1); };", []string{"'issuancerule' … did you mean 'issuancerules'?", "'1' expecting String"}},
		{"configrules", "version=1.1;\n‸configrules { };\nauthorizationrules { => permit(); };", []string{"'configrules' … did you mean 'configurationrules'?"}},
		{"verison", "‸verison=1.0;\nauthorizationrules { => permit(); };", []string{"'verison' expecting 'version': did you mean 'version'?"}},
		{"isssue and permitt", "version=1.0;\nauthorizationrules { => ‸permitt(); };\nissuancerules { => ‸isssue(type=\"a\", value=1); };", []string{"'permitt' … did you mean 'permit'?", "'isssue' … did you mean 'issue'?"}},
		{"issueprop", configured(`=> ‸issueprop(type="required_pcr_mask", value=15);`), []string{"'issueprop' expecting 'issueproperty' … did you mean 'issueproperty'?"}},
		{"typ, vale and issuers", auth(`[‸typ=="a", ‸vale==1, ‸issuers=="AttestationService"] => permit();`), []string{"'typ' … did you mean 'type'?", "'vale' … did you mean 'value'?", "'issuers' … did you mean 'issuer'?"}},
		{"value_type", issuance(`=> issue(type="a", value=1, ‸value_type="Integer");`), []string{"'value_type' … did you mean 'valueType'?"}},
		{"function in lower case", issuance12(`c:[type=="a"] => issue(type="b", value=‸jmespath(c.value, "x"));`), []string{"unknown function 'jmespath' … case-sensitive: expecting 'JmesPath'"}},
		{"function in upper case", issuance12(`c:[type=="a"] => issue(type="b", value=‸JMESPath(c.value, "x"));`), []string{"unknown function 'JMESPath' … expecting 'JmesPath'"}},
		{"misspelled function", issuance12(`c:[type=="a"] => issue(type="b", value=‸JsonToClaimsValue(c.value));`), []string{"unknown function 'JsonToClaimsValue' … did you mean 'JsonToClaimValue'?"}},
		{"function without its opening parenthesis", issuance12(`c:[type=="a"] && [value==NegateBool ‸c.value)] => issue(type="b", value=JsonToClaimValue ‸c.value)); => ‸x();`),
			[]string{"'c' expecting '(': a function has its arguments in parentheses", "'c' expecting '('", "'x' expecting"}},
		{"function of another language", issuance12(`c:[type=="a"] => issue(type="b", value=‸concat(c.value, "x"));`), []string{"unknown function 'concat', expecting {'AppendString', 'ContainsOnlyValue' … AppendString joins two strings"}},
		{"label in other case", auth(`claim1:[type=="a"] && [value==‸Claim1.value] => permit();`), []string{"no earlier condition of this rule has the label 'Claim1': did you mean 'claim1'?"}},
		{"true in other words", auth(`[type=="a", value==‸yes] => permit();`), []string{"'yes' expecting {String, Integer, 'true', 'false', Ident}"}},
		{"nothing alike", "version=1.0;\n‸rules { => permit(); };\nauthorizationrules { => permit(); };", []string{"'rules' expecting {'configurationrules', 'authorizationrules', 'issuancerules', '<EOF>'}"}},
	})
}

func TestMistakesOfVersionsAndSections(t *testing.T) {
	const rest = "\nauthorizationrules { => permit(); };"
	testMistakes(t, []mistake{
		{"no minor", "version=1‸;" + rest, []string{"';' expecting '.' … as in version=1.0;"}},
		{"later version", "version=‸1.3;" + rest, []string{"version 1.3 is unknown, expecting 1.0, 1.1 or 1.2"}},
		{"version in quotes", "version=‸\"1.0\";" + rest, []string{`'"1.0"' expecting Integer … as in version=1.0;`}},
		{"three numbers", "version=1.0‸.0;" + rest, []string{"'.' expecting ';'"}},
		{"letter", "version=‸v1.0;" + rest, []string{"'v1' expecting Integer"}},
		{"no equals sign", "version ‸1.0;" + rest, []string{"'1' expecting '='"}},
		{"colon", "version‸: 1.0;" + rest, []string{"':' expecting '='"}},
		{"two equals signs", "version‸==1.0;" + rest, []string{"'==' expecting '='"}},
		{"no semicolon", "version=1.0\n‸authorizationrules { => permit(); };", []string{"'authorizationrules' expecting ';'"}},
		{"comma", "version=1.0‸," + rest, []string{"',' expecting ';'"}},
		{"two semicolons", "version=1.0;‸;" + rest, []string{"';' expecting {'configurationrules' … one ';' is enough"}},
		{"no version", "‸authorizationrules { => ‸x(); };", []string{"'authorizationrules' expecting 'version': a policy begins with its version", "'x' expecting"}},
		{"version behind the sections", "‸authorizationrules { => permit(); };\nversion=1.0;", []string{"'authorizationrules' expecting 'version'"}},
		{"version twice", "version=1.0;\n‸version=1.1;" + rest, []string{"'version' expecting {'configurationrules' … stands once"}},
		{"rules outside a section", "version=1.0;\n‸=> permit();" + rest, []string{"'=>' expecting {'configurationrules', 'authorizationrules', 'issuancerules', '<EOF>'}: a rule stands inside the braces of a section"}},
		{"rules outside and no section", "version=1.0;\n‸[type==\"a\"] => permit();", []string{"'[' expecting {'configurationrules'"}},
		{"rules behind a section", "version=1.0;" + rest + "\n‸c:[type==\"a\"] => issue(claim=c);", []string{"'c' expecting {'configurationrules' … inside the braces"}},
		{"section twice", "version=1.0;" + rest + "\n‸authorizationrules { => ‸x(); };", []string{"authorizationrules stands twice, first at line 2: expecting one", "'x' expecting"}},
		{"sections in another order", "version=1.1;\nissuancerules { };\n‸authorizationrules { };\n‸configurationrules { };", []string{"authorizationrules must stand before issuancerules", "configurationrules must stand before issuancerules"}},
		{"no authorizationrules", "version=1.0;\nissuancerules { => issue(type=‸1, value=1); };‸", []string{"'1' expecting String", "'<EOF>' expecting 'authorizationrules'"}},
		{"configuration in version 1.0", "version=1.0;\n‸configurationrules { };" + rest, []string{"configurationrules needs version 1.1, this policy has version 1.0"}},
		{"no semicolon behind a section", "version=1.0;\nauthorizationrules { => permit(); }\n‸issuancerules { };", []string{"'issuancerules' expecting ';'"}},
		{"no semicolon at the end", "version=1.0;\nauthorizationrules { => permit(); }‸", []string{"'<EOF>' expecting ';'"}},
		{"section not closed", "version=1.0;\nauthorizationrules { => permit();\n‸issuancerules { };", []string{"'issuancerules' expecting '}'"}},
		{"section not opened", "version=1.0;\nauthorizationrules\n‸=> permit();\n};", []string{"'=>' expecting '{'"}},
		{"section with parentheses", "version=1.0;\nauthorizationrules ‸( => permit(); );", []string{"'(' expecting '{'"}},
		{"section with a colon", "version=1.0;\nauthorizationrules‸: { => permit(); };", []string{"':' expecting '{'"}},
		{"brace too many", "version=1.0;" + rest + "\n‸};\nissuancerules { => issue(type=‸1, value=1); };", []string{"'}' expecting {'configurationrules' … no section is open here", "'1' expecting String"}},
		{"text behind the end", "version=1.0;" + rest + "\n‸end", []string{"'end' expecting {'configurationrules', 'authorizationrules', 'issuancerules', '<EOF>'}"}},
		{"function in version 1.1", issuance(`=> issue(type="a", value=‸AppendString("a", AppendString("b", "c")));`), []string{"the function call 'AppendString(...)' needs version 1.2, this policy has version 1.1"}},
		{"unknown function in version 1.0", auth(`[value==‸upper("a")] => permit();`), []string{"unknown function 'upper', expecting {'AppendString' … needs version 1.2, this policy has version 1.0"}},
		{"negation in version 1.1", issuance(`‸![type=="a"] => issue(type="a", value=1);`), []string{"'!' before a condition needs version 1.2, this policy has version 1.1"}},
	})
}

func TestMistakesOfLabelsAndTypes(t *testing.T) {
	testMistakes(t, []mistake{
		{"label twice", auth(`c:[type=="a"] && ‸c:[type=="b"] => permit();`), []string{"the label 'c' is already that of the condition at line 2, column 22, expecting another name"}},
		{"label of a later condition", auth(`[value==‸c.value] && c:[type=="a"] => permit();`), []string{"no earlier condition of this rule has the label 'c': that at line 2, column 42 stands later"}},
		{"label in its own brackets", auth(`c:[type=="a", value==‸c.value] => permit();`), []string{"no earlier condition of this rule has the label 'c': it is that of this condition itself"}},
		{"label of another rule", issuance(`c:[type=="a"] => issue(claim=c); d:[type=="b"] => issue(claim=‸c);`), []string{"no earlier condition of this rule has the label 'c', expecting d"}},
		{"label of a negated condition", auth12(`!c:[type=="a"] && [value==‸c.value] => permit();`), []string{"the label 'c' is bound to nothing: its condition at line 2 is negated"}},
		{"forged issuer", issuance(`=> issue(type="a", value=1, issuer=‸"AttestationService");`), []string{`'"AttestationService"' expecting '"AttestationPolicy"': a rule issues in no other name`}},
		{"type of another value", issuance(`=> issue(type="a", value="1", valueType=‸"Integer");`), []string{`'"Integer"' expecting '"String"', the type of the value`}},
		{"unknown type of a value", issuance(`=> issue(type="a", value=1, valueType=‸"int");`), []string{`'"int"' expecting {'"String"', '"Integer"', '"Boolean"'}`}},
		{"value missing", issuance(`=> ‸issue(type="a");`), []string{"issue needs type and value, value is missing"}},
		{"value twice", issuance(`=> issue(type="a", value=1, ‸value=2);`), []string{"value is assigned twice, expecting one value"}},
		{"type no string", issuance(`=> issue(type=‸true, value=1);`), []string{"'true' expecting String: type is a string"}},
		{"order of strings", auth(`[type=="x-ms-sgx-svn", value >= ‸"2"] => permit();`), []string{`'"2"' expecting Integer: '>=' compares integers only`}},
		{"order of types", auth(`[type ‸> "a"] => permit();`), []string{`'>' expecting {'==', '!='}: type is a string and has no order`}},
		{"issuer compared with a boolean", auth(`[issuer==‸true] => permit();`), []string{`'true' expecting String: issuer is a string`}},
	})
}

// TestIndependentErrorsAreAllReported: what is wrong in one place does not hide what is wrong in another.
func TestIndependentErrorsAreAllReported(t *testing.T) {
	testMistakes(t, []mistake{
		{"in one condition", auth12(`c:[‸typ=="a", value‸=1, issuer==‸5, ‸name=="x", value==‸d.value, value>‸"1"] => permit();`),
			[]string{"did you mean 'type'?", "'=' expecting {'=='", "'5' expecting String", "'name' expecting {'type'", "no earlier condition of this rule has the label 'd'", `'"1"' expecting Integer`}},
		{"in one action", issuance(`c:[type=="a"] => issue(type=‸5, valueType=‸"Int", ‸valu=‸d.value, issuer=‸"me");`),
			[]string{"'5' expecting String", `'"Int"' expecting {'"String"'`, "did you mean 'value'?", "no earlier condition of this rule has the label 'd', expecting c", "a rule issues in no other name"}},
		{"in one rule", auth(`[‸foo=="a"] && [value==‸d.value] ‸and ‸![type=="b"] => ‸allow();`),
			[]string{"'foo' expecting {'type'", "the label 'd'", "'and' expecting {'&&', '=>'}", "'!' before a condition needs version 1.2", "did you mean 'permit'?"}},
		{"in one call", issuance12(`c:[type=="a"] => issue(type=JsonToClaimValue(‸JmesPath(‸d.value)), value=‸upper(‸e.value));`),
			[]string{"found 1 argument, expecting JmesPath(json, query)", "the label 'd'", "unknown function 'upper'", "the label 'e'"}},
		{"in each rule", "version=1.1;\nconfigurationrules {\n  => ‸issue(type=\"required_pcr_mask\", value=15);\n};\nauthorizationrules {\n  [type==‸'a'] => permit();\n  ‸exists([type==\"b\"]) => deny();\n  [type==\"c\"] ‸-> permit();\n  [type==\"d\"] => permit()\n‸};\nissuancerules {\n  => issue(type=\"e\", value=‸0x10);\n  c:[type==‸“f”] => issue(claim‸: c);\n  => ‸isue(type=\"g\", value=1)‸,\n};",
			[]string{"'issue' expecting 'issueproperty'", "' is not a quote", "there is no 'exists'", "'->' expecting '=>'", "'}' expecting ';'", "write 16", "“ is not a quote", "':' expecting '='", "did you mean 'issue'?", "',' expecting ';'"}},
		{"in the structure", "‸verison=1.2;\n‸authorisationrules {\n  => ‸allow();\n}\n‸issuancerules ‸=> issue(type=‸1, value=1);\n};\n‸configurationrules { };",
			[]string{"did you mean 'version'?", "did you mean 'authorizationrules'?", "did you mean 'permit'?", "'issuancerules' expecting ';'", "'=>' expecting '{'", "'1' expecting String", "configurationrules must stand before issuancerules"}},
		{"around broken labels", auth12(`c:[type=="a"] && ‸Value:[type=="b"] && [value==c.value] && e:[‸] && [value==‸f.value] => permit();`),
			[]string{"a reserved word cannot be a label", "']' expecting {'type'", "the label 'f'"}},
	})
}
