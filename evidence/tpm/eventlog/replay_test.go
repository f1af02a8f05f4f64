package eventlog_test

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
)

func mustReplay(t *testing.T, a tpm.Alg, drtm bool, logs ...*eventlog.Log) *tpm.Bank {
	t.Helper()
	b, err := eventlog.Replay(a, drtm, logs...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// extended is the value after an extension by a SHA-256 digest whose bytes are all n.
func extended(value []byte, n byte) []byte {
	sum := sha256.Sum256(append(bytes.Clone(value), digestOf(tpm.SHA256, n).value...))
	return sum[:]
}

func TestWithoutRecordsPCRsHaveTheirStartValues(t *testing.T) {
	for _, a := range []tpm.Alg{tpm.SHA1, tpm.SHA256, tpm.SHA384, tpm.SHA512} {
		log := accepted(t, "log", specID(digestOf(a, 0)))
		for _, logs := range [][]*eventlog.Log{nil, {log}, {log, log}} {
			for _, drtm := range []bool{false, true} {
				b := mustReplay(t, a, drtm, logs...)
				if b.Alg != a {
					t.Errorf("bank %s, want %s", b.Alg, a)
				}
				for i, value := range b.Values {
					want := make([]byte, a.Size())
					if i >= 17 && i <= 22 && !drtm {
						want = slices.Repeat([]byte{0xFF}, a.Size())
					}
					if !bytes.Equal(value, want) {
						t.Errorf("%s, drtm %t: PCR %d is %x", a, drtm, i, value)
					}
				}
			}
		}
	}
}

func TestRecordsExtendTheirPCRInOrder(t *testing.T) {
	zero := make([]byte, 32)
	log := accepted(t, "log", sha256Log(
		sha256Record(4, eventlog.Action, 1, nil), sha256Record(23, eventlog.IPL, 2, nil), sha256Record(4, 0x8401, 3, nil),
		sha256Record(17, eventlog.Action, 4, nil), sha256Record(4, eventlog.NoAction, 5, nil), sha256Record(eventlog.Outside, eventlog.Action, 6, nil)))
	want := map[int][]byte{
		4: extended(extended(zero, 1), 3), 23: extended(zero, 2), 17: extended(slices.Repeat([]byte{0xFF}, 32), 4),
	}
	for i, value := range mustReplay(t, tpm.SHA256, false, log).Values {
		w, ok := want[i]
		if !ok {
			w = mustReplay(t, tpm.SHA256, false).Values[i]
		}
		if !bytes.Equal(value, w) {
			t.Errorf("PCR %d is %x, want %x", i, value, w)
		}
	}
	if got := mustReplay(t, tpm.SHA256, true, log).Values[17]; !bytes.Equal(got, extended(zero, 4)) {
		t.Errorf("after a dynamic launch PCR 17 is %x", got)
	}
}

func TestLogsAreReplayedOneAfterTheOther(t *testing.T) {
	one := accepted(t, "one", sha256Log(sha256Record(4, eventlog.Action, 1, nil)))
	two := accepted(t, "two", sha256Log(sha256Record(4, eventlog.Action, 2, nil)))
	want := extended(extended(make([]byte, 32), 1), 2)
	if got := mustReplay(t, tpm.SHA256, false, one, two).Values[4]; !bytes.Equal(got, want) {
		t.Errorf("PCR 4 is %x, want %x", got, want)
	}
	if got := mustReplay(t, tpm.SHA256, false, two, one).Values[4]; bytes.Equal(got, want) {
		t.Error("the order of the logs makes no difference")
	}
}

// locality is a log that tells a startup locality, after another record.
func locality(t *testing.T, values ...byte) *eventlog.Log {
	t.Helper()
	records := [][]byte{sha256Record(0, eventlog.SCRTMVersion, 1, nil)}
	for _, v := range values {
		records = append(records, sha256Record(0, eventlog.NoAction, 0, localityData(v)))
	}
	return accepted(t, "log", sha256Log(records...))
}

func TestPCR0BeginsWithTheStartupLocality(t *testing.T) {
	for _, v := range []byte{0, 3, 4} {
		start := make([]byte, 32)
		start[31] = v
		if got := mustReplay(t, tpm.SHA256, false, locality(t, v)).Values[0]; !bytes.Equal(got, extended(start, 1)) {
			t.Errorf("locality %d: PCR 0 is %x", v, got)
		}
	}
}

func TestStartupLocalitiesThatCannotBeAreRefused(t *testing.T) {
	record := func(data []byte) []byte { return sha256Log(sha256Record(0, eventlog.NoAction, 0, data)) }
	at := "record 2 of the event log, at offset 65,"
	for _, v := range []byte{1, 2, 5, 0xFF} {
		refused(t, "value", record(localityData(v)), evidence.EventLogStart, at)
	}
	refused(t, "no byte", record(localityData()), evidence.EventLogStart, at)
	refused(t, "two bytes", record(localityData(3, 0)), evidence.EventLogStart, at)
	for _, second := range []byte{0, 3} {
		again := sha256Record(0, eventlog.NoAction, 0, localityData(second))
		refused(t, "twice", append(record(localityData(3)), again...), evidence.EventLogStart, "record 3 of the event log")
	}
	refused(t, "twice, SHA-1", slices.Repeat(legacy(0, eventlog.NoAction, 0, localityData(3)), 2), evidence.EventLogStart, "record 2 of the event log")
}

// A record that is extended, or that is not of PCR 0, says nothing about the start.
func TestOnlyAnUnextendedRecordOfPCR0TellsTheLocality(t *testing.T) {
	for name, r := range map[string][]byte{
		"extended":     sha256Record(0, eventlog.Action, 1, localityData(3)),
		"PCR 1":        sha256Record(1, eventlog.NoAction, 1, localityData(9)),
		"outside":      sha256Record(eventlog.Outside, eventlog.NoAction, 1, localityData(3)),
		"without NUL":  sha256Record(0, eventlog.NoAction, 1, []byte("StartupLocality")),
		"another text": sha256Record(0, eventlog.NoAction, 1, []byte("StartupLocalitY\x00\x03")),
	} {
		if got := accepted(t, name, sha256Log(r)).StartupLocality(); got != 0 {
			t.Errorf("%s: locality %d", name, got)
		}
	}
}

func TestLogsOfOneStartTellOneLocality(t *testing.T) {
	none, three, four, zero := locality(t), locality(t, 3), locality(t, 4), locality(t, 0)
	start := make([]byte, 32)
	start[31] = 3
	want := extended(extended(start, 1), 1)
	for _, logs := range [][]*eventlog.Log{{three, none}, {none, three}, {three, three}} {
		if got := mustReplay(t, tpm.SHA256, false, logs...).Values[0]; !bytes.Equal(got, want) {
			t.Errorf("PCR 0 is %x, want %x", got, want)
		}
	}
	for _, logs := range [][]*eventlog.Log{{three, four}, {zero, three}, {three, none, zero}} {
		_, err := eventlog.Replay(tpm.SHA256, false, logs...)
		expectRefusal(t, err, evidence.EventLogStart)
	}
}

func TestBanksThatALogLacksAreRefused(t *testing.T) {
	l256 := accepted(t, "SHA-256", sha256Log())
	l1 := accepted(t, "SHA-1", legacy(1, eventlog.Action, 1, nil))
	unknown := accepted(t, "unknown", specID(digest{0x12, make([]byte, 32)}))
	for _, c := range []struct {
		alg  tpm.Alg
		logs []*eventlog.Log
	}{
		{tpm.SHA256, []*eventlog.Log{l1}}, {tpm.SHA1, []*eventlog.Log{l256}}, {tpm.SHA256, []*eventlog.Log{l256, l1}},
		{0x12, []*eventlog.Log{unknown}}, {0x12, nil}, {0, nil},
	} {
		_, err := eventlog.Replay(c.alg, false, c.logs...)
		expectRefusal(t, err, evidence.EventLogBank)
	}
}
