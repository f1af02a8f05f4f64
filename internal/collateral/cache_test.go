package collateral

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/dcap"
)

// bench is a cache over a fake source of simulated collateral, issued a day before the clock's present.
type bench struct {
	*Cache
	scenario *assaytest.Scenario
	source   *fakeSource
	origin   *dcap.Origin
	log      *bytes.Buffer
}

// later is a clock for synctest, where time begins in 2000, long before the simulated Intel's certificates.
func later() time.Time { return time.Now().Add(30 * 365 * 24 * time.Hour) }

// newBench makes a bench whose scenario is of the clock's present.
func newBench(t testing.TB, clock func() time.Time, change func(*Config)) *bench {
	t.Helper()
	in := assaytest.NewIntel()
	s := in.Scenario(clock())
	b := &bench{scenario: s, source: serve(issue(t, s)), log: new(bytes.Buffer)}
	cfg := Config{Source: b.source, Verifier: verifier(t, in), Clock: clock, Logger: slog.New(slog.NewTextHandler(b.log, nil))}
	if change != nil {
		change(&cfg)
	}
	b.origin = origin(t, cfg.Verifier, s)
	b.Cache = New(cfg)
	t.Cleanup(b.Close)
	return b
}

func (b *bench) get() error {
	_, err := b.For(context.Background(), b.origin, Standard)
	return err
}

func all() []Kind { return []Kind{TCBInfo, QEIdentity, PCKCRL, RootCRL} }

// asked checks how often the source was asked for each document.
func (b *bench) asked(t testing.TB, want int) {
	t.Helper()
	for _, kind := range all() {
		if got := b.source.count(kind); got != want {
			t.Errorf("source was asked %d times for the %s, want %d", got, kind, want)
		}
	}
}

func TestCollateralIsLoadedOnceAndVerifies(t *testing.T) {
	b := newBench(t, at(now), nil)
	for range 3 {
		c, err := b.For(t.Context(), b.origin, Standard)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.cfg.Verifier.Verify(b.origin, c, dcap.Options{At: now}, nil); err != nil {
			t.Fatalf("evidence against the collateral: %v", err)
		}
	}
	b.asked(t, 1)
}

func TestCallerThatGivesUpLeavesTheLoadToOthers(t *testing.T) {
	b := newBench(t, at(now), nil)
	release := make(chan struct{})
	b.source.before = func(ctx context.Context, _ Kind) error {
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := b.For(ctx, b.origin, Standard)
	if unavailable(t, err); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("caller with a deadline got %v, want DeadlineExceeded", err)
	}
	close(release)
	if err := b.get(); err != nil {
		t.Fatalf("second caller: %v", err)
	}
	b.asked(t, 1)
}

func TestSlowSourceIsCutOffAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, later, nil)
		b.source.before = func(ctx context.Context, _ Kind) error { <-ctx.Done(); return ctx.Err() }
		begin := time.Now()
		unavailable(t, b.get())
		synctest.Wait()
		if took := time.Since(begin); took != loadTimeout {
			t.Errorf("the load was cut off after %v, want %v", took, loadTimeout)
		}
		b.source.recover()
		time.Sleep(longestPause)
		if err := b.get(); err != nil {
			t.Errorf("after the source recovered: %v", err)
		}
	})
}

func TestFailingSourceIsNotAskedBeforeItsPauseIsOver(t *testing.T) {
	failing := errors.New("status 500")
	for _, c := range []struct {
		name     string
		err      error
		failures int
		want     time.Duration
	}{
		{"first failure", failing, 1, firstPause},
		{"fourth failure", failing, 4, 8 * firstPause},
		{"hundredth failure", failing, 100, longestPause},
		{"absent", &Unavailable{Item: "item", Err: fmt.Errorf("status 404: %w", ErrAbsent)}, 1, absentPause},
		{"busy without Retry-After", &Unavailable{Item: "item", Err: errors.New("status 429")}, 1, firstPause},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, later, nil)
				b.source.failWith(c.err)
				for n := range c.failures {
					if n > 0 {
						time.Sleep(longestPause)
					}
					unavailable(t, b.get())
					synctest.Wait() // for the loads that the caller did not wait for
				}
				if u := unavailable(t, b.get()); u.RetryAfter != c.want {
					t.Errorf("got RetryAfter %v, want %v", u.RetryAfter, c.want)
				}
				b.source.recover()
				time.Sleep(c.want - time.Nanosecond)
				unavailable(t, b.get())
				b.asked(t, c.failures)
				time.Sleep(time.Nanosecond)
				if err := b.get(); err != nil {
					t.Errorf("after %v: %v", c.want, err)
				}
				b.asked(t, c.failures+1)
			})
		})
	}
}

func TestDocumentIsRenewedBehindTheCallersBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, later, nil)
		if err := b.get(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(refreshEvery * 3 / 4)
		if err := b.get(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		b.asked(t, 1)

		b.source.before = func(context.Context, Kind) error { time.Sleep(time.Second); return nil }
		time.Sleep(refreshEvery)
		begin := time.Now()
		if err := b.get(); err != nil || time.Since(begin) != 0 {
			t.Errorf("renewal kept the caller waiting for %v, error %v", time.Since(begin), err)
		}
		time.Sleep(2 * time.Second)
		b.asked(t, 2)
	})
}

func TestLastGoodAnswerServesUntilItsNextUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, later, nil)
		if err := b.get(); err != nil {
			t.Fatal(err)
		}
		b.source.failWith(errors.New("no route to host"))
		time.Sleep(29*24*time.Hour - time.Nanosecond)
		if err := b.get(); err != nil {
			t.Fatalf("just before nextUpdate: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if u := unavailable(t, b.get()); !strings.Contains(u.Error(), "no route to host") {
			t.Errorf("at nextUpdate: got %v, want the reason why it could not be renewed", u)
		}
		synctest.Wait()

		b.scenario.At = later()
		b.source.set(func(f *fakeSource) { f.Collateral, f.before = issue(t, b.scenario), nil })
		time.Sleep(longestPause)
		if err := b.get(); err != nil {
			t.Errorf("after the source recovered: %v", err)
		}
	})
}

func TestGraceBeginsAtNextUpdate(t *testing.T) {
	const grace = time.Hour
	nextUpdate := now.AddDate(0, 0, 29)
	for _, c := range []struct {
		name string
		at   time.Time
		ok   bool
	}{
		{"before the end of the grace", nextUpdate.Add(grace - time.Nanosecond), true},
		{"at its end", nextUpdate.Add(grace), false},
		{"issued as far ahead as clocks differ", now.AddDate(0, 0, -1).Add(-dcap.ClockSkew), false}, // the CRLs
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, at(now), func(cfg *Config) { cfg.Clock, cfg.Grace = at(c.at), grace })
			b.scenario.At = now
			b.source.Collateral = issue(t, b.scenario)
			if err := b.get(); (err == nil) != c.ok {
				t.Errorf("at %s: got error %v, want success %t", c.at, err, c.ok)
			}
		})
	}
}

func TestDocumentIssuedInTheFutureIsNotUsed(t *testing.T) {
	for ahead, ok := range map[time.Duration]bool{dcap.ClockSkew: true, dcap.ClockSkew + time.Second: false} {
		b := newBench(t, at(now), nil)
		b.scenario.At = now.AddDate(0, 0, 1).Add(ahead) // documents are issued a day before
		b.source.Collateral = issue(t, b.scenario)
		_, err := b.signed(t.Context(), b.origin, Standard)
		if (err == nil) != ok {
			t.Errorf("issued %v ahead: got error %v, want success %t", ahead, err, ok)
		}
	}
}

func TestPinnedDocumentsOutliveTheirNextUpdateButCRLsDoNot(t *testing.T) {
	b := newBench(t, at(now), func(cfg *Config) { cfg.Pinned, cfg.Clock = true, at(now.AddDate(0, 2, 0)) })
	if _, err := b.signed(t.Context(), b.origin, Standard); err != nil {
		t.Errorf("TCB info and QE identity: %v", err)
	}
	_, err := crls{live: b.Cache}.addTo(t.Context(), dcap.Collateral{}, b.origin)
	if u := unavailable(t, err); !strings.Contains(u.Error(), "nextUpdate") {
		t.Errorf("PCK CRL past its date: got %v, want nextUpdate named", u)
	}
}

func TestSourceThatFellBehindDoesNotBringBackOlderDocuments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, later, nil)
		first, err := b.For(t.Context(), b.origin, Standard)
		if err != nil {
			t.Fatal(err)
		}
		b.scenario.At = later().AddDate(0, 0, -2)
		b.source.set(func(f *fakeSource) { f.Collateral = issue(t, b.scenario) })
		time.Sleep(2 * refreshEvery)
		for range 2 { // the first call begins the renewal
			again, err := b.For(t.Context(), b.origin, Standard)
			if err != nil || again != first {
				t.Errorf("got documents issued %v, want those of %v; error %v", again.TCBInfo.IssueDate(), first.TCBInfo.IssueDate(), err)
			}
			synctest.Wait()
		}
		b.asked(t, 2)
	})
}

func TestForeignOrDamagedCollateralIsUnavailable(t *testing.T) {
	bytesOf := func(part assaytest.Part, change func([]byte) []byte) func(*assaytest.Scenario) {
		return func(s *assaytest.Scenario) {
			s.Edit.Bytes = func(p assaytest.Part, b []byte) []byte {
				if p == part {
					return change(b)
				}
				return b
			}
		}
	}
	replace := func(old, new string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(new), 1) }
	}
	for _, c := range []struct {
		name, want, evaluation string
		change                 func(*assaytest.Scenario)
	}{
		{"TCB info of another platform", "FMSPC 0102", Standard, func(s *assaytest.Scenario) { s.Platform.FMSPC = [6]byte{1, 2} }},
		{"identity of another enclave", "identity of TD_QE", Standard, bytesOf(assaytest.QEIdentityBody, replace(`"QE"`, `"TD_QE"`))},
		{"other evaluation number", "the evaluation number 17", "18", func(*assaytest.Scenario) {}},
		{"other root", "ends in the root", Standard, func(s *assaytest.Scenario) { s.Endorser = assaytest.WellKnownIntel() }},
		{"PCK CRL of the other CA", "another authority", Standard, func(s *assaytest.Scenario) { s.Platform.CA = assaytest.ProcessorCA }},
		{"damaged TCB info", "signature", Standard, bytesOf(assaytest.TCBInfo, replace(`UpToDate`, `OutOfDate`))},
		{"empty CRL", "revocation list", Standard, bytesOf(assaytest.RootCRL, func([]byte) []byte { return nil })},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, at(now), nil)
			b.cfg.Verifier = verifier(t, b.scenario.Attester, assaytest.WellKnownIntel())
			c.change(b.scenario)
			b.source.Collateral = issue(t, b.scenario)
			_, err := b.For(t.Context(), b.origin, c.evaluation)
			if u := unavailable(t, err); !strings.Contains(u.Error(), c.want) {
				t.Errorf("got %v, want it to say %q", u, c.want)
			}
		})
	}
}

func TestEvaluationThatIsNoneIsRefusedWithoutARequest(t *testing.T) {
	b := newBench(t, at(now), nil)
	for _, evaluation := range []string{"", "latest", "017", "-1", "../17", "4294967296", "1 7"} {
		if _, err := b.For(t.Context(), b.origin, evaluation); !errors.Is(err, ErrUnknownBaseline) {
			t.Errorf("For(%q): got error %v, want %v", evaluation, err, ErrUnknownBaseline)
		}
	}
	b.asked(t, 0)
}

func TestFloodOfPlatformsIsBoundedAndLeavesWhatIsInUse(t *testing.T) {
	b := newBench(t, at(now), nil)
	if err := b.get(); err != nil {
		t.Fatal(err)
	}
	b.source.failWith(ErrAbsent)
	for round := range 2 { // the marks of the first keep the second from the source
		for n := range maxItems {
			_, err := get[*dcap.TCBInfo](t.Context(), b.Cache, platform(round*maxItems+n))
			unavailable(t, err)
		}
	}
	if got, want := b.source.count(TCBInfo), maxItems-len(all())+1; got != want {
		t.Errorf("source was asked %d times for TCB info, want %d", got, want)
	}
	b.endPauses()
	for n := range maxItems {
		_, err := get[*dcap.TCBInfo](t.Context(), b.Cache, platform(2*maxItems+n))
		unavailable(t, err)
	}
	if got := len(b.items); got != maxItems {
		t.Errorf("the cache holds %d items, want %d", got, maxItems)
	}
	b.source.recover()
	if err := b.get(); err != nil {
		t.Fatal(err)
	}
	if got, want := b.source.count(TCBInfo), 2*(maxItems-len(all()))+1; got != want || b.source.count(QEIdentity) != 1 {
		t.Errorf("source was asked %d times for TCB info, want %d; %d times for the QE identity, want 1", got, want, b.source.count(QEIdentity))
	}
}

// endPauses lets every load begin at once, as if the pauses were over.
func (c *Cache) endPauses() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resume = time.Now()
	for _, it := range c.items {
		it.retry = time.Now()
	}
}

// platform is the TCB info of a made-up platform.
func platform(n int) want {
	return want{key: key{kind: TCBInfo, fmspc: dcap.FMSPC{0xFF, byte(n >> 8), byte(n)}, evaluation: Standard}}
}

func TestCacheFullOfRunningLoadsSaysSo(t *testing.T) {
	b := newBench(t, at(now), nil)
	b.source.before = func(ctx context.Context, _ Kind) error { <-ctx.Done(); return ctx.Err() }
	for n := range maxItems {
		b.begin(platform(n))
	}
	if u := unavailable(t, b.get()); !strings.Contains(u.Error(), "busy") {
		t.Errorf("got %v, want it to say that the cache is busy", u)
	}
}

func TestClosedCacheEndsItsLoadsAndIsUnavailable(t *testing.T) {
	b := newBench(t, at(now), nil)
	b.source.before = func(ctx context.Context, _ Kind) error { <-ctx.Done(); return ctx.Err() }
	b.begin(wantTCBInfo(b.origin, Standard))
	b.Close()
	if u := unavailable(t, b.get()); u.RetryAfter != closedPause {
		t.Errorf("got RetryAfter %v, want %v", u.RetryAfter, closedPause)
	}
}

func BenchmarkCollateralAtHand(b *testing.B) {
	bench := newBench(b, at(now), nil)
	if err := bench.get(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := bench.get(); err != nil {
			b.Fatal(err)
		}
	}
}

// filled is a cache at its bound, with the given items and copies of the last one.
func filled(t testing.TB, items ...*item) *bench {
	t.Helper()
	b := newBench(t, at(now), nil)
	for n := range maxItems {
		it := *items[min(n, len(items)-1)]
		b.items[platform(n).key] = &it
	}
	return b
}

func TestRoomIsMadeByWhatIsWorthLeast(t *testing.T) {
	held := func(next time.Time) document { return document{value: &dcap.TCBInfo{}, issued: now, next: next} }
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	fresh := &item{doc: held(now.Add(time.Hour)), used: ago(time.Hour)}
	stale := &item{doc: held(now), used: ago(time.Minute)}
	mark := &item{err: ErrAbsent, retry: ago(time.Second), used: ago(time.Second)}
	older := func(it item, d time.Duration) *item { it.used = it.used.Add(-d); return &it }
	pausing := func(it item) *item { it.retry = time.Now().Add(time.Hour); return &it }
	loading := func(it item) *item { it.loading = make(chan struct{}); return &it }
	const none = -1
	for _, c := range []struct {
		name  string
		items []*item
		gone  int
	}{
		{"a mark before documents used longer ago", []*item{fresh, mark, stale, fresh}, 1},
		{"a document out of date before one in force", []*item{fresh, stale, fresh}, 1},
		{"of marks the one used longest ago", []*item{mark, older(*mark, 2), older(*mark, 1), mark}, 1},
		{"of documents out of date the one used longest ago", []*item{fresh, stale, older(*stale, 1), fresh}, 2},
		{"of nothing but documents in force the one used longest ago", []*item{fresh, fresh, older(*fresh, 1), fresh}, 2},
		{"of nothing but documents in force one that does not load", []*item{loading(*older(*fresh, 1)), older(*fresh, 1), fresh}, 1},
		{"no document in force while others load", []*item{loading(item{}), fresh}, none},
		{"no document in force while marks stay", []*item{pausing(*mark), fresh}, none},
		{"no mark whose time is not over", []*item{pausing(*mark)}, none},
		{"nothing that is being loaded", []*item{loading(item{})}, none},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := filled(t, c.items...)
			newcomer := platform(maxItems).key
			if got := b.item(newcomer) != nil; got != (c.gone != none) {
				t.Fatalf("newcomer let in: got %t, want %t", got, !got)
			}
			if len(b.items) != maxItems {
				t.Errorf("the cache holds %d items, want %d", len(b.items), maxItems)
			}
			for n := range maxItems {
				if got := b.items[platform(n).key] == nil; got != (n == c.gone) {
					t.Errorf("item %d dropped: got %t, want %t", n, got, !got)
				}
			}
		})
	}
}
