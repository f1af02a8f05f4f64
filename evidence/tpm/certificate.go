package tpm

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/assay-attestation/assay/evidence"
)

// maxCertificate bounds a certificate with its padding: NV indices have up to 4 KB.
const maxCertificate = 16 << 10

// Root is a trusted certificate of a CA that certifies attestation or endorsement keys.
type Root struct {
	Certificate *x509.Certificate
	// AllowMissingEKU accepts certificates below this root that do not say that they are of an AIK or EK: those without
	// any extended key usage and, for AIKs, those with that of an EK, as Google's CA writes them (switch allow_missing_eku).
	// A key usage must be there then.
	AllowMissingEKU bool
}

// Roots are the trust anchors for keys of TPMs, with the intermediate certificates that clients do not send. The zero value
// trusts nothing. It is safe for concurrent use.
type Roots struct {
	roots         []Root
	anchors       *x509.CertPool
	intermediates *x509.CertPool
	enrolled      Enrolled
}

// NewRoots makes trust anchors.
func NewRoots(roots []Root, intermediates []*x509.Certificate) *Roots {
	r := &Roots{slices.Clone(roots), x509.NewCertPool(), x509.NewCertPool(), Enrolled{}}
	for _, root := range roots {
		r.anchors.AddCert(root.Certificate)
	}
	for _, c := range intermediates {
		r.intermediates.AddCert(c)
	}
	return r
}

// purpose is what a certificate is for.
type purpose struct {
	check  evidence.Check
	name   string
	eku    asn1.ObjectIdentifier
	usages x509.KeyUsage // one of them, if the certificate has key usages
	also   asn1.ObjectIdentifier
	which  string // of a certificate that was enrolled here, its id
	trust  string // what to do about one that leads to no root
}

// The TCG's key purposes (tpm-evidence.md section 3).
func forAIK() purpose {
	return purpose{
		evidence.AIKCertificate, "attestation key", asn1.ObjectIdentifier{2, 23, 133, 8, 3},
		x509.KeyUsageDigitalSignature, asn1.ObjectIdentifier{2, 23, 133, 8, 1}, "",
		"configure the root of its CA, with the intermediate certificates",
	}
}

func forEK() purpose {
	return purpose{
		evidence.EKCertificate, "endorsement key", asn1.ObjectIdentifier{2, 23, 133, 8, 1},
		x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement, nil, "",
		"send the intermediate certificates along (ekChain), have the operator configure the root of its maker (ek_roots), or have the provider's owner pin the key",
	}
}

// VerifyAIK checks the certificate of an attestation key (tpm.md section 12): DER, perhaps padded with zeros, that leads to a
// root, in force at the time, with the usages of an AIK. It gives the certificate, whose key is of a kind that can be an
// AIK's. Addresses in it are never followed. The error is an [evidence.Refusal] of AIKCertificate or AIKKey.
func (r *Roots) VerifyAIK(der []byte, at time.Time) (*x509.Certificate, error) {
	return r.verify(der, at, forAIK())
}

// VerifyEK checks the certificate of an endorsement key likewise (tpm-evidence.md section 3). The error is an
// [evidence.Refusal] of EKCertificate or AIKKey.
func (r *Roots) VerifyEK(der []byte, at time.Time) (*x509.Certificate, error) {
	return r.verify(der, at, forEK())
}

// ParseCertificate reads a DER certificate that may be padded with zeros to the size of the NV index it was read from. The
// error says what cannot be read; nothing of the certificate is believed.
func ParseCertificate(der []byte) (*x509.Certificate, error) {
	if len(der) > maxCertificate {
		return nil, fmt.Errorf("the certificate has %s, more than %d", byteCount(len(der)), maxCertificate)
	}
	rest := cryptobyte.String(der)
	var element cryptobyte.String
	if !rest.ReadASN1Element(&element, cbasn1.SEQUENCE) {
		return nil, errors.New("the certificate is not in DER")
	}
	if len(bytes.Trim(rest, "\x00")) > 0 {
		return nil, fmt.Errorf("%s follow the certificate that are not all zero", byteCount(len(rest)))
	}
	return x509.ParseCertificate(element)
}

func (r *Roots) verify(der []byte, at time.Time, p purpose) (*x509.Certificate, error) {
	cert, err := ParseCertificate(der)
	if err != nil {
		return nil, p.refuse("cannot be read").Because(err).Do("send the certificate in DER")
	}
	if err := CheckKey(cert.PublicKey); err != nil {
		return nil, err
	}
	p.which = r.known().names(cert)
	if refused := p.usable(cert, at); refused != nil {
		return nil, refused
	}
	chains, refused := r.chains(cert, at, p)
	if refused != nil {
		return nil, refused
	}
	if refused := r.says(cert, chains, p); refused != nil {
		return nil, refused
	}
	return cert, nil
}

func (p purpose) refuse(problem string) *evidence.Refusal {
	return evidence.Refuse(p.check, "the %s's certificate%s %s", p.name, p.which, problem)
}

// usable checks what the certificate says about itself, but for the extended key usage.
func (p purpose) usable(c *x509.Certificate, at time.Time) *evidence.Refusal {
	switch {
	case at.Before(c.NotBefore):
		return p.refuse("is not yet valid").Want("a time after "+c.NotBefore.Format(time.RFC3339), at.Format(time.RFC3339))
	case at.After(c.NotAfter):
		return p.refuse("has expired").Want("a time before "+c.NotAfter.Format(time.RFC3339), at.Format(time.RFC3339)).
			Do("renew the certificate of the key")
	case c.IsCA:
		return p.refuse("is one of a CA").Want("the certificate of a key of a TPM", "a CA certificate")
	case c.KeyUsage != 0 && c.KeyUsage&p.usages == 0:
		return p.refuse("has another key usage").Want(fmt.Sprintf("key usage bits of %b", p.usages), fmt.Sprintf("%b", c.KeyUsage))
	}
	return nil
}

// chains leads the certificate to the roots. Key usages are checked by [Roots.says].
func (r *Roots) chains(c *x509.Certificate, at time.Time, p purpose) ([][]*x509.Certificate, *evidence.Refusal) {
	if r == nil || len(r.roots) == 0 {
		return nil, p.refuse("leads nowhere: no root is trusted").Do(p.trust)
	}
	leaf, err := withSubjectAltName(c)
	if err != nil {
		return nil, p.refuse("has a critical extension that is not understood").Because(err)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: r.anchors, Intermediates: r.intermediates, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, p.refuse("does not lead to a trusted root").Because(err).Do(p.trust)
	}
	return chains, nil
}

// says checks the extended key usage.
func (r *Roots) says(c *x509.Certificate, chains [][]*x509.Certificate, p purpose) *evidence.Refusal {
	if slices.ContainsFunc(c.UnknownExtKeyUsage, p.eku.Equal) {
		return nil
	}
	if p.excusable(c) && slices.ContainsFunc(chains, r.excuses) {
		return nil
	}
	return p.refuse("does not say that it is of one").
		Want("extended key usage "+p.eku.String(), fmt.Sprint(c.UnknownExtKeyUsage)).
		Do("use a certificate with it; for a CA that writes none, allow_missing_eku of its root")
}

// excusable reports whether a root may excuse that the certificate does not say what it is for: there is a key usage, and no
// extended one but perhaps that of an EK.
func (p purpose) excusable(c *x509.Certificate) bool {
	for _, eku := range c.UnknownExtKeyUsage {
		if p.also == nil || !eku.Equal(p.also) {
			return false
		}
	}
	return c.KeyUsage != 0 && len(c.ExtKeyUsage) == 0
}

func (r *Roots) excuses(chain []*x509.Certificate) bool {
	return slices.ContainsFunc(r.roots, func(root Root) bool {
		return root.AllowMissingEKU && root.Certificate.Equal(chain[len(chain)-1])
	})
}
