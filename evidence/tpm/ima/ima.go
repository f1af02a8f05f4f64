// Package ima reads the measurement lists of Linux' Integrity Measurement Architecture, in the binary and the ascii form, and
// replays them (tpm-evidence.md section 7, tpm.md section 7.5).
package ima

import (
	"errors"

	"github.com/assay-attestation/assay/evidence/tpm"
)

var errTODO = errors.New("not implemented")

// PCR is the one that IMA extends.
const PCR = 10

// Limits bound what is read of a list (README.md section 7 of the specification). The zero value allows nothing.
type Limits struct {
	Size    int // ima_log: bytes
	Entries int // ima_entries
}

// DefaultLimits are those of the specification's table.
func DefaultLimits() Limits { return Limits{Size: 16 << 20, Entries: 100_000} }

// List is a list, parsed; each template hash fits its data. Nothing says that it is of the machine it is said to be.
type List struct {
	entries []Entry
}

// Entry is one measurement.
type Entry struct {
	PCR       uint32
	Template  string // its name: ima-ng
	Violation bool   // the template hash is all zero: the kernel extended 0xFF bytes
	Name      string // field n-ng or n: file name, keyring, or kernel_version
	Digest    string // field d, d-ng or d-ngv2 as "sha256:" and hex
	Buffer    []byte // field buf, nil without one
	Signature []byte // field sig, nil without one

	data []byte
}

// ParseBinary reads binary_runtime_measurements, little-endian, whose template hashes are by the algorithm. The error is an
// [evidence.Refusal] of IMAFormat that names the entry and its offset.
func ParseBinary(b []byte, templateHash tpm.Alg, l Limits) (*List, error) { return nil, errTODO }

// ParseASCII reads ascii_runtime_measurements likewise.
func ParseASCII(b []byte, templateHash tpm.Alg, l Limits) (*List, error) { return nil, errTODO }

// Entries are all entries in order. The caller must not change them.
func (l *List) Entries() []Entry { return l.entries }

// Match holds the list against the quoted values of PCR 10, one for each bank, after the values start that it had before the list.
// It gives how many entries the quote covers: the list may have grown since. Kernels before 5.8 extended other banks with the
// padded SHA-1 value: both ways are tried, one for the whole list. The error is an [evidence.Refusal] of IMAReplay.
func (l *List) Match(start, quoted map[tpm.Alg][]byte) (entries int, err error) { return 0, errTODO }
