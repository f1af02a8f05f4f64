package eventlog

import (
	"encoding/binary"

	"github.com/assay-attestation/assay/internal/binread"
)

// GUID is 16 bytes as they stand in EFI structures: the first three fields little-endian.
type GUID [guidSize]byte

// String writes the GUID as claims do (tpm.md section 9.2): upper case without braces,
// such as 8BE4DF61-93CA-11D2-AA0D-00E098032B8C.
func (g GUID) String() string {
	const digits = "0123456789ABCDEF"
	order := [guidSize]int{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15}
	text := make([]byte, 0, 2*guidSize+4)
	for i, at := range order {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			text = append(text, '-')
		}
		text = append(text, digits[g[at]>>4], digits[g[at]&15])
	}
	return string(text)
}

// guid makes a GUID of its fields as they are written, the last two in one.
func guid(a uint32, b, c uint16, d uint64) (g GUID) {
	binary.LittleEndian.PutUint32(g[0:], a)
	binary.LittleEndian.PutUint16(g[4:], b)
	binary.LittleEndian.PutUint16(g[6:], c)
	binary.BigEndian.PutUint64(g[8:], d)
	return g
}

func readGUID(c *binread.Cursor, field string) (g GUID) {
	copy(g[:], c.Bytes(field, guidSize))
	return g
}

// GlobalVariable is the vendor of the variables that UEFI itself names: SecureBoot, PK, KEK, BootOrder, Boot0000
// (tpm-evidence.md section 4.1).
func GlobalVariable() GUID { return guid(0x8be4df61, 0x93ca, 0x11d2, 0xaa0d_00e098032b8c) }

// ImageSecurity is the vendor of the signature databases db, dbx, dbt and dbr.
func ImageSecurity() GUID { return guid(0xd719b2cb, 0x3d3a, 0x4596, 0xa3bc_dad00e67656f) }

// Shim is the vendor of what the boot loader shim logs: SbatLevel, MokList, MokListTrusted, Shim.
func Shim() GUID { return guid(0x605dab50, 0xe046, 0x4300, 0xabb6_3dd810dd8b23) }

// X509 is the type of signature lists of certificates (DER).
func X509() GUID { return guid(0xa5c059a1, 0x94e4, 0x4aa7, 0x87b5_ab155c2bf072) }

// SHA256 is the type of signature lists of hashes of images.
func SHA256() GUID { return guid(0xc1c41626, 0x504c, 0x4092, 0xaca9_41f936934328) }
