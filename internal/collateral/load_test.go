package collateral

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assay-attestation/assay/evidence/dcap"
)

// failOnly has the source answer calls for one kind by fail, all others as usual.
func (f *fakeSource) failOnly(kind Kind, fail func(context.Context) error) {
	f.set(func(f *fakeSource) {
		f.before = func(ctx context.Context, k Kind) error {
			if k == kind {
				return fail(ctx)
			}
			return nil
		}
	})
}

func hang(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func TestSourceThatAsksToBeLeftAloneIs(t *testing.T) {
	for _, c := range []struct{ after, want time.Duration }{
		{2 * time.Minute, 2 * time.Minute},
		{1000 * time.Hour, maxRetryAfter},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, later, nil)
			if err := b.get(); err != nil {
				t.Fatal(err)
			}
			busy := &Unavailable{"item", c.after, errors.New("status 429")}
			b.source.failWith(busy)
			stranger := func(n int) error {
				_, err := get[*dcap.TCBInfo](t.Context(), b.Cache, platform(n))
				return err
			}
			for n := range 3 { // the first is answered by the source, the others are not asked for
				if u := unavailable(t, stranger(n)); u.RetryAfter != c.want {
					t.Errorf("platform %d: got RetryAfter %v, want %v", n, u.RetryAfter, c.want)
				}
			}
			b.source.recover()
			if err := b.get(); err != nil {
				t.Errorf("documents at hand: %v", err)
			}
			time.Sleep(c.want - time.Nanosecond)
			unavailable(t, stranger(3))
			if n := b.source.count(TCBInfo); n != 2 {
				t.Errorf("source was asked %d times, want 2", n)
			}
			time.Sleep(time.Nanosecond)
			if _, err := get[*dcap.CRL](t.Context(), b.Cache, wantRootCRL(b.origin)); err != nil {
				t.Error(err)
			}
			unavailable(t, stranger(4)) // the source has another platform's
			if n := b.source.count(TCBInfo); n != 3 {
				t.Errorf("after %v: source was asked %d times, want 3", c.want, n)
			}
		})
	}
}

func TestCopyOnDiskServesWhileTheSourceIsLeftAlone(t *testing.T) {
	b := newBench(t, at(now), func(cfg *Config) { cfg.Dir = t.TempDir() })
	if err := b.get(); err != nil {
		t.Fatal(err)
	}
	again := b.restart(t)
	again.pause(time.Hour)
	if err := again.get(); err != nil {
		t.Error(err)
	}
	again.asked(t, 0)
}

func TestNewcomersLeaveRenewalsTheirWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, later, nil)
		if err := b.get(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(refreshEvery)
		b.source.failOnly(TCBInfo, hang)
		for n := range 3 * maxNewcomers {
			b.begin(platform(n))
		}
		synctest.Wait()
		if got, want := b.source.count(TCBInfo), 1+maxNewcomers; got != want {
			t.Errorf("source was asked %d times for TCB info, want %d", got, want)
		}
		if err := b.get(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := b.source.count(QEIdentity); n != 2 {
			t.Errorf("source was asked %d times for the QE identity, want 2", n)
		}
		if got, want := b.source.count(TCBInfo), 1+maxNewcomers+1; got != want {
			t.Errorf("source was asked %d times for TCB info, want %d with the renewal", got, want)
		}
		time.Sleep(loadTimeout + time.Second)
		b.source.recover()
		if len(b.newcomers) != 0 {
			t.Errorf("%d places are still taken", len(b.newcomers))
		}
	})
}

func TestLoadsDoNotWaitForEachOther(t *testing.T) {
	for evaluation, want := range map[string]time.Duration{Standard: time.Second, "17": 2 * time.Second} { // a number comes after the standard one
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, later, nil)
			b.source.before = func(_ context.Context, kind Kind) error {
				time.Sleep(time.Second)
				if kind == PCKCRL || kind == RootCRL {
					time.Sleep(want - time.Second)
				}
				return nil
			}
			begin := time.Now()
			if _, err := b.For(t.Context(), b.origin, evaluation); err != nil || time.Since(begin) != want {
				t.Errorf("%s: took %v, error %v, want %v", evaluation, time.Since(begin), err, want)
			}
		})
	}
}

func TestPanicOverADocumentEndsTheLoadAlone(t *testing.T) {
	b := newBench(t, at(now), nil)
	b.source.failOnly(QEIdentity, func(context.Context) error { panic("index out of range") })
	for range 2 {
		if u := unavailable(t, b.get()); !strings.Contains(u.Error(), "QE identity") || !strings.Contains(u.Error(), "index out of range") {
			t.Errorf("got %v, want the QE identity and the panic named", u)
		}
	}
	b.loads.Wait()
	if log := b.log.String(); strings.Count(log, "stack=") != 1 {
		t.Errorf("want one stack in the log, got:\n%s", log)
	}
	b.source.recover()
	b.endPauses()
	if err := b.get(); err != nil {
		t.Errorf("after it recovered: %v", err)
	}
}

func TestBlockedLogKeepsNobodyWaiting(t *testing.T) {
	read, write := io.Pipe() // nobody reads
	defer read.Close()       // lets Close of the cache end
	b := newBench(t, at(now), func(cfg *Config) { cfg.Logger = slog.New(slog.NewTextHandler(write, nil)) })
	b.source.failOnly(RootCRL, func(context.Context) error { return errors.New("refused") })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 2 {
		if _, err := b.For(ctx, b.origin, Standard); !strings.Contains(fmt.Sprint(err), "refused") {
			t.Errorf("got error %v, want why the root CRL is not there", err)
		}
	}
	b.endPauses()
	b.source.recover()
	if _, err := b.For(ctx, b.origin, Standard); err != nil {
		t.Error(err)
	}
	read.Close()
}

func TestLogSaysThePauseInWords(t *testing.T) {
	var log bytes.Buffer
	b := newBench(t, at(now), func(cfg *Config) { cfg.Logger = slog.New(slog.NewJSONHandler(&log, nil)) })
	b.source.failWith(ErrAbsent)
	unavailable(t, b.get())
	b.loads.Wait()
	if !strings.Contains(log.String(), `"retryAfter":"30s"`) {
		t.Errorf("got %s, want retryAfter 30s", &log)
	}
}
