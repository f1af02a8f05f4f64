// Package policyjws takes policy texts out of the compact JWS in which clients send them (policy.md section 10). It
// does not verify signatures: who may set a policy is for the management operations to check.
package policyjws

import (
	"bytes"
	"fmt"

	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// Text returns the policy text in b, which is the text itself or a compact JWS around it. The payload of the JWS is
// {"AttestationPolicy":"<base64url of the text>"}.
func Text(b []byte) ([]byte, error) {
	parts := bytes.Split(bytes.TrimSpace(b), []byte("."))
	if len(parts) != 3 || bytes.ContainsAny(parts[0], " =;{}\r\n") {
		return b, nil
	}
	var payload struct {
		Policy string `json:"AttestationPolicy"`
	}
	inner, err := b64.DecodeURL(string(parts[1]))
	if err == nil {
		err = strictjson.Exact(inner, &payload)
	}
	if err != nil {
		return nil, fmt.Errorf("policy JWS: payload: %w", err)
	}
	text, err := b64.DecodeURL(payload.Policy)
	if err != nil {
		return nil, fmt.Errorf("policy JWS: AttestationPolicy: %w", err)
	}
	return text, nil
}
