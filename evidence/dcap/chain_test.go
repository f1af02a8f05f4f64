package dcap_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/dcaptest"
)

// blocks takes a PEM chain apart into its blocks, each with its line end.
func blocks(chain []byte) [][]byte {
	return bytes.SplitAfter(bytes.TrimRight(chain, "\x00"), []byte("-----END CERTIFICATE-----\n"))[:3]
}

// joined puts blocks together again.
func joined(change func(b [][]byte) [][]byte) func([]byte) []byte {
	return func(chain []byte) []byte { return slices.Concat(change(blocks(chain))...) }
}

func TestPEMOfTheChain(t *testing.T) {
	insert := func(i int, text string) func([]byte) []byte {
		return joined(func(b [][]byte) [][]byte { return slices.Insert(b, i, []byte(text)) })
	}
	text := func(old, new string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(old), []byte(new)) }
	}
	const damaged = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n"
	const empty = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"
	padded := func(n int) func([]byte) []byte {
		return func(b []byte) []byte { return append(b, strings.Repeat("\n", n-len(b))...) }
	}
	l := newLab(t)
	for _, tt := range []struct {
		what   string
		change func([]byte) []byte
		accept bool
	}{
		{"no NUL at the end", joined(func(b [][]byte) [][]byte { return b }), true},
		{"no line end at the end", func(b []byte) []byte { return bytes.TrimRight(b, "\x00\n") }, true},
		{"CRLF", text("\n", "\r\n"), true},
		{"blank lines between", text("-----BEGIN", "\n \t\r\n-----BEGIN"), true},
		{"as long as it may be", padded(dcap.MaxPCKChain), true},
		{"a byte longer", padded(dcap.MaxPCKChain + 1), false},
		{"nothing", func([]byte) []byte { return []byte{} }, false},
		{"text in front", insert(0, "subject=PCK\n"), false},
		{"text between", insert(1, "subject=CA\n"), false},
		{"text behind", insert(3, "end\n"), false},
		{"NUL between", insert(1, "\x00"), false},
		{"headers", text("CERTIFICATE-----\nMII", "CERTIFICATE-----\nX: y\n\nMII"), false},
		{"trusted certificates", text(" CERTIFICATE", " TRUSTED CERTIFICATE"), false},
		{"a damaged one in front", insert(0, damaged), false},
		{"a damaged one between", insert(2, damaged), false},
		{"a damaged one behind", insert(3, damaged), false},
		{"an empty one in front", insert(0, empty), false},
		{"an unfinished one behind", insert(3, "-----BEGIN CERTIFICATE-----\nMIIB"), false},
		{"hundreds", func([]byte) []byte { return bytes.Repeat([]byte(empty), 250) }, false},
		{"leaf that is no certificate", joined(func(b [][]byte) [][]byte {
			return [][]byte{[]byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"), b[1], b[2]}
		}), false},
		{"CA that is no certificate", joined(func(b [][]byte) [][]byte {
			return [][]byte{b[0], []byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"), b[2]}
		}), false},
		{"root missing", joined(func(b [][]byte) [][]byte { return b[:2] }), false},
		{"root twice", joined(func(b [][]byte) [][]byte { return append(b, b[2]) }), false},
	} {
		_, err := l.verify(l.scenario(dcaptest.Edit(assaytest.PCKChainPEM, tt.change)))
		var want []evidence.Check
		if !tt.accept {
			want = []evidence.Check{evidence.PCKChain}
		}
		dcaptest.Expect(t, tt.what, err, want...)
	}
}

func TestChainOrderIsLeafFirst(t *testing.T) {
	l := newLab(t)
	for _, order := range [][3]int{{0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}, {0, 0, 0}, {2, 2, 2}} {
		change := joined(func(b [][]byte) [][]byte { return [][]byte{b[order[0]], b[order[1]], b[order[2]]} })
		_, err := l.verify(l.scenario(dcaptest.Edit(assaytest.PCKChainPEM, change)))
		dcaptest.Expect(t, fmt.Sprint(order), err, evidence.PCKChain, evidence.UntrustedRoot)
	}
}

// Certificates that their issuer has signed, but that Intel does not issue.
func TestWhatCertificatesMustBe(t *testing.T) {
	l := newLab(t)
	critical := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}
	for _, tt := range []struct {
		what   string
		role   assaytest.Role
		change func(*x509.Certificate)
	}{
		{"other organization", assaytest.PCK, func(c *x509.Certificate) { c.Subject.Organization = []string{"Intel"} }},
		{"a second organization", assaytest.PCK, func(c *x509.Certificate) { c.Subject.Organization = append(c.Subject.Organization, "Other") }},
		{"an organizational unit", assaytest.PCK, func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{"Other"} }},
		{"no country", assaytest.PlatformCA, func(c *x509.Certificate) { c.Subject.Country = nil }},
		{"other country", assaytest.PlatformCA, func(c *x509.Certificate) { c.Subject.Country = []string{"DE"} }},
		{"other state", assaytest.Root, func(c *x509.Certificate) { c.Subject.Province = []string{"OR"} }},
		{"other root name", assaytest.Root, func(c *x509.Certificate) { c.Subject.CommonName = "Intel SGX Root CA 2" }},
		{"unknown critical extension", assaytest.PCK, func(c *x509.Certificate) { c.ExtraExtensions = append(c.ExtraExtensions, critical) }},
		{"unknown critical extension", assaytest.PlatformCA, func(c *x509.Certificate) { c.ExtraExtensions = append(c.ExtraExtensions, critical) }},
		{"SHA-384", assaytest.PCK, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA384 }},
		{"SHA-384", assaytest.PlatformCA, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA384 }},
		{"path length too short", assaytest.Root, func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true }},
		{"not for signing certificates", assaytest.PlatformCA, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }},
		{"not for signing certificates", assaytest.Root, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }},
		{"no basic constraints", assaytest.PlatformCA, func(c *x509.Certificate) { c.BasicConstraintsValid = false }},
		{"a CA", assaytest.PCK, func(c *x509.Certificate) { c.IsCA = true }},
	} {
		_, err := l.verify(l.scenario(func(s *assaytest.Scenario) {
			s.Edit.Certificate = func(r assaytest.Role, c *x509.Certificate) {
				if r == tt.role {
					tt.change(c)
				}
			}
		}))
		dcaptest.Expect(t, fmt.Sprintf("%s: %s", tt.role, tt.what), err, evidence.PCKChain)
	}
}

func TestSignersMustBeMeantForIt(t *testing.T) {
	l := newLab(t)
	for _, tt := range []struct {
		role  assaytest.Role
		usage x509.KeyUsage
		want  evidence.Check
	}{
		{assaytest.PlatformCA, x509.KeyUsageCertSign, evidence.CRLSignature},
		{assaytest.TCBSigning, x509.KeyUsageContentCommitment, evidence.TCBSigningChain},
	} {
		_, err := l.verify(l.scenario(func(s *assaytest.Scenario) {
			s.Edit.Certificate = func(r assaytest.Role, c *x509.Certificate) {
				if r == tt.role {
					c.KeyUsage = tt.usage
				}
			}
		}))
		dcaptest.Expect(t, string(tt.role), err, tt.want)
	}
}

func TestSGXExtensionInUnusualForm(t *testing.T) {
	unknown := assaytest.Element{ID: asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1, 99}, Value: true}
	foreign := assaytest.Element{ID: asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 2, 4}, Value: []byte{1}}
	l := newLab(t)
	for what, change := range map[string]func([]assaytest.Element) []assaytest.Element{
		"elements in reverse": func(e []assaytest.Element) []assaytest.Element {
			slices.Reverse(e)
			return e
		},
		"unknown element":         func(e []assaytest.Element) []assaytest.Element { return append(e, unknown) },
		"element of another arc":  func(e []assaytest.Element) []assaytest.Element { return append(e, foreign) },
		"no configuration at all": func(e []assaytest.Element) []assaytest.Element { return e[:5] },
	} {
		v, err := l.verify(l.scenario(func(s *assaytest.Scenario) { s.Edit.Extension = change }))
		if err != nil || v.Origin.FMSPC().String() != "A55A79000000" {
			t.Errorf("%s: got %v, want it accepted", what, err)
		}
	}
}

// What the verifier remembers of one quote must not help another.
func TestRememberedChainsAreJudgedAnew(t *testing.T) {
	l := newLab(t)
	for range 2 {
		_, err := l.verify(l.scenario())
		dcaptest.Expect(t, "sound", err)
		_, err = l.verify(l.scenario(func(s *assaytest.Scenario) { s.Revoked = []assaytest.Role{assaytest.PCK} }))
		dcaptest.Expect(t, "since revoked", err, evidence.Revoked)
		_, err = l.verify(l.scenario(func(s *assaytest.Scenario) { s.Revoked = []assaytest.Role{assaytest.PlatformCA} }))
		dcaptest.Expect(t, "CA since revoked", err, evidence.Revoked)
		_, err = l.trace(l.scenario(), today().AddDate(30, 0, 0))
		dcaptest.Expect(t, "since expired", err, evidence.PCKExpired)
		_, err = l.verify(l.scenario(dcaptest.Edit(assaytest.PCK.Certificate(), func(b []byte) []byte { b[len(b)-1] ^= 1; return b })))
		dcaptest.Expect(t, "same certificate, other signature", err, evidence.PCKChain)
		_, err = l.verify(l.scenario(dcaptest.Edit(assaytest.PlatformCA.Certificate(), func(b []byte) []byte { b[len(b)-1] ^= 1; return b })))
		dcaptest.Expect(t, "same CA, other signature", err, evidence.PCKChain)
		_, err = l.verify(l.scenario(dcaptest.Edit(assaytest.Root.Certificate(), func(b []byte) []byte { b[len(b)-1] ^= 1; return b })))
		dcaptest.Expect(t, "same root, other signature", err, evidence.PCKChain)
	}
}

// The text of a chain is not signed: anybody can write the same certificates in other ways, which must not fill the
// memory nor push out what is in it.
func TestOnlyTheUsualTextOfAChainIsRemembered(t *testing.T) {
	l := newLab(t)
	for i := range 64 {
		for _, change := range []func([]byte) []byte{
			func(b []byte) []byte {
				return bytes.Replace(b, []byte("\n"), []byte(strings.Repeat("\n", i+2)), 1)
			},
			func(b []byte) []byte { return append(b, make([]byte, i+1)...) },
			func(b []byte) []byte { return append(b, strings.Repeat("\n", i+1)...) },
		} {
			_, err := l.verify(l.scenario(dcaptest.Edit(assaytest.PCKChainPEM, change)))
			dcaptest.Expect(t, "another text", err)
		}
	}
	if chains, cas := l.verifier.Remembered(); chains != 0 || cas > 1 {
		t.Errorf("%d chains and %d authorities are remembered", chains, cas)
	}
	_, err := l.verify(l.scenario())
	dcaptest.Expect(t, "the usual text", err)
	if chains, cas := l.verifier.Remembered(); chains != 1 || cas != 1 {
		t.Errorf("%d chains and %d authorities are remembered, want one each", chains, cas)
	}
}

// The bytes of CA and root may not be cut differently to pass for a pair that was seen.
func TestRememberedAuthoritiesAreTheSameCertificates(t *testing.T) {
	l := newLab(t)
	_, err := l.verify(l.scenario())
	dcaptest.Expect(t, "sound", err)
	recut := joined(func(b [][]byte) [][]byte {
		ca, _ := pem.Decode(b[1])
		root, _ := pem.Decode(b[2])
		all := slices.Concat(ca.Bytes, root.Bytes)
		cut := len(ca.Bytes) - 1
		block := func(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}) }
		return [][]byte{b[0], block(all[:cut]), block(all[cut:])}
	})
	_, err = l.verify(l.scenario(dcaptest.Edit(assaytest.PCKChainPEM, recut)))
	dcaptest.Expect(t, "cut differently", err, evidence.PCKChain)
}

func TestOriginOfAnotherVerifier(t *testing.T) {
	mine, theirs := newLab(t), newLab(t)
	s := theirs.scenario()
	o, c := theirs.endorsed(s)
	_, err := mine.verifier.Verify(o, c, dcap.Options{At: today()}, nil)
	dcaptest.Expect(t, "traced by a verifier with other roots", err, evidence.UntrustedRoot)
}

// Where two roots are trusted, a quote is judged by the collateral of its own.
func TestCollateralOfAnotherTrustedRoot(t *testing.T) {
	a, b := newLab(t), newLab(t)
	both := dcap.NewVerifier(rootsOf(t, a.intel).And(rootsOf(t, b.intel)))
	a.verifier, b.verifier = both, both
	o, err := a.trace(a.scenario(), today())
	if err != nil {
		t.Fatal(err)
	}
	other, err := b.trace(b.scenario(), today())
	if err != nil {
		t.Fatal(err)
	}
	own, err := a.collateral(o, a.scenario())
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := b.collateral(other, b.scenario())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what   string
		change func(*dcap.Collateral)
		want   []evidence.Check
	}{
		{"nothing", func(*dcap.Collateral) {}, nil},
		{"TCB info", func(c *dcap.Collateral) { c.TCBInfo = foreign.TCBInfo }, []evidence.Check{evidence.UntrustedRoot}},
		{"QE identity", func(c *dcap.Collateral) { c.QEIdentity = foreign.QEIdentity }, []evidence.Check{evidence.UntrustedRoot}},
		{"PCK CRL", func(c *dcap.Collateral) { c.PCKCRL = foreign.PCKCRL }, []evidence.Check{evidence.CRLSignature}},
		{"root CRL", func(c *dcap.Collateral) { c.RootCRL = foreign.RootCRL }, []evidence.Check{evidence.CRLSignature}},
		{"CRLs swapped", func(c *dcap.Collateral) { c.RootCRL, c.PCKCRL = c.PCKCRL, c.RootCRL }, []evidence.Check{evidence.CRLSignature}},
	} {
		c := own
		tt.change(&c)
		_, err := both.Verify(o, c, dcap.Options{At: today()}, nil)
		dcaptest.Expect(t, tt.what+" of the other root", err, tt.want...)
	}
}

func TestRoots(t *testing.T) {
	if _, err := dcap.NewRoots([]byte("no certificate")); err == nil {
		t.Error("NewRoots took text for a certificate")
	}
	if _, err := dcap.NewRoots(certificateP384(t)); err == nil {
		t.Error("NewRoots took a key on P-384")
	}
	_, origins := intel(t)
	for kind, o := range origins {
		if want := fmt.Sprintf("%x", intelAnchor(t)); o.Anchor().String() != want {
			t.Errorf("Intel's root above the %s CA is %s, want %s", kind, o.Anchor(), want)
		}
	}
	l := newLab(t)
	var none dcap.Roots
	l.verifier = dcap.NewVerifier(none)
	_, err := l.trace(l.scenario(), today())
	dcaptest.Expect(t, "no roots", err, evidence.UntrustedRoot)
	l.verifier = dcap.NewVerifier(dcap.IntelRoots())
	_, err = l.trace(l.scenario(), today())
	dcaptest.Expect(t, "Intel's roots, simulated Intel", err, evidence.UntrustedRoot)
}

// certificateP384 is a certificate of a key that no chain of Intel's can end in.
func certificateP384(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// Many callers at once; the race detector looks on.
func TestVerifierIsSafeForConcurrentUse(t *testing.T) {
	l := newLab(t)
	s := l.scenario()
	_, c := l.endorsed(s)
	b, err := s.Quote()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	for i := range 8 {
		go func() {
			q, err := dcap.ParseQuote(append(bytes.Clone(b), make([]byte, i)...))
			var mine *dcap.Origin
			if err == nil {
				mine, err = l.verifier.Trace(q, today(), nil)
			}
			if err == nil {
				_, err = l.verifier.Verify(mine, c, dcap.Options{At: today().Add(time.Duration(i))}, nil)
			}
			done <- err
		}()
	}
	for range 8 {
		dcaptest.Expect(t, "concurrently", <-done)
	}
}

// A refusal may quote the evidence, but not at any length.
func TestRefusalsOfLongNamesAreShort(t *testing.T) {
	l := newLab(t)
	for _, change := range []func(*x509.Certificate){
		func(c *x509.Certificate) { c.Subject.CommonName = strings.Repeat("long\n", 1<<15) },
		func(c *x509.Certificate) { c.Subject.Organization = []string{strings.Repeat("long\n", 1<<15)} },
	} {
		_, err := l.trace(l.scenario(func(s *assaytest.Scenario) {
			s.Edit.Certificate = func(r assaytest.Role, c *x509.Certificate) {
				if r == assaytest.PCK {
					change(c)
				}
			}
		}), today())
		dcaptest.Expect(t, "long name", err, evidence.PCKChain)
		if err != nil && (len(err.Error()) > 1000 || strings.Contains(err.Error(), "\n")) {
			t.Errorf("a refusal of %d characters, or of several lines: %.100q…", len(err.Error()), err.Error())
		}
	}
}
