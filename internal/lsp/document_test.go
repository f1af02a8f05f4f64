package lsp_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/lsp"
	"github.com/assay-attestation/assay/policy"
)

const goodPolicy = "version=1.0;\nauthorizationrules\n{\n    [type==\"a\"] => permit();\n};\n"

func TestDiagnosticsFollowTheText(t *testing.T) {
	c := start(t, "{}", "null")
	const uri = "file:///tmp/a%20policy.txt"
	broken := "version=1.0;\nauthorizationrules { [type==\"a\"] => permit() };"
	d := c.open(uri, broken)
	if want := "1:45-1:46 1 PolicyParsingError mismatched input '}' expecting ';'\n"; d.describe() != want || d.URI != uri || d.Version == nil || *d.Version != 1 {
		t.Errorf("got %+v\n%s, want %s", d, d.describe(), want)
	}
	if d := c.change(uri, 2, ""); d.describe() != "0:0-0:0 1 PolicyParsingError mismatched input '<EOF>' expecting 'version': the text is empty\n" || *d.Version != 2 {
		t.Errorf("of an empty text: %s", d.describe())
	}
	if d := c.change(uri, 3, strings.ReplaceAll(broken, "()", "();")); len(d.Diagnostics) != 0 {
		t.Errorf("of a valid text: %s", d.describe())
	}
	c.change(uri, 4, broken)
	c.notify("textDocument/didClose", `{"textDocument":{"uri":`+quote(uri)+`}}`)
	if d := c.published(); d.URI != uri || d.Diagnostics == nil || len(d.Diagnostics) != 0 {
		t.Errorf("after closing: %+v, want an empty list", d)
	}
	c.refused("textDocument/hover", `{"textDocument":{"uri":`+quote(uri)+`},"position":{"line":0,"character":0}}`, -32602, "not open")
}

// The last change wins, as each has the whole text. A change of a document that is not open opens it.
func TestTheLastChangeWins(t *testing.T) {
	c := start(t, "{}", "null")
	c.notify("textDocument/didChange", `{"textDocument":{"uri":"file:///a","version":null},"contentChanges":[{"text":""},{"text":`+quote(goodPolicy)+`}]}`)
	if d := c.published(); len(d.Diagnostics) != 0 || d.Version != nil {
		t.Errorf("got %+v, want no diagnostics and no version", d)
	}
	c.notify("textDocument/didChange", `{"textDocument":{"uri":"file:///a","version":2},"contentChanges":[]}`)
	c.request("shutdown", "null") // nothing was published
}

// Positions count UTF-16 code units, or bytes where the client offers that; lines end at LF, CR or both; a byte-order
// mark is a character of the document and none of the language.
func TestPositionsAreCountedAsAgreed(t *testing.T) {
	const before = "version=1.0;\nauthorizationrules { "
	for _, test := range []struct {
		name, text  string
		utf16, utf8 string
	}{
		{"ASCII", before + "[x] => permit(); };", "1:22-1:23", "1:22-1:23"},
		{"two bytes, one unit", before + `[value=="ü", x] => permit(); };`, "1:34-1:35", "1:35-1:36"},
		{"three bytes, one unit", before + `[value=="漢", x] => permit(); };`, "1:34-1:35", "1:36-1:37"},
		{"four bytes, two units", before + `[value=="😀", x] => permit(); };`, "1:35-1:36", "1:37-1:38"},
		{"the wrong character itself", before + `[😀] => permit(); };`, "1:22-1:24", "1:22-1:26"},
		{"byte-order mark", "\uFEFF[] version=1.0;", "0:1-0:2", "0:3-0:4"},
		{"byte-order mark, later line", "\uFEFF" + before + "[x] => permit(); };", "1:22-1:23", "1:22-1:23"},
		{"CR LF", strings.ReplaceAll(before, "\n", "\r\n") + "[x] => permit(); };", "1:22-1:23", "1:22-1:23"},
		{"CR", strings.ReplaceAll(before, "\n", "\r") + "[x] => permit(); };", "1:22-1:23", "1:22-1:23"},
		{"end of a line", "version=1.0;\nauthorizationrules { [value==\"\n", "1:29-1:30", "1:29-1:30"},
		{"end of the text", before, "1:21-1:21", "1:21-1:21"},
	} {
		for encoding, want := range map[string]string{"utf-16": test.utf16, "utf-8": test.utf8} {
			c := start(t, `{"general":{"positionEncodings":["`+encoding+`"]}}`, "null")
			d := c.open("file:///a", test.text)
			if got, _, _ := strings.Cut(d.describe(), " "); got != want {
				t.Errorf("%s in %s: got %s, want %s\n%s", test.name, encoding, got, want, d.describe())
			}
		}
	}
}

// Positions that are outside of the text, as the protocol allows, stand for the nearest one inside.
func TestPositionsOutsideAreTakenForTheNearest(t *testing.T) {
	c := start(t, "{}", "null")
	c.open("file:///a", "version=1.0;\r\n// 😀")
	for _, place := range []string{"0,4294967295", "1,4", "1,4294967295", "7,0", "4294967295,4294967295"} {
		line, character, _ := strings.Cut(place, ",")
		params := fmt.Sprintf(`{"textDocument":{"uri":"file:///a"},"position":{"line":%s,"character":%s}}`, line, character)
		if got := c.request("textDocument/completion", params); got.Error != nil {
			t.Errorf("%s: %+v", place, got.Error)
		}
		c.request("textDocument/hover", params)
	}
}

func TestWarningsAndErrorsOfTheAttestationTypeAreShown(t *testing.T) {
	property := "version=1.1;\nconfigurationrules\n{\n    => issueproperty(type=\"required_pcr_mask\", value=15);\n};\nauthorizationrules\n{\n    => permit();\n};\n"
	c := start(t, "{}", `{"attestationType":"sgx"}`)
	if d := c.open("file:///a", property); len(d.Diagnostics) == 0 || d.Diagnostics[0].Severity != 1 || !strings.Contains(d.describe(), "required_pcr_mask") {
		t.Errorf("a property of another attestation type: %s", d.describe())
	}
	upper := strings.Repeat("AB", 32)
	d := c.open("file:///b", "version=1.0;\nauthorizationrules\n{\n    [type==\"x-ms-sgx-mrsigner\", value==\""+upper+"\"] => permit();\n};\n")
	place := fmt.Sprintf("3:39-3:%d 2 upper-case-hex ", 39+66)
	if !strings.Contains(d.describe(), place) || !strings.Contains(d.describe(), strings.ToLower(upper)) {
		t.Errorf("a digest in upper case: got %s, want it at %s with the text to write instead", d.describe(), place)
	}
}

func TestAttestationTypeIsFoundInThisOrder(t *testing.T) {
	for _, test := range []struct{ name, options, uri, text, want string }{
		{"nothing known", `null`, "file:///policy.txt", "", ""},
		{"option", `{"attestationType":"SGX"}`, "file:///policy.txt", "", "sgx"},
		{"option before comment and name", `{"attestationType":"sgx"}`, "file:///tpm.txt", "// type: tpm\n", "sgx"},
		{"option that is empty", `{"attestationType":""}`, "file:///policy.txt", "// type: tpm\n", "tpm"},
		{"comment before name", `null`, "file:///sgx.txt", "// a policy\n//TYPE : Tpm  \n", "tpm"},
		{"comment on line 10", `null`, "file:///policy.txt", strings.Repeat("\n", 9) + "// type: sgx\n", "sgx"},
		{"comment on line 11", `null`, "file:///policy.txt", strings.Repeat("\n", 10) + "// type: sgx\n", ""},
		{"comment of another kind", `null`, "file:///policy.txt", "// type sgx\n// prototype: sgx\n", ""},
		{"name", `null`, "file:///dir/My-SGX%2Dpolicy.txt", "", "sgx"},
		{"name of the folder only", `null`, "file:///sgx/policy.txt", "", ""},
		{"name that is no URI", `null`, "tpm policy", "", "tpm"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := start(t, "{}", test.options)
			c.open(test.uri, test.text+"version=1.0;\nauthorizationrules\n{\n    [type==\"")
			line := strings.Count(test.text, "\n") + 3
			labels := c.labels(test.uri, line, 12)
			known := map[string]string{"": "", "sgx": "x-ms-sgx-svn", "tpm": "aikValidated"}
			for kind, claim := range known {
				if kind != "" && strings.Contains(labels, " "+claim+" ") != (kind == test.want) {
					t.Errorf("claims offered: %s, want those of %q", labels, test.want)
				}
			}
		})
	}
}

func TestAnUnknownTypeInTheCommentIsMarked(t *testing.T) {
	c := start(t, "{}", "null")
	if d := c.open("file:///a", "// type: toaster\n"+goodPolicy); d.describe() != "0:0-0:16 2 UnknownType the attestation type of the policy: expected sgx or tpm\n" {
		t.Errorf("got %s", d.describe())
	}
}

func TestDocumentsAboveTheLimitHaveOneDiagnostic(t *testing.T) {
	c := start(t, "{}", "null")
	text := goodPolicy + "//" + strings.Repeat("x", policy.MaxText-len(goodPolicy)-2)
	if d := c.open("file:///a", text); len(d.Diagnostics) != 0 {
		t.Errorf("of %d bytes: %s", len(text), d.describe())
	}
	d := c.change("file:///a", 2, text+"x")
	if want := fmt.Sprintf("0:0-0:0 1 PolicyParsingError the policy has %d bytes, at most %d are allowed\n", policy.MaxText+1, policy.MaxText); d.describe() != want {
		t.Errorf("got %s, want %s", d.describe(), want)
	}
	c.refused("textDocument/hover", `{"textDocument":{"uri":"file:///a"},"position":{"line":0,"character":0}}`, -32803, "longer than")
	c.refused("textDocument/formatting", `{"textDocument":{"uri":"file:///a"}}`, -32803, "longer than")
	if d := c.change("file:///a", 3, goodPolicy); len(d.Diagnostics) != 0 {
		t.Errorf("shortened: %s", d.describe())
	}
}

func TestNamesOfDocumentsAreLimited(t *testing.T) {
	c := start(t, "{}", "null")
	if d := c.open(strings.Repeat("u", lsp.MaxURI), goodPolicy); len(d.Diagnostics) != 0 {
		t.Errorf("of the longest name: %s", d.describe())
	}
	for _, uri := range []string{"", strings.Repeat("u", lsp.MaxURI+1)} {
		c.notify("textDocument/didOpen", `{"textDocument":{"uri":`+quote(uri)+`,"version":1,"text":""}}`)
		if got := c.next(); got.Method != "window/logMessage" || !strings.Contains(string(got.Params), "expected a name of 1 to 8192 bytes") {
			t.Errorf("of %d bytes: got %+v", len(uri), got)
		}
	}
}

func TestDocumentsAreLimitedInNumber(t *testing.T) {
	c := start(t, "{}", "null")
	for i := range lsp.MaxDocuments {
		if d := c.open(fmt.Sprint("file:///", i), goodPolicy); len(d.Diagnostics) != 0 {
			t.Fatalf("document %d: %s", i, d.describe())
		}
	}
	if d := c.open("file:///more", goodPolicy); !strings.Contains(d.describe(), "close some") {
		t.Errorf("got %q, want it to say that too many are open", d.describe())
	}
	c.notify("textDocument/didClose", `{"textDocument":{"uri":"file:///7"}}`)
	c.published()
	if d := c.open("file:///more", goodPolicy); len(d.Diagnostics) != 0 {
		t.Errorf("after another was closed: %s", d.describe())
	}
}

func TestFormattingReplacesTheWholeText(t *testing.T) {
	c := start(t, "{}", "null")
	format := func() incoming {
		return c.request("textDocument/formatting", `{"textDocument":{"uri":"file:///a"},"options":{"tabSize":2,"insertSpaces":true}}`)
	}
	c.open("file:///a", "\uFEFFversion= 1.0;\r\nauthorizationrules{[type==\"a\"]=>permit();}; // 😀")
	var edits []struct {
		Range   lspRange
		NewText string
	}
	want := strings.TrimSuffix(goodPolicy, "\n") + " // 😀\n"
	if err := json.Unmarshal(format().Result, &edits); err != nil || len(edits) != 1 || edits[0].NewText != want ||
		edits[0].Range != (lspRange{lspPosition{0, 0}, lspPosition{1, 49}}) {
		t.Errorf("got %+v, %v, want one edit of everything", edits, err)
	}
	c.change("file:///a", 2, goodPolicy)
	if got := format(); string(got.Result) != "[]" {
		t.Errorf("of a formatted text: got %s, want no edit", got.Result)
	}
	c.change("file:///a", 3, "version=1.0;\nauthorizationrules { => permit() };")
	c.wantError(format(), -32803, "line 2: mismatched input '}' expecting ';'")
}
