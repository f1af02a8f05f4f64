package dcaptest

import (
	"errors"
	"slices"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
)

// blame tells whose fault f is: that of whoever submits evidence, or of whoever brings the collateral.
func blame(f assaytest.Fault) evidence.Fault {
	ofEndorsement := []evidence.Check{
		evidence.CollateralMissing, evidence.CRLFormat, evidence.CRLSignature, evidence.CRLExpired, evidence.CRLNotYetValid, evidence.TCBSigningChain,
		evidence.TCBInfoSignature, evidence.TCBInfoFormat, evidence.TCBInfoExpired, evidence.TCBInfoNotYetValid,
		evidence.TCBInfoMismatch, evidence.QEIdentitySignature, evidence.QEIdentityFormat, evidence.QEIdentityExpired, evidence.QEIdentityNotYetValid,
	}
	named := []string{"tcb-info-other-root", "qe-identity-other-root", "tcb-signer-revoked", "qe-identity-td-qe", "td-qe-identity-of-sgx"}
	if slices.Contains(named, f.Name) || slices.Contains(ofEndorsement, f.Checks[0]) {
		return evidence.OfEndorsement
	}
	return evidence.OfEvidence
}

// Blamed checks that err blames the right side for f, and that the journal ends with it: no check after the failed one, none before
// that failed.
func Blamed(t *testing.T, f assaytest.Fault, err error, j *evidence.Journal) {
	t.Helper()
	r, ok := errors.AsType[*evidence.Refusal](err)
	if !ok {
		return
	}
	if want := blame(f); r.Fault != want {
		t.Errorf("%s: blames %d, want %d", f.What, r.Fault, want)
	}
	endsWith(t, j, r)
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
