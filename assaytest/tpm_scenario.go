package assaytest

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
)

// TPMScenario is all that goes into one attestation by the TPM protocol (tpm.md sections 2 to 4): a machine that booted, its TPM and the
// keys in it. Make one with [TPMVendor.Scenario]; it is then sound. Change fields and call [TPMScenario.Request]; the result is determined by the
// fields, the challenge and the context, so that equal scenarios give equal bytes.
type TPMScenario struct {
	Vendor    *TPMVendor // made the TPM: its keys
	Certifier *TPMVendor // issues the AIK certificate

	Version int  // 1 or 2
	VBS     bool // a VBS enclave vouches for the request
	Bare    bool // messages without the wrapper "payload"

	Current TPMAttestation
	Boot    *TPMAttestation // of before hibernation; nil: none

	EKKind    TPMKeyKind // of the endorsement key, which enrols
	AIKKind   TPMKeyKind
	AIKScheme TPMScheme
	Binding   TPMBinding // of the request key; version 2
	HashAlg   string     // of a binding by quote: sha-256, sha-384 or sha-512
	OtherKeys []TPMOtherKey
	Enclave   VBSEnclave

	RPID         string // empty: not sent
	RPData       string // as sent, base64url; empty: not sent
	CustomClaims []TPMCustomClaim

	Edit TPMEdits
}

// TPMBinding is what ties the request key to the TPM (tpm.md section 4).
type TPMBinding int

// The bindings.
const (
	BoundByQuote   TPMBinding = iota // tpm_quote
	BoundByCertify                   // tpm_certify
	Unbound                          // none: a plain key
)

// TPMOtherKey is a key beside the request key.
type TPMOtherKey struct {
	Kind      TPMKeyKind
	Certified bool
}

// TPMCustomClaim is a claim of the client (tpm.md section 8.3). Value is JSON.
type TPMCustomClaim struct{ Name, Value, Type string }

// TPMAttestation is one boot as its TPM vouches for it.
type TPMAttestation struct {
	Log *TPMLog // the TCG log; may be nil
	IMA IMAList // extends PCR 10 after the log
	// Raw are the logs to send instead of those that Log and IMA write.
	Raw []TPMLogFile
	// Values are the PCRs of the TPM instead of those that follow from Log and IMA.
	Values map[crypto.Hash]TPMValues
	Quoted []TPMSelection // version 1: one, over all PCRs
	Clock  TPMClock
	// AIK is whose key quotes; empty stands for that of the machine, AIK.
	AIK TPMRole
}

// aik is whose key quotes.
func (a *TPMAttestation) aik() TPMRole {
	if a.AIK == "" {
		return AIK
	}
	return a.AIK
}

// TPMLogFile is a log as it is sent.
type TPMLogFile struct {
	Type  string // TCG or IMA
	Bytes []byte
}

func (a *TPMAttestation) values(h crypto.Hash) TPMValues {
	if v, ok := a.Values[h]; ok {
		return v
	}
	v := resetValues(h, 0, false)
	if a.Log != nil {
		v = a.Log.Replay(h)
	}
	v[imaPCR] = a.IMA.extend(h, v[imaPCR])
	return v
}

func (a *TPMAttestation) logs() []TPMLogFile {
	if a.Raw != nil {
		return a.Raw
	}
	var files []TPMLogFile
	if a.Log != nil {
		files = append(files, TPMLogFile{"TCG", a.Log.Bytes()})
	}
	if a.IMA != nil {
		files = append(files, TPMLogFile{"IMA", a.IMA.Bytes()})
	}
	return files
}

// TPMEdits are hooks into the making of a request, for what the fields of a scenario cannot say. Those that are nil change nothing.
type TPMEdits struct {
	Bytes       func(p TPMPart, b []byte) []byte                       // replaces a part; may change b in place
	Signer      func(p TPMPart, key crypto.Signer) crypto.Signer       // replaces the key that signs a part
	Certificate func(r TPMRole, c *x509.Certificate)                   // changes the template of a certificate before it is signed
	ExtraData   func(p TPMPart, extraData []byte) []byte               // changes the qualifying data of TPMQuote or TPMCertification
	Key         func(r TPMRole, key crypto.PublicKey) crypto.PublicKey // changes which public key a JWK or a public area names
}

// TPMPart names a piece of a request that [TPMEdits] can change. Changes to one that is signed or hashed come before that; to change
// it afterwards, edit what it is put into, in the end TPMRequest. The certificates are parts too: see [TPMRole.Certificate].
type TPMPart string

// The parts. JSON is edited as text.
const (
	TPMQuote                  TPMPart = "quote" // TPMS_ATTEST
	TPMQuoteSignature         TPMPart = "quote signature"
	TPMPCRValues              TPMPart = "PCR values"     // version 2: the JSON array pcrs; version 1: the digests of the claim
	TPMPlatformClaim          TPMPart = "platform claim" // version 1
	TPMLogTCG                 TPMPart = "TCG log"
	TPMLogIMA                 TPMPart = "IMA log"
	TPMAIKPublic              TPMPart = "aik_pub"
	TPMPublicArea             TPMPart = "public area" // of a certified key, as sent and as certified
	TPMCertification          TPMPart = "certification"
	TPMCertificationSignature TPMPart = "certification signature"
	TPMRequestJWK             TPMPart = "request key JWK" // what the quote is bound to
	TPMRequestKey             TPMPart = "request_key"     // with its binding, as sent
	TPMEvidence               TPMPart = "evidence"        // the evidence object, which an enclave report is bound to
	TPMVBSStatement           TPMPart = "enclave report statement"
	TPMVBSReport              TPMPart = "enclave report"
	TPMHeader                 TPMPart = "JWS header"
	TPMPayload                TPMPart = "JWS payload"
	TPMRequest                TPMPart = "request" // the JWS
)

// OfBoot is the part of the attestation before hibernation.
func (p TPMPart) OfBoot() TPMPart { return "boot " + p }

// Scenario returns a sound scenario: version 2, basic, a Windows with secure boot, its log in SHA-1 and SHA-256, the quote over all
// PCRs of the SHA-256 bank, by an RSA AIK, bound to the request key.
func (v *TPMVendor) Scenario() *TPMScenario {
	s := &TPMScenario{
		Vendor: v, Certifier: v,
		Version: 2, HashAlg: "sha-256",
		Enclave: SimulatedVBSEnclave(),
		RPData:  base64.RawURLEncoding.EncodeToString([]byte("a relying party's nonce")),
		Current: TPMAttestation{
			Quoted: []TPMSelection{{crypto.SHA256, AllPCRs()}},
			Clock:  TPMClock{Clock: 3_600_000, ResetCount: 42, RestartCount: 1},
		},
	}
	return s
}

// BootScenario returns a sound scenario of a machine that booted so.
func (v *TPMVendor) BootScenario(b TPMBoot) (*TPMScenario, error) {
	s := v.Scenario()
	log, err := b.Log(v)
	s.Current.Log = log
	if !b.Windows && err == nil {
		s.Current.IMA = SimulatedIMA(log.Replay(crypto.SHA256))
	}
	return s, err
}

// UseVersion1 makes it a request of version 1: one quote over all PCRs, no binding of the request key.
func (s *TPMScenario) UseVersion1() {
	s.Version = 1
	for _, a := range []*TPMAttestation{&s.Current, s.Boot} {
		if a != nil {
			a.Quoted = []TPMSelection{{a.Quoted[0].Bank, AllPCRs()}}
		}
	}
}

// Hibernate makes what is the current boot one of before hibernation, and has the machine resume: the same firmware, another log, a
// reset of the TPM.
func (s *TPMScenario) Hibernate(resume *TPMLog) {
	before := s.Current
	s.Boot = &before
	s.Current.Log = resume
	s.Current.Clock = TPMClock{Clock: before.Clock.Clock + 3_600_000, ResetCount: before.Clock.ResetCount + 1}
}

// aik is the attestation key of a.
func (s *TPMScenario) aik(a *TPMAttestation) crypto.Signer { return s.Vendor.Key(a.aik(), s.AIKKind) }

// edit gives part p to the hook.
func (s *TPMScenario) edit(p TPMPart, b []byte) []byte {
	if s.Edit.Bytes == nil {
		return b
	}
	return s.Edit.Bytes(p, b)
}

// signer finds which key signs part p.
func (s *TPMScenario) signer(p TPMPart, key crypto.Signer) crypto.Signer {
	if s.Edit.Signer == nil {
		return key
	}
	return s.Edit.Signer(p, key)
}

// public finds which key is named as that of r.
func (s *TPMScenario) public(r TPMRole, key crypto.Signer) crypto.PublicKey {
	if s.Edit.Key == nil {
		return key.Public()
	}
	return s.Edit.Key(r, key.Public())
}

// extraData is the qualifying data of p.
func (s *TPMScenario) extraData(p TPMPart, b []byte) []byte {
	if s.Edit.ExtraData == nil {
		return b
	}
	return s.Edit.ExtraData(p, b)
}
