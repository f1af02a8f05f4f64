package policytest

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/goccy/go-yaml"

	"github.com/assay-attestation/assay/policy"
)

func TestTextIsQuotedWhereYAMLWouldTakeItForSomethingElse(t *testing.T) {
	for text, want := range map[string]string{
		"permit": "permit", "x-ms-sgx-svn": "x-ms-sgx-svn", "The rule at line 8": "The rule at line 8", "B1.c_d-e": "B1.c_d-e",
		"": `""`, "2": `"2"`, "4aea5f": `"4aea5f"`, "1e5": `"1e5"`, "true": `"true"`, "No": `"No"`, "y": `"y"`, "null": `"null"`, "NaN": `"NaN"`,
		"~": `"~"`, "-": `"-"`, "- a": `"- a"`, "a: b": `"a: b"`, "a:": `"a:"`, "a #b": `"a #b"`, "a,b": `"a,b"`, "{a}": `"{a}"`, " a": `" a"`, "a ": `"a "`,
		"a  b": `"a  b"`, `a"b\c`: `"a\"b\\c"`, "a\nb\tc\r": `"a\nb\tc\u000D"`, "$is-debuggable": `"$is-debuggable"`, "größe": `"größe"`,
		"\u2028": `"\u2028"`, "\u0000": `"\u0000"`, "\U000E0001": `"\U000E0001"`, "---": `"---"`, "12:30": `"12:30"`,
	} {
		if got := quote(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// FuzzQuote has any text and number written and read back, as a value and as a name, here and by the YAML library.
func FuzzQuote(f *testing.F) {
	for _, text := range []string{"", "a b", "null", "1", "0x1", "a: b", "\x00\u0085\u2029\ufeff😀", "<<", "=", "2024-01-01", "\\", "'", "%a", "a\r\nb"} {
		f.Add(text, int64(len(text)))
	}
	f.Fuzz(func(t *testing.T, text string, n int64) {
		if !utf8.ValidString(text) || len(text) > written {
			return // claims are text, and lines are bounded
		}
		line := flow([]member{{name: text, members: []member{
			claimMember("a", []string{valueText(policy.StringValue(text)), valueText(policy.IntegerValue(n)), "true"}, true),
			{name: "b", text: valueText(policy.StringValue(text))},
		}}})
		var library map[string]struct {
			A []any
			B string
		}
		if err := yaml.Unmarshal([]byte(line), &library); err != nil || library[text].B != text || library[text].A[0] != text {
			t.Errorf("%q: written as %s, read by the library as %+v, %v", text, line, library, err)
		}
		top, err := parseYAML([]byte(line + "\n"))
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		var claims []member
		if err := claimsVar(&claims)(top.Values[0].Value); err != nil || flow([]member{{name: text, members: claims}}) != line {
			t.Errorf("%q: written as %s, read and written as %s, %v", text, line, flow(claims), err)
		}
	})
}

func TestBlocksAreIndented(t *testing.T) {
	members := []member{{name: "verdict", text: "permit"}, {name: "issued", members: []member{{name: "a b", text: "[1, 2]"}, {name: "c:", text: `""`}}}}
	want := "    verdict: permit\n    issued:\n      a b: [1, 2]\n      \"c:\": \"\""
	if got := strings.Join(block(members, 4), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := flow(members), `{verdict: permit, issued: {a b: [1, 2], "c:": ""}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
