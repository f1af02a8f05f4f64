// Package ratelimit bounds how often each caller or address may ask. It remembers a fixed number of them.
package ratelimit

import (
	"crypto/sha256"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// DefaultSize is how many keys are remembered unless told otherwise; they take about 20 MB.
const DefaultSize = 1 << 16

// Limiter has the token buckets of many keys. It is safe for concurrent use.
//
// When there is no room, the key that has been quiet for longest is forgotten. Should it come again it has a full burst,
// as one that was never seen; so whoever makes the memory overflow gains one burst each time, for the price of as many
// requests under other keys as there is room.
type Limiter struct {
	perSecond rate.Limit
	burst     int

	mu      sync.Mutex
	buckets *simplelru.LRU[[sha256.Size]byte, *rate.Limiter] // nil: no limit
}

// New makes a limiter of perSecond requests for each key, after a burst of so many at once. A rate of zero means no limit.
// size is the number of keys that are remembered; zero means DefaultSize.
func New(perSecond float64, burst, size int) (*Limiter, error) {
	switch {
	case math.IsNaN(perSecond) || math.IsInf(perSecond, 0) || perSecond < 0:
		return nil, fmt.Errorf("rate limit: expected a number of requests per second, found %v", perSecond)
	case size < 0:
		return nil, fmt.Errorf("rate limit: expected a number of keys to remember, found %d", size)
	case perSecond == 0:
		return &Limiter{}, nil
	case burst < 1:
		return nil, fmt.Errorf("rate limit: expected a burst of at least one request, found %d", burst)
	case size == 0:
		size = DefaultSize
	}
	buckets, err := simplelru.NewLRU[[sha256.Size]byte, *rate.Limiter](size, nil)
	if err != nil {
		return nil, fmt.Errorf("rate limit: %w", err)
	}
	return &Limiter{perSecond: rate.Limit(perSecond), burst: burst, buckets: buckets}, nil
}

// Allow counts a request under the key, which may be of any length, and reports whether it may pass. If not, it is not
// counted, and retry is how long to wait until the next one may pass.
func (l *Limiter) Allow(key string, now time.Time) (retry time.Duration, ok bool) {
	if l.buckets == nil {
		return 0, true
	}
	digest := sha256.Sum256([]byte(key))
	l.mu.Lock()
	defer l.mu.Unlock() // also of the bucket: reservations that cross each other are not given back whole
	reservation := l.bucket(digest).ReserveN(now, 1)
	if retry = reservation.DelayFrom(now); retry > 0 {
		reservation.CancelAt(now)
	}
	return retry, retry == 0
}

// bucket returns the bucket of a key. The caller holds mu.
func (l *Limiter) bucket(digest [sha256.Size]byte) *rate.Limiter {
	b, ok := l.buckets.Get(digest)
	if !ok {
		b = rate.NewLimiter(l.perSecond, l.burst)
		l.buckets.Add(digest, b)
	}
	return b
}

// subscriberBits is how much of an IPv6 address tells one subscriber from another: each has at least a /64 to himself.
const subscriberBits = 64

// unknownAddress is the key that all share whose address cannot be read.
const unknownAddress = "unknown"

// AddressKey returns the key for a remote address, with or without a port: an IPv4 address, also if it is written as an
// IPv6 one, or the first 64 bits of an IPv6 address. Everything else is one key.
func AddressKey(remoteAddr string) string {
	addr, err := netip.ParseAddr(remoteAddr)
	if err != nil {
		withPort, err := netip.ParseAddrPort(remoteAddr)
		if err != nil {
			return unknownAddress
		}
		addr = withPort.Addr()
	}
	if addr = addr.Unmap().WithZone(""); addr.Is4() {
		return addr.String()
	}
	return netip.PrefixFrom(addr, subscriberBits).Masked().String()
}
