package snp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/snp"
)

// rawCertificate is a certificate of which only the bytes count.
func rawCertificate(der []byte) *x509.Certificate { return &x509.Certificate{Raw: der} }

// critical adds an extension that nobody knows.
func critical(c *x509.Certificate) {
	c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}})
}

// TestLeavesThatAreNoSigners changes one thing of a VCEK or VLEK each.
func TestLeavesThatAreNoSigners(t *testing.T) {
	l := newLab(t, "Milan")
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		leaf  *x509.Certificate
		check evidence.Check
		part  string
	}{
		"another name":            {l.vcek(func(s *leafSpec) { s.name = "VCEK" }), evidence.SNPChain, `found "VCEK"`},
		"a P-256 key":             {l.vcek(func(s *leafSpec) { s.key = &p256.PublicKey }), evidence.SNPChain, "not on P-384"},
		"an RSA key":              {l.vcek(func(s *leafSpec) { s.key = &l.stranger.PublicKey }), evidence.SNPChain, "not on P-384"},
		"a CA":                    {l.vcek(withTemplate(func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true })), evidence.SNPChain, "it is a CA"},
		"a critical extension":    {l.vcek(withTemplate(critical)), evidence.SNPChain, "unknown critical extension 1.2.3.4"},
		"PKCS #1":                 {l.vcek(withTemplate(func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA384WithRSA })), evidence.SNPChain, "instead of RSASSA-PSS"},
		"SHA-256":                 {l.vcek(withTemplate(func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA256WithRSAPSS })), evidence.SNPChain, "instead of RSASSA-PSS"},
		"a VCEK of the ASVK":      {l.vcek(func(s *leafSpec) { s.issuer = l.asvk }), evidence.SNPChain, `found SEV-VLEK-Milan`},
		"a VLEK of the ASK":       {l.vlek(func(s *leafSpec) { s.issuer = l.ask }), evidence.SNPChain, `found SEV-Milan`},
		"a leaf of the ARK":       {l.vcek(func(s *leafSpec) { s.issuer = l.ark }), evidence.SNPChain, `found ARK-Milan`},
		"signed by the ARK":       {l.vcek(func(s *leafSpec) { s.issuer = &authority{l.ask.cert, l.ark.key} }), evidence.SNPChain, "verification error"},
		"another product":         {l.vcek(withExt("2", der("Genoa", "ia5"))), evidence.SNPProduct, "expected Milan, found Genoa"},
		"no product":              {l.vcek(withExt("2", nil)), evidence.SNPCertificate, ".1.2 is missing"},
		"a product in UTF-8":      {l.vcek(withExt("2", der("Milan", "utf8"))), evidence.SNPCertificate, "expected an IA5String"},
		"a provider in a VCEK":    {l.vcek(withExt("5", der("x", "ia5"))), evidence.SNPCertificate, ".1.5 does not belong"},
		"a chip in a VLEK":        {l.vlek(withExt("4", l.chipID())), evidence.SNPCertificate, ".1.4 does not belong"},
		"no provider":             {l.vlek(withExt("5", nil)), evidence.SNPCertificate, ".1.5 is missing"},
		"an empty provider":       {l.vlek(withExt("5", der("", "ia5"))), evidence.SNPCertificate, "expected an IA5String"},
		"a provider on two lines": {l.vlek(withExt("5", der("a\nb", "ia5"))), evidence.SNPCertificate, "expected an IA5String"},
		"no chip":                 {l.vcek(withExt("4", nil)), evidence.SNPCertificate, ".1.4 is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := l.roots().Trace(l.chain(c.leaf), snp.Options{At: l.at()})
			refusedSaying(t, err, c.check, c.part)
			if errors.Is(err, snp.ErrMissing) {
				t.Error("nothing is missing")
			}
		})
	}
}

func withTemplate(edit func(*x509.Certificate)) func(*leafSpec) {
	return func(s *leafSpec) { s.edit = edit }
}

// withExt sets an extension; nil takes it away.
func withExt(name string, value []byte) func(*leafSpec) {
	return func(s *leafSpec) {
		s.ext[name] = value
		if value == nil {
			delete(s.ext, name)
		}
	}
}

func TestExtensionsAreStrict(t *testing.T) {
	octets := func(n int) []byte { return der(make([]byte, n), "") }
	for name, c := range map[string]struct {
		product   snp.Product
		extension string
		value     []byte
		accept    bool
	}{
		"version 1":                  {"Milan", "1", der(1, ""), true},
		"version 2":                  {"Milan", "1", der(2, ""), false},
		"no version":                 {"Milan", "1", nil, false},
		"patch level 255":            {"Milan", "3.1", der(255, ""), true},
		"patch level 256":            {"Milan", "3.1", der(256, ""), false},
		"negative patch level":       {"Milan", "3.8", der(-1, ""), false},
		"long form":                  {"Milan", "3.8", []byte{2, 2, 0, 1}, false},
		"bytes left over":            {"Milan", "3.8", []byte{2, 1, 1, 0}, false},
		"no boot loader":             {"Milan", "3.1", nil, false},
		"no TEE":                     {"Milan", "3.2", nil, false},
		"no SNP":                     {"Milan", "3.3", nil, false},
		"no microcode":               {"Milan", "3.8", nil, false},
		"no spare":                   {"Milan", "3.4", nil, true},
		"spare that is no number":    {"Milan", "3.4", []byte{5, 0}, false},
		"no FMC on Turin":            {"Turin", "3.9", nil, false},
		"no SNP on Turin":            {"Turin", "3.3", nil, false},
		"64 bytes":                   {"Milan", "4", make([]byte, 64), true},
		"64 bytes in OCTET STRING":   {"Milan", "4", octets(64), true},
		"63 bytes":                   {"Milan", "4", make([]byte, 63), false},
		"65 bytes":                   {"Milan", "4", make([]byte, 65), false},
		"63 bytes in OCTET STRING":   {"Milan", "4", octets(63), false},
		"65 bytes in OCTET STRING":   {"Milan", "4", octets(65), false},
		"8 bytes on Milan":           {"Milan", "4", make([]byte, 8), false},
		"64 bytes and one more":      {"Milan", "4", append(octets(64), 0), false},
		"8 bytes on Turin":           {"Turin", "4", make([]byte, 8), true},
		"8 in OCTET STRING on Turin": {"Turin", "4", octets(8), true},
		"64 bytes on Turin":          {"Turin", "4", make([]byte, 64), false},
		"something AMD may add":      {"Milan", "9.9", []byte{1}, true},
	} {
		s := &leafSpec{ext: amdExtensions(string(c.product))}
		withExt("4", make([]byte, map[snp.Product]int{"Milan": 64, "Turin": 8}[c.product]))(s)
		withExt(c.extension, c.value)(s)
		if _, err := snp.ReadExtensions(snp.VCEK, c.product, s.ext); (err == nil) != c.accept {
			t.Errorf("%s: got %v, want accepted %t", name, err, c.accept)
		}
	}
}

// TestSparePatchLevelsCount: a spare patch level is part of the TCB for which the key was derived.
func TestSparePatchLevelsCount(t *testing.T) {
	l := newLab(t, "Milan")
	signer := l.signer(l.vcek(withExt("3.4", der(9, ""))))
	_, err := snp.Verify(l.report(), signer, snp.Options{At: l.at()})
	refusedFor(t, err, evidence.SNPTCB)
	if _, err := snp.Verify(l.report(set(0x182, 9), set(0x3A, 9)), signer, snp.Options{At: l.at()}); err != nil {
		t.Error(err)
	}
}

// TestAuthoritiesOutOfPlace changes one thing above the leaf each.
func TestAuthoritiesOutOfPlace(t *testing.T) {
	for name, c := range map[string]struct {
		change func(l *lab)
		check  evidence.Check
		part   string
	}{
		"ASK of another product":    {func(l *lab) { l.ask = l.authority("SEV-Genoa", l.ask.key, l.ark) }, evidence.SNPProduct, "expected ARK-Genoa, found ARK-Milan"},
		"ASK of an unknown product": {func(l *lab) { l.ask = l.authority("SEV-Rome", l.ask.key, l.ark) }, evidence.SNPChain, "found SEV-Rome"},
		"ASK with another name":     {func(l *lab) { l.ask = l.authority("ASK-Milan", l.ask.key, l.ark) }, evidence.SNPChain, "found ASK-Milan"},
		"ASK that is no CA": {func(l *lab) {
			l.ask = l.authority("SEV-Milan", l.ask.key, l.ark, func(c *x509.Certificate) { c.IsCA = false })
		}, evidence.SNPChain, "invalid signature: parent"},
		"ASK that may not sign": {func(l *lab) {
			l.ask = l.authority("SEV-Milan", l.ask.key, l.ark, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })
		}, evidence.SNPChain, "SEV-VCEK"},
		"ASK with a critical": {func(l *lab) { l.ask = l.authority("SEV-Milan", l.ask.key, l.ark, critical) }, evidence.SNPChain, "unknown critical extension"},
		"ASK with PKCS #1": {func(l *lab) {
			l.ask = l.authority("SEV-Milan", l.ask.key, l.ark, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA384WithRSA })
		}, evidence.UntrustedRoot, "instead of RSASSA-PSS"},
		"ASK of a stranger": {func(l *lab) { l.ask = l.authority("SEV-Milan", l.ask.key, &authority{l.ark.cert, l.stranger}) }, evidence.UntrustedRoot, "not trusted"},
		"ARK for itself only": {func(l *lab) {
			l.ark = l.authority("ARK-Milan", l.ark.key, &authority{key: l.ark.key}, func(c *x509.Certificate) { c.MaxPathLenZero = true })
		}, evidence.SNPChain, "not a CA that may issue here"},
		"ASK below another authority": {func(l *lab) { l.ask = l.authority("SEV-Milan", l.ask.key, l.asvk) }, evidence.UntrustedRoot, `no trusted root is named as the issuer of "SEV-Milan"`},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, "Milan")
			c.change(l)
			_, err := l.roots().Trace(l.chain(l.vcek()), snp.Options{At: l.at()})
			refusedSaying(t, err, c.check, c.part)
		})
	}
}

// TestKeysOfAuthoritiesAreBounded gives the ASK a key that nobody should have to compute with.
func TestKeysOfAuthoritiesAreBounded(t *testing.T) {
	l := newLab(t, "Milan")
	for bits, accept := range map[uint]bool{2040: false, 4104: false} {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		key := &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537}
		ask := l.sign(&x509.Certificate{Subject: amdName("SEV-Milan"), SerialNumber: big.NewInt(9), NotBefore: l.notBefore, NotAfter: l.notAfter,
			BasicConstraintsValid: true, IsCA: true, SignatureAlgorithm: x509.SHA384WithRSAPSS}, key, l.ark)
		_, err := l.roots().Trace(&snp.Chain{Leaf: l.vcek(), Others: []*x509.Certificate{ask}}, snp.Options{At: l.at()})
		if refusedSaying(t, err, evidence.SNPChain, "no RSA key of 2048 to 4096 bits"); (err == nil) != accept {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
}

func TestChainsWithMissingAndForeignPieces(t *testing.T) {
	l, foreign := newLab(t, "Milan"), newLab(t, "Milan")
	foreign.ark = l.authority("ARK-Milan", l.stranger, &authority{key: l.stranger})
	foreign.ask = l.authority("SEV-Milan", l.stranger, foreign.ark)
	leaf, forged := l.vcek(), foreign.vcek()
	copied := l.authority("SEV-Milan", l.ask.key, foreign.ark) // with the ASK's key, which everybody knows
	for name, c := range map[string]struct {
		roots   snp.Roots
		chain   *snp.Chain
		check   evidence.Check // none: accepted
		missing bool
	}{
		"no chain":                     {l.roots(), nil, evidence.SNPChain, true},
		"no leaf":                      {l.roots(), &snp.Chain{Others: l.chain(leaf).Others}, evidence.SNPChain, true},
		"leaf only":                    {l.roots(), &snp.Chain{Leaf: leaf}, evidence.SNPChain, true},
		"leaf and ARK":                 {l.roots(), &snp.Chain{Leaf: leaf, Others: []*x509.Certificate{l.ark.cert}}, evidence.SNPChain, true},
		"leaf only, own ASK":           {l.roots(l.ask.cert), &snp.Chain{Leaf: leaf}, "", false},
		"leaf only, own ASVK":          {l.roots(l.asvk.cert), &snp.Chain{Leaf: leaf}, evidence.SNPChain, true},
		"leaf and ASK":                 {l.roots(), &snp.Chain{Leaf: leaf, Others: []*x509.Certificate{l.ask.cert}}, "", false},
		"foreign chain":                {l.roots(), foreign.chain(forged), evidence.UntrustedRoot, false},
		"foreign chain, own ASK":       {l.roots(l.ask.cert), foreign.chain(forged), evidence.UntrustedRoot, false},
		"foreign chain, own ARK sent":  {l.roots(), &snp.Chain{Leaf: forged, Others: []*x509.Certificate{l.ark.cert, foreign.ask.cert}}, evidence.UntrustedRoot, false},
		"genuine ASK, forged leaf":     {l.roots(), l.chain(forged), evidence.SNPChain, false},
		"foreign ASK before the right": {l.roots(), &snp.Chain{Leaf: leaf, Others: []*x509.Certificate{foreign.ask.cert, foreign.ark.cert, l.ask.cert}}, "", false},
		"forged ASK before the right":  {l.roots(), &snp.Chain{Leaf: leaf, Others: []*x509.Certificate{copied.cert, l.ask.cert}}, "", false},
		"forged copy of the ASK":       {l.roots(), &snp.Chain{Leaf: leaf, Others: []*x509.Certificate{copied.cert, foreign.ask.cert}}, evidence.UntrustedRoot, false},
		"nothing is trusted":           {snp.Roots{}, l.chain(leaf), evidence.UntrustedRoot, false},
		"AMD is trusted":               {snp.AMDRoots(), l.chain(leaf), evidence.UntrustedRoot, false},
		"AMD too":                      {snp.AMDRoots().And(l.roots()), l.chain(leaf), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			j := &evidence.Journal{}
			s, err := c.roots.Trace(c.chain, snp.Options{At: l.at(), Journal: j})
			if c.check == "" {
				if err != nil || s.Anchor != snp.Anchor(spki(l.ark.cert)) || len(j.Entries) > 0 {
					t.Errorf("got %v (%v)", s, err)
				}
				return
			}
			refusedFor(t, err, c.check)
			if errors.Is(err, snp.ErrMissing) != c.missing || strings.Contains(err.Error(), "snp_kds") != c.missing {
				t.Errorf("got %v, want certificates missing: %t", err, c.missing)
			}
			if len(j.Entries) != 1 || j.Entries[0].Name != c.check {
				t.Errorf("the journal has %v", j.Entries)
			}
		})
	}
}

// TestUntrustedRootIsNamed: the refusal tells by which key whoever runs the service could trust it.
func TestUntrustedRootIsNamed(t *testing.T) {
	l := newLab(t, "Milan")
	_, err := snp.AMDRoots().Trace(l.chain(l.vcek()), snp.Options{At: l.at()})
	refusedSaying(t, err, evidence.UntrustedRoot, snp.Anchor(spki(l.ark.cert)).String())
}

// TestDatesOfCertificates walks both edges of each certificate's time, when it is traced and when it is used again.
func TestDatesOfCertificates(t *testing.T) {
	for name, narrow := range map[string]func(l *lab){
		"SEV-VCEK":  func(l *lab) {},
		"SEV-Milan": func(l *lab) { l.ask = l.authority("SEV-Milan", l.ask.key, l.ark) },
		"ARK-Milan": func(l *lab) { l.ark = l.authority("ARK-Milan", l.ark.key, &authority{key: l.ark.key}) },
	} {
		l := newLab(t, "Milan")
		at, from, until := l.at(), l.at().AddDate(0, -1, 0), l.at().AddDate(0, 1, 0)
		wideFrom, wideUntil := l.notBefore, l.notAfter
		l.notBefore, l.notAfter = from, until
		if narrow(l); name != "SEV-VCEK" {
			l.notBefore, l.notAfter = wideFrom, wideUntil
		}
		chain := l.chain(l.vcek())
		signer, err := l.roots().Trace(chain, snp.Options{At: at})
		if err != nil {
			t.Fatal(err)
		}
		for when, part := range map[time.Time]string{
			from: "", until: "", from.Add(-time.Second): `"` + name + `" is not valid yet`, until.Add(time.Second): `"` + name + `" has expired`,
		} {
			_, err := l.roots().Trace(chain, snp.Options{At: when})
			_, again := snp.Verify(l.report(), signer, snp.Options{At: when})
			for _, err := range []error{err, again} {
				if part == "" && err != nil {
					t.Errorf("%s at %s: %v", name, when, err)
				}
				if part != "" {
					refusedSaying(t, err, evidence.SNPExpired, part)
				}
			}
		}
	}
}
