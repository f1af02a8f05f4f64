package result

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/jose"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// Bounds of a key set that is read. Real ones have up to 34 KB, because certificates carry quotes, and 16 keys.
const (
	MaxKeySetSize = 1 << 20 // bytes of JSON
	MaxKeys       = 128     // entries
)

// KeyID is the kid of an instance key: base64 with padding of SHA-256 over the PEM form of its DER
// SubjectPublicKeyInfo and one NUL byte (tokens.md section 3.1).
func KeyID(spki []byte) string {
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})
	digest := sha256.Sum256(append(text, 0))
	return base64.StdEncoding.EncodeToString(digest[:])
}

// PublishedKey is one entry of a key set to publish.
type PublishedKey struct {
	KeyID string
	Chain [][]byte // DER certificates; the first certifies the key
}

// MarshalKeySet writes a key set whose entries have the members x5c, kid and kty and no others, as the recorded ones
// do (api.md section 10.1).
func MarshalKeySet(keys []PublishedKey) ([]byte, error) {
	type entry struct {
		Chain [][]byte `json:"x5c"` // standard base64
		KeyID string   `json:"kid"`
		Type  string   `json:"kty"`
	}
	set := struct {
		Keys []entry `json:"keys"`
	}{Keys: []entry{}}
	for _, k := range keys {
		set.Keys = append(set.Keys, entry{Chain: k.Chain, KeyID: k.KeyID, Type: "RSA"})
	}
	b, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("writing the key set: %w", err)
	}
	return b, nil
}

// KeySet holds the keys of an issuer that can verify tokens. It does not change after it is parsed and may be used
// concurrently. The zero value is an empty set.
type KeySet struct {
	keys    map[string]key
	skipped map[string]string
}

type key struct {
	public *rsa.PublicKey
	// instances are the issuers that the key's self-issued certificates name; empty for a key without such a
	// certificate.
	instances []string
}

// ParseKeySet reads a JWK set. As RFC 7517 section 5 has it, entries that cannot serve are skipped: those without
// kid, of another type or use than RSA signatures, with keys under MinKeyBits, or whose x5c and n, e disagree. Two
// different usable keys under one kid make the whole set invalid.
func ParseKeySet(b []byte) (*KeySet, error) {
	if len(b) > MaxKeySetSize {
		return nil, fmt.Errorf("key set: %d bytes, at most %d are read", len(b), MaxKeySetSize)
	}
	var doc struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := strictjson.Exact(b, &doc); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	if doc.Keys == nil {
		return nil, errors.New("key set: expected a JSON object with the array keys")
	}
	if len(doc.Keys) > MaxKeys {
		return nil, fmt.Errorf("key set: %d keys, at most %d are read", len(doc.Keys), MaxKeys)
	}
	set := &KeySet{keys: map[string]key{}, skipped: map[string]string{}}
	for i, entry := range doc.Keys {
		if err := set.add(entry); err != nil {
			return nil, fmt.Errorf("key set: entry %d: %w", i, err)
		}
	}
	return set, nil
}

// IDs returns the kid of every usable key in order.
func (s *KeySet) IDs() []string { return slices.Sorted(maps.Keys(s.keys)) }

// Skipped says for each kid that is listed without a usable key why that is.
func (s *KeySet) Skipped() map[string]string { return maps.Clone(s.skipped) }

func (s *KeySet) add(entry jsontext.Value) error {
	var k jwk
	err := strictjson.Exact(entry, &k)
	if err != nil || k.KeyID == "" {
		return nil // an entry that no token can name
	}
	found, err := k.key()
	if err != nil {
		s.skipped[k.KeyID] = err.Error()
		return nil
	}
	if before, ok := s.keys[k.KeyID]; ok {
		if !before.public.Equal(found.public) {
			return fmt.Errorf("kid %s names two different keys", quote(k.KeyID))
		}
		found.instances = append(found.instances, before.instances...)
	}
	s.keys[k.KeyID] = found
	return nil
}

// jwk is an entry as sent (RFC 7517 section 4, RFC 7518 section 6.3.1).
type jwk struct {
	KeyID     string   `json:"kid"`
	Type      string   `json:"kty"`
	Use       string   `json:"use"`
	Algorithm string   `json:"alg"`
	Chain     []string `json:"x5c"`
	Modulus   string   `json:"n"`
	Exponent  string   `json:"e"`
}

// key returns the entry's key, or why it cannot serve.
func (k *jwk) key() (key, error) {
	switch {
	case k.Type != "RSA":
		return key{}, fmt.Errorf("kty is %s, not RSA", quote(k.Type))
	case k.Use != "" && k.Use != "sig":
		return key{}, fmt.Errorf("use is %s, not sig", quote(k.Use))
	case k.Algorithm != "" && k.Algorithm != AlgorithmRS256:
		return key{}, fmt.Errorf("alg is %s, not %s", quote(k.Algorithm), AlgorithmRS256)
	case len(k.Chain) == 0:
		return k.bare()
	}
	certified, err := k.certified()
	if err != nil || k.Modulus == "" && k.Exponent == "" {
		return certified, err
	}
	bare, err := k.bare()
	if err == nil && !bare.public.Equal(certified.public) {
		err = errors.New("x5c and n, e are different keys")
	}
	return certified, err
}

// bare reads the key from n and e.
func (k *jwk) bare() (key, error) {
	n, err := b64.DecodeURL(k.Modulus)
	if err != nil {
		return key{}, fmt.Errorf("n: %w", err)
	}
	e, err := b64.DecodeURL(k.Exponent)
	if err != nil {
		return key{}, fmt.Errorf("e: %w", err)
	}
	exponent := new(big.Int).SetBytes(e)
	if exponent.BitLen() > 31 {
		return key{}, fmt.Errorf("e has %d bits, at most 31 are used", exponent.BitLen())
	}
	pub := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}
	return key{public: pub}, jose.CheckRSA(pub)
}

// certified reads the key from the first certificate of x5c. The chain is not judged: the set is trusted as a whole,
// for where it came from.
func (k *jwk) certified() (key, error) {
	cert, err := jose.ParseCertificate(k.Chain[0])
	if err != nil {
		return key{}, fmt.Errorf("x5c: %w", err)
	}
	pub, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return key{}, errors.New("x5c: the certificate's key is not RSA")
	}
	found := key{public: pub}
	if bytes.Equal(cert.RawSubject, cert.RawIssuer) {
		found.instances = []string{instanceName(cert)}
	}
	return found, jose.CheckRSA(pub)
}

// instanceName is the issuer that an instance certificate is for: its subject is CN=<iss> and nothing else
// (tokens.md section 3.2). It is empty for any other subject.
func instanceName(cert *x509.Certificate) string {
	if len(cert.Subject.Names) != 1 {
		return ""
	}
	return cert.Subject.CommonName
}
