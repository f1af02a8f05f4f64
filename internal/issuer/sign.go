package issuer

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"time"

	"github.com/assay-attestation/assay/result"
)

// Lifetimes of tokens, fixed as recorded (tokens.md section 4).
const (
	AttestationLifetime = 8 * time.Hour // attestation tokens and drafts
	ResultLifetime      = time.Hour     // answers of policy and certificate operations
)

// tokenIDBytes is how much randomness names an attestation token.
const tokenIDBytes = 32

// Kind is a kind of token; it decides the registered claims (tokens.md sections 1 and 4).
type Kind int

// The kinds of token that an instance key signs.
const (
	Attestation Kind = iota // lives AttestationLifetime and has a jti
	Result                  // lives ResultLifetime and has none
)

func (k Kind) lifetime() time.Duration {
	if k == Result {
		return ResultLifetime
	}
	return AttestationLifetime
}

// sign returns the claims as a token of the kind, issued at now, after verifying it as a relying party would. The
// registered claims iss, iat, nbf and exp, and jti for an attestation, replace claims of these names. An error here is
// a fault of the service, except result.ErrTooLarge and JSON nested too deep, which come from the claims.
func (k *Keys) sign(kind Kind, claims result.Claims, now time.Time) (string, error) {
	token, err := k.inUse(now).signer.Sign(k.register(kind, claims, now))
	if err != nil {
		return "", fmt.Errorf("issuing a token: %w", err)
	}
	want := result.Expect{Issuer: k.issuer, At: now, AllowDevelopment: true}
	if _, err := result.Verify(token, k.set, want); err != nil {
		return "", fmt.Errorf("issuing a token: the own check refused it: %w", err)
	}
	return token, nil
}

// draft returns the claims as the unsigned token of a draft policy, with the same registered claims as an attestation.
func (k *Keys) draft(claims result.Claims, now time.Time) (string, error) {
	token, err := k.inUse(now).signer.Draft(k.register(Attestation, claims, now))
	if err != nil {
		return "", fmt.Errorf("making a draft token: %w", err)
	}
	return token, nil
}

// register returns a copy of the claims with those that every token of the kind has.
func (k *Keys) register(kind Kind, claims result.Claims, now time.Time) result.Claims {
	all := maps.Clone(claims)
	if all == nil {
		all = result.Claims{}
	}
	all[result.ClaimIssuer] = k.issuer
	all[result.ClaimIssuedAt] = now.Unix()
	all[result.ClaimNotBefore] = now.Unix()
	all[result.ClaimExpires] = now.Add(kind.lifetime()).Unix()
	if kind == Attestation {
		all[result.ClaimTokenID] = newTokenID()
	}
	if k.development {
		all[result.ClaimDevelopment] = true
	}
	return all
}

func newTokenID() string {
	var id [tokenIDBytes]byte
	rand.Read(id[:]) // never fails: the program ends if the system has no randomness
	return hex.EncodeToString(id[:])
}
