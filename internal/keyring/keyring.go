// Package keyring keeps the signing keys of providers in the store, sealed, and lets them come and go by a schedule or on
// command (tokens.md section 3.2). Each provider has keys of its own. Any replica may do the work at any time: what is
// to be done is decided again while nobody else can write.
package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/assay-attestation/assay/internal/issuer"
	"github.com/assay-attestation/assay/internal/seal"
	"github.com/assay-attestation/assay/internal/store"
)

// Config is what a ring works with. All of it is needed.
type Config struct {
	Store    *store.Store
	Seal     *seal.Key
	Schedule Schedule
	Clock    func() time.Time // replicas should agree on the time within half of Lead; see ErrClock
}

// Ring keeps the keys of all providers. It may be used concurrently.
type Ring struct {
	cfg      Config
	reserved reservations
}

// New makes a ring. It refuses a schedule that breaks relying parties, see [Schedule.Check].
func New(cfg Config) (*Ring, error) {
	if err := cfg.Schedule.Check(); err != nil {
		return nil, fmt.Errorf("rotation of signing keys: %w", err)
	}
	return &Ring{cfg: cfg}, nil
}

// Change is what was done to the keys of a provider.
type Change struct {
	Added   []Listed
	Dropped []string // their ids
}

// Empty reports whether nothing was done.
func (c Change) Empty() bool { return len(c.Added)+len(c.Dropped) == 0 }

// Record is called in the transaction of a change, so that the audit trail has it exactly if it was made. Its error
// undoes the change.
type Record func(*store.Tx, Change) error

// Load gives the keys of a provider, unsealed, in the order in which they sign; none if it has none. The error wraps
// seal.ErrUnseal if a key was sealed with another key file, or for another provider, name or time, or changed.
func (r *Ring) Load(tx *store.Tx, providerID string) ([]issuer.Key, error) {
	stored, err := tx.Keys(providerID)
	if err != nil {
		return nil, err
	}
	var keys []issuer.Key
	for _, s := range stored {
		key, err := r.unseal(providerID, s)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// keyContext is what a sealed key is bound to. None of its parts has a space.
func keyContext(k store.Key) string {
	return fmt.Sprintf("signing key %s %d %s", k.ProviderID, k.From.Unix(), k.ID)
}

func (r *Ring) unseal(providerID string, s store.Key) (issuer.Key, error) {
	s.ProviderID = providerID
	der, err := r.cfg.Seal.Unseal(s.Sealed, keyContext(s))
	if err != nil {
		return issuer.Key{}, fmt.Errorf("signing key %s of provider %s: %w (the sealing key in use is %s)", s.ID, providerID, err, r.cfg.Seal.ID())
	}
	return issuer.ParseKey(s.ID, s.From, der)
}

// Maintain does what the schedule asks for, the making of the first key included. To be called at the start, for a new
// provider, and then every now and then: at least twice in the time of Lead. It writes only if there is something to do.
func (r *Ring) Maintain(ctx context.Context, providerID string, record Record) (Change, error) {
	return r.apply(ctx, providerID, record, func(keys []Listed, now time.Time, s Schedule) ([]time.Time, []string, error) {
		add, drop := Plan(keys, now, s)
		return add, drop, nil
	})
}

// ComingError says that a key is to take over already.
type ComingError struct{ Key Listed }

// Error names the key and its time.
func (e *ComingError) Error() string {
	return fmt.Sprintf("the signing key %s is listed already and signs from %s: rotate after that", e.Key.ID, e.Key.From.Format(time.RFC3339))
}

// ErrTooManyKeys is in the error of a key more than a provider can have.
var ErrTooManyKeys = errors.New("the provider would have too many signing keys")

// Rotate adds a key that signs after the time of Lead. The error is a [ComingError] if one is to come already.
func (r *Ring) Rotate(ctx context.Context, providerID string, record Record) (Change, error) {
	return r.apply(ctx, providerID, record, func(keys []Listed, now time.Time, _ Schedule) ([]time.Time, []string, error) {
		if len(keys) > 0 && keys[len(keys)-1].From.After(now) {
			return nil, nil, &ComingError{keys[len(keys)-1]}
		}
		return []time.Time{after(now, r.cfg.Schedule.Lead)}, nil, nil
	})
}

// RotateAtOnce adds a key that signs at once, for when the one in use must not sign any longer. It breaks clients: those
// that have cached the key set, some for a day, refuse all tokens until they fetch it again, and replicas that have not
// seen the change yet do not list the key. The old key stays listed. A key that was to come still takes over at its time.
func (r *Ring) RotateAtOnce(ctx context.Context, providerID string, record Record) (Change, error) {
	return r.apply(ctx, providerID, record, func(keys []Listed, now time.Time, _ Schedule) ([]time.Time, []string, error) {
		from := now.Truncate(time.Second)
		for _, k := range keys {
			if !k.From.After(now) && !k.From.Before(from) { // of this very second: the new one comes after it
				from = k.From.Add(time.Second)
			}
		}
		return []time.Time{from}, nil, nil
	})
}

// Replace adds a key that signs at once and takes all others away, listed or to come: for a key that somebody else may have.
// Every token issued until now stops verifying.
func (r *Ring) Replace(ctx context.Context, providerID string, record Record) (Change, error) {
	return r.apply(ctx, providerID, record, func(keys []Listed, now time.Time, _ Schedule) ([]time.Time, []string, error) {
		var all []string
		for _, k := range keys {
			all = append(all, k.ID)
		}
		return []time.Time{now.Truncate(time.Second)}, all, nil
	})
}

// planner decides like Plan, or refuses.
type planner func(keys []Listed, now time.Time, s Schedule) (add []time.Time, drop []string, err error)

// apply carries a plan out. Keys are made before the transaction, which must be short, and the plan is made again in it.
func (r *Ring) apply(ctx context.Context, providerID string, record Record, plan planner) (Change, error) {
	made, nothing, err := r.prepare(ctx, providerID, plan)
	if err != nil || nothing {
		return Change{}, err
	}
	var change Change
	err = r.cfg.Store.Write(ctx, func(tx *store.Tx) (err error) {
		if change, err = r.write(tx, providerID, plan, made); err != nil || change.Empty() {
			return err
		}
		return record(tx, change)
	})
	if err != nil {
		return Change{}, err
	}
	return change, nil
}

// prepare makes the keys that the plan wants, or reports that there is nothing to do.
func (r *Ring) prepare(ctx context.Context, providerID string, plan planner) (made []issuer.Key, nothing bool, err error) {
	var add []time.Time
	var drop []string
	err = r.cfg.Store.Read(ctx, func(tx *store.Tx) (err error) {
		add, drop, err = r.plan(tx, providerID, plan)
		return err
	})
	if err != nil || len(add)+len(drop) == 0 {
		return nil, true, err
	}
	made, err = generate(len(add))
	return made, false, err
}

func (r *Ring) plan(tx *store.Tx, providerID string, plan planner) (add []time.Time, drop []string, err error) {
	if err := r.checkClock(tx); err != nil {
		return nil, nil, err
	}
	stored, err := tx.Keys(providerID)
	if err != nil {
		return nil, nil, err
	}
	var keys []Listed
	for _, s := range stored {
		keys = append(keys, Listed{s.ID, s.From})
	}
	longest, err := tx.LongestReport(providerID)
	if err != nil {
		return nil, nil, err
	}
	r.reserved.add(providerID, longest) // so that a replica that has just started can do without the store for the next report
	s := r.cfg.Schedule.retaining(longest)
	add, drop, err = plan(keys, r.cfg.Clock(), s)
	if err == nil && len(keys)-len(drop)+len(add) > issuer.MaxKeys {
		err = fmt.Errorf("%w: more than %d at a time, and superseded ones are dropped %s after another one took over",
			ErrTooManyKeys, issuer.MaxKeys, s.Retain)
	}
	return add, drop, err
}

// ErrClock is in the error of a replica whose clock is not to be trusted with the times of keys.
var ErrClock = errors.New("the clock of this machine differs from the database server's")

// checkClock refuses to plan by a clock that is wrong: it would drop keys whose tokens live, and list others for a time that
// does not come.
func (r *Ring) checkClock(tx *store.Tx) error {
	skew, err := tx.Skew(r.cfg.Clock())
	if err == nil && skew.Abs() > Slack {
		err = fmt.Errorf("%w by %s, at most %s are borne: set it right", ErrClock, skew.Round(time.Second), Slack)
	}
	return err
}

// generate makes keys whose times are not known yet.
func generate(n int) (keys []issuer.Key, err error) {
	for range n {
		key, err := issuer.Generate(time.Time{})
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// write adds keys from those made, and drops keys. More than were made can be wanted only if the store has lost keys since;
// the next call makes them.
func (r *Ring) write(tx *store.Tx, providerID string, plan planner, made []issuer.Key) (Change, error) {
	var change Change
	if _, err := tx.Provider(providerID); err != nil { // deleted while the key was made, and its keys with it
		return change, err
	}
	add, drop, err := r.plan(tx, providerID, plan)
	if err != nil {
		return change, err
	}
	for i, from := range add[:min(len(add), len(made))] {
		made[i].From = from
		if err := r.Add(tx, providerID, made[i]); err != nil {
			return change, err
		}
		change.Added = append(change.Added, Listed{made[i].ID, from})
	}
	for _, id := range drop {
		if err := tx.DeleteKey(providerID, id); err != nil {
			return change, err
		}
	}
	change.Dropped = slices.Clone(drop)
	return change, nil
}

// Add seals a key and adds it to those of a provider: the first one of a new provider, in the transaction that makes the
// provider. Its time is cut to whole seconds.
func (r *Ring) Add(tx *store.Tx, providerID string, key issuer.Key) error {
	der, err := key.Marshal()
	if err != nil {
		return err
	}
	k := store.Key{ProviderID: providerID, ID: key.ID, From: key.From.Truncate(time.Second)}
	k.Sealed = r.cfg.Seal.Seal(der, keyContext(k))
	return tx.AddKey(k)
}
