// Package hcl reads the container in which the paravisor of an Azure confidential VM leaves its hardware report and the runtime data
// that the report vouches for (sev-snp.md section 4). It checks the hash between the two, never the hardware report itself.
package hcl

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/binread"
)

// MaxSize bounds a container in bytes; the one in a vTPM has 2600.
const MaxSize = 64 << 10

// Type says what hardware report a container holds.
type Type uint32

// The report types whose hardware report can be verified. Nobody outside Azure can verify one of VBS (1).
const (
	SNP Type = 2
	TDX Type = 4
)

// Values and sizes of the layout (sev-snp.md section 4).
const (
	requestAK    = 2
	innerVersion = 1
	hardwareArea = 1184
	fixedSize    = 1236 // all that stands before the runtime data
	innerHeader  = 20
	tdreportSize = 1024
	tdreportType = 0x81 // the first byte of a TDREPORT
)

// Container is a parsed HCL report. Its runtime data has the hash that its hardware report begins its report data with; neither is believed.
type Container struct {
	Type        Type
	Hardware    []byte // the hardware report: 1184 bytes of SNP, a TDREPORT of 1024 bytes
	RuntimeData []byte // JSON, exactly as it was hashed
}

// header is what surrounds hardware report and runtime data.
type header struct {
	magic                                         []byte
	version, reportSize, requestType, status      uint32
	dataSize, inner, reportType, hashType, length uint32
}

// Parse reads a container, with zeros behind it or none. It keeps parts of b. The error is an [evidence.Refusal] for hcl-format, or for
// runtime-data where the hash is another.
func Parse(b []byte) (*Container, error) {
	if len(b) > MaxSize {
		return nil, malformed("it is too long").Want("at most 65536 bytes", len(b))
	}
	c, h := binread.New(b), header{}
	h.magic = c.Bytes("signature", 4)
	h.version, h.reportSize, h.requestType, h.status = c.LE32("version"), c.LE32("report size"), c.LE32("request type"), c.LE32("status")
	c.Bytes("reserved", 12)
	area := c.Bytes("hardware report", hardwareArea)
	h.dataSize, h.inner, h.reportType = c.LE32("data size"), c.LE32("data version"), c.LE32("report type")
	h.hashType, h.length = c.LE32("hash type"), c.LE32("variable data size")
	if c.Err() != nil {
		return nil, malformed("it is cut short").Because(c.Err())
	}
	if r := h.check(); r != nil {
		return nil, r
	}
	runtime := c.Sub("runtime data", uint64(h.length))
	if c.Err() != nil {
		return nil, malformed("it is cut short").Because(c.Err())
	}
	out := &Container{Type(h.reportType), area, runtime.Bytes("runtime data", int(h.length))}
	return out, out.finish(&h, b)
}

// check compares the fields that have one right value, or a few.
func (h *header) check() *evidence.Refusal {
	for _, field := range []struct {
		name        string
		right       bool
		want, found any
	}{
		{"signature", string(h.magic) == "HCLA", "HCLA", hex.EncodeToString(h.magic)},
		{"version", h.version == 1 || h.version == 2, "1 or 2", h.version},
		{"request type", h.requestType == requestAK, requestAK, h.requestType},
		{"status", h.status == 0, 0, h.status},
		{"version of the data", h.inner == innerVersion, innerVersion, h.inner},
		{"report type", Type(h.reportType) == SNP || Type(h.reportType) == TDX, "2 (SEV-SNP) or 4 (TDX)", h.reportType},
		{"hash type", h.hashType >= 1 && h.hashType <= 3, "1, 2 or 3 (SHA-256, SHA-384, SHA-512)", h.hashType},
	} {
		if !field.right {
			return malformed("its "+field.name+" is not one that is read").Want(field.want, field.found)
		}
	}
	return nil
}

// finish checks what needs the whole container: the kind of the hardware report, the hash, and that all sizes agree.
func (c *Container) finish(h *header, b []byte) error {
	if c.Type == TDX {
		if c.Hardware[0] != tdreportType {
			return malformed("its type says TDX and the hardware report is none").Want("a TDREPORT, which begins with 0x81", c.Hardware[0])
		}
		c.Hardware = c.Hardware[:tdreportSize]
	}
	if err := c.bound(h.hashType); err != nil {
		return err
	}
	end := fixedSize + len(c.RuntimeData)
	switch {
	case h.reportSize != uint32(end):
		return malformed("its report size is another than that of its parts").Want(end, h.reportSize)
	case h.dataSize != uint32(innerHeader+len(c.RuntimeData)):
		return malformed("its data size is another than that of its parts").Want(innerHeader+len(c.RuntimeData), h.dataSize)
	case len(bytes.Trim(b[end:], "\x00")) > 0:
		return malformed("something stands behind it").Want("zeros", "others")
	}
	return nil
}

// bound compares the hash of the runtime data with the report data, of which the rest must be zero.
func (c *Container) bound(hashType uint32) error {
	var want [64]byte
	switch hashType {
	case 1:
		sum := sha256.Sum256(c.RuntimeData)
		copy(want[:], sum[:])
	case 2:
		sum := sha512.Sum384(c.RuntimeData)
		copy(want[:], sum[:])
	default:
		want = sha512.Sum512(c.RuntimeData)
	}
	if found := c.ReportData(); want != found {
		return evidence.Refuse(evidence.RuntimeData, "the runtime data of the HCL report is not what its hardware report vouches for").
			Want("report data "+hex.EncodeToString(want[:]), hex.EncodeToString(found[:])).
			Do("read NV index 01400001 again and send it unchanged")
	}
	return nil
}

// ReportData is the report data in the hardware report.
func (c *Container) ReportData() [64]byte {
	at := 0x50
	if c.Type == TDX {
		at = 128
	}
	return [64]byte(c.Hardware[at:])
}

func malformed(problem string) *evidence.Refusal {
	return evidence.Refuse(evidence.HCLFormat, "the HCL report cannot be read: %s", problem).
		Do("read NV index 01400001 of the vTPM again and send it unchanged")
}

// TypeOf gives the report type that a container states, also one that [Parse] does not read; false: it has not the form of a container.
// Nothing else of it is looked at.
func TypeOf(b []byte) (Type, bool) {
	const typeAt = 32 + hardwareArea + 8
	if len(b) < typeAt+4 || string(b[:4]) != "HCLA" {
		return 0, false
	}
	return Type(binary.LittleEndian.Uint32(b[typeAt:])), true
}
