package sgx_test

import (
	"crypto/sha256"
	"encoding/binary"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/sgx"
	"github.com/assay-attestation/assay/internal/dcaptest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

func FuzzParseOpenEnclave(f *testing.F) {
	names, err := filepath.Glob(filepath.Join(vectortest.Path(f, "dcap/quotes"), "*.bin"))
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(assaytest.OpenEnclaveReport(b))
		f.Add(openEvidence(f, formatQuote, b))
		f.Add(openEvidence(f, formatLegacy, assaytest.OpenEnclaveReport(b)))
		f.Add(openEvidence(f, formatECDSA, b))
	}
	_, quote := newLab(f).quoteOver(customClaims("name", "value"))
	f.Add(openEvidence(f, formatECDSA, append(quote, customClaims("name", "value")...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := sgx.ParseOpenEnclave(b)
		if again, err2 := sgx.ParseOpenEnclave(b); (err == nil) != (err2 == nil) || !reflect.DeepEqual(e, again) {
			t.Fatalf("parsed twice, two results: %+v (%v), %+v (%v)", e, err, again, err2)
		}
		if err != nil {
			dcaptest.Expect(t, "malformed", err, evidence.QuoteFormat, evidence.CertDataType)
			return
		}
		if _, err := sgx.Parse(b); err == nil {
			t.Error("the same bytes are a bare quote too")
		}
		headerAddsUp(t, b, e)
	})
}

// headerAddsUp checks that the envelope is exactly as long as it says, and that nothing but what the enclave vouches
// for follows the quote.
func headerAddsUp(t *testing.T, b []byte, e *sgx.Evidence) {
	t.Helper()
	at := 8
	if binary.LittleEndian.Uint32(b) == 3 {
		at = 24
	}
	if size := binary.LittleEndian.Uint64(b[at:]); size != uint64(len(b)-at-8) {
		t.Errorf("the header says %d bytes, %d follow", size, len(b)-at-8)
	}
	tail := b[len(b)-e.Quote.Trailing:]
	if sum := sha256.Sum256(tail); len(tail) > 0 && [32]byte(e.Report.ReportData[:32]) != sum {
		t.Errorf("%d bytes follow the quote, which does not vouch for them", len(tail))
	}
}
