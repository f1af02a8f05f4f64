package snp_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/internal/benchtest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

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

// BenchmarkVerify verifies a real report whose signer is known (warm), and one whose chain has to be read and followed first (cold).
// Beside each stand the bare verifications that it needs: that of the report on P-384, and for the chain two by RSA-4096.
func BenchmarkVerify(b *testing.B) {
	s, report, certificate := newSample(b), bareReport(b), bareCertificate(b)
	known, err := s.trace()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("warm", func(b *testing.B) {
		measure(b, func() error { return s.verify(known) }, report)
	})
	b.Run("cold", func(b *testing.B) {
		cold := func() error {
			signer, err := s.trace()
			if err != nil {
				return err
			}
			return s.verify(signer)
		}
		measure(b, cold, func() bool { return report() && certificate() && certificate() })
	})
}

// measure measures work, and by turns with it the bare verifications.
func measure(b *testing.B, work func() error, bare func() bool) {
	b.Helper()
	run := func() {
		if err := work(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		run()
	}
	b.ReportMetric(benchtest.Ratio(401, run, func() {
		if !bare() {
			b.Fatal("a bare verification failed")
		}
	}), "x/bare")
}

// bareReport verifies a signature on P-384 over as many bytes as a report has signed.
func bareReport(b *testing.B) func() bool {
	key, message := newLab(b, "Milan").key, make([]byte, 672)
	digest := sha512.Sum384(message)
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	return func() bool {
		digest := sha512.Sum384(message)
		return ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature)
	}
}

// bareCertificate verifies a signature by RSA-4096 over as many bytes as a certificate has.
func bareCertificate(b *testing.B) func() bool {
	key, err := rsa.GenerateKey(rand.Reader, 4096)
	if err != nil {
		b.Fatal(err)
	}
	message := make([]byte, 1000)
	digest := sha512.Sum384(message)
	signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA384, digest[:], nil)
	if err != nil {
		b.Fatal(err)
	}
	return func() bool {
		digest := sha512.Sum384(message)
		return rsa.VerifyPSS(&key.PublicKey, crypto.SHA384, digest[:], signature, nil) == nil
	}
}

// BenchmarkAMDRoots is what the embedded certificates cost once.
func BenchmarkAMDRoots(b *testing.B) {
	for b.Loop() {
		snp.AMDRoots()
	}
}
