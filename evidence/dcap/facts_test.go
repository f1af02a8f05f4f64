package dcap_test

import (
	"encoding/hex"
	"fmt"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/dcaptest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// realQuote is a quote of vectors/dcap, without the header of an Open Enclave report, and what is known about it.
type realQuote struct {
	name  string
	bytes []byte
	facts quoteFacts
	at    time.Time // its certificate is in force
}

// quoteFacts are the members that the index has about quotes.
type quoteFacts struct {
	tdFacts
	Version            uint16
	BodySize           int `json:"body_size"`
	Trailing           int `json:"trailing_bytes"`
	CertDataType       int `json:"cert_data_type"`
	Attributes         string
	CPUSVNReport       string `json:"cpusvn_report"`
	MRENCLAVE          string
	MRSIGNER           string
	ReportData         string `json:"report_data"`
	ProdID             uint16 `json:"isvprodid"`
	SVN                uint16 `json:"isvsvn"`
	MiscSelect         uint32
	Debug              bool
	QEVendor           string `json:"qe_vendor_id"`
	UserData           string `json:"user_data"`
	QEAttributes       string `json:"qe_attributes"`
	QEMRSIGNER         string `json:"qe_mrsigner"`
	QEProdID           uint16 `json:"qe_isvprodid"`
	QESVN              uint16 `json:"qe_isvsvn"`
	QEDebug            bool   `json:"qe_debug"`
	QEAuthSize         int    `json:"qe_auth_size"`
	FMSPC, PCEID, PPID string
	CPUSVN             string
	PCESVN             uint16
	Components         string    `json:"pck_comp_svn"`
	SGXType            int       `json:"sgx_type"`
	PCKIssuer          string    `json:"pck_issuer"`
	PCKSerial          string    `json:"pck_serial"`
	PCKNotBefore       time.Time `json:"pck_not_before"`
	PCKNotAfter        time.Time `json:"pck_not_after"`
	ChainOK            bool      `json:"pck_chain_sigs_ok"`
	Root               string    `json:"root_spki_sha256"`
	OEHeader           bool      `json:"oe_report_header"`
}

// realQuotes reads the SGX quotes that vectors/dcap/index.json lists.
func realQuotes(t testing.TB) []realQuote {
	t.Helper()
	return indexedQuotes(t, "SGX", func(f quoteFacts) bool { return f.BodySize == 384 })
}

// indexedQuotes reads the quotes of a kind that vectors/dcap/index.json lists.
func indexedQuotes(t testing.TB, kind string, is func(quoteFacts) bool) []realQuote {
	t.Helper()
	var index struct {
		Quotes []struct {
			Name, File, SHA256 string
			Facts              quoteFacts
		}
	}
	vectortest.ReadJSON(t, "dcap/index.json", &index)
	var quotes []realQuote
	for _, q := range index.Quotes {
		if !is(q.Facts) {
			continue
		}
		b := vectortest.Read(t, path.Join("dcap", q.File))
		if hexSum(b) != q.SHA256 {
			t.Errorf("%s: SHA-256 %s, want %s", q.File, hexSum(b), q.SHA256)
		}
		if q.Facts.OEHeader {
			b = b[16:]
		}
		quotes = append(quotes, realQuote{q.Name, b, q.Facts, q.Facts.PCKNotBefore.Add(24 * time.Hour)})
	}
	if len(quotes) == 0 {
		none(t, kind+" quote")
	}
	return quotes
}

func TestFactsOfRealQuotes(t *testing.T) {
	v := dcap.NewVerifier(dcap.IntelRoots())
	for _, r := range realQuotes(t) {
		t.Run(r.name, func(t *testing.T) {
			q, err := dcap.ParseQuote(r.bytes)
			if r.facts.CertDataType != 5 {
				dcaptest.Expect(t, r.name, err, evidence.CertDataType)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			equalFacts(t, q, r.facts)
			equalSGXFacts(t, q, r.facts)
			o, err := v.Trace(q, r.at, nil)
			if !r.facts.ChainOK || r.facts.Root != hex.EncodeToString(intelAnchor(t)) {
				dcaptest.Expect(t, r.name, err, evidence.UntrustedRoot, evidence.PCKChain)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			equalPCK(t, o, r.facts)
		})
	}
}

// intelAnchor is the root key of sgx-tdx.md section 4.2.
func intelAnchor(t testing.TB) []byte {
	t.Helper()
	b, err := hex.DecodeString("a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// same compares values by name.
func same(t *testing.T, pairs ...[3]any) {
	t.Helper()
	for _, p := range pairs {
		if fmt.Sprint(p[1]) != fmt.Sprint(p[2]) {
			t.Errorf("%s: got %v, want %v", p[0], p[1], p[2])
		}
	}
}

// equalFacts compares what quotes of every TEE say.
func equalFacts(t *testing.T, q *dcap.Quote, f quoteFacts) {
	t.Helper()
	qe, err := q.QEReport()
	if err != nil {
		t.Fatal(err)
	}
	h := func(b []byte) string { return hex.EncodeToString(b) }
	same(t, [][3]any{
		{"version", q.Version, f.Version}, {"body size", len(q.Body), f.BodySize}, {"trailing", q.Trailing, f.Trailing},
		{"QE vendor", h(q.Header()[12:28]), f.QEVendor}, {"user data", h(q.Header()[28:]), f.UserData},
		{"QE ATTRIBUTES", h(qe.Attributes[:]), f.QEAttributes}, {"QE debug", qe.Debug(), f.QEDebug},
		{"QE MRSIGNER", h(qe.MRSIGNER[:]), f.QEMRSIGNER}, {"QE ISVPRODID", qe.ProdID, f.QEProdID}, {"QE ISVSVN", qe.SVN, f.QESVN},
		{"QE authentication data", q.QEAuthSize(), f.QEAuthSize},
	}...)
}

// equalSGXFacts compares what the report of an enclave says.
func equalSGXFacts(t *testing.T, q *dcap.Quote, f quoteFacts) {
	t.Helper()
	report, err := dcap.ParseEnclaveReport(q.Body)
	if err != nil {
		t.Fatal(err)
	}
	h := func(b []byte) string { return hex.EncodeToString(b) }
	same(t, [][3]any{
		{"TEE", q.TEE, "SGX"}, {"CPUSVN of the report", h(report.CPUSVN[:]), f.CPUSVNReport}, {"MISCSELECT", report.MiscSelect, f.MiscSelect},
		{"ATTRIBUTES", h(report.Attributes[:]), f.Attributes}, {"debug", report.Debug(), f.Debug},
		{"MRENCLAVE", h(report.MRENCLAVE[:]), f.MRENCLAVE}, {"MRSIGNER", h(report.MRSIGNER[:]), f.MRSIGNER},
		{"ISVPRODID", report.ProdID, f.ProdID}, {"ISVSVN", report.SVN, f.SVN}, {"REPORTDATA", h(report.ReportData[:]), f.ReportData},
	}...)
}

func equalPCK(t *testing.T, o *dcap.Origin, f quoteFacts) {
	t.Helper()
	pck, leaf := o.PCK(), o.Leaf()
	h := func(b []byte) string { return hex.EncodeToString(b) }
	same(t, [][3]any{
		{"FMSPC", o.FMSPC(), f.FMSPC}, {"PCEID", h(pck.PCEID[:]), f.PCEID}, {"PPID", h(pck.PPID[:]), f.PPID},
		{"CPUSVN", h(pck.TCB.CPUSVN[:]), f.CPUSVN}, {"PCESVN", pck.TCB.PCESVN, f.PCESVN},
		{"components", strings.Trim(fmt.Sprint(pck.TCB.Components), "[]"), f.Components}, {"SGX type", pck.SGXType, f.SGXType},
		{"issuer", leaf.Issuer.CommonName, f.PCKIssuer}, {"serial", leaf.SerialNumber.Text(16), strings.TrimLeft(f.PCKSerial, "0")},
		{"not before", leaf.NotBefore.UTC(), f.PCKNotBefore}, {"not after", leaf.NotAfter.UTC(), f.PCKNotAfter},
		{"root", o.Anchor(), f.Root}, {"CA", strings.Contains(f.PCKIssuer, "Platform"), o.CA().Kind() == dcap.Platform},
	}...)
}
