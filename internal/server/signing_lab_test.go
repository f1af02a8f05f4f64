package server_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/jose"
)

// signer is somebody who signs policies.
type signer struct {
	key   crypto.Signer
	chain []*x509.Certificate // its own first
}

func rsaKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ecKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// certified makes a signer that another one certifies, or itself if by is nil.
func certified(t testing.TB, by *signer, name string, key crypto.Signer, isCA bool) *signer {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true, IsCA: isCA,
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC), // does not count
	}
	made := &signer{key: key}
	parent, parentKey := template, key
	if by != nil {
		parent, parentKey, made.chain = by.chain[0], by.key, by.chain
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	made.chain = append([]*x509.Certificate{cert}, made.chain...)
	return made
}

// root is a signer with a certificate of its own.
func root(t testing.TB, name string) *signer {
	t.Helper()
	return certified(t, nil, name, rsaKey(t), true)
}

// only is the signer without those above it in its chain.
func (s *signer) only() *signer { return &signer{s.key, s.chain[:1]} }

func (s *signer) der() []byte { return s.chain[0].Raw }

func (s *signer) thumbprint() string {
	digest := sha1.Sum(s.der())
	return strings.ToUpper(hex.EncodeToString(digest[:]))
}

// x5c is the chain as a JSON array.
func (s *signer) x5c() string {
	var texts []string
	for _, c := range s.chain {
		texts = append(texts, base64.StdEncoding.EncodeToString(c.Raw))
	}
	return text(texts)
}

// jws signs a payload under a header that names alg, with the algorithm of that JOSE name.
func (s *signer) jws(t testing.TB, alg, algorithm, payload string) string {
	t.Helper()
	return s.under(t, fmt.Sprintf(`{"alg":%q,"x5c":%s}`, alg, s.x5c()), algorithm, payload)
}

// under signs a payload under any header.
func (s *signer) under(t testing.TB, header, algorithm, payload string) string {
	t.Helper()
	a, ok := jose.Find(algorithm)
	if !ok {
		t.Fatalf("no algorithm %s", algorithm)
	}
	input := b64url([]byte(header)) + "." + b64url([]byte(payload))
	signature, err := a.Sign(s.key, []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64url(signature)
}

// policy signs a policy with RS256.
func (s *signer) policy(t testing.TB, policy string) string {
	t.Helper()
	return s.jws(t, "RS256", "RS256", policyPayload(policy))
}

// change signs a request to add a certificate to the signers or to remove it.
func (s *signer) change(t testing.TB, of *signer) string {
	t.Helper()
	return s.jws(t, "RS256", "RS256", certificatePayload("policyCertificate", of))
}

func policyPayload(policy string) string {
	return fmt.Sprintf(`{"AttestationPolicy":%q}`, b64url([]byte(policy)))
}

func certificatePayload(claim string, of *signer) string {
	return fmt.Sprintf(`{%q:{"kty":"RSA","x5c":%s}}`, claim, of.only().x5c())
}

// unsigned is a JWS that nobody signed.
func unsigned(payload string) string {
	return b64url([]byte(`{"alg":"none"}`)) + "." + b64url([]byte(payload)) + "."
}

// tampered puts another payload into a signed JWS.
func tampered(jws, payload string) string {
	parts := strings.Split(jws, ".")
	return parts[0] + "." + b64url([]byte(payload)) + "." + parts[2]
}

// numbered is a policy that differs from the others of its kind.
func numbered(n int) string {
	return fmt.Sprintf("version= 1.0;authorizationrules{=> permit();};issuancerules{=> issue(type=\"n\", value=%d);};", n)
}
