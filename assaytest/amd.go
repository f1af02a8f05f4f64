package assaytest

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"sync"
	"time"
)

// AMDProduct is a generation of AMD's processors. Each has authorities of its own.
type AMDProduct string

// The products that are simulated.
const (
	Milan AMDProduct = "Milan"
	Genoa AMDProduct = "Genoa"
	Turin AMDProduct = "Turin"
)

// AMDProducts returns the products that are simulated.
func AMDProducts() []AMDProduct { return []AMDProduct{Milan, Genoa, Turin} }

// AMDRole names a holder of a key in the simulated AMD. All have a certificate (sev-snp.md section 2).
type AMDRole string

// The holders of keys, of each product. The authorities have RSA keys, the others P-384.
const (
	ARK  AMDRole = "ARK"
	ASK  AMDRole = "ASK"
	ASVK AMDRole = "ASVK"
	VCEK AMDRole = "VCEK" // of a chip and a TCB
	VLEK AMDRole = "VLEK" // of a cloud provider and a TCB
)

func (r AMDRole) isAuthority() bool { return r != VCEK && r != VLEK }

// Certificate is the part of a scenario that is the DER certificate of r.
func (r AMDRole) Certificate() AMDPart { return AMDPart(r + " certificate") }

// AMD is a simulated AMD: for each product the root (ARK) and the authorities for keys of chips (ASK) and of cloud providers (ASVK),
// and a key for whatever chip and TCB is asked for. It never changes and is safe for concurrent use. Keys are made when they are first
// needed, and kept.
type AMD struct {
	seed   string
	primes map[string][2]int // places of the primes of RSA-4096 keys; nil: keys are of RSA-2048
	mutex  sync.Mutex
	keys   map[string]crypto.Signer

	authorities func() ([][]byte, error)
}

// wellKnownAMDSeed is published on purpose; see the package comment.
const wellKnownAMDSeed = "assay: simulated AMD, keys known to everybody, for development only"

// WellKnownAMD returns the simulated AMD that development mode trusts. It is the same in every process and its private keys are PUBLIC:
// trusting it outside development mode is trusting everybody. Its authorities have keys of 4096 bits, as AMD's.
func WellKnownAMD() *AMD { return wellKnownAMD() }

// wellKnownAMD is made once, since its keys are long.
var wellKnownAMD = sync.OnceValue(func() *AMD { return newAMD(wellKnownAMDSeed, wellKnownPrimes()) })

// NewAMD returns a simulated AMD with keys of its own that no other process has. Its authorities have keys of 2048 bits, since finding
// longer ones takes seconds.
func NewAMD() *AMD { return newAMD(rand.Text(), nil) }

func newAMD(seed string, primes map[string][2]int) *AMD {
	a := &AMD{seed: seed, primes: primes, keys: make(map[string]crypto.Signer)}
	a.authorities = sync.OnceValues(a.issueAuthorities)
	return a
}

// RootPEM returns the certificate of the product's ARK in PEM: what a verifier has to trust to accept evidence that a vouches for.
func (a *AMD) RootPEM(p AMDProduct) ([]byte, error) {
	return a.Scenario(p, time.Time{}).pem(ARK)
}

// Authorities returns the certificates of ARK, ASK and ASVK of all products, each one in PEM of its own. They are
// issued once, and not to be changed.
func (a *AMD) Authorities() ([][]byte, error) { return a.authorities() }

func (a *AMD) issueAuthorities() (all [][]byte, err error) {
	for _, p := range AMDProducts() {
		s := a.Scenario(p, time.Time{})
		for _, r := range []AMDRole{ARK, ASK, ASVK} {
			b, err := s.pem(r)
			if err != nil {
				return nil, err
			}
			all = append(all, b)
		}
	}
	return all, nil
}

// Scenario returns a sound scenario: a report of version 3 of some guest on the simulated chip of the product, signed by its VCEK, and a
// revocation list that is valid at the time at and lists nothing.
func (a *AMD) Scenario(p AMDProduct, at time.Time) *AMDScenario {
	tcb := SimulatedTCB(p)
	return &AMDScenario{
		Vendor: a, Product: p,
		Key: VCEK, Chain: []AMDRole{VCEK, ASK, ARK},
		ReportVersion: 3, Guest: SimulatedSNPGuest(), Chip: SimulatedChip(p), CSPID: "CN=simulated-provider.invalid",
		TCB: tcb, Current: tcb, Committed: tcb, Launch: tcb,
		At: at,
	}
}

// AMDScenario is all that goes into one attestation of a SEV-SNP guest: the guest, its platform, certificates and revocation list. Make
// one with [AMD.Scenario]; it is then sound. Change fields and call its methods; their results are determined by the fields alone.
type AMDScenario struct {
	Vendor  *AMD
	Product AMDProduct

	// The report.
	ReportVersion uint32 // 2 to 5
	Guest         SNPGuest
	Chip          [64]byte // CHIP_ID; of Turin eight bytes, then zeros
	MaskChip      bool     // the report does not tell the chip
	TCB           SNPTCB   // the reported one, for which the key is derived
	Current       SNPTCB
	Committed     SNPTCB
	Launch        SNPTCB

	// The certificates.
	Key           AMDRole   // whose key signs the report: VCEK or VLEK
	Chain         []AMDRole // certificates that come with the report
	CSPID         string    // the cloud provider of a VLEK
	DERHardwareID bool      // certificates name the chip in an OCTET STRING, not in raw bytes; both are in use

	// The revocation list, valid from a day before At to 29 days after it.
	At      time.Time
	Revoked []AMDRole // authorities that it lists

	Edit AMDEdits
}

// UseVLEK has the key of the cloud provider sign the report.
func (s *AMDScenario) UseVLEK() { s.Key, s.Chain = VLEK, []AMDRole{VLEK, ASVK, ARK} }

// AMDPart names a piece of evidence or of endorsements that [AMDEdits] can change. Changes to one that is signed come before that; to
// change it afterwards, edit what it is put into, in the end SNPEvidence. The certificates are parts too: see [AMDRole.Certificate].
type AMDPart string

// The parts.
const (
	SNPReportBody  AMDPart = "SNP report body"      // what the key signs: 672 bytes
	SNPSignature   AMDPart = "SNP report signature" // r, then s: 72 bytes each, little-endian
	SNPReport      AMDPart = "SNP report"           // 1184 bytes
	SNPChain       AMDPart = "SNP chain"            // PEM
	SNPTable       AMDPart = "SNP certificate table"
	SNPEvidence    AMDPart = "SNP evidence"        // the JSON document of a request
	AMDCRL         AMDPart = "AMD revocation list" // DER
	AMDChainOfKDS  AMDPart = "AMD certificate chain"
	AMDCertificate AMDPart = "AMD VCEK" // both are items of a [KDS] only
)

// AMDEdits are hooks into the making of a scenario, for what its fields cannot say. Those that are nil change nothing.
type AMDEdits struct {
	Bytes       func(p AMDPart, b []byte) []byte // replaces a part; may change b in place; nil means that the part is not there
	Signer      func(p AMDPart, s AMDSigner) AMDSigner
	Certificate func(r AMDRole, c *x509.Certificate) // changes the template of a certificate before it is signed
	CRL         func(list *x509.RevocationList)      // changes the revocation list before it is signed
}

// AMDSigner is a key that signs a part.
type AMDSigner struct {
	By      *AMD
	Product AMDProduct
	Role    AMDRole
}

// edit gives part p to the hook.
func (s *AMDScenario) edit(p AMDPart, b []byte) []byte {
	if s.Edit.Bytes == nil {
		return b
	}
	return s.Edit.Bytes(p, bytes.Clone(b))
}

// signer finds who signs part p, which is the scenario's role unless the hook says otherwise.
func (s *AMDScenario) signer(p AMDPart, r AMDRole) AMDSigner {
	signer := AMDSigner{By: s.Vendor, Product: s.Product, Role: r}
	if s.Edit.Signer == nil {
		return signer
	}
	return s.Edit.Signer(p, signer)
}

// keyOf is the private key of a signer; of a VCEK or VLEK, that for the chip and the TCB of the scenario.
func (s *AMDScenario) keyOf(signer AMDSigner) crypto.Signer {
	label := string(signer.Product) + "/" + string(signer.Role)
	switch signer.Role {
	case VCEK:
		label += fmt.Sprintf("/%x/%x", s.hardwareID(), s.TCB.bytes(s.Product))
	case VLEK:
		label += fmt.Sprintf("/%s/%x", s.CSPID, s.TCB.bytes(s.Product))
	}
	return signer.By.amdKey(label, signer.Role)
}
