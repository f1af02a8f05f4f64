package keyring

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// TestReplicaWhoseClockIsWrongLeavesTheKeysAlone: it would drop keys whose tokens live.
func TestReplicaWhoseClockIsWrongLeavesTheKeysAlone(t *testing.T) {
	s, err := store.Open(t.Context(), storetest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	const id = "00000000000000000000000000000001"
	if err := s.Write(t.Context(), func(tx *store.Tx) error {
		return tx.AddProvider(store.Provider{ID: id, Name: "one", URL: "https://one.example"})
	}); err != nil {
		t.Fatal(err)
	}
	key := newSeal(t)
	for _, tt := range []struct {
		ahead time.Duration
		want  error
	}{{time.Hour, ErrClock}, {-time.Hour, ErrClock}, {Slack - time.Minute, nil}} {
		r, err := New(Config{Store: s, Seal: key, Schedule: DefaultSchedule(), Clock: func() time.Time { return time.Now().Add(tt.ahead) }})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Maintain(t.Context(), id, func(*store.Tx, Change) error { return nil }); !errors.Is(err, tt.want) {
			t.Errorf("%s ahead: got %v, want %v", tt.ahead, err, tt.want)
		}
	}
}
