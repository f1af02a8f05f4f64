package assaytest

import (
	"bytes"
	"crypto"
	"crypto/x509"

	"github.com/google/go-tpm/tpm2"
)

// AzurePart names a piece of a request, or of what the host makes for it, that [AzureEdits] can change. Changes to one that is signed or
// hashed come before that; to change it afterwards, edit what it is put into, in the end AzureInfo.
type AzurePart string

// The parts. JSON is edited as text.
const (
	AzureRuntimeData            AzurePart = "runtime data"         // before it is hashed
	AzureReportData             AzurePart = "report data"          // of the hardware report: 64 bytes
	AzureRuntimeSent            AzurePart = "runtime data as sent" // RunTimeData
	AzureProof                  AzurePart = "proof"                // JSON with a SEV-SNP report, or a TDX quote
	AzureAKCertificate          AzurePart = "AK certificate"       // DER
	AzureAKPublic               AzurePart = "AK public"            // TPM2B_PUBLIC
	AzureQuote                  AzurePart = "quote"                // TPMS_ATTEST
	AzureQuoteSignature         AzurePart = "quote signature"
	AzureSealingPublic          AzurePart = "sealing key public" // TPM2B_PUBLIC as sent
	AzureCertification          AzurePart = "certification"      // TPMS_ATTEST
	AzureCertificationSignature AzurePart = "certification signature"
	AzurePCRs                   AzurePart = "PCRs" // the JSON array
	AzureLog                    AzurePart = "TCG log"
	AzureInfo                   AzurePart = "AttestationInfo" // JSON
)

// AzureEdits are hooks into the making of a request, for what fields cannot say. Those that are nil change nothing.
type AzureEdits struct {
	Bytes       func(p AzurePart, b []byte) []byte                 // replaces a part; may change b in place
	Certificate func(c *x509.Certificate)                          // changes the template of the attestation key's certificate before it is signed
	Signer      func(p AzurePart, key crypto.Signer) crypto.Signer // replaces the key that signs AzureQuote, AzureCertification or AzureAKCertificate
	ExtraData   func(p AzurePart, extraData []byte) []byte         // changes the qualifying data of AzureQuote or AzureCertification
	PublicArea  func(r TPMRole, area *tpm2.TPMTPublic)             // changes the public area of VTPMAK or VTPMSealingKey
}

// edit gives part p to the hook.
func (h *AzureHost) edit(p AzurePart, b []byte) []byte {
	if h.Edit.Bytes == nil {
		return b
	}
	return h.Edit.Bytes(p, bytes.Clone(b))
}

// signer finds which key signs part p.
func (h *AzureHost) signer(p AzurePart, key crypto.Signer) crypto.Signer {
	if h.Edit.Signer == nil {
		return key
	}
	return h.Edit.Signer(p, key)
}
