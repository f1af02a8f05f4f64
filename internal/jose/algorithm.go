package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // SHA-256
	_ "crypto/sha512" // SHA-384 and SHA-512
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Algorithm is a signature algorithm (RFC 7518 section 3.1). The zero value fits no key.
type Algorithm struct {
	Name   string // of the header member alg: "RS256"
	scheme scheme
	hash   crypto.Hash
	curve  elliptic.Curve // of onCurve
}

// scheme is a family of algorithms.
type scheme int

const (
	_       scheme = iota
	pkcs1          // RSASSA-PKCS1-v1_5
	pss            // RSASSA-PSS, the salt as long as the hash
	onCurve        // ECDSA, each hash with its curve; the signature is r and s, each as long as the order
)

// Algorithms lists every algorithm with a public key, the usual one of each kind of key first.
func Algorithms() []Algorithm {
	return []Algorithm{
		{"RS256", pkcs1, crypto.SHA256, nil}, {"RS384", pkcs1, crypto.SHA384, nil}, {"RS512", pkcs1, crypto.SHA512, nil},
		{"PS256", pss, crypto.SHA256, nil}, {"PS384", pss, crypto.SHA384, nil}, {"PS512", pss, crypto.SHA512, nil},
		{"ES256", onCurve, crypto.SHA256, elliptic.P256()}, {"ES384", onCurve, crypto.SHA384, elliptic.P384()},
		{"ES512", onCurve, crypto.SHA512, elliptic.P521()},
	}
}

// Find returns the algorithm of that name. JOSE compares names letter by letter.
func Find(name string) (a Algorithm, ok bool) {
	for _, a := range Algorithms() {
		if a.Name == name {
			return a, true
		}
	}
	return Algorithm{}, false
}

// For returns the usual algorithm for a key: RS256, or the one of its curve. The error says why there is none.
func For(pub crypto.PublicKey) (Algorithm, error) {
	for _, a := range Algorithms() {
		if a.Fits(pub) == nil {
			return a, nil
		}
	}
	if key, ok := pub.(*rsa.PublicKey); ok {
		return Algorithm{}, CheckRSA(key)
	}
	return Algorithm{}, fmt.Errorf("expected a key of RSA, or of ECDSA on P-256, P-384 or P-521, found %s", Describe(pub))
}

// Fits says why the algorithm cannot be used with the key.
func (a Algorithm) Fits(pub crypto.PublicKey) error {
	switch key := pub.(type) {
	case *rsa.PublicKey:
		if a.scheme == pkcs1 || a.scheme == pss {
			return CheckRSA(key)
		}
	case *ecdsa.PublicKey:
		if a.scheme == onCurve && a.curve == key.Curve {
			return nil
		}
	}
	return fmt.Errorf("%s needs %s, the key is %s", a.Name, a.needs(), Describe(pub))
}

func (a Algorithm) needs() string {
	if a.scheme == onCurve {
		return "an ECDSA key on " + a.curve.Params().Name
	}
	return "an RSA key"
}

// Describe names the kind of a public key for a person: "RSA of 2048 bits", "ECDSA on P-256".
func Describe(pub crypto.PublicKey) string {
	switch key := pub.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA of %d bits", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA on " + key.Curve.Params().Name
	}
	return fmt.Sprintf("%T", pub)
}

// Verify checks a signature over input. The key must be one that fits.
func (a Algorithm) Verify(pub crypto.PublicKey, input, signature []byte) error {
	if err := a.Fits(pub); err != nil {
		return err
	}
	digest := a.digest(input)
	switch key := pub.(type) {
	case *rsa.PublicKey:
		if a.scheme == pss {
			return rsa.VerifyPSS(key, a.hash, digest, signature, a.pss())
		}
		return rsa.VerifyPKCS1v15(key, a.hash, digest, signature)
	case *ecdsa.PublicKey:
		return a.verifyECDSA(key, digest, signature)
	}
	return errors.New("unknown kind of key")
}

// verifyECDSA checks a signature in the form of RFC 7518 section 3.4.
func (a Algorithm) verifyECDSA(key *ecdsa.PublicKey, digest, signature []byte) error {
	size := a.orderSize()
	if len(signature) != 2*size {
		return fmt.Errorf("%s: a signature has %d bytes, found %d", a.Name, 2*size, len(signature))
	}
	r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	if !ecdsa.Verify(key, digest, r, s) {
		return errors.New("ECDSA verification failed")
	}
	return nil
}

// Sign signs input. The key must be one that fits.
func (a Algorithm) Sign(key crypto.Signer, input []byte) ([]byte, error) {
	if err := a.Fits(key.Public()); err != nil {
		return nil, err
	}
	var opts crypto.SignerOpts = a.hash
	if a.scheme == pss {
		opts = a.pss()
	}
	signature, err := key.Sign(rand.Reader, a.digest(input), opts)
	if err != nil || a.scheme != onCurve {
		return signature, err
	}
	return a.plain(signature)
}

// plain turns an ECDSA signature from the DER that signers make into r and s.
func (a Algorithm) plain(der []byte) ([]byte, error) {
	size := a.orderSize()
	r, s := new(big.Int), new(big.Int)
	input, inner := cryptobyte.String(der), cryptobyte.String(nil)
	if !input.ReadASN1(&inner, asn1.SEQUENCE) || !input.Empty() ||
		!inner.ReadASN1Integer(r) || !inner.ReadASN1Integer(s) || !inner.Empty() ||
		r.Sign() < 0 || s.Sign() < 0 || r.BitLen() > 8*size || s.BitLen() > 8*size {
		return nil, errors.New("the key made something that is no ECDSA signature")
	}
	signature := make([]byte, 2*size)
	r.FillBytes(signature[:size])
	s.FillBytes(signature[size:])
	return signature, nil
}

func (a Algorithm) orderSize() int { return (a.curve.Params().N.BitLen() + 7) / 8 }

func (a Algorithm) pss() *rsa.PSSOptions {
	return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: a.hash}
}

func (a Algorithm) digest(input []byte) []byte {
	h := a.hash.New()
	h.Write(input)
	return h.Sum(nil)
}
