package assaytest_test

import (
	"encoding/hex"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/tdx"
)

// judgeTD verifies what the scenario makes with the product's verifier, which trusts intel alone.
func judgeTD(intel *assaytest.Intel, s *assaytest.Scenario) (*tdx.Verified, error) {
	v, err := trusting(intel)
	if err != nil {
		return nil, err
	}
	quote, err := s.Quote()
	if err != nil {
		return nil, err
	}
	e, err := tdx.Parse(quote)
	if err != nil {
		return nil, err
	}
	origin, in, err := endorsed(v, e.Quote, s)
	if err != nil {
		return nil, err
	}
	return tdx.Verify(v, origin, e, in)
}

// tdForms are the sound forms of a quote of a TD.
func tdForms(intel *assaytest.Intel) map[string]*assaytest.Scenario {
	v4, v5, v15, first := intel.TDXScenario(now), intel.TDXScenario(now), intel.TDXScenario(now), intel.TDXScenario(now)
	v5.QuoteVersion = 5
	v15.QuoteVersion, v15.TD.V15 = 5, true
	first.TD.TEETCBSVN[1] = 0
	return map[string]*assaytest.Scenario{"v4": v4, "v5, report 1.0": v5, "v5, report 1.5": v15, "module without identity": first}
}

func TestSoundTDsAreUpToDate(t *testing.T) {
	for _, intel := range []*assaytest.Intel{assaytest.NewIntel(), assaytest.WellKnownIntel()} {
		for name, s := range tdForms(intel) {
			got, err := judgeTD(intel, s)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got.Status != dcap.UpToDate || got.Report.Debug() || s.Type() != evidence.TdxVM {
				t.Errorf("%s: status %s, debug %t, type %s; want UpToDate, false, TdxVm", name, got.Status, got.Report.Debug(), s.Type())
			}
		}
	}
}

func TestEachTDXFaultIsRefusedByItsCheck(t *testing.T) {
	intel := assaytest.NewIntel()
	names := make(map[string]bool)
	for _, f := range assaytest.TDXFaults() {
		t.Run(f.Name, func(t *testing.T) {
			if names[f.Name] || f.What == "" || len(f.Checks) == 0 {
				t.Errorf("fault %+v: no unique name, or incomplete", f)
			}
			names[f.Name] = true
			s := intel.TDXScenario(now)
			f.Apply(s)
			_, err := judgeTD(intel, s)
			wantRefusal(t, err, f.Checks...)
		})
	}
}

func TestEachStateOfATDIsSeen(t *testing.T) {
	intel := assaytest.NewIntel()
	for _, state := range assaytest.TDXStates() {
		s := intel.TDXScenario(now)
		state.Apply(s)
		got, err := judgeTD(intel, s)
		if err != nil {
			t.Errorf("%s: %v", state.Name, err)
			continue
		}
		if string(got.Status) != state.Status || got.Report.Debug() != state.Debug {
			t.Errorf("%s: status %s, debug %t; want %s, %t", state.Name, got.Status, got.Report.Debug(), state.Status, state.Debug)
		}
	}
}

func TestTDIsReportedAsAsked(t *testing.T) {
	intel := assaytest.NewIntel()
	s := intel.TDXScenario(now)
	s.TD.MROWNER[47], s.TD.RTMR[3][0], s.TD.ReportData[63] = 1, 2, 3
	got, err := judgeTD(intel, s)
	if err != nil {
		t.Fatal(err)
	}
	claims := make(map[string]any)
	for _, c := range got.Claims() {
		claims[c.Name] = c.Value
	}
	for name, want := range map[string]any{
		"tdx_mrtd": hex.EncodeToString(s.TD.MRTD[:]), "tdx_mrowner": hex.EncodeToString(s.TD.MROWNER[:]),
		"tdx_rtmr0": hex.EncodeToString(s.TD.RTMR[0][:]), "tdx_rtmr3": hex.EncodeToString(s.TD.RTMR[3][:]),
		"tdx_report_data": hex.EncodeToString(s.TD.ReportData[:]), "tdx_seamsvn": int64(5), "tdx_td_attributes_septve_disable": true,
	} {
		if claims[name] != want {
			t.Errorf("%s: got %v, want %v", name, claims[name], want)
		}
	}
}

// A TD report of version 1.5 has no room in version 4 of the quote, and version 3 knows no TDs (sgx-tdx.md section 2).
func TestQuotesThatCannotHoldATDAreNotMade(t *testing.T) {
	intel := assaytest.NewIntel()
	v3, v4 := intel.TDXScenario(now), intel.TDXScenario(now)
	v3.QuoteVersion, v4.TD.V15 = 3, true
	for _, s := range []*assaytest.Scenario{v3, v4} {
		if _, err := s.Quote(); err == nil {
			t.Errorf("version %d, report 1.5 %t: made", s.QuoteVersion, s.TD.V15)
		}
	}
}

func TestPCSServesCollateralForTDX(t *testing.T) {
	intel := assaytest.NewIntel()
	p := assaytest.NewPCS(intel, func() time.Time { return now })
	v, err := trusting(intel)
	if err != nil {
		t.Fatal(err)
	}
	answer := fetch(p, "/tdx/certification/v4/tcb?fmspc=A55A79000000")
	info, err := v.TCBInfo(answer.Body.Bytes(), unescaped(t, answer.Header().Get("TCB-Info-Issuer-Chain")))
	if err != nil || info.TEE() != dcap.TDX {
		t.Errorf("TCB info: %v", err)
	}
	answer = fetch(p, "/tdx/certification/v4/qe/identity")
	identity, err := v.QEIdentity(answer.Body.Bytes(), unescaped(t, answer.Header().Get("SGX-Enclave-Identity-Issuer-Chain")))
	if err != nil || identity.ID() != "TD_QE" {
		t.Errorf("identity: %v", err)
	}
	counted := []int{p.Requests(assaytest.TDXTCBInfo), p.Requests(assaytest.TDQEIdentity), p.Requests(assaytest.TCBInfo), p.Requests(assaytest.QEIdentity)}
	if !slices.Equal(counted, []int{1, 1, 0, 0}) {
		t.Errorf("counted %v, want one of each for TDX and none for SGX", counted)
	}
	if got := fetch(p, "/tdx/certification/v3/tcb?fmspc=A55A79000000"); got.Code != 404 {
		t.Errorf("version 3: got %d, want 404", got.Code)
	}
}

func unescaped(t *testing.T, header string) []byte {
	t.Helper()
	text, err := url.PathUnescape(header)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(text)
}
