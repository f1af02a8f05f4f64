package lsp_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// item is a completion item.
type item struct {
	Label, Detail, Documentation, FilterText string
	Deprecated                               bool
	TextEdit                                 struct {
		Range   lspRange
		NewText string
	}
}

// complete returns what the server offers at a position.
func (c *client) complete(uri string, line, character int) []item {
	c.t.Helper()
	got := c.request("textDocument/completion",
		fmt.Sprintf(`{"textDocument":{"uri":%s},"position":{"line":%d,"character":%d},"context":{"triggerKind":1}}`, quote(uri), line, character))
	var list struct {
		IsIncomplete bool
		Items        []item
	}
	if err := json.Unmarshal(got.Result, &list); err != nil || list.Items == nil || list.IsIncomplete {
		c.t.Fatalf("got %s: %v", got.Result, err)
	}
	return list.Items
}

// labels returns the labels of what is offered, with a blank around each.
func (c *client) labels(uri string, line, character int) string {
	c.t.Helper()
	labels := " "
	for _, i := range c.complete(uri, line, character) {
		labels += i.Label + " "
	}
	return labels
}

// cursor takes the mark ‸ out of a text, and returns where it was.
func cursor(marked string) (text string, line, character int) {
	before, after, _ := strings.Cut(marked, "‸")
	return before + after, strings.Count(before, "\n"), len(before) - strings.LastIndex(before, "\n") - 1
}

const (
	authFrame  = "version=1.1;\nauthorizationrules\n{\n"
	issueFrame = "version=1.2;\nauthorizationrules\n{\n=> permit();\n};\nissuancerules\n{\n"
)

func TestCompletionOffersWhatMayStandThere(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{ // want: all labels
		{"an empty text", "‸", " version=1.2; "},
		{"the beginning of the version", "ver‸", " version=1.2; "},
		{"within the version", "version=‸", " "},
		{"sections", "version=1.1;\n‸", " configurationrules authorizationrules issuancerules "},
		{"sections of version 1.0", "version=1.0;\nau‸", " authorizationrules issuancerules "},
		{"sections after the first", "version=1.1;\nauthorizationrules{};i‸", " issuancerules "},
		{"after the last section", "version=1.1;\nissuancerules{};‸", " "},
		{"between a keyword and its brace", "version=1.1;\nissuancerules ‸", " "},
		{"verbs of configuration", "version=1.1;\nconfigurationrules{=>‸", " issueproperty "},
		{"verbs of authorization", authFrame + "=> p‸ermit();", " permit() deny() add "},
		{"verbs of issuance", issueFrame + "[type==\"a\"] => ‸", " issue add issueproperty "},
		{"the beginning of a rule", authFrame + "‸", " "},
		{"properties of a condition", authFrame + "[‸", " type value valueType issuer "},
		{"properties left", authFrame + "[type==\"a\", issuer==\"b\", v‸", " value valueType "},
		{"properties of an action", issueFrame + "=> issue(‸", " type value valueType issuer "},
		{"a claim to copy", issueFrame + "c:[type==\"a\"] => issue(‸", " type value valueType issuer claim "},
		{"no claim beside assignments", issueFrame + "c:[type==\"a\"] => issue(type=\"b\", ‸", " value valueType issuer "},
		{"permit takes nothing", authFrame + "=> permit(‸", " "},
		{"labels to copy", issueFrame + "c:[type==\"a\"] && d:[type==\"b\"] => issue(claim=‸", " c d "},
		{"properties of a label", issueFrame + "c:[type==\"a\"] => issue(type=\"a\", value=c.‸", " type value valueType issuer "},
		{"issuers of a condition", authFrame + "[issuer==\"‸\"]", " AttestationService AttestationPolicy CustomClaim ReferenceValue "},
		{"a name of two lines", issueFrame + "=> issue(type=\"a\nb‸\", value=1);", " "},
		{"the issuer of an action", issueFrame + "=> issue(issuer=‸", ` "AttestationPolicy" `},
		{"value types", authFrame + "[valueType==‸", ` "String" "Integer" "Boolean" `},
		{"value types within a string", authFrame + "[valueType==\"‸", ` String Integer Boolean `},
		{"a Boolean claim", authFrame + "[type==\"x-ms-sgx-is-debuggable\", value==‸", " true false "},
		{"a Boolean claim named behind", authFrame + "[value==‸, type==\"x-ms-sgx-is-debuggable\"]", " true false "},
		{"a claim of closed values", authFrame + "[type==\"x-ms-attestation-type\", value==\"‸\"]", " sgx "},
		{"a Boolean reference value", authFrame + "[type==\"assay-reference-x-ms-sgx-is-debuggable\", value==‸", " true false "},
		{"an Integer claim", authFrame + "[type==\"x-ms-sgx-svn\", value==‸", " "},
		{"labels of the rule before", authFrame + "c:[type==\"a\"] && [value==‸", " c.value "},
		{"no label in its own condition", authFrame + "c:[type==\"a\", value==‸", " "},
		{"no label of another rule", authFrame + "c:[type==\"a\"] => permit(); [value==‸", " "},
		{"labels where a name is wanted", issueFrame + "c:[type==\"a\"] => issue(type=‸", " c.value c.type "},
		{"a value to issue, before 1.2", strings.Replace(issueFrame, "1.2", "1.1", 1) + "c:[type==\"a\"] => issue(type=\"b\", value=‸", " true false c.value "},
		{"a value to issue", issueFrame + "c:[type==\"a\"] => issue(type=\"b\", value=J‸",
			" true false c.value AppendString ContainsOnlyValue IsSubsetOf JmesPath JsonToClaimValue NegateBool "},
		{"an argument", issueFrame + "c:[type==\"a\"] => issue(type=\"b\", value=AppendString(\"x\", ‸",
			" c.value AppendString ContainsOnlyValue IsSubsetOf JmesPath JsonToClaimValue NegateBool "},
		{"a string that is an argument", issueFrame + "=> issue(type=\"b\", value=AppendString(\"‸\"", " "},
		{"a comment", authFrame + "[ // type==\"‸", " "},
		{"behind a comment", authFrame + "[ // type\n‸", " type value valueType issuer "},
		{"behind a string", authFrame + "[type==\"a\"‸]", " "},
		{"configuration sees one claim", "version=1.1;\nconfigurationrules{[type==\"‸\"]", " x-ms-attestation-type "},
		{"properties to configure", "version=1.1;\nconfigurationrules{=> issueproperty(type=\"‸", " x-ms-sgx-tcbidentifier "},
		{"the default of a property", "version=1.1;\nconfigurationrules{=> issueproperty(type=\"x-ms-sgx-tcbidentifier\", value=‸", ` "azuredefault" `},
		{"the default within a string", "version=1.1;\nconfigurationrules{=> issueproperty(type=\"x-ms-sgx-tcbidentifier\", value=\"‸\"", " azuredefault "},
		{"the value of an unknown property", "version=1.1;\nconfigurationrules{=> issueproperty(type=\"x\", value=‸", " "},
		{"more labels than a rule may have", authFrame + strings.Repeat("c:[type==\"a\"] && ", 65) + "[value==‸", strings.Repeat(" c.value", 64) + " "},
		{"words that make no sense", "}{;)(]=>[.,‸", " "},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := start(t, "{}", `{"attestationType":"sgx"}`)
			text, line, character := cursor(test.text)
			c.open("file:///a", text)
			if got := c.labels("file:///a", line, character); got != test.want {
				t.Errorf("%s\ngot  %s\nwant %s", test.text, got, test.want)
			}
		})
	}
}

func TestCompletionOffersClaimsOfTheTypeAndOfThePolicy(t *testing.T) {
	c := start(t, "{}", `{"attestationType":"sgx"}`)
	text, line, character := cursor(authFrame + "=> add(type=\"mine\", value=1);\n=> add(type=\"mine\", value=2);\n=> add(type=\"x-ms-sgx-svn\", value=2);\n[type==\"‸\"] => permit();")
	c.open("file:///a", text)
	labels := c.labels("file:///a", line, character)
	for _, want := range []string{" x-ms-sgx-mrsigner ", " x-ms-sgx-svn ", " x-ms-attestation-type ", " mine "} {
		if strings.Count(labels, want) != 1 {
			t.Errorf("want %s once in %s", want, labels)
		}
	}
	for _, i := range c.complete("file:///a", line, character) {
		switch i.Label {
		case "x-ms-sgx-mrsigner":
			if i.Detail != "String" || i.Documentation == "" || i.Deprecated {
				t.Errorf("got %+v", i)
			}
		case "$svn":
			if !i.Deprecated || i.Detail != "Integer" {
				t.Errorf("got %+v, want an old name", i)
			}
		}
	}
}

// A policy may make claims of more names than an editor can show.
func TestCompletionOffersALimitedNumberOfNames(t *testing.T) {
	rules := ""
	for i := range 501 {
		rules += fmt.Sprintf("=> add(type=\"own%d\", value=1);", i)
	}
	c := start(t, "{}", "null")
	text, line, character := cursor(authFrame + rules + "\n[type==\"‸")
	c.open("file:///a", text)
	labels := strings.Fields(c.labels("file:///a", line, character))
	if len(labels) != 500 || labels[0] != "own0" || labels[499] != "own499" {
		t.Errorf("%d names are offered, want the first 500: %s", len(labels), labels)
	}
}

// The claims events and pcrs are there from version 1.2 on (policy.md section 3).
func TestCompletionKnowsFromWhichVersionAClaimIsThere(t *testing.T) {
	for version, want := range map[string]bool{"1.1": false, "1.2": true} {
		c := start(t, "{}", `{"attestationType":"tpm"}`)
		text, line, character := cursor(strings.Replace(authFrame, "1.1", version, 1) + "[type==\"‸")
		c.open("file:///a", text)
		if got := strings.Contains(c.labels("file:///a", line, character), " events "); got != want {
			t.Errorf("version %s: the claim events is offered: %v, want %v", version, got, want)
		}
	}
}

// What is accepted replaces the word at the cursor.
func TestCompletionReplacesTheWord(t *testing.T) {
	for _, test := range []struct{ name, text, accept, want string }{
		{"nothing yet", authFrame + "[type==‸]", `"x-ms-sgx-svn"`, `[type=="x-ms-sgx-svn"]`},
		{"within quotes", authFrame + `[type=="‸"]`, "x-ms-sgx-svn", `[type=="x-ms-sgx-svn"]`},
		{"a part of a name with hyphens", authFrame + `[type=="x-ms-‸sgx"]`, "x-ms-sgx-svn", `[type=="x-ms-sgx-svn"]`},
		{"a string that is not closed", authFrame + `[type=="x-ms‸`, "x-ms-sgx-svn", `[type=="x-ms-sgx-svn"`},
		{"a string with characters beyond ASCII before it", authFrame + `[issuer=="😀ü", type=="x‸"]`, "x-ms-sgx-svn", `[issuer=="😀ü", type=="x-ms-sgx-svn"]`},
		{"a word", authFrame + "=> pe‸rm", "permit()", "=> permit()"},
		{"a label", issueFrame + `cc:[type=="a"] => issue(type="b", value=c‸c`, "cc.value", `cc:[type=="a"] => issue(type="b", value=cc.value`},
		{"a property behind its point", issueFrame + `c:[type=="a"] => issue(type="b", value=c.va‸)`, "value", `c:[type=="a"] => issue(type="b", value=c.value)`},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := start(t, `{"general":{"positionEncodings":["utf-8"]}}`, `{"attestationType":"sgx"}`)
			text, line, character := cursor(test.text)
			c.open("file:///a", text)
			lines := strings.Split(text, "\n")
			for _, i := range c.complete("file:///a", line, character) {
				if i.Label != test.accept {
					continue
				}
				r := i.TextEdit.Range
				if r.Start.Line != line || r.End.Line != line || r.Start.Character > character || r.End.Character < character || i.FilterText != i.Label {
					t.Errorf("the edit %+v is not at %d:%d", i, line, character)
				}
				if got := lines[line][:r.Start.Character] + i.TextEdit.NewText + lines[line][r.End.Character:]; got != test.want {
					t.Errorf("got %s, want %s", got, test.want)
				}
				return
			}
			t.Errorf("%s is not offered", test.accept)
		})
	}
}
