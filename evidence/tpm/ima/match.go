package ima

import (
	"bytes"
	"fmt"
	"hash"
	"maps"
	"slices"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
)

// Match holds the list against the quoted values of PCR 10, one for each bank, after the values start that it had before the list.
// It gives the length of the shortest beginning of Entries that explains the values of all banks: the list may have grown since the
// quote, and nothing is known of the entries behind it. Of those before it the quote covers the ones of PCR 10 that are not violations.
// Kernels before 5.8 extended other banks with the padded SHA-1 value: each way is tried, one for the whole list. The error is an
// [evidence.Refusal] of IMAReplay.
func (l *List) Match(start, quoted map[tpm.Alg][]byte) (entries int, err error) {
	algs := slices.Sorted(maps.Keys(quoted))
	if len(algs) == 0 {
		return 0, evidence.Refuse(evidence.IMAReplay, "an IMA list came along, but PCR 10 is not quoted").
			Want("PCR 10 in the quote", "none").Do("quote PCR 10, or leave the list away")
	}
	for _, a := range algs {
		if n := a.Size(); n == 0 || len(start[a]) != n || len(quoted[a]) != n {
			return 0, evidence.Refuse(evidence.IMAReplay, "the values of PCR 10 of the bank %s have the wrong length", a).
				Want(n, fmt.Sprintf("%d before the list, %d quoted", len(start[a]), len(quoted[a])))
		}
	}
	var r *replay
	for _, w := range l.ways(algs) {
		r = newReplay(l.alg, algs, start, w)
		if n, ok := r.until(l.entries, quoted); ok {
			return n, nil
		}
	}
	return 0, r.refusal(len(l.entries), quoted)
}

// Replay gives the value of PCR 10 in a bank after all entries, beginning with start, as kernels since 5.8 extend it. It gives nil for a
// bank that has no hash here, and for a start of the wrong length.
func (l *List) Replay(a tpm.Alg, start []byte) []byte {
	if n := a.Size(); n == 0 || len(start) != n {
		return nil
	}
	r := newReplay(l.alg, []tpm.Alg{a}, map[tpm.Alg][]byte{a: start}, everyHash)
	for i := range l.entries {
		if l.entries[i].PCR == PCR {
			r.extend(&l.entries[i])
		}
	}
	return r.banks[0].value
}

// way is how a kernel extends a bank.
type way int

const (
	everyHash  way = iota // since 5.8: the hash of the bank over the template data; a violation as 0xFF to the bank's size
	padded                // before: 20 bytes, the SHA-1 hash or 0xFF, and zeros
	paddedFull            // likewise, but a violation as 0xFF to the bank's size
)

// ways are those that differ for the list and the banks. What a refusal tells of is the last one.
func (l *List) ways(algs []tpm.Alg) []way {
	switch {
	case slices.Equal(algs, []tpm.Alg{tpm.SHA1}):
		return []way{everyHash}
	case !slices.ContainsFunc(l.entries, func(e Entry) bool { return e.Violation }):
		return []way{padded, everyHash}
	}
	return []way{paddedFull, padded, everyHash}
}

// replay is PCR 10 of some banks while a list is extended into them.
type replay struct {
	listed tpm.Alg // of the template hashes
	sha1   hasher
	way    way
	banks  []bank
}

// bank is PCR 10 of one bank.
type bank struct {
	alg      tpm.Alg
	template hasher
	extend   hash.Hash
	value    []byte
	digest   []byte // room for one
}

func newReplay(listed tpm.Alg, algs []tpm.Alg, start map[tpm.Alg][]byte, w way) *replay {
	r := &replay{listed: listed, sha1: newHasher(tpm.SHA1), way: w}
	for _, a := range algs {
		r.banks = append(r.banks, bank{a, newHasher(a), a.Hash().New(), bytes.Clone(start[a]), make([]byte, a.Size())})
	}
	return r
}

// until extends entries until all banks have the quoted values.
func (r *replay) until(entries []Entry, quoted map[tpm.Alg][]byte) (int, bool) {
	if r.has(quoted) {
		return 0, true
	}
	for i := range entries {
		if entries[i].PCR != PCR {
			continue
		}
		r.extend(&entries[i])
		if r.has(quoted) {
			return i + 1, true
		}
	}
	return 0, false
}

func (r *replay) has(quoted map[tpm.Alg][]byte) bool {
	for i := range r.banks {
		if b := &r.banks[i]; !bytes.Equal(b.value, quoted[b.alg]) {
			return false
		}
	}
	return true
}

// extend extends all banks with one entry.
func (r *replay) extend(e *Entry) {
	for i := range r.banks {
		b := &r.banks[i]
		from := &b.template
		if r.way != everyHash {
			from = &r.sha1
		}
		r.measure(b.digest, e, from)
		b.extend.Reset()
		b.extend.Write(b.value)
		b.extend.Write(b.digest)
		b.value = b.extend.Sum(b.value[:0])
	}
}

// measure fills digest with what the kernel extends for an entry: the template hash or 0xFF bytes, and zeros to the bank's size.
func (r *replay) measure(digest []byte, e *Entry, from *hasher) {
	clear(digest)
	switch {
	case e.Violation:
		n := len(digest)
		if r.way == padded {
			n = from.h.Size()
		}
		for i := range digest[:n] {
			digest[i] = 0xFF
		}
	case from.h.Size() == r.listed.Size():
		copy(digest, e.hash()) // checked when it was read
	default:
		copy(digest, from.sum(e))
	}
}

func (r *replay) refusal(entries int, quoted map[tpm.Alg][]byte) error {
	b := r.banks[0]
	return evidence.Refuse(evidence.IMAReplay, "no beginning of the IMA list's %d entries gives the quoted PCR 10 in every bank", entries).
		Want(fmt.Sprintf("%s %x", b.alg, quoted[b.alg]), fmt.Sprintf("%x after all entries", b.value)).
		Do("read the list after the quote, whole; it must be of the same boot of the same machine, and nothing else may extend PCR 10")
}
