// Package challenge makes the challenges of the TPM protocol and opens them again, without keeping any: a challenge travels to
// the client and back inside a service context that is encrypted and authenticated for one provider and a short time. The key
// follows from the sealing key that all replicas share and changes with time (tpm.md section 2).
package challenge

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/assay-attestation/assay/internal/seal"
)

// Size is the limit tpm_challenge_bytes.
const Size = 16

// DefaultLifetime is the limit tpm_context_lifetime.
const DefaultLifetime = 5 * time.Minute

// Bounds of the limit tpm_context_lifetime.
const (
	MinLifetime = time.Second // a client has to quote in between
	MaxLifetime = time.Hour   // keys are accepted this long after they have stopped to seal
)

// Skew is how far the clock of the replica that issued a context may be ahead of the clock of the one that opens it.
const Skew = time.Minute

// MaxProviderID is how long the id of a provider can be, in bytes.
const MaxProviderID = 128

// MaxContext bounds a context that is opened, in characters. Those made here have fewer than 600.
const MaxContext = 1024

// content is what a context protects, in this order: the challenge, the time of expiry in milliseconds since 1970 as a
// big-endian 64-bit number, and the provider's id.
type content struct {
	challenge []byte
	expires   time.Time
	provider  string
}

// contentHead is how long a content is without the provider's id, in bytes.
const contentHead = Size + 8

func (c content) marshal() []byte {
	b := append(make([]byte, 0, contentHead+len(c.provider)), c.challenge...)
	b = binary.BigEndian.AppendUint64(b, uint64(c.expires.UnixMilli()))
	return append(b, c.provider...)
}

func parseContent(b []byte) (content, bool) {
	if len(b) < contentHead || len(b) > contentHead+MaxProviderID {
		return content{}, false
	}
	expires := time.UnixMilli(int64(binary.BigEndian.Uint64(b[Size:])))
	return content{challenge: b[:Size], expires: expires, provider: string(b[contentHead:])}, true
}

// Keeper makes and opens challenges. It may be used concurrently.
type Keeper struct {
	key      *seal.Key
	lifetime time.Duration
}

// New makes a keeper whose contexts are valid for the lifetime, DefaultLifetime if zero. It refuses lifetimes below MinLifetime
// and above MaxLifetime.
func New(key *seal.Key, lifetime time.Duration) (*Keeper, error) {
	if key == nil {
		return nil, errors.New("challenges of the TPM protocol need the sealing key")
	}
	if lifetime == 0 {
		lifetime = DefaultLifetime
	}
	if lifetime < MinLifetime || lifetime > MaxLifetime {
		return nil, fmt.Errorf("tpm_context_lifetime: expected %s to %s, found %s", MinLifetime, MaxLifetime, lifetime)
	}
	return &Keeper{key, lifetime}, nil
}

// Issue makes a challenge of Size bytes for a provider, by its id, and the context to send along, base64url text. An error is a
// fault of the service.
func (k *Keeper) Issue(providerID string, now time.Time) (challenge []byte, context string, err error) {
	if providerID == "" || len(providerID) > MaxProviderID {
		return nil, "", fmt.Errorf("issuing a challenge: a provider id of 1 to %d bytes is needed, found %d", MaxProviderID, len(providerID))
	}
	challenge = make([]byte, Size)
	rand.Read(challenge) // never fails: the program ends if the system has no randomness
	window := windowOf(now)
	aead, err := k.aead(window)
	if err != nil {
		return nil, "", fmt.Errorf("issuing a challenge: %w", err)
	}
	plain := content{challenge, now.Add(k.lifetime), providerID}.marshal()
	context, err = envelope{name: k.name(window), sealed: aead.Seal(nil, nil, plain, []byte(purpose))}.marshal()
	if err != nil {
		return nil, "", fmt.Errorf("issuing a challenge: %w", err)
	}
	return challenge, context, nil
}

// Open gives the challenge of a context. The error is an [evidence.Refusal] of TPMChallenge that says why: malformed, expired, of
// another provider, or of a key that has retired. A context is valid until the time of expiry, exclusive.
func (k *Keeper) Open(context, providerID string, now time.Time) ([]byte, error) {
	c, err := k.unseal(context, now)
	switch {
	case err != nil:
		return nil, err
	case c.provider != providerID:
		return nil, refuse("the service context was issued by another attestation provider").
			Do("send it to the provider that gave the challenge, or begin anew here")
	case !now.Before(c.expires):
		return nil, refuse("the challenge has expired, and its service context with it").
			Want("a time before "+stamp(c.expires), stamp(now)).Do(anew)
	}
	return c.challenge, nil
}

// unseal gives the content of a context that a replica of this service made, for any provider and time.
func (k *Keeper) unseal(context string, now time.Time) (content, error) {
	e, err := parseEnvelope(context)
	if err != nil {
		return content{}, err
	}
	window, err := k.window(e.name, now)
	if err != nil {
		return content{}, err
	}
	aead, err := k.aead(window)
	if err != nil {
		return content{}, fmt.Errorf("opening a service context: %w", err)
	}
	plain, err := aead.Open(nil, nil, e.sealed, []byte(purpose))
	if err != nil {
		return content{}, changed()
	}
	c, ok := parseContent(plain)
	if !ok {
		return content{}, changed()
	}
	return c, nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
