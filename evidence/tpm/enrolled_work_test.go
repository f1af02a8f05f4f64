package tpm

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"
)

// sentBy is a chain of one CA, with a key that the function makes, and an endorsement certificate that says it is signed by it.
func sentBy(t *testing.T, root *x509.Certificate, key, ca *rsa.PublicKey) (leaf []byte, chain [][]byte) {
	t.Helper()
	signer, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(serial int64, name string, issuer *x509.Certificate, public any) []byte {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			IsCA: name == "ca", BasicConstraintsValid: true, KeyUsage: x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, issuer, public, signer)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	for i := range MaxSentCertificates {
		chain = append(chain, issue(int64(i+1), "ca", &x509.Certificate{RawSubject: root.RawSubject}, ca))
	}
	var parts struct {
		Signed, Algorithm asn1.RawValue
		Signature         asn1.BitString
	}
	if _, err := asn1.Unmarshal(issue(99, "ek", &x509.Certificate{Subject: pkix.Name{CommonName: "ca"}}, key), &parts); err != nil {
		t.Fatal(err)
	}
	parts.Signature.Bytes = append([]byte{0}, big.NewInt(0).Lsh(big.NewInt(1), uint(ca.N.BitLen()-9)).Bytes()...)
	parts.Signature.BitLength = 8 * len(parts.Signature.Bytes)
	if leaf, err = asn1.Marshal(parts); err != nil {
		t.Fatal(err)
	}
	return leaf, chain
}

// TestAChainOfHugeKeysIsRefusedWithoutWork: whoever may enrol may send one, and no root need have signed it.
func TestAChainOfHugeKeysIsRefusedWithoutWork(t *testing.T) {
	root, _ := labLeaf(t, func(*x509.Certificate) {})
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	modulus := make([]byte, 7500)
	rand.Read(modulus)
	modulus[0], modulus[len(modulus)-1] = 0xFF, 1
	leaf, chain := sentBy(t, root, &key.PublicKey, &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: 1<<31 - 1})
	roots, err := NewRoots([]Root{{Certificate: root}}, nil).WithIntermediates(chain)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if _, err := roots.VerifyEK(leaf, begun); err == nil {
		t.Error("accepted")
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("took %s", took)
	}
}
