package auth

import (
	"strings"

	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/jose"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// MaxToken is the most bytes that a bearer token may have. Tokens of Entra with 200 groups have 10 KB.
const MaxToken = 16 << 10

// token is a token to look at.
type token struct {
	text      string
	header    header
	algorithm jose.Algorithm
	claims    claims
}

type header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
}

const needsBearer = "expected one header Authorization: Bearer with a token"

// bearerToken takes the token out of the headers (RFC 6750 section 2.1).
func bearerToken(headers []string) (string, error) {
	if len(headers) != 1 {
		return "", malformed("%d headers Authorization; %s", len(headers), needsBearer)
	}
	scheme, text, _ := strings.Cut(headers[0], " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		return "", malformed("another scheme of authorization; %s", needsBearer)
	case len(text) > MaxToken:
		return "", malformed("the token has %d bytes, at most %d are read", len(text), MaxToken)
	}
	return text, nil
}

// parseToken reads a signed JWT in compact serialisation (RFC 7515 section 7.1), believing nothing.
func parseToken(text string) (*token, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil, malformed("the token is not a JWT: expected three parts with dots between them, found %d", len(parts))
	}
	t := &token{text: text}
	if err := decode(parts[0], &t.header); err != nil {
		return nil, malformed("header of the token: %v", err)
	}
	found, ok := jose.Find(t.header.Algorithm)
	if !ok {
		return nil, &Refused{Reason: ReasonAlgorithm, Problem: "the token is not signed with a public-key algorithm that is accepted",
			Expected: "RS, PS or ES with 256, 384 or 512", Found: quote(t.header.Algorithm)}
	}
	t.algorithm = found
	if t.header.KeyID == "" {
		return nil, malformed("header of the token: no kid says which key signed it")
	}
	if err := decode(parts[1], &t.claims); err != nil {
		return nil, malformed("payload of the token: %v", err)
	}
	if _, err := b64.DecodeURL(parts[2]); err != nil || parts[2] == "" {
		return nil, malformed("signature of the token: not base64url")
	}
	return t, nil
}

// decode reads a part of a token.
func decode(part string, v any) error {
	b, err := b64.DecodeURL(part)
	if err != nil {
		return err
	}
	return strictjson.Exact(b, v)
}
