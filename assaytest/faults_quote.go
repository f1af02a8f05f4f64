package assaytest

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"slices"

	"github.com/assay-attestation/assay/evidence"
)

// Offsets in evidence with authentication data of 32 bytes (sgx-tdx.md section 2.5).
const (
	offTEE           = 4
	offVendor        = 12
	offMRENCLAVE     = 112
	offLengthV3      = 432
	offLengthV5      = 438
	offOuterTypeV4   = 564
	offOuterSizeV4   = 566
	offReportData    = 320 // in a report body
	offKeyInSig      = 64  // in the signature data
	offAuthSizeInSig = 576 // in the signature data of version 3
	offOESize        = 8
)

// quoteFaults break the form of the quote and its signatures.
func quoteFaults() []Fault {
	format, certType := one(evidence.QuoteFormat), one(evidence.CertDataType)
	zeroSignature := []evidence.Check{evidence.QuoteFormat, evidence.QuoteSignature}
	return []Fault{
		{"empty", "no evidence at all", format, at(Evidence, cut(0))},
		{"header-cut", "ends inside the header", format, at(Evidence, cut(47))},
		{"no-signature-data", "ends behind the length of the signature data", format, at(Evidence, cut(offLengthV3+4))},
		{"last-byte-cut", "one byte less than announced", format, at(Evidence, func(b []byte) []byte { return b[:len(b)-1] })},
		{"version-2", "quote version 2, signed", format, at(QuoteBody, put16(0, 2))},
		{"version-6", "quote version 6, signed", format, at(QuoteBody, put16(0, 6))},
		{"key-type-p384", "attestation key type 3, signed", format, at(QuoteBody, put16(2, 3))},
		{"tee-type-tdx-v3", "TEE type of TDX in version 3, signed", format, at(QuoteBody, put32(offTEE, 0x81))},
		{"tee-type-unknown-v4", "TEE type 1 in version 4, signed", format, all(version(4), at(QuoteBody, put32(offTEE, 1)))},
		{"vendor-id", "QE vendor id is not Intel's, signed", format, at(QuoteBody, flip(offVendor, 1))},
		{"body-type-v5", "descriptor says TD report, size of an SGX report", format, all(version(5), at(QuoteBody, put16(48, 2)))},
		{"body-size-v5", "descriptor says SGX report, size of a TD report", format, all(version(5), at(QuoteBody, put32(50, 584)))},
		{"signature-length-zero", "length 0 of the signature data", format, at(Evidence, put32(offLengthV3, 0))},
		{"signature-length-huge", "length 0xFFFFFFFF of the signature data", format, at(Evidence, put32(offLengthV3, 0xFFFFFFFF))},
		{"signature-length-huge-v5", "the same in version 5", format, all(version(5), at(Evidence, put32(offLengthV5, 0xFFFFFFFF)))},
		{"signature-data-too-long", "a byte left over inside the signature data", format, at(SignatureData, appended("\x00"))},
		{"outer-size-small-v4", "outer certification data too small for what is in it", format, all(version(4), at(Evidence, put32(offOuterSizeV4, 100)))},
		{"outer-too-long-v4", "a byte left over inside the outer certification data", format, all(version(4), at(QECertification, leftOver))},
		{"auth-size-huge", "size 0xFFFF of the authentication data", format, at(SignatureData, put16(offAuthSizeInSig, 0xFFFF))},
		{"cert-size-huge", "size 0xFFFFFFFF of the certification data", format, at(CertificationData, put32(2, 0xFFFFFFFF))},
		{"key-off-curve", "the attestation key is no point of P-256, though bound",
			[]evidence.Check{evidence.QuoteFormat, evidence.QEReportData}, at(AttestationKey, flipLast)},
		{"signature-zero", "quote signature all zero", zeroSignature, at(QuoteSignature, fill(0, 64, 0))},
		{"signature-out-of-range", "r and s of the quote signature above the group order", zeroSignature, at(QuoteSignature, fill(0, 64, 0xFF))},
		{"qe-signature-zero", "signature of the QE report all zero", []evidence.Check{evidence.QuoteFormat, evidence.QEReportSignature}, at(QEReportSignature, fill(0, 64, 0))},
		{"oe-size", "size in the Open Enclave header one too small", format, all(openEnclave, at(Evidence, flip(offOESize, 1)))},
		{"oe-local", "Open Enclave report for the same machine only", format, all(openEnclave, at(Evidence, put32(4, 1)))},
		{"oe-version", "version 2 in the Open Enclave header", format, all(openEnclave, at(Evidence, put32(0, 2)))},
		{"oe-trailing", "a byte behind the Open Enclave report", format, all(openEnclave, at(Evidence, appended("\x00")))},
		{"oe-nested", "an Open Enclave report inside another", format, all(openEnclave, at(Evidence, OpenEnclaveReport))},

		{"cert-type-1", "platform id in clear", certType, at(CertificationData, put16(0, 1))},
		{"cert-type-2", "platform id encrypted, RSA-2048", certType, at(CertificationData, put16(0, 2))},
		{"cert-type-3", "platform id encrypted, RSA-3072", certType, at(CertificationData, put16(0, 3))},
		{"cert-type-4", "PCK certificate without its issuers", certType, at(CertificationData, put16(0, 4))},
		{"cert-type-6", "QE report certification data nested", certType, at(CertificationData, put16(0, 6))},
		{"cert-type-7", "platform manifest", certType, at(CertificationData, put16(0, 7))},
		{"cert-type-3-v4", "platform id encrypted, in version 4", certType, all(version(4), at(CertificationData, put16(0, 3)))},
		{"outer-type-5-v4", "PCK chain as the outer record", certType, all(version(4), at(Evidence, put16(offOuterTypeV4, 5)))},

		{"quote-signature", "a bit of the quote signature", one(evidence.QuoteSignature), at(QuoteSignature, flip(0, 1))},
		{"quote-signature-s", "a bit in its second half", one(evidence.QuoteSignature), at(QuoteSignature, flip(63, 1))},
		{"quote-other-key", "quote signed by another key than the attestation key", one(evidence.QuoteSignature), signedBy(stranger(), QuoteSignature)},
		{"measurement-changed", "MRENCLAVE changed after signing", one(evidence.QuoteSignature), at(Evidence, flip(offMRENCLAVE, 1))},
		{"user-data-changed", "header changed after signing", one(evidence.QuoteSignature), at(Evidence, flip(28, 1))},
		{"measurement-changed-v5", "MRENCLAVE changed after signing, in version 5", one(evidence.QuoteSignature), all(version(5), at(Evidence, flip(offMRENCLAVE+6, 1)))},
	}
}

func openEnclave(s *Scenario) { s.OpenEnclave = true }

// leftOver adds a byte to a certification data record.
func leftOver(record []byte) []byte { return certRecord(certQEReport, append(record[6:], 0)) }

// chainFaults break the certificates in the quote.
func chainFaults() []Fault {
	chain, format := one(evidence.PCKChain), one(evidence.PCKFormat)
	return []Fault{
		{"other-root", "everything in the quote made under another root of the same name", one(evidence.UntrustedRoot), otherRoot},

		{"pck-name", "PCK certificate of another name", chain, certificate(PCK, named("Intel SGX TCB Signing"))},
		{"pck-ca-name", "PCK CA of another name", chain, certificate(PlatformCA, named("Intel SGX PCK Other CA"))},
		{"pck-is-ca", "the PCK certificate is a CA", chain, certificate(PCK, makeCA)},
		{"pck-ca-is-not-ca", "the PCK CA is no CA", chain, certificate(PlatformCA, makeLeaf)},
		{"pck-as-ca", "the PCK key issues another PCK certificate", chain, pckChain(ForgedPCK, PCK, PlatformCA, Root)},
		{"pck-as-ca-short", "the same, without the PCK CA", chain, pckChain(ForgedPCK, PCK, Root)},
		{"chain-without-root", "PCK certificate and PCK CA only", chain, pckChain(PCK, PlatformCA)},
		{"chain-without-ca", "PCK certificate and root only", chain, pckChain(PCK, Root)},
		{"chain-of-other-ca", "the processor CA in the place of the platform CA", chain, pckChain(PCK, ProcessorCA, Root)},
		{"chain-too-long", "the root twice", chain, pckChain(PCK, PlatformCA, Root, Root)},
		{"chain-der", "DER where PEM is due", []evidence.Check{evidence.PCKChain, evidence.QuoteFormat}, at(PCKChainPEM, toDER)},
		{"pck-signature", "signature of the PCK certificate", chain, at(PCK.Certificate(), flipLast)},
		{"pck-ca-signature", "signature of the PCK CA", chain, at(PlatformCA.Certificate(), flipLast)},
		{"root-signature", "signature of the root by itself", []evidence.Check{evidence.PCKChain, evidence.UntrustedRoot}, at(Root.Certificate(), flipLast)},
		{"pck-other-key", "PCK certificate signed by a stranger", chain, signedBy(stranger(), PCK.Certificate())},
		{"pck-ca-other-key", "PCK CA signed by a stranger", chain, signedBy(stranger(), PlatformCA.Certificate())},

		{"no-sgx-extension", "PCK certificate without the SGX extension", format, certificate(PCK, withoutExtensions)},
		{"sgx-extension-twice-fmspc", "FMSPC twice", format, extension(func(e []Element) []Element { return append(e, e[3]) })},
		{"sgx-extension-twice-svn", "a component twice", format, tcbElements(func(e []Element) []Element { return append(e, e[0]) })},
		{"sgx-extension-no-ppid", "no PPID", format, extension(without(0))},
		{"sgx-extension-no-tcb", "no TCB", format, extension(without(1))},
		{"sgx-extension-no-pceid", "no PCEID", format, extension(without(2))},
		{"sgx-extension-no-fmspc", "no FMSPC", format, extension(without(3))},
		{"sgx-extension-no-type", "no SGX type", format, extension(without(4))},
		{"sgx-extension-no-component", "fifteen components", format, tcbElements(without(15))},
		{"sgx-extension-no-pcesvn", "no PCESVN", format, tcbElements(without(16))},
		{"sgx-extension-component-256", "a component above 255", format, tcbElements(valued(0, 256))},
		{"sgx-extension-component-negative", "a component below 0", format, tcbElements(valued(0, -1))},
		{"sgx-extension-pcesvn-65536", "PCESVN above 65535", format, tcbElements(valued(16, 65536))},
		{"sgx-extension-fmspc-short", "FMSPC of five bytes", format, extension(valued(3, make([]byte, 5)))},

		{"pck-expired", "PCK certificate past its end", one(evidence.PCKExpired), certificate(PCK, expired)},
		{"pck-ca-expired", "PCK CA past its end", one(evidence.PCKExpired), certificate(PlatformCA, expired)},
		{"pck-not-yet-valid", "PCK certificate before its start", one(evidence.PCKNotYetValid), certificate(PCK, notYetValid)},
		{"pck-ca-not-yet-valid", "PCK CA before its start", one(evidence.PCKNotYetValid), certificate(PlatformCA, notYetValid)},
	}
}

func otherRoot(s *Scenario) { s.Attester = stranger() }

func pckChain(roles ...Role) func(*Scenario) {
	return func(s *Scenario) { s.PCKChain = roles }
}

func makeCA(_ *Scenario, c *x509.Certificate) { c.IsCA = true }

func makeLeaf(_ *Scenario, c *x509.Certificate) {
	c.IsCA, c.MaxPathLen, c.MaxPathLenZero = false, 0, false
	c.KeyUsage = x509.KeyUsageDigitalSignature
}

func withoutExtensions(_ *Scenario, c *x509.Certificate) { c.ExtraExtensions = nil }

// toDER undoes PEM.
func toDER(chain []byte) []byte {
	var der bytes.Buffer
	for block, rest := pem.Decode(chain); block != nil; block, rest = pem.Decode(rest) {
		der.Write(block.Bytes)
	}
	return der.Bytes()
}

// extension changes the elements of the SGX extension.
func extension(change func([]Element) []Element) func(*Scenario) {
	return func(s *Scenario) { s.Edit.Extension = change }
}

// tcbElements changes the elements of the TCB in the SGX extension.
func tcbElements(change func([]Element) []Element) func(*Scenario) {
	return extension(func(e []Element) []Element {
		e[1].Value = change(e[1].Value.([]Element))
		return e
	})
}

func without(i int) func([]Element) []Element {
	return func(e []Element) []Element { return slices.Delete(e, i, i+1) }
}

func valued(i int, v any) func([]Element) []Element {
	return func(e []Element) []Element {
		e[i].Value = v
		return e
	}
}
