package assaytest

import (
	"crypto/ecdsa"
	"crypto/x509"
	"time"

	"github.com/assay-attestation/assay/evidence"
)

// Scenario is all that goes into one attestation: an enclave or a TD, its platform, and the collateral to judge them. Make one
// with [Intel.Scenario] or [Intel.TDXScenario]; it is then sound and up to date. Change fields and call [Scenario.Quote] and
// [Scenario.Collateral]; both are determined by the fields alone, so that equal scenarios give equal bytes.
type Scenario struct {
	Attester *Intel // certifies the platform and makes the quote
	Endorser *Intel // issues the collateral

	// The quote.
	QuoteVersion uint16 // 3, 4 or 5
	OpenEnclave  bool   // put the header of an Open Enclave report in front (sgx-tdx.md section 3.1)
	Enclave      SGX    // what the quote is about, unless TD is
	TD           *TDXGuest
	QE           SGX    // the quoting enclave; its report data is filled in
	AuthData     []byte // of the quoting enclave, at most 65,535 bytes
	Platform     Platform
	PCKChain     []Role // certificates in the quote; the first one's key signs the report of the quoting enclave

	// The collateral. JSON documents and PCK CRL are valid from a day before At to 29 days after it, the root CRL for
	// a year; times are cut to seconds.
	At             time.Time
	TCBInfoVersion int         // 3, or 2 as the older services deliver it
	Evaluation     int         // TCB evaluation data number of both documents
	Levels         []TCBLevel  // of the platform; nil stands for TCBLevels(Evaluation)
	QELevels       []QELevel   // of the quoting enclave
	Modules        []TDXModule // with an identity; for TDX
	Revoked        []Role      // certificates that the CRL of their issuer lists

	Edit Edits
}

// Edits are hooks into the making of a scenario, for what its fields cannot say. Those that are nil change nothing.
// They may be called several times for one thing and must do the same each time.
type Edits struct {
	Bytes       func(p Part, b []byte) []byte           // replaces a part; may change b in place; nil means that the part is not there
	Signer      func(p Part, s Signer) Signer           // replaces the key that signs a part
	Certificate func(r Role, c *x509.Certificate)       // changes the template of a certificate before it is signed
	Extension   func(e []Element) []Element             // changes the SGX extension of PCK certificates
	CRL         func(p Part, list *x509.RevocationList) // changes PCKCRL or RootCRL before it is signed
}

// Signer is a key that signs a part: that of a role of an Intel.
type Signer struct {
	By   *Intel
	Role Role
}

func (s Signer) key() *ecdsa.PrivateKey { return s.By.keys[s.Role].private }

// Part names a piece of evidence or collateral that [Edits] can change. The certificates are parts too: see
// [Role.Certificate].
type Part string

// The parts of a quote. Changes to one that is signed or hashed come before that; to change it afterwards, edit what it
// is put into, in the end Evidence.
const (
	QuoteBody         Part = "quote body"            // header, descriptor and report: what the attestation key signs
	QuoteSignature    Part = "quote signature"       // r ‖ s
	AttestationKey    Part = "attestation key"       // X ‖ Y; bound by the report of the quoting enclave
	QEReport          Part = "QE report"             // what the PCK key signs
	QEReportSignature Part = "QE report signature"   // r ‖ s
	PCKChainPEM       Part = "PCK chain"             // certification data of type 5
	CertificationData Part = "certification data"    // with type and size in front
	QECertification   Part = "QE certification data" // version 4 and 5: the outer record, type and size in front
	SignatureData     Part = "signature data"        // without its length
	Evidence          Part = "evidence"              // the whole, with the Open Enclave header if there is one
)

// The parts of collateral.
const (
	TCBInfoBody     Part = "TCB info body" // the inner object: what the TCB signer signs
	TCBInfo         Part = "TCB info"      // the document
	TCBInfoChain    Part = "TCB info issuer chain"
	QEIdentityBody  Part = "QE identity body"
	QEIdentity      Part = "QE identity"
	QEIdentityChain Part = "QE identity issuer chain"
	PCKCRL          Part = "PCK CRL" // DER
	RootCRL         Part = "root CRL"
)

// Scenario returns a sound scenario: a version 3 quote of some enclave by the simulated platform, and collateral for
// [StandardEvaluation] that is valid at the time at and calls the platform UpToDate.
func (in *Intel) Scenario(at time.Time) *Scenario {
	return &Scenario{
		Attester: in, Endorser: in,
		QuoteVersion: 3,
		Enclave:      SimulatedEnclave(),
		QE:           SimulatedQE(),
		AuthData:     counting(32),
		Platform:     SimulatedPlatform(),
		PCKChain:     []Role{PCK, PlatformCA, Root},

		At:             at,
		TCBInfoVersion: 3,
		Evaluation:     StandardEvaluation,
		QELevels:       QELevels(),
	}
}

// Type says what the evidence is submitted as.
func (s *Scenario) Type() evidence.Type {
	switch {
	case s.TD != nil:
		return evidence.TdxVM
	case s.OpenEnclave:
		return evidence.OpenEnclave
	}
	return evidence.SgxEnclave
}

// UseProcessorCA has the platform certified by the CA of single-socket platforms. Their certificates carry no platform
// instance and no configuration (sgx-tdx.md section 4.3).
func (s *Scenario) UseProcessorCA() {
	s.Platform.CA = ProcessorCA
	s.PCKChain = []Role{PCK, ProcessorCA, Root}
}

// edit gives part p to the hook.
func (s *Scenario) edit(p Part, b []byte) []byte {
	if s.Edit.Bytes == nil {
		return b
	}
	return s.Edit.Bytes(p, b)
}

// signer finds who signs part p, which is by's role unless the hook says otherwise.
func (s *Scenario) signer(p Part, by *Intel, role Role) Signer {
	signer := Signer{By: by, Role: role}
	if s.Edit.Signer == nil {
		return signer
	}
	return s.Edit.Signer(p, signer)
}

// The dates of collateral; as collateral has them, in whole seconds.

func (s *Scenario) issued() time.Time  { return s.At.UTC().Truncate(time.Second).AddDate(0, 0, -1) }
func (s *Scenario) expires() time.Time { return s.issued().AddDate(0, 0, 30) }

// counting returns the bytes 0, 1, 2, … n-1, as quoting enclaves use for their authentication data.
func counting(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}
