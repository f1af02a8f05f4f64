// Package vbs reads and verifies the attestation reports of VBS enclaves (tpm.md section 11).
package vbs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unicode/utf16"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/binread"
)

// The layout of a report (tpm.md section 11).
const (
	headerSize     = 24
	identitySize   = 152
	statementSize  = 8 + 64 + identitySize // without records
	recordSize     = 8                     // of a record without content
	moduleSize     = recordSize + 100      // of a module without its name
	packageVersion = 1
	reportVersion  = 1
	scheme         = 1 // RSASSA-PSS with SHA-256
	typeUnsaid     = 0 // older descriptions call the field reserved
	typeVBS        = 0x10
	recordModule   = 1
	alignment      = 8
)

// MaxModules is how many modules an enclave may have.
const MaxModules = 1024

const remedy = "send the output of EnclaveGetAttestationReport unchanged"

// Report is an enclave report, parsed. Nothing of it is believed.
type Report struct {
	statement   []byte // what is signed
	signature   []byte
	enclaveData [64]byte
	identity    Identity
	modules     []Module
}

// Identity is who an enclave is, as the secure kernel says.
type Identity struct {
	OwnerID, UniqueID, AuthorID                                         [32]byte
	FamilyID, ImageID                                                   [16]byte
	EnclaveSVN, SecureKernelSVN, PlatformSVN, Flags, SigningLevel, Type uint32
}

// Debuggable reports whether any of the three debugging flags is set: full debugging enabled, dynamic debugging enabled or active.
func (id Identity) Debuggable() bool { return id.Flags&7 != 0 }

// Module is a module that is loaded in an enclave.
type Module struct {
	Name               string
	UniqueID, AuthorID [32]byte
	FamilyID, ImageID  [16]byte
	SVN                uint32
}

// Parse reads the output of EnclaveGetAttestationReport, little-endian, to its last byte. Records of unknown types are skipped. The
// report aliases b. The error is an [evidence.Refusal] of VBSFormat that names the field and its offset.
func Parse(b []byte) (*Report, error) {
	c := binread.New(b)
	r := &Report{}
	signed, signature := readHeader(c, len(b))
	statement := c.Sub("signed statement", uint64(signed))
	if statement.Err() == nil {
		r.statement = b[headerSize : headerSize+int(signed)]
	}
	r.readStatement(statement, signed)
	if statement.Done("signed statement") != nil {
		return nil, malformed(statement.Err())
	}
	r.signature = c.Bytes("signature", int(signature))
	if err := c.Done("report"); err != nil {
		return nil, malformed(err)
	}
	return r, nil
}

func malformed(err error) error {
	return evidence.Refuse(evidence.VBSFormat, "the enclave report is malformed").Because(err).Do(remedy)
}

// readHeader reads the header of a report of length bytes and gives the lengths of the statement and of the signature.
func readHeader(c *binread.Cursor, length int) (signed, signature uint32) {
	size := c.LE32("package size")
	if uint64(size) != uint64(length) {
		c.Fail("package size: expected %d, the length of the report, found %d", length, size)
	}
	expect(c, "version", packageVersion)
	expect(c, "signature scheme", scheme)
	signed, signature = c.LE32("signed statement size"), c.LE32("signature size")
	c.LE32("reserved")
	if headerSize+uint64(signed)+uint64(signature) != uint64(size) {
		c.Fail("package size: %d bytes of header, %d of statement and %d of signature do not make %d", headerSize, signed, signature, size)
	}
	if signed < statementSize {
		c.Fail("signed statement size: expected at least %d, found %d", statementSize, signed)
	}
	return signed, signature
}

// expect reads a 32-bit integer that has one value only.
func expect(c *binread.Cursor, field string, want uint32) {
	if v := c.LE32(field); v != want {
		c.Fail("%s: expected %d, found %d", field, want, v)
	}
}

// readStatement reads what the secure kernel signed.
func (r *Report) readStatement(c *binread.Cursor, size uint32) {
	expect(c, "report size", size)
	expect(c, "report version", reportVersion)
	copy(r.enclaveData[:], c.Bytes("enclave data", len(r.enclaveData)))
	r.identity.read(c)
	for c.Err() == nil && c.Left() > 0 {
		r.readRecord(c)
	}
}

func (id *Identity) read(c *binread.Cursor) {
	copy(id.OwnerID[:], c.Bytes("owner id", len(id.OwnerID)))
	copy(id.UniqueID[:], c.Bytes("unique id", len(id.UniqueID)))
	copy(id.AuthorID[:], c.Bytes("author id", len(id.AuthorID)))
	copy(id.FamilyID[:], c.Bytes("family id", len(id.FamilyID)))
	copy(id.ImageID[:], c.Bytes("image id", len(id.ImageID)))
	id.EnclaveSVN, id.SecureKernelSVN, id.PlatformSVN = c.LE32("enclave svn"), c.LE32("secure kernel svn"), c.LE32("platform svn")
	id.Flags, id.SigningLevel = c.LE32("flags"), c.LE32("signing level")
	if id.Type = c.LE32("enclave type"); id.Type != typeUnsaid && id.Type != typeVBS {
		c.Fail("enclave type: expected %#x (VBS) or 0, found %#x", typeVBS, id.Type)
	}
}

// readRecord reads one record behind the identity.
func (r *Report) readRecord(c *binread.Cursor) {
	start := c.Offset()
	kind, size := c.LE32("record type"), c.LE32("record size")
	least := uint32(recordSize)
	if kind == recordModule {
		least = moduleSize
	}
	if c.Err() == nil && size < least {
		c.Fail("record size of type %d at offset %d: expected at least %d, found %d", kind, start, least, size)
	}
	if c.Err() != nil {
		return
	}
	content := c.Sub("record", uint64(size-recordSize))
	if kind == recordModule && content.Err() == nil {
		r.readModule(content)
		if err := content.Done("module"); err != nil {
			c.Fail("%w", err)
		}
	}
}

func (r *Report) readModule(c *binread.Cursor) {
	if len(r.modules) == MaxModules {
		c.Fail("module at offset %d: there are more than %d", c.Offset(), MaxModules)
		return
	}
	var m Module
	copy(m.UniqueID[:], c.Bytes("module unique id", len(m.UniqueID)))
	copy(m.AuthorID[:], c.Bytes("module author id", len(m.AuthorID)))
	copy(m.FamilyID[:], c.Bytes("module family id", len(m.FamilyID)))
	copy(m.ImageID[:], c.Bytes("module image id", len(m.ImageID)))
	m.SVN = c.LE32("module svn")
	start := c.Offset()
	name, err := moduleName(c.Bytes("module name", c.Left()))
	if err != nil {
		c.Fail("module name at offset %d: %w", start, err)
	}
	m.Name = name
	r.modules = append(r.modules, m)
}

// moduleName reads UTF-16 with a NUL at its end. Fewer than 8 bytes of zeros may follow, which fill up the record.
func moduleName(b []byte) (string, error) {
	if len(b)%2 != 0 {
		return "", fmt.Errorf("%d bytes are no UTF-16", len(b))
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	end := slices.Index(units, 0)
	if end < 0 {
		return "", errors.New("there is no NUL behind it")
	}
	rest := units[end+1:]
	if 2*len(rest) >= alignment || slices.ContainsFunc(rest, func(u uint16) bool { return u != 0 }) {
		return "", fmt.Errorf("%d bytes follow its NUL", 2*len(rest))
	}
	return string(utf16.Decode(units[:end])), nil
}
