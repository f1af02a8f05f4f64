package assaytest

import (
	"crypto/x509"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/assay-attestation/assay/evidence"
)

// AMDFault is a change that breaks exactly one thing in the evidence of a SEV-SNP guest, or in the revocation list beside it.
type AMDFault struct {
	Name   string           // words joined by hyphens; unique among AMDFaults
	What   string           // what is wrong, for a person
	Checks []evidence.Check // the check that must refuse; more than one where any of them is right
	Break  func(*AMDScenario)
	Base   AMDBase // what the sound scenario has to be first
}

// AMDBase is a kind of sound scenario, in which a fault lies.
type AMDBase struct {
	Product AMDProduct // empty stands for Milan
	Version uint32     // of the report; 0 stands for 3
	VLEK    bool
}

// Sound gives the scenario before the fault.
func (f *AMDFault) Sound(a *AMD, at time.Time) *AMDScenario {
	p := f.Base.Product
	if p == "" {
		p = Milan
	}
	s := a.Scenario(p, at)
	if f.Base.Version != 0 {
		s.ReportVersion = f.Base.Version
	}
	if f.Base.VLEK {
		s.UseVLEK()
	}
	return s
}

// Broken gives the scenario with the fault.
func (f *AMDFault) Broken(a *AMD, at time.Time) *AMDScenario {
	s := f.Sound(a, at)
	f.Break(s)
	return s
}

// AMDFaults returns all ready-made faults. For every check that the verification of a SEV-SNP report has there is at least one.
func AMDFaults() []AMDFault {
	return slices.Concat(snpFormatFaults(), snpSignatureFaults(), snpPlatformFaults(), amdChainFaults(), amdExtensionFaults(), amdCRLFaults())
}

// amdStranger is an AMD that nobody trusts, made once.
var amdStranger = sync.OnceValue(func() *AMD { return newAMD("assay: an AMD that nobody trusts", nil) })

// snpAt changes the bytes of one part.
func snpAt(target AMDPart, change func([]byte) []byte) func(*AMDScenario) {
	return func(s *AMDScenario) {
		s.Edit.Bytes = func(p AMDPart, b []byte) []byte {
			if p != target {
				return b
			}
			return change(b)
		}
	}
}

// amdSignedBy has a part signed by the same role of another AMD.
func amdSignedBy(other *AMD, target AMDPart) func(*AMDScenario) {
	return func(s *AMDScenario) {
		s.Edit.Signer = func(p AMDPart, signer AMDSigner) AMDSigner {
			if p == target {
				signer.By = other
			}
			return signer
		}
	}
}

// amdSignedAs has a part signed by another role of the same AMD.
func amdSignedAs(r AMDRole, target AMDPart) func(*AMDScenario) {
	return func(s *AMDScenario) {
		s.Edit.Signer = func(p AMDPart, signer AMDSigner) AMDSigner {
			if p == target {
				signer.Role = r
			}
			return signer
		}
	}
}

// amdCertificate changes the certificate of one role before it is signed.
func amdCertificate(role AMDRole, change func(*AMDScenario, *x509.Certificate)) func(*AMDScenario) {
	return func(s *AMDScenario) {
		s.Edit.Certificate = func(r AMDRole, c *x509.Certificate) {
			if r == role {
				change(s, c)
			}
		}
	}
}

func put64(offset int, v uint64) func([]byte) []byte {
	return func(b []byte) []byte {
		binary.LittleEndian.PutUint64(b[offset:], v)
		return b
	}
}

// put8 sets a byte.
func put8(offset int, v byte) func([]byte) []byte { return fill(offset, 1, v) }

// snpFormatFaults break the form of the report and of the document around it.
func snpFormatFaults() []AMDFault {
	body := func(name, what string, version uint32, change func([]byte) []byte) AMDFault {
		return AMDFault{name, what, one(evidence.SNPFormat), snpAt(SNPReportBody, change), AMDBase{Version: version}}
	}
	whole := func(name, what string, part AMDPart, change func([]byte) []byte) AMDFault {
		return AMDFault{Name: name, What: what, Checks: one(evidence.SNPFormat), Break: snpAt(part, change)}
	}
	return []AMDFault{
		whole("not-json", "the document is not JSON", SNPEvidence, becomes("no JSON")),
		whole("json-cut", "the document ends early", SNPEvidence, cut(100)),
		whole("no-report", "the document has no report", SNPEvidence, replaced("SnpReport", "Report")),
		whole("report-twice", "the document has two reports", SNPEvidence, replaced("{", `{"snpreport":"",`)),
		whole("report-short", "a byte of the report is missing", SNPReport, cut(snpReportSize-1)),
		whole("report-long", "a byte behind the report", SNPReport, appended("\x00")),
		whole("report-tail", "not zero behind the signature", SNPReport, flip(snpReportSize-1, 1)),
		body("report-version-1", "version 1", 2, put32(0, 1)),
		body("report-version-6", "version 6", 5, put32(0, 6)),
		body("report-algorithm", "another signature algorithm", 0, put32(0x34, 2)),
		body("report-policy-17", "policy bit 17 is zero", 0, put64(0x08, UsualSNPPolicy&^(1<<17))),
		body("report-policy-26", "an unknown policy bit", 0, put64(0x08, UsualSNPPolicy|1<<26)),
		body("report-vmpl", "VMPL 4", 0, put32(0x30, 4)),
		body("report-key-flags", "an unknown key flag", 0, put32(0x48, 1<<5)),
		body("report-signing-key", "an unknown signing key", 0, put32(0x48, 2<<2)),
		body("report-reserved-4c", "reserved byte 04C", 0, put8(0x4C, 1)),
		body("report-reserved-18b", "reserved byte 18B", 0, put8(0x18B, 1)),
		body("report-reserved-1eb", "reserved byte 1EB", 0, put8(0x1EB, 1)),
		body("report-reserved-208", "reserved byte 208", 5, put8(0x208, 1)),
		body("report-cpuid-v2", "CPUID in version 2", 2, put8(0x188, 0x19)),
		body("report-mit-vector-v4", "a mitigation vector in version 4", 4, put64(0x200, 1)),
	}
}

// snpSignatureFaults break the signature of the report, or what it says about it.
func snpSignatureFaults() []AMDFault {
	signature := func(name, what string, breakIt func(*AMDScenario)) AMDFault {
		return AMDFault{Name: name, What: what, Checks: one(evidence.SNPSignature), Break: breakIt}
	}
	key := one(evidence.SNPSigningKey)
	return []AMDFault{
		signature("snp-signature-r", "a bit of r", snpAt(SNPSignature, flip(0, 1))),
		signature("snp-signature-s", "a bit of s", snpAt(SNPSignature, flip(snpNumberSize, 1))),
		signature("snp-signature-zero", "r is zero", snpAt(SNPSignature, fill(0, snpNumberSize, 0))),
		signature("snp-signature-big-endian", "r and s are big-endian", snpAt(SNPSignature, bigEndian)),
		signature("snp-signature-range", "r is above the order of the curve", snpAt(SNPSignature, fill(0, 48, 0xFF))),
		signature("snp-other-key", "signed by the key of a stranger", amdSignedBy(amdStranger(), SNPSignature)),
		signature("snp-provider-key", "signed by the VLEK, named as VCEK", amdSignedAs(VLEK, SNPSignature)),
		signature("snp-measurement-changed", "measurement changed after signing", snpAt(SNPReport, flip(0x90, 1))),
		signature("snp-report-data-changed", "report data changed after signing", snpAt(SNPReport, flip(0x50, 1))),
		signature("snp-policy-changed", "debugging taken out of the policy after signing", func(s *AMDScenario) {
			s.Guest.Policy = UsualSNPPolicy | SNPDebugAllowed
			snpAt(SNPReport, flip(0x0A, 1<<3))(s)
		}),
		{Name: "snp-says-vlek", What: "the report names the VLEK, the certificate is a VCEK", Checks: key, Break: snpAt(SNPReportBody, put32(0x48, 1<<2))},
		{"snp-says-vcek", "the report names the VCEK, the certificate is a VLEK", key, snpAt(SNPReportBody, put32(0x48, 0)), AMDBase{VLEK: true}},
		{Name: "snp-says-none", What: "the report says that nobody signed it", Checks: key, Break: snpAt(SNPReportBody, put32(0x48, 7<<2))},
	}
}

// bigEndian turns both numbers around.
func bigEndian(b []byte) []byte {
	slices.Reverse(b[:snpNumberSize])
	slices.Reverse(b[snpNumberSize:])
	return b
}

// snpPlatformFaults have the report tell of another platform than the certificates, or of one that cannot be.
func snpPlatformFaults() []AMDFault {
	body := func(name, what string, check evidence.Check, base AMDBase, change func([]byte) []byte) AMDFault {
		return AMDFault{name, what, one(check), snpAt(SNPReportBody, change), base}
	}
	milan, turin := AMDBase{}, AMDBase{Product: Turin}
	return []AMDFault{
		body("snp-other-processor", "the report is of a Genoa, the certificates are of Milan", evidence.SNPProduct, milan, put8(0x189, 0x11)),
		body("snp-unknown-processor", "no known processor", evidence.SNPProduct, milan, put8(0x188, 0x42)),
		body("snp-short-chip-v2", "a Turin's chip id in a report without CPUID", evidence.SNPProduct, AMDBase{Version: 2}, fill(0x1A0+8, 56, 0)),
		body("snp-other-chip", "another chip than the VCEK's", evidence.SNPChipID, milan, flip(0x1A0, 1)),
		body("snp-other-chip-end", "another chip, in its last byte", evidence.SNPChipID, milan, flip(0x1A0+63, 1)),
		body("snp-other-chip-turin", "another chip than the VCEK's, of Turin", evidence.SNPChipID, turin, flip(0x1A0, 1)),
		body("snp-long-chip-turin", "not zero behind the eight bytes of a Turin's chip id", evidence.SNPChipID, turin, put8(0x1A0+8, 1)),
		{Name: "snp-masked-chip", What: "the chip is not told", Checks: one(evidence.SNPChipID), Break: func(s *AMDScenario) { s.MaskChip = true }},
		body("snp-other-tcb", "another reported microcode than the VCEK's", evidence.SNPTCB, milan, put8(0x187, 218)),
		body("snp-other-fmc-turin", "another reported FMC than the VCEK's, of Turin", evidence.SNPTCB, turin, put8(0x180, 1)),
		body("snp-spare-tcb", "a spare component is not zero", evidence.SNPTCB, milan, put8(0x182, 1)),
		{Name: "snp-reported-above-current", What: "the reported TCB is above the current one", Checks: one(evidence.SNPTCB),
			Break: func(s *AMDScenario) { s.Current.Microcode-- }},
		{Name: "snp-committed-above-current", What: "the committed TCB is above the current one", Checks: one(evidence.SNPTCB),
			Break: func(s *AMDScenario) { s.Committed.BootLoader++ }},
	}
}
