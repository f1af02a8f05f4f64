package sgx_test

import (
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/sgx"
	"github.com/assay-attestation/assay/internal/dcaptest"
)

// BenchmarkVerify measures the verification of a quote from its bytes on.
func BenchmarkVerify(b *testing.B) {
	w := newBench(b)
	dcaptest.Measure(b, []dcaptest.Case{
		{Name: "cold", Needed: dcaptest.NeededCold, Run: w.cold},
		{Name: "collateral cached", Needed: dcaptest.NeededCollateral, Run: w.collateralCached},
		{Name: "leaf cached", Needed: dcaptest.NeededLeaf, Run: w.leafCached},
	})
}

// bench holds what the benchmarks verify.
type bench struct {
	*lab
	roots      dcap.Roots
	quote      []byte
	unusual    []byte // the quote with a blank line behind its PCK chain: no verifier remembers that chain
	raw        map[string][]byte
	collateral dcap.Collateral
}

func newBench(b *testing.B) *bench {
	b.Helper()
	w := &bench{lab: newLab(b)}
	s := w.scenario()
	unusual := w.scenario(func(s *assaytest.Scenario) {
		s.Edit.Bytes = func(p assaytest.Part, part []byte) []byte {
			if p == assaytest.PCKChainPEM {
				return append(part[:len(part)-1], '\n')
			}
			return part
		}
	})
	root, err := w.intel.RootPEM()
	check(b, err)
	w.roots, err = dcap.NewRoots(root)
	check(b, err)
	w.quote, err = s.Quote()
	check(b, err)
	w.unusual, err = unusual.Quote()
	check(b, err)
	raw, err := s.Collateral()
	check(b, err)
	w.raw = dcaptest.Files(raw)
	e, err := sgx.Parse(w.quote)
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
	e, o, err := trace(v, w.quote)
	if err != nil {
		return err
	}
	c, err := dcaptest.Load(v, o, w.raw)
	if err != nil {
		return err
	}
	return verifyQuote(v, e, o, c)
}

// collateralCached has verified the collateral before, as a service has, and knows the PCK CA, but not the PCK
// certificate: all is done that a new platform asks for, each time.
func (w *bench) collateralCached() error { return w.again(w.unusual) }

// leafCached has seen collateral and platform before.
func (w *bench) leafCached() error { return w.again(w.quote) }

func (w *bench) again(quote []byte) error {
	e, o, err := trace(w.verifier, quote)
	if err != nil {
		return err
	}
	return verifyQuote(w.verifier, e, o, w.collateral)
}

func trace(v *dcap.Verifier, quote []byte) (*sgx.Evidence, *dcap.Origin, error) {
	e, err := sgx.Parse(quote)
	if err != nil {
		return nil, nil, err
	}
	o, err := v.Trace(e.Quote, today(), nil)
	return e, o, err
}

func verifyQuote(v *dcap.Verifier, e *sgx.Evidence, o *dcap.Origin, c dcap.Collateral) error {
	_, err := sgx.Verify(v, o, e, dcap.Input{Collateral: c, Options: dcap.Options{At: today()}})
	return err
}
