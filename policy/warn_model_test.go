package policy_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

// TestVerdictsThatAreForetoldComeTrue writes policies of one permit rule out of tests that often contradict each other or
// hold in any case, and evaluates them over claims such as the service makes. What warnings say of the verdict must hold
// for all of them: a policy that cannot permit refuses, one that always permits permits, one that always denies denies.
func TestVerdictsThatAreForetoldComeTrue(t *testing.T) {
	for _, kind := range []string{"SgxEnclave", "Tpm"} {
		foretold := map[string]int{}
		for seed := range uint64(2000) {
			d := dice{rand.New(rand.NewPCG(seed, 1))}
			text := d.policy(kind)
			p := mustParse(t, text)
			code := verdictCode(p.Warnings(kind))
			foretold[code]++
			for range 8 {
				claims := d.claims(kind)
				_, err := p.Evaluate(claims, policy.Budget{})
				if contradicts(code, err) {
					t.Fatalf("%s\n%s\n%v\n%v", code, text, claims, err)
				}
			}
		}
		for _, code := range []string{"", "no-permit", "permit-always", "deny-always"} {
			if foretold[code] < 100 {
				t.Errorf("%s: only %d policies with the verdict %q", kind, foretold[code], code)
			}
		}
	}
}

// verdictCode returns the code of the warning that is about the verdict as a whole, or "".
func verdictCode(found []policy.Warning) string {
	for _, w := range found {
		switch w.Code {
		case "no-permit", "permit-always", "deny-always":
			return w.Code
		}
	}
	return ""
}

func contradicts(code string, err error) bool {
	denied, refused := errors.AsType[*policy.Denied](err)
	switch code {
	case "no-permit":
		return err == nil
	case "permit-always":
		return refused
	case "deny-always":
		return err == nil || refused && denied.Kind != policy.ByRule
	}
	return false
}

// dice writes random policies and claims.
type dice struct{ *rand.Rand }

func (d dice) of(choices ...string) string { return choices[d.IntN(len(choices))] }

func (d dice) policy(kind string) string {
	conditions := make([]string, d.IntN(3))
	for i := range conditions {
		conditions[i] = d.condition(kind, i)
	}
	rule := strings.Join(conditions, " && ") + " => "
	first := d.of("", `=> add(type="made", value=`+d.value()+`);`, `[type=="x-ms-ver"] => add(type="x-ms-sgx-svn", value=`+d.value()+`);`)
	verdict := d.of("permit();", "permit();", "deny(); => permit();")
	return "version=1.2; authorizationrules { " + first + " " + rule + verdict + " };"
}

// condition is the i-th of its rule, which may refer to those before if they have labels.
func (d dice) condition(kind string, i int) string {
	tests := make([]string, 1+d.IntN(3))
	for j := range tests {
		tests[j] = d.test(kind, i)
	}
	label := d.of("!", "", fmt.Sprintf("c%d:", i))
	if i == 0 {
		label = "c0:" // so that the second condition can refer to it
	}
	return label + "[" + strings.Join(tests, ",") + "]"
}

func (d dice) test(kind string, i int) string {
	equality := d.of("==", "==", "!=")
	switch d.IntN(8) {
	case 0:
		return "issuer" + equality + d.of(`"AttestationService"`, `"AttestationPolicy"`, `"CustomClaim"`, `"Nobody"`)
	case 1:
		return "valueType" + equality + d.of(`"String"`, `"Integer"`, `"Boolean"`, `"boolean"`)
	case 2:
		return "value" + d.of("<", "<=", ">", ">=") + d.of("1", "2", "3", "-9223372036854775808", "9223372036854775807")
	case 3:
		if i > 0 {
			return d.of("value"+equality+"c0.value", "type"+equality+"c0.type", "value>c0.value", "type"+equality+"c0.value")
		}
		return "value" + equality + d.value()
	case 4:
		return "value" + equality + d.value()
	}
	return "type" + equality + `"` + d.name(kind) + `"`
}

func (d dice) value() string {
	return d.of("true", "false", "1", "2", `"sgx"`, `"tpm"`, `"1.0"`, `"x"`, `"`+signer+`"`, `"`+strings.ToUpper(signer)+`"`)
}

func (d dice) name(kind string) string {
	if kind == "Tpm" {
		return d.of("secureBootEnabled", "tpmVersion", "events", "made", "nobody's", "x-ms-ver", "x-ms-attestation-type", "enclaveSvn", "aas-ehd")
	}
	return d.of("x-ms-sgx-is-debuggable", "x-ms-sgx-svn", "x-ms-sgx-mrsigner", "maa-ehd", "made", "nobody's", "$tee", "x-ms-ver", "x-ms-attestation-type")
}

// claims are what the service makes of some evidence: every claim that is not optional, with values in its form; for
// Tpm also what a client sends.
func (d dice) claims(kind string) []policy.Claim {
	var claims []policy.Claim
	for _, info := range policy.Claims(kind) {
		if info.Issuer == policy.AttestationService && (!info.Optional || d.IntN(2) == 0) {
			claims = append(claims, policy.Claim{Type: info.Name, Issuer: info.Issuer, Value: d.valueOf(info)})
		}
	}
	for kind == "Tpm" && d.IntN(2) == 0 {
		value := []policy.Value{policy.BooleanValue(true), policy.IntegerValue(1), policy.StringValue("x")}[d.IntN(3)]
		claims = append(claims, policy.Claim{Type: d.name(kind), Issuer: policy.CustomClaim, Value: value})
	}
	return claims
}

func (d dice) valueOf(info policy.ClaimInfo) policy.Value {
	switch {
	case info.Kind == policy.Boolean:
		return policy.BooleanValue(d.IntN(2) == 0)
	case info.Name == "tpmVersion":
		return policy.IntegerValue(2)
	case info.Kind == policy.Integer:
		return policy.IntegerValue(int64(d.IntN(4)))
	case len(info.Values) > 0:
		return policy.StringValue(d.of(info.Values...))
	case info.Format == "64 lower-case hexadecimal digits":
		return policy.StringValue(d.of(signer, other))
	case info.Format == "JSON text":
		return policy.StringValue(d.of(`{"Events":[]}`, "1", `"x"`))
	}
	return policy.StringValue(strings.Repeat("x", 43))
}
