// Package policyjws takes policy texts out of the compact JWS in which clients send them (policy.md section 10). It
// checks the form of the JWS, not its signature: who may set a policy is for the management operations to check.
package policyjws

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// algorithms are the values of alg that a policy may be signed with: those of JOSE, and the names that two of the SDKs
// write for RS256 and ES256 (policy.md section 10).
func algorithms() []string {
	return []string{"none", "RS256", "RSA256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ECDH256", "ES384", "ES512"}
}

// Text returns the policy text in b, which is the text itself or a compact JWS around it. The payload of the JWS is
// {"AttestationPolicy":"<base64url of the text>"}.
func Text(b []byte) ([]byte, error) {
	parts := bytes.Split(bytes.TrimSpace(b), []byte("."))
	if len(parts) != 3 || bytes.ContainsAny(parts[0], " =;{}\r\n") {
		return b, nil
	}
	text, err := open(parts)
	if err != nil {
		return nil, fmt.Errorf("policy JWS: %w", err)
	}
	return text, nil
}

// open checks the three parts and returns the text.
func open(parts [][]byte) ([]byte, error) {
	var header struct {
		Algorithm string `json:"alg"`
	}
	var payload struct {
		Policy *string `json:"AttestationPolicy"`
	}
	if err := read(parts[0], &header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if !slices.Contains(algorithms(), header.Algorithm) {
		return nil, fmt.Errorf("header: alg: expected one of %v, found %.20q", algorithms(), header.Algorithm)
	}
	if signature, err := b64.DecodeURL(string(parts[2])); err != nil || (len(signature) == 0) != (header.Algorithm == "none") {
		return nil, fmt.Errorf("signature: expected base64url, and none with alg none only, found %d characters", len(parts[2]))
	}
	if err := read(parts[1], &payload); err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	if payload.Policy == nil {
		return nil, errors.New("payload: the member AttestationPolicy is missing")
	}
	text, err := b64.DecodeURL(*payload.Policy)
	if err != nil {
		return nil, fmt.Errorf("payload: AttestationPolicy: %w", err)
	}
	return text, nil
}

// read decodes one part of the JWS into v.
func read(part []byte, v any) error {
	b, err := b64.DecodeURL(string(part))
	if err != nil {
		return err
	}
	return strictjson.Exact(b, v)
}
