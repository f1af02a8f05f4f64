package dcap

import (
	"encoding/hex"
	"fmt"

	"github.com/assay-attestation/assay/internal/binread"
)

// Attribute bits of a TD (sgx-tdx.md section 2.4).
const (
	TDDebug         = 0
	TDSEPTVEDisable = 28
	TDMigratable    = 29
	TDPKS           = 30
	TDKeyLocker     = 31
	TDPerfmon       = 63
)

// TDReport is a TD report body of version 1.0, 1.5 or 1.5 extended. Byte arrays are as in the report; what came with version 1.5 is zero
// in a report of version 1.0.
type TDReport struct {
	TEETCBSVN      [16]byte // at the launch of the TD: [0] SVN and [1] version of the module
	MRSEAM         [48]byte
	MRSIGNERSEAM   [48]byte
	SEAMAttributes [8]byte
	TDAttributes   [8]byte
	XFAM           [8]byte
	MRTD           [48]byte
	MRCONFIGID     [48]byte
	MROWNER        [48]byte
	MROWNERCONFIG  [48]byte
	RTMR           [4][48]byte
	ReportData     [64]byte
	TEETCBSVN2     [16]byte // 1.5: now, after updates of the module
	MRSERVICETD    [48]byte // 1.5
}

// ParseTDReport reads a TD report body of type t, whose size must be that of its type: 584, 648 or 885 bytes (sgx-tdx.md section 2.4).
// Of the extended form, what follows MRSERVICETD is not looked at.
func ParseTDReport(b []byte, t BodyType) (TDReport, error) {
	var r TDReport
	if t == SGXReport || len(b) != t.size() {
		return r, fmt.Errorf("TD report: %d bytes do not fit body type %d", len(b), t)
	}
	c := binread.New(b)
	fields := []struct {
		name string
		to   []byte
	}{
		{"TEE_TCB_SVN", r.TEETCBSVN[:]}, {"MRSEAM", r.MRSEAM[:]}, {"MRSIGNERSEAM", r.MRSIGNERSEAM[:]}, {"SEAMATTRIBUTES", r.SEAMAttributes[:]},
		{"TDATTRIBUTES", r.TDAttributes[:]}, {"XFAM", r.XFAM[:]}, {"MRTD", r.MRTD[:]}, {"MRCONFIGID", r.MRCONFIGID[:]}, {"MROWNER", r.MROWNER[:]},
		{"MROWNERCONFIG", r.MROWNERCONFIG[:]}, {"RTMR0", r.RTMR[0][:]}, {"RTMR1", r.RTMR[1][:]}, {"RTMR2", r.RTMR[2][:]}, {"RTMR3", r.RTMR[3][:]},
		{"REPORTDATA", r.ReportData[:]}, {"TEE_TCB_SVN_2", r.TEETCBSVN2[:]}, {"MRSERVICETD", r.MRSERVICETD[:]},
	}
	if t == TDReport10 {
		fields = fields[:len(fields)-2]
	}
	for _, f := range fields {
		copy(f.to, c.Bytes(f.name, len(f.to)))
	}
	return r, c.Err()
}

// Attribute reports whether an attribute bit of the TD is set.
func (r *TDReport) Attribute(bit int) bool { return r.TDAttributes[bit/8]&(1<<(bit%8)) != 0 }

// Debug reports whether the TD is not to be trusted with secrets: an attribute of the group TUD, bits 0 to 7, is set.
func (r *TDReport) Debug() bool { return r.TDAttributes[0] != 0 }

// teeTCB is the TEE_TCB_SVN of a TD: [0] SVN of the module, [1] its version, [2] and above the rest of the platform.
type teeTCB [16]byte

// hasModule reports whether the version of the TDX module has an identity of its own, which judges components 0 and 1.
func (t teeTCB) hasModule() bool { return t[1] > 0 }

// String gives the components in hex.
func (t teeTCB) String() string { return hex.EncodeToString(t[:]) }

// first is the index of the first component that counts for the platform: those before it are judged by the module's identity.
func (t teeTCB) first() int {
	if t.hasModule() {
		return 2
	}
	return 0
}

// reaches reports whether every component that counts is at least that of level.
func (t teeTCB) reaches(level teeTCB) bool {
	for i := t.first(); i < len(t); i++ {
		if t[i] < level[i] {
			return false
		}
	}
	return true
}

// below lists the components that count and are below a level.
func (t teeTCB) below(level teeTCB) (list []Shortfall) {
	for i := t.first(); i < len(t); i++ {
		if t[i] < level[i] {
			list = append(list, Shortfall{fmt.Sprintf("tdxtcbcomp%02dsvn", i+1), int(level[i]), int(t[i])})
		}
	}
	return list
}
