package uvm

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/evidence"
)

// oidExtKeyUsage is the extension with the purposes of a key (RFC 5280 section 4.2.1.12).
const oidExtKeyUsage = "2.5.29.37"

// Issuer says whose endorsements count (switch snp_uvm_issuers).
type Issuer struct {
	DID    string // did:x509:0:sha256:FINGERPRINT::eku:OID, see [CheckDID]
	Feed   string // the product that is endorsed, such as ContainerPlat-AMD-UVM
	MinSVN uint64 // the endorsed security version must be at least this
}

// did is a did:x509 identifier: a certificate of an authority, and a key purpose that the signer's certificate must have.
type did struct {
	fingerprint [sha256.Size]byte
	eku         string
}

// CheckDID reports what is wrong with a did:x509 identifier. Known is version 0 with a fingerprint in SHA-256 and the one policy eku; both must be
// there, since a fingerprint alone would count every certificate of an authority.
func CheckDID(text string) error {
	_, err := parseDID(text)
	return err
}

func parseDID(text string) (d did, err error) {
	form := errors.New("did: expected did:x509:0:sha256:FINGERPRINT::eku:OID")
	head, policy, ok := strings.Cut(text, "::")
	encoded, isDID := strings.CutPrefix(head, "did:x509:0:sha256:")
	oid, isEKU := strings.CutPrefix(policy, "eku:")
	purpose, err := x509.ParseOID(oid)
	if !ok || !isDID || !isEKU || err != nil || purpose.String() != oid {
		return d, form
	}
	sum, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(sum) != len(d.fingerprint) {
		return d, fmt.Errorf("%w: the fingerprint is not one of SHA-256 in base64url", form)
	}
	copy(d.fingerprint[:], sum)
	d.eku = oid
	return d, nil
}

// Endorses checks that the endorsement counts and is of the measurement: issuer and feed are those configured, the chain leads to the
// issuer's certificate at the signing time, the endorsed security version is not below the minimum. The error is an [evidence.Refusal] for
// uvm-endorsement.
func (e *Endorsement) Endorses(by Issuer, measurement [48]byte) error {
	refuse := func(what string, want, found any) error {
		return evidence.Refuse(evidence.UVMEndorsement, "the endorsement does not count: %s", what).Want(want, found).
			Do("run a utility VM with an endorsement of a configured issuer, or change snp_uvm_issuers")
	}
	d, err := parseDID(by.DID)
	switch {
	case err != nil:
		return refuse("the configured issuer cannot be read", "a did:x509", err)
	case e.Issuer != by.DID:
		return refuse("it is of another issuer", by.DID, shorten(e.Issuer))
	case e.Feed != by.Feed:
		return refuse("it is of another feed", by.Feed, shorten(e.Feed))
	}
	if err := d.leads(e); err != nil {
		return refuse("its certificates do not lead to the issuer", by.DID, err)
	}
	switch {
	case e.SVN < by.MinSVN:
		return refuse("its security version is too low", fmt.Sprintf("%d at least (min_svn)", by.MinSVN), e.SVN)
	case e.Measurement != measurement:
		return refuse("it is of another measurement than the report", hex.EncodeToString(measurement[:]), hex.EncodeToString(e.Measurement[:]))
	}
	return nil
}

// leads checks that the chain leads from the leaf, which has the key purpose, to the certificate with the fingerprint, at the signing time.
func (d *did) leads(e *Endorsement) error {
	i := slices.IndexFunc(e.chain[1:], func(c *x509.Certificate) bool { return sha256.Sum256(c.Raw) == d.fingerprint })
	if i < 0 {
		return errors.New("no certificate of an authority with the fingerprint")
	}
	root, leaf := e.chain[1+i], e.chain[0]
	if root.Equal(leaf) { // which would vouch for itself
		return errors.New("the fingerprint is that of the signer's certificate, not of an authority")
	}
	if err := linked(e.chain[:2+i]); err != nil {
		return err
	}
	opt := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: e.SignedAt, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	opt.Roots.AddCert(root)
	for _, c := range e.chain[1 : 1+i] {
		opt.Intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(opt); err != nil {
		return err
	}
	if !hasPurpose(leaf, d.eku) {
		return fmt.Errorf("the signer's certificate lacks the key purpose %s", d.eku)
	}
	return nil
}

// linked checks that each certificate is signed by the next one, as x5chain has them (RFC 9360 section 2), from the issuer's certificate down: strangers who
// sign each other's certificates in many ways cost one signature, not all that the library would try.
func linked(chain []*x509.Certificate) error {
	for i := len(chain) - 2; i >= 0; i-- {
		if err := chain[i].CheckSignatureFrom(chain[i+1]); err != nil {
			return fmt.Errorf("certificate %d is not signed by the next one: %w", i, err)
		}
	}
	return nil
}

// hasPurpose reads the key purposes from their extension: the library keeps those that it has names for apart from the others.
func hasPurpose(cert *x509.Certificate, oid string) bool {
	for _, x := range cert.Extensions {
		var purposes []asn1.ObjectIdentifier
		if x.Id.String() != oidExtKeyUsage {
			continue
		}
		if rest, err := asn1.Unmarshal(x.Value, &purposes); err != nil || len(rest) > 0 {
			return false
		}
		return slices.ContainsFunc(purposes, func(p asn1.ObjectIdentifier) bool { return p.String() == oid })
	}
	return false
}

// shorten keeps what strangers wrote out of long messages.
func shorten(s string) string {
	if len(s) > 128 {
		return s[:128] + "…"
	}
	return s
}
