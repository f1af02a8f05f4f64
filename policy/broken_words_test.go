package policy_test

import (
	"testing"

	"github.com/assay-attestation/assay/policy"
)

// TestAnyOneWordWrong writes every word of a policy that has every construct twice, not at all, and in place of every
// other: what the parser makes of it must be safe to check, and its errors lie in the text.
func TestAnyOneWordWrong(t *testing.T) {
	const text = `version=1.2; configurationrules { [issuer!="x"] => issueproperty(type="a", value="b"); };
authorizationrules { c:[type=="a", value>=-1] && !d:[value==JmesPath(c.value, "x")] => add(claim=c); => permit(); };
issuancerules { c:[type=="a"] => issue(type="b", value=NegateBool(IsSubsetOf(c.value, true)), valueType="Boolean"); };`
	mustParse(t, text)
	words := policy.Words([]byte(text))
	for _, w := range words {
		before, after := text[:w.Offset], text[w.End():]
		checkParse(t, before+after)
		for _, other := range words {
			checkParse(t, before+other.Text+after)
			checkParse(t, before+other.Text+" "+w.Text+after)
		}
	}
}

func checkParse(t *testing.T, text string) {
	t.Helper()
	if _, err := policy.Parse([]byte(text)); err != nil {
		checkErrors(t, []byte(text), err)
	}
}
