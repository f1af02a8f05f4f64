package tdx_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/dcaptest"
)

// faults are those of assaytest but for the ones that speak of offsets or values of SGX: a length at its place in a quote of an enclave, an
// identity or product id that is right for TDX. Their like for TDX stands in the tests of package dcap.
func faults() []assaytest.Fault {
	ofSGX := []string{"tee-type-tdx-v3", "body-type-v5", "body-size-v5", "signature-length-zero", "signature-length-huge", "signature-length-huge-v5",
		"outer-size-small-v4", "auth-size-huge", "outer-type-5-v4", "measurement-changed", "measurement-changed-v5",
		"tcb-info-tdx", "qe-identity-td-qe", "qe-product-id"}
	return slices.DeleteFunc(assaytest.Faults(), func(f assaytest.Fault) bool {
		s := assaytest.NewIntel().Scenario(today())
		f.Apply(s)
		return s.OpenEnclave || s.TCBInfoVersion == 2 || slices.Contains(ofSGX, f.Name)
	})
}

// Each fault breaks one thing. The refusal must name its check and blame the right side.
func TestEachFaultIsRefusedForItsReasonOnly(t *testing.T) {
	l := newLab(t)
	for _, f := range faults() {
		t.Run(f.Name, func(t *testing.T) {
			_, err := l.judge(l.scenario(dcaptest.NewTD(dcap.TDReport10), f.Apply))
			dcaptest.Expect(t, f.What, err, f.Checks...)
			dcaptest.Blamed(t, f, err, l.journal)
		})
	}
}

// The same for the faults that only a TD can have.
func TestEachFaultOfATDIsRefusedForItsReasonOnly(t *testing.T) {
	l := newLab(t)
	for _, f := range assaytest.TDXFaults() {
		t.Run(f.Name, func(t *testing.T) {
			s := l.intel.TDXScenario(today())
			f.Apply(s)
			_, err := l.judge(s)
			dcaptest.Expect(t, f.What, err, f.Checks...)
			dcaptest.Blamed(t, f, err, l.journal)
		})
	}
}

func TestJournalOfASoundQuote(t *testing.T) {
	l := newLab(t)
	for _, kind := range []dcap.BodyType{dcap.TDReport10, dcap.TDReport15, dcap.TDReport15Ex} {
		if _, err := l.judge(l.scenario(dcaptest.NewTD(kind))); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range l.journal.Entries {
			got = append(got, fmt.Sprint(e.Name, " ", e.Outcome))
		}
		var want []string
		for _, check := range []evidence.Check{
			evidence.UntrustedRoot, evidence.PCKChain, evidence.PCKExpired, evidence.CRLExpired, evidence.Revoked,
			evidence.TCBInfoExpired, evidence.TCBInfoMismatch, evidence.TDXModule, evidence.QEReportSignature, evidence.QEReportData,
			evidence.QEIdentityExpired, evidence.QEIdentityMismatch, evidence.QuoteSignature, evidence.TCBNotSupported,
		} {
			want = append(want, fmt.Sprint(check, " ", evidence.Pass))
		}
		if !slices.Equal(got, want) {
			t.Errorf("type %d: got %v, want %v", kind, got, want)
		}
	}
}

// With everything wrong at once, the first check of sgx-tdx.md section 7 gives the reason. Faults are taken away from
// the front one by one.
func TestFirstFailingCheckGivesTheReason(t *testing.T) {
	named := map[string]assaytest.Fault{}
	for _, f := range faults() {
		named[f.Name] = f
	}
	module := assaytest.Fault{Name: "module", Checks: []evidence.Check{evidence.TDXModule}, Apply: dcaptest.Edit(assaytest.QuoteBody, func(b []byte) []byte {
		b[48+dcaptest.MRSIGNERSEAM] ^= 1
		return b
	})}
	order := []assaytest.Fault{named["pck-expired"], named["pck-revoked"], named["tcb-info-other-fmspc"], module,
		named["qe-report-signature"], named["qe-debug"], named["quote-signature"], named["component-low"]}
	l := newLab(t)
	for i, f := range order {
		var changes []func(*assaytest.Scenario)
		for _, later := range slices.Backward(order[i:]) {
			changes = append(changes, later.Apply)
		}
		_, err := l.judge(l.scenario(dcaptest.NewTD(dcap.TDReport10), changes...))
		dcaptest.Expect(t, f.Name+" and all that follow", err, f.Checks...)
	}
}
