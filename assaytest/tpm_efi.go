package assaytest

import (
	"encoding/binary"
	"unicode/utf16"
)

// EFIGUID is 16 bytes as they stand in EFI structures: the first three fields little-endian.
type EFIGUID [16]byte

// The namespaces of EFI variables, the types of signature lists, and the owner of their entries, as simulated firmware uses them (tpm-evidence.md
// section 4.1).

func efiGlobal() EFIGUID {
	return EFIGUID{0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c}
}

func efiImage() EFIGUID {
	return EFIGUID{0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45, 0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f}
}

func efiX509() EFIGUID {
	return EFIGUID{0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72}
}

func efiSHA256() EFIGUID {
	return EFIGUID{0x26, 0x16, 0xc4, 0xc1, 0x4c, 0x50, 0x92, 0x40, 0xac, 0xa9, 0x41, 0xf9, 0x36, 0x93, 0x43, 0x28}
}

func efiOwner() EFIGUID {
	return EFIGUID{0xa5, 0x5a, 0x11, 0xed}
}

// utf16Bytes writes s in UTF-16, little-endian, without a NUL.
func utf16Bytes(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// EFIVariable is the data of an EFI variable event (UEFI_VARIABLE_DATA).
func EFIVariable(guid EFIGUID, name string, value []byte) []byte {
	text := utf16Bytes(name)
	b := append([]byte(nil), guid[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(text)/2))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
	return append(append(b, text...), value...)
}

// signatureList is an EFI_SIGNATURE_LIST of entries of one length, all of the simulated owner.
func signatureList(kind EFIGUID, entries ...[]byte) []byte {
	owner, size := efiOwner(), 16+len(entries[0])
	b := append([]byte(nil), kind[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(28+size*len(entries)))
	b = binary.LittleEndian.AppendUint32(b, 0) // no header
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	for _, e := range entries {
		b = append(append(b, owner[:]...), e...)
	}
	return b
}

// bootApplication is the data of an image that firmware started: an address, a length and a device path, none of it covered by
// the digest.
func bootApplication() []byte {
	b := binary.LittleEndian.AppendUint64(nil, 0x7000_0000)
	b = binary.LittleEndian.AppendUint64(b, 0x2000)
	b = binary.LittleEndian.AppendUint64(b, 0)
	return append(binary.LittleEndian.AppendUint64(b, 4), 0x7F, 0xFF, 4, 0) // an empty device path
}

// firmwareBlob is the data of EV_EFI_PLATFORM_FIRMWARE_BLOB.
func firmwareBlob() []byte {
	b := binary.LittleEndian.AppendUint64(nil, 0xFF00_0000)
	return binary.LittleEndian.AppendUint64(b, 0x0010_0000)
}

// partitionTable is a GPT header with no partitions.
func partitionTable() []byte {
	b := make([]byte, 92+8)
	copy(b, "EFI PART")
	return b
}
