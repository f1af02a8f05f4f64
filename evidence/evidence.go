// Package evidence holds what all kinds of attestation evidence share: the names of the attestation types, the
// claims that verified evidence yields, and the refusal that says which check failed. It parses and verifies nothing;
// that is done by the packages below it, one per format.
package evidence

import (
	"fmt"
	"strings"

	"github.com/assay-attestation/assay/internal/reason"
)

// Type names a kind of evidence as the service's URLs do (api.md section 3).
type Type string

// The attestation types of the service's REST API.
const (
	SgxEnclave  Type = "SgxEnclave"
	OpenEnclave Type = "OpenEnclave"
	SevSnpVM    Type = "SevSnpVm"
	TdxVM       Type = "TdxVm"
	AzureGuest  Type = "AzureGuest"
	Tpm         Type = "Tpm"
)

// ParseType finds the type that s names in any case; "sgx" is short for SgxEnclave, "oe" for OpenEnclave,
// "snp" for SevSnpVm, "tdx" for TdxVm.
func ParseType(s string) (Type, bool) {
	switch strings.ToLower(s) {
	case "sgxenclave", "sgx":
		return SgxEnclave, true
	case "openenclave", "oe":
		return OpenEnclave, true
	case "sevsnpvm", "snp":
		return SevSnpVM, true
	case "tdxvm", "tdx":
		return TdxVM, true
	case "azureguest":
		return AzureGuest, true
	case "tpm":
		return Tpm, true
	}
	return "", false
}

// Claim is one fact of verified evidence under its token name. Value is a string, int64, bool or []int64, or a
// jsontext.Value for a claim that is a JSON object (tokens.md sections 5 to 10).
type Claim struct {
	Name  string
	Value any
}

// Check names one check of a verification. The words are a closed list that tests and scripts rely on.
type Check string

// The checks of DCAP evidence, in the order in which they are made (sgx-tdx.md section 7).
const (
	QuoteFormat           Check = "quote-format"
	CertDataType          Check = "cert-data-type"
	CollateralMissing     Check = "collateral-missing"
	UntrustedRoot         Check = "untrusted-root"
	PCKChain              Check = "pck-chain"
	PCKFormat             Check = "pck-format"
	PCKExpired            Check = "pck-expired"
	PCKNotYetValid        Check = "pck-not-yet-valid"
	CRLFormat             Check = "crl-format"
	CRLSignature          Check = "crl-signature"
	CRLExpired            Check = "crl-expired"
	CRLNotYetValid        Check = "crl-not-yet-valid"
	Revoked               Check = "revoked"
	TCBSigningChain       Check = "tcb-signing-chain"
	TCBInfoSignature      Check = "tcbinfo-signature"
	TCBInfoFormat         Check = "tcbinfo-format"
	TCBInfoExpired        Check = "tcbinfo-expired"
	TCBInfoNotYetValid    Check = "tcbinfo-not-yet-valid"
	TCBInfoMismatch       Check = "tcbinfo-mismatch"
	TDXModule             Check = "tdx-module"
	QEReportSignature     Check = "qe-report-signature"
	QEReportData          Check = "qe-report-data"
	QEIdentitySignature   Check = "qeidentity-signature"
	QEIdentityFormat      Check = "qeidentity-format"
	QEIdentityExpired     Check = "qeidentity-expired"
	QEIdentityNotYetValid Check = "qeidentity-not-yet-valid"
	QEIdentityMismatch    Check = "qeidentity-mismatch"
	QuoteSignature        Check = "quote-signature"
	TCBNotSupported       Check = "tcb-not-supported"
)

// The checks of a TPM attestation, in the order in which they are made (tpm.md section 13).
const (
	TPMRequest      Check = "tpm-request"           // form of the request, its JSON and its JWS
	TPMRequestKey   Check = "tpm-request-signature" // the JWS by the key that it names
	TPMChallenge    Check = "tpm-challenge"         // service context and challenge
	KeyBinding      Check = "key-binding"           // the key that signed the request against the TPM
	AIKCertificate  Check = "aik-certificate"       // chain, dates, usage
	AIKKey          Check = "aik-key"               // kind and strength of the AIK, and that all parts name the same one
	EKCertificate   Check = "ek-certificate"        // chain, dates, usage of the certificate of an endorsement key
	AttestFormat    Check = "attest-format"         // layout of TPMS_ATTEST, TPMT_PUBLIC, TPMT_SIGNATURE, NCrypt claims
	AttestSignature Check = "attest-signature"      // by the AIK
	AttestType      Check = "attest-type"           // magic and kind of the attestation
	AttestNonce     Check = "attest-nonce"          // qualifying data
	PCRSelection    Check = "pcr-selection"         // which PCRs are quoted, and which values come along
	PCRDigest       Check = "pcr-digest"            // the values against the quote
	SHA1            Check = "sha1"                  // SHA-1 where it is not allowed
	BootAttestation Check = "boot-attestation"      // the quote of before hibernation against the current one
	EventLogFormat  Check = "event-log-format"      // layout of a TCG log
	EventLogBank    Check = "event-log-bank"        // digests of the quoted bank
	EventLogStart   Check = "event-log-start"       // startup locality
	EventLogReplay  Check = "event-log-replay"      // the log against the quoted PCRs
	EventLogData    Check = "event-log-data"        // data against its digest
	EventLogType    Check = "event-log-type"        // an event where it does not belong
	SecureBootLog   Check = "secure-boot-log"       // the rules of PCR 7
	WindowsEvents   Check = "windows-events"        // layout of SIPA elements
	IMAFormat       Check = "ima-format"            // layout and template hashes of an IMA list
	IMAReplay       Check = "ima-replay"            // the list against PCR 10
	CertifiedKey    Check = "certified-key"         // a key certified by the AIK
	VBSFormat       Check = "vbs-format"            // layout of an enclave report
	VBSSignature    Check = "vbs-signature"         // by the key that the log measures
	VBSBinding      Check = "vbs-binding"           // the report against the request
	AIKEnrolment    Check = "aik-enrolment"         // an answer to an enrolment challenge, or a key that may not enrol
)

// The checks of a SEV-SNP report, in the order in which they are made (sev-snp.md section 3). The chain shares UntrustedRoot, CRLExpired, CRLSignature,
// CRLFormat and Revoked with DCAP.
const (
	SNPFormat      Check = "snp-format"      // length, version, reserved fields, policy bits, algorithm; the request around it
	SNPChain       Check = "snp-chain"       // certificates, their signatures and roles
	SNPCertificate Check = "snp-certificate" // extensions of VCEK and VLEK
	SNPExpired     Check = "snp-expired"     // dates of the certificates
	SNPProduct     Check = "snp-product"     // processor generation of report and certificates
	SNPSigningKey  Check = "snp-signing-key" // VCEK or VLEK, as the report says
	SNPSignature   Check = "snp-signature"   // of the report
	SNPChipID      Check = "snp-chip-id"     // chip of report and VCEK
	SNPTCB         Check = "snp-tcb"         // TCB of report and certificate, and their order
	HCLFormat      Check = "hcl-format"      // layout of the container of Azure's paravisor
	UVMEndorsement Check = "uvm-endorsement" // of a utility VM's measurement
)

// The checks of an Azure guest, beside those of its TPM and of its hardware report (azure-guest.md section 3).
const (
	GuestRequest   Check = "guest-request"   // form of AttestationInfo: JSON, base64, sizes
	GuestProtocol  Check = "guest-protocol"  // AttestationProtocolVersion
	IsolationType  Check = "isolation-type"  // IsolationInfo.Type, and that the evidence is of it
	SealingKey     Check = "sealing-key"     // attributes and strength of the key that the token is encrypted to
	SealingPolicy  Check = "sealing-policy"  // its PCR policy
	PrivilegeLevel Check = "privilege-level" // VMPL of the report
	HCLRuntime     Check = "hcl-runtime"     // form of the paravisor's runtime data
	AKBinding      Check = "ak-binding"      // HCLAkPub of the runtime data against the attestation key
)

// The checks that the service adds to those of the evidence itself.
const (
	RuntimeData Check = "runtime-data"
	InitData    Check = "init-data"
	TCBBaseline Check = "tcb-baseline"
	Debuggable  Check = "debuggable"
)

// Refusal is the error of a check that did not hold. Its text is for a person: what was checked, what was expected,
// what was found, and what to do.
type Refusal struct {
	Check    Check
	Problem  string // what did not hold, without a final stop: "the PCK certificate is listed in the PCK CRL"
	Expected string // the value that would have passed; may be empty
	Found    string // the value met instead; may be empty
	Remedy   string // what the reader can do about it; may be empty
	Err      error  // the cause, if another error is behind it
	Fault    Fault  // who is to blame
}

// Fault says who is to blame for a refusal.
type Fault int

// The parties that a check can find at fault.
const (
	OfEvidence    Fault = iota // the evidence, or the platform behind it
	OfEndorsement              // the collateral that the verifier brought: never the caller's fault
)

// Refuse makes a refusal of check; format and args give its problem.
func Refuse(check Check, format string, args ...any) *Refusal {
	return &Refusal{Check: check, Problem: fmt.Sprintf(format, args...)}
}

// Want adds what was expected and what was found.
func (r *Refusal) Want(expected, found any) *Refusal {
	r.Expected, r.Found = fmt.Sprint(expected), fmt.Sprint(found)
	return r
}

// Do adds what the reader can do about the refusal.
func (r *Refusal) Do(remedy string) *Refusal {
	r.Remedy = remedy
	return r
}

// Blame says who is at fault; without it, it is the evidence.
func (r *Refusal) Blame(f Fault) *Refusal {
	r.Fault = f
	return r
}

// Because adds the error behind the refusal.
func (r *Refusal) Because(err error) *Refusal {
	r.Err = err
	return r
}

// Error gives the check and one or two sentences on one line.
func (r *Refusal) Error() string {
	return reason.Reason{Problem: r.Problem, Err: r.Err, Expected: r.Expected, Found: r.Found, Remedy: r.Remedy}.After(string(r.Check))
}

// Code is the error code of the service's API for the check: "InvalidQuote", "InvalidParameter" or, where the collateral
// is missing or at fault, which is never the caller's doing, "CollateralUnavailable" (README.md section 8 of the
// specification).
func (r *Refusal) Code() string {
	switch {
	case r.Fault == OfEndorsement, r.Check == CollateralMissing:
		return "CollateralUnavailable"
	case r.Check == QuoteFormat, r.Check == CertDataType:
		return "InvalidQuote"
	}
	return "InvalidParameter"
}

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Err }
