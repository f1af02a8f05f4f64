package snp_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"slices"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// ratio is how many times as long work takes as base, at the median of turns that alternate.
func ratio(turns int, work, base func()) float64 {
	var times [2][]time.Duration
	for range turns {
		for i, run := range []func(){work, base} {
			start := time.Now()
			run()
			times[i] = append(times[i], time.Since(start))
		}
	}
	slices.Sort(times[0])
	slices.Sort(times[1])
	return float64(times[0][turns/2]) / float64(times[1][turns/2])
}

// sample is a real report with its chain.
type sample struct {
	report, chain []byte
	at            time.Time
	roots         snp.Roots
}

func newSample(b *testing.B) *sample {
	b.Helper()
	for _, c := range vectors(b) {
		if c.Leaf != nil && c.Expect == "accept" {
			return &sample{read(b, c.Report), read(b, c.Chain), c.At, snp.AMDRoots()}
		}
	}
	vectortest.NoCase(b, "real report that is accepted")
	return nil
}

// trace does all that a new platform asks for.
func (s *sample) trace() (*snp.Signer, error) {
	chain, err := snp.ParseChain(s.chain)
	if err != nil {
		return nil, err
	}
	return s.roots.Trace(chain, snp.Options{At: s.at})
}

// verify does all that a report asks for.
func (s *sample) verify(signer *snp.Signer) error {
	r, err := snp.ParseReport(s.report)
	if err == nil {
		_, err = snp.Verify(r, signer, snp.Options{At: s.at})
	}
	return err
}

// BenchmarkVerifyWarm verifies a report whose signer is known, and compares that with the one P-384 verification in it.
func BenchmarkVerifyWarm(b *testing.B) {
	s, key := newSample(b), newLab(b, "Milan").key
	signer, err := s.trace()
	if err != nil {
		b.Fatal(err)
	}
	digest := sha512.Sum384(s.report)
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	warm := func() {
		if err := s.verify(signer); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		warm()
	}
	b.ReportMetric(ratio(100, warm, func() { ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) }), "x/p384")
}

// BenchmarkVerifyCold reads and follows the chain too, and compares with three verifications by RSA-4096.
func BenchmarkVerifyCold(b *testing.B) {
	s := newSample(b)
	key, err := rsa.GenerateKey(rand.Reader, 4096)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha512.Sum384(s.report)
	signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA384, digest[:], nil)
	if err != nil {
		b.Fatal(err)
	}
	cold := func() {
		signer, err := s.trace()
		if err == nil {
			err = s.verify(signer)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	three := func() {
		for range 3 {
			if rsa.VerifyPSS(&key.PublicKey, crypto.SHA384, digest[:], signature, nil) != nil {
				b.Fatal("the signature does not verify")
			}
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		cold()
	}
	b.ReportMetric(ratio(100, cold, three), "x/3rsa4096")
}

// BenchmarkAMDRoots is what the embedded certificates cost once.
func BenchmarkAMDRoots(b *testing.B) {
	for b.Loop() {
		snp.AMDRoots()
	}
}
