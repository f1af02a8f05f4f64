package issuer

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/result"
)

func TestTokensHaveTheRegisteredClaimsOfTheirKind(t *testing.T) {
	k := open(t)
	for kind, want := range map[Kind]struct {
		seconds int64
		hasID   bool
	}{Attestation: {28800, true}, Result: {3600, false}} {
		token, err := k.sign(kind, result.Claims{"x-ms-ver": "1.0"}, start.Add(999*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		v, err := result.Verify(token, k.KeySet(), result.Expect{Issuer: testIssuer, At: start})
		if err != nil {
			t.Fatal(err)
		}
		iat, _ := v.Int("iat")
		nbf, _ := v.Int("nbf")
		exp, _ := v.Int("exp")
		id, hasID := v.String("jti")
		if iat != start.Unix() || nbf != iat || exp != iat+want.seconds || v.Issuer() != testIssuer {
			t.Errorf("kind %d: %s", kind, v.Payload())
		}
		if hasID != want.hasID || hasID && !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(id) {
			t.Errorf("kind %d: jti %q %v", kind, id, hasID)
		}
		if want := (result.Header{Algorithm: "RS256", KeySetURL: testIssuer + "/certs", KeyID: k.KeyID(start), Type: "JWT"}); v.Header() != want {
			t.Errorf("header %+v, want %+v", v.Header(), want)
		}
	}
}

func TestRegisteredClaimsReplaceThoseOfAPolicy(t *testing.T) {
	k := open(t)
	given := result.Claims{"iss": "https://evil.example", "exp": int64(1 << 40), "nbf": "x", "iat": true, "jti": "1"}
	token, err := k.sign(Attestation, given, start)
	if err != nil {
		t.Fatal(err)
	}
	v, err := result.Verify(token, k.KeySet(), result.Expect{Issuer: testIssuer, At: start})
	if err != nil || v.Expires().Sub(start) != 8*time.Hour {
		t.Errorf("token %s: %v", token, err)
	}
	if given["jti"] != "1" || len(given) != 5 {
		t.Errorf("the caller's claims were changed: %v", given)
	}
}

func TestTokenIDsDiffer(t *testing.T) {
	if a, b := newTokenID(), newTokenID(); a == b {
		t.Errorf("two tokens with the jti %s", a)
	}
}

func TestDraftIsUnsignedAndOtherwiseAlike(t *testing.T) {
	k := open(t)
	draft, err := k.draft(result.Claims{"x": "y"}, start)
	if err != nil {
		t.Fatal(err)
	}
	u, err := result.ParseToken(draft)
	if err != nil || u.HasSignature() || u.Header().Algorithm != "none" || u.Header().KeyID != k.KeyID(start) {
		t.Fatalf("draft %s: %+v, %v", draft, u, err)
	}
	var claims map[string]any
	if err := json.Unmarshal(u.Payload(), &claims); err != nil || len(claims) != 6 || claims["iss"] != testIssuer {
		t.Errorf("claims %v, %v, want the given one and five registered ones", claims, err)
	}
	_, err = result.Verify(draft, k.KeySet(), result.Expect{Issuer: testIssuer, At: start})
	if r, ok := errors.AsType[*result.Refusal](err); !ok || r.Reason != result.Algorithm {
		t.Errorf("a relying party says %v, want alg", err)
	}
}

func TestDevelopmentMarksEveryToken(t *testing.T) {
	k, err := New(Config{Issuer: testIssuer, Development: true}, []Key{generate(t, start)})
	if err != nil {
		t.Fatal(err)
	}
	signed := func(kind Kind) string {
		token, err := k.sign(kind, result.Claims{"ext-development": false}, start)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	draft, err := k.draft(nil, start)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{signed(Attestation), signed(Result), draft} {
		if u, err := result.ParseToken(token); err != nil || !strings.Contains(string(u.Payload()), `"ext-development":true`) {
			t.Errorf("token %s (%v) has no mark", token, err)
		}
	}
}

func TestNoTokenLeavesThatARelyingPartyWouldRefuse(t *testing.T) {
	k := open(t)
	other := open(t)
	k.keys[0].signer.Key = other.keys[0].signer.Key // as if memory or a module had failed
	token, err := k.sign(Attestation, nil, start)
	if r, ok := errors.AsType[*result.Refusal](err); token != "" || !ok || r.Reason != result.Signature {
		t.Errorf("got %q, %v, want no token and the refusal", token, err)
	}
}

func TestSignReportsClaimsThatFitNoToken(t *testing.T) {
	k := open(t)
	for name, value := range map[string]string{"deep": strings.Repeat("[", 32) + strings.Repeat("]", 32), "no JSON": "{"} {
		if token, err := k.sign(Attestation, result.Claims{"x": jsontext.Value(value)}, start); token != "" || err == nil {
			t.Errorf("%s: got %q, %v, want an error", name, token, err)
		}
	}
}

func TestSigningIsSafeForConcurrentUse(t *testing.T) {
	k := open(t)
	claims := result.Claims{"x": "y"}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := k.sign(Attestation, claims, start); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// BenchmarkSign measures the issue of a token, with its own check, beside the bare RSA operations in it.
func BenchmarkSign(b *testing.B) {
	k := open(b)
	key := k.keys[0].signer.Key
	digest := sha256.Sum256([]byte("a token"))
	sig, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("token", func(b *testing.B) {
		claims := sgxClaims()
		for b.Loop() {
			if _, err := k.sign(Attestation, claims, start); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bare RSA-2048 signature and verification", func(b *testing.B) {
		for b.Loop() {
			if _, err := key.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
				b.Fatal(err)
			}
			if err := rsa.VerifyPKCS1v15(key.Public().(*rsa.PublicKey), crypto.SHA256, digest[:], sig); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// sgxClaims has the size and shape of a recorded SGX token (tokens.md section 13.1).
func sgxClaims() result.Claims {
	hex := func(n int) string { return strings.Repeat("5", n) }
	collateral := result.Claims{}
	for _, name := range []string{"qeidcertshash", "qeidcrlhash", "qeidhash", "quotehash", "tcbinfocertshash", "tcbinfocrlhash", "tcbinfohash"} {
		collateral[name] = hex(64)
	}
	policy := result.Claims{"is-debuggable": false, "product-id": int64(1), "sgx-mrenclave": hex(64), "sgx-mrsigner": hex(64), "svn": int64(1), "tee": "sgx"}
	claims := result.Claims{
		"maa-attestationcollateral": collateral, "x-ms-sgx-collateral": collateral, "x-ms-policy": policy,
		"x-ms-attestation-type": "sgx", "x-ms-policy-hash": hex(43), "x-ms-sgx-is-debuggable": false,
		"x-ms-sgx-mrenclave": hex(64), "x-ms-sgx-mrsigner": hex(64), "x-ms-sgx-product-id": int64(1),
		"x-ms-sgx-report-data": hex(128), "x-ms-sgx-svn": int64(1), "x-ms-sgx-tcbidentifier": "azuredefault", "x-ms-ver": "1.0",
		"aas-ehd": hex(380), "maa-ehd": hex(380), "x-ms-sgx-ehd": hex(380),
	}
	for name, value := range policy {
		claims[name] = value
	}
	return claims
}
