// Package vendorca sorts the certificates of makers of TPMs: which are roots, which are intermediates, and which are of no use to
// a service, and why (tpm-evidence.md section 3). It trusts nothing: it only tells what an operator would trust by naming a file.
package vendorca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/assay-attestation/assay/evidence/tpm"
)

// Use is what a certificate is good for.
type Use string

// The uses of a certificate.
const (
	Root         Use = "root"         // a CA that signed itself: a service can be told to trust it
	Intermediate Use = "intermediate" // a CA that another one certified
	None         Use = "none"         // left out, for the reason that stands beside it
)

// Reason says why a certificate is left out.
type Reason string

// The reasons, in the order in which they are looked for.
const (
	Malformed         Reason = "malformed"          // cannot be read, or holds no certificate
	Duplicate         Reason = "duplicate"          // the same certificate came before
	NotCA             Reason = "not-ca"             // may not sign certificates
	CriticalExtension Reason = "critical-extension" // has a critical extension that is not understood
	WeakKey           Reason = "weak-key"           // RSA under 2048 bits, or a key of another kind than RSA and the NIST curves
	WeakSignature     Reason = "weak-signature"     // an intermediate that is signed with SHA-1, which no verifier accepts
	NotYetValid       Reason = "not-yet-valid"
	Expired           Reason = "expired"
)

// Entry is one certificate, or a file that holds none. Text of certificates is as their makers wrote it: it may hold anything.
type Entry struct {
	File      string    `json:"file"`
	Use       Use       `json:"use"`
	Reason    Reason    `json:"reason,omitzero"`
	Detail    string    `json:"detail,omitzero"` // in words
	Subject   string    `json:"subject,omitzero"`
	Issuer    string    `json:"issuer,omitzero"`
	Key       string    `json:"key,omitzero"` // such as RSA 2048 or P-256
	NotBefore time.Time `json:"notBefore,omitzero"`
	NotAfter  time.Time `json:"notAfter,omitzero"`
	SHA256    string    `json:"sha256,omitzero"` // of the certificate in DER, hex
	Orphan    bool      `json:"orphan,omitzero"` // an intermediate whose issuer is not among the CAs that are of use
	cert      *x509.Certificate
}

// Certificate is the one of the entry; nil if the file holds none.
func (e *Entry) Certificate() *x509.Certificate { return e.cert }

// The limits of a set.
const (
	MaxFile         = 1 << 20 // bytes of a file
	MaxCertificates = 4096    // of all files
)

// Set is a growing collection of certificates, judged at one time. It is not safe for concurrent use.
type Set struct {
	Entries []*Entry
	at      time.Time
	seen    map[[sha256.Size]byte]string // certificate to its file
}

// New makes an empty set.
func New(at time.Time) *Set { return &Set{at: at, seen: map[[sha256.Size]byte]string{}} }

// Add reads the content of a file: one certificate in DER, perhaps padded with zeros, or any number in PEM. The error is that of a set that has become too large; what is wrong with the file is an entry.
func (s *Set) Add(file string, content []byte) error {
	ders, err := certificates(content)
	if err != nil {
		return s.Unread(file, err)
	}
	for _, der := range ders {
		if err := s.append(s.entry(file, der)); err != nil {
			return err
		}
	}
	return nil
}

// Unread notes a file that could not be read. The error is as that of [Set.Add].
func (s *Set) Unread(file string, err error) error {
	return s.append(&Entry{File: file, Use: None, Reason: Malformed, Detail: err.Error()})
}

func (s *Set) append(e *Entry) error {
	if len(s.Entries) >= MaxCertificates {
		return fmt.Errorf("more than %d certificates", MaxCertificates)
	}
	s.Entries = append(s.Entries, e)
	return nil
}

// certificates gives the DER of every certificate in a file.
func certificates(content []byte) ([][]byte, error) {
	if len(content) > MaxFile {
		return nil, fmt.Errorf("%d bytes, at most %d are read", len(content), MaxFile)
	}
	begun := bytes.Count(content, []byte("-----BEGIN "))
	if begun == 0 {
		if !bytes.HasPrefix(content, []byte{0x30}) {
			return nil, errors.New("no certificate in PEM or DER")
		}
		return [][]byte{content}, nil
	}
	var ders [][]byte
	blocks := 0
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		blocks++
		if block.Type == "CERTIFICATE" {
			ders = append(ders, block.Bytes)
		}
	}
	switch {
	case blocks != begun: // Decode passes over what is damaged
		return nil, errors.New("the PEM is damaged")
	case len(ders) == 0:
		return nil, errors.New("the PEM holds no certificate")
	}
	return ders, nil
}

// entry judges one certificate.
func (s *Set) entry(file string, der []byte) *Entry {
	e := &Entry{File: file, Use: None}
	cert, err := tpm.ParseCertificate(der)
	if err != nil {
		e.Reason, e.Detail = Malformed, err.Error()
		return e
	}
	sum := sha256.Sum256(cert.Raw)
	e.cert, e.Subject, e.Issuer, e.Key = cert, cert.Subject.String(), cert.Issuer.String(), KeyName(cert)
	e.NotBefore, e.NotAfter, e.SHA256 = cert.NotBefore.UTC(), cert.NotAfter.UTC(), hex.EncodeToString(sum[:])
	if first, again := s.seen[sum]; again {
		e.Reason, e.Detail = Duplicate, "of "+first
		return e
	}
	s.seen[sum] = file
	weak := tpm.CheckKey(cert.PublicKey)
	root := weak == nil && selfSigned(cert) // a key of 60000 bits takes seconds
	if e.Reason, e.Detail = fault(cert, weak, root, s.at); e.Reason != "" {
		return e
	}
	if e.Use = Intermediate; root {
		e.Use = Root
	}
	return e
}

// KeyName names the kind of a certificate's key and its size, such as RSA 2048 or P-256.
func KeyName(c *x509.Certificate) string {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return k.Curve.Params().Name
	}
	return c.PublicKeyAlgorithm.String()
}

// selfSigned reports whether a certificate is signed with its own key. SHA-1 counts here: nobody rests on the signature of a root.
func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// fault says why a certificate is left out.
func fault(c *x509.Certificate, weak error, root bool, at time.Time) (Reason, string) {
	switch {
	case !signsCertificates(c):
		return NotCA, "it may not sign others: it lacks CA in its basic constraints, or the key usage"
	case len(c.UnhandledCriticalExtensions) > 0:
		return CriticalExtension, "extension " + c.UnhandledCriticalExtensions[0].String()
	case weak != nil:
		return WeakKey, weak.Error()
	case !root && weakSignature(c.SignatureAlgorithm):
		return WeakSignature, "signed with " + c.SignatureAlgorithm.String() + ", which verifiers refuse: trust it as a root, or do without"
	case at.Before(c.NotBefore):
		return NotYetValid, "valid from " + c.NotBefore.UTC().Format(time.RFC3339)
	case at.After(c.NotAfter):
		return Expired, "valid until " + c.NotAfter.UTC().Format(time.RFC3339)
	}
	return "", ""
}

func signsCertificates(c *x509.Certificate) bool {
	return c.BasicConstraintsValid && c.IsCA && (c.KeyUsage == 0 || c.KeyUsage&x509.KeyUsageCertSign != 0)
}

func weakSignature(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA, x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519:
		return false
	}
	return true
}

// Link marks the intermediates that lead to none of the roots by way of the others: what they certified is not believed
// until their issuer, or they, are trusted by hand.
func (s *Set) Link() {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, e := range s.Entries {
		switch e.Use {
		case Root:
			roots.AddCert(e.cert)
		case Intermediate:
			between.AddCert(e.cert)
		}
	}
	for _, e := range s.Entries {
		if e.Use != Intermediate {
			continue
		}
		_, err := e.cert.Verify(x509.VerifyOptions{
			Roots: roots, Intermediates: between, CurrentTime: s.at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		})
		e.Orphan = err != nil
	}
}

// Of gives the certificates of a use, in their order.
func (s *Set) Of(use Use) (certs []*x509.Certificate) {
	for _, e := range s.Entries {
		if e.Use == use && e.cert != nil {
			certs = append(certs, e.cert)
		}
	}
	return certs
}

// PEM writes certificates as a service reads them.
func PEM(certs ...*x509.Certificate) []byte {
	var b strings.Builder
	for _, c := range certs {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return []byte(b.String())
}
