package provider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/assay-attestation/assay/internal/reference"
	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// The times around the end of a reference value in which the service warns of it.
const (
	ReferenceExpiryWarning = 14 * 24 * time.Hour // before
	ReferenceExpiredTime   = 24 * time.Hour      // after
)

// ErrInvalidReference is in the error of a reference value that there cannot be.
var ErrInvalidReference = errors.New("invalid reference value")

// ReferenceState says whether a reference value counts at a time.
type ReferenceState string

// The states of reference values.
const (
	ReferenceInForce     ReferenceState = "in-force"
	ReferenceNotYet      ReferenceState = "not-yet"
	ReferenceExpiresSoon ReferenceState = "expires-soon" // it counts, and ends within ReferenceExpiryWarning
	ReferenceExpired     ReferenceState = "expired"
	ReferenceUnreadable  ReferenceState = "unreadable" // nothing is attested while there is one
)

// StateOf tells the state of an entry at a time, ReferenceUnreadable of nil.
func StateOf(e *reference.Entry, at time.Time) ReferenceState {
	switch {
	case e == nil:
		return ReferenceUnreadable
	case at.Before(e.NotBefore):
		return ReferenceNotYet
	case e.NotAfter.IsZero():
		return ReferenceInForce
	case !at.Before(e.NotAfter):
		return ReferenceExpired
	case e.NotAfter.Sub(at) <= ReferenceExpiryWarning:
		return ReferenceExpiresSoon
	}
	return ReferenceInForce
}

// readReferences fills in the reference values of the provider. One that cannot be read, of a newer program, say, may be what a policy
// denies: as under a policy that cannot be used, nothing is attested until its owner has replaced or deleted it. Policies come first.
func (i *Instance) readReferences(tx *store.Tx, before *Instance) error {
	stock, err := readStock(tx, i.ID, before)
	if err != nil {
		return err
	}
	i.entries, i.brokenReference, i.References = stock.entries, stock.broken, stock.set
	if i.References == nil {
		i.References = reference.NewSet(i.entries)
	}
	if i.brokenReference != nil {
		i.breakPolicies(i.brokenReference)
	}
	return nil
}

// stock is the reference values of a provider as the store has them.
type stock struct {
	entries []reference.Entry // by name
	broken  error             // why there are others that cannot be read
	set     *reference.Set    // made of the same entries; nil: none yet
}

// readStock reads the reference values of a provider: those only that are newer than an instance of it, nil for none, since there may be
// megabytes, and others wait for the store.
func readStock(tx *store.Tx, providerID string, before *Instance) (s stock, err error) {
	if before == nil || before.brokenReference != nil {
		before = &Instance{}
	}
	known := map[string]reference.Entry{}
	for _, e := range before.entries {
		known[e.Name] = e
	}
	changed, err := tx.ReferencesSince(providerID, before.Version, store.MaxReferences)
	if err != nil {
		return s, err
	}
	s.broken = parseInto(known, changed)
	names, err := tx.ReferenceNames(providerID, store.MaxReferences)
	if err != nil {
		return s, err
	}
	for _, name := range names {
		if e, ok := known[name]; ok {
			s.entries = append(s.entries, e)
		}
	}
	if len(changed) == 0 && len(names) == len(before.entries) {
		s.set = before.References
	}
	return s, nil
}

// parseInto puts what is stored in the place of what was known under the same names. The error says what cannot be read.
func parseInto(known map[string]reference.Entry, stored []store.Reference) (broken error) {
	var parser reference.Parser
	for _, s := range stored {
		delete(known, s.Name)
		e, err := parser.Parse(s.Name, s.Body)
		if err != nil {
			broken = errors.Join(broken, fmt.Errorf("reference value %s, version %d: %w", s.Name, s.Version, err))
			continue
		}
		known[s.Name] = *e
	}
	return broken
}

// breakPolicies lets nothing be attested: no policy can be used.
func (i *Instance) breakPolicies(why error) {
	for t, p := range i.policies {
		broken := *p
		broken.Policy, broken.configure, broken.Broken = nil, nil, why
		i.policies[t] = &broken
	}
}

// references reads the reference values, and says in the log if one of them cannot be used.
func (r *Registry) references(tx *store.Tx, i, before *Instance) error {
	if err := i.readReferences(tx, before); err != nil || i.brokenReference == nil {
		return err
	}
	if before == nil || before.brokenReference == nil || before.brokenReference.Error() != i.brokenReference.Error() {
		r.Logger.Error("a reference value cannot be used; nothing is attested", "provider", i.Name, "error", i.brokenReference)
	}
	return nil
}

// Expiring lists the reference values that end within ReferenceExpiryWarning of a time, or have ended not longer than
// ReferenceExpiredTime ago.
func (i *Instance) Expiring(at time.Time) (list []reference.Entry) {
	for _, e := range i.entries {
		left := e.NotAfter.Sub(at)
		if !e.NotAfter.IsZero() && left <= ReferenceExpiryWarning && left >= -ReferenceExpiredTime {
			list = append(list, e)
		}
	}
	return list
}

// HasReferences reports whether the provider has reference values.
func (i *Instance) HasReferences() bool { return len(i.entries) > 0 }

// ReferenceChange is a reference value as somebody sends it.
type ReferenceChange struct {
	Name      string
	Body      []byte // JSON, see [reference.Parse]
	IfVersion int64  // the version that is to be replaced; 0: any, or none
	Create    bool   // there must be none of that name
}

// SetReference puts a reference value in force, and reports whether there was none of that name. The error wraps ErrInvalidReference,
// [store.ErrConflict] where there is another than the change expects, or [reference.ErrFull].
func (r *Registry) SetReference(ctx context.Context, i *Instance, c ReferenceChange, by Author) (next store.Reference, created bool, err error) {
	c.Name = strictjson.LowerASCII(c.Name)
	if next, err = c.parse(i.ID, by); err != nil {
		return next, false, err
	}
	err = r.Store.Write(ctx, func(tx *store.Tx) error {
		before, err := tx.Reference(i.ID, c.Name)
		if created = errors.Is(err, store.ErrNotFound); err != nil && !created {
			return err
		}
		if err := c.expect(before.Version); err != nil {
			return err
		}
		next.Version = before.Version
		if next.Version, err = tx.PutReference(next); err != nil {
			return err
		}
		if err := referenceRoom(tx, i); err != nil {
			return err
		}
		return by.Audit(tx, hashOf(before.Body), hashOf(next.Body))
	})
	return next, created, r.refreshed(ctx, err)
}

// parse checks what was sent, and writes it in the one form in which it is kept.
func (c *ReferenceChange) parse(providerID string, by Author) (store.Reference, error) {
	next := store.Reference{ProviderID: providerID, Name: c.Name, Stamp: by.stamp()}
	e, err := reference.Parse(c.Name, c.Body)
	if err != nil {
		return next, fmt.Errorf("%w: %w", ErrInvalidReference, err)
	}
	if next.Body, err = e.Body(); err == nil && len(next.Body) > store.MaxReferenceBytes {
		err = fmt.Errorf("%w: %w, found %d", ErrInvalidReference, store.ErrTooLong, len(next.Body))
	}
	return next, err
}

// referenceRoom refuses more reference values than a provider may have.
func referenceRoom(tx *store.Tx, i *Instance) error {
	stock, err := readStock(tx, i.ID, i)
	if err != nil {
		return err
	}
	return reference.Room(stock.entries)
}

// expect holds what is stored, version 0 for nothing, against what the author knew.
func (c *ReferenceChange) expect(version int64) error {
	switch {
	case c.Create && version != 0:
		return fmt.Errorf("reference value %s: %w: expected none, found version %d", c.Name, store.ErrConflict, version)
	case c.IfVersion != 0 && version != c.IfVersion:
		return fmt.Errorf("reference value %s: %w: expected version %d, found %s", c.Name, store.ErrConflict, c.IfVersion, versionText(version))
	}
	return nil
}

func versionText(version int64) string {
	if version == 0 {
		return "none"
	}
	return fmt.Sprintf("version %d", version)
}

// References lists up to limit reference values with names after one.
func (r *Registry) References(ctx context.Context, i *Instance, after string, limit int) (list []store.Reference, err error) {
	err = r.Store.Read(ctx, func(tx *store.Tx) error {
		list, err = tx.References(i.ID, strictjson.LowerASCII(after), limit)
		return err
	})
	return list, err
}

// Reference gives the reference value of a name. The error wraps [store.ErrNotFound].
func (r *Registry) Reference(ctx context.Context, i *Instance, name string) (found store.Reference, err error) {
	err = r.Store.Read(ctx, func(tx *store.Tx) error {
		found, err = referenceNamed(tx, i.ID, name)
		return err
	})
	return found, err
}

func referenceNamed(tx *store.Tx, providerID, name string) (store.Reference, error) {
	found, err := tx.Reference(providerID, strictjson.LowerASCII(name))
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("reference value %.64q: %w", name, err)
	}
	return found, err
}

// DeleteReference takes a reference value away. The error wraps [store.ErrConflict] if it is not of the version, 0 for any, and
// [store.ErrNotFound] if there is none.
func (r *Registry) DeleteReference(ctx context.Context, i *Instance, name string, version int64, by Author) error {
	err := r.Store.Write(ctx, func(tx *store.Tx) error {
		before, err := referenceNamed(tx, i.ID, name)
		if err != nil {
			return err
		}
		if err := (&ReferenceChange{Name: before.Name, IfVersion: version}).expect(before.Version); err != nil {
			return err
		}
		if err := tx.DeleteReference(i.ID, before.Name, before.Version); err != nil {
			return err
		}
		return by.Audit(tx, hashOf(before.Body), "")
	})
	return r.refreshed(ctx, err)
}
