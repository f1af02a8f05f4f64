package keyring

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/issuer"
	"github.com/assay-attestation/assay/internal/seal"
	"github.com/assay-attestation/assay/internal/store"
)

// Two providers of the test store.
const (
	alpha = "0000000000000000000000000000000a"
	beta  = "0000000000000000000000000000000b"
)

// bench is a ring over a store with two providers, whose clock the test moves.
type bench struct {
	*Ring
	t   *testing.T
	now time.Time
	log []Change // what was recorded
}

func newBench(t *testing.T) *bench {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, now: start}
	b.write(s, func(tx *store.Tx) error {
		return errors.Join(tx.AddProvider(store.Provider{ID: alpha, Name: "alpha", URL: "https://alpha"}),
			tx.AddProvider(store.Provider{ID: beta, Name: "beta", URL: "https://beta"}))
	})
	b.Ring = ring(t, s, newSeal(t), func() time.Time { return b.now })
	return b
}

func ring(t *testing.T, s *store.Store, key *seal.Key, clock func() time.Time) *Ring {
	t.Helper()
	r, err := New(Config{Store: s, Seal: key, Schedule: DefaultSchedule(), Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newSeal(t *testing.T) *seal.Key {
	t.Helper()
	key, err := seal.Create(filepath.Join(t.TempDir(), "seal.key"))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (b *bench) write(s *store.Store, fn func(*store.Tx) error) {
	b.t.Helper()
	if err := s.Write(b.t.Context(), fn); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) record(_ *store.Tx, c Change) error {
	b.log = append(b.log, c)
	return nil
}

func (b *bench) maintain(id string) Change {
	b.t.Helper()
	c, err := b.Maintain(b.t.Context(), id, b.record)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func load(t *testing.T, r *Ring, id string) (keys []issuer.Key, err error) {
	t.Helper()
	err = r.cfg.Store.Read(t.Context(), func(tx *store.Tx) (err error) {
		keys, err = r.Load(tx, id)
		return err
	})
	return keys, err
}

func (b *bench) keys(id string) []issuer.Key {
	b.t.Helper()
	keys, err := load(b.t, b.Ring, id)
	if err != nil {
		b.t.Fatal(err)
	}
	return keys
}

func TestFirstKeyIsMadeOnceAndReadBack(t *testing.T) {
	b := newBench(t)
	change := b.maintain(alpha)
	if len(change.Added) != 1 || !change.Added[0].From.Equal(start) || len(change.Dropped) != 0 {
		t.Fatalf("change %+v, want one key that signs at once", change)
	}
	if again := b.maintain(alpha); !again.Empty() || len(b.log) != 1 {
		t.Errorf("the second time: %+v; recorded %d times, want once", again, len(b.log))
	}
	keys := b.keys(alpha)
	if len(keys) != 1 || keys[0].ID != change.Added[0].ID || !keys[0].From.Equal(start) {
		t.Fatalf("keys %v", keys)
	}
	if _, err := issuer.New(issuer.Config{Issuer: "https://alpha"}, keys); err != nil {
		t.Error(err)
	}
	if others := b.keys(beta); len(others) != 0 {
		t.Errorf("the other provider has %d keys, want none", len(others))
	}
}

func TestKeysAreNotInTheStoreInTheClear(t *testing.T) {
	b := newBench(t)
	b.maintain(alpha)
	der, err := b.keys(alpha)[0].Marshal()
	if err != nil {
		t.Fatal(err)
	}
	b.write(b.cfg.Store, func(tx *store.Tx) error {
		stored, err := tx.Keys(alpha)
		if strings.Contains(string(stored[0].Sealed), string(der[40:72])) {
			t.Error("the stored key has the private key in it")
		}
		return err
	})
}

// TestAYearOfRotation asks every six hours what the schedule asks to be asked.
func TestAYearOfRotation(t *testing.T) {
	b := newBench(t)
	listed := map[string]time.Time{}
	for range 365 * 4 {
		change := b.maintain(alpha)
		for _, k := range change.Added {
			if lead := k.From.Sub(b.now); len(listed) > 0 && lead < DefaultLead {
				t.Errorf("key %s is listed %s before it signs, want %s", k.ID, lead, DefaultLead)
			}
			listed[k.ID] = k.From
		}
		b.now = b.now.Add(6 * time.Hour)
	}
	// From day 0, 90, 180, 270, 360; the one of day 360 has superseded the one of day 270 for longer than a day.
	if keys := b.keys(alpha); len(listed) != 5 || len(keys) != 1 || keys[0].From.Sub(start).Round(day) != 360*day {
		t.Errorf("%d keys made, %d listed at the end", len(listed), len(keys))
	}
}

func TestRotateOnCommand(t *testing.T) {
	b := newBench(t)
	b.maintain(alpha)
	change, err := b.Rotate(t.Context(), alpha, b.record)
	if err != nil || len(change.Added) != 1 || !change.Added[0].From.Equal(start.Add(DefaultLead)) {
		t.Fatalf("got %+v, %v, want a key that signs in a day", change, err)
	}
	_, err = b.Rotate(t.Context(), alpha, b.record)
	if coming, ok := errors.AsType[*ComingError](err); !ok || coming.Key.ID != change.Added[0].ID || !strings.Contains(err.Error(), "2030-03-18T17:46:40Z") {
		t.Errorf("while one is to come: %v, want its name and time", err)
	}
	b.now = start.Add(DefaultLead)
	if _, err := b.Rotate(t.Context(), alpha, b.record); err != nil {
		t.Errorf("when it signs: %v", err)
	}
	if len(b.log) != 3 || len(b.keys(alpha)) != 3 {
		t.Errorf("recorded %d changes, %d keys, want 3 and 3", len(b.log), len(b.keys(alpha)))
	}
}

func TestReplaceTakesAllOtherKeysAway(t *testing.T) {
	b := newBench(t)
	b.maintain(alpha)
	if _, err := b.Rotate(t.Context(), alpha, b.record); err != nil { // one more, to come
		t.Fatal(err)
	}
	change, err := b.Replace(t.Context(), alpha, b.record)
	if err != nil || len(change.Added) != 1 || len(change.Dropped) != 2 || change.Added[0].From.After(b.now) {
		t.Fatalf("got %+v, %v", change, err)
	}
	b.write(b.cfg.Store, func(tx *store.Tx) error {
		keys, err := b.Load(tx, alpha)
		if len(keys) != 1 || keys[0].ID != change.Added[0].ID {
			t.Errorf("%d keys are left, want the new one", len(keys))
		}
		return err
	})
}

func TestRotateAtOnceSignsAtOnce(t *testing.T) {
	b := newBench(t)
	b.maintain(alpha)
	b.now = start.Add(time.Hour)
	if _, err := b.Rotate(t.Context(), alpha, b.record); err != nil {
		t.Fatal(err)
	}
	for n := range 2 { // also while one is to come, and twice in a second
		change, err := b.RotateAtOnce(t.Context(), alpha, b.record)
		if err != nil || len(change.Added) != 1 {
			t.Fatalf("got %+v, %v", change, err)
		}
		k, err := issuer.New(issuer.Config{Issuer: "https://alpha"}, b.keys(alpha))
		if err != nil {
			t.Fatal(err)
		}
		if at := b.now.Add(time.Duration(n) * time.Second); k.KeyID(at) != change.Added[0].ID {
			t.Errorf("rotation %d: at %s signs %s, want the new key %s", n, at, k.KeyID(at), change.Added[0].ID)
		}
	}
}

func TestMoreKeysThanAProviderCanHaveAreRefused(t *testing.T) {
	b := newBench(t)
	key, err := issuer.Generate(start)
	if err != nil {
		t.Fatal(err)
	}
	b.write(b.cfg.Store, func(tx *store.Tx) error {
		for n := range issuer.MaxKeys - 1 {
			key.ID = strings.Repeat("k", n+1)
			if err := b.Add(tx, alpha, key); err != nil {
				return err
			}
		}
		return nil
	})
	b.now = start.Add(time.Hour)
	if _, err := b.RotateAtOnce(t.Context(), alpha, b.record); err != nil {
		t.Errorf("key %d: %v", issuer.MaxKeys, err)
	}
	if _, err := b.RotateAtOnce(t.Context(), alpha, b.record); !errors.Is(err, ErrTooManyKeys) || !strings.Contains(err.Error(), "more than 32") {
		t.Errorf("key %d: %v, want a refusal", issuer.MaxKeys+1, err)
	}
}

func TestManyMaintainersMakeOneKey(t *testing.T) {
	b := newBench(t)
	var mu sync.Mutex
	var all []Change
	var wg sync.WaitGroup
	for range 4 {
		r := ring(t, b.cfg.Store, b.cfg.Seal, b.cfg.Clock)
		wg.Go(func() {
			_, err := r.Maintain(t.Context(), alpha, func(_ *store.Tx, c Change) error {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, c)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if keys := b.keys(alpha); len(keys) != 1 || len(all) != 1 {
		t.Errorf("%d keys, %d changes recorded, want one of each", len(keys), len(all))
	}
}

func TestChangeThatCannotBeRecordedIsNotMade(t *testing.T) {
	b := newBench(t)
	full := errors.New("the audit trail is full")
	change, err := b.Maintain(t.Context(), alpha, func(*store.Tx, Change) error { return full })
	if !errors.Is(err, full) || !change.Empty() || len(b.keys(alpha)) != 0 {
		t.Errorf("got %+v, %v and %d keys, want none", change, err, len(b.keys(alpha)))
	}
}

func TestNoKeyIsMadeForAProviderThatIsNotThere(t *testing.T) {
	b := newBench(t)
	if _, err := b.Maintain(t.Context(), "none", b.record); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v, want not found", err)
	}
}

// TestSealedKeyIsBound moves a sealed key to where it does not belong, as somebody could who can write the database.
func TestSealedKeyIsBound(t *testing.T) {
	for name, move := range map[string]func(*store.Key){
		"to another provider": func(k *store.Key) { k.ProviderID = beta },
		"to another time":     func(k *store.Key) { k.From = k.From.Add(time.Second) },
		"to another name":     func(k *store.Key) { k.ID = "other" },
	} {
		b := newBench(t)
		b.maintain(alpha)
		var to string
		b.write(b.cfg.Store, func(tx *store.Tx) error {
			stored, err := tx.Keys(alpha)
			if err != nil {
				return err
			}
			moved := stored[0]
			move(&moved)
			to = moved.ProviderID
			return errors.Join(tx.DeleteKey(alpha, stored[0].ID), tx.AddKey(moved))
		})
		if keys, err := load(t, b.Ring, to); !errors.Is(err, seal.ErrUnseal) || len(keys) != 0 {
			t.Errorf("%s: got %d keys, %v, want a refusal", name, len(keys), err)
		}
	}
}

func TestWrongSealingKeyIsNamed(t *testing.T) {
	b := newBench(t)
	b.maintain(alpha)
	other := newSeal(t)
	_, err := load(t, ring(t, b.cfg.Store, other, b.cfg.Clock), alpha)
	if !errors.Is(err, seal.ErrUnseal) || !slices.ContainsFunc(strings.Fields(err.Error()), func(w string) bool { return strings.Trim(w, "()") == other.ID() }) {
		t.Errorf("got %v, want the refusal and the key in use, %s", err, other.ID())
	}
}
