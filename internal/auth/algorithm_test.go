package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
)

// list has the issuer list these keys from now on, and sees to it that they are fetched.
func (s subject) list(keys ...gojose.JSONWebKey) {
	s.issuer.Answer(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/keys" {
			s.issuer.Serve(w, r)
			return
		}
		if err := json.NewEncoder(w).Encode(gojose.JSONWebKeySet{Keys: keys}); err != nil {
			s.t.Error(err)
		}
	})
	s.clock.pass(5 * time.Second)
}

// sign makes a token with go-jose.
func (s subject) sign(key crypto.Signer, kid, algorithm string) string {
	s.t.Helper()
	signer, err := gojose.NewSigner(gojose.SigningKey{Algorithm: gojose.SignatureAlgorithm(algorithm), Key: gojose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	payload, err := json.Marshal(s.claims())
	if err != nil {
		s.t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		s.t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

func signingKeys(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]crypto.Signer{"RS256": rsaKey, "RS384": rsaKey, "RS512": rsaKey, "PS256": rsaKey, "PS384": rsaKey, "PS512": rsaKey}
	for name, curve := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		if keys[name], err = ecdsa.GenerateKey(curve, rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}

func TestAlgorithmsOfPublicKeysAreAccepted(t *testing.T) {
	s := newSubject(t, nil)
	for algorithm, key := range signingKeys(t) {
		for _, tt := range []struct{ name, use, algorithm, want string }{
			{"key for signatures", "sig", algorithm, ""},
			{"key that says nothing", "", "", ""},
			{"key for encryption", "enc", "", "unknown-key"},
			{"key for another algorithm", "sig", "another", "unknown-key"},
		} {
			kid := algorithm + tt.name
			other := gojose.JSONWebKey{Key: newKey(t).Public(), KeyID: "other"}
			s.list(other, gojose.JSONWebKey{Key: key.Public(), KeyID: kid, Use: tt.use, Algorithm: tt.algorithm})
			if got := s.verdict(s.sign(key, kid, algorithm)); got != tt.want {
				t.Errorf("%s, %s: got %q, want %q", algorithm, tt.name, got, tt.want)
			}
		}
	}
}

// TestTwoKeysOfOneName is an issuer that gave two keys one kid: either verifies.
func TestTwoKeysOfOneName(t *testing.T) {
	s := newSubject(t, nil)
	first, second := newKey(t), newKey(t)
	s.list(gojose.JSONWebKey{Key: first.Public(), KeyID: "k"}, gojose.JSONWebKey{Key: second.Public(), KeyID: "k"})
	for i, key := range []crypto.Signer{first, second} {
		if got := s.verdict(s.sign(key, "k", "ES256")); got != "" {
			t.Errorf("key %d: %s", i, got)
		}
	}
	if got := s.verdict(s.sign(newKey(t), "k", "ES256")); got != "signature" {
		t.Errorf("a third key: got %q, want signature", got)
	}
}
