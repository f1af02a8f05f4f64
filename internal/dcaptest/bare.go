package dcaptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/assay-attestation/assay/internal/benchtest"
)

// The P-256 verifications of a quote that nobody can do without (sgx-tdx.md section 13).
const (
	NeededCold       = 13 // PCK chain 3, CRLs 2, TCB info 3, QE identity 3, QE report, quote
	NeededCollateral = 3  // PCK certificate, QE report, quote
	NeededLeaf       = 2  // QE report, quote
)

// Case is what a benchmark measures, and how many P-256 verifications it needs at least.
type Case struct {
	Name   string
	Needed int
	Run    func() error
}

// Measure measures each case, and beside it the bare P-256 verifications that it needs. The metric x/bare is the ratio of the two,
// measured by turns.
func Measure(b *testing.B, cases []Case) {
	bare := newBare(b)
	for _, c := range cases {
		if err := c.Run(); err != nil {
			b.Fatalf("%s: %v", c.Name, err)
		}
		b.Run(c.Name+"/verify", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = c.Run()
			}
			b.ReportMetric(benchtest.Ratio(401, func() { _ = c.Run() }, func() { bare(c.Needed) }), "x/bare")
		})
		b.Run(c.Name+"/bare", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bare(c.Needed)
			}
		})
	}
}

// newBare gives a function that makes n P-256 verifications of a digest.
func newBare(b *testing.B) func(n int) {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("a quote"))
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	return func(n int) {
		for range n {
			ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature)
		}
	}
}
