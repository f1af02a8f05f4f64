package auth_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/auth/authtest"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

func (c *clock) pass(d time.Duration) { c.set(c.Now().Add(d)) }

// subject is an Authenticator that knows one issuer.
type subject struct {
	*auth.Authenticator
	t      testing.TB
	issuer *authtest.Issuer
	clock  *clock
}

// newSubject makes one whose issuer's holders of the application role Admin are contributors of "one".
func newSubject(t testing.TB, change func(*auth.Config)) subject {
	t.Helper()
	issuer := authtest.Start(t, "")
	cfg := auth.Config{Issuers: []auth.Issuer{issuer.Config(
		auth.Rule{Claim: "roles", Value: "Admin", Role: auth.Contributor, Providers: []string{"one"}},
	)}}
	if change != nil {
		change(&cfg)
	}
	c := &clock{now: start}
	return subject{authenticator(t, cfg, c.Now), t, issuer, c}
}

func authenticator(t testing.TB, cfg auth.Config, now func() time.Time) *auth.Authenticator {
	t.Helper()
	a, err := auth.New(cfg, now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// claims are those of a good token, with changes.
func (s subject) claims(changes ...any) map[string]any {
	claims := s.issuer.ClaimsV1(start)
	for i := 0; i < len(changes); i += 2 {
		claims[changes[i].(string)] = changes[i+1]
	}
	return claims
}

func request(headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/policies/SgxEnclave", nil)
	for _, h := range headers {
		r.Header.Add("Authorization", h)
	}
	return r
}

// verdict is what becomes of a token for the data plane: the reason of its refusal, "unavailable", or "".
func (s subject) verdict(token string) string {
	s.t.Helper()
	_, err := s.Caller(request("Bearer "+token), auth.DataPlane)
	return verdictOf(s.t, err)
}

func verdictOf(t testing.TB, err error) string {
	t.Helper()
	refused, isRefused := errors.AsType[*auth.Refused](err)
	_, isUnavailable := errors.AsType[*auth.Unavailable](err)
	switch {
	case err == nil:
		return ""
	case isRefused:
		return string(refused.Reason)
	case isUnavailable:
		return "unavailable"
	}
	t.Fatalf("unexpected error %T: %v", err, err)
	return ""
}

// caller is the bearer of a token that must be good.
func caller(t testing.TB, a *auth.Authenticator, token string) *auth.Caller {
	t.Helper()
	c, err := a.Caller(request("Bearer "+token), auth.DataPlane)
	if err != nil || c == nil {
		t.Fatalf("caller %v, %v", c, err)
	}
	return c
}

// rsaKeyPEM is a key of another kind than the development issuer's.
func rsaKeyPEM(t testing.TB) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
