package policy_test

import (
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/assay-attestation/assay/policy"
)

func TestMistakesOfCharacters(t *testing.T) {
	testMistakes(t, []mistake{
		{"typographic quotes", auth(`[type==‸“a”, value==‸”b“] => permit();`), []string{`'“a”' expecting String: “ is not a quote of the language: strings stand between '"'`, `'”b“' expecting String`}},
		{"typographic quote at the end", auth(`[type==‸"a”] => permit();`), []string{`'"a”' expecting String: the string is not closed on its line: ” is a typographic quote, '"' is expected`}},
		{"typographic quote at the beginning", auth(`[type==‸“a"] => permit();`), []string{`'“a"' expecting String`}},
		{"typographic quotes at two ends", auth(`[type==‸"a”, value==‸"b”] && [type=="c"] => ‸x();`), []string{`'"a”' expecting String: a typographic quote does not close it`, `'"b”' expecting String`, `'x' expecting`}},
		{"German quotes", auth(`[type==‸„a“] => permit();`), []string{`'„a“' expecting String: „ is not a quote of the language`}},
		{"typographic single quotes", auth(`[type==‸‘a’] => permit();`), []string{`'‘a’' expecting String: ‘ is not a quote of the language`}},
		{"French quotes", auth(`[type==‸«a»] => permit();`), []string{`'«a»' expecting String: « is not a quote of the language`}},
		{"everything in typographic quotes", "version=1.0;\nauthorizationrules\n{\n  c:[type==‸“a”, value==‸“b”] => permit();\n};\nissuancerules\n{\n  c:[type==‸“a”] => issue(type=‸“b”, value=c.value);\n};",
			[]string{`'“a”' expecting String`, `'“b”' expecting String`, `'“a”' expecting String`, `'“b”' expecting String`}},
		{"string not closed", auth(`[type==‸"a, value==1] => ‸x();`), []string{`'"a' expecting String: the string is not closed on its line, '"' is expected`, `'x' expecting`}},
		{"string not closed before another", auth(`[type==‸"a, value=="b"] => ‸x();`), []string{`'"a' expecting String: the string ends before 'b'`, `'x' expecting`}},
		{"string not closed in an action", issuance(`=> issue(type=‸"a, value="b"); => ‸x();`), []string{`expecting String: the string ends before 'b'`, `'x' expecting`}},
		{"string not closed at the end of a line", auth("[type==‸\"a,\nvalue==‸\"b ]\n=> permit();"), []string{`'"a' expecting String: the string is not closed on its line, '"' is expected`, `'"b ' expecting String`}},
		{"quote too many", auth(`[type==‸""a", value==1] => ‸"permit();`), []string{`'""' expecting String: the string ends before 'a'`, `'"' expecting {'permit', 'deny', 'add', 'issue'}`}},
		{"string not closed in a call", issuance12(`c:[type=="a"] => issue(type="b", value=JsonToClaimValue(JmesPath(c.value, ‸"x[0].y))); => ‸x();`), []string{`'"x[0].y' expecting String: the string is not closed on its line`, `'x' expecting`}},
		{"quotes inside a query", issuance12(`c:[type=="a"] => issue(type="b", value=JsonToClaimValue(JmesPath(c.value, ‸"[?a == "b"] | length(@)"))); => ‸x();`), []string{`'"[?a == "' expecting String: the string ends before 'b': its closing '"' is missing, or one inside it stands without backslash`, `'x' expecting`}},
		{"string over two lines", auth("[type==‸\"a\nb\"] => ‸x();"), []string{`expecting String: the string is not closed on its line: a string does not go over several lines`, `'x' expecting`}},
		{"query over several lines", issuance12("c:[type==\"a\"] => issue(type=\"b\", value=JmesPath(c.value, ‸\"Events[?a == 'b'\n && c]\n | length(@)\")); => ‸x();"), []string{`a string does not go over several lines`, `'x' expecting`}},
		{"dash for minus", auth(`[type=="a", value==‸–5] => permit();`), []string{`'–' expecting '-': this dash is not the minus sign of the keyboard`}},
		{"minus of mathematics", auth(`[type=="a", value==‸−5] => permit();`), []string{`'−' expecting '-'`}},
		{"arrow as one character", auth(`[type=="a"] ‸⇒ permit();`), []string{`'⇒' expecting '=>': the arrow of a rule is '=>'`}},
		{"unequal as one character", auth(`[type ‸≠ "a"] => permit();`), []string{`'≠' expecting '!=': write '!='`}},
		{"no-break space", auth("[type==\"a\"]‸\u00A0=>‸\u00A0permit();"), []string{"the character U+00A0 (no-break space) is not white space of the language, which is space, tab and line break", "U+00A0"}},
		{"zero-width space", auth("[type‸\u200B==\"a\"] => permit();"), []string{"the character U+200B (zero-width space) is not white space"}},
		{"zero-width space inside a word", auth("[‸ty\u200Bpe==\"a\"] => permit();"), []string{"expecting {'type' … the character U+200B (zero-width space) is not part of the language … did you mean 'type'?"}},
		{"byte-order mark in the middle", "version=1.0;\n‸\uFEFFauthorizationrules { => permit(); };", []string{"the character U+FEFF (byte-order mark) is not white space"}},
		{"ideographic space", auth("‸\u3000=> permit();"), []string{"the character U+3000 (ideographic space) is not white space"}},
		{"line separator", auth("=> permit();‸\u2028=> ‸x();"), []string{"the character U+2028 (line separator) is not white space", "'x' expecting"}},
		{"NUL", auth("‸\x00=> permit();"), []string{"the character U+0000 (NUL) is not white space"}},
		{"full-width punctuation", auth("[type==\"a\"‸， value==1‸］ => permit‸（‸）‸；"), []string{"'，' expecting ',': this is the full-width form of ','", "'］' expecting ']'", "'（' expecting '('", "'）' expecting ')'", "'；' expecting ';'"}},
		{"full-width operators", auth("[type‸＝＝\"a\"] ‸＆＆ [type==\"b\"] ‸＝＞ permit();"), []string{"'＝＝' expecting '=='", "'＆＆' expecting '&&'", "'＝＞' expecting '=>'"}},
		{"Cyrillic letter in a keyword", "version=1.0;\n‸\u0430uthorizationrules { => permit(); };", []string{"expecting … the character 'а' (U+0430) is not part of the language … did you mean 'authorizationrules'?"}},
		{"Cyrillic letter in the middle", auth("[‸typ\u0435==\"a\"] => permit();"), []string{"the character 'е' (U+0435) is not part of the language … did you mean 'type'?"}},
		{"label of other letters", auth(`‸größe:[type=="a"] => permit();`), []string{`'größe' expecting Ident: the character 'ö' (U+00F6) is not part of the language`}},
		{"escaped for JSON", `version=1.0;‸\nauthorizationrules { [type==‸\"a\"] => permit(); };`, []string{"a backslash has a meaning in strings only; the text may be escaped for JSON", `'\"a\"' expecting String: \" is not a quote of the language`}},
		{"escaped for HTML", auth(`[type=="a"] ‸&amp;&amp; [type=="b"] ‸=&gt; permit();`), []string{"'&amp;&amp;' expecting '&&': the text is escaped for HTML", "'=&gt;' expecting '=>': the text is escaped for HTML"}},
		{"escaped for Markdown", auth(`‸\[type=="a"‸\] => permit();`), []string{"a backslash has a meaning in strings only", "a backslash"}},
		{"control character", auth("‸\x1b[1m => permit();"), []string{`expecting {'=>', Ident, '[', '}'}: '\x1b' is not part of the language`}},
	})
}

func TestTextsThatAreNoPolicies(t *testing.T) {
	const text = "version=1.0;\nauthorizationrules { => permit(); };"
	jws := "eyJhbGciOiJub25lIn0.eyJBdHRlc3RhdGlvblBvbGljeSI6ImRtVnljMmx2YmowIn0."
	testMistakes(t, []mistake{
		{"empty", "‸", []string{"'<EOF>' expecting 'version': the text is empty"}},
		{"white space", " \n\n ‸", []string{"'<EOF>' expecting 'version': the text is empty"}},
		{"comments only", "// version=1.0;\n// later\n‸", []string{"'<EOF>' expecting 'version': the text has comments only"}},
		{"JWS", "‸" + jws, []string{"expecting 'version': the text is a compact JWS: expecting the policy text"}},
		{"JWS in quotes", "‸\"" + jws + "\"\n", []string{"expecting 'version': the text is a compact JWS"}},
		{"base64", "‸dmVyc2lvbj0xLjA7CmF1dGhvcml6YXRpb25ydWxlcyB7ID0-IHBlcm1pdCgpOyB9Ow", []string{"expecting 'version': the text is in base64"}},
		{"JSON", "‸{\n  \"version\": \"1.0\",\n  \"authorizationrules\": [\"permit\"]\n}", []string{"'{' expecting 'version': the text is JSON"}},
		{"HTML", "‸<!DOCTYPE html>\n<html><body>version=1.0;</body></html>", []string{"'<' expecting 'version': the text is HTML"}},
		{"PEM", "‸-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", []string{"expecting 'version': the text is in PEM"}},
		{"Rego", "‸package attestation\n\ndefault allow = false\nallow { input.debug == false }", []string{"'package' expecting 'version': a policy begins with its version"}},
		{"C#", "‸if (claims.Debug) { return false; }", []string{"'if' expecting 'version'"}},
		{"policy in a fence of Markdown", "‸```policy\n" + text + "\n‸```\n", []string{"``` is of Markdown and not of the policy: delete the line", "``` is of Markdown"}},
		{"policy with a heading", "‸# My policy\n" + text, []string{"'#' begins no comment"}},
		{"policy in a string of JSON", "‸\"version=1.0;\\nauthorizationrules { => permit(); };\"", []string{"expecting 'version'"}},
	})
}

func TestUTF16IsCalledByItsName(t *testing.T) {
	units := utf16.Encode([]rune("version=1.0;\r\nauthorizationrules { => permit(); };"))
	for _, withMark := range []bool{false, true} {
		for _, big := range []bool{false, true} {
			var b strings.Builder
			all := units
			if withMark {
				all = append([]uint16{0xFEFF}, units...)
			}
			for _, u := range all {
				low, high := byte(u), byte(u>>8)
				if big {
					low, high = high, low
				}
				b.Write([]byte{low, high})
			}
			_, err := policy.Parse([]byte(b.String()))
			if err == nil || !strings.Contains(err.Error(), "the text is UTF-16, expecting UTF-8") || !strings.Contains(err.Error(), "Line: '1', Column: '1'") {
				t.Errorf("mark %t, big-endian %t: %v", withMark, big, err)
			}
		}
	}
}
