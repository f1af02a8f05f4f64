package assaytest

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// The TCB evaluation data numbers of the simulated Intel (sgx-tdx.md section 5.4). The simulated platform is UpToDate
// at the first and OutOfDate at the second, so that a baseline can be seen to decide.
const (
	StandardEvaluation = 17 // update=standard; lower numbers are retired
	EarlyEvaluation    = 18 // update=early
)

// Platform is what the PCK certificate says about a platform (sgx-tdx.md section 4.3). Multi-byte values are in the
// order of the certificate.
type Platform struct {
	CA         Role // ProcessorCA or PlatformCA; must be the one in PCKChain
	PPID       [16]byte
	SVN        [16]byte // of the sixteen components
	PCESVN     uint16
	CPUSVN     [16]byte
	PCEID      [2]byte
	FMSPC      [6]byte
	InstanceID [16]byte // PlatformCA only
}

// SimulatedPlatform returns the platform that the simulated Intel has certified: FMSPC A55A79000000, PCEID 0000, at the
// highest level of [StandardEvaluation].
func SimulatedPlatform() Platform {
	top := TCBLevels(StandardEvaluation)[0]
	return Platform{
		CA:         PlatformCA,
		PPID:       [16]byte([]byte("simulated PPID 0")),
		SVN:        top.SVN,
		PCESVN:     top.PCESVN,
		CPUSVN:     top.SVN,
		FMSPC:      [6]byte{0xA5, 0x5A, 0x79},
		InstanceID: [16]byte([]byte("simulated inst 0")),
	}
}

// TCBLevel is a level of TCB info (sgx-tdx.md section 5.2).
type TCBLevel struct {
	SVN        [16]byte
	PCESVN     uint16
	TDX        [16]byte // components of TDX; in TCB info for TDX only
	Date       time.Time
	Status     string
	Advisories []string
}

// TCBLevels returns the levels of the simulated TCB info at the evaluation number given, highest first. At
// [StandardEvaluation] each of the seven statuses has its level: copy SVN and PCESVN of one into the [Platform] to see
// it. From [EarlyEvaluation] on there is a new highest level, and those below are out of date.
func TCBLevels(evaluation int) []TCBLevel {
	standard := []TCBLevel{
		level(7, 1, "UpToDate"),
		level(7, 0, "ConfigurationNeeded", "INTEL-SA-90002"),
		level(6, 1, "SWHardeningNeeded", "INTEL-SA-90001"),
		level(6, 0, "ConfigurationAndSWHardeningNeeded", "INTEL-SA-90001", "INTEL-SA-90002"),
		level(5, 1, "OutOfDate", "INTEL-SA-90001", "INTEL-SA-90003"),
		level(5, 0, "OutOfDateConfigurationNeeded", "INTEL-SA-90001", "INTEL-SA-90002", "INTEL-SA-90003"),
		level(1, 0, "Revoked", "INTEL-SA-90004"),
	}
	if evaluation < EarlyEvaluation {
		return standard
	}
	early := []TCBLevel{level(8, 1, "UpToDate")}
	for _, l := range standard {
		l.Status = outdated(l.Status)
		l.Advisories = append(l.Advisories, "INTEL-SA-90018")
		early = append(early, l)
	}
	return early
}

// level makes the level with the microcode and configuration components given. The microcode tells the date: a year
// for each number.
func level(microcode, configuration byte, status string, advisories ...string) TCBLevel {
	return TCBLevel{
		SVN:        [16]byte{microcode, microcode, 3, 3, 255, 255, configuration},
		PCESVN:     6 + uint16(microcode),
		TDX:        [16]byte{3, 0, microcode},
		Date:       time.Date(2017+int(microcode), 3, 13, 0, 0, 0, 0, time.UTC),
		Status:     status,
		Advisories: advisories,
	}
}

// outdated is what becomes of a status when a higher level is published.
func outdated(status string) string {
	switch status {
	case "UpToDate", "SWHardeningNeeded":
		return "OutOfDate"
	case "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded":
		return "OutOfDateConfigurationNeeded"
	}
	return status
}

// QELevel is a level of the QE identity (sgx-tdx.md section 5.3).
type QELevel struct {
	SVN        uint16
	Date       time.Time
	Status     string
	Advisories []string
}

// QELevels returns the levels of the simulated QE identity, highest first.
func QELevels() []QELevel {
	return []QELevel{
		{SVN: 8, Date: time.Date(2024, 3, 13, 0, 0, 0, 0, time.UTC), Status: "UpToDate"},
		{SVN: 6, Date: time.Date(2021, 11, 10, 0, 0, 0, 0, time.UTC), Status: "OutOfDate", Advisories: []string{"INTEL-SA-90005"}},
		{SVN: 4, Date: time.Date(2019, 11, 13, 0, 0, 0, 0, time.UTC), Status: "Revoked", Advisories: []string{"INTEL-SA-90006"}},
	}
}

// Attribute flags of an SGX enclave (sgx-tdx.md section 2.3).
const (
	flagInit         = 0x01
	flagDebug        = 0x02
	flagMode64Bit    = 0x04
	flagProvisionKey = 0x10
	flagKSS          = 0x80
)

// reportSize is the size of an SGX report body.
const reportSize = 384

// SGX is an SGX enclave as its report describes it (sgx-tdx.md section 2.3). The zero value is a release enclave with
// everything zero.
type SGX struct {
	CPUSVN       [16]byte // as the CPU reports it; no decision uses it
	MiscSelect   uint32
	Debug        bool
	ProvisionKey bool // may use the provisioning key, as the quoting enclave does
	MRENCLAVE    [32]byte
	MRSIGNER     [32]byte
	ProdID       uint16
	SVN          uint16
	ReportData   [64]byte

	KSS       bool // Key Separation and Sharing: gives the fields below their meaning
	ExtProdID [16]byte
	FamilyID  [16]byte
	ConfigID  [64]byte
	ConfigSVN uint16
}

// SimulatedEnclave returns a release enclave with product id 1, security version 2 and made-up measurements.
func SimulatedEnclave() SGX {
	return SGX{
		CPUSVN:    SimulatedPlatform().CPUSVN,
		MRENCLAVE: sha256.Sum256([]byte("simulated enclave")),
		MRSIGNER:  sha256.Sum256([]byte("simulated signer")),
		ProdID:    1,
		SVN:       2,
	}
}

// intelQESigner is MRSIGNER of Intel's quoting enclave, 32 bytes (sgx-tdx.md section 5.3).
const intelQESigner = "\x8c\x4f\x57\x75\xd7\x96\x50\x3e\x96\x13\x7f\x77\xc6\x8a\x82\x9a" +
	"\x00\x56\xac\x8d\xed\x70\x14\x0b\x08\x1b\x09\x44\x90\xc5\x7b\xff"

// SimulatedQE returns a quoting enclave that passes for Intel's: its MRSIGNER, product id 1, the highest of [QELevels].
func SimulatedQE() SGX {
	return SGX{
		CPUSVN:       SimulatedPlatform().CPUSVN,
		ProvisionKey: true,
		MRENCLAVE:    sha256.Sum256([]byte("simulated quoting enclave")),
		MRSIGNER:     [32]byte([]byte(intelQESigner)),
		ProdID:       1,
		SVN:          QELevels()[0].SVN,
	}
}

// report encodes e as an SGX report body.
func (e SGX) report() []byte {
	b := make([]byte, reportSize)
	le := binary.LittleEndian
	copy(b[0:], e.CPUSVN[:])
	le.PutUint32(b[16:], e.MiscSelect)
	copy(b[32:], e.ExtProdID[:])
	le.PutUint64(b[48:], e.flags())
	le.PutUint64(b[56:], 0x07) // XFRM: x87, SSE and AVX state
	copy(b[64:], e.MRENCLAVE[:])
	copy(b[128:], e.MRSIGNER[:])
	copy(b[192:], e.ConfigID[:])
	le.PutUint16(b[256:], e.ProdID)
	le.PutUint16(b[258:], e.SVN)
	le.PutUint16(b[260:], e.ConfigSVN)
	copy(b[304:], e.FamilyID[:])
	copy(b[320:], e.ReportData[:])
	return b
}

func (e SGX) flags() uint64 {
	flags := uint64(flagInit | flagMode64Bit)
	if e.Debug {
		flags |= flagDebug
	}
	if e.ProvisionKey {
		flags |= flagProvisionKey
	}
	if e.KSS {
		flags |= flagKSS
	}
	return flags
}
