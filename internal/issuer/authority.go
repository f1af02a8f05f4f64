package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/assay-attestation/assay/internal/seal"
	"github.com/assay-attestation/assay/result"
)

// Authority is the CA that certifies a provider's signing keys for reports: a root and an issuing CA below it, both ECDSA P-256
// (tokens.md section 3.1, CA-issued certificates). Nothing of it is kept: equal secrets make equal keys and, with equal signing
// keys and URLs, equal certificates, byte for byte, on every replica and after every restart.
type Authority struct{ root, issuing *ecdsa.PrivateKey }

// NewAuthority makes the CA of secrets of 32 bytes, one for each label: uniformly random, the same for the same label, and of
// one provider only. It asks for labels of its own.
func NewAuthority(secret func(label string) []byte) (*Authority, error) {
	root, err := seal.P256(secret, "root")
	if err != nil {
		return nil, fmt.Errorf("the CA for reports: %w", err)
	}
	issuing, err := seal.P256(secret, "issuing")
	if err != nil {
		return nil, fmt.Errorf("the CA for reports: %w", err)
	}
	return &Authority{root, issuing}, nil
}

// reportCA is an authority in the service of one issuer.
type reportCA struct {
	root, issuing *x509.Certificate
	key           *ecdsa.PrivateKey // of issuing
}

// named makes the certificates of the CA, whose names have the issuer's URL. Their validity is that of instance certificates:
// they end with the sealing key and the provider, not with a date.
func (a *Authority) named(issuer string) (*reportCA, error) {
	rootName, err := commonName("Assay report root CA of " + issuer)
	if err != nil {
		return nil, err
	}
	issuingName, err := commonName("Assay report issuing CA of " + issuer)
	if err != nil {
		return nil, err
	}
	// The root issues both, so that they need serial numbers that differ (RFC 5280 section 4.1.2.2).
	template := func(name []byte, serial int64, below int) *x509.Certificate {
		return &x509.Certificate{
			RawSubject: name, SerialNumber: big.NewInt(serial), IsCA: true, MaxPathLen: below, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
		}
	}
	root, err := issue(template(rootName, 1, 1), nil, &a.root.PublicKey, a.root)
	if err != nil {
		return nil, err
	}
	issuing, err := issue(template(issuingName, 2, 0), root, &a.issuing.PublicKey, a.root)
	return &reportCA{root, issuing, a.issuing}, err
}

// certify makes the certificate of a signing key for reports, and gives its chain. Its subject is CN=<iss>, as that of an
// instance certificate; its issuer is the CA, so that nobody takes it for one. It has no extended key usage: the one in the
// recorded certificates is Microsoft's.
func (ca *reportCA) certify(key crypto.PublicKey, issuer string) (result.PublishedKey, error) {
	name, err := commonName(issuer)
	if err != nil {
		return result.PublishedKey{}, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return result.PublishedKey{}, err
	}
	digest := sha256.Sum256(spki)
	template := &x509.Certificate{
		RawSubject: name, KeyUsage: x509.KeyUsageDigitalSignature,
		SerialNumber: new(big.Int).SetBytes(append([]byte{1}, digest[:15]...)), // positive, and another one for each key
	}
	leaf, err := issue(template, ca.issuing, key, ca.key)
	if err != nil {
		return result.PublishedKey{}, err
	}
	return result.PublishedKey{KeyID: result.Thumbprint(leaf.Raw), Chain: [][]byte{leaf.Raw, ca.issuing.Raw, ca.root.Raw}}, nil
}

// issue completes a certificate for a public key and signs it with a key of the parent, its own if there is none. Without randomness, ECDSA signatures
// are those of RFC 6979: the same every time.
func issue(template, parent *x509.Certificate, public crypto.PublicKey, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(spki)
	template.SubjectKeyId = digest[:20] // RFC 7093 section 2, method 1
	template.NotBefore, template.NotAfter = validFrom(), validUntil()
	template.BasicConstraintsValid = true
	template.SignatureAlgorithm = x509.ECDSAWithSHA256
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(nil, template, parent, public, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// validFrom and validUntil are the validity of all certificates, the recorded one of instance certificates.
func validFrom() time.Time  { return time.Date(2019, 5, 1, 0, 0, 0, 0, time.UTC) }
func validUntil() time.Time { return time.Date(2050, 12, 31, 23, 59, 59, 0, time.UTC) }

var errNoAuthority = errors.New("the provider has no CA for reports")
