package azureguest_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"

	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/internal/benchtest"
)

// BenchmarkGuest judges a confidential guest from its bundle to the key that the token is sealed to. The hardware report is verified once before:
// package snp measures it. Beside it, by turns, what nobody can do without: three verifications by RSA-2048, of quote, certification and
// certificate, one on P-384, of the intermediate certificate, and the hash of the log.
func BenchmarkGuest(b *testing.B) {
	c := named(b, "az-cpp-linux-snp")
	document, err := c.information(b)
	if err != nil {
		b.Fatal(err)
	}
	bundle, err := azureguest.Parse(document, limits())
	if err != nil {
		b.Fatal(err)
	}
	report, err := c.report(b, bundle.Proof)
	if err != nil {
		b.Fatal(err)
	}
	in, bare, intermediate := c.input(b, azureguest.Input{}), bareRSA(b), bareP384(b)
	log := newLab(b, "az-cpp-linux-snp").bytes(b, "TcgLogs")
	guest := func() {
		bundle, err := azureguest.Parse(bytes.Clone(document), limits())
		if err != nil {
			b.Fatal(err)
		}
		m, err := bundle.Verify(in)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := m.OnSNP(report); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		guest()
	}
	b.ReportMetric(benchtest.Ratio(401, guest, func() {
		for range 3 {
			bare()
		}
		intermediate()
		sha256.Sum256(log)
	}), "x/bare")
}

// bareRSA verifies a signature by RSA-2048 over as many bytes as a quote has.
func bareRSA(b *testing.B) func() {
	b.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	message := make([]byte, 128)
	digest := sha256.Sum256(message)
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	return func() {
		digest := sha256.Sum256(message)
		if rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], signature) != nil {
			b.Fatal("a bare verification failed")
		}
	}
}

// bareP384 verifies a signature on P-384 over as many bytes as a certificate has.
func bareP384(b *testing.B) func() {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	message := make([]byte, 800)
	digest := sha256.Sum256(message)
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	return func() {
		digest := sha256.Sum256(message)
		if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
			b.Fatal("a bare verification failed")
		}
	}
}
