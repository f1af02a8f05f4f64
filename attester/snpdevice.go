package attester

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"syscall"
	"unsafe"

	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/evidence/tdx"
)

// The requests of /dev/sev-guest and /dev/tdx_guest, and the sizes of their structures (include/uapi/linux/sev-guest.h and tdx-guest.h of Linux).
const (
	snpGetReport    = 0xC0205300 // SNP_GET_REPORT: _IOWR('S', 0, 32 bytes)
	snpGetExtReport = 0xC0205302 // SNP_GET_EXT_REPORT: _IOWR('S', 2, 32 bytes)
	tdxGetReport    = 0xC4405401 // TDX_CMD_GET_REPORT0: _IOWR('T', 1, 1088 bytes)

	snpIoctlSize     = 32       // snp_guest_request_ioctl
	snpReportRequest = 96       // snp_report_req
	snpExtRequest    = 112      // snp_ext_report_req
	snpResponseSize  = 4000     // snp_report_resp
	snpReportAt      = 32       // of the report in the response, behind status and size
	certificateTable = 16 << 10 // as many bytes as the kernel takes from the host
	messageVersion   = 1
	tdreportSize     = 1024
)

// snpDevice has a report made by /dev/sev-guest, with the certificates of the host if it gives them. The error is absent where there is no device.
func (g *Guest) snpDevice(data [ReportDataSize]byte) (*Evidence, error) {
	e, table := &Evidence{Source: FromDevice}, make([]byte, certificateTable)
	request := make([]byte, snpExtRequest)
	g.describe(request, data)
	var pinner runtime.Pinner
	defer pinner.Unpin()
	binary.NativeEndian.PutUint64(request[snpReportRequest:], address(&pinner, table))
	binary.NativeEndian.PutUint32(request[snpReportRequest+8:], uint32(len(table)))
	report, err := g.snpRequest(snpGetExtReport, request)
	if errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSPC) { // a host without certificates, or with too many
		clear(table)
		report, err = g.snpRequest(snpGetReport, request[:snpReportRequest])
	}
	if err != nil {
		return nil, err
	}
	e.Report = report
	e.certified(table)
	return e, nil
}

// describe writes what the report is to be of.
func (g *Guest) describe(request []byte, data [ReportDataSize]byte) {
	copy(request, data[:])
	if g.VMPL != nil {
		binary.NativeEndian.PutUint32(request[ReportDataSize:], uint32(*g.VMPL))
	}
}

// snpRequest makes a request and gives the report in the response.
func (g *Guest) snpRequest(code uint32, request []byte) ([]byte, error) {
	response, argument := make([]byte, snpResponseSize), make([]byte, snpIoctlSize)
	var pinner runtime.Pinner
	defer pinner.Unpin()
	argument[0] = messageVersion
	binary.NativeEndian.PutUint64(argument[8:], address(&pinner, request))
	binary.NativeEndian.PutUint64(argument[16:], address(&pinner, response))
	if err := g.Control(snpGuestDevice, code, argument); err != nil {
		return nil, deviceProblem(snpGuestDevice, fmt.Errorf("%w (firmware %#x, host %#x)", err, binary.NativeEndian.Uint32(argument[24:]), binary.NativeEndian.Uint32(argument[28:])))
	}
	status, size := binary.LittleEndian.Uint32(response), binary.LittleEndian.Uint32(response[4:])
	if status != 0 || size != snp.ReportSize {
		return nil, problem("the secure processor made no report", "look what the kernel says (dmesg | grep -i sev); a VMPL below that of the kernel itself is refused",
			fmt.Errorf("status %#x, %d bytes", status, size))
	}
	return response[snpReportAt : snpReportAt+snp.ReportSize], nil
}

// address gives the address of bytes, which stay where they are until the pinner is unpinned.
func address(pinner *runtime.Pinner, b []byte) uint64 {
	pinner.Pin(&b[0])
	return uint64(uintptr(unsafe.Pointer(&b[0])))
}

// deviceProblem explains why a device did not do something. The error is absent if there is none.
func deviceProblem(device string, err error) error {
	what := device + " gave no report"
	switch {
	case notThere(err):
		return absent{err}
	case errors.Is(err, fs.ErrPermission):
		return denied(device, err)
	case errors.Is(err, syscall.ENOTTY):
		return problem(what, "the kernel is too old to know of this request, or has wiped its key to the secure processor after an error: see dmesg, restart the machine, use Linux 6.7 or newer", err)
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EBUSY):
		return problem(what, "it is asked too often: try again in a minute", err)
	}
	return problem(what, "look what the kernel says (dmesg | grep -iE 'sev|tdx')", err)
}

// Where Linux gives TDREPORTs.
const tdxGuestDevice = "/dev/tdx_guest"

// TDReport has a TDREPORT of this TDX guest made by /dev/tdx_guest, 1024 bytes. It is no evidence: only a quote service, such as that of Azure's metadata
// service, can turn it into a quote.
func (g *Guest) TDReport(data [ReportDataSize]byte) ([]byte, error) {
	argument := make([]byte, ReportDataSize+tdreportSize)
	copy(argument, data[:])
	if err := g.Control(tdxGuestDevice, tdxGetReport, argument); err != nil {
		return nil, deviceProblem(tdxGuestDevice, err)
	}
	return argument[ReportDataSize:], nil
}

// checkSNP holds a report against what was asked for.
func (e *Evidence) checkSNP(data [ReportDataSize]byte) error {
	r, err := snp.ParseReport(e.Report)
	if err != nil {
		return notEvidence("a report of SEV-SNP", err)
	}
	return asked(r.ReportData, data)
}

// checkTDX holds a quote against what was asked for.
func (e *Evidence) checkTDX(data [ReportDataSize]byte) error {
	q, err := tdx.Parse(e.Report)
	if err != nil {
		return notEvidence("a quote of TDX", err)
	}
	return asked(q.Report.ReportData, data)
}

func notEvidence(what string, err error) error {
	return problem("what came is not "+what, "look what makes the evidence: a host or a kernel that simulates it, or one newer than this program", err)
}

// asked compares the report data of evidence with that which was asked for.
func asked(found, data [ReportDataSize]byte) error {
	if found != data {
		return problem("the evidence is not the one that was asked for: it has other report data", "try again; another program may have asked at the same time", nil)
	}
	return nil
}
