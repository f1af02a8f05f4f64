package snp

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"embed"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// amdCertificates are the certificates that AMD publishes, in DER: ARK, ASK and ASVK of each product.
//
//go:embed amd/*.der
var amdCertificates embed.FS

// The SHA-256 of the SubjectPublicKeyInfo of AMD's ARKs.
const (
	milanARK = "9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9"
	genoaARK = "429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831"
	turinARK = "4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08"
)

// Anchor names a root of trust by the SHA-256 of its key's SubjectPublicKeyInfo.
type Anchor [sha256.Size]byte

// String gives the anchor in lower-case hex.
func (a Anchor) String() string { return hex.EncodeToString(a[:]) }

func anchorOf(cert *x509.Certificate) Anchor { return sha256.Sum256(cert.RawSubjectPublicKeyInfo) }

// Roots are the ARKs that chains may end in, and the ASKs and ASVKs at hand for chains that come without theirs. The zero value trusts nothing.
type Roots struct {
	arks          []*x509.Certificate
	intermediates []*x509.Certificate
}

// AMDRoots trusts AMD's ARKs of Milan, Genoa and Turin, and knows their ASKs and ASVKs. An ARK whose key is not the pinned one would be left out.
func AMDRoots() Roots {
	pins := []struct {
		product Product
		ark     string
	}{{Milan, milanARK}, {Genoa, genoaARK}, {Turin, turinARK}}
	var roots Roots
	for _, pin := range pins {
		ark, err := amdCertificate("ark", pin.product)
		ask, err2 := amdCertificate("ask", pin.product)
		asvk, err3 := amdCertificate("asvk", pin.product)
		if errors.Join(err, err2, err3) == nil && anchorOf(ark).String() == pin.ark {
			roots = roots.And(Roots{[]*x509.Certificate{ark}, []*x509.Certificate{ask, asvk}})
		}
	}
	return roots
}

// amdCertificate reads one of the certificates that AMD publishes.
func amdCertificate(role string, p Product) (*x509.Certificate, error) {
	der, err := amdCertificates.ReadFile(fmt.Sprintf("amd/%s-%s.der", role, strings.ToLower(string(p))))
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// NewRoots trusts the self-signed ones of the given certificates, and uses the others as intermediates, which one of the trusted ones has
// signed. Each argument is one certificate in DER, or one or more in PEM. It is for test PKI.
func NewRoots(certificates ...[]byte) (Roots, error) {
	var roots Roots
	var others []*x509.Certificate
	for _, b := range apart(certificates) {
		cert, err := x509.ParseCertificate(b)
		if err != nil {
			return Roots{}, fmt.Errorf("trusted root: %w", err)
		}
		if !bytes.Equal(cert.RawIssuer, cert.RawSubject) {
			others = append(others, cert)
			continue
		}
		if err := errors.Join(isARK(cert), issuedBy(cert, cert)); err != nil {
			return Roots{}, fmt.Errorf("trusted root: %w", err)
		}
		roots.arks = append(roots.arks, cert)
	}
	for _, cert := range others {
		if _, err := roots.rootOf(cert); err != nil {
			return Roots{}, fmt.Errorf("intermediate certificate: %w", err)
		}
	}
	roots.intermediates = others
	return roots, nil
}

// apart gives the DER of all certificates.
func apart(certificates [][]byte) (ders [][]byte) {
	for _, b := range certificates {
		block, rest := pem.Decode(b)
		if block == nil {
			ders = append(ders, b)
		}
		for ; block != nil; block, rest = pem.Decode(rest) {
			ders = append(ders, block.Bytes)
		}
	}
	return ders
}

// And returns the roots of both r and other.
func (r Roots) And(other Roots) Roots {
	return Roots{slices.Concat(r.arks, other.arks), slices.Concat(r.intermediates, other.intermediates)}
}

// Products are those whose ARKs are trusted, each once, in the order in which they were named.
func (r Roots) Products() (all []Product) {
	for _, ark := range r.arks {
		p := Product(strings.TrimPrefix(ark.Subject.CommonName, arkPrefix))
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

// isARK checks the name of a root.
func isARK(cert *x509.Certificate) error {
	p, _ := strings.CutPrefix(cert.Subject.CommonName, arkPrefix)
	if _, known := Product(p).layout(); !known || arkPrefix+p != cert.Subject.CommonName {
		return fmt.Errorf("%q is not the ARK of a known product", cert.Subject.CommonName)
	}
	return nil
}

// rootOf finds the trusted ARK that signed cert.
func (r Roots) rootOf(cert *x509.Certificate) (*x509.Certificate, error) {
	err := fmt.Errorf("no trusted root is named as the issuer of %q, %q", cert.Subject.CommonName, cert.Issuer.CommonName)
	for _, ark := range issuers(cert, r.arks) {
		if err = issuedBy(cert, ark); err == nil {
			return ark, nil
		}
	}
	return nil, err
}

// issuers are those of certs that are named as the issuer of cert, each once.
func issuers(cert *x509.Certificate, certs []*x509.Certificate) (named []*x509.Certificate) {
	for _, c := range certs {
		if bytes.Equal(c.RawSubject, cert.RawIssuer) && !slices.ContainsFunc(named, c.Equal) {
			named = append(named, c)
		}
	}
	return named
}
