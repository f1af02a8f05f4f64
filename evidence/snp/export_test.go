package snp

import "crypto/x509"

// Pinned are the pins of AMD's ARKs by product.
func Pinned() map[Product]string {
	return map[Product]string{Milan: milanARK, Genoa: genoaARK, Turin: turinARK}
}

// Held is how many ARKs and how many ASKs and ASVKs the roots hold.
func (r Roots) Held() (arks, intermediates int) { return len(r.arks), len(r.intermediates) }

// ReadExtensions reads the extensions of a certificate of a kind and product.
func ReadExtensions(kind SigningKey, p Product, values map[string][]byte) (*Signer, error) {
	x := extensions{}
	for name, value := range values {
		x[name] = value
	}
	s := &Signer{Kind: kind, Product: p}
	return s, s.read(x)
}

// AMDCertificate is one of the embedded certificates.
func AMDCertificate(role string, p Product) (*x509.Certificate, error) {
	return amdCertificate(role, p)
}
