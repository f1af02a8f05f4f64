package policyjws

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/jose"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// algorithmNone is the algorithm of an unsigned JWS.
const algorithmNone = "none"

// findAlgorithm reads the header member alg. Beside the names of JOSE it takes those that the .NET and Python SDKs
// write for RS256 and ES256, here and nowhere else (policy.md section 10).
func findAlgorithm(name string) (jose.Algorithm, error) {
	standard := name
	switch name {
	case "RSA256":
		standard = "RS256"
	case "ECDH256":
		standard = "ES256"
	}
	if a, ok := jose.Find(standard); ok {
		return a, nil
	}
	r := refuse(Algorithm, "policies are not signed with this algorithm").want("one of "+strings.Join(append([]string{algorithmNone}, algorithmNames()...), ", "), quote(name))
	if name == "EC" {
		r.do("the C++ SDK names the algorithm so for keys on curves, and JOSE knows no such name: sign with an RSA key")
	}
	return jose.Algorithm{}, r
}

// algorithmNames are those of signatures.
func algorithmNames() (names []string) {
	for _, a := range jose.Algorithms() {
		names = append(names, a.Name)
	}
	return names
}

// header is a JOSE header (RFC 7515 section 4.1). Members that name a key to be fetched or found are not read.
type header struct {
	Algorithm string         `json:"alg"`
	Chain     []string       `json:"x5c"`
	Key       *jwk           `json:"jwk"`
	Critical  jsontext.Value `json:"crit"` // extensions that must be understood, and none is
	Encoded   jsontext.Value `json:"b64"`  // RFC 7797, which would change what is signed
}

// readHeader reads the first part.
func (p *Parsed) readHeader(part string) error {
	b, err := decode("header", part)
	if err != nil {
		return err
	}
	var h header
	if err := strictjson.Exact(b, &h); err != nil {
		return malformed("header").because(err)
	}
	switch {
	case h.Critical != nil:
		return malformed("the header marks extensions as critical, and none is supported")
	case h.Encoded != nil:
		return malformed("the header has the member b64, which is not supported")
	case h.Chain != nil && h.Key != nil:
		return malformed("the header has x5c and jwk").want("one key", "two places for one")
	}
	p.named = h.Algorithm
	if h.Algorithm == algorithmNone {
		return h.noKey()
	}
	if p.algorithm, err = findAlgorithm(h.Algorithm); err != nil {
		return err
	}
	p.chain, err = h.certificates()
	return err
}

func (h *header) noKey() error {
	if h.Chain != nil || h.Key != nil {
		return malformed("the header has a key, and says that nothing is signed").want("neither x5c nor jwk with alg none", "one of them")
	}
	return nil
}

// certificates reads x5c, or that in jwk where the Python SDK puts it.
func (h *header) certificates() ([]*x509.Certificate, error) {
	switch {
	case h.Key != nil:
		chain, err := h.Key.certificates()
		return chain, within("header: jwk", err)
	case h.Chain != nil:
		chain, err := parseChain(h.Chain)
		return chain, within("header", err)
	}
	return nil, malformed("the header has no key").want("x5c: the certificate of the key, and those above it", "neither x5c nor jwk")
}

// within says where err was found.
func within(where string, err error) error {
	if err == nil {
		return nil
	}
	return malformed("%s", where).because(err)
}

// parseChain reads an x5c: standard base64 of DER, the certificate of the key first.
func parseChain(texts []string) ([]*x509.Certificate, error) {
	if len(texts) == 0 || len(texts) > MaxCertificates {
		return nil, fmt.Errorf("x5c: expected 1 to %d certificates, found %d", MaxCertificates, len(texts))
	}
	var chain []*x509.Certificate
	for i, text := range texts {
		cert, err := parseCertificate(text)
		if err != nil {
			return nil, fmt.Errorf("x5c: certificate %d: %w", i+1, err)
		}
		chain = append(chain, cert)
	}
	return chain, nil
}

func parseCertificate(text string) (*x509.Certificate, error) {
	if n := base64.StdEncoding.EncodedLen(MaxCertificate); len(text) > n {
		return nil, fmt.Errorf("at most %d characters are read, found %d", n, len(text))
	}
	cert, err := jose.ParseCertificate(text)
	if err != nil {
		return nil, fmt.Errorf("expected base64 of DER: %w", err)
	}
	return cert, checkSize(cert)
}

func checkSize(cert *x509.Certificate) error {
	if n := len(cert.Raw); n > MaxCertificate {
		return fmt.Errorf("at most %s are read, found %s", size(MaxCertificate), size(n))
	}
	return nil
}

// jwk is a key with its certificates (RFC 7517 section 4). Its other members are optional; those that describe the key
// must describe the certified one (section 4.7).
type jwk struct {
	Type     string   `json:"kty"`
	Chain    []string `json:"x5c"`
	Modulus  string   `json:"n"`
	Exponent string   `json:"e"`
	Curve    string   `json:"crv"`
	X        string   `json:"x"`
	Y        string   `json:"y"`
}

func (k *jwk) certificates() ([]*x509.Certificate, error) {
	if k.Chain == nil {
		return nil, errors.New("x5c is missing: the key must come with its certificate")
	}
	chain, err := parseChain(k.Chain)
	if err != nil {
		return nil, err
	}
	certified, err := describe(chain[0])
	if err != nil {
		return nil, err
	}
	for _, m := range []struct{ name, given, certified string }{
		{"kty", k.Type, certified.Type}, {"n", k.Modulus, certified.Modulus}, {"e", k.Exponent, certified.Exponent},
		{"crv", k.Curve, certified.Curve}, {"x", k.X, certified.X}, {"y", k.Y, certified.Y},
	} {
		if m.given != "" && m.given != m.certified {
			return nil, fmt.Errorf("%s: expected %s as in the certificate, found %s", m.name, quote(m.certified), quote(m.given))
		}
	}
	return chain, nil
}

// describe writes the key of a certificate as the members of a JWK (RFC 7518 section 6).
func describe(cert *x509.Certificate) (*jwk, error) {
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		return &jwk{Type: "RSA", Modulus: b64.URL(key.N.Bytes()), Exponent: b64.URL(big.NewInt(int64(key.E)).Bytes())}, nil
	case *ecdsa.PublicKey:
		point, err := key.Bytes() // 4, then x and y
		if err != nil {
			return nil, err
		}
		x, y := point[1:1+len(point)/2], point[1+len(point)/2:]
		return &jwk{Type: "EC", Curve: key.Params().Name, X: b64.URL(x), Y: b64.URL(y)}, nil
	}
	return nil, fmt.Errorf("x5c: expected a key of RSA or ECDSA, found %s", jose.Describe(cert.PublicKey))
}

func size(n int) string { return fmt.Sprintf("%d bytes", n) }

// character names a character as the messages of Microsoft's service do: 41 (')').
func character(c rune) string {
	if unicode.IsPrint(c) {
		return fmt.Sprintf("%d ('%c')", c, c)
	}
	return fmt.Sprint(int(c))
}
