package dcap

import (
	"github.com/assay-attestation/assay/internal/binread"
)

// reportSize is the size of an SGX report body.
const reportSize = 384

// Attribute flags of an enclave, in the first eight bytes of ATTRIBUTES (sgx-tdx.md section 2.3).
const (
	FlagInit      = 0x01
	FlagDebug     = 0x02
	FlagMode64Bit = 0x04
	FlagKSS       = 0x80
)

// EnclaveReport is an SGX report body, of the attested enclave or of the quoting enclave. Byte arrays are as in the
// report; ConfigID, ConfigSVN, ExtProdID and FamilyID mean something only with FlagKSS set.
type EnclaveReport struct {
	CPUSVN     [16]byte
	MiscSelect uint32
	ExtProdID  [16]byte
	Attributes [16]byte // flags (8), XFRM (8)
	MRENCLAVE  [32]byte
	MRSIGNER   [32]byte
	ConfigID   [64]byte
	ProdID     uint16
	SVN        uint16
	ConfigSVN  uint16
	FamilyID   [16]byte
	ReportData [64]byte
}

// ParseEnclaveReport reads the 384 bytes of an SGX report body. Reserved bytes are not looked at.
func ParseEnclaveReport(b []byte) (EnclaveReport, error) {
	var r EnclaveReport
	c := binread.New(b)
	copy(r.CPUSVN[:], c.Bytes("CPUSVN", 16))
	r.MiscSelect = c.LE32("MISCSELECT")
	c.Bytes("reserved", 12)
	copy(r.ExtProdID[:], c.Bytes("ISVEXTPRODID", 16))
	copy(r.Attributes[:], c.Bytes("ATTRIBUTES", 16))
	copy(r.MRENCLAVE[:], c.Bytes("MRENCLAVE", 32))
	c.Bytes("reserved", 32)
	copy(r.MRSIGNER[:], c.Bytes("MRSIGNER", 32))
	c.Bytes("reserved", 32)
	copy(r.ConfigID[:], c.Bytes("CONFIGID", 64))
	r.ProdID = c.LE16("ISVPRODID")
	r.SVN = c.LE16("ISVSVN")
	r.ConfigSVN = c.LE16("CONFIGSVN")
	c.Bytes("reserved", 42)
	copy(r.FamilyID[:], c.Bytes("ISVFAMILYID", 16))
	copy(r.ReportData[:], c.Bytes("REPORTDATA", 64))
	return r, c.Done("SGX report body")
}

// Debug reports whether the enclave can be read and changed from outside.
func (r *EnclaveReport) Debug() bool { return r.Attributes[0]&FlagDebug != 0 }

// KSS reports whether the enclave uses key separation and sharing.
func (r *EnclaveReport) KSS() bool { return r.Attributes[0]&FlagKSS != 0 }
