package snp

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/assay-attestation/assay/evidence"
)

// MaxCRL is the most that is read of a revocation list, in bytes.
const MaxCRL = 1 << 20

const crlBegin = "-----BEGIN X509 CRL-----"

// CRL is a revocation list that a trusted ARK signed: of ASKs and ASVKs, and of itself. Its dates are judged at each verification.
type CRL struct {
	list    *x509.RevocationList
	issuer  Anchor
	revoked map[string]bool // serial numbers in hex
}

// NextUpdate is the time until which the list is in force.
func (c *CRL) NextUpdate() time.Time { return c.list.NextUpdate }

// CRL reads a revocation list, DER or PEM, of at most [MaxCRL] bytes, and checks its signature by one of the trusted ARKs (sev-snp.md section 3 step 4).
// The error is an [evidence.Refusal], never of the evidence.
func (r Roots) CRL(b []byte) (*CRL, error) {
	list, err := parseCRL(b)
	if err != nil {
		return nil, endorsement(evidence.CRLFormat, "the revocation list cannot be read").Because(err)
	}
	err = fmt.Errorf("no trusted root is named %q", list.Issuer.CommonName)
	for _, ark := range r.arks {
		if !bytes.Equal(ark.RawSubject, list.RawIssuer) {
			continue
		}
		if err = crlSignedBy(list, ark); err == nil {
			return newCRL(list, ark), nil
		}
	}
	return nil, endorsement(evidence.CRLSignature, "the revocation list of %q is not signed by a trusted root", list.Issuer.CommonName).Because(err)
}

func newCRL(list *x509.RevocationList, ark *x509.Certificate) *CRL {
	revoked := make(map[string]bool, len(list.RevokedCertificateEntries))
	for _, e := range list.RevokedCertificateEntries {
		revoked[e.SerialNumber.Text(16)] = true
	}
	return &CRL{list, anchorOf(ark), revoked}
}

func crlSignedBy(list *x509.RevocationList, ark *x509.Certificate) error {
	if list.SignatureAlgorithm != x509.SHA384WithRSAPSS {
		return fmt.Errorf("it is signed with %s instead of RSASSA-PSS with SHA-384", list.SignatureAlgorithm)
	}
	return list.CheckSignatureFrom(ark)
}

func parseCRL(b []byte) (*x509.RevocationList, error) {
	if len(b) > MaxCRL {
		return nil, fmt.Errorf("%d bytes, at most %d are read", len(b), MaxCRL)
	}
	if text := bytes.Trim(b, padding); bytes.HasPrefix(text, []byte(crlBegin)) {
		block, rest := pem.Decode(text)
		if block == nil || len(rest) > 0 || bytes.Count(text, []byte(crlBegin)) > 1 { // the library passes over a damaged block in front of a good one
			return nil, errors.New("the PEM block is damaged, or not the only one")
		}
		b = block.Bytes
	}
	list, err := x509.ParseRevocationList(b)
	if err == nil && hasCritical(list) {
		return nil, errors.New("it has a critical extension, so it is not a plain, complete list")
	}
	return list, err
}

// hasCritical reports whether the list or one of its entries has a critical extension. Those that are critical (delta CRLs, indirect CRLs, partial
// scopes) change what the list means (RFC 5280 section 5.2).
func hasCritical(list *x509.RevocationList) bool {
	critical := func(x pkix.Extension) bool { return x.Critical }
	return slices.ContainsFunc(list.Extensions, critical) ||
		slices.ContainsFunc(list.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool { return slices.ContainsFunc(e.Extensions, critical) })
}

func (c *CRL) lists(serial *big.Int) bool { return c.revoked[serial.Text(16)] }

// current checks the dates of the list.
func (c *CRL) current(opt Options) *evidence.Refusal {
	name := c.list.Issuer.CommonName
	switch {
	case opt.At.Before(c.list.ThisUpdate):
		return endorsement(evidence.CRLNotYetValid, "the revocation list of %q is not in force yet", name).
			Want("thisUpdate not after "+stamp(opt.At), stamp(c.list.ThisUpdate)).Do("check the clock")
	case c.list.NextUpdate.IsZero() || !opt.At.Before(c.list.NextUpdate.Add(opt.Grace)):
		return endorsement(evidence.CRLExpired, "the revocation list of %q is past its nextUpdate", name).
			Want("nextUpdate after "+stamp(opt.At), stamp(c.list.NextUpdate)).Do("configure a current list (setting snp_crls)")
	}
	return nil
}

// endorsement is a refusal of what the verifier brought, for which the evidence is not to blame.
func endorsement(check evidence.Check, format string, args ...any) *evidence.Refusal {
	return evidence.Refuse(check, format, args...).Blame(evidence.OfEndorsement)
}
