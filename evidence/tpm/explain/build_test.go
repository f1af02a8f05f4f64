package explain_test

import (
	"encoding/binary"
	"slices"
	"testing"
	"unicode/utf16"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/explain"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

// entry is a record of a log of the test. Its digest is the hash of covered, or of its data if covered is nil.
type entry struct {
	pcr           uint32
	kind          eventlog.Type
	data, covered []byte
}

// logOf writes a log in SHA-1 form, and reads it.
func logOf(t testing.TB, entries ...entry) *eventlog.Log {
	t.Helper()
	var b []byte
	for _, e := range entries {
		if e.covered == nil {
			e.covered = e.data
		}
		b = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, e.pcr), uint32(e.kind))
		b = append(b, tpm.SHA1.Sum(e.covered)...)
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(e.data))), e.data...)
	}
	l, err := eventlog.Parse(b, eventlog.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func explained(t testing.TB, entries ...entry) []explain.Event {
	t.Helper()
	return explain.Events(logOf(t, entries...), eventlog.DefaultLimits(), sipa.DefaultDepth)
}

func wide(s string) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// variable writes UEFI_VARIABLE_DATA.
func variable(g eventlog.GUID, name string, data []byte) []byte {
	b := binary.LittleEndian.AppendUint64(g[:], uint64(len(utf16.Encode([]rune(name)))))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(data)))
	return slices.Concat(b, wide(name), data)
}

// node writes a node of a device path.
func node(kind, subtype byte, data []byte) []byte {
	return append(binary.LittleEndian.AppendUint16([]byte{kind, subtype}, uint16(len(data)+4)), data...)
}

// image writes UEFI_IMAGE_LOAD_EVENT.
func image(path ...[]byte) []byte {
	p := slices.Concat(path...)
	var b []byte
	for _, n := range []uint64{0x1000, 4711, 0, uint64(len(p))} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return append(b, p...)
}

// hashes writes an EFI_SIGNATURE_LIST of hashes, each of one byte repeated.
func hashes(values ...byte) []byte {
	g := eventlog.SHA256()
	b := binary.LittleEndian.AppendUint32(g[:], uint32(28+48*len(values)))
	b = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, 0), 48)
	for _, v := range values {
		b = append(append(b, make([]byte, 16)...), slices.Repeat([]byte{v}, 32)...)
	}
	return b
}

// element writes a SIPA element.
func element(id sipa.ID, data ...byte) []byte {
	b := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, uint32(id)), uint32(len(data)))
	return append(b, data...)
}
