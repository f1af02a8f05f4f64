package assaytest_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/hcl"
	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// azureVendors are made once, since RSA keys take time to make.
var azureVendors = sync.OnceValue(func() *assaytest.AzureHost { return assaytest.NewAzureHost(assaytest.AzureSevSnp, now) })

// azureHost is a host of vendors of this test only.
func azureHost(isolation assaytest.AzureIsolation) *assaytest.AzureHost {
	h := *azureVendors()
	h.Isolation = isolation
	return &h
}

// azureKeys are an attestation key and an endorsement key of some vTPM.
func azureKeys(t *testing.T) (ak, ek *rsa.PublicKey) {
	t.Helper()
	return &tpmKey(t, assaytest.AIK).PublicKey, &tpmKey(t, assaytest.EK).PublicKey
}

func tpmKey(t *testing.T, r assaytest.TPMRole) *rsa.PrivateKey {
	t.Helper()
	key, ok := vendor().Key(r, assaytest.RSA2048).(*rsa.PrivateKey)
	if !ok {
		t.Fatal("not an RSA key")
	}
	return key
}

func ok[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestTheHCLReportOfAnAzureGuestBindsItsRuntimeData(t *testing.T) {
	ak, ek := azureKeys(t)
	for isolation, want := range map[assaytest.AzureIsolation]hcl.Type{assaytest.AzureSevSnp: hcl.SNP, assaytest.AzureTdx: hcl.TDX} {
		h := azureHost(isolation)
		b := ok[[]byte](t)(h.HCLReport(ak, ek, [64]byte{0xAB, 0xCD}))
		got, err := hcl.Parse(b)
		if err != nil || len(b) != 2600 || got.Type != want || !bytes.Equal(got.RuntimeData, h.RuntimeData(ak, ek, [64]byte{0xAB, 0xCD})) {
			t.Errorf("%s: %d bytes, %+v (%v)", isolation, len(b), got, err)
		}
	}
	if _, err := azureHost(assaytest.AzureTrustedLaunch).HCLReport(ak, ek, [64]byte{}); err == nil {
		t.Error("a guest without a hardware report has one")
	}
}

// A real document of recent firmware is the model, member by member; its values are its own.
func TestRuntimeDataHasTheMembersOfRealOnesInTheirOrder(t *testing.T) {
	ak, ek := azureKeys(t)
	got := azureHost(assaytest.AzureTdx).RuntimeData(ak, ek, [64]byte{0xAB})
	real := vectortest.Read(t, "maa/azureguest/tdx-hcl-runtime-data.json")
	want := slices.DeleteFunc(names(t, real), func(s string) bool { return s == "" })
	if g := slices.DeleteFunc(names(t, got), func(s string) bool { return s == "tpm-persisted" }); strings.Join(sorted(g), " ") != strings.Join(sorted(want), " ") {
		t.Errorf("members %q, want %q", g, want)
	}
	if !bytes.Contains(got, []byte(`"user-data":"AB00`)) || !bytes.HasPrefix(got, []byte(`{"keys":[{"kid":"HCLAkPub","key_ops":["sign"],"kty":"RSA","e":"AQAB","n":"`)) {
		t.Errorf("%s", got)
	}
}

func sorted(s []string) []string { slices.Sort(s); return s }

// names are the names of all members in a document.
func names(t *testing.T, doc []byte) (all []string) {
	t.Helper()
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatal(err)
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, value := range v {
				all = append(all, name)
				walk(value)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(v)
	return all
}

// What a TDREPORT says about itself holds for a real one and for ours: the two hashes, and which areas are zero.
func TestATDREPORTIsLaidOutAsARealOne(t *testing.T) {
	ak, ek := azureKeys(t)
	h := azureHost(assaytest.AzureTdx)
	for name, b := range map[string][]byte{
		"real": vectortest.Read(t, "maa/azureguest/tdx-hcl-report.bin"), "simulated": ok[[]byte](t)(h.HCLReport(ak, ek, [64]byte{})),
	} {
		c, err := hcl.Parse(b)
		if err != nil {
			t.Fatal(name, err)
		}
		r := c.Hardware
		tcb, info := sha512.Sum384(r[256:256+239]), sha512.Sum384(r[512:])
		if r[0] != 0x81 || !bytes.Equal(r[32:80], tcb[:]) || !bytes.Equal(r[80:128], info[:]) {
			t.Errorf("%s: type %#x, hashes %x %x", name, r[0], r[32:80], r[80:128])
		}
		if len(bytes.Trim(slices.Concat(r[1:16], r[192:224], r[400:512], r[960:]), "\x00")) > 0 {
			t.Errorf("%s: reserved areas are not zero", name)
		}
	}
}

func TestAnAttestationKeyIsCertifiedThroughTheIntermediateOnly(t *testing.T) {
	ak, _ := azureKeys(t)
	h := azureHost(assaytest.AzureTrustedLaunch)
	der := ok[[]byte](t)(h.AKCertificate(ak))
	root, issuer := parsePEM(t, ok[[]byte](t)(h.AKRoot())), parsePEM(t, ok[[]byte](t)(h.AKIntermediate()))
	c, err := tpm.NewRoots([]tpm.Root{{Certificate: root}}, []*x509.Certificate{issuer}).VerifyAIK(der, now)
	if err != nil {
		t.Fatal(err)
	}
	if !ak.Equal(c.PublicKey) || !strings.HasSuffix(c.Subject.CommonName, ".TrustedVM.Azure.windows.net") || c.IssuingCertificateURL != nil || len(c.Policies) != 1 {
		t.Errorf("%s, key %v, AIA %v, policies %v", c.Subject, c.PublicKey, c.IssuingCertificateURL, c.Policies)
	}
	if _, err := tpm.NewRoots([]tpm.Root{{Certificate: root}}, nil).VerifyAIK(der, now); err == nil {
		t.Error("it leads to the root without the intermediate")
	}
}

func parsePEM(t *testing.T, text []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("no PEM: %s", text)
	}
	return ok[*x509.Certificate](t)(x509.ParseCertificate(block.Bytes))
}

// ask sends a request to a metadata service.
func ask(m http.Handler, method, path, body string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for _, h := range headers {
		r.Header.Set(h, "true")
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	return w.Result()
}

// answer gives the members of the answer, which must be OK.
func answer(t *testing.T, r *http.Response) map[string]string {
	t.Helper()
	b := ok[[]byte](t)(io.ReadAll(r.Body))
	got := make(map[string]string)
	if err := json.Unmarshal(b, &got); r.StatusCode != http.StatusOK || err != nil {
		t.Fatalf("%s: %s (%v)", r.Status, b, err)
	}
	return got
}

const certification = "/metadata/THIM/amd/certification"

func TestTheMetadataServiceHasTheCertificatesOfTheReport(t *testing.T) {
	ak, ek := azureKeys(t)
	h := azureHost(assaytest.AzureSevSnp)
	got := answer(t, ask(assaytest.NewIMDS(h), "GET", certification, "", "Metadata"))
	chain := ok[[]byte](t)(h.VCEKChain())
	if got["vcekCert"]+got["certificateChain"] != string(chain) || got["cacheControl"] == "" {
		t.Errorf("another chain, or no cacheControl: %v", got)
	}
	c := ok[*hcl.Container](t)(hcl.Parse(ok[[]byte](t)(h.HCLReport(ak, ek, [64]byte{}))))
	report := ok[*snp.Report](t)(snp.ParseReport(c.Hardware))
	if report.VMPL != 0 {
		t.Errorf("VMPL %d", report.VMPL)
	}
	// tcbm is the reported TCB as one number, in hex: the highest byte first (vector aci-sidecar: 7308000000000003).
	var tcbm []byte
	if _, err := fmt.Sscanf(got["tcbm"], "%X", &tcbm); err != nil || len(tcbm) != 8 {
		t.Fatalf("tcbm %q (%v)", got["tcbm"], err)
	}
	slices.Reverse(tcbm)
	if !bytes.Equal(tcbm, c.Hardware[0x180:0x188]) {
		t.Errorf("tcbm %x, reported TCB %x", tcbm, c.Hardware[0x180:0x188])
	}
}

func TestTheMetadataServiceQuotesTheTDREPORTOfItsHostOnly(t *testing.T) {
	ak, ek := azureKeys(t)
	h, other := azureHost(assaytest.AzureTdx), assaytest.NewAzureHost(assaytest.AzureTdx, now)
	c := ok[*hcl.Container](t)(hcl.Parse(ok[[]byte](t)(h.HCLReport(ak, ek, [64]byte{}))))
	body := func(report []byte) string {
		return `{"report":"` + base64.RawURLEncoding.EncodeToString(report) + `"}`
	}
	quote := ok[[]byte](t)(base64.RawURLEncoding.DecodeString(answer(t, ask(assaytest.NewIMDS(h), "POST", "/acc/tdquote", body(c.Hardware)))["quote"]))
	q := ok[*dcap.Quote](t)(dcap.ParseQuote(quote))
	td := ok[dcap.TDReport](t)(dcap.ParseTDReport(q.Body, q.BodyType))
	if td.ReportData != c.ReportData() || td.MRTD != h.TDX.TD.MRTD {
		t.Errorf("the quote is about another TD: %+v", td)
	}
	edited := slices.Clone(c.Hardware)
	edited[130] ^= 1
	for name, r := range map[string]*http.Response{
		"other host":   ask(assaytest.NewIMDS(other), "POST", "/acc/tdquote", body(c.Hardware)),
		"edited":       ask(assaytest.NewIMDS(h), "POST", "/acc/tdquote", body(edited)),
		"short":        ask(assaytest.NewIMDS(h), "POST", "/acc/tdquote", body(c.Hardware[:100])),
		"no base64":    ask(assaytest.NewIMDS(h), "POST", "/acc/tdquote", `{"report":"%"}`),
		"no JSON":      ask(assaytest.NewIMDS(h), "POST", "/acc/tdquote", "report"),
		"without head": ask(assaytest.NewIMDS(h), "GET", certification, ""),
	} {
		if r.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s, want 400", name, r.Status)
		}
	}
	if r := ask(assaytest.NewIMDS(h), "GET", certification, "", "Metadata"); r.StatusCode != http.StatusNotFound {
		t.Errorf("a TD has certificates of AMD: %s", r.Status)
	}
}

func TestTheMetadataServiceFailsAsToldAndCounts(t *testing.T) {
	m := assaytest.NewIMDS(azureHost(assaytest.AzureSevSnp))
	for _, status := range []int{404, 410, 429, 500} {
		m.Fail(assaytest.IMDSCertification, assaytest.Failure{Status: status})
		if r := ask(m, "GET", certification, "", "Metadata"); r.StatusCode != status {
			t.Errorf("%s, want %d", r.Status, status)
		}
	}
	m.Recover()
	answer(t, ask(m, "GET", certification, "", "Metadata"))
	if n := m.Requests(assaytest.IMDSCertification); n != 5 {
		t.Errorf("%d requests, want 5", n)
	}
}

func TestTheMetadataServiceRenewsTheCertificateOfAnAttestationKey(t *testing.T) {
	ak, _ := azureKeys(t)
	h := azureHost(assaytest.AzureTrustedLaunch)
	old := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ok[[]byte](t)(h.AKCertificate(ak))})
	const path = "/metadata/THIM/tvm/certificate/renew?api-version=2023-07-01"
	got := answer(t, ask(assaytest.NewIMDS(h), "POST", path, url.PathEscape(string(old)), "Metadata"))
	if c := parsePEM(t, []byte(got["certificate"])); !ak.Equal(c.PublicKey) {
		t.Errorf("of another key: %v", c.PublicKey)
	}
	if r := ask(assaytest.NewIMDS(h), "POST", path, "certificate", "Metadata"); r.StatusCode != http.StatusBadRequest {
		t.Errorf("no certificate: %s", r.Status)
	}
}
