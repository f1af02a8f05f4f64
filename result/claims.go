// Package result is the form of an attestation result: claims as a signed JWT (RFC 7515, RFC 7519), the JWK set with
// which it is verified (RFC 7517), and the verification itself (tokens.md sections 2 to 4). It is pure: keys, key sets
// and the time come from the caller. Where keys are kept and who may sign is internal/issuer; where a relying party
// gets its key set is relyingparty.
//
// A token climbs two steps: ParseToken gives an Unverified, which is for display alone; Verify gives a Verified, whose
// claims may be relied on.
package result

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/jose"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// Names of the claims that this package reads itself (tokens.md section 4, native.md section 2).
const (
	ClaimIssuer      = "iss"
	ClaimIssuedAt    = "iat"
	ClaimNotBefore   = "nbf"
	ClaimExpires     = "exp"
	ClaimTokenID     = "jti"
	ClaimDevelopment = "ext-development"
)

// Algorithms of the alg header member: the one in which tokens are signed, and that of drafts, which are not.
const (
	AlgorithmRS256 = "RS256"
	AlgorithmNone  = "none"
)

const tokenType = "JWT"

// MinKeyBits is the size below which an RSA key neither signs nor verifies a token (README.md section 7, RSA keys).
const MinKeyBits = jose.MinRSABits

// Claims are the claims of a token under their names. A value is a string, bool, int64, a jsontext.Value, or an array
// or nested Claims of these.
type Claims map[string]any

// encode writes the claims compactly, in no more bytes than limit, the members of every object sorted by name, no
// character escaped without need (tokens.md section 2).
func (c Claims) encode(limit int) ([]byte, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("writing claims: %w", err)
	}
	if len(b) > limit {
		return nil, fmt.Errorf("%w: %d bytes of claims, at most %d", ErrTooLarge, len(b), limit)
	}
	b, err = strictjson.Compact(b)
	if errors.Is(err, strictjson.ErrLimit) {
		return nil, fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	if err != nil {
		return nil, fmt.Errorf("writing claims: %w", err)
	}
	return b, nil
}

// Header is the JOSE header of a token (tokens.md section 2). Members that play no part in verification are not kept.
type Header struct {
	Algorithm string `json:"alg"`          // RS256, or none for a draft
	KeySetURL string `json:"jku,omitzero"` // where the issuer says its keys are; never followed
	KeyID     string `json:"kid,omitzero"` // names the key in the key set, compared as a string
	Type      string `json:"typ,omitzero"` // JWT
}

// Signer makes tokens with one RSA key.
type Signer struct {
	Key       crypto.Signer // RSA of MinKeyBits or more; PKCS #1 v1.5 needs no randomness
	KeyID     string        // as listed in the key set
	KeySetURL string        // for the header member jku
}

// Sign returns the claims as a token in compact serialisation, signed with RSASSA-PKCS1-v1_5 and SHA-256. It adds
// no claim of its own.
func (s Signer) Sign(claims Claims) (string, error) {
	input, err := s.signingInput(AlgorithmRS256, claims)
	if err != nil {
		return "", err
	}
	return signed(input, s.Key, s.KeyID)
}

// signed gives the first two parts of a token with their signature.
func signed(input string, key crypto.Signer, keyID string) (string, error) {
	pub, ok := key.Public().(*rsa.PublicKey)
	if !ok || pub.N.BitLen() < MinKeyBits {
		return "", fmt.Errorf("signing a token: key %q is not an RSA key of at least %d bits", keyID, MinKeyBits)
	}
	digest := sha256.Sum256([]byte(input))
	sig, err := key.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return input + "." + b64.URL(sig), nil
}

// Draft returns the claims as an unsigned token: algorithm none, kid and jku still there, third part empty. It is the
// answer for a draft policy, and relying parties must refuse it (tokens.md sections 2 and 15).
func (s Signer) Draft(claims Claims) (string, error) {
	input, err := s.signingInput(AlgorithmNone, claims)
	if err != nil {
		return "", err
	}
	return input + ".", nil
}

func (s Signer) signingInput(alg string, claims Claims) (string, error) {
	header, err := json.Marshal(Header{Algorithm: alg, KeySetURL: s.KeySetURL, KeyID: s.KeyID, Type: tokenType})
	if err != nil {
		return "", fmt.Errorf("writing the token header: %w", err)
	}
	payload, err := claims.encode(maxPayload)
	if err != nil {
		return "", err
	}
	return b64.URL(header) + "." + b64.URL(payload), nil
}

// ErrTooLarge is the error of claims that do not fit into a token of MaxTokenSize.
var ErrTooLarge = errors.New("the token is too large")

// maxPayload is what fits into MaxTokenSize before base64url, beside the header, the largest signature and two dots.
const maxPayload = (MaxTokenSize-MaxHeaderSize)/4*3 - jose.MaxRSABits/8 - 3
