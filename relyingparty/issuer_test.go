package relyingparty_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/issuer"
	"github.com/assay-attestation/assay/relyingparty"
	"github.com/assay-attestation/assay/result"
)

const issuerURL = "https://attest.example.com"

// signers are two sets of keys of one issuer, made once since that takes long.
var signers = sync.OnceValues(func() (first, second *issuer.Keys) {
	made := func() *issuer.Keys {
		key, err := issuer.Generate(time.Unix(0, 0))
		if err != nil {
			panic(err)
		}
		k, err := issuer.New(issuer.Config{Issuer: issuerURL}, []issuer.Key{key})
		if err != nil {
			panic(err)
		}
		return k
	}
	return made(), made()
})

// fakeIssuer stands in for the network: it answers requests with handler and counts them.
type fakeIssuer struct {
	handler  http.HandlerFunc
	requests atomic.Int32
}

// RoundTrip implements http.RoundTripper.
func (f *fakeIssuer) RoundTrip(req *http.Request) (*http.Response, error) {
	f.requests.Add(1)
	answer := httptest.NewRecorder()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.handler(answer, req)
	}()
	select {
	case <-done:
		return answer.Result(), nil
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}

func serve(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.Write(body) }
}

func verifier(t testing.TB, f *fakeIssuer, change func(*relyingparty.Config)) *relyingparty.Verifier {
	t.Helper()
	cfg := relyingparty.Config{Issuer: issuerURL, HTTPClient: &http.Client{Transport: f}}
	if change != nil {
		change(&cfg)
	}
	v, err := relyingparty.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func sign(t testing.TB, k *issuer.Keys, claims result.Claims) string {
	t.Helper()
	token, err := k.SignResult(claims, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// verdict is the reason of a refusal, "unavailable", or nothing.
func verdict(t testing.TB, err error) string {
	t.Helper()
	switch e := err.(type) {
	case nil:
		return ""
	case *result.Refusal:
		return string(e.Reason)
	case *relyingparty.KeysUnavailable:
		return "unavailable"
	}
	t.Fatalf("unexpected error %T: %v", err, err)
	return ""
}

func verify(t testing.TB, v *relyingparty.Verifier, token string) string {
	t.Helper()
	_, err := v.Verify(context.Background(), token)
	return verdict(t, err)
}

func readAll(t testing.TB, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
