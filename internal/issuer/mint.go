package issuer

import (
	"time"

	"github.com/assay-attestation/assay/internal/verifier"
	"github.com/assay-attestation/assay/result"
)

// Mint makes the attestation token that a permit is the right to, issued at now. Nothing else is signed as an
// attestation. An error is as sign gives it.
func (k *Keys) Mint(p *verifier.Permit, now time.Time) (string, error) {
	return k.sign(Attestation, p.Claims(), now)
}

// MintDraft makes the unsigned token of a rehearsal, issued at now.
func (k *Keys) MintDraft(r *verifier.Rehearsal, now time.Time) (string, error) {
	return k.draft(r.Claims(), now)
}

// SignResult makes the token that answers a management operation, issued at now (tokens.md section 1). It lives an hour,
// has no jti, and must not be used for claims about evidence: those need a permit.
func (k *Keys) SignResult(claims result.Claims, now time.Time) (string, error) {
	return k.sign(Result, claims, now)
}
