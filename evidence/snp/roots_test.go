package snp_test

import (
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/internal/vectortest"
)

func spki(cert *x509.Certificate) [sha256.Size]byte {
	return sha256.Sum256(cert.RawSubjectPublicKeyInfo)
}

// TestAMDRootsAreAMDs compares the pins with the ARKs of the vectors, which come from another project, and shows that each certificate that is embedded
// leads to a pinned ARK.
func TestAMDRootsAreAMDs(t *testing.T) {
	if arks, intermediates := snp.AMDRoots().Held(); arks != 3 || intermediates != 6 {
		t.Errorf("%d ARKs and %d ASKs and ASVKs are embedded, want 3 and 6", arks, intermediates)
	}
	for product, pin := range snp.Pinned() {
		name := strings.ToLower(string(product))
		ark, err := x509.ParseCertificate(read(t, "amd-ca/ark-"+name+".der"))
		if err != nil {
			t.Fatal(err)
		}
		if got := snp.Anchor(spki(ark)).String(); got != pin {
			t.Errorf("%s: the ARK of the vectors has the key %s, pinned is %s", product, got, pin)
		}
		for _, role := range []string{"ark", "ask", "asvk"} {
			embedded, err := snp.AMDCertificate(role, product)
			if err != nil {
				t.Fatal(err)
			}
			if string(embedded.Raw) != string(read(t, "amd-ca/"+role+"-"+name+".der")) {
				t.Errorf("%s of %s is not the one of the vectors", role, product)
			}
			if _, err := snp.NewRoots(ark.Raw, embedded.Raw); err != nil {
				t.Errorf("%s of %s: %v", role, product, err)
			}
		}
	}
}

// TestRealLeavesAloneLeadToAMD verifies certificates of real chips with nothing but what is embedded; Turin's is among them.
func TestRealLeavesAloneLeadToAMD(t *testing.T) {
	roots := snp.AMDRoots()
	for file, product := range map[string]snp.Product{"vcek-milan.der": snp.Milan, "vcek-turin.der": snp.Turin} {
		leaf, err := x509.ParseCertificate(read(t, "certs-only/"+file))
		if err != nil {
			t.Fatal(err)
		}
		chain, err := snp.ParseChain(toPEM(leaf))
		if err != nil {
			t.Fatal(err)
		}
		s, err := roots.Trace(chain, snp.Options{At: leaf.NotBefore})
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if s.Product != product || s.Anchor.String() != snp.Pinned()[product] || len(s.HardwareID) != map[snp.Product]int{snp.Milan: 64, snp.Turin: 8}[product] {
			t.Errorf("%s: %+v", file, s)
		}
	}
	n := 0
	for _, c := range vectors(t) {
		if c.Leaf == nil || c.Expect != "accept" {
			continue
		}
		n++
		chain, err := snp.ParseChain(read(t, c.Chain))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := roots.Trace(&snp.Chain{Leaf: chain.Leaf}, snp.Options{At: c.At}); err != nil {
			t.Errorf("%s: %v", c.ID, err)
		}
	}
	if n == 0 {
		vectortest.NoCase(t, "real VCEK")
	}
}

func TestProductsOfRootsAreThoseOfTheirARKs(t *testing.T) {
	amd, lab := snp.AMDRoots(), newLab(t, "Venice").roots()
	want := []snp.Product{snp.Milan, snp.Genoa, snp.Turin}
	if got := amd.Products(); !slices.Equal(got, want) {
		t.Errorf("AMD's roots are of %v, want %v", got, want)
	}
	if got, want := lab.And(amd).And(lab).Products(), append([]snp.Product{snp.Venice}, want...); !slices.Equal(got, want) {
		t.Errorf("roots of both are of %v, want %v", got, want)
	}
	if got := (snp.Roots{}).Products(); len(got) > 0 {
		t.Errorf("no roots are of %v", got)
	}
}

func TestNewRootsTakesARKsAndWhatTheySigned(t *testing.T) {
	l, other := newLab(t, "Milan"), newLab(t, "Milan")
	other.ark = l.authority("ARK-Milan", l.stranger, &authority{key: l.stranger})
	named := l.authority("Root of somebody", l.stranger, &authority{key: l.stranger})
	forged := l.authority("ARK-Milan", l.ark.key, &authority{nil, l.stranger})
	for name, c := range map[string]struct {
		certificates [][]byte
		part         string // of the error; empty: none
	}{
		"nothing":               {nil, ""},
		"two in one PEM":        {[][]byte{toPEM(l.ask.cert, l.ark.cert)}, ""},
		"ASK of another in PEM": {[][]byte{toPEM(other.ark.cert, l.ask.cert)}, "intermediate certificate"},
		"DER":                   {[][]byte{l.ark.cert.Raw}, ""},
		"PEM":                   {[][]byte{toPEM(l.ark.cert)}, ""},
		"ASK before ARK":        {[][]byte{l.ask.cert.Raw, l.ark.cert.Raw}, ""},
		"ASK alone":             {[][]byte{l.ask.cert.Raw}, "intermediate certificate: no trusted root"},
		"ASK of another ARK":    {[][]byte{l.ask.cert.Raw, other.ark.cert.Raw}, "intermediate certificate"},
		"no certificate":        {[][]byte{[]byte("x")}, "trusted root: x509"},
		"another name":          {[][]byte{named.cert.Raw}, `"Root of somebody" is not the ARK`},
		"unknown product":       {[][]byte{l.authority("ARK-Rome", l.stranger, &authority{key: l.stranger}).cert.Raw}, `"ARK-Rome" is not the ARK`},
		"signed by another":     {[][]byte{forged.cert.Raw}, "verification error"},
		"an ARK of Venice too":  {[][]byte{newLab(t, "Venice").ark.cert.Raw}, ""},
	} {
		_, err := snp.NewRoots(c.certificates...)
		if (err == nil) != (c.part == "") || err != nil && !strings.Contains(err.Error(), c.part) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.part)
		}
	}
}
