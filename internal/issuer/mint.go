package issuer

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"time"

	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/internal/verifier"
	"github.com/assay-attestation/assay/result"
)

// Mint makes the attestation token that a permit is the right to, issued at now. Nothing else is signed as an
// attestation. Where the permit has a recipient, the token is sealed to that key. An error is as sign gives it.
func (k *Keys) Mint(p *verifier.Permit, now time.Time) (string, error) {
	token, err := k.sign(Attestation, p.Claims(), now)
	if err != nil {
		return "", err
	}
	return sealed(token, p.Recipient())
}

// MintDraft makes the unsigned token of a rehearsal, issued at now, sealed like that of a permit.
func (k *Keys) MintDraft(r *verifier.Rehearsal, now time.Time) (string, error) {
	token, err := k.draft(r.Claims(), now)
	if err != nil {
		return "", err
	}
	return sealed(token, r.Recipient())
}

// sealed encrypts a token to the key that it is for; without one anybody may read it.
func sealed(token string, to *rsa.PublicKey) (string, error) {
	if to == nil {
		return token, nil
	}
	answer, err := azureguest.Seal(rand.Reader, token, to)
	if err != nil {
		return "", fmt.Errorf("sealing a token: %w", err)
	}
	return answer, nil
}

// SignResult makes the token that answers a management operation, issued at now (tokens.md section 1). It lives an hour,
// has no jti, and must not be used for claims about evidence: those need a permit.
func (k *Keys) SignResult(claims result.Claims, now time.Time) (string, error) {
	return k.sign(Result, claims, now)
}
