package auth_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/auth"
)

func TestRefusalsOfTokens(t *testing.T) {
	s := newSubject(t, nil)
	other := newSubject(t, nil)
	unix := func(d time.Duration) int64 { return start.Add(d).Unix() }
	token := func(changes ...any) string { return s.issuer.Token(s.claims(changes...)) }
	for _, tt := range []struct{ name, token, want string }{
		{"good", token(), ""},
		{"audience with a slash", token("aud", "https://attest.azure.net/"), ""},
		{"one of several audiences", token("aud", []string{"https://graph.example", "https://attest.azure.net"}), ""},
		{"without nbf", token("nbf", nil), ""},
		{"not yet valid, within the leeway", token("nbf", unix(5*time.Minute)), ""},
		{"the last second", token("exp", unix(time.Second)), ""},
		{"fractions of seconds", token("exp", float64(unix(0))+0.5), ""},
		{"fractions of seconds that are over", token("exp", float64(unix(-1))+0.5), "expired"},
		{"another issuer", other.issuer.Token(other.claims()), "issuer"},
		{"issuer with a slash more", token("iss", s.issuer.Name+"/"), "issuer"},
		{"issuer in capitals", token("iss", strings.ToUpper(s.issuer.Name)), "issuer"},
		{"no issuer", token("iss", nil), "issuer"},
		{"the issuer's name, another's key", other.issuer.Token(s.claims()), "signature"},
		{"development issuer outside of development mode", token("iss", "urn:assay:development"), "issuer"},
		{"another audience", token("aud", "https://graph.example"), "audience"},
		{"the other side's audience", token("aud", "https://management.azure.com"), "audience"},
		{"audience that only begins alike", token("aud", "https://attest.azure.net.example"), "audience"},
		{"no audience", token("aud", nil), "audience"},
		{"no audiences", token("aud", []string{}), "audience"},
		{"expired", token("exp", unix(-time.Hour)), "expired"},
		{"expiring this second", token("exp", unix(0)), "expired"},
		{"not yet valid", token("nbf", unix(5*time.Minute+time.Second)), "not-yet-valid"},
		{"no exp", token("exp", nil), "malformed"},
		{"exp as text", token("exp", "1900000000"), "malformed"},
		{"exp before 1970", token("exp", -1), "malformed"},
		{"exp beyond all times", token("exp", math.MaxFloat64), "malformed"},
		{"exp null", token("exp", []any(nil)), "malformed"},
		{"audience of another type", token("aud", 1), "malformed"},
		{"audiences of another type", token("aud", []int{1}), "malformed"},
		{"issuer of another type", token("iss", 1), "malformed"},
		{"name of another type", token("upn", 1), "malformed"},
		{"nobody", token("oid", nil, "sub", nil), "malformed"},
		{"id that is too long", token("oid", strings.Repeat("x", auth.MaxText+1)), "malformed"},
		{"id of the greatest length", token("oid", strings.Repeat("x", auth.MaxText)), ""},
		{"id with a line end", token("oid", "a\nb"), "malformed"},
		{"unsigned", s.issuer.Unsigned(s.claims()), "alg"},
		{"unsigned with a signature", s.issuer.Unsigned(s.claims()) + "AAAA", "alg"},
		{"signed with the public key as a secret", s.issuer.Secret(s.claims()), "alg"},
		{"tampered", s.issuer.Tampered(s.claims(), s.claims("roles", []string{"Admin"})), "signature"},
		{"signature cut", strings.TrimSuffix(token(), token()[len(token())-6:]), "signature"},
		{"unknown key", s.issuer.UnknownKey(s.claims()), "unknown-key"},
	} {
		_, err := s.Caller(request("Bearer "+tt.token), auth.DataPlane)
		if got := verdictOf(t, err); got != tt.want {
			t.Errorf("%s: got %q (%v), want %q", tt.name, got, err, tt.want)
		}
		if payload := strings.Split(tt.token, ".")[1]; err != nil && strings.Contains(err.Error(), payload) {
			t.Errorf("%s: the message holds the token: %v", tt.name, err)
		}
		if err != nil && len(err.Error()) > 1000 {
			t.Errorf("%s: %d bytes of message", tt.name, len(err.Error()))
		}
	}
}

func TestRefusalsOfHeaders(t *testing.T) {
	s := newSubject(t, nil)
	good := "Bearer " + s.issuer.Token(s.claims())
	long := s.issuer.Token(s.claims("padding", strings.Repeat("x", auth.MaxToken)))
	parts := strings.Split(strings.TrimPrefix(good, "Bearer "), ".")
	for _, tt := range []struct {
		name    string
		headers []string
		want    string
	}{
		{"Bearer", []string{good}, ""},
		{"bearer", []string{"b" + good[1:]}, ""},
		{"empty", []string{""}, "malformed"},
		{"no token", []string{"Bearer"}, "malformed"},
		{"empty token", []string{"Bearer "}, "malformed"},
		{"Basic", []string{"Basic YWRhOnNlY3JldA=="}, "malformed"},
		{"two", []string{good, good}, "malformed"},
		{"two in one", []string{good + ", " + good}, "malformed"},
		{"two spaces", []string{"Bearer  " + good[len("Bearer "):]}, "malformed"},
		{"a space behind", []string{good + " "}, "malformed"},
		{"too long", []string{"Bearer " + long}, "malformed"},
		{"four parts", []string{good + ".AAAA"}, "malformed"},
		{"no signature", []string{"Bearer " + parts[0] + "." + parts[1] + "."}, "malformed"},
		{"padded", []string{good + "="}, "malformed"},
		{"JSON serialisation", []string{`Bearer {"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`}, "malformed"},
		{"header twice the same member", []string{"Bearer " + b64(`{"alg":"RS256","alg":"none","kid":"key-1"}`) + "." + parts[1] + ".AAAA"}, "malformed"},
		{"header without kid", []string{"Bearer " + b64(`{"alg":"RS256"}`) + "." + parts[1] + ".AAAA"}, "malformed"},
		{"header without alg", []string{"Bearer " + b64(`{"kid":"key-1"}`) + "." + parts[1] + ".AAAA"}, "alg"},
		{"EdDSA", []string{"Bearer " + b64(`{"alg":"EdDSA","kid":"key-1"}`) + "." + parts[1] + ".AAAA"}, "alg"},
		{"algorithm of another kind of key", []string{"Bearer " + b64(`{"alg":"ES256","kid":"key-1"}`) + "." + parts[1] + ".AAAA"}, "unknown-key"},
		{"payload that is no object", []string{"Bearer " + parts[0] + "." + b64(`[]`) + ".AAAA"}, "malformed"},
		{"payload with a duplicate member", []string{"Bearer " + parts[0] + "." + b64(`{"iss":"a","iss":"b"}`) + ".AAAA"}, "malformed"},
		{"payload null", []string{"Bearer " + parts[0] + "." + b64(`null`) + ".AAAA"}, "issuer"},
	} {
		c, err := s.Caller(request(tt.headers...), auth.DataPlane)
		if got := verdictOf(t, err); got != tt.want || err != nil && c != nil {
			t.Errorf("%s: got %q (%v), want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestTokensAreReadUpToTheirGreatestLength(t *testing.T) {
	k := devKey(t, t.TempDir())
	s := development(t, k)
	for length, want := range map[int]string{auth.MaxToken: "", auth.MaxToken + 1: "malformed"} {
		var token string
		for padding := auth.MaxToken * 3 / 4; len(token) != length; padding-- {
			audiences := []string{"https://attest.azure.net", strings.Repeat("x", padding)}
			var err error
			if token, err = k.Token(auth.Reader, []string{"*"}, audiences, start, time.Hour); err != nil || len(token) < length {
				t.Fatalf("no padding gives a token of %d bytes, %v", length, err)
			}
		}
		if got := s.verdict(token); got != want {
			t.Errorf("%d bytes: got %q, want %q", length, got, want)
		}
	}
}

func TestEachSideHasItsAudiences(t *testing.T) {
	s := newSubject(t, nil)
	for _, tt := range []struct {
		side     auth.Audience
		audience string
		want     string
	}{
		{auth.DataPlane, "https://attest.azure.net", ""},
		{auth.ControlPlane, "https://attest.azure.net", "audience"},
		{auth.ControlPlane, "https://management.azure.com", ""},
		{auth.ControlPlane, "https://management.azure.com/", ""},
		{auth.ControlPlane, "https://management.core.windows.net/", ""},
		{auth.DataPlane, "https://management.core.windows.net/", "audience"},
		{0, "https://attest.azure.net", "audience"},
	} {
		_, err := s.Caller(request("Bearer "+s.issuer.Token(s.claims("aud", tt.audience))), tt.side)
		if got := verdictOf(t, err); got != tt.want {
			t.Errorf("side %d, aud %s: got %q, want %q", tt.side, tt.audience, got, tt.want)
		}
	}
	own := newSubject(t, func(c *auth.Config) { c.Issuers[0].Audiences = []string{"api://attest"} })
	if got := own.verdict(own.issuer.Token(own.claims("aud", "api://attest"))); got != "" {
		t.Errorf("configured audience: %s", got)
	}
	if got := own.verdict(own.issuer.Token(own.claims())); got != "audience" {
		t.Errorf("default audience beside configured ones: got %q, want audience", got)
	}
}

func TestRequestWithoutProofIsAnonymous(t *testing.T) {
	s := newSubject(t, nil)
	c, err := s.Caller(request(), auth.DataPlane)
	if c != nil || err != nil {
		t.Errorf("caller %v, %v, want neither", c, err)
	}
	if c.May("one", auth.Read) || c.MayAll(auth.Read) || c.String() != "anonymous" {
		t.Errorf("%v may read", c)
	}
}
