package snp

import "errors"

// Sizes of the report (sev-snp.md section 1).
const (
	// ReportSize is the length of every report in bytes.
	ReportSize = 1184
	signedSize = 0x2A0
)

// SigningKey says whose key signed a report.
type SigningKey uint8

// The signing keys that a report can name.
const (
	VCEK SigningKey = 0 // of the chip, for one TCB version
	VLEK SigningKey = 1 // of a cloud provider, for one TCB version
	None SigningKey = 7 // nobody signed
)

// TCB is a TCB version in its eight bytes as they stand in a report; what they mean depends on the product ([Product.Components]).
type TCB [8]byte

// Report is a well-formed attestation report of which nothing is believed. Byte arrays are as in the report.
type Report struct {
	Version          uint32
	GuestSVN         uint32
	Policy           uint64
	FamilyID         [16]byte
	ImageID          [16]byte
	VMPL             uint32
	CurrentTCB       TCB
	PlatformInfo     uint64
	AuthorKeyEn      bool
	MaskChipKey      bool
	SigningKey       SigningKey
	ReportData       [64]byte
	Measurement      [48]byte
	HostData         [32]byte
	IDKeyDigest      [48]byte
	AuthorKeyDigest  [48]byte
	ReportID         [32]byte
	ReportIDMA       [32]byte
	ReportedTCB      TCB
	CPUID            [3]byte // family, model, stepping; zero before version 3
	ChipID           [64]byte
	CommittedTCB     TCB
	LaunchTCB        TCB
	LaunchMitVector  uint64 // zero before version 5
	CurrentMitVector uint64

	signed    []byte
	signature [144]byte
}

// ParseReport reads the 1184 bytes of a report. The error is an [evidence.Refusal].
func ParseReport(b []byte) (*Report, error) { return nil, errors.New("snp: not built yet") }

// Debug reports whether the host may read and change the guest.
func (r *Report) Debug() bool { return r.Policy&(1<<19) != 0 }

// Migratable reports whether the guest may have a migration agent.
func (r *Report) Migratable() bool { return r.Policy&(1<<18) != 0 }

// SMT reports whether the guest may run on a processor with simultaneous multithreading.
func (r *Report) SMT() bool { return r.Policy&(1<<16) != 0 }
