package sgx_test

import (
	"slices"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/dcaptest"
)

// Each fault breaks one thing. The refusal must name its check and blame the right side, and the journal must end
// with it: no check after the failed one, none before that failed.
func TestEachFaultIsRefusedForItsReasonOnly(t *testing.T) {
	l := newLab(t)
	for _, f := range assaytest.Faults() {
		t.Run(f.Name, func(t *testing.T) {
			_, err := l.judge(l.scenario(f.Apply))
			dcaptest.Expect(t, f.What, err, f.Checks...)
			dcaptest.Blamed(t, f, err, l.journal)
		})
	}
}

func TestJournalOfASoundQuote(t *testing.T) {
	l := newLab(t)
	if _, err := l.judge(l.scenario()); err != nil {
		t.Fatal(err)
	}
	var got []evidence.Check
	for _, e := range l.journal.Entries {
		if e.Outcome != evidence.Pass {
			t.Errorf("%s: got %s, want pass", e.Name, e.Outcome)
		}
		got = append(got, e.Name)
	}
	want := []evidence.Check{
		evidence.UntrustedRoot, evidence.PCKChain, evidence.PCKExpired, evidence.CRLExpired, evidence.Revoked,
		evidence.TCBInfoExpired, evidence.TCBInfoMismatch, evidence.QEReportSignature, evidence.QEReportData,
		evidence.QEIdentityExpired, evidence.QEIdentityMismatch, evidence.QuoteSignature, evidence.TCBNotSupported,
	}
	if !slices.Equal(got, want) {
		t.Errorf("checks: got %v, want %v", got, want)
	}
}

// With everything wrong at once, the first check of sgx-tdx.md section 7 gives the reason. Faults are taken away from
// the front one by one.
func TestFirstFailingCheckGivesTheReason(t *testing.T) {
	order := []string{
		"pck-expired", "pck-revoked", "tcb-info-other-fmspc", "qe-report-signature", "qe-debug", "quote-signature", "component-low",
	}
	faults := make(map[string]assaytest.Fault)
	for _, f := range assaytest.Faults() {
		faults[f.Name] = f
	}
	l := newLab(t)
	for i, name := range order {
		s := l.scenario()
		for _, later := range slices.Backward(order[i:]) {
			dcaptest.Then(faults[later].Apply)(s)
		}
		_, err := l.judge(s)
		dcaptest.Expect(t, name+" and all that follow", err, faults[name].Checks...)
	}
}
