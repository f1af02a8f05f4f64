package lsp_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// hovered is the result of a hover request, nil for null.
type hovered struct {
	Contents struct{ Kind, Value string }
	Range    lspRange
}

func (c *client) hover(uri string, line, character int) *hovered {
	c.t.Helper()
	got := c.request("textDocument/hover",
		fmt.Sprintf(`{"textDocument":{"uri":%s},"position":{"line":%d,"character":%d}}`, quote(uri), line, character))
	var h *hovered
	if err := json.Unmarshal(got.Result, &h); err != nil {
		c.t.Fatalf("%s: %v", got.Result, err)
	}
	return h
}

func TestHoverExplainsTheWord(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string // parts of the text; none: nothing is shown
	}{
		{"a claim", authFrame + `[type=="x-ms-‸sgx-mrsigner"]`, []string{"x-ms-sgx-mrsigner · String claim of issuer AttestationService", "signed the enclave", "64 lower-case hexadecimal digits"}},
		{"a value of reference values", authFrame + `[type=="assay-reference-‸x-ms-sgx-mrsigner"]`, []string{"String claim of issuer ReferenceValue", "64 lower-case hexadecimal digits"}},
		{"an old name", authFrame + `[type=="‸$svn"]`, []string{"Integer claim", "write x-ms-sgx-svn"}},
		{"a claim of closed values", authFrame + `[type=="x-ms-attestation-type‸"]`, []string{"One of: sgx."}},
		{"a claim of the policy", issueFrame + "=> issue(type=\"mine\", value=1);\n[type==\"‸mine\"] => permit();", []string{"mine · claim of the policy", "in line 8."}},
		{"an unknown claim", authFrame + `[type=="yours‸"]`, nil},
		{"a value", authFrame + `[value=="x-ms-sgx-‸mrsigner"]`, nil},
		{"a property to configure", "version=1.1;\nconfigurationrules{=> issueproperty(type=\"x-ms-sgx-‸tcbidentifier\"", []string{"String property", "TCB baseline", `Default: "azuredefault"`}},
		{"the issuer of reference values", authFrame + `[issuer=="‸ReferenceValue"]`, []string{"it cannot be issued"}},
		{"an issuer", authFrame + `[issuer=="‸CustomClaim"]`, []string{"nothing vouches for it"}},
		{"a function", issueFrame + "=> issue(type=\"a\", value=Jmes‸Path(c.value, \"x\"));", []string{"JmesPath(json, query) · function of version 1.2, gives String", "null if it finds nothing"}},
		{"an unknown function", issueFrame + "=> issue(type=\"a\", value=Jmes‸path(c.value, \"x\"));", nil},
		{"a label where it is used", issueFrame + "c:[type==\"a\",\n value==1] => issue(type=\"a\", value=‸c.value);", []string{"c · label", `line 8: c:[type=="a", value==1]`}},
		{"a label where it is made", issueFrame + "‸c:[type==\"a\"]", []string{"c · label", "all claims"}},
		{"a label that is none", issueFrame + "[type==\"a\"] => issue(type=\"a\", value=‸c.value);", nil},
		{"a section", "version=1.0;\nAuthorization‸Rules", []string{"AuthorizationRules", "any deny refuses"}},
		{"issue in issuance", issueFrame + "=> ‸issue(", []string{"puts it into the token"}},
		{"issue in authorization", authFrame + "=> ‸issue(", []string{"same as add"}},
		{"a property", authFrame + "[‸valueType==\"Integer\"]", []string{"valueType", `"Boolean"`}},
		{"an arrow", authFrame + "‸=> permit();", []string{"always fires"}},
		{"a negation", authFrame + "‸![type==\"a\"]", []string{"no claim satisfies it"}},
		{"a number", authFrame + "[value==‸12]", nil},
		{"a bracket", authFrame + "‸[value==12]", nil},
		{"a comment", authFrame + "// per‸mit", nil},
		{"white space", authFrame + "  ‸  =>", nil},
		{"an empty text", "‸", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := start(t, "{}", `{"attestationType":"sgx"}`)
			text, line, character := cursor(test.text)
			c.open("file:///a", text)
			h := c.hover("file:///a", line, character)
			if (h == nil) != (test.want == nil) {
				t.Fatalf("%s: got %+v, want %q", test.text, h, test.want)
			}
			for _, want := range test.want {
				if !strings.Contains(h.Contents.Value, want) || h.Contents.Kind != "plaintext" {
					t.Errorf("%s: got %+v, want it to hold %q", test.text, h, want)
				}
			}
		})
	}
}

func TestHoverMarksTheWord(t *testing.T) {
	c := start(t, "{}", `{"attestationType":"sgx"}`)
	c.open("file:///a", "version=1.0;\nauthorizationrules { [type==\"x-ms-sgx-svn\"] => permit(); };")
	for character := 28; character < 42; character++ {
		if h := c.hover("file:///a", 1, character); h == nil || h.Range != (lspRange{lspPosition{1, 28}, lspPosition{1, 42}}) {
			t.Errorf("at %d: got %+v, want the string", character, h)
		}
	}
}

func TestHoverIsMarkdownWhereTheEditorShowsIt(t *testing.T) {
	for formats, want := range map[string]string{
		`["markdown","plaintext"]`: "markdown `x-ms-sgx-svn` · Integer claim",
		`["plaintext"]`:            "plaintext x-ms-sgx-svn · Integer claim",
	} {
		c := start(t, `{"textDocument":{"hover":{"contentFormat":`+formats+`}}}`, `{"attestationType":"sgx"}`)
		c.open("file:///a", authFrame+`[type=="x-ms-sgx-svn"]`)
		h := c.hover("file:///a", 3, 10)
		if got := h.Contents.Kind + " " + h.Contents.Value; !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q, want %q", formats, got, want)
		}
	}
}

// A name in a policy can hold what ends a code span.
func TestHoverShowsNamesWithBackTicks(t *testing.T) {
	c := start(t, `{"textDocument":{"hover":{"contentFormat":["markdown"]}}}`, "null")
	c.open("file:///a", issueFrame+"=> issue(type=\"a`b``c\", value=1);")
	if h := c.hover("file:///a", 7, 16); h == nil || !strings.HasPrefix(h.Contents.Value, "``` a`b``c ``` · ") {
		t.Errorf("got %+v", h)
	}
}
