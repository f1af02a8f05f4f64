package assaytest

import (
	"encoding/binary"
	"slices"
)

// Flags of a VBS enclave that can be debugged (tpm.md section 11).
const (
	VBSFullDebug           = 1
	VBSDynamicDebug        = 2
	VBSDynamicDebugStarted = 4
)

// VBSEnclave is who an enclave is, as the secure kernel says in its report.
type VBSEnclave struct {
	OwnerID, UniqueID, AuthorID [32]byte
	FamilyID, ImageID           [16]byte
	SVN, KernelSVN, PlatformSVN uint32
	Flags, SigningLevel         uint32
	Type                        uint32 // 0x10, or 0 as in older descriptions
	Modules                     []VBSModule
}

// VBSModule is a module that is loaded in an enclave.
type VBSModule struct {
	Name               string
	UniqueID, AuthorID [32]byte
	FamilyID, ImageID  [16]byte
	SVN                uint32
}

// SimulatedVBSEnclave is some enclave that cannot be debugged.
func SimulatedVBSEnclave() VBSEnclave {
	e := VBSEnclave{SVN: 7, KernelSVN: 3, PlatformSVN: 2, SigningLevel: 6, Type: 0x10}
	for i, id := range [][]byte{e.OwnerID[:], e.UniqueID[:], e.AuthorID[:], e.FamilyID[:], e.ImageID[:]} {
		copy(id, newStream("assay: identity of a simulated VBS enclave").bytes(32 * (i + 1))[32*i:])
	}
	e.Modules = []VBSModule{{Name: "vertdll.dll", UniqueID: e.UniqueID, AuthorID: e.AuthorID, SVN: 1}}
	return e
}

// statement is the signed part of a report about data.
func (e *VBSEnclave) statement(data [64]byte) []byte {
	b := slices.Concat(data[:], e.OwnerID[:], e.UniqueID[:], e.AuthorID[:], e.FamilyID[:], e.ImageID[:])
	for _, v := range []uint32{e.SVN, e.KernelSVN, e.PlatformSVN, e.Flags, e.SigningLevel, e.Type} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	for _, m := range e.Modules {
		b = append(b, m.record()...)
	}
	return append(words(uint32(8+len(b)), 1), b...) // size and version of the report
}

// record is a record of DataType 1.
func (m *VBSModule) record() []byte {
	b := slices.Concat(m.UniqueID[:], m.AuthorID[:], m.FamilyID[:], m.ImageID[:])
	b = binary.LittleEndian.AppendUint32(b, m.SVN)
	b = append(append(b, utf16Bytes(m.Name)...), 0, 0)
	return append(words(1, uint32(8+len(b))), b...)
}

// vbsReport is the output of EnclaveGetAttestationReport: header, statement and signature.
func vbsReport(statement, signature []byte) []byte {
	header := words(uint32(24+len(statement)+len(signature)), 1, 1, uint32(len(statement)), uint32(len(signature)), 0)
	return slices.Concat(header, statement, signature)
}

// words writes numbers of four bytes, little-endian.
func words(values ...uint32) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}
