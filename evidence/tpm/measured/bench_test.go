package measured_test

import (
	"crypto/sha1" //nolint:gosec // what the log was measured with
	"encoding/binary"
	"runtime"
	"testing"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/internal/vectortest"
)

const benchLog = "tpm/windows/windows_gcp_shielded_vm.wbcl"

// BenchmarkVerify measures a real log of Windows from its bytes to the claim, and beside it the hashing of its bytes, which nobody
// can do without: a quoted digest says nothing of data that was not hashed.
func BenchmarkVerify(b *testing.B) {
	raw := vectortest.Read(b, benchLog)
	l := parseFile(b, benchLog)
	q := quoteReplay(b, tpm.SHA1, 24, l)
	for name, run := range map[string]func(){
		"parse, verify, claim": func() { claim(b, raw, q) },
		"verify":               func() { _, _ = measured.Verify([]measured.Log{{TCG: l}}, q, strict()) },
		"bare hashing":         func() { sha1.Sum(raw) }, //nolint:gosec // see above
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				run()
			}
		})
	}
}

// claim goes from the bytes of a log to the claim events.
func claim(t testing.TB, raw []byte, q *tpm.Quoted) []byte {
	l, err := eventlog.Parse(raw, eventlog.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	boot, err := measured.Verify([]measured.Log{{TCG: l}}, q, strict())
	if err != nil {
		t.Fatal(err)
	}
	v, err := boot.Events(measured.EventsOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// repeated is a log of the records of a real one, those of PCR 11 to 14 but their separators, again and again up to a size. The
// log is in the SHA-1 form.
func repeated(t testing.TB, size int) []byte {
	t.Helper()
	var out []byte
	for len(out) < size {
		for _, r := range parseFile(t, benchLog).Records() {
			if r.PCR < 11 || r.PCR > 14 || r.Type == eventlog.Separator {
				continue
			}
			d, _ := r.Digest(tpm.SHA1)
			out = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(out, r.PCR), uint32(r.Type))
			out = append(binary.LittleEndian.AppendUint32(append(out, d...), uint32(len(r.Data))), r.Data...)
			if len(out) >= size {
				break
			}
		}
	}
	return out
}

// A large log costs no more memory than a few times its size.
func TestALargeLogCostsLittleMemory(t *testing.T) {
	const size, most = 512 << 10, 16 << 20
	raw := repeated(t, size)
	l, err := eventlog.Parse(raw, eventlog.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	q := quoteReplay(t, tpm.SHA1, 24, l)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	v := claim(t, raw, q)
	runtime.ReadMemStats(&after)
	used := after.TotalAlloc - before.TotalAlloc
	t.Logf("a log of %d KiB: %d KiB allocated for a claim of %d KiB", len(raw)>>10, used>>10, len(v)>>10)
	if used > most {
		t.Errorf("got %d bytes, want at most %d", used, most)
	}
}
