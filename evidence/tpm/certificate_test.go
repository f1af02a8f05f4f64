package tpm

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence"
)

func tcg(n int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 23, 133, 8, n} }

func labTime() time.Time { return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) }

// labLeaf makes a root and a certificate of an AIK below it that edit may spoil.
func labLeaf(t testing.TB, edit func(*x509.Certificate)) (root *x509.Certificate, leaf []byte) {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: labTime(), NotAfter: labTime().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, UnknownExtKeyUsage: []asn1.ObjectIdentifier{tcg(3)},
	}
	edit(tmpl)
	root = labRoot(t, "root")
	return root, labIssue(t, tmpl, root)
}

func labRoot(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: labTime().AddDate(-1, 0, 0),
		NotAfter: labTime().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	root, err := x509.ParseCertificate(labIssue(t, ca, ca))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func labIssue(t testing.TB, tmpl, parent *x509.Certificate) []byte {
	t.Helper()
	key := rsaKey(t)
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// altName is a critical subjectAltName of the given general names.
func altName(names ...[]byte) pkix.Extension {
	value, _ := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: bytes.Join(names, nil)})
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: value}
}

func generalName(t testing.TB, tag int, content any) []byte {
	t.Helper()
	inner, err := asn1.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	b, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, IsCompound: true, Bytes: inner})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What a certificate of an AIK may and may not say, one thing each.
func TestCertificatesAreJudgedByWhatTheySay(t *testing.T) {
	maker := generalName(t, 4, pkix.Name{CommonName: "id:474F4F47"}.ToRDNSequence())
	empty := generalName(t, 4, pkix.RDNSequence{})
	other := generalName(t, 0, "other name")
	with := func(e ...pkix.Extension) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtraExtensions = e }
	}
	ekus := func(ids ...asn1.ObjectIdentifier) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.UnknownExtKeyUsage = ids }
	}
	for name, c := range map[string]struct {
		edit                func(*x509.Certificate)
		byDefault, withRoot string // empty: accepted
	}{
		"an AIK":                {func(*x509.Certificate) {}, "", ""},
		"no key usage":          {func(c *x509.Certificate) { c.KeyUsage = 0 }, "", ""},
		"other key usage":       {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, "another key usage", "another key usage"},
		"a CA":                  {func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }, "one of a CA", "one of a CA"},
		"directory name":        {with(altName(maker)), "", ""},
		"two directory names":   {with(altName(maker, maker)), "", ""},
		"other name":            {with(altName(other)), "critical", "critical"},
		"directory and other":   {with(altName(maker, other)), "critical", "critical"},
		"empty directory name":  {with(altName(empty)), "critical", "critical"},
		"no name":               {with(altName()), "critical", "critical"},
		"unknown and directory": {with(altName(maker), pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true}), "critical", "critical"},
		"one EKU more":          {ekus(asn1.ObjectIdentifier{1, 2, 3}, tcg(3)), "", ""},
		"no EKU":                {ekus(), "does not say", ""},
		"EKU of an EK":          {ekus(tcg(1)), "does not say", ""},
		"EKU of a platform":     {ekus(tcg(2)), "does not say", "does not say"},
		"EKU of an EK and more": {ekus(tcg(1), tcg(2)), "does not say", "does not say"},
		"EKU of a server": {func(c *x509.Certificate) {
			c.UnknownExtKeyUsage, c.ExtKeyUsage = nil, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}, "does not say", "does not say"},
		"any EKU": {func(c *x509.Certificate) {
			c.UnknownExtKeyUsage, c.ExtKeyUsage = nil, []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
		}, "does not say", "does not say"},
		"no EKU, no key usage": {func(c *x509.Certificate) { c.UnknownExtKeyUsage, c.KeyUsage = nil, 0 }, "does not say", "does not say"},
	} {
		root, leaf := labLeaf(t, c.edit)
		for allow, words := range map[bool]string{false: c.byDefault, true: c.withRoot} {
			_, err := NewRoots([]Root{{root, allow}}, nil).VerifyAIK(leaf, labTime())
			if (err == nil) != (words == "") || err != nil && !strings.Contains(err.Error(), words) {
				t.Errorf("%s, allow_missing_eku %v: got %v, want %q", name, allow, err, words)
			}
		}
	}
}

// The exception belongs to one root, not to all that stand beside it.
func TestMissingUsageIsExcusedBelowItsRootOnly(t *testing.T) {
	root, leaf := labLeaf(t, func(c *x509.Certificate) { c.UnknownExtKeyUsage = nil })
	_, err := NewRoots([]Root{{root, false}, {labRoot(t, "other"), true}}, nil).VerifyAIK(leaf, labTime())
	expect(t, err, evidence.AIKCertificate)
}

func TestCertificatesAreInForceToTheSecond(t *testing.T) {
	root, leaf := labLeaf(t, func(*x509.Certificate) {})
	roots := NewRoots([]Root{{Certificate: root}}, nil)
	for offset, good := range map[time.Duration]bool{-time.Second: false, 0: true, time.Hour: true, time.Hour + time.Second: false} {
		if _, err := roots.VerifyAIK(leaf, labTime().Add(offset)); (err == nil) != good {
			t.Errorf("%s after it begins: %v", offset, err)
		}
	}
}

func TestEKCertificatesAreForEncryptionKeys(t *testing.T) {
	for usage, good := range map[x509.KeyUsage]bool{0: true, x509.KeyUsageKeyEncipherment: true, x509.KeyUsageKeyAgreement: true, x509.KeyUsageDigitalSignature: false} {
		root, leaf := labLeaf(t, func(c *x509.Certificate) { c.KeyUsage, c.UnknownExtKeyUsage = usage, []asn1.ObjectIdentifier{tcg(1)} })
		roots := NewRoots([]Root{{root, true}}, nil)
		if _, err := roots.VerifyEK(leaf, labTime()); (err == nil) != good {
			t.Errorf("usage %b: %v", usage, err)
		} else if err != nil {
			expect(t, err, evidence.EKCertificate)
		}
	}
	root, leaf := labLeaf(t, func(c *x509.Certificate) { c.KeyUsage = 0 })
	_, err := NewRoots([]Root{{root, true}}, nil).VerifyEK(leaf, labTime())
	expect(t, err, evidence.EKCertificate)
}

func TestOnlyZerosMayFollowACertificate(t *testing.T) {
	_, leaf := labLeaf(t, func(*x509.Certificate) {})
	for name, c := range map[string]struct {
		der  []byte
		good bool
	}{
		"as it is":       {leaf, true},
		"one zero":       {slices.Concat(leaf, []byte{0}), true},
		"16 KiB":         {slices.Concat(leaf, make([]byte, 16<<10-len(leaf))), true},
		"one more":       {slices.Concat(leaf, make([]byte, 16<<10-len(leaf)+1)), false},
		"a byte behind":  {slices.Concat(leaf, []byte{0, 1}), false},
		"FF behind":      {slices.Concat(leaf, []byte{0xFF}), false},
		"twice":          {slices.Concat(leaf, leaf), false},
		"truncated":      {leaf[:len(leaf)-1], false},
		"zeros in front": {slices.Concat([]byte{0}, leaf), false},
		"nothing":        {nil, false},
		"only zeros":     {make([]byte, 1024), false},
	} {
		cert, err := ParseCertificate(c.der)
		if (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && !bytes.Equal(cert.Raw, leaf) {
			t.Errorf("%s: another certificate", name)
		}
		_, err = NewRoots(nil, nil).VerifyAIK(c.der, labTime())
		expect(t, err, evidence.AIKCertificate)
	}
}
