package swtpmtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"
)

// CA certifies attestation keys without asking anything.
type CA struct {
	Certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewCA makes a CA that is in force now.
func NewCA(t testing.TB) *CA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "AIK CA of a test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	ca := &CA{key: key}
	if ca.Certificate, err = x509.ParseCertificate(ca.sign(t, c, c, key.Public())); err != nil {
		t.Fatal(err)
	}
	return ca
}

// Certify issues the certificate of an attestation key, DER.
func (ca *CA) Certify(t testing.TB, aik crypto.PublicKey) []byte {
	t.Helper()
	return ca.certify(t, aik, x509.KeyUsageDigitalSignature, 3)
}

// CertifyEK issues the certificate of an endorsement key on a curve, DER.
func (ca *CA) CertifyEK(t testing.TB, ek crypto.PublicKey) []byte {
	t.Helper()
	return ca.certify(t, ek, x509.KeyUsageKeyAgreement, 1)
}

// certify issues a certificate for a purpose of the TCG, the last number of its extended key usage.
func (ca *CA) certify(t testing.TB, key crypto.PublicKey, usage x509.KeyUsage, purpose int) []byte {
	t.Helper()
	return ca.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "key of a TPM"}, KeyUsage: usage,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), UnknownExtKeyUsage: []asn1.ObjectIdentifier{{2, 23, 133, 8, purpose}},
	}, ca.Certificate, key)
}

func (ca *CA) sign(t testing.TB, c, parent *x509.Certificate, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
