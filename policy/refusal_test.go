package policy_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/policy"
)

func TestRefusalsSayWhatDecided(t *testing.T) {
	tests := []struct{ name, rules, claims, want string }{
		{"deny", "=> permit();\n  [type==\"a\",\n   value==true] => deny();", "a=true",
			policy.DenyMessage + ` The rule at line 3, column 3 denies: [type=="a", value==true] => deny(); found a = true (AttestationService).`},
		{"the first of several denies", "[type==\"b\"] => deny(); [type==\"a\"] => deny(); => deny();", "a=true",
			policy.DenyMessage + ` The rule at line 2, column 45 denies: [type=="a"] => deny(); found a = true (AttestationService).`},
		{"no permit rule", `[type=="a"] => add(type="b", value=1);`, "a=true",
			policy.NoPermitMessage + " The policy has no permit rule, and so refuses everything: its author has to add one."},
		{"claim with another value", `[type=="a", value>=2] => permit();`, "a=1 b=2",
			policy.NoPermitMessage + ` The permit rule at line 2, column 22 needs [type=="a", value>=2]; found a = 1 (AttestationService).`},
		{"claim of another issuer", `[type=="a", issuer=="AttestationService"] => permit();`, "a=x@CustomClaim",
			policy.NoPermitMessage + ` The permit rule at line 2, column 22 needs [type=="a", issuer=="AttestationService"]; found a = "x" (CustomClaim), whose issuer is CustomClaim.`},
		{"claim missing", `[type=="a"] && c:[type=="b"] => permit();`, "a=1",
			policy.NoPermitMessage + ` The permit rule at line 2, column 22 needs c:[type=="b"]; found no claim of that type.`},
		{"condition without type", `[value==true] => permit();`, "a=1",
			policy.NoPermitMessage + ` The permit rule at line 2, column 22 needs [value==true]; no claim satisfies it.`},
		{"two rules", `[type=="a", value==1] => permit(); [type=="a", value==2] => permit();`, "a=3 a=4",
			policy.NoPermitMessage + ` The permit rule at line 2, column 22 needs [type=="a", value==1]; found a = 3 (AttestationService), a = 4 (AttestationService).` +
				` The permit rule at line 2, column 57 needs [type=="a", value==2]; found a = 3 (AttestationService), a = 4 (AttestationService).`},
		{"claims that were added later are not named", `[type=="b"] => permit(); => add(type="b", value=1);`, "",
			policy.NoPermitMessage + ` The permit rule at line 2, column 22 needs [type=="b"]; found no claim of that type.`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := mustParse(t, auth(tt.rules)).Evaluate(claimsOf(tt.claims), policy.Budget{})
			if _, ok := errors.AsType[*policy.Denied](err); !ok || err.Error() != tt.want {
				t.Errorf("%s on %s\ngot  %v\nwant %s", tt.rules, tt.claims, err, tt.want)
			}
		})
	}
}

// TestPublicRefusalsHaveNoReferenceValues: neither their names nor what the policy makes of them. What is not of them is told as ever.
func TestPublicRefusalsHaveNoReferenceValues(t *testing.T) {
	const claims = "mr=own other=8 assay-reference=secret@ReferenceValue assay-reference-mr=secret1@ReferenceValue assay-reference-mr=secret2@ReferenceValue"
	for _, tt := range []struct{ rules, want string }{
		{`c:[type=="mr"] && [type=="assay-reference-mr", value==c.value] => permit();`,
			`needs [type=="assay-reference-mr", value==c.value], here value == "own"; found assay-reference-mr (ReferenceValue). The rule`},
		{`[type=="assay-reference", value=="x"] => permit();`, `needs [type=="assay-reference", value=="x"]; found assay-reference (ReferenceValue).`},
		{`c:[type=="assay-reference-mr"] && [type=="mr", value==c.value] => permit();`,
			`here value == what read-only claims have; found mr = "own" (AttestationService).`},
		{`c:[type=="assay-reference-mr"] => add(type="made", value=c.value); [type=="made", value=="x"] => permit();`,
			`needs [type=="made", value=="x"]; found made (AttestationPolicy).`},
		{`c:[type=="assay-reference-mr"] => add(type="made", value=c.value); c:[type=="made"] && [type=="mr", value==c.value] => permit();`,
			`here value == what read-only claims have; found mr = "own" (AttestationService).`},
		{`[type=="assay-reference"] && [type=="other"] => deny();`, `; found assay-reference (ReferenceValue); found other = 8 (AttestationService).`},
		{`c:[type=="mr"] && [type=="other", value==c.value] => permit();`, `here value == "own"; found other = 8 (AttestationService)`},
	} {
		_, err := mustParse(t, auth(tt.rules)).Evaluate(claimsOf(claims), policy.Budget{})
		denied, ok := errors.AsType[*policy.Denied](err)
		if !ok {
			t.Fatalf("%s: %v", tt.rules, err)
		}
		if got := denied.Public(); strings.Contains(got, "secret") || !strings.Contains(got, tt.want) {
			t.Errorf("%s\ngot  %s\nwant %s", tt.rules, got, tt.want)
		}
		if concerned := strings.Contains(tt.rules, "reference"); strings.Contains(denied.Error(), "secret") != concerned {
			t.Errorf("%s: those who may read are told %v", tt.rules, denied)
		}
	}
}

func TestRefusalHasTheRecordedTexts(t *testing.T) { // api.md section 6.4
	for kind, want := range map[policy.DenialKind]string{
		policy.ByRule:   "Policy Engine Exception: A Deny claim was issued, authorization failed.",
		policy.NoPermit: "Policy Engine Exception: No Permit claim was issued in the authorizationrules section, authorization failed.",
	} {
		if kind.Message() != want {
			t.Errorf("got %q, want %q", kind.Message(), want)
		}
	}
}

func TestRefusalCarriesItsReasonsAsData(t *testing.T) {
	_, err := mustParse(t, auth(`[type=="a", value==1] => permit();`)).Evaluate(claimsOf("a=2"), policy.Budget{})
	denied, ok := errors.AsType[*policy.Denied](err)
	if !ok || denied.Kind != policy.NoPermit || len(denied.Unmet) != 1 {
		t.Fatalf("got %#v", err)
	}
	u := denied.Unmet[0]
	if u.Rule.Text != `[type=="a", value==1] => permit()` || u.Condition.Condition.Text != `[type=="a", value==1]` || u.Condition.Type != "a" {
		t.Errorf("got %+v", u)
	}
	if found := u.Condition.Compared; len(found) != 1 || found[0].Claim != claimsOf("a=2")[0] || found[0].Fails != "value" {
		t.Errorf("found %+v, want a=2, whose value fails", found)
	}
}

func TestRefusalStaysShort(t *testing.T) {
	rules := strings.Repeat(`[type=="a", value=="`+strings.Repeat("y", 1000)+`"] => permit();`, 100)
	claims := claimsOf(strings.Repeat("a=x ", 3) + "a=" + strings.Repeat("x", 100_000))
	for i := range 50 {
		claims = append(claims, policy.Claim{Type: "a", Value: policy.IntegerValue(int64(i)), Issuer: policy.CustomClaim})
	}
	_, err := mustParse(t, auth(rules)).Evaluate(claims, policy.Budget{})
	if err == nil || len(err.Error()) > 4000 || !strings.HasSuffix(err.Error(), "The other permit rules did not hold either.") {
		t.Errorf("%d bytes: %.4000v", len(err.Error()), err)
	}
}

// TestRefusalIsExplainedHoweverLongThePolicy puts more before the rules that decide than a trace has room for.
func TestRefusalIsExplainedHoweverLongThePolicy(t *testing.T) {
	claims := make([]policy.Claim, 100)
	for i := range claims {
		claims[i] = policy.Claim{Type: "a", Value: policy.IntegerValue(int64(i)), Issuer: policy.AttestationService}
	}
	before := strings.Repeat(`[type=="a", value<50] => add(type="b", value=1);`, 2000)
	for rules, want := range map[string]string{
		before + `[type=="a", value==1000] => permit();`: `needs [type=="a", value==1000]; found a = 0 (AttestationService), a = 1`,
		before + `[type=="a", value==98] => deny();`:     `denies: [type=="a", value==98] => deny(); found a = 98 (AttestationService).`,
	} {
		p := mustParse(t, auth(rules))
		_, err := p.Evaluate(claims, policy.Budget{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %.500v, want %s", err, want)
		}
		if trace := p.Explain("", claims, policy.Budget{}); !trace.Truncated || trace.Message != err.Error() {
			t.Errorf("the trace says %s, the evaluation %v", trace.Message, err)
		}
	}
}

// TestRefusalIsExplainedFast: a condition that one claim satisfies at once is not compared with a hundred thousand others to
// explain it, again and again.
func TestRefusalIsExplainedFast(t *testing.T) {
	claims := make([]policy.Claim, policy.MaxClaims)
	for i := range claims {
		claims[i] = policy.Claim{Type: "a", Value: policy.IntegerValue(int64(i)), Issuer: policy.AttestationService}
	}
	rules := strings.Repeat("["+strings.Repeat("value<99999,", 400)+"value==0] => deny();", 200)
	start := time.Now()
	_, err := mustParse(t, auth(rules)).Evaluate(claims, policy.Budget{})
	const limit = 30 * time.Second // it takes 0.2 s, and with every comparison minutes
	if took := time.Since(start); err == nil || !strings.Contains(err.Error(), "found a = 0 (AttestationService)") || took > limit {
		t.Errorf("%.300v after %v", err, took)
	}
}

func TestOutcomeNamesTheRuleThatPermitted(t *testing.T) {
	o, err := mustParse(t, auth("[type==\"z\"] => permit();\n [type==\"a\"]\n => permit(); => permit();")).Evaluate(claimsOf("a=1"), policy.Budget{})
	if err != nil {
		t.Fatal(err)
	}
	want := policy.Location{Line: 3, Column: 2, Text: "[type==\"a\"]\n => permit()"}
	if o.PermittedBy() != want {
		t.Errorf("got %+v, want %+v", o.PermittedBy(), want)
	}
}

func TestErrorHasTheFormOfTheService(t *testing.T) { // README.md section 8 of the specification, PolicyParsingError
	_, err := policy.Parse([]byte("version=1.0\n[type==\"x-ms-sgx-is-debuggable\", value==false] => permit();"))
	want := "Offending symbol: '[' Line: '2', Column: '1' Failure message: 'mismatched input '[' expecting ';'' Failing rule: 'policy > versionInfo'"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestErrorDetailPointsAtThePlace(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"one line", auth("=> allow();"), "2:25: mismatched input 'allow' expecting {'permit', 'deny', 'add', 'issue'}: the actions of authorizationrules; did you mean 'permit'?\n" +
			"  | authorizationrules { => allow(); };\n" +
			"  |                         ^\n" +
			"  in policy > authSection > authRule"},
		{"tabs stay", "version=1.0;\nauthorizationrules {\r\n\t=>\tx(); };\n", "3:5: mismatched input 'x' expecting {'permit', 'deny', 'add', 'issue'}: the actions of authorizationrules\n" +
			"  | \t=>\tx(); };\n" +
			"  | \t  \t^\n" +
			"  in policy > authSection > authRule"},
		{"other letters", "version=1.0;\nauthorizationrules { [type==\"日本\"] = permit(); };", "2:35: mismatched input '=' expecting {'&&', '=>'}\n" +
			"  | authorizationrules { [type==\"日本\"] = permit(); };\n" +
			"  |                                   ^\n" +
			"  in policy > authSection > authRule > conditions"},
		{"byte-order mark", "\uFEFFversion 1.0;", "1:9: mismatched input '1' expecting '=': a version is written as in version=1.0;\n  | version 1.0;\n  |         ^\n  in policy > versionInfo"},
	}
	for _, tt := range tests {
		_, err := policy.Parse([]byte(tt.text))
		e, ok := errors.AsType[*policy.Error](err)
		if !ok || e.Detail() != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, e.Detail(), tt.want)
		}
	}
}

func TestErrorsOfLongLinesStayShort(t *testing.T) {
	_, err := policy.Parse([]byte(auth(strings.Repeat(`[type=="a"] => permit(); `, 1000) + "=> " + strings.Repeat("x", 5000) + "();\x1b")))
	e, ok := errors.AsType[*policy.Error](err)
	if !ok || len(e.Detail()) > 600 || len(e.Error()) > 400 || strings.Contains(e.Detail(), "\x1b") {
		t.Errorf("got %d and %d bytes:\n%s", len(e.Detail()), len(e.Error()), e.Detail())
	}
}

func TestErrorSaysWhichByteIsNotUTF8(t *testing.T) {
	_, err := policy.Parse([]byte("version=1.0;\r\n// \uFFFDé\xC3(\n"))
	e, ok := errors.AsType[*policy.Error](err)
	if !ok || lineColumn(e.Line, e.Column) != "2:6" || e.Failure != "the byte 0xC3 is not UTF-8, expecting UTF-8: the file may be in another encoding, such as Windows-1252" {
		t.Errorf("got %v", err)
	}
}
