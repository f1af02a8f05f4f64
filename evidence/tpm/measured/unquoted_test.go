package measured_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// TestUnquotedLogsAreJudgedAsIfTheyWereQuoted holds what a log says of itself against what a quote of all its PCRs makes of it.
func TestUnquotedLogsAreJudgedAsIfTheyWereQuoted(t *testing.T) {
	for _, c := range attacks(t) {
		t.Run(c.ID, func(t *testing.T) {
			l, err := eventlog.Parse(vectortest.Read(t, "tpm/attacks/"+c.Log), eventlog.DefaultLimits())
			if err != nil {
				return // refused before
			}
			var banks []tpm.Bank
			for _, a := range l.Algs() {
				if b, err := eventlog.Replay(a, false, l); err == nil && (a != tpm.SHA1 || len(l.Algs()) == 1) {
					banks = append(banks, *b)
				}
			}
			want, wantErr := measured.Verify([]measured.Log{{TCG: l}}, quote(t, banks...), strict())
			got, err := measured.ReadUnquoted(l, nil, strict())
			if wantErr != nil || err != nil {
				if err == nil || wantErr == nil || err.Error() != wantErr.Error() {
					t.Fatalf("got %v, want %v", err, wantErr)
				}
				return
			}
			compareUnquoted(t, got, want)
		})
	}
}

func compareUnquoted(t *testing.T, got *measured.Unquoted, want *measured.Boot) {
	t.Helper()
	a, err := got.Events(measured.EventsOptions{})
	b, err2 := want.Events(measured.EventsOptions{})
	if err != nil || err2 != nil || !bytes.Equal(a, b) {
		t.Errorf("events %v %v: got %s, want %s", err, err2, a, b)
	}
	if got.SecureBoot().Enabled != want.SecureBoot().Enabled || len(got.SecureBoot().DBX) != len(want.SecureBoot().DBX) {
		t.Error("another state of secure boot")
	}
	for pcr := range tpm.PCRCount {
		if got.Covers(pcr) != (pcr != 16 && pcr != 23) || got.Covers(pcr) != want.Covers(pcr) {
			t.Errorf("PCR %d counts: %v", pcr, got.Covers(pcr))
		}
	}
	if got.Covers(-1) || got.Covers(24) {
		t.Error("PCRs that do not exist count")
	}
	if len(got.Settings(sipa.TestSigning)) != len(want.Settings(sipa.TestSigning)) {
		t.Error("other settings")
	}
}

func TestUnquotedLogWithManipulatedEventsIsRefusedAndJournaled(t *testing.T) {
	for _, c := range attacks(t) {
		if !slices.Contains([]string{"DIGEST_DATA", "EVENT_TYPE_IN_PCR7", "SIPA_DEPTH"}, c.Code) || c.Expect != "reject" || c.Log == "" {
			continue
		}
		l, err := eventlog.Parse(vectortest.Read(t, "tpm/attacks/"+c.Log), eventlog.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		opt, j := strict(), evidence.Journal{}
		opt.Journal = &j
		_, err = measured.ReadUnquoted(l, nil, opt)
		var r *evidence.Refusal
		if !errors.As(err, &r) || !slices.Contains(checksOf(c.Code), r.Check) {
			t.Errorf("%s: got %v, want a refusal of %v", c.ID, err, checksOf(c.Code))
		}
		if n := len(j.Entries); n == 0 || j.Entries[n-1].Outcome != evidence.Fail {
			t.Errorf("%s: the journal %+v does not end with the refusal", c.ID, j.Entries)
		}
	}
}
