package dcap_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"io/fs"
	"math/big"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/dcaptest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// crlForms are the forms in which services deliver a CRL (sgx-tdx.md section 4.4).
func crlForms(der []byte) map[string][]byte {
	text := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
	forms := map[string][]byte{"DER": der, "PEM": text, "PEM with CRLF": bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")),
		"hex": []byte(hex.EncodeToString(der)), "HEX": []byte(strings.ToUpper(hex.EncodeToString(der)))}
	for name, form := range forms {
		for end, tail := range map[string]string{"NUL": "\x00", "LF": "\n", "CRLF": "\r\n", "LF and NUL": "\n\x00"} {
			forms[name+" and "+end] = append(bytes.Clone(form), tail...)
		}
	}
	return forms
}

func TestCRLForms(t *testing.T) {
	l := newLab(t)
	o, err := l.trace(l.scenario(), today())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := l.scenario().Collateral()
	if err != nil {
		t.Fatal(err)
	}
	for form, b := range crlForms(raw.RootCRL) {
		_, err := l.verifier.RootCRL(b, o.Anchor())
		dcaptest.Expect(t, "root CRL as "+form, err)
	}
	for form, b := range crlForms(raw.PCKCRL) {
		_, err := l.verifier.PCKCRL(b, o.CA())
		dcaptest.Expect(t, "PCK CRL as "+form, err)
	}
}

func TestUnreadableCRLs(t *testing.T) {
	l := newLab(t)
	o, err := l.trace(l.scenario(), today())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := l.scenario().Collateral()
	if err != nil {
		t.Fatal(err)
	}
	der := raw.PCKCRL
	text := assaytest.CRLPEM(der)
	more := func(b []byte, tail string) []byte { return append(bytes.Clone(b), tail...) }
	for what, b := range map[string][]byte{
		"nothing":                   nil,
		"NUL":                       {0},
		"text":                      []byte("not found"),
		"half of it":                der[:len(der)/2],
		"DER and something":         more(der, "x"),
		"DER twice":                 more(der, string(der)),
		"PEM twice":                 more(text, string(text)),
		"PEM behind a damaged one":  more(text[:len(text)-30], "\n"+string(text)),
		"PEM and something":         more(text, "x"),
		"PEM of another type":       bytes.ReplaceAll(text, []byte("X509 CRL"), []byte("CERTIFICATE")),
		"PEM without its end":       text[:len(text)-10],
		"PEM of more than the CRL":  assaytest.CRLPEM(more(der, "x")),
		"hex with an odd digit":     more(assaytest.CRLHex(der), "0"),
		"hex of more than the CRL":  assaytest.CRLHex(more(der, "x")),
		"hex of the PEM":            assaytest.CRLHex(text),
		"a byte too long":           more(der, strings.Repeat("\n", dcap.MaxDocument+1-len(der))),
		"without CRL number":        bytes.Replace(der, []byte{0x55, 0x1d, 20}, []byte{0x55, 0x1d, 99}, 1),
		"without key identifier":    bytes.Replace(der, []byte{0x55, 0x1d, 35}, []byte{0x55, 0x1d, 98}, 1),
		"a certificate's SEQUENCES": {0x30, 0x06, 0x30, 0x00, 0x30, 0x00, 0x03, 0x00},
	} {
		_, err := l.verifier.PCKCRL(b, o.CA())
		dcaptest.Expect(t, "PCK CRL: "+what, err, evidence.CRLFormat)
		_, err = l.verifier.RootCRL(b, o.Anchor())
		dcaptest.Expect(t, "root CRL: "+what, err, evidence.CRLFormat)
	}
	_, err = l.verifier.PCKCRL(more(der, strings.Repeat("\n", dcap.MaxDocument-len(der))), o.CA())
	dcaptest.Expect(t, "as long as it may be", err)
}

// A list with a critical extension says something else than which certificates are revoked (RFC 5280 section 5.2).
func TestCRLsWithCriticalExtensions(t *testing.T) {
	deltaIndicator := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{0x02, 0x01, 0x01}}
	unknown := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{0x05, 0x00}}
	otherIssuer := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: []byte{0x30, 0x00}}
	entry := x509.RevocationListEntry{SerialNumber: big.NewInt(99), RevocationTime: today(), ExtraExtensions: []pkix.Extension{otherIssuer}}
	l := newLab(t)
	for _, tt := range []struct {
		what   string
		change func(*x509.RevocationList)
		want   []evidence.Check
	}{
		{"delta CRL", func(c *x509.RevocationList) { c.ExtraExtensions = []pkix.Extension{deltaIndicator} }, []evidence.Check{evidence.CRLFormat}},
		{"entry of another issuer", func(c *x509.RevocationList) { c.RevokedCertificateEntries = []x509.RevocationListEntry{entry} }, []evidence.Check{evidence.CRLFormat}},
		{"an extension that may be ignored", func(c *x509.RevocationList) { c.ExtraExtensions = []pkix.Extension{unknown} }, nil},
	} {
		for _, part := range []assaytest.Part{assaytest.PCKCRL, assaytest.RootCRL} {
			_, err := l.verify(l.scenario(func(s *assaytest.Scenario) {
				s.Edit.CRL = func(p assaytest.Part, c *x509.RevocationList) {
					if p == part {
						tt.change(c)
					}
				}
			}))
			dcaptest.Expect(t, string(part)+": "+tt.what, err, tt.want...)
		}
	}
}

func TestCRLOfAnUnknownRoot(t *testing.T) {
	l := newLab(t)
	raw, err := l.scenario().Collateral()
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.verifier.RootCRL(raw.RootCRL, dcap.Anchor{1})
	dcaptest.Expect(t, "unknown anchor", err, evidence.UntrustedRoot)
}

func TestCRLSignedWithAnotherHash(t *testing.T) {
	l := newLab(t)
	for _, part := range []assaytest.Part{assaytest.PCKCRL, assaytest.RootCRL} {
		_, err := l.verify(l.scenario(func(s *assaytest.Scenario) {
			s.Edit.CRL = func(p assaytest.Part, c *x509.RevocationList) {
				if p == part {
					c.SignatureAlgorithm = x509.ECDSAWithSHA384
				}
			}
		}))
		dcaptest.Expect(t, string(part), err, evidence.CRLSignature)
	}
}

// Where revocation lists are not required they may be missing or old. The result says what was left out, and nothing
// else is: a list that is there revokes.
func TestWithoutCRLs(t *testing.T) {
	l := newLab(t)
	without := dcap.Options{At: today(), WithoutCRLs: true}
	missing := func(s *assaytest.Scenario) {
		dcaptest.Edit(assaytest.PCKCRL, func([]byte) []byte { return nil })(s)
		dcaptest.Edit(assaytest.RootCRL, func([]byte) []byte { return nil })(s)
	}
	v, err := l.verifyWith(l.scenario(missing), without)
	if err != nil {
		t.Fatal(err)
	}
	if want := []evidence.Check{evidence.CRLExpired, evidence.Revoked}; !slices.Equal(v.NotChecked, want) || v.Hashes.RootCRL != [32]byte{} {
		t.Errorf("not checked: got %v, hash %x, want %v and none", v.NotChecked, v.Hashes.RootCRL, want)
	}
	_, err = l.verify(l.scenario(missing))
	dcaptest.Expect(t, "missing where they are required", err, evidence.CollateralMissing)
	_, err = l.verifyWith(l.scenario(func(s *assaytest.Scenario) { s.Revoked = []assaytest.Role{assaytest.TCBSigning} }), without)
	dcaptest.Expect(t, "TCB signer in a root CRL that is there", err, evidence.Revoked)
	_, err = l.verifyWith(l.scenario(func(s *assaytest.Scenario) { s.Revoked = []assaytest.Role{assaytest.PCK} }), without)
	dcaptest.Expect(t, "PCK certificate in a PCK CRL that is there", err, evidence.Revoked)
	_, err = l.verifyWith(l.scenario(), dcap.Options{At: today().AddDate(0, 2, 0), Expiry: dcap.Pinned, WithoutCRLs: true})
	dcaptest.Expect(t, "lists past their nextUpdate", err)
	_, err = l.verifyWith(l.scenario(missing, within(t, assaytest.TCBInfoBody, span{-day, 0})), without)
	dcaptest.Expect(t, "TCB info expired", err, evidence.TCBInfoExpired)
}

func TestRevokedOnlyByTheRightSerialAndList(t *testing.T) {
	l := newLab(t)
	list := func(part assaytest.Part, serials ...int64) func(*assaytest.Scenario) {
		return func(s *assaytest.Scenario) {
			s.Edit.CRL = func(p assaytest.Part, c *x509.RevocationList) {
				if p != part {
					return
				}
				for _, n := range serials {
					c.RevokedCertificateEntries = append(c.RevokedCertificateEntries,
						x509.RevocationListEntry{SerialNumber: big.NewInt(n), RevocationTime: today()})
				}
			}
		}
	}
	o, err := l.trace(l.scenario(), today())
	if err != nil {
		t.Fatal(err)
	}
	pck := o.Leaf().SerialNumber.Int64()
	for _, tt := range []struct {
		what   string
		change func(*assaytest.Scenario)
		want   []evidence.Check
	}{
		{"others", list(assaytest.PCKCRL, pck-1, pck+1, pck<<8, -pck), nil},
		{"the PCK certificate among others", list(assaytest.PCKCRL, pck-1, pck, pck+1), []evidence.Check{evidence.Revoked}},
		{"its serial in the root CRL, which speaks of others", list(assaytest.RootCRL, pck), nil},
	} {
		_, err := l.verify(l.scenario(tt.change))
		dcaptest.Expect(t, tt.what, err, tt.want...)
	}
}

// intel is a verifier that trusts Intel, with origins by the authority that issued their PCK certificates: of the
// accepted real cases of the vectors.
func intel(t testing.TB) (*dcap.Verifier, map[dcap.CAKind]*dcap.Origin) {
	t.Helper()
	v := dcap.NewVerifier(dcap.IntelRoots())
	origins := map[dcap.CAKind]*dcap.Origin{}
	for _, c := range vectortest.DCAPCases(t, "sgx", "tdx") {
		if !c.Accept || c.Root != nil {
			continue
		}
		q, err := dcap.ParseQuote(c.Quote)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		o, err := v.Trace(q, c.Now, nil)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		origins[o.CA().Kind()] = o
	}
	if len(origins) == 0 {
		vectortest.Missing(t, "an accepted real case")
	}
	return v, origins
}

// loadCRL reads a real CRL of the root or one of the authorities. It reports false if its authority is not among them.
func loadCRL(v *dcap.Verifier, origins map[dcap.CAKind]*dcap.Origin, issuer string, b []byte) (crl *dcap.CRL, ok bool, err error) {
	for _, o := range origins {
		switch {
		case issuer == "Intel SGX Root CA":
			crl, err = v.RootCRL(b, o.Anchor())
			return crl, true, err
		case issuer == o.Leaf().Issuer.CommonName:
			crl, err = v.PCKCRL(b, o.CA())
			return crl, true, err
		}
	}
	return nil, false, nil
}

func TestRealCRLsInEveryForm(t *testing.T) {
	v, origins := intel(t)
	root := vectortest.Path(t, "dcap/collateral")
	n := 0
	for name, err := range walk(root) {
		if err != nil || path.Ext(name) != ".der" {
			continue
		}
		der, err := os.ReadFile(path.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		want, err := x509.ParseRevocationList(der)
		if err != nil {
			t.Fatal(err)
		}
		for form, b := range crlForms(der) {
			crl, ok, err := loadCRL(v, origins, want.Issuer.CommonName, b)
			if !ok {
				break
			}
			n++
			if err != nil {
				t.Errorf("%s as %s: %v", name, form, err)
				continue
			}
			if !crl.ThisUpdate().Equal(want.ThisUpdate) || !crl.NextUpdate().Equal(want.NextUpdate) {
				t.Errorf("%s as %s: in force %v to %v", name, form, crl.ThisUpdate(), crl.NextUpdate())
			}
		}
	}
	if n == 0 {
		none(t, "DER CRL")
	}
}

// walk lists the files below root.
func walk(root string) func(yield func(string, error) bool) {
	return func(yield func(string, error) bool) {
		_ = fs.WalkDir(os.DirFS(root), ".", func(name string, _ fs.DirEntry, err error) error {
			if !yield(name, err) {
				return fs.SkipAll
			}
			return nil
		})
	}
}

func TestPEMOfCRLIsWhatServicesDeliver(t *testing.T) {
	var index struct {
		Files []struct {
			File, Equals, SHA256 string
			DER                  string `json:"der_sha256"`
			LineEnds             string `json:"line_ends"`
			AfterEnd             string `json:"after_end"`
		}
	}
	vectortest.ReadJSON(t, "dcap/crl-pem/index.json", &index)
	v, origins := intel(t)
	for _, f := range index.Files {
		text, der := vectortest.Read(t, f.File), vectortest.Read(t, f.Equals)
		if hexSum(text) != f.SHA256 || hexSum(der) != f.DER {
			t.Errorf("%s: SHA-256 %s and %s of the DER, want %s and %s", f.File, hexSum(text), hexSum(der), f.SHA256, f.DER)
		}
		block, _ := pem.Decode(text)
		list, err := x509.ParseRevocationList(der)
		if err != nil || block == nil || !bytes.Equal(block.Bytes, der) {
			t.Fatalf("%s is not %s in PEM: %v", f.File, f.Equals, err)
		}
		fromPEM, ok, err := loadCRL(v, origins, list.Issuer.CommonName, text)
		if !ok {
			continue
		}
		fromDER, _, err2 := loadCRL(v, origins, list.Issuer.CommonName, der)
		if err != nil || err2 != nil {
			t.Errorf("%s: %v; as DER: %v", f.File, err, err2)
			continue
		}
		if fromPEM.PEMHash() != fromDER.PEMHash() {
			t.Errorf("%s and %s differ in the hash of the list", f.File, f.Equals)
		}
		want := sha256.Sum256(append(bytes.Clone(text), 0)) // the C string
		if f.LineEnds == "LF" && f.AfterEnd == "\n" && fromDER.PEMHash() != want {
			t.Errorf("%s: hash of the list is %x, want that of the PEM as delivered, %x", f.File, fromDER.PEMHash(), want)
		}
	}
	if len(index.Files) == 0 {
		none(t, "PEM CRL")
	}
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
