package attreq

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"math/big"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/jose"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// jwk is a public key of a request (RFC 7517).
type jwk struct {
	sent   jsontext.Value // the object as sent, from brace to brace: what is hashed
	key    crypto.PublicKey
	public jsontext.Value // the object made anew of the public members that are known
}

// jwkJSON has the members that are read. Private ones and others are ignored.
type jwkJSON struct {
	Type     string  `json:"kty"`
	Curve    *string `json:"crv,omitzero"`
	N        *string `json:"n,omitzero"`
	Exponent *string `json:"e,omitzero"`
	X        *string `json:"x,omitzero"`
	Y        *string `json:"y,omitzero"`
}

// parseJWK reads a key: RSA of 2048 bits or more with an odd exponent of 3 or more, or ECDSA on P-256, P-384 or P-521. What is
// wrong with it is a refusal of the check.
func parseJWK(check evidence.Check, name string, sent jsontext.Value) (*jwk, error) {
	if sent == nil || sent.Kind() == 'n' {
		return nil, missing(name)
	}
	if len(sent) > maxJWK {
		return nil, tooLong(name, maxJWK)
	}
	var m jwkJSON
	if err := strictjson.Exact(sent, &m); err != nil {
		return nil, malformed("the member %s is no JWK", name).Because(err)
	}
	k := &jwk{sent: sent}
	var err error
	switch m.Type {
	case "RSA":
		k.key, err = m.rsa(check, name)
	case "EC":
		k.key, err = m.ec(check, name)
	default:
		err = evidence.Refuse(check, "the key %s is of another kind", name).Want("kty RSA or EC", quoted(m.Type)).Do("use a key of RSA, or of ECDSA on P-256, P-384 or P-521")
	}
	if err != nil {
		return nil, err
	}
	k.public, err = publicJWK(k.key)
	return k, err
}

func weak(check evidence.Check, name string, err error) error {
	return evidence.Refuse(check, "the key %s cannot be used", name).Because(err).Do("use an RSA key of 2048 bits or more with an odd exponent, or ECDSA on P-256, P-384 or P-521")
}

// rsa reads an RSA key.
func (m *jwkJSON) rsa(check evidence.Check, name string) (*rsa.PublicKey, error) {
	n, err := needed(name+".n", m.N, jose.MaxRSABits/8+1)
	if err != nil {
		return nil, err
	}
	e, err := needed(name+".e", m.Exponent, 8)
	if err != nil {
		return nil, err
	}
	exponent := new(big.Int).SetBytes(e)
	if exponent.BitLen() > 31 {
		return nil, evidence.Refuse(check, "the exponent of the key %s is too large", name).Want("an odd number from 3 to 2147483647", exponent).Do("use a key with the exponent 65537")
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}
	if err := jose.CheckRSA(key); err != nil {
		return nil, weak(check, name, err)
	}
	return key, nil
}

// ec reads an ECDSA key, whose coordinates have the length of the curve (RFC 7518 section 6.2.1).
func (m *jwkJSON) ec(check evidence.Check, name string) (*ecdsa.PublicKey, error) {
	curve, ok := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[valueOf(m.Curve)]
	if !ok {
		return nil, evidence.Refuse(check, "the key %s is on another curve", name).Want("P-256, P-384 or P-521", quoted(valueOf(m.Curve))).Do("use a key on one of these curves")
	}
	size := coordinateSize(curve)
	point := []byte{4}
	for _, c := range []struct {
		name string
		text *string
	}{{".x", m.X}, {".y", m.Y}} {
		b, err := needed(name+c.name, c.text, size)
		if err != nil {
			return nil, err
		}
		if len(b) != size {
			return nil, malformed("the member %s%s has another length than the curve", name, c.name).Want(size, len(b))
		}
		point = append(point, b...)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, evidence.Refuse(check, "the key %s is no point of its curve", name).Because(err).Do(askClient)
	}
	return key, nil
}

func coordinateSize(c elliptic.Curve) int { return (c.Params().BitSize + 7) / 8 }

func valueOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// publicJWK writes a key as a JWK with nothing but its public members.
func publicJWK(key crypto.PublicKey) (jsontext.Value, error) {
	var m jwkJSON
	switch key := key.(type) {
	case *rsa.PublicKey:
		m.Type, m.N, m.Exponent = "RSA", text(key.N.Bytes()), text(big.NewInt(int64(key.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			return nil, err
		}
		size, curve := coordinateSize(key.Curve), key.Curve.Params().Name
		m.Type, m.Curve, m.X, m.Y = "EC", &curve, text(point[1:1+size]), text(point[1+size:])
	}
	return json.Marshal(m)
}

func text(b []byte) *string {
	s := b64.URL(b)
	return &s
}

// equalKeys compares public keys.
func equalKeys(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}
