package policyjws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/jose"
)

// minimal is a policy that permits everything.
const minimal = "version=1.0;authorizationrules{=> permit();};issuancerules{};"

func payloadOf(text string) string {
	return fmt.Sprintf(`{"AttestationPolicy":"%s"}`, b64.URL([]byte(text)))
}

func ecKey(t testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// authority is a key with its certificate.
type authority struct {
	key  crypto.Signer
	cert *x509.Certificate
}

// issue certifies key under the name cn, as change would have it. A nil a makes a self-signed certificate.
func (a *authority) issue(t testing.TB, cn string, key crypto.Signer, change func(*x509.Certificate)) *authority {
	t.Helper()
	// Long past: the lifetime of certificates does not count.
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: cn}, BasicConstraintsValid: true, IsCA: true,
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	if change != nil {
		change(template)
	}
	if a == nil {
		a = &authority{key, template}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{key, cert}
}

func selfSigned(t testing.TB, cn string, key crypto.Signer) *authority {
	t.Helper()
	return (*authority)(nil).issue(t, cn, key, nil)
}

func notCA(c *x509.Certificate) { c.IsCA = false }

// signWith makes a JWS out of its parts, as a client with a mind of its own may.
func signWith(t testing.TB, header, payload, algorithm string, key crypto.Signer) string {
	t.Helper()
	input := b64.URL([]byte(header)) + "." + b64.URL([]byte(payload))
	a, ok := jose.Find(algorithm)
	if !ok {
		t.Fatalf("no algorithm %s", algorithm)
	}
	signature, err := a.Sign(key, []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64.URL(signature)
}

// unsigned makes a JWS of any header and payload, with an empty third part.
func unsigned(header, payload string) string {
	return b64.URL([]byte(header)) + "." + b64.URL([]byte(payload)) + "."
}

// x5c writes certificates as the member of that name.
func x5c(chain ...*authority) string {
	var texts []string
	for _, a := range chain {
		texts = append(texts, base64.StdEncoding.EncodeToString(a.cert.Raw))
	}
	b, _ := json.Marshal(texts)
	return string(b)
}

// signed makes a JWS of the minimal policy, signed by the first of the chain.
func signed(t testing.TB, algorithm string, chain ...*authority) string {
	t.Helper()
	header := fmt.Sprintf(`{"alg":"%s","x5c":%s}`, algorithm, x5c(chain...))
	return signWith(t, header, payloadOf(minimal), algorithm, chain[0].key)
}

func mustParse(t testing.TB, jws string) *Parsed {
	t.Helper()
	p, err := Parse([]byte(jws), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustVerify(t testing.TB, jws string) *Verified {
	t.Helper()
	v, err := mustParse(t, jws).Verify()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wantRefusal checks that err is a refusal for the reason, and that its text holds the words.
func wantRefusal(t *testing.T, err error, reason Reason, words string) {
	t.Helper()
	r, ok := errors.AsType[*Refusal](err)
	if !ok {
		t.Errorf("got error %v, want a refusal for %s", err, reason)
		return
	}
	if r.Reason != reason || !strings.Contains(r.Error(), words) {
		t.Errorf("got %v\nwant reason %s and %q", r, reason, words)
	}
	code := map[bool]string{true: "InvalidParameter", false: "InvalidOperation"}[reason == Chain] // policy.md section 12
	if r.Code() != code {
		t.Errorf("%s: code %s, want %s", reason, r.Code(), code)
	}
}
