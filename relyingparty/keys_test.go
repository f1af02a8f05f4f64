package relyingparty_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assay-attestation/assay/relyingparty"
	"github.com/assay-attestation/assay/result"
)

func TestKeysAreFetchedOnceAndKept(t *testing.T) {
	first, _ := signers()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeIssuer{handler: func(w http.ResponseWriter, r *http.Request) {
			if r.URL.String() != issuerURL+"/certs" || r.Method != http.MethodGet {
				t.Errorf("request %s %s", r.Method, r.URL)
			}
			w.Write(first.Certs(time.Now()))
		}}
		v := verifier(t, f, nil)
		for range 3 {
			if got := verify(t, v, sign(t, first, nil)); got != "" {
				t.Errorf("got %s", got)
			}
		}
		if n := f.requests.Load(); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}

func TestManyCallersShareOneRequest(t *testing.T) {
	first, _ := signers()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeIssuer{handler: func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Second)
			w.Write(first.Certs(time.Now()))
		}}
		v, token := verifier(t, f, nil), sign(t, first, nil)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if got := verify(t, v, token); got != "" {
					t.Errorf("got %s", got)
				}
			})
		}
		wg.Wait()
		if n := f.requests.Load(); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}

func TestUnknownKeyRefreshesAtMostOnceAMinute(t *testing.T) {
	first, second := signers()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeIssuer{handler: serve(first.Certs(time.Now()))}
		v := verifier(t, f, nil)
		step := func(name, token, want string, requests int32) {
			t.Helper()
			if got := verify(t, v, token); got != want || f.requests.Load() != requests {
				t.Errorf("%s: got %q after %d requests, want %q after %d", name, got, f.requests.Load(), want, requests)
			}
		}
		step("first token", sign(t, first, nil), "", 1)
		step("unknown key at once", sign(t, second, nil), "unknown-key", 1)
		time.Sleep(59 * time.Second)
		step("unknown key within the minute", sign(t, second, nil), "unknown-key", 1)
		time.Sleep(time.Second)
		step("unknown key after it", sign(t, second, nil), "unknown-key", 2)
		f.handler = serve(second.Certs(time.Now()))
		step("new key within the next minute", sign(t, second, nil), "unknown-key", 2)
		time.Sleep(time.Minute)
		step("new key after it", sign(t, second, nil), "", 3)
		step("withdrawn key", sign(t, first, nil), "unknown-key", 3)
	})
}

func TestWorthlessTokensCauseNoRequest(t *testing.T) {
	first, _ := signers()
	f := &fakeIssuer{handler: serve(first.Certs(time.Now()))}
	v := verifier(t, f, nil)
	_, payload, _ := strings.Cut(sign(t, first, nil), ".")
	payload, _, _ = strings.Cut(payload, ".")
	draft := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + payload + "."
	for token, want := range map[string]string{"": "malformed", "a.b.c": "malformed", draft: "alg"} {
		if got := verify(t, v, token); got != want || f.requests.Load() != 0 {
			t.Errorf("%.40q: got %s after %d requests, want %s after none", token, got, f.requests.Load(), want)
		}
	}
}

// TestForeignTokensCauseNoRequest has tokens that name another issuer, with keys that nobody knows.
func TestForeignTokensCauseNoRequest(t *testing.T) {
	first, second := signers()
	f := &fakeIssuer{handler: serve(first.Certs(time.Now()))}
	header, _, _ := strings.Cut(sign(t, second, nil), ".")
	with := func(payload string) string {
		return header + "." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".AAAA"
	}
	for _, tt := range []struct{ name, token, want string }{
		{"another issuer", with(`{"iss":"https://other.example.com"}`), "issuer"},
		{"the issuer with a slash", with(`{"iss":"` + issuerURL + `/"}`), "issuer"},
		{"endless issuer", with(`{"iss":"` + strings.Repeat("x", 1<<16) + `"}`), "issuer"},
		{"issuer that is no text", with(`{"iss":1}`), "malformed"},
		{"payload that is no object", with(`[]`), "malformed"},
	} {
		_, err := verifier(t, f, nil).Verify(context.Background(), tt.token)
		if got := verdict(t, err); got != tt.want || f.requests.Load() != 0 || len(err.Error()) > 400 {
			t.Errorf("%s: got %s after %d requests (%.400v), want %s after none", tt.name, got, f.requests.Load(), err, tt.want)
		}
	}
	if got := verify(t, verifier(t, f, nil), sign(t, second, nil)); got != "unknown-key" || f.requests.Load() != 1 {
		t.Errorf("token of the issuer: got %s after %d requests, want unknown-key after one", got, f.requests.Load())
	}
}

func TestPinnedKeysDecideBeforeTheIssuer(t *testing.T) {
	first, second := signers()
	v := verifier(t, nil, func(c *relyingparty.Config) { c.Issuer, c.Keys = "https://other.example.com", first.KeySet() })
	for name, tt := range map[string]struct{ token, want string }{
		"unknown key": {sign(t, second, nil), "unknown-key"}, "known key": {sign(t, first, nil), "issuer"},
	} {
		if got := verify(t, v, tt.token); got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
}

func TestKeysAgeAndExpire(t *testing.T) {
	first, second := signers()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeIssuer{handler: serve(first.Certs(time.Now()))}
		v := verifier(t, f, nil)
		step := func(name, want string, requests int32) {
			t.Helper()
			got := verify(t, v, sign(t, first, nil))
			synctest.Wait()
			if got != want || f.requests.Load() != requests {
				t.Errorf("%s: got %q after %d requests, want %q after %d", name, got, f.requests.Load(), want, requests)
			}
		}
		step("first token", "", 1)
		time.Sleep(time.Hour)
		step("fresh keys", "", 1)
		f.handler = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
		time.Sleep(time.Second)
		step("older keys serve while newer ones are fetched", "", 2)
		step("and no second request within 5 seconds", "", 2)
		time.Sleep(23*time.Hour - time.Second)
		step("on the last day's last second", "", 3)
		time.Sleep(5 * time.Second)
		step("too old", "unavailable", 4)
		f.handler = serve(first.Certs(time.Now()))
		step("within 5 seconds of a failure", "unavailable", 4)
		time.Sleep(5 * time.Second)
		step("the issuer is back", "", 5)
		f.handler = serve(second.Certs(time.Now()))
		time.Sleep(time.Hour + 1)
		step("withdrawn key, while the fetch is under way", "", 6)
		step("withdrawn key, after it", "unknown-key", 6)
	})
}

func TestUnreachableKeysAreNoVerdict(t *testing.T) {
	first, second := signers()
	huge := append(bytes.Clone(first.Certs(time.Now())), bytes.Repeat([]byte(" "), result.MaxKeySetSize)...)
	to := func(url string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, url, http.StatusFound) }
	}
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		fault   string
	}{
		"404":           {http.NotFound, "found 404"},
		"201":           {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); w.Write(first.Certs(time.Now())) }, "found 201"},
		"too large":     {serve(huge), "at most 1048576"},
		"no key set":    {serve([]byte("<html>")), "key set"},
		"another host":  {to("https://evil.example/certs"), "another host"},
		"another port":  {to(issuerURL + ":444/certs"), "another host"},
		"down to http":  {to("http://attest.example.com/certs"), "another host"},
		"endless chain": {to(issuerURL + "/certs"), "more than 3 redirects"},
		"hanging":       {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "deadline exceeded"},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeIssuer{handler: tt.handler}
			_, err := verifier(t, f, nil).Verify(context.Background(), sign(t, first, nil))
			e, ok := errors.AsType[*relyingparty.KeysUnavailable](err)
			if !ok || e.URL != issuerURL+"/certs" || e.RetryAfter != 5*time.Second || !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("%s: got %v, want KeysUnavailable with %q", name, err, tt.fault)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		f := &fakeIssuer{handler: serve(first.Certs(time.Now()))}
		v := verifier(t, f, nil)
		verify(t, v, sign(t, first, nil))
		f.handler = http.NotFound
		time.Sleep(time.Minute)
		if got := verify(t, v, sign(t, second, nil)); got != "unavailable" {
			t.Errorf("key that may be new: got %q, want unavailable", got)
		}
		if got := verify(t, v, sign(t, first, nil)); got != "" {
			t.Errorf("known key beside it: got %q", got)
		}
	})
}

func TestRedirectOnTheSameHostIsFollowed(t *testing.T) {
	first, _ := signers()
	f := &fakeIssuer{handler: func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/certs" {
			http.Redirect(w, r, "/certs/", http.StatusMovedPermanently)
			return
		}
		w.Write(first.Certs(time.Now()))
	}}
	if got := verify(t, verifier(t, f, nil), sign(t, first, nil)); got != "" {
		t.Errorf("got %s", got)
	}
}

func TestCallerMayGiveUpWithoutEndingTheFetch(t *testing.T) {
	first, _ := signers()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeIssuer{handler: func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(2 * time.Second)
			w.Write(first.Certs(time.Now()))
		}}
		v, token := verifier(t, f, nil), sign(t, first, nil)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := v.Verify(ctx, token); verdict(t, err) != "unavailable" || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want KeysUnavailable by the deadline", err)
		}
		if got := verify(t, v, token); got != "" || f.requests.Load() != 1 {
			t.Errorf("next caller: got %q after %d requests, want the first one's fetch", got, f.requests.Load())
		}
	})
}
