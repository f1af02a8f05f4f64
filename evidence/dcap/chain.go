package dcap

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/assay-attestation/assay/evidence"
)

type pkixExtension = pkix.Extension

// CAKind tells the two PCK certificate authorities apart, in the word that Intel's service uses for its CRLs.
type CAKind string

// The PCK certificate authorities (sgx-tdx.md section 4.1).
const (
	Processor CAKind = "processor"
	Platform  CAKind = "platform"
)

// Names of Intel's certificates.
const (
	rootName      = "Intel SGX Root CA"
	processorName = "Intel SGX PCK Processor CA"
	platformName  = "Intel SGX PCK Platform CA"
	leafName      = "Intel SGX PCK Certificate"
	tcbSignerName = "Intel SGX TCB Signing"
)

// maxPCKChain bounds the certificate chain in a quote, before it is read. Real ones have 3.6 KB.
const maxPCKChain = 16 << 10

// Numbers of remembered certificates: leaves are one per platform, authorities a handful.
const (
	cachedChains = 4096
	cachedCAs    = 64
)

// Verifier verifies quotes and collateral against a set of trusted roots. It remembers certificate chains whose
// signatures it has checked (never a date or a revocation, which are judged anew each time). It is safe for
// concurrent use.
type Verifier struct {
	roots  Roots
	chains *lru.Cache[[sha256.Size]byte, *chain]
	cas    *lru.Cache[[sha256.Size]byte, *CA]
}

// NewVerifier makes a verifier that trusts roots.
func NewVerifier(roots Roots) *Verifier {
	chains, err := lru.New[[sha256.Size]byte, *chain](cachedChains)
	cas, err2 := lru.New[[sha256.Size]byte, *CA](cachedCAs)
	if err := errors.Join(err, err2); err != nil {
		panic("dcap: cache size: " + err.Error())
	}
	return &Verifier{roots, chains, cas}
}

// CA is a PCK certificate authority whose certificate a trusted root has signed.
type CA struct {
	cert, root *x509.Certificate
	anchor     Anchor
	keyID      [sha256.Size]byte
	text       []byte // the certificate and its root in PEM, as quoting enclaves write them
}

// Kind says which of Intel's two authorities it is.
func (ca *CA) Kind() CAKind {
	if ca.cert.Subject.CommonName == processorName {
		return Processor
	}
	return Platform
}

// KeyID is the SHA-256 of the authority's SubjectPublicKeyInfo.
func (ca *CA) KeyID() [sha256.Size]byte { return ca.keyID }

// chain is a PCK certificate with its authority; signatures and names are checked, dates are not.
type chain struct {
	leaf *x509.Certificate
	ca   *CA
	ext  PCKExtension
}

// Origin is a quote whose PCK certificate chain leads to a trusted root and is in force: the quote claims to come
// from the platform named there. The claim is not verified yet; [Verifier.Verify] does that with the collateral that
// the origin asks for.
type Origin struct {
	quote *Quote
	chain *chain
}

// Quote is the quote the origin belongs to.
func (o *Origin) Quote() *Quote { return o.quote }

// FMSPC is the platform family in the PCK certificate.
func (o *Origin) FMSPC() FMSPC { return o.chain.ext.FMSPC }

// CA is the authority that issued the PCK certificate.
func (o *Origin) CA() *CA { return o.chain.ca }

// Anchor is the trusted root that the chain ends in.
func (o *Origin) Anchor() Anchor { return o.chain.ca.anchor }

// PCK is what the PCK certificate says about the platform.
func (o *Origin) PCK() PCKExtension { return o.chain.ext }

// Trace follows the PCK certificate chain in q to a trusted root: names, CA flags, signatures, the SGX extension, and
// dates at the time at (sgx-tdx.md section 7 step 2). Revocation needs collateral and comes later. The error is an
// [evidence.Refusal].
func (v *Verifier) Trace(q *Quote, at time.Time, j *evidence.Journal) (*Origin, error) {
	c, err := v.chain(q.pckChain)
	if err != nil {
		return nil, j.Fail(err)
	}
	j.Pass(evidence.UntrustedRoot, c.ca.anchor.String())
	j.Pass(evidence.PCKChain, string(c.ca.Kind()))
	if err := c.inForce(at); err != nil {
		return nil, j.Fail(err)
	}
	j.Pass(evidence.PCKExpired, c.leaf.NotAfter.Format(time.RFC3339))
	return &Origin{quote: q, chain: c}, nil
}

// chain returns the checked chain of pemChain, from memory if the same bytes were checked before.
func (v *Verifier) chain(pemChain []byte) (*chain, *evidence.Refusal) {
	key := sha256.Sum256(pemChain)
	if c, ok := v.chains.Get(key); ok {
		return c, nil
	}
	c, err := v.checkChain(pemChain)
	if err == nil && c.usual(pemChain) {
		v.chains.Add(key, c)
	}
	return c, err
}

// usual reports whether a chain is written in the one way that quoting enclaves write it. Others are not remembered:
// the text of a chain is not signed, and anybody can write the same certificates in as many ways as it takes to fill
// the memory or to push out what is in it.
func (c *chain) usual(pemChain []byte) bool {
	issuers, ok := bytes.CutPrefix(pemChain, joinPEM(c.leaf))
	return ok && bytes.Equal(bytes.TrimSuffix(issuers, []byte{0}), c.ca.text)
}

func (v *Verifier) checkChain(pemChain []byte) (*chain, *evidence.Refusal) {
	if len(pemChain) > maxPCKChain {
		return nil, evidence.Refuse(evidence.PCKChain, "the PCK certificate chain is too long").
			Want(fmt.Sprintf("at most %d bytes", maxPCKChain), fmt.Sprintf("%d bytes", len(pemChain)))
	}
	der, issuers, err := cutPEM(pemChain)
	if err != nil {
		return nil, unreadable(err)
	}
	ca, refusal := v.ca(issuers)
	if refusal != nil {
		return nil, refusal
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, evidence.Refuse(evidence.PCKChain, "the PCK certificate cannot be parsed").Because(err)
	}
	if err := errors.Join(named(leaf, leafName), notCA(leaf), issuedBy(leaf, ca.cert)); err != nil {
		return nil, evidence.Refuse(evidence.PCKChain, "the first certificate of the quote is not a PCK certificate of its CA").Because(err).
			Do("use a quote whose certificate chain is as Intel issued it")
	}
	ext, err := parsePCKExtension(leaf)
	if err != nil {
		return nil, evidence.Refuse(evidence.PCKFormat, "the PCK certificate's SGX extension cannot be read").Because(err).
			Do("use a quote whose certificate chain begins with a PCK certificate that Intel issued")
	}
	return &chain{leaf, ca, ext}, nil
}

func unreadable(err error) *evidence.Refusal {
	return evidence.Refuse(evidence.PCKChain, "the PCK certificate chain is not three certificates in PEM: leaf, CA, root").Because(err)
}

// ca returns the PCK CA of a PEM text, CA and root, from memory if the same text was checked before.
func (v *Verifier) ca(issuers []byte) (*CA, *evidence.Refusal) {
	key := sha256.Sum256(issuers)
	if ca, ok := v.cas.Get(key); ok {
		return ca, nil
	}
	ca, refusal := v.checkCA(issuers)
	if refusal == nil && bytes.Equal(issuers, bytes.TrimRight(ca.text, padding)) {
		v.cas.Add(key, ca)
	}
	return ca, refusal
}

func (v *Verifier) checkCA(issuers []byte) (*CA, *evidence.Refusal) {
	ders, err := splitPEM(issuers, 2)
	if err != nil {
		return nil, unreadable(err)
	}
	cert, err := x509.ParseCertificate(ders[0])
	root, err2 := x509.ParseCertificate(ders[1])
	if err := errors.Join(err, err2); err != nil {
		return nil, evidence.Refuse(evidence.PCKChain, "a certificate above the PCK certificate cannot be parsed").Because(err)
	}
	anchor, refusal := v.anchor(root)
	if refusal != nil {
		return nil, refusal
	}
	name := processorName
	if cert.Subject.CommonName == platformName {
		name = platformName
	}
	if err := errors.Join(named(cert, name), issuedBy(cert, root), mayIssue(cert, 0)); err != nil {
		return nil, evidence.Refuse(evidence.PCKChain, "the PCK CA is not one that the root issued").Because(err)
	}
	return &CA{cert, root, anchor, sha256.Sum256(cert.RawSubjectPublicKeyInfo), joinPEM(cert, root)}, nil
}

func untrusted(a Anchor) *evidence.Refusal {
	return evidence.Refuse(evidence.UntrustedRoot, "the quote's certificate chain ends in a root that is not trusted").
		Want("the key of a root that this service trusts", "SHA-256 of SubjectPublicKeyInfo "+a.String()).
		Do("use evidence of genuine Intel hardware; whoever runs the verifier can make it trust a test root")
}

// anchor checks that root is a certificate of a trusted key.
func (v *Verifier) anchor(root *x509.Certificate) (Anchor, *evidence.Refusal) {
	a := Anchor(sha256.Sum256(root.RawSubjectPublicKeyInfo))
	if _, ok := v.roots.keys[a]; !ok {
		return a, untrusted(a)
	}
	if err := errors.Join(named(root, rootName), issuedBy(root, root), mayIssue(root, 1)); err != nil {
		return a, evidence.Refuse(evidence.PCKChain, "the root certificate is not well made").Because(err)
	}
	return a, nil
}

// named checks the whole subject of one of Intel's certificates, and what all of them share.
func named(cert *x509.Certificate, cn string) error {
	s := cert.Subject
	if s.CommonName != cn {
		return fmt.Errorf("expected the name %q, found %q", cn, s.CommonName)
	}
	if len(s.Names) != 5 || !only(s.Organization, "Intel Corporation") || !only(s.Locality, "Santa Clara") ||
		!only(s.Province, "CA") || !only(s.Country, "US") {
		return fmt.Errorf("%q is not named as Intel names its certificates: %q", s.CommonName, s)
	}
	if _, ok := p256(cert); !ok {
		return fmt.Errorf("%q has no P-256 key", s.CommonName)
	}
	if len(cert.UnhandledCriticalExtensions) > 0 {
		return fmt.Errorf("%q has an unknown critical extension %s", s.CommonName, cert.UnhandledCriticalExtensions[0])
	}
	return nil
}

func only(values []string, want string) bool {
	return len(values) == 1 && values[0] == want
}

// issuedBy checks name, CA flags, key usage and signature of the issuer.
func issuedBy(cert, issuer *x509.Certificate) error {
	if !bytes.Equal(cert.RawIssuer, issuer.RawSubject) {
		return fmt.Errorf("%q was issued by %q, not by %q", cert.Subject.CommonName, cert.Issuer.CommonName, issuer.Subject.CommonName)
	}
	if cert.SignatureAlgorithm != x509.ECDSAWithSHA256 {
		return fmt.Errorf("%q is signed with %s instead of ECDSA with SHA-256", cert.Subject.CommonName, cert.SignatureAlgorithm)
	}
	if err := cert.CheckSignatureFrom(issuer); err != nil {
		return fmt.Errorf("%q: %w", cert.Subject.CommonName, err)
	}
	return nil
}

// mayIssue checks that a CA may stand above below further CAs.
func mayIssue(cert *x509.Certificate, below int) error {
	limited := cert.MaxPathLen > 0 || cert.MaxPathLenZero
	if !cert.BasicConstraintsValid || !cert.IsCA || limited && cert.MaxPathLen < below {
		return fmt.Errorf("%q is not a CA that may issue here", cert.Subject.CommonName)
	}
	return nil
}

func notCA(cert *x509.Certificate) error {
	if cert.IsCA {
		return fmt.Errorf("%q is a CA", cert.Subject.CommonName)
	}
	return nil
}

// inForce checks the dates of the certificates, leaf first.
func (c *chain) inForce(at time.Time) *evidence.Refusal {
	for _, cert := range []*x509.Certificate{c.leaf, c.ca.cert, c.ca.root} {
		switch {
		case at.Before(cert.NotBefore):
			return evidence.Refuse(evidence.PCKNotYetValid, "%q is not valid yet", cert.Subject.CommonName).
				Want("a time not before "+stamp(cert.NotBefore), "the service's time "+stamp(at)).
				Do("check the clock of the service, and that of the machine that provisioned the platform")
		case at.After(cert.NotAfter):
			return evidence.Refuse(evidence.PCKExpired, "%q has expired", cert.Subject.CommonName).
				Want("a time not after "+stamp(cert.NotAfter), "the service's time "+stamp(at)).Do("provision the platform again for a new PCK certificate")
		}
	}
	return nil
}

// splitPEM takes a chain of n certificates apart into their DER.
func splitPEM(b []byte, n int) (ders [][]byte, err error) {
	for i := range n {
		var der []byte
		if der, b, err = cutPEM(b); err != nil {
			return nil, fmt.Errorf("certificate %d of %d: %w", i+1, n, err)
		}
		ders = append(ders, der)
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("expected %d certificates, found more", n)
	}
	return ders, nil
}

// cutPEM takes the first certificate off a chain and returns its DER and what follows it. Nothing but white space may
// stand before it; padding at the end of the chain is cut off.
func cutPEM(b []byte) (der, rest []byte, err error) {
	const space = " \r\n\t"
	if len(b) > maxDocument {
		return nil, nil, fmt.Errorf("certificate chain of %d bytes, at most %d are read", len(b), maxDocument)
	}
	b = bytes.TrimLeft(b, space)
	if !bytes.HasPrefix(b, []byte("-----BEGIN CERTIFICATE-----")) {
		return nil, nil, errors.New("expected a PEM certificate, found something else or nothing")
	}
	block, next := pem.Decode(b)
	// Decode looks past a damaged block for the next sound one, so what it read may be more than one block.
	if block == nil || len(block.Headers) > 0 || bytes.Count(b[:len(b)-len(next)], []byte("-----BEGIN ")) != 1 {
		return nil, nil, errors.New("the PEM is damaged")
	}
	return block.Bytes, bytes.TrimRight(bytes.TrimLeft(next, space), padding), nil
}
