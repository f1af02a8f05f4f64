package dcap_test

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// maaFacts are the members that vectors/maa/index.json has about the SGX quotes in it.
type maaFacts struct {
	Version       uint16 `json:"quote_version"`
	KeyType       uint16 `json:"att_key_type"`
	TEE           string `json:"tee_type"`
	HeaderQESVN   uint16 `json:"qe_svn"`
	HeaderPCESVN  uint16 `json:"pce_svn"`
	Debug         bool   `json:"is_debuggable"`
	MRENCLAVE     string
	MRSIGNER      string
	ProdID        uint16 `json:"product_id"`
	SVN           uint16
	CPUSVN        string `json:"report_cpusvn"`
	Attributes    string
	ReportData    string `json:"report_data"`
	QEMRSIGNER    string `json:"qe_mrsigner"`
	QEMRENCLAVE   string `json:"qe_mrenclave"`
	QEProdID      uint16 `json:"qe_isvprodid"`
	QESVN         uint16 `json:"qe_isvsvn"`
	PCKIssuer     string `json:"pck_issuer"`
	PCKNotBefore  string `json:"pck_not_before"`
	PCKNotAfter   string `json:"pck_not_after"`
	FMSPC         string `json:"pck_fmspc"`
	PCEID         string `json:"pck_pceid"`
	PCESVN        uint16 `json:"pck_pcesvn"`
	PCKCPUSVN     string `json:"pck_cpusvn"`
	TrailingBytes int    `json:"trailing_bytes"`
	SHA256        string
	Verify        struct{ Type string }
}

func TestFactsOfQuotesOfAzureClients(t *testing.T) {
	var index map[string]json.RawMessage
	vectortest.ReadJSON(t, "maa/index.json", &index)
	v := dcap.NewVerifier(dcap.IntelRoots())
	n := 0
	for name, entry := range index {
		var f maaFacts
		if json.Unmarshal(entry, &f) != nil || f.Version == 0 || !slices.Contains([]string{"sgx", "openenclave"}, f.Verify.Type) {
			continue
		}
		n++
		t.Run(name, func(t *testing.T) {
			b := vectortest.Read(t, "maa/"+name)
			if hexSum(b) != f.SHA256 {
				t.Errorf("SHA-256 %s, want %s", hexSum(b), f.SHA256)
			}
			if f.Verify.Type == "openenclave" {
				b = b[16:]
			}
			q, err := dcap.ParseQuote(b)
			if err != nil {
				t.Fatal(err)
			}
			f.compare(t, q)
			f.compareOrigin(t, v, q)
		})
	}
	if n == 0 {
		none(t, "SGX quote of an Azure client")
	}
}

// compare compares what the quote says itself.
func (f maaFacts) compare(t *testing.T, q *dcap.Quote) {
	t.Helper()
	report, err := dcap.ParseEnclaveReport(q.Body)
	if err != nil {
		t.Fatal(err)
	}
	qe, err := q.QEReport()
	if err != nil {
		t.Fatal(err)
	}
	le, header := binary.LittleEndian, q.Header()
	h := func(b []byte) string { return hex.EncodeToString(b) }
	same(t, [][3]any{
		{"version", q.Version, f.Version}, {"key type", le.Uint16(header[2:]), f.KeyType}, {"TEE", h(header[4:8]), f.TEE},
		{"QE SVN", le.Uint16(header[8:]), f.HeaderQESVN}, {"PCE SVN", le.Uint16(header[10:]), f.HeaderPCESVN},
		{"debug", report.Debug(), f.Debug}, {"MRENCLAVE", h(report.MRENCLAVE[:]), f.MRENCLAVE},
		{"MRSIGNER", h(report.MRSIGNER[:]), f.MRSIGNER}, {"ISVPRODID", report.ProdID, f.ProdID}, {"ISVSVN", report.SVN, f.SVN},
		{"CPUSVN", h(report.CPUSVN[:]), f.CPUSVN}, {"ATTRIBUTES", h(report.Attributes[:]), f.Attributes},
		{"REPORTDATA", h(report.ReportData[:]), f.ReportData}, {"trailing", q.Trailing, f.TrailingBytes},
		{"QE MRSIGNER", h(qe.MRSIGNER[:]), f.QEMRSIGNER}, {"QE MRENCLAVE", h(qe.MRENCLAVE[:]), f.QEMRENCLAVE},
		{"QE ISVPRODID", qe.ProdID, f.QEProdID}, {"QE ISVSVN", qe.SVN, f.QESVN},
	}...)
}

// compareOrigin compares what the PCK certificate says.
func (f maaFacts) compareOrigin(t *testing.T, v *dcap.Verifier, q *dcap.Quote) {
	t.Helper()
	notBefore, err := time.Parse(time.DateTime, f.PCKNotBefore)
	if err != nil {
		t.Fatal(err)
	}
	o, err := v.Trace(q, notBefore, nil)
	if err != nil {
		t.Fatal(err)
	}
	pck, leaf := o.PCK(), o.Leaf()
	names := func(dn string) []string { return slices.Sorted(slices.Values(strings.Split(dn, ","))) }
	h := func(b []byte) string { return hex.EncodeToString(b) }
	same(t, [][3]any{
		{"issuer", names(leaf.Issuer.String()), names(f.PCKIssuer)},
		{"not before", leaf.NotBefore.UTC().Format(time.DateTime), f.PCKNotBefore},
		{"not after", leaf.NotAfter.UTC().Format(time.DateTime), f.PCKNotAfter},
		{"FMSPC", o.FMSPC(), strings.ToUpper(f.FMSPC)}, {"PCEID", h(pck.PCEID[:]), f.PCEID},
		{"PCESVN", pck.TCB.PCESVN, f.PCESVN}, {"CPUSVN of the certificate", h(pck.TCB.CPUSVN[:]), f.PCKCPUSVN},
	}...)
}
