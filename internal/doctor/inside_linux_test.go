package doctor_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/doctor"
	"github.com/assay-attestation/assay/internal/swtpmtest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

const (
	indexRSA    = 0x01C00002
	indexECC    = 0x01C0000A
	indexChain  = 0x01C00100
	indexReport = 0x01400001
)

// inside looks at a machine that has everything, whose TPM is that one.
func inside(t *testing.T, s *swtpmtest.TPM, at time.Time) *doctor.Report {
	t.Helper()
	return doctor.Examine(doctor.Place{Root: build(t, whole()), Socket: s.Socket, At: at})
}

func certificates(r *doctor.Report) (all []doctor.Finding) {
	for _, f := range r.Findings {
		if f.Name == doctor.EKCertificate {
			all = append(all, f)
		}
	}
	return all
}

// mentions reports whether one of the things to do has the words.
func mentions(v doctor.Verdict, words string) bool {
	return slices.ContainsFunc(v.Do, func(do string) bool { return strings.Contains(do, words) })
}

func TestWhoMadeTheTPMAndWhichRootEnrolmentNeedsIsTold(t *testing.T) {
	maker := swtpmtest.NewMaker(t)
	r := inside(t, maker.Start(t), time.Now())
	all := certificates(r)
	if len(all) != 2 {
		t.Fatalf("%+v", all)
	}
	f := all[0]
	if f.State != doctor.Ready || f.Path != "NV 01c00002" || f.Value != "RSA 2048" || f.Issuer == nil {
		t.Fatalf("%+v", f)
	}
	// 00001014 is not text; the model is that of the rig.
	if !strings.Contains(f.Detail, "of a TPM of id:00001014 swtpm, in force until ") {
		t.Errorf("detail %q", f.Detail)
	}
	keyID := hex.EncodeToString(maker.Issuer.SubjectKeyId)
	if f.Issuer.Subject != maker.Issuer.Subject.String() || f.Issuer.KeyID != keyID || keyID == "" {
		t.Errorf("issuer %+v, want %s, key id %s", f.Issuer, maker.Issuer.Subject, keyID)
	}
	if other := all[1]; other.Path != "NV 01c00016" || other.Value != "P-384" || !strings.Contains(other.Detail, "does not use it") {
		t.Errorf("%+v", other)
	}
	if v := verdict(t, r, "tpm"); v.Answer != doctor.Can || !mentions(v, "ek_roots have the root above "+maker.Issuer.Subject.String()+", key id "+keyID) {
		t.Errorf("%+v", v)
	}
}

func TestATPMWithoutACertificateIsPinned(t *testing.T) {
	r := inside(t, swtpmtest.Start(t), time.Now())
	if all := certificates(r); len(all) != 1 || all[0].State != doctor.Absent || !strings.Contains(all[0].Remedy, "assay aik pin FILE --kind ek") {
		t.Errorf("%+v", all)
	}
	if v := verdict(t, r, "tpm"); !mentions(v, "has pinned the endorsement key") {
		t.Errorf("%+v", v)
	}
}

// ca certifies what stands in a TPM, from 2020 to 2030.
type ca struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func year(n int) time.Time { return time.Date(n, 1, 1, 12, 0, 0, 0, time.UTC) }

func newCA(t *testing.T, name string, above *ca) *ca {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &ca{key: key}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: year(2020), NotAfter: year(2030),
		IsCA: true, BasicConstraintsValid: true, IssuingCertificateURL: []string{"http://" + name + ".example/above.crt"},
	}
	if above == nil {
		above = &ca{tmpl, key}
	}
	c.certificate = above.issue(t, tmpl, key)
	return c
}

func (c *ca) issue(t *testing.T, tmpl *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, c.certificate, key.Public(), c.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// endorse issues the certificate of an endorsement key whose TPM is of Intel.
func (c *ca) endorse(t *testing.T) []byte {
	t.Helper()
	name := pkix.RDNSequence{{{Type: asn1.ObjectIdentifier{2, 23, 133, 2, 1}, Value: "id:494E5443"}}}
	directory, err := asn1.Marshal(name)
	if err != nil {
		t.Fatal(err)
	}
	alt, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: directory}})
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return c.issue(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: year(2020), NotAfter: year(2030), IssuingCertificateURL: []string{"http://tpm.example/issuer.crt"},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: alt}},
	}, key).Raw
}

func TestTheIssuerIsTheOneAboveWhatTheTPMHas(t *testing.T) {
	root := newCA(t, "root", nil)
	between := newCA(t, "between", root)
	issuing := newCA(t, "issuing", between)
	for name, test := range map[string]struct {
		chain []*ca
		want  *ca
		url   string
	}{
		"no chain":         {nil, issuing, "http://tpm.example/issuer.crt"},
		"one above it":     {[]*ca{issuing}, between, "http://issuing.example/above.crt"},
		"in another order": {[]*ca{between, issuing}, root, "http://between.example/above.crt"},
		"with the root":    {[]*ca{issuing, between, root}, root, ""},
		"of another":       {[]*ca{between}, issuing, "http://tpm.example/issuer.crt"},
	} {
		t.Run(name, func(t *testing.T) {
			s := swtpmtest.Start(t)
			c := s.Open(t)
			swtpmtest.Store(t, c, indexECC, issuing.endorse(t))
			var chain []byte
			for _, above := range test.chain {
				chain = append(chain, above.certificate.Raw...)
			}
			if chain != nil {
				swtpmtest.Store(t, c, indexChain, chain)
			}
			f := certificates(inside(t, s, year(2025)))[0]
			want := test.want.certificate
			if f.State != doctor.Ready || f.Issuer.Subject != want.Subject.String() || f.Issuer.KeyID != hex.EncodeToString(want.SubjectKeyId) {
				t.Errorf("%+v, issuer %+v, want %s", f, f.Issuer, want.Subject)
			}
			if strings.Join(f.Issuer.URLs, " ") != test.url {
				t.Errorf("URLs %q, want %q", f.Issuer.URLs, test.url)
			}
			if !strings.Contains(f.Detail, "of a TPM of INTC (id:494E5443)") || !strings.Contains(f.Detail, "until 2030-01-01") {
				t.Errorf("detail %q", f.Detail)
			}
		})
	}
}

func TestACertificateThatIsNotInForceOrCannotBeReadIsTold(t *testing.T) {
	root := newCA(t, "root", nil)
	for name, test := range map[string]struct {
		content, chain []byte
		at             time.Time
		state          doctor.State
		says, do       string
	}{
		"in force":       {root.endorse(t), nil, year(2030), doctor.Ready, "until 2030-01-01", "ek_roots"},
		"expired":        {root.endorse(t), nil, year(2030).Add(time.Second), doctor.Fault, "it has expired", "pinned"},
		"not yet":        {root.endorse(t), nil, year(2020).Add(-time.Second), doctor.Fault, "before 2020-01-01", "pinned"},
		"text":           {[]byte("text"), nil, year(2025), doctor.Fault, "cannot be read", "a CA that the service trusts"},
		"zeros":          {make([]byte, 500), nil, year(2025), doctor.Fault, "cannot be read", "a CA that the service trusts"},
		"a broken chain": {root.endorse(t), []byte("text"), year(2025), doctor.Ready, "chain of the endorsement key in the TPM cannot be read", "ek_roots"},
	} {
		t.Run(name, func(t *testing.T) {
			s := swtpmtest.Start(t)
			c := s.Open(t)
			swtpmtest.Store(t, c, indexRSA, test.content)
			if test.chain != nil {
				swtpmtest.Store(t, c, indexChain, test.chain)
			}
			r := inside(t, s, test.at)
			f := certificates(r)[0]
			if f.State != test.state || !strings.Contains(f.Detail, test.says) || f.State == doctor.Fault && f.Remedy == "" {
				t.Errorf("%+v", f)
			}
			if v := verdict(t, r, "tpm"); v.Answer != doctor.Can || !mentions(v, test.do) {
				t.Errorf("%+v", v)
			}
		})
	}
}

// The kind stands behind the 32 bytes of the header and the 1184 of the area for the hardware's report (sev-snp.md section 4).
func TestTheReportInTheTPMTellsTheKindOfAMachineOfAzure(t *testing.T) {
	real := vectortest.Read(t, "tpm/azure-guest/hcl-report.bin")[:2000] // what fits into an index of swtpm
	kind := func(n byte) []byte {
		b := bytes.Clone(real)
		copy(b[32+1184+8:], []byte{n, 0, 0, 0})
		return b
	}
	for name, test := range map[string]struct {
		content []byte
		state   doctor.State
		value   string
		answer  doctor.Answer
		why     string
	}{
		"none":       {nil, doctor.Absent, "", doctor.Can, "trusted launch"},
		"as it is":   {real, doctor.Ready, "snp", doctor.Can, "confidential machine of Azure"},
		"of TDX":     {kind(4), doctor.Ready, "tdx", doctor.Can, "confidential machine of Azure"},
		"of VBS":     {kind(1), doctor.Ready, "vbs", doctor.Can, "trusted launch"},
		"of unknown": {kind(9), doctor.Ready, "", doctor.Unknown, "kind 9"},
		"text":       {[]byte("text"), doctor.Fault, "", doctor.Unknown, "form"},
		"others":     {append([]byte("XXXX"), real[4:]...), doctor.Fault, "", doctor.Unknown, "form"},
		"short":      {real[:32+1184+8+3], doctor.Fault, "", doctor.Unknown, "form"},
	} {
		t.Run(name, func(t *testing.T) {
			s := swtpmtest.Start(t)
			if test.content != nil {
				swtpmtest.Store(t, s.Open(t), indexReport, test.content)
			}
			r := inside(t, s, time.Now())
			if f := finding(t, r, doctor.AzureReport); f.State != test.state || f.Value != test.value || f.Path != "NV 01400001" {
				t.Errorf("%+v", f)
			}
			v := verdict(t, r, "azureguest")
			if v.Answer != test.answer || !strings.Contains(v.Why, test.why) {
				t.Errorf("%+v", v)
			}
			if told := strings.Contains(strings.Join(v.Do, "\n"), "assay attest azureguest --endpoint"); told != (test.answer == doctor.Can) {
				t.Errorf("how to attest is told: %v in %q", told, v.Do)
			}
		})
	}
}

// silent is the path of a socket that takes connections and answers nothing but their end.
func silent(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "silent")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	return path
}

func TestATPMInSoftwareThatCannotBeUsedIsTold(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for socket, test := range map[string]struct {
		device, certificate doctor.State
		says                string
		answer              doctor.Answer
	}{
		filepath.Join(dir, "none"): {doctor.Absent, doctor.Skipped, "start it: swtpm socket", doctor.Cannot},
		file:                       {doctor.Fault, doctor.Skipped, "no unix socket", doctor.Cannot},
		silent(t, dir):             {doctor.Ready, doctor.Fault, "", doctor.Can},
	} {
		r := doctor.Examine(doctor.Place{Root: build(t, whole()), Socket: socket, At: time.Now()})
		device, certificate := finding(t, r, doctor.TPMDevice), finding(t, r, doctor.EKCertificate)
		if device.State != test.device || !strings.Contains(device.Detail+device.Remedy, test.says) {
			t.Errorf("%s: %+v", socket, device)
		}
		if certificate.State != test.certificate || certificate.State == doctor.Fault && !strings.Contains(certificate.Detail, "went away") {
			t.Errorf("%s: %+v", socket, certificate)
		}
		if v := verdict(t, r, "tpm"); v.Answer != test.answer || len(v.Do) == 0 {
			t.Errorf("%s: %+v", socket, v)
		}
	}
}

// TestADeviceThatIsNoTPMIsTold: it is opened, since it is a device, and asked.
func TestADeviceThatIsNoTPMIsTold(t *testing.T) {
	files := whole()
	delete(files, "dev/tpmrm0")
	root := build(t, files)
	if err := os.Symlink("/dev/null", filepath.Join(root, "dev/tpmrm0")); err != nil {
		t.Fatal(err)
	}
	f := finding(t, look(root), doctor.EKCertificate)
	if f.State != doctor.Fault || !strings.Contains(f.Detail, "the TPM went away") || !strings.Contains(f.Remedy, "dmesg") {
		t.Errorf("%+v", f)
	}
	if f := finding(t, look(build(t, whole())), doctor.EKCertificate); f.State != doctor.Skipped || !strings.Contains(f.Detail, "a file stands for the TPM") {
		t.Errorf("%+v", f)
	}
}
