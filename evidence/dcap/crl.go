package dcap

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/assay-attestation/assay/evidence"
)

// CRL is a revocation list whose issuer and signature are checked. Its dates are judged at each verification.
type CRL struct {
	list    *x509.RevocationList
	issuer  [sha256.Size]byte // SHA-256 of the issuer's SubjectPublicKeyInfo
	revoked map[string]bool   // serial numbers in hex
	pemHash [sha256.Size]byte
}

// RootCRL reads the revocation list of the trusted root a, in DER, PEM or hex text, and checks that the root issued
// and signed it (sgx-tdx.md section 4.4).
func (v *Verifier) RootCRL(b []byte, a Anchor) (*CRL, error) {
	list, err := parseCRL(b)
	if err != nil {
		return nil, err
	}
	key, ok := v.roots.keys[a]
	if !ok {
		return nil, endorsement(evidence.UntrustedRoot, "the root of the revocation list is not trusted").Want("a trusted root", a)
	}
	if list.Issuer.CommonName != rootName {
		return nil, foreignCRL(list, rootName)
	}
	return newCRL(list, key, a)
}

// PCKCRL reads the revocation list of a PCK authority, in DER, PEM or hex text, and checks that ca issued and signed it.
func (v *Verifier) PCKCRL(b []byte, ca *CA) (*CRL, error) {
	list, err := parseCRL(b)
	if err != nil {
		return nil, err
	}
	if ca.cert.KeyUsage&x509.KeyUsageCRLSign == 0 {
		return nil, endorsement(evidence.CRLSignature, "%q may not sign revocation lists", ca.cert.Subject.CommonName).
			Want("key usage cRLSign", "none")
	}
	if !bytes.Equal(list.RawIssuer, ca.cert.RawSubject) {
		return nil, foreignCRL(list, ca.cert.Subject.CommonName)
	}
	return newCRL(list, key(ca.cert), ca.keyID)
}

func foreignCRL(list *x509.RevocationList, issuer string) error {
	return endorsement(evidence.CRLSignature, "the revocation list is of another authority").
		Want(issuer, list.Issuer.CommonName)
}

func newCRL(list *x509.RevocationList, key *ecdsa.PublicKey, issuer [sha256.Size]byte) (*CRL, error) {
	signer := x509.Certificate{PublicKey: key, PublicKeyAlgorithm: x509.ECDSA}
	if list.SignatureAlgorithm != x509.ECDSAWithSHA256 {
		return nil, endorsement(evidence.CRLSignature, "the revocation list of %q has an unexpected signature", list.Issuer.CommonName).
			Want(x509.ECDSAWithSHA256, list.SignatureAlgorithm)
	}
	if err := signer.CheckSignature(list.SignatureAlgorithm, list.RawTBSRevocationList, list.Signature); err != nil {
		return nil, endorsement(evidence.CRLSignature, "the revocation list of %q is not signed by it", list.Issuer.CommonName).Because(err)
	}
	revoked := make(map[string]bool, len(list.RevokedCertificateEntries))
	for _, e := range list.RevokedCertificateEntries {
		revoked[e.SerialNumber.Text(16)] = true
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list.Raw})
	return &CRL{list, issuer, revoked, hashC(text)}, nil
}

// ThisUpdate is the time from which the list is in force.
func (c *CRL) ThisUpdate() time.Time { return c.list.ThisUpdate }

// NextUpdate is the time until which the list is in force.
func (c *CRL) NextUpdate() time.Time { return c.list.NextUpdate }

// lists reports whether the list, if there is one, has a certificate of its issuer.
func (c *CRL) lists(serial *big.Int) bool { return c != nil && c.revoked[serial.Text(16)] }

// foreign reports whether the list, if there is one, is of another issuer.
func (c *CRL) foreign(issuer [sha256.Size]byte) bool { return c != nil && c.issuer != issuer }

// current checks the list's dates.
func (c *CRL) current(opt Options) *evidence.Refusal {
	name := c.list.Issuer.CommonName
	switch {
	case opt.At.Before(c.list.ThisUpdate):
		return endorsement(evidence.CRLNotYetValid, "the revocation list of %q is not in force yet", name).
			Want("thisUpdate not after "+stamp(opt.At), stamp(c.list.ThisUpdate)).Do("check the clock")
	case c.list.NextUpdate.IsZero() || !opt.At.Before(c.list.NextUpdate.Add(opt.Grace)):
		return endorsement(evidence.CRLExpired, "the revocation list of %q is past its nextUpdate", name).
			Want("nextUpdate after "+stamp(opt.At), stamp(c.list.NextUpdate)).Do("fetch the collateral again")
	}
	return nil
}

// parseCRL reads a CRL in any form in which services deliver it: DER, PEM, or hex text of DER, each perhaps with a
// trailing NUL byte or line feed.
func parseCRL(b []byte) (*x509.RevocationList, error) {
	der, err := crlDER(b)
	if err != nil {
		return nil, endorsement(evidence.CRLFormat, "the revocation list is not readable").Because(err)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, endorsement(evidence.CRLFormat, "the revocation list cannot be parsed").Because(err)
	}
	if list.Number == nil || len(list.AuthorityKeyId) == 0 {
		return nil, endorsement(evidence.CRLFormat, "the revocation list lacks an extension").
			Want("CRL number and authority key identifier", "not both")
	}
	if hasCritical(list) {
		return nil, endorsement(evidence.CRLFormat, "the revocation list has a critical extension, so it is not a plain, complete one").
			Want("no critical extension", "at least one")
	}
	return list, nil
}

// hasCritical reports whether the list or one of its entries has a critical extension. None that Intel uses is, and
// those that are (delta CRLs, indirect CRLs, partial scopes) change what the list means (RFC 5280 section 5.2).
func hasCritical(list *x509.RevocationList) bool {
	critical := func(x pkixExtension) bool { return x.Critical }
	return slices.ContainsFunc(list.Extensions, critical) ||
		slices.ContainsFunc(list.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool {
			return slices.ContainsFunc(e.Extensions, critical)
		})
}

// padding may surround a document that came as a C string or out of a file; it is not part of the document.
const padding = "\x00 \r\n\t"

// crlDER takes the one DER value out of b.
func crlDER(b []byte) ([]byte, error) {
	if len(b) > maxDocument {
		return nil, fmt.Errorf("revocation list of %d bytes, at most %d are read", len(b), maxDocument)
	}
	der, text := b, bytes.Trim(b, padding)
	if begin := []byte("-----BEGIN X509 CRL-----"); bytes.HasPrefix(text, begin) {
		block, rest := pem.Decode(text)
		if block == nil || len(rest) > 0 || bytes.Count(text, begin) > 1 { // the library passes over a damaged block in front of a good one
			return nil, errors.New("the PEM block is damaged, or not the only one")
		}
		der = block.Bytes
	} else if decoded, err := hex.DecodeString(string(text)); err == nil {
		der = decoded
	}
	var outer asn1.RawValue
	rest, err := asn1.Unmarshal(der, &outer)
	if err != nil || len(bytes.Trim(rest, padding)) > 0 {
		return nil, errors.New("expected DER, PEM or hex text")
	}
	return outer.FullBytes, nil
}

// hashC is the SHA-256 of text and a NUL byte: of the C string that a quote provider hands to a verifier, which is
// what the collateral claims hash (sgx-tdx.md section 10.2).
func hashC(text []byte) [sha256.Size]byte {
	return sha256.Sum256(append(bytes.Clone(text), 0))
}

// endorsement is a refusal of collateral, for which the evidence is not to blame.
func endorsement(check evidence.Check, format string, args ...any) *evidence.Refusal {
	return evidence.Refuse(check, format, args...).Blame(evidence.OfEndorsement)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
