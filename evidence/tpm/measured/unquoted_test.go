package measured_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/ima"
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

// TestUnquotedLogsWithAnIMAListAreJudgedAsIfTheyWereQuoted holds a log and a list against what a quote of all PCRs makes of them.
func TestUnquotedLogsWithAnIMAListAreJudgedAsIfTheyWereQuoted(t *testing.T) {
	l, err := eventlog.Parse(vectortest.Read(t, "tpm/eventlogs/keylime-secureboot-sha256.bin"), eventlog.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	list, err := ima.ParseBinary(vectortest.Read(t, "tpm/ima/synthetic-all-templates.bin"), tpm.SHA1, ima.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	bank, err := eventlog.Replay(tpm.SHA256, false, l)
	if err != nil {
		t.Fatal(err)
	}
	const value = "03c23bda71c979f4b92501763eda826a635f1863012a79d4aafb463bc4ec95b1" // of the index
	if bank.Values[10], err = hex.DecodeString(value); err != nil {
		t.Fatal(err)
	}
	quoted := quote(t, *bank)
	want, err := measured.Verify([]measured.Log{{TCG: l}, {IMA: list}}, quoted, strict())
	if err != nil {
		t.Fatal(err)
	}
	got, err := measured.ReadUnquoted(l, list, strict())
	if err != nil {
		t.Fatal(err)
	}
	compareUnquoted(t, got, want)
	if p, q := got.PCRs(), measured.PCRs(quoted, false); !bytes.Equal(p, q) {
		t.Errorf("got %s, want %s", p, q)
	}
}

func TestUnquotedLogWithMeasurementsOfPCR10BesideAListIsRefused(t *testing.T) {
	record := slices.Concat([]byte{10, 0, 0, 0, 5, 0, 0, 0}, tpm.SHA1.Sum([]byte("x")), []byte{1, 0, 0, 0, 'x'}) // SHA-1 form: EV_ACTION of PCR 10
	l, err := eventlog.Parse(record, eventlog.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	list, err := ima.ParseBinary(nil, tpm.SHA1, ima.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	var r *evidence.Refusal
	if _, err = measured.ReadUnquoted(l, list, strict()); !errors.As(err, &r) || r.Check != evidence.IMAReplay {
		t.Errorf("got %v, want a refusal of %s", err, evidence.IMAReplay)
	}
}
