package snp_test

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/snp"
)

// TestRootThatCallsItselfAMDs: certificates that are AMD's own in everything but their keys and signatures (names, serial numbers, key ids, dates)
// come with the report. A root in a request is data.
func TestRootThatCallsItselfAMDs(t *testing.T) {
	for _, product := range []string{"Milan", "Genoa", "Turin"} {
		l := newLab(t, product)
		forge := func(role string, key *rsa.PrivateKey, issuer *authority) *authority {
			b, err := os.ReadFile("amd/" + role + "-" + strings.ToLower(product) + ".der")
			if err != nil {
				t.Fatal(err)
			}
			cert, err := x509.ParseCertificate(b)
			if err != nil {
				t.Fatal(err)
			}
			return &authority{l.sign(cert, &key.PublicKey, issuer), key}
		}
		ark := forge("ark", l.stranger, &authority{key: l.stranger})
		ask := forge("ask", l.ask.key, ark)
		leaf := l.vcek(func(s *leafSpec) { s.issuer = ask })
		for name, others := range map[string][]*x509.Certificate{
			"ASK and ARK": {ask.cert, ark.cert}, "ARK first": {ark.cert, ask.cert}, "ASK": {ask.cert}, "ARK": {ark.cert}, "nothing": nil,
		} {
			_, err := snp.AMDRoots().Trace(&snp.Chain{Leaf: leaf, Others: others}, snp.Options{At: l.at()})
			if len(others) == 2 {
				refusedFor(t, err, evidence.UntrustedRoot)
			}
			refusedFor(t, err, evidence.UntrustedRoot, evidence.SNPChain)
			if t.Failed() {
				t.Fatalf("%s, with %s", product, name)
			}
		}
		own, err := snp.NewRoots(ark.cert.Raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := own.Trace(&snp.Chain{Leaf: leaf, Others: []*x509.Certificate{ask.cert}}, snp.Options{At: l.at()}); err != nil {
			t.Errorf("%s: the forgery is none, so that this test shows nothing: %v", product, err)
		}
	}
}

// TestGuestWithoutIDBlockClaimsZeros: whoever launches a guest without an ID block has no key to show, and nothing but the firmware can write the digest
// of one into a report.
func TestGuestWithoutIDBlockClaimsZeros(t *testing.T) {
	const idKey, authorKey = 0xE0, 0x110
	l := newLab(t, "Milan")
	v, err := l.verify(snp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"idkeydigest", "authorkeydigest"} {
		if got := claimed(v, name); got != strings.Repeat("0", 96) {
			t.Errorf("%s: got %q", name, got)
		}
	}
	for _, offset := range []int{idKey, authorKey} {
		report := l.raw()
		copy(report[offset:], "the digest of a well-known key")
		r, err := snp.ParseReport(report)
		if err != nil {
			t.Fatal(err)
		}
		_, err = snp.Verify(r, l.signer(l.vcek()), snp.Options{At: l.at()})
		refusedFor(t, err, evidence.SNPSignature)
	}
}

// TestIDKeyVouchesForItselfWithoutAnAuthorKey: a digest that the chip signed is claimed as it is, as Azure's guests have it.
func TestIDKeyVouchesForItselfWithoutAnAuthorKey(t *testing.T) {
	digest := []byte(strings.Repeat("\xAB", 48))
	v, err := newLab(t, "Milan").verify(snp.Options{}, set(0xE0, digest...))
	if err != nil {
		t.Fatal(err)
	}
	if got := claimed(v, "idkeydigest"); got != hex.EncodeToString(digest) || v.Report.AuthorKeyEn {
		t.Errorf("got %q", got)
	}
	if got := claimed(v, "authorkeydigest"); got != strings.Repeat("0", 96) {
		t.Errorf("author key: got %q", got)
	}
}

// claimed is the value of a claim, by what follows x-ms-sevsnpvm-.
func claimed(v *snp.Verified, name string) any {
	for _, c := range v.Claims() {
		if c.Name == "x-ms-sevsnpvm-"+name {
			return c.Value
		}
	}
	return nil
}
