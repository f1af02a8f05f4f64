package assaytest

import (
	"encoding/binary"
	"math/big"
	"slices"
)

// Ids of Windows boot events that the simulated Windows measures (tpm.md section 10.3).
const (
	SIPATrustBoundary     = 0x40010001
	SIPALoadedModule      = 0x40010003
	SIPABootCounter       = 0x00020002
	SIPATransferControl   = 0x00020003
	SIPABitlockerUnlock   = 0x00020005
	SIPAApplicationSVN    = 0x00020009
	SIPABootDebugging     = 0x00040001
	SIPAOSKernelDebug     = 0x00050001
	SIPACodeIntegrity     = 0x00050002
	SIPATestSigning       = 0x00050003
	SIPADataExecution     = 0x00050004
	SIPASafeMode          = 0x00050005
	SIPAWinPE             = 0x00050006
	SIPASystemRoot        = 0x00050009
	SIPAHypervisorDebug   = 0x0005000D
	SIPAVSMLaunchType     = 0x00050012
	SIPAVSMIDKInfo        = 0x00050020
	SIPAFlightSigning     = 0x00050021
	SIPAVSMIDKSInfo       = 0x00050023
	SIPAAuthorityPubKey   = 0x00060002
	SIPAFilePath          = 0x00070001
	SIPAImageSize         = 0x00070002
	SIPAHashAlgorithm     = 0x00070003
	SIPAAuthenticodeHash  = 0x00070004
	SIPAImageValidated    = 0x0007000A
	SIPAModuleSVN         = 0x0007000B
	SIPAVSMRequired       = 0x000A0001
	SIPAIOMMURequired     = 0x000A0003
	SIPAMandatoryEnforced = 0x000A0006
	SIPAHVCIPolicy        = 0x000A0007
)

// SIPA is one element: an id, a length and a value, little-endian (tpm.md section 10.1).
func SIPA(id uint32, value []byte) []byte {
	return appendSized32(binary.LittleEndian.AppendUint32(nil, id), value)
}

// SIPAContainer is an element with elements inside.
func SIPAContainer(id uint32, elements ...[]byte) []byte { return SIPA(id, slices.Concat(elements...)) }

// SIPABool is an element that is a switch.
func SIPABool(id uint32, on bool) []byte {
	if on {
		return SIPA(id, []byte{1})
	}
	return SIPA(id, []byte{0})
}

// SIPA32 is an element that is a number of four bytes.
func SIPA32(id, v uint32) []byte { return SIPA(id, binary.LittleEndian.AppendUint32(nil, v)) }

// SIPA64 is an element that is a number of eight bytes.
func SIPA64(id uint32, v uint64) []byte { return SIPA(id, binary.LittleEndian.AppendUint64(nil, v)) }

// SIPAText is an element that is a text: UTF-16 with a NUL behind it.
func SIPAText(id uint32, s string) []byte { return SIPA(id, append(utf16Bytes(s), 0, 0)) }

// sipaKey is an element in the layout of VSM_IDK_INFO and VSM_IDKS_INFO (tpm.md section 10.4).
func sipaKey(id uint32, modulus *big.Int, exponent int) []byte {
	e := big.NewInt(int64(exponent)).Bytes()
	n := modulus.Bytes()
	b := binary.LittleEndian.AppendUint32(nil, 1) // algorithm; its numbers are not public
	b = binary.LittleEndian.AppendUint32(b, uint32(modulus.BitLen()))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(e)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(n)))
	return SIPA(id, slices.Concat(b, e, n))
}
