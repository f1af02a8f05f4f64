package compare

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
)

// mutate changes a log in one of the ways in which logs are broken: bytes, numbers, or whole records.
func mutate(r *rand.Rand, log []byte, records [][]byte) []byte {
	b := slices.Clone(log)
	switch at := r.IntN(len(b)); r.IntN(8) {
	case 0: // a bit
		b[at] ^= 1 << r.IntN(8)
	case 1: // a number
		if at+4 <= len(b) {
			binary.LittleEndian.PutUint32(b[at:], number(r))
		}
	case 2: // the header of a record: PCR or type
		at = starts(records)[r.IntN(len(records))] + 4*r.IntN(2)
		binary.LittleEndian.PutUint32(b[at:], number(r))
	case 3: // an end too early
		b = b[:at]
	case 4: // something behind the end
		return append(b, tail(r)...)
	case 5: // a record twice
		i := r.IntN(len(records))
		b = slices.Concat(slices.Insert(slices.Clone(records), r.IntN(len(records)+1), records[i])...)
	case 6: // a record less
		i := r.IntN(len(records))
		b = slices.Concat(slices.Delete(slices.Clone(records), i, i+1)...)
	case 7: // two records changed over
		c, i, j := slices.Clone(records), r.IntN(len(records)), r.IntN(len(records))
		c[i], c[j] = c[j], c[i]
		b = slices.Concat(c...)
	}
	return b
}

// number is one that parsers stumble over, or any small one.
func number(r *rand.Rand) uint32 {
	special := []uint32{0, 3, 4, 24, 1 << 16, 1<<31 - 1, 1 << 31, 0x8401, 1<<32 - 1}
	if i := r.IntN(2 * len(special)); i < len(special) {
		return special[i]
	}
	return uint32(r.IntN(32))
}

// tail is padding, or what looks like it.
func tail(r *rand.Rand) []byte {
	b := make([]byte, 1+r.IntN(64))
	switch r.IntN(3) {
	case 0:
		for i := range b {
			b[i] = 0xFF
		}
	case 1:
		b[r.IntN(len(b))] = byte(r.Uint32())
	}
	return b
}

// split cuts a log into its records, without the padding at its end. A log that we refuse is one piece.
func split(log []byte) [][]byte {
	l, err := ours(log)
	if err != nil {
		return [][]byte{log}
	}
	var out [][]byte
	rest := log
	for i := range l.Records() {
		n := recordSize(rest, i > 0 && !l.Legacy())
		out = append(out, rest[:n])
		rest = rest[n:]
	}
	return out
}

// recordSize is the size of the first record of a log that was taken.
func recordSize(b []byte, agile bool) int {
	at := 28 // of a SHA-1 record: PCR, type, digest
	if agile {
		at = 12
		for range binary.LittleEndian.Uint32(b[8:]) {
			at += 2 + digestSize(binary.LittleEndian.Uint16(b[at:]))
		}
	}
	return at + 4 + int(binary.LittleEndian.Uint32(b[at:]))
}

// digestSize is that of the hashes in the real logs.
func digestSize(alg uint16) int {
	return map[uint16]int{0x04: 20, 0x0B: 32, 0x0C: 48, 0x0D: 64, 0x12: 32}[alg]
}

// starts are the offsets of records.
func starts(records [][]byte) []int {
	var out []int
	at := 0
	for _, r := range records {
		out = append(out, at)
		at += len(r)
	}
	return out
}
