// Package azureguest is the evidence of Azure's confidential and trusted-launch VMs (/attest/AzureGuest): what a vTPM signed, a hardware
// report that vouches for the vTPM's attestation key, and a key of the vTPM that the answer is encrypted to. Specification:
// azure-guest.md sections 1 to 4, tokens.md section 9.
//
// Verification climbs a ladder whose rungs are types. [Parse] gives a [Bundle], of which nothing is believed. [Bundle.Verify] gives a
// [Machine]: certificate, quote, sealing key and logs hold together under one attestation key. Whose key that is says the hardware report
// ([Machine.OnSNP], [Machine.OnTDX]), which its caller verified, or for trusted launch the certificate alone ([Machine.OnTrustedLaunch]):
// that gives [Verified].
//
// The package is pure: no network, no clock, no files; time and randomness are arguments.
package azureguest

import (
	"crypto/rsa"
	"errors"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/hcl"
	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/evidence/tdx"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
)

var errNotBuilt = errors.New("not built yet")

// Isolation says what keeps a guest apart from its host.
type Isolation string

// The values of IsolationInfo.Type.
const (
	TrustedLaunch Isolation = "TrustedLaunch"
	SevSnp        Isolation = "SevSnp"
	Tdx           Isolation = "Tdx"
)

// Limits bound what is read (README.md section 7).
type Limits struct {
	Log   eventlog.Limits
	Depth int // sipa_depth
}

// Bundle is the content of AttestationInfo, parsed; nothing of it is believed (azure-guest.md section 2).
type Bundle struct {
	Version     string // AttestationProtocolVersion: "2.0" or "3.0"
	Isolation   Isolation
	Proof       []byte         // IsolationInfo.Evidence.Proof: the JSON of a SEV-SNP request (package snp) or a TDX quote; nil for TrustedLaunch
	RuntimeData []byte         // exactly as it was hashed; nil for TrustedLaunch
	Payload     jsontext.Value // ClientPayload as sent; nil: none

	os system
}

// system is what a guest says of its operating system.
type system struct {
	kind, distro, build string // OSType, OSDistro, OSBuild, decoded; empty: not sent
	major, minor        int64  // OSVersionMajor, OSVersionMinor
}

// Parse reads AttestationInfo, decoded. The error is an [evidence.Refusal].
func Parse(b []byte, l Limits) (*Bundle, error) { return nil, errNotBuilt }

// Input is what a bundle is held against. The zero value but for At is strict, except that a quote needs no nonce and confidential guests no chain.
type Input struct {
	At           time.Time
	Roots        *tpm.Roots // of certificates of attestation keys
	RequireNonce bool       // azureguest_require_nonce
	RequireChain bool       // azureguest_require_ak_chain
	// Strict says that strict turned the two on, for the text of refusals.
	Strict           bool
	WithoutAuthority bool // tpm_secureboot_require_authority off
	Journal          *evidence.Journal
}

// Machine is a vTPM whose quote, log, sealing key and certificate hold together under one attestation key. Who vouches for that key is not said.
type Machine struct {
	bundle    *Bundle
	boot      *measured.Boot // nil: there was no log
	quoted    *tpm.Quoted    // one bank, of SHA-256
	logged    bool           // a log was there
	aik       *rsa.PublicKey
	sealing   *rsa.PublicKey // EncKeyPub
	certified bool           // the attestation key's certificate has a chain to a root, or the key is pinned
}

// Verify checks all that the vTPM signed (azure-guest.md section 3, steps 2 to 5 and 7). The error is an [evidence.Refusal].
func (b *Bundle) Verify(in Input) (*Machine, error) { return nil, errNotBuilt }

// Verified is an Azure guest whose attestation key a hardware report, or the certificate of a trusted vTPM, vouches for.
type Verified struct {
	machine *Machine
	runtime *hcl.RuntimeData // nil for trusted launch
}

// OnSNP holds the machine against a verified SEV-SNP report (azure-guest.md section 3 step 6). The error is an [evidence.Refusal].
func (m *Machine) OnSNP(r *snp.Verified) (*Verified, error) { return nil, errNotBuilt }

// OnTDX holds the machine against a verified quote of a TD likewise.
func (m *Machine) OnTDX(d *tdx.Verified) (*Verified, error) { return nil, errNotBuilt }

// OnTrustedLaunch goes by the certificate of the attestation key alone, for guests without a hardware report.
func (m *Machine) OnTrustedLaunch() (*Verified, error) { return nil, errNotBuilt }

// Recipient is the key that the token is to be encrypted to.
func (v *Verified) Recipient() *rsa.PublicKey { return nil }

// RuntimeData is the runtime data of the paravisor as JSON to be shown in the token; nil for trusted launch.
func (v *Verified) RuntimeData() jsontext.Value { return nil }

// Version is AttestationProtocolVersion.
func (v *Verified) Version() string { return "" }

// PCR gives the quoted SHA-256 value of a PCR; nil if it is not quoted.
func (v *Verified) PCR(index int) []byte { return nil }

// SecureBootKeys are the variables of secure boot that a provider expects (setting azureguest_secureboot_keys): for each entry of a list the
// SHA-256 of its certificate, or for an entry that is a SHA-256 the entry itself.
type SecureBootKeys struct{ PK, KEK, DB, DBX [][32]byte }

// Claims states the service's claims about the guest (tokens.md section 9), but for x-ms-isolation-tee, which is made of the claims of the hardware
// report. expected are the sets of secure-boot keys of which one must be the machine's; none: the three claims are false.
func (v *Verified) Claims(expected []SecureBootKeys) []evidence.Claim { return nil }
