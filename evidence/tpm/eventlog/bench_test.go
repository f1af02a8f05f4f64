package eventlog_test

import (
	"crypto/sha256"
	"testing"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/internal/vectortest"
)

const benchLog = "tpm/eventlogs/ubuntu-2104-no-dbx.bin"

// longLog repeats the records of a real log up to 512 KiB.
func longLog(t testing.TB) []byte {
	t.Helper()
	b := vectortest.Read(t, benchLog)
	l, err := eventlog.Parse(b, eventlog.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	records := b[32+len(l.Records()[0].Data):]
	for len(b)+len(records) <= 512<<10 {
		b = append(b, records...)
	}
	return b
}

func BenchmarkParseAndReplay(b *testing.B) {
	for name, log := range map[string][]byte{"real": vectortest.Read(b, benchLog), "512KiB": longLog(b)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(log)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := parseAndReplay(log, tpm.SHA256); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHashing is what the same bytes cost to be hashed once.
func BenchmarkHashing(b *testing.B) {
	for name, log := range map[string][]byte{"real": vectortest.Read(b, benchLog), "512KiB": longLog(b)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(log)))
			for b.Loop() {
				sha256.Sum256(log)
			}
		})
	}
}

// A long log must cost a slice of records and little else, however many records it has.
func TestALongLogCostsFewAllocations(t *testing.T) {
	log := longLog(t)
	got := testing.AllocsPerRun(5, func() {
		if _, err := parseAndReplay(log, tpm.SHA256); err != nil {
			t.Fatal(err)
		}
	})
	if l := accepted(t, "log", log); len(l.Records()) < 1500 || got > 20 {
		t.Errorf("%v allocations for %d records", got, len(l.Records()))
	}
}
