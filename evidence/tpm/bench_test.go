package tpm

import (
	"crypto"
	"crypto/rsa"
	"testing"
	"time"
)

// BenchmarkVerifyQuote measures reading and verifying a quote of all PCRs, and beside it the bare RSA verification that
// nobody can do without. The metric x/bare is the ratio of the two, measured by turns.
func BenchmarkVerifyQuote(b *testing.B) {
	key, q := rsaKey(b), newQuote(allPCRs(SHA256))
	attest := q.bytes()
	sig := signTPM(b, key, rsassa, SHA256, attest)
	in := QuoteInput{Key: key.Public(), ExtraData: q.extra, PCRs: q.banks, Required: 1<<24 - 1}
	quote := func() {
		if a, err := ParseAttest(attest, sig); err != nil {
			b.Fatal(err)
		} else if _, err := a.VerifyQuote(in); err != nil {
			b.Fatal(err)
		}
	}
	bare := func() {
		if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, SHA256.Sum(attest), sig[6:]); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("quote", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			quote()
		}
		b.ReportMetric(ratio(quote, bare), "x/bare")
	})
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			bare()
		}
	})
}

// ratio measures two functions by turns, so that the machine's moods hit both.
func ratio(f, g func()) float64 {
	const turns, runs = 50, 20
	var times [2]time.Duration
	for range turns {
		for i, work := range []func(){f, g} {
			start := time.Now()
			for range runs {
				work()
			}
			times[i] += time.Since(start)
		}
	}
	return float64(times[0]) / float64(times[1])
}
