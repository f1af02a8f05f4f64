package eventlog_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf16"

	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// seedLogs are the logs of the vectors up to a size that a fuzzer can work with.
func seedLogs(f *testing.F) (logs [][]byte) {
	f.Helper()
	for _, dir := range []string{"tpm/eventlogs", "tpm/attacks"} {
		names, err := filepath.Glob(filepath.Join(vectortest.Path(f, dir), "*.bin"))
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			if len(b) < 20_000 {
				logs = append(logs, b)
			}
		}
	}
	return logs
}

// FuzzParse checks that a log that was read is its records and padding, byte for byte, and can be replayed in each of its
// banks.
func FuzzParse(f *testing.F) {
	for _, b := range seedLogs(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := eventlog.Parse(b, eventlog.Limits{Size: 1 << 20, Records: 1000, EventData: 1 << 16})
		if err != nil {
			return
		}
		rest, ok := bytes.CutPrefix(b, l.Encode())
		if !ok || len(rest) > 0 && len(bytes.Trim(rest, "\x00")) > 0 && len(bytes.Trim(rest, "\xFF")) > 0 {
			t.Fatalf("%x was read as %x and %x behind it", b, l.Encode(), rest)
		}
		for _, a := range l.Algs() {
			if bank, err := eventlog.Replay(a, false, l); err != nil || len(bank.Values[0]) != a.Size() {
				t.Fatalf("bank %s: %v", a, err)
			}
		}
		checkDigests(t, l)
	})
}

// checkDigests checks that each record has the digests that its log announces.
func checkDigests(t *testing.T, l *eventlog.Log) {
	records := l.Records()
	if !l.Legacy() {
		records = records[1:]
	}
	for i := range records {
		for _, a := range l.Algs() {
			if d, ok := records[i].Digest(a); !ok || len(d) != a.Size() {
				t.Fatalf("record %d: digest %x of %s", i, d, a)
			}
		}
	}
}

// variables are the data of the EFI variables in the logs that can be read.
func variables(f *testing.F) (data [][]byte) {
	for _, b := range seedLogs(f) {
		l, err := eventlog.Parse(b, eventlog.DefaultLimits())
		if err != nil {
			continue
		}
		for _, r := range l.Records() {
			switch r.Type {
			case eventlog.VariableDriverConfig, eventlog.VariableBoot, eventlog.VariableAuthority:
				data = append(data, r.Data)
			}
		}
	}
	return data
}

// FuzzVariable checks that a variable that was read is what its parts are written as.
func FuzzVariable(f *testing.F) {
	for _, b := range variables(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := eventlog.ParseVariable(b, eventlog.DefaultLimits())
		if err != nil {
			return
		}
		name := utf16.Encode([]rune(v.Name))
		again := variable(uint64(len(name)), uint64(len(v.Data)), name, string(v.Data))
		if copy(again, v.GUID[:]); !bytes.Equal(again, b) {
			t.Fatalf("%x was read as %+v", b, v)
		}
	})
}

// FuzzSignatureLists checks that no list yields more than its bytes can hold.
func FuzzSignatureLists(f *testing.F) {
	for _, b := range variables(f) {
		if v, err := eventlog.ParseVariable(b, eventlog.DefaultLimits()); err == nil {
			f.Add(v.Data)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := eventlog.ParseSignatureLists(b)
		size := 0
		for _, s := range all {
			if len(s.Data) == 0 {
				t.Fatal("a signature without data")
			}
			size += 16 + len(s.Data)
		}
		if err == nil && size > len(b) || err != nil && all != nil {
			t.Fatalf("%d bytes of signatures from %d (%v)", size, len(b), err)
		}
	})
}
