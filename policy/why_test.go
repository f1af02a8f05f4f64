package policy

import (
	"strings"
	"testing"
)

// TestRefusalStaysOneWhenItsTimeIsOver: the verdict is that of the evaluation that made it, though there was no time to
// find its reasons.
func TestRefusalStaysOneWhenItsTimeIsOver(t *testing.T) {
	over := make(chan struct{})
	close(over)
	for _, tt := range []struct{ rules, begins, ends string }{
		{`[type=="a"] => deny();`, DenyMessage + ` The rule at line 1, column 33 denies: [type=="a"] => deny(). The time of the evaluation was over`, "simpler queries."},
		{`[type=="b"] => permit();`, NoPermitMessage + " The time of the evaluation was over", "simpler queries."},
	} {
		p, err := Parse([]byte("version=1.0;authorizationrules{ " + tt.rules + "};"))
		if err != nil {
			t.Fatal(err)
		}
		claims := []Claim{{Type: "a", Value: IntegerValue(1), Issuer: AttestationService}}
		m := newMachine(&p.program, claims, Budget{})
		verdict, _, err := m.evaluate(&p.program, len(claims))
		if err != nil {
			t.Fatal(err)
		}
		got := p.why(verdict, claims, Budget{Done: over}).Error()
		if !strings.HasPrefix(got, tt.begins) || !strings.HasSuffix(got, tt.ends) || strings.Count(got, engine) != 1 {
			t.Errorf("%s: %s", tt.rules, got)
		}
	}
}
