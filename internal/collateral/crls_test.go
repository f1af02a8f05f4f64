package collateral

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
)

// shelf is a baseline of stored collateral beside a live source.
type shelf struct {
	*Baselines
	live   *fakeSource
	origin *dcap.Origin
	verify *dcap.Verifier
}

// newShelf makes a shelf of the clock's present. A set without CRLs is stored if bare is true.
func newShelf(t testing.TB, clock func() time.Time, bare bool, change func(stored, live *assaytest.Scenario)) *shelf {
	t.Helper()
	in := assaytest.NewIntel()
	stored, live := evaluation(in, 10, clock()), evaluation(in, 17, clock())
	if change != nil {
		change(stored, live)
	}
	v := verifier(t, in)
	s := set(t, "stored", stored)
	if bare {
		delete(s.files, pckCRLFile)
		delete(s.files, rootCRLFile)
	}
	sh := &shelf{live: serve(issue(t, live)), verify: v, origin: origin(t, v, in.Scenario(clock()))}
	sh.Baselines = NewBaselines(BaselinesConfig{
		Stored: []*Set{s}, Live: New(Config{Source: sh.live, Verifier: v, Clock: clock}), Verifier: v, Clock: clock, WithoutCRLs: bare,
	})
	t.Cleanup(sh.Close)
	return sh
}

func (s *shelf) get(t testing.TB) dcap.Collateral {
	t.Helper()
	b, err := s.For(t.Context(), "10", s.origin)
	if err != nil {
		t.Fatal(err)
	}
	return b.Collateral
}

func TestPlatformRevokedInTheLiveCRLAloneIsRefused(t *testing.T) {
	for _, role := range []assaytest.Role{assaytest.PCK, assaytest.PlatformCA} {
		s := newShelf(t, at(now), false, func(_, live *assaytest.Scenario) { live.Revoked = []assaytest.Role{role} })
		_, err := s.verify.Verify(s.origin, s.get(t), dcap.Options{At: now, Expiry: dcap.Pinned}, nil)
		if r, ok := errors.AsType[*evidence.Refusal](err); !ok || r.Check != evidence.Revoked {
			t.Errorf("%v revoked: got error %v, want %s", role, err, evidence.Revoked)
		}
	}
}

func TestStoredNumberNeedsNoNetwork(t *testing.T) {
	s := newShelf(t, at(now), false, nil)
	s.live.failWith(errors.New("network is unreachable"))
	if docs := s.get(t); docs.PCKCRL == nil || docs.RootCRL == nil || docs.TCBInfo.EvaluationNumber() != 10 {
		t.Errorf("got %+v, want the stored evaluation 10 with its CRLs", docs)
	}
	if s.live.count(TCBInfo) != 0 || s.live.count(PCKCRL) != 1 {
		t.Errorf("live source was asked %d times for TCB info, %d times for the PCK CRL, want 0, 1", s.live.count(TCBInfo), s.live.count(PCKCRL))
	}
}

func TestSourceThatHangsIsNotWaitedForWhereCRLsAreStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(t, later, false, nil)
		s.live.before = func(ctx context.Context, _ Kind) error { <-ctx.Done(); return ctx.Err() }
		took := func() time.Duration {
			begin := time.Now()
			s.get(t)
			return time.Since(begin)
		}
		if got := took(); got != crlPatience {
			t.Errorf("at first: took %v, want %v", got, crlPatience)
		}
		time.Sleep(loadTimeout + longestPause)
		if got := took(); got != 0 { // it loads, but failed the last time
			t.Errorf("after a failure: took %v, want no wait", got)
		}
		synctest.Wait()
		if n := s.live.count(PCKCRL); n != 2 {
			t.Errorf("source was asked %d times, want 2", n)
		}
	})
}

func TestCRLsThatAreNotRequiredMayBeMissing(t *testing.T) {
	in := assaytest.NewIntel()
	v := verifier(t, in)
	o := origin(t, v, in.Scenario(now))
	for _, without := range []bool{false, true} {
		source := serve(issue(t, in.Scenario(now)))
		source.before = func(_ context.Context, kind Kind) error {
			switch kind {
			case PCKCRL:
				return ErrAbsent
			case RootCRL: // comes when it is known that the other list does not
				time.Sleep(50 * time.Millisecond)
			}
			return nil
		}
		c := New(Config{Source: source, Verifier: v, Clock: at(now), WithoutCRLs: without})
		docs, err := c.For(t.Context(), o, Standard)
		c.Close()
		if !without {
			unavailable(t, err)
			continue
		}
		if err != nil || docs.PCKCRL != nil || docs.RootCRL == nil {
			t.Errorf("got %+v, error %v, want the root CRL, which is there, and no PCK CRL", docs, err)
		}
	}

	s := newShelf(t, at(now), true, nil)
	if docs := s.get(t); docs.PCKCRL == nil || docs.RootCRL == nil {
		t.Errorf("stored without CRLs, live ones: got %+v, want them", docs)
	}
	s = newShelf(t, at(now), true, nil)
	s.live.failWith(ErrAbsent)
	if docs := s.get(t); docs.PCKCRL != nil || docs.RootCRL != nil {
		t.Errorf("no CRLs anywhere: got %+v, want none", docs)
	}
}

func TestDocumentsAreNeverOptional(t *testing.T) {
	b := newBench(t, at(now), func(cfg *Config) { cfg.WithoutCRLs = true })
	b.source.before = func(_ context.Context, kind Kind) error {
		if kind == QEIdentity {
			return ErrAbsent
		}
		return nil
	}
	unavailable(t, b.get())
}
