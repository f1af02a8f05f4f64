package tdx_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/tdx"
	"github.com/assay-attestation/assay/internal/dcaptest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// expected are the claims of tokens.md section 8, taken from a quote in hex by the offsets of sgx-tdx.md section 2.4.
func expected(quote []byte, status string) map[string]any {
	start := 48
	if quote[0] == 5 {
		start = 54
	}
	text := hex.EncodeToString(quote[start:])
	field := func(offset, size int) string { return text[2*offset : 2*(offset+size)] }
	bit := func(n int) bool { return quote[start+120+n/8]>>(n%8)&1 == 1 }
	claims := map[string]any{
		"x-ms-attestation-type": "tdxvm", "eat_profile": "https://aka.ms/maa-eat-profile-tdxvm", "intuse": "generic", "dbgstat": "disabled",
		"attester_tcb_status": status, "tdx_seamsvn": int64(quote[start]),
		"tdx_tee_tcb_svn": field(0, 16), "tdx_mrseam": field(16, 48), "tdx_mrsignerseam": field(64, 48), "tdx_seam_attributes": field(112, 8),
		"tdx_td_attributes": field(120, 8), "tdx_xfam": field(128, 8), "tdx_mrtd": field(136, 48), "tdx_mrconfigid": field(184, 48),
		"tdx_mrowner": field(232, 48), "tdx_mrownerconfig": field(280, 48), "tdx_rtmr0": field(328, 48), "tdx_rtmr1": field(376, 48),
		"tdx_rtmr2": field(424, 48), "tdx_rtmr3": field(472, 48), "tdx_report_data": field(520, 64),
		"tdx_td_attributes_debug": bit(0), "tdx_td_attributes_septve_disable": bit(28), "tdx_td_attributes_protection_keys": bit(30),
		"tdx_td_attributes_key_locker": bit(31), "tdx_td_attributes_perfmon": bit(63),
	}
	if quote[start+120] != 0 {
		claims["dbgstat"] = "enabled"
	}
	return claims
}

func equalClaims(t *testing.T, v *tdx.Verified, want map[string]any) {
	t.Helper()
	got := dcaptest.Claims(v.Claims())
	if len(got) != len(v.Claims()) {
		t.Errorf("a claim is there twice: %v", v.Claims())
	}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, slices.Sorted(maps.Keys(want))) {
		t.Errorf("claims %v, want %v", names, slices.Sorted(maps.Keys(want)))
	}
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s: got %#v, want %#v", name, got[name], want[name])
		}
	}
}

func TestClaimsOfRealQuotes(t *testing.T) {
	n := 0
	for _, c := range vectortest.DCAPCases(t, "tdx") {
		if !c.Accept {
			continue
		}
		n++
		t.Run(c.Name, func(t *testing.T) {
			v, err := verify(t, c)
			if err != nil {
				t.Fatal(err)
			}
			equalClaims(t, v, expected(c.Quote, c.Status))
		})
	}
	if n == 0 {
		vectortest.NoCase(t, "accepted quote of a TD")
	}
}

func TestClaimsOfEachAttribute(t *testing.T) {
	l := newLab(t)
	for bit := range 64 {
		d := dcaptest.NewTD([]dcap.BodyType{dcap.TDReport10, dcap.TDReport15, dcap.TDReport15Ex}[bit%3])
		d.Report[dcaptest.TDAttributes+bit/8] = 1 << (bit % 8)
		s := l.scenario(d)
		v, err := l.judge(s)
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.Quote()
		if err != nil {
			t.Fatal(err)
		}
		equalClaims(t, v, expected(b, "UpToDate"))
	}
}

// The sample of tokens.md section 8.
func TestSVNOfTheModuleIsTheFirstComponent(t *testing.T) {
	l := newLab(t)
	d := dcaptest.NewTD(dcap.TDReport10)
	d.Launched(3, 0, 0)
	d.Components = [][16]int{{3}}
	v, err := l.judge(l.scenario(d))
	if err != nil {
		t.Fatal(err)
	}
	got := dcaptest.Claims(v.Claims())
	if svn := "03" + strings.Repeat("00", 15); got["tdx_tee_tcb_svn"] != svn || got["tdx_seamsvn"] != int64(3) {
		t.Errorf("got %v and %v, want %s and 3", got["tdx_tee_tcb_svn"], got["tdx_seamsvn"], svn)
	}
}

// The claim carries the converged word, and of a TD 1.5 that of its launch (sgx-tdx.md sections 8 and 10.4).
func TestStatusClaim(t *testing.T) {
	l := newLab(t)
	for want, change := range map[string]func(*dcaptest.TD){
		"UpToDate": func(*dcaptest.TD) {}, "OutOfDate": func(d *dcaptest.TD) { d.Launched(3, 1, 3); d.Running(3, 1, 3) },
		"TDRelaunchAdvised": func(d *dcaptest.TD) { d.Launched(3, 1, 3) }, "Revoked": func(d *dcaptest.TD) { d.Launched(1, 1, 3) },
	} {
		d := dcaptest.NewTD(dcap.TDReport15)
		change(d)
		v, err := l.judge(l.scenario(d))
		if err != nil || dcaptest.Claims(v.Claims())["attester_tcb_status"] != want || dcaptest.Claims(v.Claims())["tdx_seamsvn"] != int64(d.Report[0]) {
			t.Errorf("%s: got %+v (%v)", want, v, err)
		}
	}
}

// maaEntry is what vectors/maa/index.json says must come of a quote of a TD.
type maaEntry struct {
	Verify struct {
		Type, Collateral, Expiry, Verdict string
		At                                time.Time
		Status                            string `json:"tcb_status"`
		Reason                            json.RawMessage
	}
}

func TestQuotesOfAzureTDs(t *testing.T) {
	var index map[string]json.RawMessage
	vectortest.ReadJSON(t, "maa/index.json", &index)
	n := 0
	for name, raw := range index {
		var e maaEntry
		if json.Unmarshal(raw, &e) != nil || e.Verify.Type != "tdx" {
			continue
		}
		n++
		t.Run(name, func(t *testing.T) {
			c := vectortest.DCAPCase{
				Name: name, Quote: vectortest.Read(t, "maa/"+name), Now: e.Verify.At, Files: dcaptest.Folder(t, e.Verify.Collateral),
				Policy: map[string]string{"enforce": "strict", "pinned": "pinned", "ignore": "ignore-collateral-dates"}[e.Verify.Expiry],
			}
			v, err := verify(t, c)
			if e.Verify.Verdict != "accept" {
				dcaptest.Refused(t, err, strings.FieldsFunc(string(e.Verify.Reason), func(r rune) bool { return strings.ContainsRune(`"[], `, r) }))
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			equalClaims(t, v, expected(c.Quote, e.Verify.Status))
		})
	}
	if n == 0 {
		vectortest.NoCase(t, "quote of an Azure TD")
	}
}

func TestEvidenceOfAnEnclaveIsNotThatOfATD(t *testing.T) {
	l := newLab(t)
	for version := uint16(3); version <= 5; version++ {
		s := l.intel.Scenario(today())
		s.QuoteVersion = version
		b, err := s.Quote()
		if err != nil {
			t.Fatal(err)
		}
		_, err = tdx.Parse(b)
		dcaptest.Expect(t, fmt.Sprintf("version %d", version), err, evidence.QuoteFormat)
	}
	_, err := tdx.Parse(nil)
	dcaptest.Expect(t, "nothing", err, evidence.QuoteFormat)
}

// An origin vouches for the quote it was traced from, for no other.
func TestOriginOfAnotherQuote(t *testing.T) {
	l := newLab(t)
	b, err := l.scenario(dcaptest.NewTD(dcap.TDReport10)).Quote()
	if err != nil {
		t.Fatal(err)
	}
	first, err := tdx.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	second, err := tdx.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	o, err := l.verifier.Trace(first.Quote, today(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = tdx.Verify(l.verifier, o, second, dcap.Input{Options: dcap.Options{At: today()}})
	dcaptest.Expect(t, "another quote", err, evidence.QuoteFormat)
}

// What is stated comes from what the quote signs, whatever the caller made of the parsed report meanwhile.
func TestClaimsComeFromTheSignedBody(t *testing.T) {
	for _, c := range vectortest.DCAPCases(t, "tdx") {
		if !c.Accept {
			continue
		}
		e, err := tdx.Parse(c.Quote)
		if err != nil {
			t.Fatal(err)
		}
		in, err := dcaptest.Endorse(t, c, e.Quote)
		if err != nil {
			t.Fatal(err)
		}
		e.Report, e.Quote.Body = dcap.TDReport{}, make([]byte, len(e.Quote.Body))
		v, err := tdx.Verify(in.Verifier, in.Origin, e, in.Input)
		if err != nil {
			t.Fatal(err)
		}
		equalClaims(t, v, expected(c.Quote, c.Status))
		return
	}
}
