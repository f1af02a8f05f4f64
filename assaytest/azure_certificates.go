package assaytest

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"
)

// akPolicy is the certificate policy of Azure's attestation keys: 1.3.6.1.4.1.311.108.
func akPolicy() (x509.OID, error) { return x509.OIDFromInts([]uint64{1, 3, 6, 1, 4, 1, 311, 108}) }

// AKCertificate is the content of NV index 01C101D0 without padding: the certificate, DER, of an attestation key (azure-guest.md section 1). Unlike
// Azure's, which hold for nine months, it is valid from 2020 to 2049.
func (h *AzureHost) AKCertificate(ak *rsa.PublicKey) ([]byte, error) {
	template, err := h.akTemplate(ak)
	if err != nil {
		return nil, err
	}
	if h.Edit.Certificate != nil {
		h.Edit.Certificate(template)
	}
	name := pkix.Name{CommonName: tpmCertificateProfile(VTPMIssuer).commonName, Organization: vendorOrganization()}
	der, err := x509.CreateCertificate(nil, template, asIssuer(name, h.TPM.keyID(VTPMIssuer)), ak, h.signer(AzureAKCertificate, h.TPM.Key(VTPMIssuer, P256)))
	if err != nil {
		return nil, fmt.Errorf("issuing the certificate of an attestation key: %w", err)
	}
	return h.edit(AzureAKCertificate, der), nil
}

// akTemplate is what the certificate will say.
func (h *AzureHost) akTemplate(ak *rsa.PublicKey) (*x509.Certificate, error) {
	policy, err := akPolicy()
	if err != nil {
		return nil, err
	}
	vm, key := sha256.Sum256([]byte(h.VMID)), sha256.Sum256(ak.N.Bytes())
	key[0] &= 0x7F
	return &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(key[:16]),
		Subject:               pkix.Name{CommonName: fmt.Sprintf("%x.TrustedVM.Azure.windows.net", vm[:6])},
		NotBefore:             time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		UnknownExtKeyUsage:    []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 311, 10, 3, 12}, {2, 23, 133, 8, 3}},
		Policies:              []x509.OID{policy},
	}, nil
}
