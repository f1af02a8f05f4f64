package issuer

import (
	"time"

	"github.com/assay-attestation/assay/internal/verifier"
)

// Mint makes the attestation token that a permit is the right to, issued at now. Nothing else is signed as an
// attestation. An error is as Sign gives it.
func (k *Keys) Mint(p *verifier.Permit, now time.Time) (string, error) {
	return k.Sign(Attestation, p.Claims(), now)
}

// MintDraft makes the unsigned token of a rehearsal, issued at now.
func (k *Keys) MintDraft(r *verifier.Rehearsal, now time.Time) (string, error) {
	return k.Draft(r.Claims(), now)
}
