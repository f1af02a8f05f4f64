package policytest

import (
	"errors"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/policy"
)

// given makes claims that are simply there.
func given(claims ...policy.Claim) func(*policy.Policy, *policy.Configuration) ([]policy.Claim, error) {
	return func(*policy.Policy, *policy.Configuration) ([]policy.Claim, error) { return claims, nil }
}

func svn(n int64) policy.Claim {
	return policy.Claim{Type: "svn", Value: policy.IntegerValue(n), Issuer: policy.AttestationService}
}

// release denies svn 0, permits from svn 2 on, and fails on svn 9, whose value it takes for a claim type.
const release = `version=1.1;
configurationrules
{
    => issueproperty(type="x-ms-sgx-tcbidentifier", value="17");
};
authorizationrules
{
    [type=="svn", value==0] => deny();
    [type=="svn", value>=2] => permit();
};
issuancerules
{
    c:[type=="svn"] => issue(type="release", value=c.value);
    => issueproperty(type="omit_x5c", value=true);
    c:[type=="svn", value==9] => issue(type=c.value, value=1);
};
`

func TestJudgeSaysHowTheServiceWouldAnswer(t *testing.T) { // policy.md sections 5 and 12
	const denied, none = policy.DenyMessage, policy.NoPermitMessage
	const bad = "version=1.0;\nauthorizationrules { => permit() };"
	otherType := strings.ReplaceAll(release, "x-ms-sgx-tcbidentifier", "required_pcr_mask")
	failing := strings.Replace(release, `=> issueproperty`, `c:[type!=""] => issueproperty(type=c.value, value=1); => issueproperty`, 1)
	refused := func(*policy.Policy, *policy.Configuration) ([]policy.Claim, error) {
		return nil, evidence.Refuse(evidence.UntrustedRoot, "the root is foreign")
	}
	const parser = "Policy Parser Exception Thrown: Offending symbol: '}'"
	for _, tt := range []struct {
		name, text   string
		claims       func(*policy.Policy, *policy.Configuration) ([]policy.Claim, error)
		verdict      policy.Verdict
		line, column int
		code, check  string
		message      string
	}{
		{"permit", release, given(svn(2)), policy.Permitted, 9, 5, "", "", ""},
		{"deny", release, given(svn(0), svn(2)), policy.DeniedByRule, 8, 5, "PolicyEvaluationError", "", denied},
		{"no permit", release, given(svn(1)), policy.NotPermitted, 0, 0, "PolicyEvaluationError", "", none},
		{"error in an issuance rule", release, given(svn(9)), policy.Failed, 15, 5, "PolicyEvaluationError", "", "the rule at line 15, column 5"},
		{"error of the text", bad, given(), policy.Failed, 2, 34, "PolicyParsingError", "", parser},
		{"configuration of another type", otherType, given(svn(2)), policy.Failed, 4, 27, "PolicyParsingError", "", "required_pcr_mask"},
		{"configuration that fails when it runs", failing, given(svn(2)), policy.Failed, 4, 5, "PolicyEvaluationError", "", `"sgx"`},
		{"refused evidence", release, refused, policy.Failed, 0, 0, "InvalidParameter", "untrusted-root", "untrusted-root: the root is foreign"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, err := Subject{[]byte(tt.text), "SgxEnclave", tt.claims}.Judge()
			if err != nil {
				t.Fatal(err)
			}
			if o.Verdict != tt.verdict || o.Line != tt.line || o.Column != tt.column || o.Code != tt.code || o.Check != tt.check {
				t.Errorf("got %s at %d:%d, code %q, check %q; want %s at %d:%d, %q, %q", o.Verdict, o.Line, o.Column, o.Code, o.Check,
					tt.verdict, tt.line, tt.column, tt.code, tt.check)
			}
			if !strings.Contains(o.Message, tt.message) || (o.Message == "") != (tt.message == "") {
				t.Errorf("message %q, want it to hold %q", o.Message, tt.message)
			}
			if (o.Err == nil) != (tt.verdict == policy.Permitted) {
				t.Errorf("error %v with verdict %s", o.Err, tt.verdict)
			}
		})
	}
}

func TestJudgeGivesTheClaimsOfAPermit(t *testing.T) {
	var seen *policy.Configuration
	o, err := Subject{[]byte(release), "SgxEnclave", func(p *policy.Policy, c *policy.Configuration) ([]policy.Claim, error) {
		seen = c
		return []policy.Claim{svn(3)}, nil
	}}.Judge()
	if err != nil || seen == nil || seen.TCBBaseline() != "17" {
		t.Fatalf("claims were asked for with the configuration %v (%v), want baseline 17", seen, err)
	}
	for name, got := range map[string][]policy.Group{"release: 3": o.Issued, "omit_x5c: true": o.Properties, `x-ms-sgx-tcbidentifier: "17"`: o.Configuration} {
		if text := flow(membersOf(got)); text != "{"+name+"}" {
			t.Errorf("got %s, want %s", text, name)
		}
	}
}

func TestWithoutATypeOnlyAPolicyWithoutConfigurationRulesIsJudged(t *testing.T) {
	if _, err := (Subject{[]byte(release), "", given(svn(2))}).Judge(); !errors.Is(err, ErrNoType) {
		t.Errorf("got %v, want ErrNoType", err)
	}
	const simple = `version=1.0; authorizationrules { => permit(); };`
	if o, err := (Subject{[]byte(simple), "", given()}).Judge(); err != nil || o.Verdict != policy.Permitted {
		t.Errorf("got %+v, %v, want a permit", o, err)
	}
}

func TestErrorsThatSayNothingOfThePolicyAreNoOutcome(t *testing.T) {
	broken := errors.New("no such file")
	subject := Subject{[]byte(release), "SgxEnclave", func(*policy.Policy, *policy.Configuration) ([]policy.Claim, error) { return nil, broken }}
	if o, err := subject.Judge(); !errors.Is(err, broken) {
		t.Errorf("got %+v, %v, want the error", o, err)
	}
	subject = Subject{[]byte(release), "Toaster", given()}
	if o, err := subject.Judge(); err == nil {
		t.Errorf("got %+v for an unknown type, want an error", o)
	}
}
