// Package eventlog reads TCG event logs (PC Client Platform Firmware Profile) in the legacy SHA-1 form and the crypto-agile
// form, replays them, and reads the data of their events (tpm-evidence.md sections 4 and 6). It believes nothing: which
// data may be believed is decided by package measured, which holds the log against a quote.
package eventlog

import (
	"bytes"
	"encoding/binary"

	"github.com/assay-attestation/assay/evidence/tpm"
)

// Limits bound what is read of a log (README.md section 7 of the specification). The zero value allows nothing.
type Limits struct {
	Size         int // tcg_log: bytes of a log
	Records      int // tcg_log_records
	EventData    int // tcg_event_data: bytes of one record's data
	VariableName int // efi_variable_name: UTF-16 units
}

// DefaultLimits are those of the specification's table.
func DefaultLimits() Limits {
	return Limits{Size: 2 << 20, Records: 20_000, EventData: 1 << 20, VariableName: 2048}
}

// Outside is the PCR of records that are never extended.
const Outside = 0xFFFFFFFF

// Log is a log, parsed. Nothing says that it is of the machine or the boot it is said to be.
type Log struct {
	algs     []tpm.Alg
	legacy   bool
	records  []Record
	locality int // what StartupLocality says, or noLocality
}

// noLocality is the locality of a log that tells none: the TPM was started from locality 0.
const noLocality = -1

// Record is one record of a log.
type Record struct {
	PCR  uint32 // 0 to 23, or Outside
	Type Type
	Data []byte // as logged: its digest need not be a digest of it

	// The digests stand where the log has them, and are looked up there: a log of many records costs one slice.
	form    *form // nil: the record that describes the log, which has no digest of a bank
	digests []byte
}

// form says how the digests of a record are laid out.
type form struct {
	legacy bool   // a SHA-1 digest and nothing else
	banks  []bank // each digest follows its number; in any order
}

// bank is a hash that a crypto-agile log announces, known or not.
type bank struct {
	alg  tpm.Alg
	size int
}

// index finds the bank, or gives -1.
func (f *form) index(a tpm.Alg) int {
	for i := range f.banks {
		if f.banks[i].alg == a {
			return i
		}
	}
	return -1
}

// Legacy reports whether the log is in the SHA-1 form.
func (l *Log) Legacy() bool { return l.legacy }

// Algs are the banks of known hashes that each record has a digest for, in the order in which the log announces them. The
// caller must not change them.
func (l *Log) Algs() []tpm.Alg { return l.algs }

// Records are all records in order, the first one included that describes a crypto-agile log. The caller must not change them.
func (l *Log) Records() []Record { return l.records }

// Digest gives the digest of the record for a bank. The record that describes a crypto-agile log has none.
func (r *Record) Digest(a tpm.Alg) ([]byte, bool) {
	switch {
	case r.form == nil, r.form.legacy && a != tpm.SHA1:
		return nil, false
	case r.form.legacy:
		return r.digests, true
	}
	for rest := r.digests; len(rest) > 0; {
		alg := tpm.Alg(binary.LittleEndian.Uint16(rest))
		end := 2 + r.form.banks[r.form.index(alg)].size
		if alg == a {
			return rest[2:end:end], true
		}
		rest = rest[end:]
	}
	return nil, false
}

// Extended reports whether the record was extended into its PCR.
func (r *Record) Extended() bool { return r.Type != NoAction && r.PCR < tpm.PCRCount }

// Hashes reports whether the record's digest for the bank is the hash of the data.
func (r *Record) Hashes(a tpm.Alg, data ...[]byte) bool {
	d, ok := r.Digest(a)
	return ok && bytes.Equal(d, a.Sum(data...))
}
