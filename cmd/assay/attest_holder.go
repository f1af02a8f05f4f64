package main

import (
	"crypto/rsa"
	"math/big"

	"github.com/go-json-experiment/json"

	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/relyingparty"
	"github.com/assay-attestation/assay/result"
)

// holder requires a report to name a key in cnf (tokens.md section 10): else it is about another machine, or none, and the key is worth nothing.
type holder struct{ key *rsa.PublicKey }

// Check implements [relyingparty.Requirement].
func (h holder) Check(t *relyingparty.Token) error {
	var claims struct {
		Confirmation struct {
			JWK struct {
				Type     string `json:"kty"`
				Modulus  string `json:"n"`
				Exponent string `json:"e"`
			} `json:"jwk"`
		} `json:"cnf"`
	}
	err := json.Unmarshal(t.Payload(), &claims)
	jwk := claims.Confirmation.JWK
	if err == nil && jwk.Type == "RSA" && isNumber(jwk.Modulus, h.key.N) && isNumber(jwk.Exponent, big.NewInt(int64(h.key.E))) {
		return nil
	}
	return &result.Refusal{
		Reason: relyingparty.Unmet, Problem: "the report is not for the key that signed the request",
		Expected: "the claim cnf with the key of this request", Found: found(jwk.Modulus),
		Remedy: "ask again; if that does not help, what answers at --endpoint gives reports of other requests, or of another type",
	}
}

func found(modulus string) string {
	if modulus == "" {
		return "no RSA key"
	}
	return "an RSA key with the modulus " + shorten(modulus)
}

// isNumber reports whether a text is a number in base64url, as JWKs have it.
func isNumber(text string, want *big.Int) bool {
	b, err := b64.Decode(text)
	return err == nil && new(big.Int).SetBytes(b).Cmp(want) == 0
}
