package relyingparty_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/relyingparty"
	"github.com/assay-attestation/assay/result"
)

func TestNewRefusesUnsafeConfigurations(t *testing.T) {
	for _, tt := range []struct {
		issuer string
		http   bool
		ok     bool
	}{
		{"https://attest.example.com", false, true}, {"https://attest.example.com/", false, true}, {"https://localhost:8443", false, true},
		{"http://127.0.0.1:8080", true, true}, {"http://[::1]:8080", true, true}, {"http://localhost", true, true},
		{"http://127.0.0.1:8080", false, false}, {"http://attest.example.com", true, false}, {"http://127.0.0.1.example.com", true, false},
		{"", false, false}, {"attest.example.com", false, false}, {"https://attest.example.com/path", false, false},
		{"https://attest.example.com//", false, false}, {"https://attest.example.com?", false, false}, {"https://attest.example.com#x", false, false},
		{"https://u:p@attest.example.com", false, false}, {"ftp://attest.example.com", false, false}, {"https://a b", false, false},
	} {
		_, err := relyingparty.New(relyingparty.Config{Issuer: tt.issuer, AllowLoopbackHTTP: tt.http})
		if (err == nil) != tt.ok {
			t.Errorf("issuer %q, loopback http %v: %v, want ok %v", tt.issuer, tt.http, err, tt.ok)
		}
	}
	for leeway, ok := range map[time.Duration]bool{-1: false, result.MaxLeeway: true, result.MaxLeeway + 1: false} {
		if _, err := relyingparty.New(relyingparty.Config{Issuer: issuerURL, Leeway: leeway}); (err == nil) != ok {
			t.Errorf("leeway %v: %v, want ok %v", leeway, err, ok)
		}
	}
}

func TestVerifyAppliesItsConfiguration(t *testing.T) {
	first, _ := signers()
	now := time.Now()
	at := func(d time.Duration) func(*relyingparty.Config) {
		return func(c *relyingparty.Config) { c.Clock = func() time.Time { return now.Add(d) } }
	}
	development := sign(t, first, result.Claims{"ext-development": true})
	for _, tt := range []struct {
		name, token string
		change      func(*relyingparty.Config)
		want        string
	}{
		{"genuine", sign(t, first, nil), nil, ""},
		{"issuer with a trailing slash", sign(t, first, nil), func(c *relyingparty.Config) { c.Issuer += "/" }, ""},
		{"another issuer with the same keys", sign(t, first, nil), func(c *relyingparty.Config) { c.Issuer = "https://other.example.com" }, "issuer"},
		{"expired", sign(t, first, nil), at(9 * time.Hour), "expired"},
		{"from the future", sign(t, first, nil), at(-time.Minute), "not-yet-valid"},
		{"from the future, within the leeway", sign(t, first, nil), func(c *relyingparty.Config) {
			at(-time.Minute)(c)
			c.Leeway = 2 * time.Minute
		}, ""},
		{"development", development, nil, "development"},
		{"development allowed", development, func(c *relyingparty.Config) { c.AllowDevelopment = true }, ""},
		{"pinned keys", sign(t, first, nil), func(c *relyingparty.Config) { c.Keys = first.KeySet() }, ""},
		{"pinned keys without this one", sign(t, first, nil), func(c *relyingparty.Config) { c.Keys = new(result.KeySet) }, "unknown-key"},
	} {
		f := &fakeIssuer{handler: serve(first.Certs(time.Now()))}
		if got := verify(t, verifier(t, f, tt.change), tt.token); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
		if strings.HasPrefix(tt.name, "pinned") && f.requests.Load() != 0 {
			t.Errorf("%s: %d requests, want none", tt.name, f.requests.Load())
		}
	}
}

// sgxClaims are those of an SGX token; override replaces some and removes those that it gives as nil.
func sgxClaims(override result.Claims) result.Claims {
	c := result.Claims{
		"x-ms-attestation-type": "sgx", "x-ms-sgx-mrenclave": strings.Repeat("1e", 32), "x-ms-sgx-mrsigner": strings.Repeat("51", 32),
		"x-ms-sgx-product-id": int64(7), "x-ms-sgx-svn": int64(3), "x-ms-sgx-is-debuggable": false,
		"x-ms-sgx-report-data": strings.Repeat("ab", 64),
	}
	maps.Copy(c, override)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func verified(t testing.TB, claims result.Claims) *relyingparty.Token {
	t.Helper()
	first, _ := signers()
	v := verifier(t, nil, func(c *relyingparty.Config) { c.Keys = first.KeySet() })
	token, err := v.Verify(context.Background(), sign(t, first, claims))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func measurement(t testing.TB, hex string) relyingparty.Measurement {
	t.Helper()
	m, err := relyingparty.ParseMeasurement(hex)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSGXClaimsAreRead(t *testing.T) {
	got, err := verified(t, sgxClaims(result.Claims{"x-ms-sgx-ehd": "AQID"})).SGX()
	if err != nil {
		t.Fatal(err)
	}
	if got.MRENCLAVE.String() != strings.Repeat("1e", 32) || got.MRSIGNER.String() != strings.Repeat("51", 32) || got.ProductID != 7 ||
		got.SVN != 3 || got.Debuggable || got.ReportData[63] != 0xab || string(got.HeldData) != "\x01\x02\x03" || got.Runtime != nil {
		t.Errorf("got %+v", got)
	}
	got, err = verified(t, sgxClaims(result.Claims{"x-ms-runtime": result.Claims{"keys": []any{}}})).SGX()
	if err != nil || string(got.Runtime) != `{"keys":[]}` || got.HeldData != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestSGXRefusesTokensWithoutItsClaims(t *testing.T) {
	for name, value := range map[string][]any{
		"x-ms-attestation-type":  {nil, "sevsnpvm", int64(1)},
		"x-ms-sgx-mrenclave":     {nil, "1e", strings.Repeat("zz", 32), int64(1)},
		"x-ms-sgx-mrsigner":      {nil, strings.Repeat("51", 33)},
		"x-ms-sgx-product-id":    {nil, int64(65536), int64(-1), "7"},
		"x-ms-sgx-svn":           {nil, int64(65536), true},
		"x-ms-sgx-is-debuggable": {nil, "false", int64(0)},
		"x-ms-sgx-report-data":   {nil, strings.Repeat("ab", 32)},
		"x-ms-sgx-ehd":           {"AQI=", int64(1), "+/"},
	} {
		for _, v := range value {
			_, err := verified(t, sgxClaims(result.Claims{name: v})).SGX()
			if err == nil || verdict(t, err) != string(relyingparty.Unmet) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s = %v: got %v, want a refusal that names the claim", name, v, err)
			}
		}
	}
}

func TestRequireSGX(t *testing.T) {
	enclave, signer := measurement(t, strings.Repeat("1E", 32)), measurement(t, strings.Repeat("51", 32))
	other := measurement(t, strings.Repeat("00", 32))
	list := func(m ...relyingparty.Measurement) []relyingparty.Measurement { return m }
	for _, tt := range []struct {
		name   string
		want   relyingparty.SGX
		claims result.Claims
		unmet  string
	}{
		{"signer", relyingparty.SGX{MRSIGNER: list(signer), ProductID: 7}, nil, ""},
		{"enclave", relyingparty.SGX{MRENCLAVE: list(other, enclave), ProductID: 7, MinSVN: 3}, nil, ""},
		{"enclave and signer", relyingparty.SGX{MRENCLAVE: list(enclave), MRSIGNER: list(signer), ProductID: 7}, nil, ""},
		{"other signer", relyingparty.SGX{MRSIGNER: list(other), ProductID: 7}, nil, "x-ms-sgx-mrsigner"},
		{"other enclave", relyingparty.SGX{MRENCLAVE: list(other), ProductID: 7}, nil, "x-ms-sgx-mrenclave"},
		{"right enclave, other signer", relyingparty.SGX{MRENCLAVE: list(enclave), MRSIGNER: list(other), ProductID: 7}, nil, "x-ms-sgx-mrsigner"},
		{"other product", relyingparty.SGX{MRSIGNER: list(signer), ProductID: 8}, nil, "x-ms-sgx-product-id"},
		{"no product given", relyingparty.SGX{MRSIGNER: list(signer)}, nil, "x-ms-sgx-product-id"},
		{"old version", relyingparty.SGX{MRSIGNER: list(signer), ProductID: 7, MinSVN: 4}, nil, "x-ms-sgx-svn"},
		{"debuggable", relyingparty.SGX{MRSIGNER: list(signer), ProductID: 7}, result.Claims{"x-ms-sgx-is-debuggable": true}, "x-ms-sgx-is-debuggable"},
		{"debuggable allowed", relyingparty.SGX{MRSIGNER: list(signer), ProductID: 7, AllowDebuggable: true},
			result.Claims{"x-ms-sgx-is-debuggable": true}, ""},
		{"other type", relyingparty.SGX{MRSIGNER: list(signer), ProductID: 7}, result.Claims{"x-ms-attestation-type": "tdxvm"}, "x-ms-attestation-type"},
	} {
		err := verified(t, sgxClaims(tt.claims)).Require(tt.want)
		if (err == nil) != (tt.unmet == "") || err != nil && (verdict(t, err) != string(relyingparty.Unmet) || !strings.Contains(err.Error(), tt.unmet)) {
			t.Errorf("%s: got %v, want a refusal for %q", tt.name, err, tt.unmet)
		}
	}
}

func TestEmptyRequirementsAcceptNothing(t *testing.T) {
	token := verified(t, sgxClaims(nil))
	for name, err := range map[string]error{"none": token.Require(), "zero SGX": token.Require(relyingparty.SGX{})} {
		if _, verdict := errors.AsType[*result.Refusal](err); err == nil || verdict {
			t.Errorf("%s: got %v, want an error that is no verdict", name, err)
		}
	}
	if err := new(relyingparty.Token).Require(relyingparty.Claim{Name: "x"}); err == nil {
		t.Error("a token that nobody verified meets a requirement")
	}
}

func TestRequireClaimComparesText(t *testing.T) {
	token := verified(t, result.Claims{"s": "a=b", "n": int64(10), "yes": true, "empty": "", "o": result.Claims{}, "l": []any{"x"}})
	for text, ok := range map[string]bool{
		"s=a=b": true, "n=10": true, "yes=true": true, "empty=": true,
		"s=a": false, "n=10.0": false, "n=010": false, "yes=True": false, "yes=1": false, "absent=": false, "o={}": false, "l=x": false,
		"s=": false, "S=a=b": false,
	} {
		c, err := relyingparty.ParseClaim(text)
		if err != nil {
			t.Fatal(err)
		}
		if err = token.Require(c); (err == nil) != ok || err != nil && verdict(t, err) != "requirement" {
			t.Errorf("%s: %v, want ok %v", text, err, ok)
		}
	}
	for _, text := range []string{"", "name", "=value"} {
		if c, err := relyingparty.ParseClaim(text); err == nil {
			t.Errorf("ParseClaim(%q) = %+v, want an error", text, c)
		}
	}
}

func TestMiddleware(t *testing.T) {
	first, second := signers()
	good := sign(t, first, sgxClaims(nil))
	needs := relyingparty.Claim{Name: "x-ms-sgx-svn", Value: "3"}
	for _, tt := range []struct {
		name       string
		header     []string
		status     int
		challenge  string
		body       string
		keysAbsent bool
	}{
		{"good", []string{"Bearer " + good}, 200, "", "svn 3", false},
		{"scheme in other case", []string{"bEARER " + good}, 200, "", "svn 3", false},
		{"no header", nil, 401, "Bearer", "Authorization: Bearer", false},
		{"two headers", []string{"Bearer " + good, "Bearer " + good}, 401, "Bearer", "Authorization: Bearer", false},
		{"other scheme", []string{"Basic " + good}, 401, "Bearer", "Authorization: Bearer", false},
		{"no token", []string{"Bearer"}, 401, "Bearer", "Authorization: Bearer", false},
		{"space before the token", []string{"Bearer  " + good}, 401, `Bearer error="invalid_token", error_description="malformed"`, "malformed", false},
		{"foreign key", []string{"Bearer " + sign(t, second, nil)}, 401, `Bearer error="invalid_token", error_description="unknown-key"`, "unknown-key", false},
		{"requirement missed", []string{"Bearer " + sign(t, first, sgxClaims(result.Claims{"x-ms-sgx-svn": int64(2)}))}, 403, "", "requirement", false},
		{"keys absent", []string{"Bearer " + good}, 503, "", "not available", true},
	} {
		f := &fakeIssuer{handler: serve(first.Certs(time.Now()))}
		if tt.keysAbsent {
			f.handler = http.NotFound
		}
		handler := verifier(t, f, nil).Middleware(needs)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, ok := relyingparty.FromContext(r.Context())
			if !ok {
				t.Errorf("%s: no token in the context", tt.name)
				return
			}
			svn, _ := token.Text("x-ms-sgx-svn")
			w.Write([]byte("svn " + svn))
		}))
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header["Authorization"] = tt.header
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, req)
		body := readAll(t, answer.Body)
		if answer.Code != tt.status || answer.Header().Get("WWW-Authenticate") != tt.challenge || !strings.Contains(body, tt.body) {
			t.Errorf("%s: got %d %q %q, want %d %q %q", tt.name, answer.Code, answer.Header().Get("WWW-Authenticate"), body, tt.status, tt.challenge, tt.body)
		}
		if wait := answer.Header().Get("Retry-After"); tt.keysAbsent != (wait == "5") {
			t.Errorf("%s: Retry-After %q", tt.name, wait)
		}
	}
	if _, ok := relyingparty.FromContext(context.Background()); ok {
		t.Error("a context without a request has a token")
	}
}
