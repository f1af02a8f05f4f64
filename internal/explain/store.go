package explain

import (
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// How much is kept unless configured otherwise (native.md section 3), and how many bytes at most.
const (
	DefaultEntries = 10_000
	DefaultAge     = 24 * time.Hour
	MaxBytes       = 64 << 20
)

// Store keeps the records of the latest requests by their ids. It is safe for concurrent use.
type Store struct {
	mu      sync.Mutex
	records *simplelru.LRU[string, kept]
	age     time.Duration
	bytes   int
}

type kept struct {
	record *Record
	bytes  int
}

// NewStore makes a store of so many entries, each kept for the given time; DefaultEntries and DefaultAge where zero.
func NewStore(entries int, age time.Duration) (*Store, error) {
	if entries < 0 || age < 0 {
		return nil, fmt.Errorf("explanations: expected a number of entries and an age, found %d and %v", entries, age)
	}
	if entries == 0 {
		entries = DefaultEntries
	}
	if age == 0 {
		age = DefaultAge
	}
	s := &Store{age: age}
	records, err := simplelru.NewLRU(entries, func(_ string, k kept) { s.bytes -= k.bytes })
	if err != nil {
		return nil, fmt.Errorf("explanations: %w", err)
	}
	s.records = records
	return s, nil
}

// Add keeps a record; the oldest ones go to make room, and those that are too old. One that is larger than all room is
// not kept.
func (s *Store) Add(requestID string, r *Record) {
	k := kept{r, size(r)}
	if k.bytes > MaxBytes {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records.Remove(requestID)
	s.bytes += k.bytes
	s.records.Add(requestID, k)
	for s.bytes > MaxBytes || s.oldestIsPast(r.Time) {
		s.records.RemoveOldest()
	}
}

func (s *Store) oldestIsPast(now time.Time) bool {
	_, k, ok := s.records.GetOldest()
	return ok && now.Sub(k.record.Time) > s.age
}

// Get finds the record of a request.
func (s *Store) Get(requestID string, now time.Time) (*Record, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.records.Peek(requestID)
	if !ok || now.Sub(k.record.Time) > s.age {
		return nil, false
	}
	return k.record, true
}

// size is about how much memory a record holds; policies are counted where they came with the request.
func size(r *Record) int {
	const perRecord, perClaim, perCheck = 512, 96, 80
	n := perRecord + len(r.Error)
	for _, c := range r.Claims {
		text, _ := c.Value.Text()
		n += perClaim + len(text)
	}
	for _, c := range r.Checks.Entries {
		n += perCheck + len(c.Expected) + len(c.Found)
	}
	if r.Draft && r.Policy != nil {
		n += treeFactor * r.Policy.Size()
	}
	return n
}

// treeFactor is how many bytes a compiled policy takes at most for each byte of its text: long queries of projections do.
const treeFactor = 160
