package eventlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/binread"
)

// Variable is the data of an EFI variable event (UEFI_VARIABLE_DATA).
type Variable struct {
	GUID GUID
	Name string // exactly as logged: a NUL at the end would be part of it
	Data []byte
}

// ParseVariable reads the data of an EFI variable event to its last byte (tpm-evidence.md section 4.1):
//
//	GUID ‖ length of the name in UTF-16 units u64 ‖ length of the data u64 ‖ name ‖ data
//
// The variable keeps parts of data. The error is an [evidence.Refusal] of EventLogFormat.
func ParseVariable(data []byte, l Limits) (Variable, error) {
	c := binread.New(data)
	v := Variable{GUID: readGUID(c, "vendor GUID")}
	units, size := c.LE64("length of name"), c.LE64("length of data")
	if units > uint64(max(l.VariableName, 0)) {
		c.Fail("length of name: expected at most %d characters (limit efi_variable_name), found %d", l.VariableName, units)
	}
	name := c.Sub("name", 2*units)
	value := c.Sub("data", size)
	v.Data = value.Bytes("data", value.Left())
	if err := c.Done("variable"); err != nil {
		return Variable{}, refuseData("EFI variable", err)
	}
	text, err := utf16Text(name.Bytes("name", name.Left()))
	if err != nil {
		return Variable{}, refuseData("EFI variable", err)
	}
	v.Name = text
	return v, nil
}

func refuseData(what string, err error) error {
	return evidence.Refuse(evidence.EventLogFormat, "the data of an event is no %s", what).Because(err).Do(whole)
}

// utf16Text reads UTF-16, little-endian. Half a surrogate pair is an error: replaced, it would make different names one.
func utf16Text(b []byte) (string, error) {
	text := make([]byte, 0, len(b))
	for i := 0; i < len(b); i += 2 {
		r := rune(binary.LittleEndian.Uint16(b[i:]))
		if utf16.IsSurrogate(r) {
			if i += 2; i == len(b) {
				return "", errors.New("name: ends in half a character")
			}
			if r = utf16.DecodeRune(r, rune(binary.LittleEndian.Uint16(b[i:]))); r == utf8.RuneError {
				return "", fmt.Errorf("name: no UTF-16 at character %d", i/2)
			}
		}
		text = utf8.AppendRune(text, r)
	}
	return string(text), nil
}

// Signature is one entry of an EFI_SIGNATURE_LIST: a certificate or a hash.
type Signature struct {
	Type  GUID // of the list: what Data is
	Owner GUID
	Data  []byte
}

// Sizes of an EFI_SIGNATURE_LIST.
const (
	guidSize       = 16
	listHeaderSize = 28
)

// ParseSignatureLists reads the value of a signature database (PK, KEK, db, dbx) to its last byte (tpm-evidence.md section
// 4.1): lists of
//
//	type GUID ‖ size of the list u32 ‖ size of its header u32 ‖ size of an entry u32 ‖ header ‖ entries (owner GUID ‖ data)
//
// The header of a list says nothing and is skipped. The signatures keep parts of b. The error is an [evidence.Refusal] of
// EventLogFormat.
func ParseSignatureLists(b []byte) ([]Signature, error) {
	var all []Signature
	c := binread.New(b)
	for c.Left() > 0 && c.Err() == nil {
		all = readSignatureList(c, all)
	}
	if err := c.Err(); err != nil {
		return nil, refuseData("list of signatures", err)
	}
	return all, nil
}

// readSignatureList adds the entries of the list at the cursor.
func readSignatureList(c *binread.Cursor, all []Signature) []Signature {
	kind := readGUID(c, "type of list")
	size, header, entry := int64(c.LE32("size of list")), int64(c.LE32("size of list header")), int64(c.LE32("size of signature"))
	entries := size - listHeaderSize - header
	switch {
	case c.Err() != nil:
	case entries < 0:
		c.Fail("size of list: expected at least %d with its headers, found %d", listHeaderSize+header, size)
	case entry <= guidSize:
		c.Fail("size of signature: expected more than %d, found %d", guidSize, entry)
	case entries%entry != 0:
		c.Fail("size of list: %d bytes of signatures of %d bytes each do not come out even", entries, entry)
	}
	c.Sub("list header", uint64(header))
	list := c.Sub("signatures", uint64(max(entries, 0)))
	if c.Err() == nil {
		all = slices.Grow(all, int(entries/entry))
	}
	for c.Err() == nil && list.Left() > 0 {
		all = append(all, Signature{Type: kind, Owner: readGUID(list, "owner"), Data: list.Bytes("signature", int(entry)-guidSize)})
	}
	return all
}
