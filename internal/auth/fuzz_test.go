package auth_test

import (
	"testing"

	"github.com/assay-attestation/assay/internal/auth"
)

// FuzzAuthorization gives an Authenticator headers of strangers: whatever they are, they are refused for a reason, unless
// the key signed exactly this.
func FuzzAuthorization(f *testing.F) {
	k := devKey(f, f.TempDir())
	good := "Bearer " + devToken(f, k, auth.Owner, "*")
	a := authenticator(f, auth.Config{Development: k}, (&clock{now: start}).Now)
	for _, seed := range []string{good, "", "Bearer", "Basic x", "Bearer a.b.c", good + ".", "bearer " + b64(`{"alg":"none"}`) + "." + b64(`{"exp":1e300}`) + "."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		c, err := a.Caller(request(value), auth.DataPlane)
		if verdictOf(t, err) == "" && (c == nil || len(value) != len(good) || value[len("Bearer"):] != good[len("Bearer"):]) {
			t.Fatalf("%q was accepted as %v", value, c)
		}
		if err != nil && len(err.Error()) > 2000 {
			t.Fatalf("%d bytes of message: %v", len(err.Error()), err)
		}
	})
}
