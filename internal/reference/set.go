package reference

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/policy"
)

// Set is the reference values of a provider, ready to be held against claims. A nil set is empty. It is safe for concurrent use.
type Set struct {
	entries map[evidence.Type][]held  // by name
	shown   map[evidence.Type][]shown // by the names of claims
}

// held is an entry ready to be held against claims.
type held struct {
	name, status string
	period       period
	keys         []key // all must hold
}

// key is what an entry wants of one claim.
type key struct {
	claim string
	among map[policy.Value]bool // nil: any value
	least *int64                // nil: no minimum
}

// period is when an entry is in date: from a time on and before another, where they are not zero.
type period struct{ from, until time.Time }

func (p period) has(at time.Time) bool {
	return !at.Before(p.from) && (p.until.IsZero() || at.Before(p.until))
}

// shown is a claim that policies see while one of the entries with its value is in date.
type shown struct {
	claim   policy.Claim
	periods []period
}

// NewSet makes a set of entries as [Parse] makes them. It keeps nothing of theirs that may change.
func NewSet(entries []Entry) *Set {
	s := &Set{map[evidence.Type][]held{}, map[evidence.Type][]shown{}}
	byName := slices.SortedFunc(slices.Values(entries), func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	seen := map[evidence.Type]map[policy.Claim]int{}
	for _, e := range byName {
		if seen[e.Type] == nil {
			seen[e.Type] = map[policy.Claim]int{}
		}
		s.entries[e.Type] = append(s.entries[e.Type], e.held())
		s.show(&e, seen[e.Type])
	}
	return s
}

func (e *Entry) period() period { return period{e.NotBefore, e.NotAfter} }

func (e *Entry) held() held {
	h := held{name: e.Name, status: e.ComplianceStatus, period: e.period()}
	for _, claim := range slices.Sorted(maps.Keys(e.Values)) {
		k := key{claim: claim, among: make(map[policy.Value]bool, len(e.Values[claim]))}
		for _, v := range e.Values[claim] {
			k.among[v] = true
		}
		h.keys = append(h.keys, k)
	}
	for _, claim := range slices.Sorted(maps.Keys(e.Minimums)) {
		least := e.Minimums[claim]
		h.keys = append(h.keys, key{claim: claim, least: &least})
	}
	return h
}

// show adds the claims that show the values of an entry; seen are those of its type that are there, and where.
func (s *Set) show(e *Entry, seen map[policy.Claim]int) {
	for _, name := range slices.Sorted(maps.Keys(e.Values)) {
		for _, v := range e.Values[name] {
			c := claim(policy.ReferencePrefix+name, v)
			i, again := seen[c]
			if !again {
				i = len(s.shown[e.Type])
				seen[c] = i
				s.shown[e.Type] = append(s.shown[e.Type], shown{claim: c})
			}
			s.shown[e.Type][i].periods = append(s.shown[e.Type][i].periods, e.period())
		}
	}
}

// claim is a claim of the reference values.
func claim(name string, v policy.Value) policy.Claim {
	return policy.Claim{Type: name, Value: v, Issuer: policy.ReferenceValue, ReadOnly: true}
}

// Found is what a set says of evidence.
type Found struct {
	Claims           []policy.Claim // for the policy: read-only, of issuer ReferenceValue
	ComplianceStatus string         // empty: none was earned
}

// Match holds the claims of verified evidence against the entries of its type that are in date at a time: from NotBefore on, and before
// NotAfter. An entry matches if all its keys hold, and a key holds if the evidence has a claim of that name, and each that it has is among the
// values, or is not below the minimum.
//
// The claims found are assay-reference with the name of each entry that matches, in the order of names, and assay-reference-KEY with each value
// of an entry in date, whether it matches or not, each once; minimums are not shown. Where entries with different compliance statuses
// match, that of the first name counts.
func (s *Set) Match(t evidence.Type, facts []evidence.Claim, at time.Time) Found {
	var f Found
	if s == nil || len(s.entries[t]) == 0 {
		return f
	}
	known := known(facts)
	for i := range s.entries[t] {
		e := &s.entries[t][i]
		if !e.period.has(at) || !e.matches(known) {
			continue
		}
		f.Claims = append(f.Claims, claim(policy.ReferenceName, policy.StringValue(e.name)))
		if f.ComplianceStatus == "" {
			f.ComplianceStatus = e.status
		}
	}
	f.Claims = slices.Grow(f.Claims, len(s.shown[t]))
	for i := range s.shown[t] {
		c := &s.shown[t][i]
		if slices.ContainsFunc(c.periods, func(p period) bool { return p.has(at) }) {
			f.Claims = append(f.Claims, c.claim)
		}
	}
	return f
}

// fact is the values of the claims of one name.
type fact struct {
	values []policy.Value
	opaque bool // there is one that no value can be
}

// known puts claims in order by their names.
func known(facts []evidence.Claim) map[string]*fact {
	by := make(map[string]*fact, len(facts))
	for _, c := range facts {
		f := by[c.Name]
		if f == nil {
			f = &fact{}
			by[c.Name] = f
		}
		switch v := c.Value.(type) {
		case string:
			f.values = append(f.values, policy.StringValue(v))
		case int64:
			f.values = append(f.values, policy.IntegerValue(v))
		case bool:
			f.values = append(f.values, policy.BooleanValue(v))
		case []int64: // a claim for each
			for _, n := range v {
				f.values = append(f.values, policy.IntegerValue(n))
			}
		default:
			f.opaque = true
		}
	}
	return by
}

func (h *held) matches(known map[string]*fact) bool {
	for i := range h.keys {
		k := &h.keys[i]
		f := known[k.claim]
		if f == nil || len(f.values) == 0 || f.opaque || slices.ContainsFunc(f.values, func(v policy.Value) bool { return !k.accepts(v) }) {
			return false
		}
	}
	return len(h.keys) > 0
}

func (k *key) accepts(v policy.Value) bool {
	if k.least != nil {
		n, ok := v.Int()
		return ok && n >= *k.least
	}
	return k.among[v]
}
