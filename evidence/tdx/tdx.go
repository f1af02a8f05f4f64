// Package tdx is the evidence of Intel TDX guests ("trust domains"): an ECDSA quote around a TD report. It reads the report, leaves the
// quote to package dcap, and states the claims of a verified one. Specification: sgx-tdx.md sections 2, 7 and 8, tokens.md section 8.
package tdx

import (
	"errors"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
)

// Report is a TD report body of version 1.0, 1.5 or 1.5 extended. Byte arrays are as in the report; fields of later versions are zero
// in earlier ones.
type Report struct {
	Type           dcap.BodyType
	TEETCBSVN      [16]byte
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
	TEETCBSVN2     [16]byte // 1.5: of the module that runs now
	MRSERVICETD    [48]byte // 1.5
}

// Evidence is a parsed quote of a TD of which nothing is believed. Report is there to look at; a verification reads it from the quote again.
type Evidence struct {
	Quote  *dcap.Quote
	Report Report
}

// Parse reads a quote of a TD. The error is an [evidence.Refusal].
func Parse(b []byte) (*Evidence, error) { return nil, errors.New("tdx: not built yet") }

// Verified is evidence of a TD that holds, with the facts found about it.
type Verified struct {
	*dcap.Verified
	Report Report
}

// Verify verifies e, whose origin o was traced by v; see [dcap.Verifier.Verify].
func Verify(v *dcap.Verifier, o *dcap.Origin, e *Evidence, in dcap.Input) (*Verified, error) {
	return nil, errors.New("tdx: not built yet")
}

// Debug reports whether the TD is not to be trusted with secrets: one of the TUD attributes, bits 0 to 7, is set.
func (r *Report) Debug() bool { return r.TDAttributes[0] != 0 }

// Claims states the service's claims about the TD, in the names and formats of the token (tokens.md section 8).
func (v *Verified) Claims() []evidence.Claim { return nil }
