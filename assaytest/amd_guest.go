package assaytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"
)

// SNPTCB is a TCB version of AMD's: the security version of each component. FMC is of Turin only.
type SNPTCB struct{ FMC, BootLoader, TEE, SNP, Microcode uint8 }

// SimulatedTCB returns the TCB version of the simulated chip of the product.
func SimulatedTCB(p AMDProduct) SNPTCB {
	tcb := SNPTCB{BootLoader: 4, TEE: 1, SNP: 24, Microcode: 219}
	if p == Turin {
		tcb.FMC = 2
	}
	return tcb
}

// bytes lays the TCB version out as the product does (sev-snp.md section 1).
func (t SNPTCB) bytes(p AMDProduct) []byte {
	if p == Turin {
		return []byte{t.FMC, t.BootLoader, t.TEE, t.SNP, 0, 0, 0, t.Microcode}
	}
	return []byte{t.BootLoader, t.TEE, 0, 0, 0, 0, t.SNP, t.Microcode}
}

// shortHardwareID is the number of bytes that name a chip of Turin.
const shortHardwareID = 8

// SimulatedChip returns the id of the simulated chip of the product.
func SimulatedChip(p AMDProduct) [64]byte {
	id := sha512.Sum512([]byte("simulated chip " + string(p)))
	if p == Turin {
		clear(id[shortHardwareID:])
	}
	return id
}

// hardwareID is the id of the chip as certificates and requests for them name it.
func (s *AMDScenario) hardwareID() []byte {
	if s.Product == Turin {
		return s.Chip[:shortHardwareID]
	}
	return s.Chip[:]
}

// SNPGuest is a SEV-SNP guest as its report describes it (sev-snp.md section 1). The zero value is a sound guest with everything zero.
type SNPGuest struct {
	GuestSVN         uint32
	Policy           uint64 // 0 stands for the usual one: 0x3001F
	FamilyID         [16]byte
	ImageID          [16]byte
	VMPL             uint32
	ReportData       [64]byte
	Measurement      [48]byte
	HostData         [32]byte
	IDKeyDigest      [48]byte
	AuthorKeyDigest  [48]byte // unless zero, the report says that there is an author key
	ReportID         [32]byte
	LaunchMitVector  uint64 // version 5 only
	CurrentMitVector uint64
}

// Guest policies: that of guests on Azure, which allows simultaneous multithreading, and bits to be added to it.
const (
	UsualSNPPolicy      uint64 = 0x3001F
	SNPMigrationAllowed uint64 = 1 << 18
	SNPDebugAllowed     uint64 = 1 << 19
)

// SimulatedSNPGuest returns a guest with security version 1 and made-up measurements.
func SimulatedSNPGuest() SNPGuest {
	return SNPGuest{
		GuestSVN:    1,
		Measurement: sha512.Sum384([]byte("simulated guest")),
		IDKeyDigest: sha512.Sum384([]byte("simulated id key")),
		ReportID:    sha256.Sum256([]byte("simulated report id")),
	}
}

// Sizes of a report and of what is signed of it.
const (
	snpReportSize = 1184
	snpSignedSize = 0x2A0
	snpNumberSize = 72
)

// Report encodes and signs the report.
func (s *AMDScenario) Report() ([]byte, error) {
	if s.ReportVersion < 2 || s.ReportVersion > 5 {
		return nil, fmt.Errorf("report version %d: only 2 to 5 can be made", s.ReportVersion)
	}
	body := s.edit(SNPReportBody, s.reportBody())
	signature, err := s.signReport(body)
	if err != nil {
		return nil, err
	}
	report := make([]byte, snpReportSize)
	copy(report, body)
	copy(report[snpSignedSize:], s.edit(SNPSignature, signature))
	return s.edit(SNPReport, report), nil
}

// reportBody encodes what is signed.
func (s *AMDScenario) reportBody() []byte {
	b := make([]byte, snpSignedSize)
	le := binary.LittleEndian
	le.PutUint32(b[0:], s.ReportVersion)
	le.PutUint32(b[0x34:], 1) // ECDSA P-384 with SHA-384
	s.Guest.put(b)
	le.PutUint64(b[0x40:], 1) // SMT is on
	le.PutUint32(b[0x48:], s.keyFlags())
	copy(b[0x38:], s.Current.bytes(s.Product))
	copy(b[0x180:], s.TCB.bytes(s.Product))
	copy(b[0x1E0:], s.Committed.bytes(s.Product))
	copy(b[0x1F0:], s.Launch.bytes(s.Product))
	copy(b[0x1E8:], []byte{7, 55, 1, 0, 7, 55, 1, 0}) // firmware 1.55.7, current and committed
	if !s.MaskChip {
		copy(b[0x1A0:], s.Chip[:])
	}
	if s.ReportVersion >= 3 {
		copy(b[0x188:], s.Product.cpuid())
	}
	if s.ReportVersion >= 5 {
		le.PutUint64(b[0x1F8:], s.Guest.LaunchMitVector)
		le.PutUint64(b[0x200:], s.Guest.CurrentMitVector)
	}
	return b
}

// put writes what the guest was launched with and asked for.
func (g *SNPGuest) put(b []byte) {
	le := binary.LittleEndian
	policy := g.Policy
	if policy == 0 {
		policy = UsualSNPPolicy
	}
	le.PutUint32(b[0x04:], g.GuestSVN)
	le.PutUint64(b[0x08:], policy)
	copy(b[0x10:], g.FamilyID[:])
	copy(b[0x20:], g.ImageID[:])
	le.PutUint32(b[0x30:], g.VMPL)
	copy(b[0x50:], g.ReportData[:])
	copy(b[0x90:], g.Measurement[:])
	copy(b[0xC0:], g.HostData[:])
	copy(b[0xE0:], g.IDKeyDigest[:])
	copy(b[0x110:], g.AuthorKeyDigest[:])
	copy(b[0x140:], g.ReportID[:])
	copy(b[0x160:0x180], slices.Repeat([]byte{0xFF}, 32)) // no migration agent
}

// keyFlags say which key signs, and whether author and chip are named.
func (s *AMDScenario) keyFlags() (flags uint32) {
	if s.Guest.AuthorKeyDigest != [48]byte{} {
		flags |= 1
	}
	if s.MaskChip {
		flags |= 1 << 1
	}
	if s.Key == VLEK {
		flags |= 1 << 2
	}
	return flags
}

// cpuid is family, model and stepping of a processor of the product.
func (p AMDProduct) cpuid() []byte {
	switch p {
	case Genoa:
		return []byte{0x19, 0x11, 1}
	case Turin:
		return []byte{0x1A, 0x02, 1}
	}
	return []byte{0x19, 0x01, 1}
}

// signReport returns r and s of the signature, little-endian in 72 bytes each.
func (s *AMDScenario) signReport(body []byte) ([]byte, error) {
	key, ok := s.keyOf(s.signer(SNPSignature, s.Key)).(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s cannot sign reports", s.Key)
	}
	digest := sha512.Sum384(body)
	der, err := key.Sign(nil, digest[:], crypto.SHA384) // as RFC 6979 says
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return nil, fmt.Errorf("reading the signature just made: %w", err)
	}
	return append(littleEndian(sig.R), littleEndian(sig.S)...), nil
}

func littleEndian(n *big.Int) []byte {
	b := n.FillBytes(make([]byte, snpNumberSize))
	slices.Reverse(b)
	return b
}

// Evidence returns the JSON document that clients send in the member report of a request to /attest/SevSnpVm (api.md section 7.4): report
// and certificates.
func (s *AMDScenario) Evidence() ([]byte, error) {
	report, err := s.Report()
	if err != nil {
		return nil, err
	}
	chain, err := s.ChainPEM()
	if err != nil {
		return nil, err
	}
	b64 := base64.RawURLEncoding
	doc := fmt.Appendf(nil, `{"SnpReport":"%s","VcekCertChain":"%s"}`, b64.EncodeToString(report), b64.EncodeToString(chain))
	return s.edit(SNPEvidence, doc), nil
}
