package keyring

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/issuer"
	"github.com/assay-attestation/assay/internal/store"
)

// TestTheLongestReportIsWhatTheScheduleCanList: as Schedule.Check has it for the time of Retain, fewer than 16 retired keys.
func TestTheLongestReportIsWhatTheScheduleCanList(t *testing.T) {
	const year = 365 * day
	for _, tt := range []struct {
		every, want time.Duration
	}{
		{0, year}, {90 * day, year}, {1000 * day, year}, {1 << 62, year},
		{23 * day, year}, // 16 times 23 is 368
		{22 * day, 352*day - 5*time.Minute - time.Second},
		{day, 16*day - 5*time.Minute - time.Second},
		{time.Hour, 16*time.Hour - 5*time.Minute - time.Second},
	} {
		s := Schedule{Lead: MinLead, Every: tt.every, Retain: MinRetain}
		got := s.LongestReport()
		if got != tt.want {
			t.Errorf("a key every %s: %s, want %s", tt.every, got, tt.want)
		}
		if err := s.retaining(got).Check(); err != nil {
			t.Errorf("a key every %s, reports of %s: %v", tt.every, got, err)
		}
		if err := s.retaining(got + time.Second).Check(); err == nil && got != year {
			t.Errorf("a key every %s: reports could live longer than %s", tt.every, got)
		}
	}
}

func (b *bench) reserve(id string, validity time.Duration) {
	b.t.Helper()
	if err := b.Reserve(b.t.Context(), id, validity); err != nil {
		b.t.Fatal(err)
	}
}

// TestKeysStayListedWhileReportsLive: tokens.md section 3.2. Each replica heeds what any of them has issued.
func TestKeysStayListedWhileReportsLive(t *testing.T) {
	b := newBench(t)
	first := b.maintain(alpha).Added[0]
	other := b.maintain(beta).Added[0]
	replica := ring(t, b.cfg.Store, b.cfg.Seal, b.cfg.Clock)
	if err := replica.Reserve(t.Context(), alpha, 30*day); err != nil {
		t.Fatal(err)
	}
	b.now = start.Add(89 * day)
	successor := b.maintain(alpha).Added[0].From
	b.maintain(beta)
	for _, tt := range []struct {
		after       time.Duration
		alpha, beta string // dropped
	}{
		{25 * time.Hour, "", other.ID}, // the time of Retain, and some
		{30*day + 5*time.Minute, "", ""},
		{30*day + 5*time.Minute + 1, first.ID, ""},
	} {
		b.now = successor.Add(tt.after)
		for id, want := range map[string]string{alpha: tt.alpha, beta: tt.beta} {
			if got := strings.Join(b.maintain(id).Dropped, " "); got != want {
				t.Errorf("%s after the next key took over, provider %s drops %q, want %q", tt.after, id, got, want)
			}
		}
	}
}

func TestAShorterReportChangesNothing(t *testing.T) {
	b := newBench(t)
	b.reserve(alpha, 30*day)
	changes := func() int64 {
		n, err := b.cfg.Store.Changes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := changes()
	b.reserve(alpha, 30*day)
	b.reserve(alpha, time.Second)
	if after := changes(); after != before {
		t.Errorf("%d writes for reports that live no longer than one before", after-before)
	}
	if err := ring(t, b.cfg.Store, b.cfg.Seal, b.cfg.Clock).Reserve(t.Context(), alpha, day); err != nil { // knows nothing yet
		t.Fatal(err)
	}
	b.write(b.cfg.Store, func(tx *store.Tx) error {
		longest, err := tx.LongestReport(alpha)
		if longest != 30*day {
			t.Errorf("the store has %s, want 30 days", longest)
		}
		return err
	})
}

// TestAReplicaThatStartsKnowsWhatIsReserved: it signs while the database is away, as those that have run for long.
func TestAReplicaThatStartsKnowsWhatIsReserved(t *testing.T) {
	b := newBench(t)
	b.maintain(alpha)
	b.reserve(alpha, 30*day)
	replica := ring(t, b.cfg.Store, b.cfg.Seal, b.cfg.Clock)
	if _, err := replica.Maintain(t.Context(), alpha, b.record); err != nil {
		t.Fatal(err)
	}
	away, stop := context.WithCancel(t.Context())
	stop()
	if err := replica.Reserve(away, alpha, 30*day); err != nil {
		t.Errorf("a report as long as one before: %v", err)
	}
	if err := replica.Reserve(away, alpha, 30*day+1); err == nil {
		t.Error("a longer one is not written to the store")
	}
}

func TestReportsWhoseKeysCannotBeListedAreRefused(t *testing.T) {
	b := newBench(t)
	for validity, ok := range map[time.Duration]bool{365 * day: true, 365*day + 1: false, 0: false, -1: false} {
		if err := b.Reserve(t.Context(), alpha, validity); (err == nil) != ok {
			t.Errorf("%s: %v", validity, err)
		}
	}
	if err := b.Reserve(t.Context(), "none", day); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a provider that is not there: %v", err)
	}
	if err := b.Reserve(t.Context(), "none", day); !errors.Is(err, store.ErrConflict) {
		t.Errorf("the second time: %v", err)
	}
}

// TestYearLongReportsFitTheUsualSchedule asks every day what the schedule asks to be asked.
func TestYearLongReportsFitTheUsualSchedule(t *testing.T) {
	b := newBench(t)
	b.maintain(alpha)
	b.reserve(alpha, 365*day)
	most := 0
	for range 3 * 365 {
		b.now = b.now.Add(day)
		b.maintain(alpha)
		b.write(b.cfg.Store, func(tx *store.Tx) error {
			keys, err := tx.Keys(alpha)
			most = max(most, len(keys))
			return err
		})
	}
	// The key in use, those of the last 365 days, which are five of 90, and one to come.
	if most < 5 || most > 7 {
		t.Errorf("up to %d keys are listed", most)
	}
}

// TestEachProviderHasACAOfItsOwn that follows from the sealing key.
func TestEachProviderHasACAOfItsOwn(t *testing.T) {
	b := newBench(t)
	key, err := issuer.Generate(start)
	if err != nil {
		t.Fatal(err)
	}
	certs := func(r *Ring, id string) []byte {
		a, err := r.Authority(id)
		if err != nil {
			t.Fatal(err)
		}
		k, err := issuer.New(issuer.Config{Issuer: "https://alpha", Reports: a}, []issuer.Key{key})
		if err != nil {
			t.Fatal(err)
		}
		return k.Certs(start)
	}
	own := certs(b.Ring, alpha)
	if !bytes.Equal(own, certs(ring(t, b.cfg.Store, b.cfg.Seal, b.cfg.Clock), alpha)) {
		t.Error("two replicas have different CAs")
	}
	if bytes.Equal(own, certs(b.Ring, beta)) || bytes.Equal(own, certs(ring(t, b.cfg.Store, newSeal(t), b.cfg.Clock), alpha)) {
		t.Error("two providers, or two services, have the same CA")
	}
}

// TestNoKeyWhoseReportsLiveIsDroppedForAnotherOne: a provider that was rotated by hand very often says so, and goes on signing.
func TestNoKeyWhoseReportsLiveIsDroppedForAnotherOne(t *testing.T) {
	b := newBench(t)
	b.reserve(alpha, 365*day)
	key, err := issuer.Generate(start)
	if err != nil {
		t.Fatal(err)
	}
	b.write(b.cfg.Store, func(tx *store.Tx) error {
		for n := range issuer.MaxKeys {
			key.ID, key.From = strings.Repeat("k", n+1), start.Add(time.Duration(n)*time.Minute)
			if err := b.Add(tx, alpha, key); err != nil {
				return err
			}
		}
		return nil
	})
	b.now = start.Add(100 * day) // the next one is due
	if _, err := b.Maintain(t.Context(), alpha, b.record); !errors.Is(err, ErrTooManyKeys) || !strings.Contains(err.Error(), "8760h5m0s") {
		t.Errorf("got %v, want a refusal that tells how long keys are listed", err)
	}
	b.write(b.cfg.Store, func(tx *store.Tx) error {
		keys, err := tx.Keys(alpha)
		if len(keys) != issuer.MaxKeys {
			t.Errorf("%d keys are left, want all %d", len(keys), issuer.MaxKeys)
		}
		return err
	})
}
