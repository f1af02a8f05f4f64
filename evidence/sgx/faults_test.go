package sgx_test

import (
	"errors"
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
			r, ok := errors.AsType[*evidence.Refusal](err)
			if !ok {
				return
			}
			if want := blame(f); r.Fault != want {
				t.Errorf("%s: blames %d, want %d", f.What, r.Fault, want)
			}
			endsWith(t, l.journal, r)
		})
	}
}

// blame tells whose fault f is: that of whoever submits evidence, or of whoever brings the collateral.
func blame(f assaytest.Fault) evidence.Fault {
	ofEndorsement := []evidence.Check{
		evidence.CollateralMissing, evidence.CRLFormat, evidence.CRLSignature, evidence.CRLExpired, evidence.CRLNotYetValid, evidence.TCBSigningChain,
		evidence.TCBInfoSignature, evidence.TCBInfoFormat, evidence.TCBInfoExpired, evidence.TCBInfoNotYetValid,
		evidence.TCBInfoMismatch, evidence.QEIdentitySignature, evidence.QEIdentityFormat, evidence.QEIdentityExpired, evidence.QEIdentityNotYetValid,
	}
	named := []string{"tcb-info-other-root", "qe-identity-other-root", "tcb-signer-revoked", "qe-identity-td-qe"}
	if slices.Contains(named, f.Name) || slices.Contains(ofEndorsement, f.Checks[0]) {
		return evidence.OfEndorsement
	}
	return evidence.OfEvidence
}

// endsWith checks that the journal holds no failure, or r as its last entry: what fails while parsing or loading has
// no place in it.
func endsWith(t *testing.T, j *evidence.Journal, r *evidence.Refusal) {
	t.Helper()
	for i, e := range j.Entries {
		if e.Outcome == evidence.Fail && (i != len(j.Entries)-1 || e.Name != r.Check) {
			t.Errorf("entry %d of %d is a failed %s, want none but %s at the end", i, len(j.Entries), e.Name, r.Check)
		}
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
			withEdits(s, faults[later])
		}
		_, err := l.judge(s)
		dcaptest.Expect(t, name+" and all that follow", err, faults[name].Checks...)
	}
}

// withEdits applies f and keeps the byte edits made before, which a fault would replace.
func withEdits(s *assaytest.Scenario, f assaytest.Fault) {
	before := s.Edit.Bytes
	s.Edit.Bytes = nil
	f.Apply(s)
	after := s.Edit.Bytes
	s.Edit.Bytes = func(p assaytest.Part, b []byte) []byte {
		for _, change := range []func(assaytest.Part, []byte) []byte{before, after} {
			if change != nil {
				b = change(p, b)
			}
		}
		return b
	}
}
