package auth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/auth"
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestKeysAreFetchedWhenATokenNeedsThemAndKept(t *testing.T) {
	s := newSubject(t, nil)
	if n := s.issuer.Requests(); n != 0 {
		t.Errorf("%d requests before the first token", n)
	}
	for _, worthless := range []string{"a.b.c", s.issuer.Token(s.claims("aud", "x")), s.issuer.Token(s.claims("exp", 1)), s.issuer.Unsigned(s.claims())} {
		if got := s.verdict(worthless); got == "" || s.issuer.Requests() != 0 {
			t.Errorf("worthless token: got %q after %d requests", got, s.issuer.Requests())
		}
	}
	for range 3 {
		if got := s.verdict(s.issuer.Token(s.claims())); got != "" || s.issuer.Requests() != 2 {
			t.Errorf("got %q after %d requests, want one for discovery and one for the keys", got, s.issuer.Requests())
		}
	}
}

func TestUnknownKeysCauseAFetchEveryFewSeconds(t *testing.T) {
	s := newSubject(t, nil)
	step := func(name, token, want string, requests int) {
		t.Helper()
		if got := s.verdict(token); got != want || s.issuer.Requests() != requests {
			t.Errorf("%s: got %q after %d requests, want %q after %d", name, got, s.issuer.Requests(), want, requests)
		}
	}
	old := s.issuer.Token(s.claims())
	step("first token", old, "", 2)
	s.issuer.Rotate()
	rotated := s.issuer.Token(s.claims())
	step("new key at once", rotated, "unknown-key", 2)
	s.clock.pass(5*time.Second - 1)
	step("new key within five seconds", rotated, "unknown-key", 2)
	s.clock.pass(1)
	step("new key after them", rotated, "", 3)
	step("withdrawn key", old, "unknown-key", 3)
}

func TestKeysAgeAndExpire(t *testing.T) {
	s := newSubject(t, nil)
	far := s.issuer.Token(s.claims("exp", start.AddDate(1, 0, 0).Unix()))
	step := func(name string, at time.Duration, want string, requests int) {
		t.Helper()
		s.clock.set(start.Add(at))
		if got := s.verdict(far); got != want || s.issuer.Requests() != requests {
			t.Errorf("%s: got %q after %d requests, want %q after %d", name, got, s.issuer.Requests(), want, requests)
		}
	}
	step("first token", 0, "", 2)
	step("fresh keys", time.Hour, "", 2)
	s.issuer.Answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	step("older keys serve though newer ones cannot be had", time.Hour+1, "", 3)
	step("and are not asked for again within a minute", time.Hour+time.Minute, "", 3)
	step("but after it", time.Hour+time.Minute+1, "", 4)
	step("the last moment", 24*time.Hour, "", 5)
	step("too old", 24*time.Hour+5*time.Second, "unavailable", 6)
	s.issuer.Answer(nil)
	step("within five seconds of a failure", 24*time.Hour+10*time.Second-1, "unavailable", 6)
	step("the issuer is back", 24*time.Hour+10*time.Second, "", 8)
	s.issuer.Rotate()
	step("the key is withdrawn", 26*time.Hour, "unknown-key", 9)
}

func TestManyCallersShareOneFetch(t *testing.T) {
	s := newSubject(t, nil)
	s.issuer.Answer(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(50 * time.Millisecond)
		s.issuer.Serve(w, r)
	})
	token := s.issuer.Token(s.claims())
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if got := s.verdict(token); got != "" {
				t.Errorf("got %q", got)
			}
		})
	}
	wg.Wait()
	if n := s.issuer.Requests(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}

func TestCallerWhoGivesUpEndsTheFetchForNobody(t *testing.T) {
	s := newSubject(t, nil)
	begun, goOn := make(chan struct{}, 2), make(chan struct{})
	s.issuer.Answer(func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-goOn
		s.issuer.Serve(w, r)
	})
	token := s.issuer.Token(s.claims())
	ctx, giveUp := context.WithCancel(t.Context())
	var first, waiting string
	var wg sync.WaitGroup
	ask := func(ctx context.Context, got *string) {
		_, err := s.Caller(request("Bearer "+token).WithContext(ctx), auth.DataPlane)
		*got = verdictOf(t, err)
	}
	wg.Go(func() { ask(ctx, &first) })
	<-begun
	giveUp()
	ask(ctx, &waiting) // finds the seat taken
	close(goOn)
	wg.Wait()
	if first != "" || waiting != "unavailable" {
		t.Errorf("who fetches: %q, want a verdict; who waits no longer: %q, want unavailable", first, waiting)
	}
}

func TestIssuerThatFailsIsNoVerdict(t *testing.T) {
	s := newSubject(t, nil)
	document := func(issuer, keys string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, issuer, keys)
		}
	}
	keys := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/keys" {
				s.issuer.Serve(w, r)
				return
			}
			fmt.Fprint(w, body)
		}
	}
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		fault   string
	}{
		{"404", http.NotFound, "404"},
		{"discovery that is no JSON", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, "discovery"},
		{"discovery of another issuer", document("https://other.example", s.issuer.Discovery()), "another issuer"},
		{"keys without TLS", document(s.issuer.Name, "http://login.example/keys"), "jwks_uri"},
		{"no keys URL", document(s.issuer.Name, ""), "jwks_uri"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/", http.StatusFound)
		}, "redirect"},
		{"endless document", func(w http.ResponseWriter, _ *http.Request) { w.Write(bytes.Repeat([]byte(" "), 1<<20+1)) }, "too large"},
		{"endless key set", keys(`{"keys":[]}` + strings.Repeat(" ", 1<<20)), "too large"},
		{"too many keys", keys(`{"keys":[` + strings.Repeat("{},", 128) + `{}]}`), "at most 128"},
		{"no keys", keys(`{"keys":[]}`), "no key"},
		{"key set with a duplicate member", keys(`{"keys":[],"keys":[]}`), "duplicate"},
		{"keys of the wrong kinds", keys(`{"keys":[{"kty":"oct","kid":"key-1","k":"AAAA"},{"kty":"OKP","kid":"key-1"},{"kty":"EC"}]}`), "no key"},
	} {
		s.issuer.Answer(tt.handler)
		s.clock.pass(5 * time.Second)
		_, err := s.Caller(request("Bearer "+s.issuer.Token(s.claims())), auth.DataPlane)
		unavailable, ok := err.(*auth.Unavailable)
		if !ok || unavailable.RetryAfter != 5*time.Second || unavailable.Issuer != s.issuer.Name || !strings.Contains(err.Error(), tt.fault) {
			t.Errorf("%s: got %v, want *Unavailable with %q", tt.name, err, tt.fault)
		}
		before := s.issuer.Requests()
		if got := s.verdict(s.issuer.Token(s.claims())); got != "unavailable" || s.issuer.Requests() != before {
			t.Errorf("%s, at once again: %q, want unavailable without a request", tt.name, got)
		}
	}
	s.issuer.Answer(nil)
	s.clock.pass(5 * time.Second)
	if got := s.verdict(s.issuer.Token(s.claims())); got != "" {
		t.Errorf("the issuer is back: %q", got)
	}
}

func TestKeysUnder2048BitsAreNotUsed(t *testing.T) {
	s := newSubject(t, nil)
	weak := s.issuer.WeakKey(2047, s.claims())
	if got := s.verdict(weak); got != "unknown-key" {
		t.Errorf("RSA of 2047 bits: got %q, want unknown-key", got)
	}
	if got := s.verdict(s.issuer.Token(s.claims())); got != "" {
		t.Errorf("the key beside it: got %q", got)
	}
}

func TestOtherRootsDoNotReachTheIssuer(t *testing.T) {
	s := newSubject(t, func(c *auth.Config) { c.Issuers[0].CAFile = "" })
	if got := s.verdict(s.issuer.Token(s.claims())); got != "unavailable" || s.issuer.Requests() != 0 {
		t.Errorf("got %q after %d requests, want unavailable after none", got, s.issuer.Requests())
	}
}
