package eventlog_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
)

// refused parses with the usual limits; the text of the refusal must have all parts.
func refused(t *testing.T, name string, log []byte, check evidence.Check, parts ...string) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Helper()
		_, err := eventlog.Parse(log, eventlog.DefaultLimits())
		expectRefusal(t, err, check)
		for _, part := range parts {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q does not say %q", err, part)
			}
		}
	})
}

func accepted(t *testing.T, name string, log []byte) (l *eventlog.Log) {
	t.Helper()
	l, err := eventlog.Parse(log, eventlog.DefaultLimits())
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return l
}

func TestLimitsHoldAtTheirEdges(t *testing.T) {
	log := sha256Log(sha256Record(1, eventlog.Action, 1, []byte("twelve bytes")), sha256Record(2, eventlog.Action, 2, make([]byte, 100)))
	exact := eventlog.Limits{Size: len(log), Records: 3, EventData: 100}
	if _, err := eventlog.Parse(log, exact); err != nil {
		t.Errorf("at the limits: %v", err)
	}
	for name, change := range map[string]func(*eventlog.Limits){
		"tcg_log":         func(l *eventlog.Limits) { l.Size-- },
		"tcg_log_records": func(l *eventlog.Limits) { l.Records-- },
		"tcg_event_data":  func(l *eventlog.Limits) { l.EventData-- },
	} {
		l := exact
		change(&l)
		_, err := eventlog.Parse(log, l)
		if expectRefusal(t, err, evidence.EventLogFormat); !strings.Contains(err.Error(), "the limit "+name+" ") {
			t.Errorf("one less: %q does not name %s", err, name)
		}
	}
	for _, l := range []eventlog.Limits{{}, {Size: -1, Records: -1, EventData: -1}, {Size: 1 << 20, Records: -1}, {Size: 1 << 20, Records: 9, EventData: -1}} {
		_, err := eventlog.Parse(log, l)
		expectRefusal(t, err, evidence.EventLogFormat)
	}
}

// Padding is no record: it does not count.
func TestPaddingDoesNotCountAsARecord(t *testing.T) {
	log := append(sha256Log(), make([]byte, 500)...)
	if _, err := eventlog.Parse(log, eventlog.Limits{Size: len(log), Records: 1, EventData: 100}); err != nil {
		t.Error(err)
	}
}

func TestSpecIDRecordsThatDoNotHoldAreRefused(t *testing.T) {
	s256, s1 := digestOf(tpm.SHA256, 0), digestOf(tpm.SHA1, 0)
	many := func(n int) (banks []digest) {
		for i := range n {
			banks = append(banks, digest{uint16(0x100 + i), make([]byte, i+1)})
		}
		return banks
	}
	spec := func(data []byte) []byte { return legacy(0, eventlog.NoAction, 0, data) }
	accepted(t, "8 algorithms", specID(many(8)...))
	accepted(t, "vendor information", spec(specData(1, []byte("vendor"), s256)))
	good := specData(1, []byte{7}, s256)
	for name, data := range map[string][]byte{
		"no algorithm":              specData(0, nil),
		"9 algorithms":              specData(9, nil, many(9)...),
		"algorithms cut":            specData(2, nil, s256),
		"SHA-256 of 20 bytes":       specData(1, nil, digest{uint16(tpm.SHA256), make([]byte, 20)}),
		"SHA-1 of 32 bytes":         specData(1, nil, digest{uint16(tpm.SHA1), make([]byte, 32)}),
		"unknown of no bytes":       specData(1, nil, digest{0x100, nil}),
		"twice":                     specData(3, nil, s256, s1, s256),
		"unknown twice":             specData(2, nil, digest{0x100, []byte{1}}, digest{0x100, []byte{1}}),
		"vendor information cut":    good[:len(good)-1],
		"no vendor information":     good[:len(good)-2],
		"byte after the vendor":     append(bytes.Clone(good), 0),
		"nothing but the signature": good[:16],
	} {
		refused(t, name, spec(data), evidence.EventLogFormat, "record 1 of the event log, at offset 0,")
	}
}

// Only the first record can make a log crypto-agile, and only by its text: real SHA-1 logs begin with other records that
// are not extended.
func TestOnlyASpecIDRecordMakesALogCryptoAgile(t *testing.T) {
	data := specData(1, nil, digestOf(tpm.SHA256, 0))
	first := legacy(1, eventlog.Action, 1, nil)
	for name, log := range map[string][]byte{
		"second record":   append(bytes.Clone(first), legacy(0, eventlog.NoAction, 0, data)...),
		"another type":    legacy(0, eventlog.Action, 0, data),
		"older signature": legacy(0, eventlog.NoAction, 0, bytes.Replace(data, []byte("03"), []byte("02"), 1)),
	} {
		if l := accepted(t, name, log); !l.Legacy() || !slices.Equal(l.Algs(), []tpm.Alg{tpm.SHA1}) {
			t.Errorf("%s: legacy %t, banks %v", name, l.Legacy(), l.Algs())
		}
	}
	if l := accepted(t, "crypto-agile", sha256Log()); l.Legacy() || !slices.Equal(l.Algs(), []tpm.Alg{tpm.SHA256}) {
		t.Errorf("legacy %t, banks %v", l.Legacy(), l.Algs())
	}
}

func TestDigestsOfUnknownHashesAreSkipped(t *testing.T) {
	sm3 := digest{0x12, make([]byte, 32)}
	d256, d512 := digestOf(tpm.SHA256, 1), digestOf(tpm.SHA512, 2)
	log := slices.Concat(specID(digestOf(tpm.SHA256, 0), sm3, digestOf(tpm.SHA512, 0)),
		agile(1, eventlog.Action, []byte("a"), d256, sm3, d512), agile(1, eventlog.Action, []byte("b"), sm3, d512, d256))
	l := accepted(t, "log", log)
	if !slices.Equal(l.Algs(), []tpm.Alg{tpm.SHA256, tpm.SHA512}) {
		t.Errorf("banks %v", l.Algs())
	}
	for i, r := range l.Records()[1:] {
		for _, want := range []digest{d256, d512} {
			if got, ok := r.Digest(tpm.Alg(want.alg)); !ok || !bytes.Equal(got, want.value) {
				t.Errorf("record %d, hash %#x: %x, %t", i+2, want.alg, got, ok)
			}
		}
		if _, ok := r.Digest(tpm.SHA1); ok {
			t.Errorf("record %d has a digest of a bank that the log does not announce", i+2)
		}
	}
	if _, ok := l.Records()[0].Digest(tpm.SHA1); ok {
		t.Error("the record that describes the log has a digest")
	}
}

func TestEveryRecordHasExactlyOneDigestPerBank(t *testing.T) {
	d1, d256 := digestOf(tpm.SHA1, 1), digestOf(tpm.SHA256, 1)
	log := func(digests ...digest) []byte {
		return slices.Concat(specID(d1, d256), agile(1, eventlog.Action, nil, digests...))
	}
	at := "record 2 of the event log, at offset 69,"
	accepted(t, "both", log(d256, d1))
	refused(t, "one missing", log(d1), evidence.EventLogBank, at, "SHA256")
	refused(t, "none", log(), evidence.EventLogBank, at)
	refused(t, "one twice", log(d1, d256, d1), evidence.EventLogBank, at, "SHA1")
	refused(t, "one twice, one missing", log(d1, d1), evidence.EventLogBank, at)
	refused(t, "one not announced", log(d1, digestOf(tpm.SHA384, 1)), evidence.EventLogBank, at, "SHA384")
	refused(t, "nine", log(slices.Repeat([]digest{d1}, 9)...), evidence.EventLogFormat, at)
}

func TestPCRsThatDoNotExistAreRefused(t *testing.T) {
	for _, pcr := range []uint32{0, 23, eventlog.Outside} {
		accepted(t, "PCR", sha256Log(sha256Record(pcr, eventlog.Action, 1, nil)))
		accepted(t, "PCR", legacy(pcr, eventlog.Action, 1, nil))
	}
	for _, pcr := range []uint32{24, 0x7FFFFFFF, eventlog.Outside - 1} {
		refused(t, "crypto-agile", sha256Log(sha256Record(pcr, eventlog.Action, 1, nil)), evidence.EventLogFormat, "record 2 of the event log, at offset 65,")
		refused(t, "legacy", legacy(pcr, eventlog.Action, 1, nil), evidence.EventLogFormat)
	}
}

func TestOnlyPaddingMayFollowTheLastRecord(t *testing.T) {
	for form, log := range map[string][]byte{
		"crypto-agile": sha256Log(sha256Record(1, eventlog.Action, 1, []byte("a"))),
		"legacy":       legacy(1, eventlog.Action, 1, []byte("a")),
	} {
		want := len(accepted(t, form, log).Records())
		for _, fill := range []byte{0, 0xFF} {
			for _, n := range []int{8, 9, 31, 32, 4096} {
				padding := slices.Repeat([]byte{fill}, n)
				if got := len(accepted(t, form, slices.Concat(log, padding)).Records()); got != want {
					t.Errorf("%s, %d times %x: %d records, want %d", form, n, fill, got, want)
				}
				padding[n-1] ^= 1
				refused(t, form+" other byte at the end", slices.Concat(log, padding), evidence.EventLogFormat)
				refused(t, form+" record behind", slices.Concat(log, padding[:n-1], log), evidence.EventLogFormat)
			}
			refused(t, form+" less than a header", slices.Concat(log, slices.Repeat([]byte{fill}, 7)), evidence.EventLogFormat, "cut short")
			refused(t, form+" one byte", append(bytes.Clone(log), fill), evidence.EventLogFormat, "cut short")
		}
	}
}

func TestLogsWithoutARecordAreRefused(t *testing.T) {
	refused(t, "nothing", nil, evidence.EventLogFormat, "empty")
	refused(t, "zeros", make([]byte, 4096), evidence.EventLogFormat, "empty")
	refused(t, "FF", slices.Repeat([]byte{0xFF}, 4096), evidence.EventLogFormat, "empty")
}

func TestLogsCutAnywhereButBetweenRecordsAreRefused(t *testing.T) {
	for _, records := range [][][]byte{
		{specID(digestOf(tpm.SHA256, 0)), sha256Record(1, eventlog.Action, 1, []byte("abc")), sha256Record(2, eventlog.Action, 2, nil)},
		{legacy(1, eventlog.Action, 1, []byte("abc")), legacy(2, eventlog.Action, 2, nil)},
	} {
		log, ends := slices.Concat(records...), map[int]bool{}
		for i := range records {
			ends[len(slices.Concat(records[:i+1]...))] = true
		}
		for n := range log {
			if _, err := eventlog.Parse(log[:n], eventlog.DefaultLimits()); ends[n] != (err == nil) {
				t.Errorf("%d of %d bytes: %v", n, len(log), err)
			}
		}
	}
}

func TestRecordsAreWhatWasLogged(t *testing.T) {
	l := accepted(t, "log", sha256Log(sha256Record(7, eventlog.VariableAuthority, 5, []byte("data")), sha256Record(eventlog.Outside, 0x8401, 6, nil)))
	r := l.Records()
	if len(r) != 3 || r[0].Type != eventlog.NoAction || !bytes.HasPrefix(r[0].Data, []byte("Spec ID")) {
		t.Fatalf("records %+v", r)
	}
	if r[1].PCR != 7 || r[1].Type != eventlog.VariableAuthority || string(r[1].Data) != "data" || !r[1].Extended() {
		t.Errorf("record 2: %+v", r[1])
	}
	if r[2].PCR != eventlog.Outside || r[2].Type != 0x8401 || len(r[2].Data) != 0 || r[2].Extended() {
		t.Errorf("record 3: %+v", r[2])
	}
}

func TestHashesComparesWithTheDigestOfTheBank(t *testing.T) {
	data := []byte("WBCL")
	d := digest{uint16(tpm.SHA256), tpm.SHA256.Sum(data)}
	l := accepted(t, "log", sha256Log(agile(12, eventlog.Separator, []byte("other"), d)))
	r := l.Records()[1]
	if !r.Hashes(tpm.SHA256, data) || !r.Hashes(tpm.SHA256, data[:1], data[1:]) {
		t.Error("the hashed data is not recognised")
	}
	if r.Hashes(tpm.SHA256, r.Data) || r.Hashes(tpm.SHA1, data) || r.Hashes(tpm.SHA256) {
		t.Error("other data, or another bank, passes for the hashed one")
	}
}
