package snp

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"time"

	"github.com/assay-attestation/assay/evidence"
)

// Product names a generation of processors, as certificates do: "Milan", "Genoa", "Turin".
type Product string

// The products whose TCB layout is known (sev-snp.md section 1).
const (
	Milan  Product = "Milan"
	Genoa  Product = "Genoa"
	Turin  Product = "Turin"
	Venice Product = "Venice"
)

// Chain is the certificates that came with a report, in any order and possibly without ASK and ARK; nothing is believed.
type Chain struct {
	Leaf   *x509.Certificate // VCEK or VLEK, told by its content
	Others []*x509.Certificate
}

// ParseChain reads certificates in PEM, with LF or CRLF. The error is an [evidence.Refusal].
func ParseChain(pem []byte) (*Chain, error) { return nil, errors.New("snp: not built yet") }

// ParseTable reads the certificate table of an extended report, which Linux gives as auxblob (sev-snp.md section 2): entries
// of DER or PEM. The error is an [evidence.Refusal].
func ParseTable(b []byte) (*Chain, error) { return nil, errors.New("snp: not built yet") }

// Anchor names a root of trust by the SHA-256 of its key's SubjectPublicKeyInfo.
type Anchor [sha256.Size]byte

// String gives the anchor in lower-case hex.
func (a Anchor) String() string { return hex.EncodeToString(a[:]) }

// Roots are the ARKs that chains may end in, and the ASKs and ASVKs at hand for chains that come without theirs. The zero value trusts nothing.
type Roots struct {
	arks          []*x509.Certificate
	intermediates []*x509.Certificate
}

// AMDRoots trusts AMD's ARKs of Milan, Genoa and Turin, and knows their ASKs and ASVKs.
func AMDRoots() Roots { return Roots{} }

// NewRoots trusts the self-signed ones of the given certificates, each one PEM or DER, and uses the others as intermediates where they are
// signed by a trusted one. It is for test PKI.
func NewRoots(certificates ...[]byte) (Roots, error) {
	return Roots{}, errors.New("snp: not built yet")
}

// And returns the roots of both r and other.
func (r Roots) And(other Roots) Roots { return Roots{} }

// Components are the security versions in a TCB version, by name. Those that a product does not have are zero.
type Components struct {
	FMC, BootLoader, TEE, SNP, Microcode uint8
}

// Components takes a TCB version apart as the product lays it out.
func (p Product) Components(t TCB) Components { return Components{} }

// Signer is a key that AMD vouches for, and what its certificate says.
type Signer struct {
	Kind       SigningKey
	Product    Product
	TCB        Components // for which the key was derived
	HardwareID []byte     // of the chip, 64 bytes or 8; nil for a VLEK
	CSPID      string     // of the provider, of a VLEK
	Anchor     Anchor

	leaf *x509.Certificate
}

// NotAfter is the end of the signer's certificate.
func (s *Signer) NotAfter() time.Time { return s.leaf.NotAfter }

// Trace follows the chain to a trusted ARK at the given time. The error is an [evidence.Refusal].
func (r Roots) Trace(c *Chain, opt Options) (*Signer, error) {
	return nil, errors.New("snp: not built yet")
}

// CRL is a revocation list that a trusted ARK signed.
type CRL struct {
	list *x509.RevocationList
}

// CRL reads a revocation list, DER or PEM, and checks its signature by one of the trusted ARKs. The error is an [evidence.Refusal].
func (r Roots) CRL(b []byte) (*CRL, error) { return nil, errors.New("snp: not built yet") }

// Verify verifies a report against its signer (sev-snp.md section 3). The error is an [evidence.Refusal] that names the first check that failed.
func Verify(r *Report, s *Signer, opt Options) (*Verified, error) {
	return nil, errors.New("snp: not built yet")
}

// Claims states the service's claims about the guest, in the names and formats of the token (tokens.md section 7).
func (v *Verified) Claims() []evidence.Claim { return nil }
