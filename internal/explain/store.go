package explain

import (
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/assay-attestation/assay/policy"
)

// How much is kept unless configured otherwise (native.md section 3), and how many bytes at most.
const (
	DefaultEntries = 10_000
	DefaultAge     = 24 * time.Hour
	MaxBytes       = 64 << 20
)

// Store keeps the records of the latest requests by their ids. It is safe for concurrent use.
type Store struct {
	mu       sync.Mutex
	records  *simplelru.LRU[string, kept]
	policies map[*policy.Policy]int // how many records have each
	age      time.Duration
	bytes    int
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
	s := &Store{age: age, policies: map[*policy.Policy]int{}}
	records, err := simplelru.NewLRU(entries, func(_ string, k kept) { s.release(k) })
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
	if k.bytes+policySize(r.Policy) > MaxBytes {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records.Remove(requestID)
	s.retain(k)
	s.records.Add(requestID, k)
	for s.bytes > MaxBytes || s.oldestIsPast(r.Time) {
		s.records.RemoveOldest()
	}
}

// retain counts a record, and its policy if no other record has it: one that was replaced is kept by the records alone.
func (s *Store) retain(k kept) {
	s.bytes += k.bytes
	if s.policies[k.record.Policy]++; s.policies[k.record.Policy] == 1 {
		s.bytes += policySize(k.record.Policy)
	}
}

func (s *Store) release(k kept) {
	s.bytes -= k.bytes
	if s.policies[k.record.Policy]--; s.policies[k.record.Policy] == 0 {
		delete(s.policies, k.record.Policy)
		s.bytes -= policySize(k.record.Policy)
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

// size is about how much memory a record holds beside its policy, which many may share.
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
	return n
}

// policySize is the most memory that a compiled policy takes.
func policySize(p *policy.Policy) int {
	if p == nil {
		return 0
	}
	return treeFactor * p.Size()
}

// treeFactor is how many bytes a compiled policy takes at most for each byte of its text: long queries of projections do.
const treeFactor = 160
