// Package authtest is an OpenID Connect issuer for tests of whatever asks who is calling: a TLS server in the process,
// with discovery, a key set that rotates, failures, and tokens as they should and should not be.
package authtest

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/auth"
)

// Issuer is a running issuer. Its tokens are signed with RS256, as Entra's are. It is safe for concurrent use.
type Issuer struct {
	Name   string // iss of its tokens
	CAFile string // PEM of the root of its TLS certificate

	t      testing.TB
	server *httptest.Server

	mu       sync.Mutex
	keys     []key // that are listed; the first signs
	made     int
	requests int
	instead  http.HandlerFunc
}

type key struct {
	id      string
	private *rsa.PrivateKey
}

const keyBits = 2048

// Start starts an issuer of that name, which the test's end stops. Without a name it has that of its server.
func Start(t testing.TB, name string) *Issuer {
	t.Helper()
	i := &Issuer{Name: name, t: t, CAFile: filepath.Join(t.TempDir(), "issuer-ca.pem")}
	i.server = httptest.NewUnstartedServer(http.HandlerFunc(i.serve))
	i.server.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that do not trust it
	i.server.StartTLS()
	t.Cleanup(i.server.Close)
	if name == "" {
		i.Name = i.Discovery()
	}
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.server.Certificate().Raw})
	if err := os.WriteFile(i.CAFile, root, 0o644); err != nil {
		t.Fatal(err)
	}
	i.Rotate()
	return i
}

// Discovery is the URL under which the discovery document is.
func (i *Issuer) Discovery() string { return i.server.URL + "/tenant" }

// Config is the issuer as an Authenticator is told of it, with these rules.
func (i *Issuer) Config(rules ...auth.Rule) auth.Issuer {
	return auth.Issuer{URL: i.Name, Discovery: i.Discovery(), CAFile: i.CAFile, Rules: rules}
}

// Rotate makes a new key the only one.
func (i *Issuer) Rotate() {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = []key{i.newKey(keyBits)}
}

func (i *Issuer) newKey(bits int) key {
	i.t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		i.t.Fatal(err)
	}
	i.made++
	return key{"key-" + strconv.Itoa(i.made), private}
}

// Answer has the handler answer every request from now on; nil ends that.
func (i *Issuer) Answer(instead http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.instead = instead
}

// Requests is how many requests there have been.
func (i *Issuer) Requests() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests
}

func (i *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.requests++
	instead := i.instead
	i.mu.Unlock()
	if instead != nil {
		instead(w, r)
		return
	}
	i.Serve(w, r)
}

// Serve answers as the issuer does when nothing is wrong.
func (i *Issuer) Serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/tenant/.well-known/openid-configuration":
		w.Write(i.encode(map[string]any{"issuer": i.Name, "jwks_uri": i.server.URL + "/keys"}))
	case "/keys":
		var entries []any
		for _, k := range i.keys {
			entries = append(entries, map[string]any{
				"kty": "RSA", "use": "sig", "kid": k.id, "n": b64(k.private.N.Bytes()), "e": "AQAB",
			})
		}
		w.Write(i.encode(map[string]any{"keys": entries}))
	default:
		http.NotFound(w, r)
	}
}

// ClaimsV1 are the claims of an access token of Entra v1 for the data plane, made at that time.
func (i *Issuer) ClaimsV1(at time.Time) map[string]any {
	return with(i.claims(at), map[string]any{
		"ver": "1.0", "aud": "https://attest.azure.net", "appid": "1950a258-227b-4e31-a9cf-717495945fc2",
		"upn": "ada@contoso.example", "scp": "user_impersonation",
	})
}

// ClaimsV2 are the same of Entra v2, whose audience is the application id given.
func (i *Issuer) ClaimsV2(at time.Time, application string) map[string]any {
	return with(i.claims(at), map[string]any{
		"ver": "2.0", "aud": application, "azp": "1950a258-227b-4e31-a9cf-717495945fc2",
		"preferred_username": "ada@contoso.example",
	})
}

func (i *Issuer) claims(at time.Time) map[string]any {
	return map[string]any{
		"iss": i.Name, "iat": at.Unix(), "nbf": at.Unix(), "exp": at.Add(time.Hour).Unix(),
		"oid": "7a1c1b3e-0f5d-4c0e-9a55-3f8f2d7b6c10", "sub": "pairwise-subject", "tid": "tenant",
	}
}

func with(claims, more map[string]any) map[string]any {
	maps.Copy(claims, more)
	return claims
}

// Token signs the claims. A claim that is nil is left out.
func (i *Issuer) Token(claims map[string]any) string {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.sign(i.keys[0], claims)
}

// UnknownKey signs the claims with a key that is not listed.
func (i *Issuer) UnknownKey(claims map[string]any) string {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.sign(i.newKey(keyBits), claims)
}

// WeakKey signs the claims with an RSA key of the size given, and lists it.
func (i *Issuer) WeakKey(bits int, claims map[string]any) string {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	weak := i.newKey(bits)
	i.keys = append(i.keys, weak)
	return i.sign(weak, claims)
}

// Unsigned writes the claims with the algorithm none.
func (i *Issuer) Unsigned(claims map[string]any) string {
	i.t.Helper()
	return i.input("none", "key-1", claims) + "."
}

// Secret signs the claims with HS256, the secret being the public key in PEM, which everybody has.
func (i *Issuer) Secret(claims map[string]any) string {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	spki, err := x509.MarshalPKIXPublicKey(i.keys[0].private.Public())
	if err != nil {
		i.t.Fatal(err)
	}
	input := i.input("HS256", i.keys[0].id, claims)
	mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))
	mac.Write([]byte(input))
	return input + "." + b64(mac.Sum(nil))
}

// Tampered signs claims and puts others into their place.
func (i *Issuer) Tampered(claims, others map[string]any) string {
	i.t.Helper()
	parts := strings.Split(i.Token(claims), ".")
	return parts[0] + "." + b64(i.encode(others)) + "." + parts[2]
}

func (i *Issuer) sign(k key, claims map[string]any) string {
	i.t.Helper()
	input := i.input("RS256", k.id, claims)
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(nil, k.private, crypto.SHA256, digest[:])
	if err != nil {
		i.t.Fatal(err)
	}
	return input + "." + b64(signature)
}

func (i *Issuer) input(algorithm, kid string, claims map[string]any) string {
	i.t.Helper()
	claims = maps.Clone(claims)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return b64(i.encode(map[string]any{"typ": "JWT", "alg": algorithm, "kid": kid})) + "." + b64(i.encode(claims))
}

func (i *Issuer) encode(v any) []byte {
	i.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		i.t.Fatal(err)
	}
	return b
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
