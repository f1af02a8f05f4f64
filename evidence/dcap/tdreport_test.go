package dcap_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/dcaptest"
)

// tdBodies are the kinds of TD reports with their sizes (sgx-tdx.md section 2.2).
func tdBodies() map[dcap.BodyType]int {
	return map[dcap.BodyType]int{dcap.TDReport10: 584, dcap.TDReport15: 648, dcap.TDReport15Ex: 885}
}

// tdFields are the fields of r with their offsets (sgx-tdx.md section 2.4).
func tdFields(r *dcap.TDReport) map[int][]byte {
	return map[int][]byte{
		0: r.TEETCBSVN[:], 16: r.MRSEAM[:], 64: r.MRSIGNERSEAM[:], 112: r.SEAMAttributes[:], 120: r.TDAttributes[:], 128: r.XFAM[:],
		136: r.MRTD[:], 184: r.MRCONFIGID[:], 232: r.MROWNER[:], 280: r.MROWNERCONFIG[:],
		328: r.RTMR[0][:], 376: r.RTMR[1][:], 424: r.RTMR[2][:], 472: r.RTMR[3][:], 520: r.ReportData[:],
		584: r.TEETCBSVN2[:], 600: r.MRSERVICETD[:],
	}
}

func TestFieldsOfATDReport(t *testing.T) {
	for kind, size := range tdBodies() {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(i*7 + i>>8)
		}
		r, err := dcap.ParseTDReport(b, kind)
		if err != nil {
			t.Fatalf("type %d: %v", kind, err)
		}
		for offset, field := range tdFields(&r) {
			want := make([]byte, len(field))
			if offset+len(field) <= size {
				want = b[offset : offset+len(field)]
			}
			if !bytes.Equal(field, want) {
				t.Errorf("type %d, offset %d: got %x, want %x", kind, offset, field, want)
			}
		}
	}
}

func TestTDReportOfAnotherSizeIsRefused(t *testing.T) {
	sizes := []int{0, 1, 384, 583, 584, 585, 647, 648, 649, 884, 885, 886, 1024}
	for kind := range dcap.BodyType(7) {
		for _, size := range sizes {
			want := tdBodies()[kind] == size && size > 0
			if _, err := dcap.ParseTDReport(make([]byte, size), kind); (err == nil) != want {
				t.Errorf("type %d with %d bytes: got %v, want accepted: %t", kind, size, err, want)
			}
		}
	}
}

func TestAttributesOfATD(t *testing.T) {
	numbered := map[int]int{dcap.TDDebug: 0, dcap.TDSEPTVEDisable: 28, dcap.TDMigratable: 29, dcap.TDPKS: 30, dcap.TDKeyLocker: 31, dcap.TDPerfmon: 63}
	if len(numbered) != 6 {
		t.Fatalf("two attributes have the same bit: %v", numbered)
	}
	for bit := range 64 {
		var r dcap.TDReport
		binary.LittleEndian.PutUint64(r.TDAttributes[:], 1<<bit)
		for attribute, number := range numbered {
			if got := r.Attribute(attribute); got != (bit == number) {
				t.Errorf("bit %d set: attribute %d is %t", bit, number, got)
			}
		}
		if got := r.Debug(); got != (bit < 8) {
			t.Errorf("bit %d set: got debug %t, want it for the bits 0 to 7", bit, got)
		}
	}
}

// td is a scenario of a TD, with changes made after it.
func (l lab) td(d *dcaptest.TD, changes ...func(*assaytest.Scenario)) *assaytest.Scenario {
	l.Helper()
	return l.scenario(append([]func(*assaytest.Scenario){d.Apply(l)}, changes...)...)
}

// quoteKinds are the ways to quote a TD: version of the quote and type of the report.
func quoteKinds() map[string]func(testing.TB) func(*assaytest.Scenario) {
	of := func(version uint16, kind dcap.BodyType) func(testing.TB) func(*assaytest.Scenario) {
		return func(t testing.TB) func(*assaytest.Scenario) {
			return func(s *assaytest.Scenario) { s.QuoteVersion = version; dcaptest.NewTD(kind).Apply(t)(s) }
		}
	}
	return map[string]func(testing.TB) func(*assaytest.Scenario){
		"version 4": of(4, dcap.TDReport10), "version 5, TD 1.0": of(5, dcap.TDReport10),
		"version 5, TD 1.5": of(5, dcap.TDReport15), "version 5, TD 1.5 extended": of(5, dcap.TDReport15Ex),
	}
}

func TestSoundQuotesOfTDs(t *testing.T) {
	l := newLab(t)
	for name, kind := range quoteKinds() {
		v, err := l.verify(l.scenario(kind(t)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if q := v.Origin.Quote(); q.TEE != dcap.TDX || len(v.Body) != tdBodies()[q.BodyType] || v.Status != dcap.UpToDate || v.TDXModule != dcap.UpToDate {
			t.Errorf("%s: got %s with %d bytes, status %s, module %s", name, q.TEE, len(v.Body), v.Status, v.TDXModule)
		}
	}
}

// No quote with one bit changed in what the signatures cover is accepted.
func TestOneBitAnywhereInAQuoteOfATD(t *testing.T) {
	l := newLab(t)
	for _, name := range []string{"version 4", "version 5, TD 1.5"} {
		s := l.scenario(quoteKinds()[name](t))
		o, c := l.endorsed(s)
		b, err := s.Quote()
		if err != nil {
			t.Fatal(err)
		}
		for i := range bytes.Index(b, []byte("-----BEGIN")) {
			bad := bytes.Clone(b)
			bad[i] ^= 1 << (i % 8)
			q, err := dcap.ParseQuote(bad)
			if err == nil {
				o, err = l.verifier.Trace(q, today(), nil)
			}
			if err == nil {
				_, err = l.verifier.Verify(o, c, dcap.Options{At: today()}, nil)
			}
			if err == nil {
				t.Errorf("%s: accepted with byte %d of %d changed from %#x to %#x", name, i, len(b), b[i], bad[i])
			}
		}
	}
}

func TestTrailingBytesBehindAQuoteOfATD(t *testing.T) {
	l := newLab(t)
	for name, kind := range quoteKinds() {
		for _, n := range []int{1, 39, 70, 3065} { // sgx-tdx.md section 2.7
			v, err := l.verify(l.scenario(kind(t), dcaptest.Edit(assaytest.Evidence, func(b []byte) []byte { return append(b, make([]byte, n)...) })))
			if err != nil || v.Origin.Quote().Trailing != n {
				t.Errorf("%s: %d bytes behind it: got %+v (%v)", name, n, v, err)
			}
		}
	}
}

func TestDescriptorOfAQuoteOfATD(t *testing.T) {
	l := newLab(t)
	le := binary.LittleEndian
	put16 := func(at int, v uint16) func([]byte) []byte {
		return func(b []byte) []byte { le.PutUint16(b[at:], v); return b }
	}
	put32 := func(at int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte { le.PutUint32(b[at:], v); return b }
	}
	for _, tt := range []struct {
		what   string
		change func([]byte) []byte
	}{
		{"type of SGX", put16(48, 1)}, {"type of TD 1.0", put16(48, 2)}, {"extended type", put16(48, 4)}, {"type 0", put16(48, 0)}, {"type 5", put16(48, 5)},
		{"size of TD 1.0", put32(50, 584)}, {"extended size", put32(50, 885)}, {"size 0", put32(50, 0)}, {"greatest size", put32(50, 1<<32-1)},
		{"TEE type of SGX", put32(4, 0)}, {"version 4", put16(0, 4)}, {"version 3", put16(0, 3)},
	} {
		_, err := l.verify(l.td(dcaptest.NewTD(dcap.TDReport15), dcaptest.Edit(assaytest.QuoteBody, tt.change)))
		dcaptest.Expect(t, tt.what, err, evidence.QuoteFormat)
	}
}

// Row 17 of sgx-tdx.md section 12.
func TestCertificationDataOfAQuoteOfATD(t *testing.T) {
	l := newLab(t)
	kind := func(n byte) func([]byte) []byte { return func(b []byte) []byte { b[0] = n; return b } }
	for name, quote := range quoteKinds() {
		for _, n := range []byte{0, 1, 2, 3, 4, 6, 7, 8} {
			_, err := l.verify(l.scenario(quote(t), dcaptest.Edit(assaytest.CertificationData, kind(n))))
			dcaptest.Expect(t, fmt.Sprintf("%s: type %d", name, n), err, evidence.CertDataType)
		}
		for _, n := range []byte{1, 3, 5, 7} {
			_, err := l.verify(l.scenario(quote(t), dcaptest.Edit(assaytest.QECertification, kind(n))))
			dcaptest.Expect(t, fmt.Sprintf("%s: outer type %d", name, n), err, evidence.CertDataType)
		}
	}
}

// What the caller does to the exported fields of a quote does not change what is verified, and does no harm.
func TestQuoteOfATDChangedByItsCaller(t *testing.T) {
	l := newLab(t)
	for kind := range dcap.BodyType(6) {
		s := l.td(dcaptest.NewTD(dcap.TDReport15))
		o, c := l.endorsed(s)
		o.Quote().BodyType, o.Quote().Body = kind, nil
		v, err := l.verifier.Verify(o, c, dcap.Options{At: today()}, nil)
		if kind != dcap.TDReport15 {
			dcaptest.Expect(t, fmt.Sprintf("type %d", kind), err, evidence.QuoteFormat)
			continue
		}
		if err != nil || !slices.Equal(v.Body, dcaptest.NewTD(kind).Report) {
			t.Errorf("without its body: got %+v (%v)", v, err)
		}
	}
}
