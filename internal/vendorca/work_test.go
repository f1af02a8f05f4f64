package vendorca_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/vendorca"
)

// hugeKey is a CA that says that it signed itself with an RSA key of 60000 bits: to check that takes more than a second.
func hugeKey(t *testing.T, now time.Time) []byte {
	t.Helper()
	modulus, signature := make([]byte, 7500), make([]byte, 7500)
	rand.Read(modulus)
	rand.Read(signature[1:])
	modulus[0], modulus[len(modulus)-1] = 0xFF, 1
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "huge"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: 1<<31 - 1}, key)
	if err != nil {
		t.Fatal(err)
	}
	var parts struct {
		Signed, Algorithm asn1.RawValue
		Signature         asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &parts); err != nil {
		t.Fatal(err)
	}
	parts.Signature = asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	if der, err = asn1.Marshal(parts); err != nil {
		t.Fatal(err)
	}
	return der
}

func TestACertificateWithAHugeKeyIsLeftOutWithoutWork(t *testing.T) {
	now := time.Now()
	s := vendorca.New(now)
	var files [][]byte
	for range 6 {
		files = append(files, hugeKey(t, now))
	}
	begun := time.Now()
	for _, der := range files {
		if err := s.Add("huge.der", der); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("%d certificates took %s", len(files), took)
	}
	for _, e := range s.Entries {
		if e.Reason != vendorca.WeakKey {
			t.Errorf("%s: %s", e.Reason, e.Detail)
		}
	}
}
