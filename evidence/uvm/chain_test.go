package uvm_test

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence/uvm"
)

func TestAnEndorsementOfALabCounts(t *testing.T) {
	l := newLab(t)
	for name, c := range map[string]struct {
		named *x509.Certificate
		edits []func(*message)
	}{
		"the root is named":                  {l.root, nil},
		"the authority is named":             {l.ca, []func(*message){chain(l.ca, l.signer, l.ca, l.root)}},
		"nothing above the named authority":  {l.ca, []func(*message){chain(l.ca, l.signer, l.ca)}},
		"an unprotected header that forges":  {l.root, []func(*message){func(m *message) { m.unprotected = map[any]any{"iss": "x", "feed": "x", 1: -7, 33: 0} }}},
		"the security version as a number":   {l.root, []func(*message){payload(`{"x-ms-sevsnpvm-guestsvn":22,"x-ms-sevsnpvm-launchmeasurement":"` + measurement + `"}`)}},
		"the last second of the certificate": {l.root, []func(*message){signedAt(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC))}},
	} {
		if err := l.endorses(c.named, c.edits...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func payload(text string) func(*message) { return func(m *message) { m.payload = []byte(text) } }

// signedAt sets the signing time.
func signedAt(at time.Time) func(*message) {
	return func(m *message) { m.header["signingtime"] = epoch(at.Unix()) }
}

// TestChainsThatDoNotLead changes one thing of the certificates each.
func TestChainsThatDoNotLead(t *testing.T) {
	l, k := newLab(t), keys()
	stranger := l.certificate("root", k[3], nil, k[3])
	below := l.certificate("authority", k[1], stranger, k[3])
	noCA := l.certificate("authority", k[1], l.root, k[0], func(c *x509.Certificate) { c.IsCA = false })
	signer := func(edit func(*x509.Certificate)) *x509.Certificate {
		return l.certificate("signer", k[2], l.ca, k[1], asSigner, edit)
	}
	const root, missing = "do not lead to the issuer", "no certificate of an authority with the fingerprint"
	for name, c := range map[string]struct {
		named *x509.Certificate
		edits []func(*message)
		part  string
	}{
		"the named root is not there":             {l.root, []func(*message){chain(l.root, l.signer, l.ca)}, missing},
		"the signer itself is named":              {l.signer, []func(*message){chain(l.signer, l.signer, l.ca, l.root)}, missing},
		"the signer itself is named, twice there": {l.signer, []func(*message){chain(l.signer, l.signer, l.signer)}, "not of an authority"},
		"another root signed the authority":       {l.root, []func(*message){chain(l.root, l.signer, below, stranger, l.root)}, root},
		"the authority is missing":                {l.root, []func(*message){chain(l.root, l.signer, l.root)}, root},
		"the authority stands behind the root":    {l.root, []func(*message){chain(l.root, l.signer, l.root, l.ca)}, root},
		"a stranger signed the signer":            {l.root, []func(*message){chain(l.root, l.certificate("signer", k[2], l.ca, k[3], asSigner), l.ca, l.root)}, root},
		"the authority is none":                   {l.root, []func(*message){chain(l.root, l.signer, noCA, l.root)}, root},
		"the signer has no purpose":               {l.root, []func(*message){chain(l.root, signer(func(c *x509.Certificate) { c.UnknownExtKeyUsage = nil }), l.ca, l.root)}, "lacks the key purpose"},
		"the signer has another purpose": {l.root, []func(*message){chain(l.root, signer(func(c *x509.Certificate) {
			c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{append(purpose(), 1)}
		}), l.ca, l.root)}, "lacks the key purpose"},
		"signed before the certificate":   {l.root, []func(*message){signedAt(time.Date(2023, 12, 31, 23, 59, 59, 0, time.UTC))}, "not yet valid"},
		"signed behind the certificate":   {l.root, []func(*message){signedAt(time.Date(2025, 1, 1, 0, 0, 1, 0, time.UTC))}, "expired"},
		"signed long behind every date":   {l.root, []func(*message){signedAt(time.Date(2041, 1, 1, 0, 0, 0, 0, time.UTC))}, "expired"},
		"signed at the beginning of time": {l.root, []func(*message){signedAt(time.Unix(0, 0))}, "not yet valid"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, name, l.endorses(c.named, c.edits...), c.part) })
	}
}

// TestKeysOfCertificatesAreBounded gives one certificate a key that nobody should have to compute with, or that is none.
func TestKeysOfCertificatesAreBounded(t *testing.T) {
	l, k := newLab(t), keys()
	for _, bits := range []uint{2040, 8200} {
		n := new(rsa.PrivateKey)
		n.N, n.E = odd(bits), 65537
		cert := l.certificate("authority", n, l.root, k[0])
		_, err := uvm.Parse(l.make(chain(l.root, l.signer, cert, l.root)))
		refused(t, "a key that is too short or too long", err, "expected an RSA key of 2048 to 8192 bits")
	}
	for _, bits := range []uint{2048, 8192} {
		n := new(rsa.PrivateKey)
		n.N, n.E = odd(bits), 65537
		if _, err := uvm.Parse(l.make(chain(l.root, l.signer, l.certificate("authority", n, l.root, k[0]), l.root))); err != nil {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
	even := new(rsa.PrivateKey)
	even.N, even.E = odd(2048), 65537
	even.N.SetBit(even.N, 0, 0)
	_, err := uvm.Parse(l.make(chain(l.root, l.certificate("signer", even, l.ca, k[1], asSigner), l.ca, l.root)))
	refused(t, "an even modulus", err, "signature does not verify")
	wide := new(rsa.PrivateKey)
	wide.N, wide.E = odd(2048), 1<<62+1
	_, err = uvm.Parse(l.make(chain(l.root, l.certificate("signer", wide, l.ca, k[1], asSigner), l.ca, l.root)))
	refused(t, "a huge exponent", err, "signature does not verify")
}

func TestTheNumberOfCertificatesIsBounded(t *testing.T) {
	l := newLab(t)
	certs := []*x509.Certificate{l.signer, l.ca, l.root, l.root, l.root, l.root, l.root, l.root}
	if err := l.endorses(l.root, chain(l.root, certs...)); err != nil {
		t.Errorf("%d certificates: %v", len(certs), err)
	}
	_, err := uvm.Parse(l.make(chain(l.root, append(certs, l.root)...)))
	refused(t, "nine certificates", err, "expected 2 to 8 certificates, found 9")
	_, err = uvm.Parse(l.make(chain(l.root, l.signer)))
	refused(t, "one certificate", err, "expected 2 to 8 certificates, found 1")
}

// TestStrangersCostOneSignature: authorities that vouch for each other in a circle are not followed along every path.
func TestStrangersCostOneSignature(t *testing.T) {
	l, k := newLab(t), keys()
	circle := l.certificate("circle", k[3], nil, k[3])
	certs := []*x509.Certificate{l.certificate("signer", k[2], circle, k[3], asSigner)}
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		certs = append(certs, l.certificate("circle", k[3], circle, k[3], func(c *x509.Certificate) { c.DNSNames = []string{name + ".example"} }))
	}
	err := l.endorses(l.root, chain(l.root, append(certs, l.root)...))
	refused(t, "a circle", err, "certificate 6 is not signed by the next one")
}

// TestEveryKeyPurposeCanBeNamed: a purpose that the library has a name for is one like any other.
func TestEveryKeyPurposeCanBeNamed(t *testing.T) {
	l, k := newLab(t), keys()
	const codeSigning = "::eku:1.3.6.1.5.5.7.3.3"
	coder := l.certificate("signer", k[2], l.ca, k[1], asSigner, func(c *x509.Certificate) {
		c.UnknownExtKeyUsage, c.ExtKeyUsage = nil, []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	})
	did, _, _ := strings.Cut(didOf(l.root), "::")
	did += codeSigning
	for name, c := range map[string]struct {
		signer *x509.Certificate
		part   string
	}{"with it": {coder, ""}, "without it": {l.signer, "lacks the key purpose 1.3.6.1.5.5.7.3.3"}} {
		e, err := uvm.Parse(l.make(chain(l.root, c.signer, l.ca, l.root), with("iss", did)))
		if err != nil {
			t.Fatal(err)
		}
		err = e.Endorses(uvm.Issuer{DID: did, Feed: feed}, e.Measurement)
		if c.part == "" && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.part != "" {
			refused(t, name, err, c.part)
		}
	}
}

func TestKeyPurposesOfIssuersAreOIDs(t *testing.T) {
	head, _, _ := strings.Cut(did, "eku:")
	for text, ok := range map[string]bool{"1.3.6.1.4.1.311.76.59.1.2": true, "2.25.1": true, "1": false, ".": false, "1..2": false, "1.2.": false, "7.1.1": false, "1.2.x": false, "1.2.-3": false} {
		if err := uvm.CheckDID(head + "eku:" + text); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}
