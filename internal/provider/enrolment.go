package provider

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/enrol"
	"github.com/assay-attestation/assay/internal/store"
)

// MaxReason bounds why a certificate is revoked, in bytes.
const MaxReason = 256

// readEnrolment fills in what counts in the judgement of evidence.
func (i *Instance) readEnrolment(tx *store.Tx) error {
	revoked, err := tx.RevokedAIKs(i.ID)
	if err != nil {
		return err
	}
	i.RevokedAIKs = make(map[tpm.KeyHash]string, len(revoked))
	for text, id := range revoked {
		hash, err := ParseKeyHash(text)
		if err != nil {
			return err
		}
		i.RevokedAIKs[hash] = id
	}
	pins, err := tx.Pins(i.ID, store.PinnedAIK, "", store.MaxPins)
	if err != nil {
		return err
	}
	i.PinnedAIKs = make(map[tpm.KeyHash]bool, len(pins))
	for _, p := range pins {
		hash, err := ParseKeyHash(p.Hash)
		if err != nil {
			return err
		}
		i.PinnedAIKs[hash] = true
	}
	return nil
}

// ParseKeyHash reads the SHA-256 of a SubjectPublicKeyInfo in 64 hex digits of any case. The error wraps ErrInvalid.
func ParseKeyHash(text string) (tpm.KeyHash, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(tpm.KeyHash{}) {
		return tpm.KeyHash{}, fmt.Errorf("%w: expected the SHA-256 of a SubjectPublicKeyInfo in 64 hex digits, found %.80q", ErrInvalid, text)
	}
	return tpm.KeyHash(b), nil
}

// PinnedEK reports whether an endorsement key is pinned now.
func (r *Registry) PinnedEK(ctx context.Context, i *Instance, ek tpm.KeyHash) (pinned bool, err error) {
	err = r.Store.Read(ctx, func(tx *store.Tx) error {
		pinned, err = isPinned(tx, i.ID, ek)
		return err
	})
	return pinned, err
}

func isPinned(tx *store.Tx, providerID string, ek tpm.KeyHash) (bool, error) {
	_, err := tx.Pin(providerID, store.PinnedEK, ek.String())
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Enrol certifies an attestation key and keeps the certificate. Whoever answers one challenge again, at whichever replica, gets the
// certificate that was made first. The error is an [evidence.Refusal] of AIKEnrolment or EKCertificate for a key that may not enrol,
// or wraps [store.ErrFull].
func (r *Registry) Enrol(ctx context.Context, a *enrol.Activated, ca *enrol.Authority, at time.Time, by Author) (c store.AIKCertificate, err error) {
	aik, err := tpm.HashKey(a.AIK.Key)
	if err != nil {
		return c, err
	}
	cert, err := ca.Issue(a, at)
	if err != nil {
		return c, err
	}
	next := store.AIKCertificate{
		ProviderID: a.ProviderID, ID: a.ID, AIK: aik.String(), EK: a.EK.String(), Certificate: cert.Raw, NotAfter: cert.NotAfter, Issued: by.stamp(),
	}
	err = r.Store.Write(ctx, func(tx *store.Tx) error {
		if err := mayEnrol(tx, a, next); err != nil {
			return err
		}
		if c, err = tx.AIKCertificate(a.ProviderID, a.ID); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		c = next
		if err := tx.AddAIKCertificate(next, at); err != nil {
			return err
		}
		return by.Audit(tx, "", next.ID)
	})
	return c, err
}

// mayEnrol refuses an attestation key whose certificate was revoked, a TPM one of whose certificates was, unless its endorsement key is
// pinned, and one that is trusted for a pin of its endorsement key that is not there, or not any more.
func mayEnrol(tx *store.Tx, a *enrol.Activated, next store.AIKCertificate) error {
	pinned, err := isPinned(tx, a.ProviderID, a.EK)
	if err != nil {
		return err
	}
	if a.Pinned && !pinned {
		return NotPinned(a.EK)
	}
	revoked, err := tx.RevokedFor(a.ProviderID, next.AIK, next.EK)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	case revoked.AIK == next.AIK:
		return evidence.Refuse(evidence.AIKEnrolment, "the certificate %s of the attestation key was revoked", revoked.ID).
			Want("another attestation key", next.AIK).Do("make a new attestation key and enrol it")
	case !pinned:
		return evidence.Refuse(evidence.AIKEnrolment, "a certificate of the TPM, %s, was revoked", revoked.ID).
			Want("a TPM without revoked certificates, or one whose endorsement key is pinned", next.EK).
			Do("have the provider's owner pin the endorsement key with PUT /assay/v1/ek/" + next.EK + ", if the TPM is to be trusted again")
	}
	return nil
}

// NotPinned is the refusal of an endorsement key that had to be pinned.
func NotPinned(ek tpm.KeyHash) error {
	return evidence.Refuse(evidence.EKCertificate, "the endorsement key is not pinned").Want("a pinned endorsement key", ek).
		Do("have the provider's owner pin it with PUT /assay/v1/ek/" + ek.String() +
			", or, where aik_enrolment is vendor, ask for a new enrolment challenge with its certificate")
}

// AIKCertificates lists up to limit certificates with ids after one, in any case.
func (r *Registry) AIKCertificates(ctx context.Context, i *Instance, after string, limit int) (list []store.AIKCertificate, err error) {
	err = r.Store.Read(ctx, func(tx *store.Tx) error {
		list, err = tx.AIKCertificates(i.ID, strings.ToLower(after), limit)
		return err
	})
	return list, err
}

// AIKCertificate gives the certificate of an id, in any case. The error wraps [store.ErrNotFound].
func (r *Registry) AIKCertificate(ctx context.Context, i *Instance, id string) (c store.AIKCertificate, err error) {
	err = r.Store.Read(ctx, func(tx *store.Tx) error {
		c, err = aikCertificate(tx, i.ID, id)
		return err
	})
	return c, err
}

func aikCertificate(tx *store.Tx, providerID, id string) (store.AIKCertificate, error) {
	c, err := tx.AIKCertificate(providerID, strings.ToLower(id))
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("AIK certificate %.64q: %w", id, err)
	}
	return c, err
}

// RevokeAIK revokes a certificate, and with it the attestation key. One that was revoked before stays as it is.
func (r *Registry) RevokeAIK(ctx context.Context, i *Instance, id, reason string, by Author) (c store.AIKCertificate, err error) {
	if len(reason) > MaxReason || !utf8.ValidString(reason) {
		return c, fmt.Errorf("%w: reason: expected a text of at most %d bytes, found %d", ErrInvalid, MaxReason, len(reason))
	}
	err = r.Store.Write(ctx, func(tx *store.Tx) error {
		if c, err = aikCertificate(tx, i.ID, id); err != nil || !c.Revoked.IsZero() {
			return err
		}
		c.Revoked, c.Reason, c.RevokedBy = by.At.UTC().Truncate(time.Second), reason, by.stamp()
		if err := tx.RevokeAIKCertificate(c); err != nil {
			return err
		}
		return by.Audit(tx, c.ID, "")
	})
	return c, r.refreshed(ctx, err)
}

// Pin pins a key of a TPM, and reports whether it was not pinned before. The error wraps [store.ErrFull].
func (r *Registry) Pin(ctx context.Context, i *Instance, kind store.PinKind, hash tpm.KeyHash, by Author) (added bool, err error) {
	err = r.Store.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Pin(i.ID, kind, hash.String())
		if added = errors.Is(err, store.ErrNotFound); !added {
			return err
		}
		if err := tx.AddPin(store.Pin{ProviderID: i.ID, Kind: kind, Hash: hash.String(), Stamp: by.stamp()}); err != nil {
			return err
		}
		return by.Audit(tx, "", hash.String())
	})
	return added, r.refreshed(ctx, err)
}

// Pins lists up to limit pins of a kind with hashes after one.
func (r *Registry) Pins(ctx context.Context, i *Instance, kind store.PinKind, after string, limit int) (list []store.Pin, err error) {
	err = r.Store.Read(ctx, func(tx *store.Tx) error {
		list, err = tx.Pins(i.ID, kind, after, limit)
		return err
	})
	return list, err
}

// Unpin takes a pin away. The error wraps [store.ErrNotFound] if there is none.
func (r *Registry) Unpin(ctx context.Context, i *Instance, kind store.PinKind, hash tpm.KeyHash, by Author) error {
	err := r.Store.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.Pin(i.ID, kind, hash.String()); err != nil {
			return fmt.Errorf("pin of %s: %w", hash, err)
		}
		if err := tx.DeletePin(i.ID, kind, hash.String()); err != nil {
			return err
		}
		return by.Audit(tx, hash.String(), "")
	})
	return r.refreshed(ctx, err)
}
