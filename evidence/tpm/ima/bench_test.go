package ima_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/ima"
)

// list100k is a list as long as is allowed.
func list100k() []byte {
	var entries []entry
	for i := range 100_000 {
		entries = append(entries, ng(fmt.Sprintf("/usr/lib/x86_64-linux-gnu/lib%06d.so", i)))
	}
	return binaryList(tpm.SHA1, entries...)
}

func BenchmarkParse100k(b *testing.B) {
	list := list100k()
	b.SetBytes(int64(len(list)))
	perEntry(b, func() {
		if _, err := ima.ParseBinary(list, tpm.SHA1, ima.DefaultLimits()); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkMatch100k(b *testing.B) {
	l, err := ima.ParseBinary(list100k(), tpm.SHA1, ima.DefaultLimits())
	if err != nil {
		b.Fatal(err)
	}
	perEntry(b, func() { // the worst: no value fits
		if _, err := l.Match(zeros(), map[tpm.Alg][]byte{tpm.SHA256: bytes.Repeat([]byte{1}, 32)}); err == nil {
			b.Fatal("matched")
		}
	})
}

// perEntry reports what 100 000 entries cost.
func perEntry(b *testing.B, f func()) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for b.Loop() {
		f()
	}
	runtime.ReadMemStats(&after)
	n := float64(b.N) * 100_000
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/n, "B/entry")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/entry")
}

// What a list costs beside its own bytes is an Entry for each entry, to read it and to match it with a quote.
func TestALargeListCostsLittleMemory(t *testing.T) {
	list := list100k()
	const most = 48 // bytes for an entry
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	l, err := ima.ParseBinary(list, tpm.SHA1, ima.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Match(zeros(), map[tpm.Alg][]byte{tpm.SHA256: bytes.Repeat([]byte{1}, 32)}); err == nil {
		t.Fatal("matched")
	}
	runtime.ReadMemStats(&after)
	if used := float64(after.TotalAlloc-before.TotalAlloc) / float64(len(l.Entries())); used > most {
		t.Errorf("got %.1f bytes for each entry, want at most %d", used, most)
	}
	allocs := testing.AllocsPerRun(1, func() {
		if _, err := ima.ParseBinary(list, tpm.SHA1, ima.DefaultLimits()); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 100 { // not one for each entry
		t.Errorf("%.0f allocations for 100 000 entries", allocs)
	}
	list = append(list, binary.LittleEndian.AppendUint32(nil, 10)...)
	_, err = ima.ParseBinary(append(list, binaryList(tpm.SHA1, ng("one more"))[4:]...), tpm.SHA1, ima.DefaultLimits())
	wantRefusal(t, err, evidence.IMAFormat, "ima_entries")
}
