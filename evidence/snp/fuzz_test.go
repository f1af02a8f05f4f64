package snp_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// bounded runs parse and fails if it allocates out of proportion to its input of n bytes. The allowance is for what the fuzzing engine allocates meanwhile.
func bounded(t *testing.T, n int, parse func()) {
	t.Helper()
	total := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(total)
	before := total[0].Value.Uint64()
	parse()
	metrics.Read(total)
	if got, most := total[0].Value.Uint64()-before, uint64(1<<20+200*n); got > most {
		t.Errorf("%d bytes allocated for an input of %d, at most %d expected", got, n, most)
	}
}

// FuzzReport reads reports and holds them against the signers of all vectors. Whatever is not a report of the vectors, byte for byte, is refused.
func FuzzReport(f *testing.F) {
	known, signers := map[string]bool{}, map[string]*snp.Signer{}
	for _, c := range vectors(f) {
		b := read(f, c.Report)
		known[string(b)] = true
		if v, err := c.verify(f); err == nil {
			signers[string(v.Signer.HardwareID)+v.Signer.CSPID+v.Signer.TCB.String()] = v.Signer
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r *snp.Report
		var err error
		bounded(t, len(b), func() { r, err = snp.ParseReport(b) })
		if again, err2 := snp.ParseReport(bytes.Clone(b)); !reflect.DeepEqual(r, again) || (err == nil) != (err2 == nil) {
			t.Fatalf("parsed twice, two results: %+v (%v), %+v (%v)", r, err, again, err2)
		}
		if err != nil {
			refusedFor(t, err, evidence.SNPFormat, evidence.SNPSignature)
			return
		}
		if _, err := snp.ParseReport(b[:len(b)-1]); err == nil {
			t.Error("accepted without its last byte")
		}
		if known[string(b)] {
			return // what becomes of it is for TestVectors
		}
		for _, s := range signers {
			if _, err := snp.Verify(r, s, snp.Options{At: s.NotAfter(), AllowMaskedChipID: true, MaxVersion: 1<<32 - 1}); err == nil {
				t.Fatalf("a report that nobody signed is accepted: %x", b)
			}
		}
	})
}

// traced checks what every parsed chain has in common: the bounds hold, and only AMD's own leaves lead to AMD.
func traced(t *testing.T, c *snp.Chain, err error, leaves map[string]bool) {
	t.Helper()
	if err != nil {
		refusedFor(t, err, evidence.SNPChain)
		return
	}
	if c.Leaf == nil || 1+len(c.Others) > snp.MaxCertificates {
		t.Fatalf("leaf %v, %d others", c.Leaf, len(c.Others))
	}
	if leaves[string(c.Leaf.Raw)] {
		return
	}
	if _, err := snp.AMDRoots().Trace(c, snp.Options{At: c.Leaf.NotBefore}); err == nil {
		t.Errorf("a certificate that is not AMD's is accepted: %x", c.Leaf.Raw)
	}
}

// genuine are the leaves of the real vectors.
func genuine(f *testing.F) map[string]bool {
	leaves := map[string]bool{}
	for _, c := range vectors(f) {
		if chain, err := snp.ParseChain(read(f, c.Chain)); err == nil {
			if _, err := snp.AMDRoots().Trace(chain, snp.Options{At: c.At}); err == nil {
				leaves[string(chain.Leaf.Raw)] = true
			}
		}
	}
	if len(leaves) == 0 {
		vectortest.NoCase(f, "chain of AMD")
	}
	return leaves
}

func FuzzChain(f *testing.F) {
	leaves := genuine(f)
	for _, c := range vectors(f) {
		b := read(f, c.Chain)
		f.Add(b)
		f.Add(bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var c *snp.Chain
		var err error
		bounded(t, len(b), func() { c, err = snp.ParseChain(b) })
		traced(t, c, err, leaves)
	})
}

func FuzzTable(f *testing.F) {
	leaves := genuine(f)
	for _, c := range vectors(f) {
		if c.Auxblob != "" {
			f.Add(read(f, c.Auxblob))
		}
	}
	f.Add(make([]byte, 24))
	f.Fuzz(func(t *testing.T, b []byte) {
		var c *snp.Chain
		var err error
		// Entries may share what they point to, so that an entry can cost as much as the whole table.
		bounded(t, 16*len(b), func() { c, err = snp.ParseTable(b) })
		traced(t, c, err, leaves)
	})
}

func FuzzRequest(f *testing.F) {
	var cases []struct{ Request string }
	vectortest.ReadJSON(f, "snp/maa-requests/index.json", &cases)
	for _, c := range cases {
		var body struct{ Report string }
		if json.Unmarshal(read(f, c.Request), &body) == nil {
			f.Add(decode(f, body.Report))
		}
	}
	f.Add(decode(f, string(bytes.TrimSpace(read(f, "maa-sample/request-report.b64u")))))
	f.Add([]byte(`{"SnpReport":"","Endorsements":"eyJVdm0iOlsiQUFBQSJdfQ"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var e *snp.Evidence
		var err error
		bounded(t, len(b), func() { e, err = snp.Parse(b) })
		if err != nil {
			refusedFor(t, err, evidence.SNPFormat, evidence.SNPSignature, evidence.SNPChain)
			return
		}
		if e.Report == nil || len(e.UVM) > snp.MaxUVM {
			t.Fatalf("report %v, %d endorsements", e.Report, len(e.UVM))
		}
		if _, err := (snp.Roots{}).Trace(e.Chain, snp.Options{At: time.Now()}); err == nil || e.Chain == nil && !errors.Is(err, snp.ErrMissing) {
			t.Errorf("nothing is trusted, but %v", err)
		}
	})
}
