package vendorca_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/assay-attestation/assay/internal/vendorca"
)

func noon(year int) time.Time { return time.Date(year, 6, 1, 12, 0, 0, 0, time.UTC) }

// add adds files that must fit.
func add(t *testing.T, s *vendorca.Set, name string, content []byte) {
	t.Helper()
	if err := s.Add(name, content); err != nil {
		t.Fatal(err)
	}
}

// The files of makers whose subject is their issuer, by openssl x509 -subject -issuer.
var selfSigned = []string{
	"GS_TPM_RT.pem", "INF_ECC_010RT.pem", "INF_RSA_010RT.pem", "INTEL_RT.pem", "NTC1.pem", "NTC2.pem",
	"NUVO_0100.pem", "NUVO_1110.pem", "NUVO_1111.pem", "NUVO_2110.pem", "NUVO_2111.pem",
}

func TestEveryCertificateOfTheMakersIsSorted(t *testing.T) {
	dir := vectortest.Path(t, "tpm/certs/ek-vendor-cas")
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 51 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	s := vendorca.New(noon(2026))
	for _, f := range files {
		add(t, s, f.Name(), vectortest.Read(t, "tpm/certs/ek-vendor-cas/"+f.Name()))
	}
	s.Link()
	if len(s.Entries) != len(files) {
		t.Errorf("%d entries for %d files", len(s.Entries), len(files))
	}
	for _, e := range s.Entries {
		first := slices.IndexFunc(s.Entries, func(o *vendorca.Entry) bool { return o.SHA256 == e.SHA256 })
		switch sha1 := e.Certificate().SignatureAlgorithm == x509.SHA1WithRSA; {
		case s.Entries[first] != e:
			if e.Reason != vendorca.Duplicate || !strings.Contains(e.Detail, s.Entries[first].File) {
				t.Errorf("%s is the same as %s: %+v", e.File, s.Entries[first].File, e)
			}
		case slices.Contains(selfSigned, e.File):
			if e.Use != vendorca.Root || e.Orphan {
				t.Errorf("%+v", e)
			}
		case sha1:
			if e.Reason != vendorca.WeakSignature {
				t.Errorf("%+v", e)
			}
		case e.Use != vendorca.Intermediate:
			t.Errorf("%+v", e)
		}
	}
}

// Whose issuers are among the files, by the names that openssl prints.
func TestAnIntermediateThatLeadsToNoRootIsMarked(t *testing.T) {
	s := vendorca.New(noon(2026))
	for _, name := range []string{"GS_TPM_RT", "STM_RSA_RT", "STM_RSA_01I", "STM_ECC_01RT", "STM_ECC_01I", "Nationz_TPM_EK", "INTEL_I"} {
		add(t, s, name, vectortest.Read(t, "tpm/certs/ek-vendor-cas/"+name+".pem"))
	}
	s.Link()
	orphans := map[string]bool{"STM_ECC_01RT": true, "STM_ECC_01I": true, "Nationz_TPM_EK": true, "INTEL_I": true}
	for _, e := range s.Entries {
		if e.Orphan != orphans[e.File] {
			t.Errorf("%s: orphan %v", e.File, e.Orphan)
		}
	}
	add(t, s, "INTEL_RT", vectortest.Read(t, "tpm/certs/ek-vendor-cas/INTEL_RT.pem"))
	s.Link()
	if s.Entries[6].Orphan {
		t.Error("the one of Intel has its root now")
	}
}

// What is sorted into roots and intermediates verifies the certificates that the index accepts.
func TestWhatIsSortedVerifiesTheKeysOfTheIndex(t *testing.T) {
	var index []struct {
		ID, Purpose, Leaf, Expect string
		Intermediates, Roots      []string
		At                        time.Time
	}
	vectortest.ReadJSON(t, "tpm/certs/index.json", &index)
	ran := 0
	for _, c := range index {
		if c.Expect != "accept" || len(c.Roots) == 0 {
			continue
		}
		s := vendorca.New(c.At)
		for _, file := range append(slices.Concat(c.Roots, c.Intermediates), c.Leaf) {
			add(t, s, file, vectortest.Read(t, path.Join("tpm/certs", file)))
		}
		s.Link()
		leaf := s.Entries[len(s.Entries)-1]
		if leaf.Reason != vendorca.NotCA {
			t.Errorf("%s: the key's certificate: %+v", c.ID, leaf)
		}
		var roots []tpm.Root
		for _, cert := range s.Of(vendorca.Root) {
			roots = append(roots, tpm.Root{Certificate: cert, AllowMissingEKU: true})
		}
		r := tpm.NewRoots(roots, s.Of(vendorca.Intermediate))
		verify := r.VerifyAIK
		if c.Purpose == "ek" {
			verify = r.VerifyEK
		}
		if _, err := verify(leaf.Certificate().Raw, c.At); err != nil {
			t.Errorf("%s: %v", c.ID, err)
		}
		ran++
	}
	if ran == 0 {
		vectortest.NoCase(t, "accepted certificates")
	}
}

// ca is a CA to make certificates with.
type ca struct {
	key  crypto.Signer
	cert *x509.Certificate
}

func template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, NotBefore: noon(2020), NotAfter: noon(2030),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
}

// certify makes a certificate of a P-256 key; by nil, it is signed with its own.
func certify(t *testing.T, by *ca, template *x509.Certificate) *ca {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return certifyKey(t, by, template, key)
}

func certifyKey(t *testing.T, by *ca, template *x509.Certificate, key crypto.Signer) *ca {
	t.Helper()
	if by == nil {
		by = &ca{key, template}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &ca{key, cert}
}

func rsaKey(t *testing.T, bits int) crypto.Signer {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestEachReasonToLeaveACertificateOut(t *testing.T) {
	root := certify(t, nil, template("root"))
	changed := func(change func(*x509.Certificate)) []byte {
		c := template("another")
		change(c)
		return certify(t, root, c).cert.Raw
	}
	damaged := bytes.Clone(root.cert.Raw)
	damaged[len(damaged)-1] ^= 1 // its own signature does not hold, so that it is one of another CA of this name
	for name, test := range map[string]struct {
		content []byte
		use     vendorca.Use
		reason  vendorca.Reason
	}{
		"an intermediate":       {changed(func(*x509.Certificate) {}), vendorca.Intermediate, ""},
		"no key usage":          {changed(func(c *x509.Certificate) { c.KeyUsage = 0 }), vendorca.Intermediate, ""},
		"a damaged root":        {damaged, vendorca.Intermediate, ""},
		"padded":                {append(changed(func(*x509.Certificate) {}), 0, 0), vendorca.Intermediate, ""},
		"padded with something": {append(changed(func(*x509.Certificate) {}), 0, 1), vendorca.None, vendorca.Malformed},
		"not a CA":              {changed(func(c *x509.Certificate) { c.IsCA = false }), vendorca.None, vendorca.NotCA},
		"no basic constraints":  {changed(func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = false, false }), vendorca.None, vendorca.NotCA},
		"other key usage":       {changed(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }), vendorca.None, vendorca.NotCA},
		"expired":               {changed(func(c *x509.Certificate) { c.NotAfter = noon(2026).Add(-time.Second) }), vendorca.None, vendorca.Expired},
		"its last second":       {changed(func(c *x509.Certificate) { c.NotAfter = noon(2026) }), vendorca.Intermediate, ""},
		"its first second":      {changed(func(c *x509.Certificate) { c.NotBefore = noon(2026) }), vendorca.Intermediate, ""},
		"not yet valid":         {changed(func(c *x509.Certificate) { c.NotBefore = noon(2026).Add(time.Second) }), vendorca.None, vendorca.NotYetValid},
		"RSA 2048":              {certifyKey(t, root, template("rsa"), rsaKey(t, 2048)).cert.Raw, vendorca.Intermediate, ""},
		"RSA 1024":              {certifyKey(t, root, template("rsa"), rsaKey(t, 1024)).cert.Raw, vendorca.None, vendorca.WeakKey},
		"critical extension": {changed(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		}), vendorca.None, vendorca.CriticalExtension},
		"SHA-1":          {vectortest.Read(t, "tpm/certs/ek-vendor-cas/IFX15.pem"), vendorca.None, vendorca.WeakSignature},
		"empty":          {nil, vendorca.None, vendorca.Malformed},
		"text":           {[]byte("certificates"), vendorca.None, vendorca.Malformed},
		"a key":          {pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte{1}}), vendorca.None, vendorca.Malformed},
		"damaged PEM":    {bytes.Replace(vendorca.PEM(root.cert), []byte("END"), []byte("DNE"), 1), vendorca.None, vendorca.Malformed},
		"cut DER":        {root.cert.Raw[:100], vendorca.None, vendorca.Malformed},
		"the root again": {vendorca.PEM(root.cert), vendorca.None, vendorca.Duplicate},
	} {
		t.Run(name, func(t *testing.T) {
			s := vendorca.New(noon(2026))
			add(t, s, "root", root.cert.Raw)
			add(t, s, "file", test.content)
			if len(s.Entries) != 2 || s.Entries[0].Use != vendorca.Root {
				t.Fatalf("%+v", s.Entries)
			}
			if e := s.Entries[1]; e.Use != test.use || e.Reason != test.reason || (e.Reason != "") != (e.Detail != "") {
				t.Errorf("%+v, want %s %s", e, test.use, test.reason)
			}
		})
	}
}

func TestAFileOfSeveralCertificatesGivesEach(t *testing.T) {
	root := certify(t, nil, template("root"))
	between := certify(t, root, template("between"))
	s := vendorca.New(noon(2026))
	add(t, s, "chain.pem", append([]byte("The chain of a maker\n"), vendorca.PEM(between.cert, root.cert)...))
	s.Link()
	if len(s.Entries) != 2 || s.Entries[0].Use != vendorca.Intermediate || s.Entries[0].Orphan || s.Entries[1].Use != vendorca.Root {
		t.Errorf("%+v", s.Entries)
	}
	if e := s.Entries[0]; e.Subject != "CN=between" || e.Issuer != "CN=root" || e.Key != "P-256" || !e.NotAfter.Equal(noon(2030)) || len(e.SHA256) != 64 {
		t.Errorf("%+v", e)
	}
	again := vendorca.New(noon(2026))
	add(t, again, "written", vendorca.PEM(s.Of(vendorca.Root)...))
	if len(again.Entries) != 1 || again.Entries[0].SHA256 != s.Entries[1].SHA256 {
		t.Errorf("what was written reads as %+v", again.Entries)
	}
}

func TestFilesAndSetsAreBounded(t *testing.T) {
	root := certify(t, nil, template("root"))
	s := vendorca.New(noon(2026))
	full := append(vendorca.PEM(root.cert), bytes.Repeat([]byte("\n"), vendorca.MaxFile-len(vendorca.PEM(root.cert)))...)
	add(t, s, "largest", full)
	add(t, s, "too large", append(full, '\n'))
	if s.Entries[0].Use != vendorca.Root || s.Entries[1].Reason != vendorca.Malformed {
		t.Errorf("%+v %+v", s.Entries[0], s.Entries[1])
	}
	for len(s.Entries) < vendorca.MaxCertificates {
		add(t, s, "same", root.cert.Raw)
	}
	if err := s.Add("one more", root.cert.Raw); err == nil {
		t.Error("the set grows over its limit")
	}
	if err := s.Unread("one more", os.ErrNotExist); err == nil {
		t.Error("the set grows over its limit by what is not read")
	}
}

// Whatever a file holds, what comes out as a root is a CA that signed itself, and all else has a use or a reason.
func FuzzAdd(f *testing.F) {
	files, err := filepath.Glob(filepath.Join(vectortest.Path(f, "tpm/certs"), "*", "*"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := vendorca.New(noon(2026))
		if err := s.Add("file", b); err != nil {
			return
		}
		s.Link()
		for _, e := range s.Entries {
			if (e.Use == vendorca.None) != (e.Reason != "") {
				t.Errorf("%+v", e)
			}
			if e.Use == vendorca.Root && (!e.Certificate().IsCA || e.Issuer != e.Subject) {
				t.Errorf("no root: %+v", e)
			}
		}
		if len(s.Entries) == 0 {
			t.Error("a file without an entry")
		}
	})
}
