// Package challenge makes the challenges of the TPM protocol and opens them again, without keeping any: a challenge travels to
// the client and back inside a service context that is encrypted and authenticated for one provider and a short time. The key
// follows from the sealing key that all replicas share and changes with time (tpm.md section 2).
package challenge

import (
	"errors"
	"time"

	"github.com/assay-attestation/assay/internal/seal"
)

// Size is the limit tpm_challenge_bytes.
const Size = 16

// DefaultLifetime is the limit tpm_context_lifetime.
const DefaultLifetime = 5 * time.Minute

var errTODO = errors.New("not implemented")

// Keeper makes and opens challenges. It may be used concurrently.
type Keeper struct{}

// New makes a keeper whose contexts are valid for the lifetime, DefaultLifetime if zero.
func New(key *seal.Key, lifetime time.Duration) (*Keeper, error) { return nil, errTODO }

// Issue makes a challenge of Size bytes for a provider, by its id, and the context to send along, base64url text.
func (k *Keeper) Issue(providerID string, now time.Time) (challenge []byte, context string, err error) {
	return nil, "", errTODO
}

// Open gives the challenge of a context. The error is an [evidence.Refusal] of TPMChallenge that says why: malformed, expired, of
// another provider, or of a key that has retired.
func (k *Keeper) Open(context, providerID string, now time.Time) ([]byte, error) { return nil, errTODO }
