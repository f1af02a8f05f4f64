package assaytest

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

// Layout of a TDREPORT: REPORTMACSTRUCT, TEE_TCB_INFO, TDINFO (Intel's TDX module specification; REPORTDATA is at 128, sev-snp.md section 4).
const (
	tdreportSize     = 1024
	tdreportDataAt   = 128
	tdreportMACAt    = 224
	tdreportTCBAt    = 256
	tdreportTCBSize  = 239
	tdreportInfoAt   = 512
	tdreportTCBValid = "\xff\x01\x03"
)

// tdreport encodes the TD as its guest sees it: with a code (MAC) that only the platform that made it can check.
func (h *AzureHost) tdreport() []byte {
	td, b := h.TDX.TD, make([]byte, tdreportSize)
	b[0] = teeTDX
	copy(b[16:], h.TDX.Platform.CPUSVN[:])
	copy(b[tdreportDataAt:], td.ReportData[:])
	copy(b[tdreportTCBAt:], tdreportTCBValid)
	copy(b[tdreportTCBAt+8:], slices.Concat(td.TEETCBSVN[:], td.MRSEAM[:], td.MRSIGNERSEAM[:], td.SEAMAttributes[:], td.TEETCBSVN2[:]))
	info := slices.Concat(td.Attributes[:], td.XFAM[:], td.MRTD[:], td.MRCONFIGID[:], td.MROWNER[:], td.MROWNERCONFIG[:])
	for _, r := range td.RTMR {
		info = append(info, r[:]...)
	}
	copy(b[tdreportInfoAt:], append(info, td.MRSERVICETD[:]...))
	tcb, rest := sha512.Sum384(b[tdreportTCBAt:tdreportTCBAt+tdreportTCBSize]), sha512.Sum384(b[tdreportInfoAt:])
	copy(b[32:], tcb[:])
	copy(b[80:], rest[:])
	copy(b[tdreportMACAt:], h.tdreportMAC(b))
	return b
}

// tdreportMAC is over all that stands before it. Its key is no secret: that nobody else made a TDREPORT, [AzureHost.Quote] sees by making it again.
func (h *AzureHost) tdreportMAC(report []byte) []byte {
	mac := hmac.New(sha256.New, h.TDX.Attester.publicKey(PCK))
	mac.Write(report[:tdreportMACAt])
	return mac.Sum(nil)
}

// Quote has the host's quoting enclave turn a TDREPORT that [AzureHost.Report] made into a quote of version 4. Every other is refused.
func (h *AzureHost) Quote(tdreport []byte) ([]byte, error) {
	if len(tdreport) != tdreportSize {
		return nil, fmt.Errorf("a TDREPORT of %d bytes; it has %d", len(tdreport), tdreportSize)
	}
	h = h.clone()
	copy(h.TDX.TD.ReportData[:], tdreport[tdreportDataAt:])
	if !slices.Equal(tdreport, h.tdreport()) {
		return nil, errors.New("this platform did not make the TDREPORT " + hex.EncodeToString(tdreport[:16]) + "…")
	}
	return h.TDX.Quote()
}
