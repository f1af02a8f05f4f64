package enrol

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/seal"
)

// Validity is how long a certificate of an attestation key is valid, and backdate how far before its making it begins: clocks differ.
const (
	Validity = 90 * 24 * time.Hour
	backdate = 5 * time.Minute
)

// Authority is the CA of a provider for attestation keys, ECDSA P-256. Equal sealing keys make the same one, byte for byte.
type Authority struct {
	Certificate *x509.Certificate // self-signed
	key         *ecdsa.PrivateKey
}

// Authority gives the CA of a provider, by its id, which no other provider ever has. Its certificate is valid from 2019 to 2050, as those of
// the CA for reports: it ends with the sealing key and the provider.
func (e *Enroller) Authority(providerID string) (*Authority, error) {
	key, err := seal.P256(e.key.Derive, "aik authority "+providerID)
	if err != nil {
		return nil, fmt.Errorf("the AIK CA: %w", err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(spki)
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Assay AIK CA of provider " + providerID}, SerialNumber: big.NewInt(1), SubjectKeyId: digest[:20],
		NotBefore: time.Date(2019, 5, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2050, 12, 31, 23, 59, 59, 0, time.UTC),
		IsCA: true, MaxPathLenZero: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, SignatureAlgorithm: x509.ECDSAWithSHA256,
	}
	// Without randomness, ECDSA signatures are those of RFC 6979: the same every time.
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making the AIK CA: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	return &Authority{cert, key}, err
}

// Issue makes the certificate of an attestation key that was activated, valid from now on for Validity.
func (a *Authority) Issue(c *Activated, now time.Time) (*x509.Certificate, error) {
	serial, err := hex.DecodeString(c.ID)
	if err != nil {
		return nil, fmt.Errorf("the id of a certificate: %w", err)
	}
	name, err := c.Device.altName()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial), NotBefore: now.Add(-backdate).Truncate(time.Second), NotAfter: now.Add(Validity).Truncate(time.Second),
		KeyUsage: x509.KeyUsageDigitalSignature, UnknownExtKeyUsage: []asn1.ObjectIdentifier{{2, 23, 133, 8, 3}},
		BasicConstraintsValid: true, SignatureAlgorithm: x509.ECDSAWithSHA256, ExtraExtensions: []pkix.Extension{name},
	}
	der, err := x509.CreateCertificate(nil, template, a.Certificate, c.AIK.Key, a.key)
	if err != nil {
		return nil, fmt.Errorf("certifying an attestation key: %w", err)
	}
	return x509.ParseCertificate(der)
}

// Device is what is known of a TPM, as the TCG's certificates name it. The zero value stands for a TPM of which nothing is known.
type Device struct{ Manufacturer, Model, Version string }

// DeviceOf reads the name in a verified certificate of an endorsement key.
func DeviceOf(ek *x509.Certificate) Device {
	d := tpm.DeviceName(ek)
	return Device{d[0], d[1], d[2]}
}

// unknown stands where the certificate of the endorsement key says nothing, or there is none.
const unknown = "unknown"

// altName is the critical subjectAltName that stands for the subject: one directory name of manufacturer, model and version.
func (d Device) altName() (pkix.Extension, error) {
	var name pkix.RDNSequence
	for i, text := range []string{d.Manufacturer, d.Model, d.Version} {
		if text == "" {
			text = unknown
		}
		name = append(name, pkix.RelativeDistinguishedNameSET{{Type: asn1.ObjectIdentifier{2, 23, 133, 2, i + 1}, Value: text}})
	}
	der, err := asn1.Marshal(name)
	if err != nil {
		return pkix.Extension{}, fmt.Errorf("the name of a TPM: %w", err)
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.Tag(4).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(der) })
	})
	value, err := b.Bytes()
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: value}, err
}
