package ratelimit_test

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/ratelimit"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func limits(t *testing.T, perSecond float64, burst, size int) *ratelimit.Limiter {
	t.Helper()
	l, err := ratelimit.New(perSecond, burst, size)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// passed is how many of n requests at one time pass.
func passed(l *ratelimit.Limiter, key string, now time.Time, n int) (count int) {
	for range n {
		if _, ok := l.Allow(key, now); ok {
			count++
		}
	}
	return count
}

func TestBurstPassesAndThenTheRate(t *testing.T) {
	l := limits(t, 2, 3, 0)
	if got := passed(l, "a", start, 10); got != 3 {
		t.Errorf("at once: %d of 10 pass, want the burst of 3", got)
	}
	retry, ok := l.Allow("a", start)
	if ok || retry != 500*time.Millisecond {
		t.Errorf("after the burst: %v, %v, want to wait half a second at two per second", retry, ok)
	}
	if got := passed(l, "a", start.Add(retry-1), 10); got != 0 {
		t.Errorf("before the wait is over: %d pass, want none", got)
	}
	if got := passed(l, "a", start.Add(retry), 10); got != 1 {
		t.Errorf("after the wait: %d pass, want one", got)
	}
	if got := passed(l, "a", start.Add(time.Hour), 10); got != 3 {
		t.Errorf("after an hour: %d pass, want no more than the burst of 3", got)
	}
}

func TestKeysHaveLimitsOfTheirOwn(t *testing.T) {
	l := limits(t, 1, 1, 0)
	long := strings.Repeat("k", 1<<20)
	for _, key := range []string{"", "a", "b", long + "a", long + "b"} {
		if got := passed(l, key, start, 2); got != 1 {
			t.Errorf("key of %d bytes: %d pass, want one", len(key), got)
		}
	}
}

func TestZeroRateIsNoLimit(t *testing.T) {
	if got := passed(limits(t, 0, 0, 0), "a", start, 1000); got != 1000 {
		t.Errorf("%d of 1000 pass", got)
	}
}

func TestForgottenKeyHasOneFreshBurstAndNoMore(t *testing.T) {
	const burst, size = 3, 4
	l := limits(t, 1, burst, size)
	if got := passed(l, "a", start, 10); got != burst {
		t.Fatalf("%d pass, want %d", got, burst)
	}
	for i := range size - 1 {
		l.Allow(fmt.Sprint(i), start)
	}
	if got := passed(l, "a", start, 10); got != 0 {
		t.Errorf("%d pass while there is room for all keys, want none", got)
	}
	for i := range size {
		l.Allow(fmt.Sprint("other", i), start)
	}
	if got := passed(l, "a", start, 10); got != burst {
		t.Errorf("once forgotten %d pass, want one burst of %d", got, burst)
	}
}

func TestManyAtOnceGainNothing(t *testing.T) {
	l := limits(t, 1, 50, 0)
	var count atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { count.Add(int32(passed(l, "a", start, 100))) })
	}
	wg.Wait()
	if count.Load() != 50 {
		t.Errorf("%d pass, want the burst of 50", count.Load())
	}
}

func TestNewRefusesWhatIsNoLimit(t *testing.T) {
	for _, tt := range []struct {
		perSecond   float64
		burst, size int
	}{
		{-1, 1, 1}, {math.NaN(), 1, 1}, {math.Inf(1), 1, 1}, {1, 0, 1}, {1, -1, 1}, {1, 1, -1}, {0, 0, -1},
	} {
		if _, err := ratelimit.New(tt.perSecond, tt.burst, tt.size); err == nil {
			t.Errorf("New(%v, %d, %d) succeeded", tt.perSecond, tt.burst, tt.size)
		}
	}
}

func TestAddressKey(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1:443":                "192.0.2.1",
		"192.0.2.1":                    "192.0.2.1",
		"[::ffff:192.0.2.1]:443":       "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:443":   "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff::1":         "2001:db8:1:2::/64",
		"[2001:db8:1:3::1]:443":        "2001:db8:1:3::/64",
		"[fe80::1%eth0]:443":           "fe80::/64",
		"":                             "unknown",
		"@":                            "unknown",
		"localhost:443":                "unknown",
		"192.0.2.1:443:443":            "unknown",
		"192.0.2.1, 198.51.100.1:8080": "unknown",
	} {
		if got := ratelimit.AddressKey(in); got != want {
			t.Errorf("AddressKey(%q) = %q, want %q", in, got, want)
		}
	}
}
