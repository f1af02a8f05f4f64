package snp_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/snp"
)

// TestNamesOfStrangersAreCutShort: anybody can send a certificate with a name of any length, and nothing of it is believed. Refusals and the journal
// quote the beginning.
func TestNamesOfStrangersAreCutShort(t *testing.T) {
	l := newLab(t, "Milan")
	long := strings.Repeat("\x01", 10_000)
	stranger := l.authority(long, l.stranger, &authority{key: l.stranger})
	below := l.authority("SEV-Milan", l.ask.key, stranger)
	for name, chain := range map[string]*snp.Chain{
		"leaf":           {Leaf: l.vcek(func(s *leafSpec) { s.name = long })},
		"missing issuer": {Leaf: l.vcek(func(s *leafSpec) { s.issuer = stranger })},
		"missing root":   {Leaf: l.vcek(), Others: []*x509.Certificate{below.cert}},
		"foreign root":   {Leaf: l.vcek(), Others: []*x509.Certificate{below.cert, stranger.cert}},
	} {
		j := &evidence.Journal{}
		_, err := l.roots().Trace(chain, snp.Options{At: l.at(), Journal: j})
		if err == nil || len(err.Error()) > 2000 {
			t.Errorf("%s: a text of %d bytes", name, len(err.Error()))
		}
		if e := j.Entries[0]; len(e.Expected)+len(e.Found) > 1000 {
			t.Errorf("%s: an entry of %d bytes", name, len(e.Expected)+len(e.Found))
		}
	}
}

// TestUsualChains: a leaf alone, or with its own two authorities in their order.
func TestUsualChains(t *testing.T) {
	l, other := newLab(t, "Milan"), newLab(t, "Milan")
	leaf := l.vcek()
	signer := l.signer(leaf)
	ask, ark, foreign := l.ask.cert, l.ark.cert, other.asvk.cert
	for name, c := range map[string]struct {
		leaf   *x509.Certificate
		others []*x509.Certificate
		usual  bool
	}{
		"leaf":              {leaf, nil, true},
		"both authorities":  {leaf, []*x509.Certificate{ask, ark}, true},
		"one of them":       {leaf, []*x509.Certificate{ask}, false},
		"the other way":     {leaf, []*x509.Certificate{ark, ask}, false},
		"ASK and another":   {leaf, []*x509.Certificate{ask, foreign}, false},
		"another and ARK":   {leaf, []*x509.Certificate{foreign, ark}, false},
		"one more":          {leaf, []*x509.Certificate{ask, ark, foreign}, false},
		"another leaf":      {other.vcek(), nil, false},
		"another, and both": {other.vcek(), []*x509.Certificate{ask, ark}, false},
	} {
		if got := signer.Usual(&snp.Chain{Leaf: c.leaf, Others: c.others}); got != c.usual {
			t.Errorf("%s: usual %t", name, got)
		}
	}
}

// TestAuthorityWithoutBasicConstraints: certificates of version 1 do not say whether they are of a CA, and the library takes them for one.
func TestAuthorityWithoutBasicConstraints(t *testing.T) {
	l := newLab(t, "Milan")
	ask := ofVersion1(t, l.ask.cert, l.ark.key)
	if ask.Version != 1 || ask.IsCA {
		t.Fatalf("version %d, CA %t", ask.Version, ask.IsCA)
	}
	_, err := l.roots().Trace(&snp.Chain{Leaf: l.vcek(), Others: []*x509.Certificate{ask}}, snp.Options{At: l.at()})
	refusedSaying(t, err, evidence.SNPChain, "not a CA that may issue here")
}

// ofVersion1 takes version and extensions out of a certificate, and signs it again.
func ofVersion1(t *testing.T, cert *x509.Certificate, by *rsa.PrivateKey) *x509.Certificate {
	t.Helper()
	tbs, body := cryptobyte.String(cert.RawTBSCertificate), cryptobyte.String(nil)
	var parts, algorithm cryptobyte.String
	kept := cryptobyte.NewBuilder(nil)
	ok := tbs.ReadASN1(&body, tag.SEQUENCE) && body.SkipASN1(tag.Tag(0).Constructed().ContextSpecific())
	for i := 0; ok && i < 6; i++ { // serial number, algorithm, issuer, dates, subject, key
		var kind tag.Tag
		if ok = body.ReadAnyASN1Element(&parts, &kind); i == 1 {
			algorithm = parts
		}
		kept.AddBytes(parts)
	}
	content := kept.BytesOrPanic()
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(content) })
	signed := b.BytesOrPanic()
	sum := sha512.Sum384(signed)
	signature, err := rsa.SignPSS(rand.Reader, by, crypto.SHA384, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	if !ok || err != nil {
		t.Fatalf("%t %v", ok, err)
	}
	b = cryptobyte.NewBuilder(nil)
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(signed)
		b.AddBytes(algorithm)
		b.AddASN1BitString(signature)
	})
	v1, err := x509.ParseCertificate(b.BytesOrPanic())
	if err != nil {
		t.Fatal(err)
	}
	return v1
}
