package policyjws

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/jose"
	"github.com/assay-attestation/assay/policy"
)

// KeySigner makes signed JWS with one key. It may be used concurrently if its key may.
type KeySigner struct {
	key       crypto.Signer
	algorithm jose.Algorithm
	chain     []*x509.Certificate
}

// NewKeySigner makes a signer of a key and its certificates, the key's own first. The algorithm is a JOSE name; empty
// means RS256, or the one of the key's curve. The error says what does not go together.
func NewKeySigner(key crypto.Signer, chain []*x509.Certificate, algorithm string) (*KeySigner, error) {
	if len(chain) == 0 || len(chain) > MaxCertificates {
		return nil, fmt.Errorf("expected 1 to %d certificates, found %d", MaxCertificates, len(chain))
	}
	if !certifies(chain[0], key) {
		return nil, fmt.Errorf("the first certificate, %s, is of another key: expected that of the signing key first, then its issuers", name(chain[0]))
	}
	for _, cert := range chain {
		if err := checkSize(cert); err != nil {
			return nil, fmt.Errorf("the certificate %s: %w", name(cert), err)
		}
	}
	a, err := chooseAlgorithm(key, algorithm)
	if err != nil {
		return nil, err
	}
	return &KeySigner{key, a, chain}, nil
}

func certifies(cert *x509.Certificate, key crypto.Signer) bool {
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	certified, err2 := x509.MarshalPKIXPublicKey(cert.PublicKey) // its own encoding may differ from Go's
	return err == nil && err2 == nil && bytes.Equal(spki, certified)
}

func chooseAlgorithm(key crypto.Signer, algorithm string) (jose.Algorithm, error) {
	if algorithm == "" {
		return jose.For(key.Public())
	}
	a, ok := jose.Find(algorithm)
	if !ok {
		return a, fmt.Errorf("unknown algorithm %s, expected one of %s", quote(algorithm), strings.Join(algorithmNames(), ", "))
	}
	return a, a.Fits(key.Public())
}

// Policy returns a JWS that sets the policy. The text is not judged, but that it is UTF-8.
func (s *KeySigner) Policy(text []byte) (string, error) {
	body, err := policyPayload(text)
	if err != nil {
		return "", err
	}
	return s.sign(body)
}

// Reset returns a JWS that takes the policy back.
func (s *KeySigner) Reset() (string, error) { return s.sign(nil) }

// PolicyCertificate returns a JWS that adds cert to the signers of a provider, or removes it.
func (s *KeySigner) PolicyCertificate(cert *x509.Certificate) (string, error) {
	key, err := describe(cert)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(struct {
		Certificate certified `json:"policyCertificate"`
	}{certified{key.Type, [][]byte{cert.Raw}}})
	if err != nil {
		return "", fmt.Errorf("writing the payload: %w", err)
	}
	return s.sign(body)
}

// certified is a JWK as the SDKs write it.
type certified struct {
	Type  string   `json:"kty"`
	Chain [][]byte `json:"x5c"` // standard base64
}

// sign makes a JWS of the payload, and opens it again before it lets it go.
func (s *KeySigner) sign(body []byte) (string, error) {
	header := struct {
		Algorithm string   `json:"alg"`
		Chain     [][]byte `json:"x5c"` // standard base64
	}{Algorithm: s.algorithm.Name}
	for _, cert := range s.chain {
		header.Chain = append(header.Chain, cert.Raw)
	}
	b, err := json.Marshal(header)
	if err != nil {
		return "", fmt.Errorf("writing the header: %w", err)
	}
	input := b64.URL(b) + "." + b64.URL(body)
	signature, err := s.algorithm.Sign(s.key, []byte(input))
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	jws := input + "." + b64.URL(signature)
	p, err := Parse([]byte(jws), Options{})
	if err == nil {
		err = p.checkSignature()
	}
	if err != nil {
		return "", fmt.Errorf("the JWS made does not open: %w", err)
	}
	return jws, nil
}

// unsignedHeader is the header of every unsigned JWS, as all the SDKs write it.
const unsignedHeader = `{"alg":"none"}`

// UnsignedPolicy returns an unsigned JWS that sets the policy.
func UnsignedPolicy(text []byte) (string, error) {
	body, err := policyPayload(text)
	if err != nil {
		return "", err
	}
	return b64.URL([]byte(unsignedHeader)) + "." + b64.URL(body) + ".", nil
}

// UnsignedReset returns the unsigned JWS that takes a policy back.
func UnsignedReset() string { return b64.URL([]byte(unsignedHeader)) + ".." }

// policyPayload writes the text as a payload (policy.md section 10).
func policyPayload(text []byte) ([]byte, error) {
	if len(text) > policy.MaxText {
		return nil, malformed("the policy text is too long").want("at most "+size(policy.MaxText), size(len(text)))
	}
	if _, err := asText(text); err != nil {
		return nil, err
	}
	body, err := json.Marshal(struct {
		Policy string `json:"AttestationPolicy"`
	}{b64.URL(text)})
	if err != nil {
		return nil, fmt.Errorf("writing the payload: %w", err)
	}
	return body, nil
}
