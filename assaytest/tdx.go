package assaytest

import (
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"time"
)

// The items of a [PCS] for TDX. As parts of a scenario they are called TCBInfo and QEIdentity.
const (
	TDXTCBInfo   Part = "TCB info for TDX"
	TDQEIdentity Part = "TD QE identity"
)

// TDXGuest is a TD as its report describes it (sgx-tdx.md section 2.4). The zero value has everything zero.
type TDXGuest struct {
	TEETCBSVN      [16]byte // at the launch: [0] SVN and [1] version of the TDX module, [2] and above the rest of the platform
	MRSEAM         [48]byte
	MRSIGNERSEAM   [48]byte
	SEAMAttributes [8]byte
	Attributes     [8]byte // of the TD; bit 0 is DEBUG
	XFAM           [8]byte
	MRTD           [48]byte
	MRCONFIGID     [48]byte
	MROWNER        [48]byte
	MROWNERCONFIG  [48]byte
	RTMR           [4][48]byte
	ReportData     [64]byte

	V15         bool // the report is of version 1.5, in a quote of version 5: gives the fields below their place
	TEETCBSVN2  [16]byte
	MRSERVICETD [48]byte
}

// SimulatedTD returns a TD with made-up measurements, whose module and platform are up to date at [StandardEvaluation].
func SimulatedTD() *TDXGuest {
	td := &TDXGuest{
		TEETCBSVN:  [16]byte{5, 1, TCBLevels(StandardEvaluation)[0].TDX[2]},
		MRSEAM:     sha512.Sum384([]byte("simulated TDX module")),
		Attributes: [8]byte{3: 0x10}, // SEPT_VE_DISABLE
		XFAM:       [8]byte{0xE7, 0x02, 0x06},
		MRTD:       sha512.Sum384([]byte("simulated TD")),
	}
	td.TEETCBSVN2 = td.TEETCBSVN
	for i := range td.RTMR[:3] { // the fourth is for applications
		td.RTMR[i] = sha512.Sum384(fmt.Appendf(nil, "simulated RTMR %d", i))
	}
	return td
}

// report encodes the TD as a report body.
func (td *TDXGuest) report() []byte {
	fields := [][]byte{
		td.TEETCBSVN[:], td.MRSEAM[:], td.MRSIGNERSEAM[:], td.SEAMAttributes[:], td.Attributes[:], td.XFAM[:],
		td.MRTD[:], td.MRCONFIGID[:], td.MROWNER[:], td.MROWNERCONFIG[:],
		td.RTMR[0][:], td.RTMR[1][:], td.RTMR[2][:], td.RTMR[3][:], td.ReportData[:],
	}
	if td.V15 {
		fields = append(fields, td.TEETCBSVN2[:], td.MRSERVICETD[:])
	}
	var b []byte
	for _, f := range fields {
		b = append(b, f...)
	}
	return b
}

func (td *TDXGuest) bodyType() uint16 {
	if td.V15 {
		return bodyTD15
	}
	return bodyTD10
}

// intelTDQESigner is MRSIGNER of Intel's quoting enclave for TDs, 32 bytes (sgx-tdx.md section 5.3).
const intelTDQESigner = "\xdc\x9e\x2a\x7c\x6f\x94\x8f\x17\x47\x4e\x34\xa7\xfc\x43\xed\x03" +
	"\x0f\x7c\x15\x63\xf1\xba\xbd\xdf\x63\x40\xc8\x2e\x0e\x54\xa8\xc5"

// SimulatedTDQE returns a quoting enclave that passes for Intel's for TDs: its MRSIGNER, product id 2, the highest of [QELevels].
func SimulatedTDQE() SGX {
	qe := SimulatedQE()
	qe.MRENCLAVE = sha256.Sum256([]byte("simulated quoting enclave for TDs"))
	qe.MRSIGNER, qe.ProdID = [32]byte([]byte(intelTDQESigner)), 2
	return qe
}

// TDXModule is the identity of a version of the TDX module in TCB info (sgx-tdx.md section 5.2).
type TDXModule struct {
	ID       string // TDX_01
	MRSIGNER [48]byte
	Levels   []QELevel
}

// TDXModules returns the identities of the simulated TCB info, each with its levels, highest first.
func TDXModules() []TDXModule {
	return []TDXModule{
		{ID: "TDX_01", Levels: []QELevel{
			{SVN: 5, Date: time.Date(2024, 3, 13, 0, 0, 0, 0, time.UTC), Status: "UpToDate"},
			{SVN: 4, Date: time.Date(2022, 11, 9, 0, 0, 0, 0, time.UTC), Status: "OutOfDate", Advisories: []string{"INTEL-SA-90007"}},
			{SVN: 2, Date: time.Date(2021, 11, 10, 0, 0, 0, 0, time.UTC), Status: "Revoked", Advisories: []string{"INTEL-SA-90008"}},
		}},
		{ID: "TDX_03", Levels: []QELevel{{SVN: 3, Date: time.Date(2024, 3, 13, 0, 0, 0, 0, time.UTC), Status: "UpToDate"}}},
	}
}

type moduleJSON struct {
	ID             string      `json:"id,omitempty"`
	MRSIGNER       string      `json:"mrsigner"`
	Attributes     string      `json:"attributes"`
	AttributesMask string      `json:"attributesMask"`
	Levels         []levelJSON `json:"tcbLevels,omitempty"`
}

func (m TDXModule) json() moduleJSON {
	return moduleJSON{m.ID, fmt.Sprintf("%X", m.MRSIGNER), "0000000000000000", "FFFFFFFFFFFFFFFF", svnLevels(m.Levels)}
}

func moduleIdentities(modules []TDXModule) (list []moduleJSON) {
	for _, m := range modules {
		list = append(list, m.json())
	}
	return list
}

// TDXScenario returns a sound scenario: a version 4 quote of some TD on the simulated platform, and collateral for TDX at
// [StandardEvaluation] that is valid at the time at and calls platform and module UpToDate.
func (in *Intel) TDXScenario(at time.Time) *Scenario {
	s := in.Scenario(at)
	s.QuoteVersion, s.TD, s.QE, s.Modules = 4, SimulatedTD(), SimulatedTDQE(), TDXModules()
	return s
}
