package measured_test

import (
	"bytes"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// FuzzVerify reads any log, has its own values quoted, and checks that what is said of each event is nothing but what the digests
// cover.
func FuzzVerify(f *testing.F) {
	for _, c := range attacks(f) {
		f.Add(vectortest.Read(f, "tpm/attacks/"+c.Log))
	}
	_, logs := windowsLogs(f)
	for _, l := range logs {
		f.Add(vectortest.Read(f, l))
	}
	for _, m := range []*machine{windows(), linux()} {
		f.Add(m.bytes(m.logs[0]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := eventlog.Parse(b, eventlog.DefaultLimits())
		if err != nil {
			return
		}
		var banks []tpm.Bank
		for _, a := range l.Algs() {
			bank, err := eventlog.Replay(a, false, l)
			if err != nil {
				return
			}
			banks = append(banks, *bank)
		}
		if len(banks) == 0 {
			return
		}
		boot, err := measured.Verify([]measured.Log{{TCG: l}}, quote(t, banks...), strict())
		if err != nil {
			if _, ok := err.(*evidence.Refusal); !ok {
				t.Fatalf("no refusal: %v", err)
			}
			return
		}
		saysWhatIsCovered(t, boot, l)
	})
}

// saysWhatIsCovered checks each event of the claim against its record.
func saysWhatIsCovered(t *testing.T, boot *measured.Boot, l *eventlog.Log) {
	t.Helper()
	all := events(t, boot)
	if len(all) != len(l.Records()) {
		t.Fatalf("%d events of %d records", len(all), len(l.Records()))
	}
	var ended [tpm.PCRCount]bool
	for i, e := range all {
		r := &l.Records()[i]
		tag := r.Type == eventlog.EventTag
		switch {
		case e.ProcessedData == nil:
		case !r.Extended(), r.PCR == 16, r.PCR == 23:
			t.Errorf("event %d is not covered: %s", e.EventSeq, e.ProcessedData)
		case tag && ended[r.PCR]:
			t.Errorf("event %d comes after the boot: %s", e.EventSeq, e.ProcessedData)
		case !covered(r, l.Algs()):
			t.Errorf("event %d says what was not measured: %s", e.EventSeq, e.ProcessedData)
		}
		if r.Extended() && r.Hashes(l.Algs()[0], []byte("WBCL")) {
			ended[r.PCR] = true
		}
	}
}

// covered reports whether the digests are of the data, or of the value of a boot variable: its end.
func covered(r *eventlog.Record, banks []tpm.Alg) bool {
	whole, value := true, r.Type == eventlog.VariableBoot
	v, err := eventlog.ParseVariable(r.Data, eventlog.DefaultLimits())
	for _, a := range banks {
		whole = whole && r.Hashes(a, r.Data)
		value = value && err == nil && bytes.HasSuffix(r.Data, v.Data) && r.Hashes(a, v.Data)
	}
	return whole || value
}
