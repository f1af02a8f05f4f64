// Package policyjws makes and opens the compact JWS in which clients send policies, take them back, and change the
// signers of a provider (policy.md section 10, api.md sections 8 and 9.2).
//
// A JWS climbs up to two steps. Parse gives a Parsed, of which nothing is believed: it may come from anyone. Verify
// gives a Verified: its signature verifies with the key that it brings along, so that one and the same key signed all of
// it, anybody's key. Trust gives a Trusted: that key belongs to a signer whom the caller knows. An unsigned JWS stays a
// Parsed. The package reads no clock and no files: the lifetime of certificates does not count (policy.md 10.1).
package policyjws

import (
	"bytes"
)

// The bounds of a JWS, checked before it is read. A text of policy_text with a full chain of certificates fits into
// MaxSize.
const (
	// MaxSize is how many bytes a JWS may have (policy_body).
	MaxSize = 2 << 20
	// MaxCertificates is how many certificates x5c may have.
	MaxCertificates = 8
	// MaxCertificate is how many bytes of DER each of them may have. One with an RSA key of 4096 bits has 1.5 KB.
	MaxCertificate = 8 << 10
)

// Text returns the policy text in b, which is the text itself or a JWS around it. The JWS must be well-formed; its
// signature is not looked at, since who may set a policy is not what the callers ask. The error is a *Refusal.
func Text(b []byte) ([]byte, error) {
	if !isJWS(b) {
		return b, nil
	}
	p, err := Parse(b, Options{})
	if err != nil {
		return nil, err
	}
	text, ok := p.Text()
	if !ok {
		return nil, malformed("there is no policy in it").want("the member AttestationPolicy", string(p.Operation()))
	}
	return text, nil
}

// isJWS tells a JWS from a policy text: it has two dots, and no character of a policy before the first.
func isJWS(b []byte) bool {
	parts := bytes.SplitN(bytes.TrimSpace(b), []byte("."), 4)
	return len(parts) == 3 && !bytes.ContainsAny(parts[0], " =;{}\r\n")
}
