package result_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/assay-attestation/assay/result"
)

// tokenCheck is one outcome of vectors/maa/index.json (its README, section 5).
type tokenCheck struct {
	Member  string
	JWKS    string
	At      time.Time
	Issuer  string
	Verdict string
	Reason  string
}

// checks walks the index and calls f for every outcome of every token.
func checks(t testing.TB, f func(file string, c tokenCheck)) {
	t.Helper()
	var index map[string]struct {
		Check      *tokenCheck
		MoreChecks []tokenCheck `json:"more_checks"`
	}
	vectortest.ReadJSON(t, "maa/index.json", &index)
	for file, entry := range index {
		if entry.Check != nil {
			entry.MoreChecks = append(entry.MoreChecks, *entry.Check)
		}
		for _, c := range entry.MoreChecks {
			f("maa/"+file, c)
		}
	}
}

// readToken returns the token of a file: the file itself, or the member of its JSON.
func readToken(t testing.TB, file, member string) string {
	t.Helper()
	b := vectortest.Read(t, file)
	if member == "" {
		return strings.TrimSpace(string(b))
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for name := range strings.SplitSeq(strings.TrimPrefix(member, "/"), "/") {
		if s, ok := v.(string); ok {
			if err := json.Unmarshal([]byte(s), &v); err != nil {
				t.Fatalf("%s%s: %v", file, member, err)
			}
		}
		object, _ := v.(map[string]any)
		v = object[name]
	}
	token, ok := v.(string)
	if !ok {
		t.Fatalf("%s has no string %s", file, member)
	}
	return token
}

func TestTokensOfTheIndexHaveTheirOutcome(t *testing.T) {
	walked := 0
	checks(t, func(file string, c tokenCheck) {
		walked++
		set, err := result.ParseKeySet(vectortest.Read(t, c.JWKS))
		if err != nil {
			t.Errorf("%s: %v", c.JWKS, err)
			return
		}
		want := c.Reason
		if c.Verdict != "reject" {
			want = c.Verdict
		}
		got := "accept"
		_, err = result.Verify(readToken(t, file, c.Member), set, result.Expect{Issuer: c.Issuer, At: c.At, SharedKeys: true})
		if err != nil {
			got = string(reason(t, err))
		}
		if got != want {
			t.Errorf("%s with %s at %s for %s: got %s (%v), want %s", file, c.JWKS, c.At, c.Issuer, got, err, want)
		}
	})
	if walked == 0 {
		t.Error("the index has no token checks")
	}
}

func TestClaimsOfRecordedTokensAreWrittenAsRecorded(t *testing.T) {
	checks(t, func(file string, c tokenCheck) {
		u, err := result.ParseToken(readToken(t, file, c.Member))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			return
		}
		var claims result.Claims
		if err := json.Unmarshal(u.Payload(), &claims); err != nil {
			t.Fatal(err)
		}
		for name, value := range claims {
			if n, ok := value.(float64); ok {
				claims[name] = int64(n)
			}
		}
		h := u.Header()
		draft, err := result.Signer{KeyID: h.KeyID, KeySetURL: h.KeySetURL}.Draft(claims)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			return
		}
		again, err := result.ParseToken(draft)
		if err != nil || string(again.Payload()) != string(u.Payload()) {
			t.Errorf("%s: wrote %s (%v), recorded %s", file, again.Payload(), err, u.Payload())
		}
		if h.Algorithm == "none" && draft != readToken(t, file, c.Member) {
			t.Errorf("%s: draft is %s, recorded %s", file, draft, readToken(t, file, c.Member))
		}
	})
}

func reason(t testing.TB, err error) result.Reason {
	t.Helper()
	r, ok := err.(*result.Refusal)
	if !ok {
		t.Fatalf("error %T %v is not a Refusal", err, err)
	}
	return r.Reason
}
