package snp

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/binread"
)

// Sizes of the report and of its parts (sev-snp.md section 1).
const (
	// ReportSize is the length of every report in bytes.
	ReportSize   = 1184
	signedSize   = 0x2A0
	numberSize   = 72 // of r and of s, little-endian
	reservedTail = ReportSize - signedSize - 2*numberSize
)

// Versions of the report with which fields came.
const (
	versionCPUID     = 3
	versionMitVector = 5
)

// Values and bits of the report.
const (
	ecdsaP384SHA384 = 1         // the only signature algorithm
	hostRequest     = 1<<32 - 1 // VMPL of a report that the host asked for
	policyReserved  = 1 << 17   // must be set
	policyKnown     = 1<<26 - 1
	keyFlagsKnown   = 1<<5 - 1
)

// SigningKey says whose key signed a report.
type SigningKey uint8

// The signing keys that a report can name.
const (
	VCEK SigningKey = 0 // of the chip, for one TCB version
	VLEK SigningKey = 1 // of a cloud provider, for one TCB version
	None SigningKey = 7 // nobody signed
)

// String names the key as AMD does.
func (k SigningKey) String() string {
	switch k {
	case VCEK:
		return "VCEK"
	case VLEK:
		return "VLEK"
	case None:
		return "none"
	}
	return fmt.Sprintf("SIGNING_KEY %d", uint8(k))
}

// Report is a well-formed attestation report of which nothing is believed. Byte arrays are as in the report. It is there to look at: a verification
// reads it from its bytes again.
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

	raw [ReportSize]byte
}

// ParseReport reads the 1184 bytes of a report, of any version: [Verify] knows which ones are accepted. The error is an [evidence.Refusal].
func ParseReport(b []byte) (*Report, error) {
	r, refusal := readReport(b)
	if refusal != nil {
		return nil, refusal
	}
	return r, nil
}

func readReport(b []byte) (*Report, *evidence.Refusal) {
	if len(b) != ReportSize {
		return nil, malformed("the report has the wrong length").Want(fmt.Sprintf("%d bytes", ReportSize), fmt.Sprintf("%d bytes", len(b)))
	}
	r := &Report{raw: [ReportSize]byte(b)}
	c := binread.New(r.raw[:])
	r.readGuest(c)
	r.readPlatform(c)
	r.readSignature(c)
	if err := c.Done("report"); err != nil {
		return nil, malformed("a field of the report has a value that it cannot have").Because(err)
	}
	return r, r.check()
}

// malformed is a refusal of the form of a report or of the request around it.
func malformed(format string, args ...any) *evidence.Refusal {
	return evidence.Refuse(evidence.SNPFormat, format, args...).Do("send the report exactly as the platform gave it")
}

// readGuest reads what the guest was launched with and asked for.
func (r *Report) readGuest(c *binread.Cursor) {
	r.Version = c.LE32("VERSION")
	r.GuestSVN = c.LE32("GUEST_SVN")
	r.Policy = c.LE64("POLICY")
	copy(r.FamilyID[:], c.Bytes("FAMILY_ID", 16))
	copy(r.ImageID[:], c.Bytes("IMAGE_ID", 16))
	r.VMPL = c.LE32("VMPL")
	if algorithm := c.LE32("SIGNATURE_ALGO"); algorithm != ecdsaP384SHA384 {
		c.Fail("SIGNATURE_ALGO is %d, must be %d (ECDSA P-384 with SHA-384)", algorithm, ecdsaP384SHA384)
	}
	copy(r.CurrentTCB[:], c.Bytes("CURRENT_TCB", 8))
	r.PlatformInfo = c.LE64("PLATFORM_INFO")
	r.readKeyFlags(c)
	copy(r.ReportData[:], c.Bytes("REPORT_DATA", 64))
	copy(r.Measurement[:], c.Bytes("MEASUREMENT", 48))
	copy(r.HostData[:], c.Bytes("HOST_DATA", 32))
	copy(r.IDKeyDigest[:], c.Bytes("ID_KEY_DIGEST", 48))
	copy(r.AuthorKeyDigest[:], c.Bytes("AUTHOR_KEY_DIGEST", 48))
	copy(r.ReportID[:], c.Bytes("REPORT_ID", 32))
	copy(r.ReportIDMA[:], c.Bytes("REPORT_ID_MA", 32))
}

func (r *Report) readKeyFlags(c *binread.Cursor) {
	flags := c.LE32("key flags")
	r.AuthorKeyEn = flags&1 != 0
	r.MaskChipKey = flags&2 != 0
	r.SigningKey = SigningKey(flags >> 2 & 7)
	if flags&^keyFlagsKnown != 0 {
		c.Fail("key flags are %#x, bits from 5 on must be zero", flags)
	}
	zero(c, "behind the key flags", 4)
}

// readPlatform reads the rest of what is signed.
func (r *Report) readPlatform(c *binread.Cursor) {
	copy(r.ReportedTCB[:], c.Bytes("REPORTED_TCB", 8))
	copy(r.CPUID[:], c.Bytes("CPUID", 3))
	zero(c, "behind CPUID", 21)
	copy(r.ChipID[:], c.Bytes("CHIP_ID", 64))
	copy(r.CommittedTCB[:], c.Bytes("COMMITTED_TCB", 8))
	c.Bytes("CURRENT_BUILD", 3)
	zero(c, "behind CURRENT_BUILD", 1)
	c.Bytes("COMMITTED_BUILD", 3)
	zero(c, "behind COMMITTED_BUILD", 1)
	copy(r.LaunchTCB[:], c.Bytes("LAUNCH_TCB", 8))
	r.LaunchMitVector = c.LE64("LAUNCH_MIT_VECTOR")
	r.CurrentMitVector = c.LE64("CURRENT_MIT_VECTOR")
	zero(c, "behind CURRENT_MIT_VECTOR", 152)
}

func (r *Report) readSignature(c *binread.Cursor) {
	c.Bytes("R and S", 2*numberSize)
	zero(c, "behind the signature", reservedTail)
}

// zero reads n bytes that must be zero.
func zero(c *binread.Cursor, field string, n int) {
	start := c.Offset()
	isSet := func(b byte) bool { return b != 0 }
	if i := slices.IndexFunc(c.Bytes(field, n), isSet); i >= 0 {
		c.Fail("the reserved byte at offset %#x (%s) is not zero", start+i, field)
	}
}

// check holds the values of fields against what they can be.
func (r *Report) check() *evidence.Refusal {
	switch {
	case r.Version < versionCPUID && r.CPUID != [3]byte{}:
		return malformed("the report has a CPUID, which its version does not have").Want("zeros before version 3", fmt.Sprintf("%x in version %d", r.CPUID, r.Version))
	case r.Version < versionMitVector && (r.LaunchMitVector|r.CurrentMitVector) != 0:
		return malformed("the report has mitigation vectors, which its version does not have").
			Want("zeros before version 5", fmt.Sprintf("%#x and %#x in version %d", r.LaunchMitVector, r.CurrentMitVector, r.Version))
	case r.Policy&policyReserved == 0 || r.Policy&^policyKnown != 0:
		return malformed("the guest policy has bits that it cannot have").Want("bit 17 set, bits 26 to 63 zero", fmt.Sprintf("%#x", r.Policy))
	case r.VMPL > 3 && r.VMPL != hostRequest:
		return malformed("there is no such VMPL").Want("0 to 3, or FFFFFFFF for a request by the host", fmt.Sprintf("%X", r.VMPL))
	case r.SigningKey != VCEK && r.SigningKey != VLEK && r.SigningKey != None:
		return malformed("the report names a signing key that there is not").Want("0 (VCEK), 1 (VLEK) or 7 (none)", uint8(r.SigningKey))
	case r.SigningKey != None && !(inRange(r.number(0)) && inRange(r.number(1))):
		return evidence.Refuse(evidence.SNPSignature, "r or s of the signature is no number from 1 to n-1").
			Want("a signature, little-endian", "numbers out of range").Do("send the report exactly as the platform gave it")
	}
	return nil
}

// number is r (0) or s (1) of the signature.
func (r *Report) number(i int) *big.Int {
	start := signedSize + i*numberSize
	b := bytes.Clone(r.raw[start : start+numberSize])
	slices.Reverse(b)
	return new(big.Int).SetBytes(b)
}

func inRange(n *big.Int) bool {
	return n.Sign() > 0 && n.Cmp(elliptic.P384().Params().N) < 0
}

// signedBy reports whether key signed the report.
func (r *Report) signedBy(key *ecdsa.PublicKey) bool {
	digest := sha512.Sum384(r.raw[:signedSize])
	return ecdsa.Verify(key, digest[:], r.number(0), r.number(1))
}

// Debug reports whether the host may read and change the guest.
func (r *Report) Debug() bool { return r.Policy&(1<<19) != 0 }

// Migratable reports whether the guest may have a migration agent.
func (r *Report) Migratable() bool { return r.Policy&(1<<18) != 0 }

// SMT reports whether the guest may run on a processor with simultaneous multithreading.
func (r *Report) SMT() bool { return r.Policy&(1<<16) != 0 }

// Product is the generation of processors that the CPUID in the report names (sev-snp.md section 1). The error says that there is none, as in reports
// before version 3, or an unknown one.
func (r *Report) Product() (Product, error) {
	switch family, model := r.CPUID[0], r.CPUID[1]; {
	case r.Version < versionCPUID:
		return "", errors.New("reports before version 3 do not name the processor")
	case family == 0x19 && model <= 0x0F:
		return Milan, nil
	case family == 0x19 && (0x10 <= model && model <= 0x1F || 0xA0 <= model && model <= 0xAF):
		return Genoa, nil
	case family == 0x1A && model <= 0x11:
		return Turin, nil
	case family == 0x1A && (0x50 <= model && model <= 0x57 || 0x90 <= model && model <= 0xAF || 0xC0 <= model && model <= 0xC7):
		return Venice, nil
	}
	return "", fmt.Errorf("no known processor has family %#x, model %#x", r.CPUID[0], r.CPUID[1])
}

// shortChipID reports whether the chip id has the form of Turin's: eight bytes, then zeros.
func (r *Report) shortChipID() bool {
	return [64 - shortID]byte(r.ChipID[shortID:]) == [64 - shortID]byte{} && [shortID]byte(r.ChipID[:]) != [shortID]byte{}
}
