package result_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-attestation/assay/result"
)

const (
	issuer  = "https://demo.local.attest.example"
	header  = `{"alg":"RS256","jku":"https://demo.local.attest.example/certs","kid":"k1","typ":"JWT"}`
	payload = `{"exp":1900028800,"iat":1900000000,"iss":"https://demo.local.attest.example","nbf":1900000000,"svn":7}`
)

// inTime is a moment at which payload is valid.
var inTime = time.Unix(1900000000, 0)

var (
	testKey  = sync.OnceValue(func() *rsa.PrivateKey { return newKey(2048) })
	otherKey = sync.OnceValue(func() *rsa.PrivateKey { return newKey(2048) })
	smallKey = sync.OnceValue(func() *rsa.PrivateKey { return newKey(1024) })
)

func newKey(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

func b64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// forge signs whatever header and payload it is given with RS256.
func forge(t testing.TB, key *rsa.PrivateKey, header, payload string) string {
	t.Helper()
	input := b64url([]byte(header)) + "." + b64url([]byte(payload))
	digest := sha256.Sum256([]byte(input))
	sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64url(sig)
}

// member is a JWK under construction; members given override those of the key.
func member(pub *rsa.PublicKey, override map[string]any) map[string]any {
	m := map[string]any{"kid": "k1", "kty": "RSA", "n": b64url(pub.N.Bytes()), "e": b64url(big.NewInt(int64(pub.E)).Bytes())}
	for name, value := range override {
		if m[name] = value; value == nil {
			delete(m, name)
		}
	}
	return m
}

func keySetJSON(t testing.TB, members ...map[string]any) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{"keys": members})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func keySet(t testing.TB, members ...map[string]any) *result.KeySet {
	t.Helper()
	b := keySetJSON(t, members...)
	set, err := result.ParseKeySet(b)
	if err != nil {
		t.Fatalf("ParseKeySet(%.200s): %v", b, err)
	}
	return set
}

// certificate makes a self-issued certificate over key, or with parent one that another name issued.
func certificate(t testing.TB, key *rsa.PrivateKey, template, parent *x509.Certificate) string {
	t.Helper()
	template.SerialNumber = big.NewInt(1)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

// swap replaces old, which must be there, in s.
func swap(t testing.TB, s, old, new string) string {
	t.Helper()
	if !strings.Contains(s, old) {
		t.Fatalf("%q is not in %q", old, s)
	}
	return strings.Replace(s, old, new, 1)
}
