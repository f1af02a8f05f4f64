package snp

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assay-attestation/assay/evidence"
)

// What stands before the product in the common names of AMD's authorities (sev-snp.md section 2).
const (
	arkPrefix  = "ARK-"
	askPrefix  = "SEV-"
	asvkPrefix = "SEV-VLEK-"
)

// Lengths of the keys of authorities that are tried, in bits. AMD's have 4096; longer ones would only cost time.
const (
	minRSABits = 2048
	maxRSABits = 4096
)

// Signer is a key that AMD vouches for, and what its certificate says. It is not changed once it is made, and may be kept and used for other reports of
// the same chain: dates and revocation are judged anew by each [Verify].
type Signer struct {
	Kind       SigningKey
	Product    Product
	TCB        Components // for which the key was derived
	HardwareID []byte     // of the chip, 64 bytes or 8; nil for a VLEK
	CSPID      string     // of the provider, of a VLEK
	Anchor     Anchor

	tcb            TCB
	key            *ecdsa.PublicKey
	leaf, ask, ark *x509.Certificate
}

// NotAfter is the end of the signer's certificate.
func (s *Signer) NotAfter() time.Time { return s.leaf.NotAfter }

// Usual reports whether a chain of the signer has the form in which it is sent: its certificate, and then either no others or its ASK or ASVK
// and its ARK. There are two such chains of each signer; of others there are as many as anybody likes.
func (s *Signer) Usual(c *Chain) bool {
	if !c.Leaf.Equal(s.leaf) || len(c.Others) == 0 {
		return c.Leaf.Equal(s.leaf)
	}
	return len(c.Others) == 2 && c.Others[0].Equal(s.ask) && c.Others[1].Equal(s.ark)
}

// Trace follows the chain to a trusted ARK: signatures, roles, products, extensions, and dates at opt.At (sev-snp.md section 3 step 3). ASK and ASVK
// come from the chain or from the roots; an ARK in the chain is only looked at to say that it is not trusted. The journal records nothing but a
// refusal: what holds is recorded by [Verify]. The error is an [evidence.Refusal]; [ErrMissing] is in it if certificates are missing.
func (r Roots) Trace(c *Chain, opt Options) (*Signer, error) {
	s, refusal := r.trace(c)
	if refusal == nil {
		refusal = s.inForce(opt.At)
	}
	if refusal != nil {
		return nil, opt.Journal.Fail(refusal)
	}
	return s, nil
}

func (r Roots) trace(c *Chain) (*Signer, *evidence.Refusal) {
	if c == nil || c.Leaf == nil {
		return nil, incomplete("a VCEK or VLEK")
	}
	s := &Signer{leaf: c.Leaf}
	if err := s.isSigner(); err != nil {
		return nil, evidence.Refuse(evidence.SNPChain, "the certificate of the signing key is not a VCEK or VLEK").Because(err)
	}
	if refusal := r.climb(s, c); refusal != nil {
		return nil, refusal
	}
	if refusal := s.roles(); refusal != nil {
		return nil, refusal
	}
	x := amdExtensions(c.Leaf)
	if err := s.read(x); err != nil {
		return nil, evidence.Refuse(evidence.SNPCertificate, "the extensions of the %s certificate cannot be read", s.Kind).Because(err).
			Do("use the certificate that AMD issued for this key")
	}
	return s, s.sameProduct(x)
}

// isSigner checks the leaf as such.
func (s *Signer) isSigner() error {
	switch s.leaf.Subject.CommonName {
	case vcekName:
		s.Kind = VCEK
	case vlekName:
		s.Kind = VLEK
	default:
		return fmt.Errorf("expected the name %q or %q, found %q", vcekName, vlekName, s.leaf.Subject.CommonName)
	}
	key, ok := s.leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P384() {
		return errors.New("its key is not on P-384")
	}
	s.key = key
	if s.leaf.IsCA {
		return errors.New("it is a CA")
	}
	return understood(s.leaf)
}

// climb finds the authority that signed the leaf, and the trusted ARK that signed the authority.
func (r Roots) climb(s *Signer, c *Chain) *evidence.Refusal {
	authorities := issuers(c.Leaf, slices.Concat(r.intermediates, c.Others))
	if len(authorities) == 0 {
		return incomplete(fmt.Sprintf("the certificate of %s, which issued the %s", quoted(c.Leaf.Issuer.CommonName), s.Kind))
	}
	var refusal *evidence.Refusal
	for _, ask := range authorities {
		if err := issuedBy(c.Leaf, ask); err != nil {
			refusal = cmp.Or(refusal, unsigned(s.Kind, err))
			continue
		}
		ark, err := r.rootOf(ask)
		if err != nil {
			refusal = untrusted(ask, c.Others, err)
			continue
		}
		s.ask, s.ark, s.Anchor = ask, ark, anchorOf(ark)
		return nil
	}
	return refusal
}

func unsigned(kind SigningKey, err error) *evidence.Refusal {
	return evidence.Refuse(evidence.SNPChain, "the %s is not signed by the authority that it names", kind).Because(err).
		Do("send certificates as AMD issued them")
}

// untrusted refuses a chain that ends in no trusted root, and names the root that came with it, if one did.
func untrusted(ask *x509.Certificate, others []*x509.Certificate, err error) *evidence.Refusal {
	found := "the issuer " + quoted(ask.Issuer.CommonName)
	if sent := issuers(ask, others); len(sent) > 0 {
		found = "SHA-256 of SubjectPublicKeyInfo " + anchorOf(sent[0]).String()
	}
	return evidence.Refuse(evidence.UntrustedRoot, "the certificate chain ends in a root that is not trusted").Because(err).
		Want("the key of an ARK that this service trusts", found).
		Do("use evidence of genuine AMD hardware; whoever runs the verifier can make it trust a test root")
}

// roles checks that each certificate is named for its place, and that all are of one product.
func (s *Signer) roles() *evidence.Refusal {
	prefix := askPrefix
	if s.Kind == VLEK {
		prefix = asvkPrefix
	}
	p, ok := strings.CutPrefix(s.ask.Subject.CommonName, prefix)
	s.Product = Product(p)
	if _, known := s.Product.layout(); !ok || !known {
		return evidence.Refuse(evidence.SNPChain, "the issuer of the %s is not an authority for such keys", s.Kind).
			Want(prefix+" and a product", s.ask.Subject.CommonName)
	}
	if name := s.ark.Subject.CommonName; name != arkPrefix+p {
		return evidence.Refuse(evidence.SNPProduct, "the certificates are of different products").Want(arkPrefix+p, name)
	}
	if err := errors.Join(mayIssue(s.ask, 0), mayIssue(s.ark, 1)); err != nil {
		return evidence.Refuse(evidence.SNPChain, "a certificate above the %s is not one of a CA", s.Kind).Because(err)
	}
	return nil
}

// sameProduct compares the product in the extensions with that of the authority. Certificates may tell a stepping too: "Milan-B0".
func (s *Signer) sameProduct(x extensions) *evidence.Refusal {
	name, err := x.text(extProduct)
	if err != nil {
		return evidence.Refuse(evidence.SNPCertificate, "the %s does not name its product", s.Kind).Because(err)
	}
	if !strings.HasPrefix(name, string(s.Product)) {
		return evidence.Refuse(evidence.SNPProduct, "the %s is of another product than its authority", s.Kind).Want(s.Product, name)
	}
	return nil
}

// issuedBy checks name, CA flag, key usage and signature of the issuer.
func issuedBy(cert, issuer *x509.Certificate) error {
	name := cert.Subject.CommonName
	if !bytes.Equal(cert.RawIssuer, issuer.RawSubject) {
		return fmt.Errorf("%q was issued by %q, not by %q", name, cert.Issuer.CommonName, issuer.Subject.CommonName)
	}
	if cert.SignatureAlgorithm != x509.SHA384WithRSAPSS {
		return fmt.Errorf("%q is signed with %s instead of RSASSA-PSS with SHA-384", name, cert.SignatureAlgorithm)
	}
	if err := authorityKey(issuer); err != nil {
		return err
	}
	if err := cert.CheckSignatureFrom(issuer); err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	return understood(issuer)
}

// authorityKey bounds the key of an authority before it is used.
func authorityKey(cert *x509.Certificate) error {
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok || key.N.BitLen() < minRSABits || key.N.BitLen() > maxRSABits {
		return fmt.Errorf("%q has no RSA key of %d to %d bits", cert.Subject.CommonName, minRSABits, maxRSABits)
	}
	return nil
}

// understood refuses critical extensions that nobody here knows.
func understood(cert *x509.Certificate) error {
	if len(cert.UnhandledCriticalExtensions) > 0 {
		return fmt.Errorf("%q has an unknown critical extension %s", cert.Subject.CommonName, cert.UnhandledCriticalExtensions[0])
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

// inForce checks the dates of the certificates, leaf first.
func (s *Signer) inForce(at time.Time) *evidence.Refusal {
	for _, cert := range []*x509.Certificate{s.leaf, s.ask, s.ark} {
		switch name := cert.Subject.CommonName; {
		case at.Before(cert.NotBefore):
			return evidence.Refuse(evidence.SNPExpired, "%q is not valid yet", name).
				Want("a time not before "+stamp(cert.NotBefore), "the service's time "+stamp(at)).Do("check the clock of the service")
		case at.After(cert.NotAfter):
			return evidence.Refuse(evidence.SNPExpired, "%q has expired", name).
				Want("a time not after "+stamp(cert.NotAfter), "the service's time "+stamp(at)).Do("get a new certificate for the key from AMD or the cloud provider")
		}
	}
	return nil
}

// quoted gives the beginning of a name that nobody vouches for; RFC 5280 allows 64 characters.
func quoted(name string) string { return fmt.Sprintf("%.64q", name) }

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
