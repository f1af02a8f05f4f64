package tpm

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/assay-attestation/assay/evidence"
)

// KeyHash is SHA-256 over the SubjectPublicKeyInfo (DER) of a key.
type KeyHash [sha256.Size]byte

// HashKey names a key that can be an AIK's. The error is one of [CheckKey].
func HashKey(key crypto.PublicKey) (KeyHash, error) {
	if err := CheckKey(key); err != nil {
		return KeyHash{}, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return KeyHash{}, fmt.Errorf("encoding a public key: %w", err)
	}
	return sha256.Sum256(spki), nil
}

// String is the hash in 64 hex digits, lower case.
func (h KeyHash) String() string { return hex.EncodeToString(h[:]) }

// Enrolled is what a provider knows of attestation keys by itself (native.md section 4).
type Enrolled struct {
	Issuer  *x509.Certificate  // its CA, which is trusted; nil: none is
	Pinned  map[KeyHash]bool   // attestation keys that need no certificate
	Revoked map[KeyHash]string // attestation keys that are never accepted, with the id of the certificate that was revoked
}

// With gives roots that also trust what is enrolled, for attestation keys only.
func (r *Roots) With(e Enrolled) *Roots {
	with := &Roots{r.roots, r.anchors, r.intermediates, e}
	if e.Issuer != nil {
		with.roots = append(slices.Clone(r.roots), Root{Certificate: e.Issuer})
		with.anchors = r.anchors.Clone()
		with.anchors.AddCert(e.Issuer)
	}
	return with
}

// WithIntermediates gives roots that can also be reached over certificates that somebody sent along, in DER, at most
// MaxSentCertificates of them, with keys that [CheckKey] accepts. The error is an [evidence.Refusal] of EKCertificate.
func (r *Roots) WithIntermediates(ders [][]byte) (*Roots, error) {
	if len(ders) > MaxSentCertificates {
		return nil, forEK().refuse("comes with too long a chain").Want(fmt.Sprintf("at most %d certificates", MaxSentCertificates), len(ders))
	}
	with := &Roots{r.roots, r.anchors, r.intermediates.Clone(), r.enrolled}
	for _, der := range ders {
		c, err := ParseCertificate(der)
		if err != nil {
			return nil, forEK().refuse("comes with a certificate that cannot be read").Because(err)
		}
		if err := CheckKey(c.PublicKey); err != nil { // before it is used: the time of a verification grows with the square of the key's length
			return nil, forEK().refuse("comes with a certificate whose key is not accepted").Because(err)
		}
		with.intermediates.AddCert(c)
	}
	return with, nil
}

// MaxSentCertificates bounds the chain that comes with the certificate of an endorsement key.
const MaxSentCertificates = 8

// PinnedAIK reports whether an attestation key needs no certificate. It refuses a key whose certificate was revoked, with an
// [evidence.Refusal] of AIKCertificate that names the certificate, and one that cannot be an AIK's with one of AIKKey.
func (r *Roots) PinnedAIK(key crypto.PublicKey) (bool, error) {
	hash, err := HashKey(key)
	if err != nil {
		return false, err
	}
	if id, revoked := r.known().Revoked[hash]; revoked {
		return false, evidence.Refuse(evidence.AIKCertificate, "the attestation key's certificate %s, enrolled here, was revoked", id).
			Want("a key that is not revoked", hash).Do("make a new attestation key and enrol it, or ask the provider's owner why it was revoked")
	}
	return r.known().Pinned[hash], nil
}

// known is what is enrolled; of no roots nothing is.
func (r *Roots) known() Enrolled {
	if r == nil {
		return Enrolled{}
	}
	return r.enrolled
}

// names says that a certificate is one of those enrolled here, by its id, or nothing.
func (e Enrolled) names(c *x509.Certificate) string {
	if e.Issuer == nil || c.CheckSignatureFrom(e.Issuer) != nil {
		return ""
	}
	return " " + CertificateID(c) + ", enrolled here,"
}

// CertificateID is the id of a certificate that was enrolled: its serial number in 32 hex digits.
func CertificateID(c *x509.Certificate) string { return fmt.Sprintf("%032x", c.SerialNumber) }

// maxDeviceText bounds a text of a TPM's name in bytes.
const maxDeviceText = 64

// DeviceName gives the manufacturer, model and version of the TPM (2.23.133.2.1 to .3) that the subjectAltName of a verified
// certificate of an endorsement key has, in this order, each of at most 64 bytes; empty where it has none that can be read.
func DeviceName(c *x509.Certificate) (device [3]string) {
	names, err := directoryNames(c)
	if err != nil {
		return device
	}
	for i := range device {
		device[i] = deviceText(names, asn1.ObjectIdentifier{2, 23, 133, 2, i + 1})
	}
	return device
}

func deviceText(names []pkix.RDNSequence, id asn1.ObjectIdentifier) string {
	for _, set := range slices.Concat(names...) {
		for _, a := range set {
			if text, ok := a.Value.(string); ok && a.Type.Equal(id) && len(text) <= maxDeviceText && utf8.ValidString(text) {
				return text
			}
		}
	}
	return ""
}
