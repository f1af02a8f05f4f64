package sgx_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/sgx"
)

// The P-256 verifications that nobody can do without (sgx-tdx.md section 13).
const (
	neededCold       = 13 // PCK chain 3, CRLs 2, TCB info 3, QE identity 3, QE report, quote
	neededCollateral = 3  // PCK certificate, QE report, quote
	neededLeaf       = 2  // QE report, quote
)

// BenchmarkVerify measures the verification of a quote from its bytes on, and beside it the bare P-256 verifications
// that it needs. The metric x/bare is the ratio of the two, measured by turns.
func BenchmarkVerify(b *testing.B) {
	w := newBench(b)
	for _, bm := range []struct {
		name   string
		needed int
		verify func() error
	}{
		{"cold", neededCold, w.cold},
		{"collateral cached", neededCollateral, w.collateralCached},
		{"leaf cached", neededLeaf, w.leafCached},
	} {
		if err := bm.verify(); err != nil {
			b.Fatalf("%s: %v", bm.name, err)
		}
		b.Run(bm.name+"/verify", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = bm.verify()
			}
			b.ReportMetric(ratio(func() { _ = bm.verify() }, func() { w.bare(bm.needed) }), "x/bare")
		})
		b.Run(bm.name+"/bare", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.bare(bm.needed)
			}
		})
	}
}

// ratio compares the medians of f and g, run by turns so that both see the same machine.
func ratio(f, g func()) float64 {
	const turns = 401
	var times [2][]time.Duration
	for range turns {
		for i, run := range []func(){f, g} {
			start := time.Now()
			run()
			times[i] = append(times[i], time.Since(start))
		}
	}
	slices.Sort(times[0])
	slices.Sort(times[1])
	return float64(times[0][turns/2]) / float64(times[1][turns/2])
}

// bench holds what the benchmarks verify.
type bench struct {
	*lab
	roots      dcap.Roots
	quote      []byte
	unusual    []byte // the quote with a blank line behind its PCK chain: no verifier remembers that chain
	raw        map[string][]byte
	collateral dcap.Collateral

	key       *ecdsa.PrivateKey
	digest    [sha256.Size]byte
	signature []byte
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
	w.raw = filesOf(raw)
	e, err := sgx.Parse(w.quote)
	check(b, err)
	o, err := w.verifier.Trace(e.Quote, today(), nil)
	check(b, err)
	w.collateral, err = load(w.verifier, o, w.raw)
	check(b, err)
	w.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(b, err)
	w.digest = sha256.Sum256(w.quote)
	w.signature, err = ecdsa.SignASN1(rand.Reader, w.key, w.digest[:])
	check(b, err)
	return w
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// bare makes n P-256 verifications of a digest.
func (w *bench) bare(n int) {
	for range n {
		ecdsa.VerifyASN1(&w.key.PublicKey, w.digest[:], w.signature)
	}
}

// cold knows nothing yet: it checks every certificate and every document.
func (w *bench) cold() error {
	v := dcap.NewVerifier(w.roots)
	e, o, err := trace(v, w.quote)
	if err != nil {
		return err
	}
	c, err := load(v, o, w.raw)
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
