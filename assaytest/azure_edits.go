package assaytest

import (
	"bytes"
	"crypto/x509"
)

// AzurePart names a piece of a request, or of what the host makes for it, that [AzureEdits] can change. Changes to one that is signed or
// hashed come before that; to change it afterwards, edit what it is put into.
type AzurePart string

// The parts that the host makes.
const (
	AzureRuntimeData   AzurePart = "runtime data"   // JSON, before it is hashed
	AzureReportData    AzurePart = "report data"    // of the hardware report: 64 bytes
	AzureAKCertificate AzurePart = "AK certificate" // DER
)

// AzureEdits are hooks into the making of a request, for what fields cannot say. Those that are nil change nothing.
type AzureEdits struct {
	Bytes       func(p AzurePart, b []byte) []byte // replaces a part; may change b in place; nil means that the part is not there
	Certificate func(c *x509.Certificate)          // changes the template of the attestation key's certificate before it is signed
}

// edit gives part p to the hook.
func (h *AzureHost) edit(p AzurePart, b []byte) []byte {
	if h.Edit.Bytes == nil {
		return b
	}
	return h.Edit.Bytes(p, bytes.Clone(b))
}
