// Package hcl reads the container in which the paravisor of an Azure confidential VM leaves its hardware report and the runtime data
// that the report vouches for (sev-snp.md section 4). It verifies the hash between the two, never the hardware report.
package hcl

import "errors"

// ReportType says what hardware report a container holds.
type ReportType uint32

// The report types.
const (
	VBS       ReportType = 1
	SNP       ReportType = 2
	TrustedVM ReportType = 3
	TDX       ReportType = 4
)

// Container is a parsed HCL report of which nothing is believed but that its runtime data has the hash in the report data of its hardware report.
type Container struct {
	Type        ReportType
	Hardware    []byte // the hardware report: 1184 bytes of SNP, 1024 of TDX (a TDREPORT), 560 of VBS
	RuntimeData []byte // JSON, exactly as hashed
}

// Parse reads a container: from NV index 01400001, with its zero tail or without. The error is an [evidence.Refusal].
func Parse(b []byte) (*Container, error) { return nil, errors.New("hcl: not built yet") }
