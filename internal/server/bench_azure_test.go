package server_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"

	"github.com/assay-attestation/assay/internal/provider"
)

// BenchmarkAzureGuestOverHTTPS is BenchmarkGuestOverHTTPS for Azure guests: those of the vectors, whose SEV-SNP chain is remembered. Beside the token's signature
// nobody can do without two verifications on P-384, of the report and of the intermediate certificate of the vTPM, three by RSA-2048, of quote,
// certification and certificate, and one encryption, of the answer's key; with trusted launch there is no report.
func BenchmarkAzureGuestOverHTTPS(b *testing.B) {
	for name, tt := range map[string]struct {
		id     string
		needed verifications
	}{
		"snp": {"az-cpp-linux-snp", verifications{p384: 2}}, "trustedlaunch": {"az-cpp-linux-trustedlaunch", verifications{p384: 1}},
	} {
		b.Run(name, func(b *testing.B) {
			c := findAzure(b, tt.id)
			s := start(b, c.config(b, "", minimal(b), provider.Settings{}))
			defer s.stop()
			bare, vtpm := tt.needed.bare(b), vtpmPrimitives(b)
			connect(b, s, azurePath, body{"AttestationInfo": b64url([]byte(text(c.information(b))))}).measure(b, func() { bare(); vtpm() })
		})
	}
}

// vtpmPrimitives verifies three signatures by RSA-2048 and encrypts a key.
func vtpmPrimitives(b *testing.B) func() {
	b.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	quote, inner := make([]byte, 128), make([]byte, 32)
	digest := sha256.Sum256(quote)
	sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	return func() {
		for range 3 {
			if rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum(crypto.SHA256, quote), sig) != nil {
				b.Fatal("a bare verification failed")
			}
		}
		//lint:ignore SA1019 what the clients of Azure guests open (azure-guest.md section 4)
		if _, err := rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, inner); err != nil { //nolint:staticcheck // what clients open
			b.Fatal(err)
		}
	}
}
