package policyjws

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/assay-attestation/assay/internal/jose"
)

// Verified is a JWS whose signature verifies with the key in its own header, and whose certificates form a chain. It
// tells that whoever holds that key signed all of it, not who that is: anybody can make a key and a certificate. Only
// Verify makes one.
type Verified struct{ content }

// Trusted is a Verified whose key belongs to a signer that the caller knows. Only Trust makes one.
type Trusted struct {
	content
	by *x509.Certificate
}

// Verify checks a signed JWS as policy.md 10.1 has it, items 1, 2 and 4: the signature with the key of x5c[0], then the
// chain. The error is a *Refusal for Unsigned, Key, Signature or Chain.
func (p *Parsed) Verify() (*Verified, error) {
	if err := p.checkSignature(); err != nil {
		return nil, err
	}
	if err := checkChain(p.chain); err != nil {
		return nil, err
	}
	return &Verified{p.content}, nil
}

func (p *Parsed) checkSignature() error {
	if len(p.chain) == 0 {
		return refuse(Unsigned, "the JWS is not signed").want("a signature", "alg "+algorithmNone)
	}
	key := p.chain[0].PublicKey
	if err := p.algorithm.Fits(key); err != nil {
		return p.wrongKey(err)
	}
	input := p.jws[:strings.LastIndexByte(p.jws, '.')]
	if err := p.algorithm.Verify(key, []byte(input), p.signature); err != nil {
		return refuse(Signature, "the signature does not verify with the key of the certificate in the header").because(err)
	}
	return nil
}

// wrongKey refuses the key of the header.
func (p *Parsed) wrongKey(err error) error {
	r := refuse(Key, "the key of the certificate in the header").because(err)
	if _, onCurve := p.chain[0].PublicKey.(*ecdsa.PublicKey); onCurve && p.algorithm.Name == "RS256" {
		r.do("the Java SDK writes RS256 for keys on curves, too: sign with an RSA key")
	}
	return r
}

// checkChain holds the certificates to policy.md 10.1 item 4: each is issued by the next, and the topmost is a CA. A
// single certificate that another one issued says nothing of a chain; whether its issuer is known is for Trust.
func checkChain(chain []*x509.Certificate) error {
	for i, cert := range chain[1:] {
		if err := issuedBy(chain[i], cert, i); err != nil {
			return noIssuer(chain[i], err)
		}
	}
	if top := chain[len(chain)-1]; selfIssued(top) && !isCA(top) { // one that stands above another was found to be a CA
		return noIssuer(top, fmt.Errorf("the topmost certificate %s has no basic constraints with CA=true", name(top)))
	}
	return nil
}

// noIssuer refuses a chain in the words of Microsoft's service (api.md 6.4).
func noIssuer(cert *x509.Certificate, err error) error {
	return refuse(Chain, "Unable to find issuer certificate %s", strings.ReplaceAll(quote(cert.Issuer.String()), `"`, "")).because(err)
}

// Trust checks that the JWS was signed by one of the signers (policy.md 10.1 item 3): with the very key of one, or with
// a key whose certificates lead to one that is a CA. The error is a *Refusal for Signer.
func (v *Verified) Trust(signers []*x509.Certificate) (*Trusted, error) {
	if len(v.chain) == 0 {
		return nil, refuse(Unsigned, "nothing was verified")
	}
	var errs []error
	for _, s := range signers {
		if bytes.Equal(s.RawSubjectPublicKeyInfo, v.chain[0].RawSubjectPublicKeyInfo) {
			return &Trusted{v.content, s}, nil
		}
		for i, cert := range v.chain {
			err := issuedBy(cert, s, i)
			if err == nil {
				return &Trusted{v.content, s}, nil
			}
			errs = append(errs, err)
		}
	}
	return nil, refuse(Signer, "the key is not that of a trusted signer, and none of them certifies it").
		want(fmt.Sprintf("one of %d signers", len(signers)), name(v.chain[0])+", "+Thumbprint(v.chain[0])).because(related(errs))
}

// By returns the certificate of the signer whose key signed, or certifies the one that did.
func (t *Trusted) By() *x509.Certificate { return t.by }

// errName is the error of two certificates that have nothing to do with each other.
var errName = errors.New("another issuer")

// related picks the error of a certificate that names the signer as its issuer and fails for another reason.
func related(errs []error) error {
	for _, err := range errs {
		if !errors.Is(err, errName) {
			return err
		}
	}
	return nil
}

// issuedBy checks that issuer issued cert, below which the chain has that many CAs more.
func issuedBy(cert, issuer *x509.Certificate, below int) error {
	limited := issuer.MaxPathLen > 0 || issuer.MaxPathLenZero
	switch {
	case !bytes.Equal(cert.RawIssuer, issuer.RawSubject):
		return fmt.Errorf("%s was issued by %s, not by %s: %w", name(cert), quote(cert.Issuer.String()), name(issuer), errName)
	case !isCA(issuer):
		return fmt.Errorf("%s has no basic constraints with CA=true", name(issuer))
	case limited && issuer.MaxPathLen < below:
		return fmt.Errorf("%s may stand above %d CAs, here are %d", name(issuer), issuer.MaxPathLen, below)
	case len(issuer.UnhandledCriticalExtensions) > 0:
		return fmt.Errorf("%s has an unknown critical extension %s", name(issuer), issuer.UnhandledCriticalExtensions[0])
	}
	if key, ok := issuer.PublicKey.(*rsa.PublicKey); ok {
		if err := jose.CheckRSA(key); err != nil {
			return fmt.Errorf("%s: %w", name(issuer), err)
		}
	}
	if err := cert.CheckSignatureFrom(issuer); err != nil {
		return fmt.Errorf("%s by %s: %w", name(cert), name(issuer), err)
	}
	return nil
}

func isCA(cert *x509.Certificate) bool { return cert.BasicConstraintsValid && cert.IsCA }

func selfIssued(cert *x509.Certificate) bool { return bytes.Equal(cert.RawSubject, cert.RawIssuer) }

func name(cert *x509.Certificate) string { return quote(cert.Subject.String()) }
