// Package eventlog reads TCG event logs (PC Client Platform Firmware Profile) in the legacy SHA-1 form and the crypto-agile
// form, replays them, and reads the data of their events (tpm-evidence.md sections 4 and 6). It believes nothing: which
// data may be believed is decided by package measured, which holds the log against a quote.
package eventlog

import (
	"bytes"
	"errors"

	"github.com/assay-attestation/assay/evidence/tpm"
)

var errTODO = errors.New("not implemented")

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
	algs    []tpm.Alg
	legacy  bool
	records []Record
}

// Record is one record of a log.
type Record struct {
	PCR  uint32 // 0 to 23, or Outside
	Type Type
	Data []byte // as logged: its digest need not be a digest of it

	digests []digest
}

// digest is the digest of a record for one bank.
type digest struct {
	alg   tpm.Alg
	value []byte
}

// Parse reads a log to its end. The error is an [evidence.Refusal] of EventLogFormat, EventLogBank or EventLogStart that names the
// record and its offset.
func Parse(b []byte, l Limits) (*Log, error) { return nil, errTODO }

// Legacy reports whether the log is in the SHA-1 form.
func (l *Log) Legacy() bool { return l.legacy }

// Algs are the banks of known hashes that each record has a digest for.
func (l *Log) Algs() []tpm.Alg { return l.algs }

// Records are all records in order, the first one included that describes a crypto-agile log. The caller must not change them.
func (l *Log) Records() []Record { return l.records }

// Digest gives the digest of the record for a bank.
func (r *Record) Digest(a tpm.Alg) ([]byte, bool) {
	for _, d := range r.digests {
		if d.alg == a {
			return d.value, true
		}
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

// Replay gives the PCR values of a bank after the logs, one after the other, beginning with a reset of the TPM. With drtm PCR 17
// to 22 begin with zero. The error is an [evidence.Refusal] of EventLogBank for a log without the bank, or of EventLogStart.
func Replay(a tpm.Alg, drtm bool, logs ...*Log) (*tpm.Bank, error) { return nil, errTODO }

// Variable is the data of an EFI variable event (UEFI_VARIABLE_DATA).
type Variable struct {
	GUID GUID
	Name string
	Data []byte
}

// GUID is 16 bytes as they stand in EFI structures: the first three fields little-endian.
type GUID [16]byte

// ParseVariable reads the data of an EFI variable event to its last byte.
func ParseVariable(data []byte, l Limits) (Variable, error) { return Variable{}, errTODO }

// Signature is one entry of an EFI_SIGNATURE_LIST: a certificate or a hash.
type Signature struct {
	Type  GUID // of the list: what Data is
	Owner GUID
	Data  []byte
}

// ParseSignatureLists reads the value of a signature database (PK, KEK, db, dbx) to its last byte.
func ParseSignatureLists(b []byte) ([]Signature, error) { return nil, errTODO }
