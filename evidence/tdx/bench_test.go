package tdx_test

import (
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/tdx"
	"github.com/assay-attestation/assay/internal/dcaptest"
)

// BenchmarkVerify measures the verification of a quote of a TD 1.5 from its bytes on.
func BenchmarkVerify(b *testing.B) {
	w := newBench(b)
	dcaptest.Measure(b, []dcaptest.Case{
		{Name: "cold", Needed: dcaptest.NeededCold, Run: w.cold},
		{Name: "collateral cached", Needed: dcaptest.NeededCollateral, Run: func() error { return verifyQuote(w.verifier, w.unusual, w.collateral) }},
		{Name: "leaf cached", Needed: dcaptest.NeededLeaf, Run: func() error { return verifyQuote(w.verifier, w.quote, w.collateral) }},
	})
}

// bench holds what the benchmarks verify.
type bench struct {
	*lab
	quote      []byte
	unusual    []byte // the quote with a blank line behind its PCK chain: no verifier remembers that chain
	raw        map[string][]byte
	collateral dcap.Collateral
}

func newBench(b *testing.B) *bench {
	b.Helper()
	w := &bench{lab: newLab(b)}
	s := w.scenario(dcaptest.NewTD(dcap.TDReport15))
	unusual := w.scenario(dcaptest.NewTD(dcap.TDReport15), dcaptest.Edit(assaytest.PCKChainPEM, func(chain []byte) []byte { return append(chain[:len(chain)-1], '\n') }))
	var err error
	w.quote, err = s.Quote()
	check(b, err)
	w.unusual, err = unusual.Quote()
	check(b, err)
	raw, err := s.Collateral()
	check(b, err)
	w.raw = dcaptest.Files(raw)
	e, err := tdx.Parse(w.quote)
	check(b, err)
	o, err := w.verifier.Trace(e.Quote, today(), nil)
	check(b, err)
	w.collateral, err = dcaptest.Load(w.verifier, o, w.raw)
	check(b, err)
	return w
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// cold knows nothing yet: it checks every certificate and every document.
func (w *bench) cold() error {
	v := dcap.NewVerifier(w.roots)
	e, err := tdx.Parse(w.quote)
	if err != nil {
		return err
	}
	o, err := v.Trace(e.Quote, today(), nil)
	if err != nil {
		return err
	}
	c, err := dcaptest.Load(v, o, w.raw)
	if err != nil {
		return err
	}
	_, err = tdx.Verify(v, o, e, dcap.Input{Collateral: c, Options: dcap.Options{At: today()}})
	return err
}

// verifyQuote verifies a quote against collateral that was verified before, as a service does.
func verifyQuote(v *dcap.Verifier, quote []byte, c dcap.Collateral) error {
	e, err := tdx.Parse(quote)
	if err != nil {
		return err
	}
	o, err := v.Trace(e.Quote, today(), nil)
	if err != nil {
		return err
	}
	_, err = tdx.Verify(v, o, e, dcap.Input{Collateral: c, Options: dcap.Options{At: today()}})
	return err
}
