package dcap_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/dcaptest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// tdFacts are the members that vectors/dcap/index.json has about TD reports.
type tdFacts struct {
	TEEType                           string        `json:"tee_type"`
	BodyType                          dcap.BodyType `json:"body_type"`
	TEETCBSVN                         string        `json:"tee_tcb_svn"`
	TEETCBSVN2                        string        `json:"tee_tcb_svn_2"` // of TD 1.5 only
	MRSEAM, MRSIGNERSEAM, MRSERVICETD string        // the last one of TD 1.5 only
	SEAMAttributes                    string        `json:"seam_attributes"`
	TDAttributes                      string        `json:"td_attributes"`
	XFAM, MRTD                        string
	RTMR0, RTMR1, RTMR2, RTMR3        string
}

// realTDQuotes reads the TDX quotes that vectors/dcap/index.json lists.
func realTDQuotes(t testing.TB) []realQuote {
	t.Helper()
	return indexedQuotes(t, "TDX", func(f quoteFacts) bool { return f.MRTD != "" })
}

func TestFactsOfRealQuotesOfTDs(t *testing.T) {
	v := dcap.NewVerifier(dcap.IntelRoots())
	for _, r := range realTDQuotes(t) {
		t.Run(r.name, func(t *testing.T) {
			q, err := dcap.ParseQuote(r.bytes)
			if err != nil {
				t.Fatal(err)
			}
			equalFacts(t, q, r.facts)
			equalTDFacts(t, q, r.facts)
			o, err := v.Trace(q, r.at, nil)
			if err != nil {
				t.Fatal(err)
			}
			equalPCK(t, o, r.facts)
		})
	}
}

func equalTDFacts(t *testing.T, q *dcap.Quote, f quoteFacts) {
	t.Helper()
	r, err := dcap.ParseTDReport(q.Body, q.BodyType)
	if err != nil {
		t.Fatal(err)
	}
	h := func(b []byte) string { return hex.EncodeToString(b) }
	pairs := [][3]any{
		{"TEE", fmt.Sprintf("0x%08x", uint32(q.TEE)), f.TEEType}, {"body type", q.BodyType, f.BodyType}, {"debug", r.Debug(), f.Debug},
		{"TEE_TCB_SVN", h(r.TEETCBSVN[:]), f.TEETCBSVN}, {"MRSEAM", h(r.MRSEAM[:]), f.MRSEAM}, {"MRSIGNERSEAM", h(r.MRSIGNERSEAM[:]), f.MRSIGNERSEAM},
		{"SEAMATTRIBUTES", h(r.SEAMAttributes[:]), f.SEAMAttributes}, {"TDATTRIBUTES", h(r.TDAttributes[:]), f.TDAttributes}, {"XFAM", h(r.XFAM[:]), f.XFAM},
		{"MRTD", h(r.MRTD[:]), f.MRTD}, {"RTMR0", h(r.RTMR[0][:]), f.RTMR0}, {"RTMR1", h(r.RTMR[1][:]), f.RTMR1},
		{"RTMR2", h(r.RTMR[2][:]), f.RTMR2}, {"RTMR3", h(r.RTMR[3][:]), f.RTMR3}, {"REPORTDATA", h(r.ReportData[:]), f.ReportData},
	}
	if q.BodyType >= dcap.TDReport15 {
		pairs = append(pairs, [3]any{"TEE_TCB_SVN_2", h(r.TEETCBSVN2[:]), f.TEETCBSVN2}, [3]any{"MRSERVICETD", h(r.MRSERVICETD[:]), f.MRSERVICETD})
	}
	same(t, pairs...)
}

func TestEveryTruncationOfARealQuoteOfATDIsRefused(t *testing.T) {
	for _, r := range realTDQuotes(t) {
		whole := r.bytes[:len(r.bytes)-r.facts.Trailing]
		for n := range whole {
			if _, err := dcap.ParseQuote(whole[:n:n]); err == nil {
				t.Errorf("%s: %d of %d bytes accepted", r.name, n, len(whole))
			}
		}
		if _, err := dcap.ParseQuote(whole); err != nil {
			t.Errorf("%s without what is behind it: %v", r.name, err)
		}
	}
}

// tdBody is the member td_body that vectors/maa/index.json has about quotes of TDs.
type tdBody struct {
	TEETCBSVN                                          string `json:"tee_tcb_svn"`
	MRSEAM, MRSIGNERSEAM, SEAMAttributes, TDAttributes string
	XFAM, MRTD, MRCONFIGID, MROWNER, MROWNERCONFIG     string
	RTMR0, RTMR1, RTMR2, RTMR3, ReportData             string
	Debug                                              bool
}

// maaTDQuote is an entry of vectors/maa/index.json about a quote of a TD.
type maaTDQuote struct {
	SHA256  string
	Version uint16 `json:"quote_version"`
	TEE     string `json:"tee_type"`
	Body    tdBody `json:"td_body"`
	QE      struct {
		MRENCLAVE, MRSIGNER string
		ProdID              uint16 `json:"isvprodid"`
		SVN                 uint16 `json:"isvsvn"`
		Debug               bool
	} `json:"qe_report"`
	FMSPC    string `json:"pck_fmspc"`
	PCESVN   uint16 `json:"pck_pcesvn"`
	CPUSVN   string `json:"pck_cpusvn"`
	Trailing int    `json:"trailing_bytes"`
	Verify   struct {
		Type       string
		Collateral string
	}
}

func TestFactsOfQuotesOfAzureTDs(t *testing.T) {
	var index map[string]json.RawMessage
	vectortest.ReadJSON(t, "maa/index.json", &index)
	n := 0
	for name, entry := range index {
		var f maaTDQuote
		if json.Unmarshal(entry, &f) != nil || f.Body.MRTD == "" {
			continue
		}
		n++
		t.Run(name, func(t *testing.T) {
			b := vectortest.Read(t, "maa/"+name)
			q, err := dcap.ParseQuote(b)
			if err != nil {
				t.Fatal(err)
			}
			same(t, [3]any{"SHA-256", hexSum(b), f.SHA256}, [3]any{"version", q.Version, f.Version},
				[3]any{"TEE", hex.EncodeToString(q.Header()[4:8]), reversed(t, f.TEE)}, [3]any{"trailing", q.Trailing, f.Trailing})
			f.compare(t, q)
			f.compareOrigin(t, q)
		})
	}
	if n == 0 {
		none(t, "quote of an Azure TD")
	}
}

// reversed turns the hex of a number into that of its bytes in a quote.
func reversed(t *testing.T, number string) string {
	t.Helper()
	b, err := hex.DecodeString(number)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(b) / 2 {
		b[i], b[len(b)-1-i] = b[len(b)-1-i], b[i]
	}
	return hex.EncodeToString(b)
}

func (f maaTDQuote) compare(t *testing.T, q *dcap.Quote) {
	t.Helper()
	r, err := dcap.ParseTDReport(q.Body, q.BodyType)
	if err != nil {
		t.Fatal(err)
	}
	qe, err := q.QEReport()
	if err != nil {
		t.Fatal(err)
	}
	h := func(b []byte) string { return hex.EncodeToString(b) }
	w := f.Body
	same(t, [][3]any{
		{"TEE_TCB_SVN", h(r.TEETCBSVN[:]), w.TEETCBSVN}, {"MRSEAM", h(r.MRSEAM[:]), w.MRSEAM}, {"MRSIGNERSEAM", h(r.MRSIGNERSEAM[:]), w.MRSIGNERSEAM},
		{"SEAMATTRIBUTES", h(r.SEAMAttributes[:]), w.SEAMAttributes}, {"TDATTRIBUTES", h(r.TDAttributes[:]), w.TDAttributes}, {"XFAM", h(r.XFAM[:]), w.XFAM},
		{"MRTD", h(r.MRTD[:]), w.MRTD}, {"MRCONFIGID", h(r.MRCONFIGID[:]), w.MRCONFIGID}, {"MROWNER", h(r.MROWNER[:]), w.MROWNER},
		{"MROWNERCONFIG", h(r.MROWNERCONFIG[:]), w.MROWNERCONFIG}, {"RTMR0", h(r.RTMR[0][:]), w.RTMR0}, {"RTMR1", h(r.RTMR[1][:]), w.RTMR1},
		{"RTMR2", h(r.RTMR[2][:]), w.RTMR2}, {"RTMR3", h(r.RTMR[3][:]), w.RTMR3}, {"REPORTDATA", h(r.ReportData[:]), w.ReportData},
		{"debug", r.Debug(), w.Debug}, {"QE MRENCLAVE", h(qe.MRENCLAVE[:]), f.QE.MRENCLAVE}, {"QE MRSIGNER", h(qe.MRSIGNER[:]), f.QE.MRSIGNER},
		{"QE ISVPRODID", qe.ProdID, f.QE.ProdID}, {"QE ISVSVN", qe.SVN, f.QE.SVN}, {"QE debug", qe.Debug(), f.QE.Debug},
	}...)
}

// compareOrigin compares what the PCK certificate says, at a time that the collateral for it tells.
func (f maaTDQuote) compareOrigin(t *testing.T, q *dcap.Quote) {
	t.Helper()
	v := dcap.NewVerifier(dcap.IntelRoots())
	files := dcaptest.Folder(t, f.Verify.Collateral)
	info, err := v.TCBInfo(files["tcb_info.json"], files["tcb_info_issuer_chain.pem"])
	if err != nil {
		t.Fatal(err)
	}
	o, err := v.Trace(q, info.IssueDate(), nil)
	if err != nil {
		t.Fatal(err)
	}
	pck := o.PCK()
	same(t, [3]any{"FMSPC", o.FMSPC(), strings.ToUpper(f.FMSPC)}, [3]any{"PCESVN", pck.TCB.PCESVN, f.PCESVN},
		[3]any{"CPUSVN", hex.EncodeToString(pck.TCB.CPUSVN[:]), f.CPUSVN})
}
