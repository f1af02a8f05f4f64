package assaytest

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// tpmProfile is what tells the certificates of the vendor apart (tpm-evidence.md section 3).
type tpmProfile struct {
	commonName string // empty for keys of a TPM: their subject is in the alternative name
	serial     int64
	issuer     TPMRole
	pathLen    int // below 0: not a CA
	usage      x509.KeyUsage
	purpose    asn1.ObjectIdentifier
}

func tpmCertificateProfile(r TPMRole) tpmProfile {
	const ca = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	switch r {
	case EKRoot:
		return tpmProfile{"Simulated TPM EK Root CA", 2001, EKRoot, 1, ca, nil}
	case EKIssuer:
		return tpmProfile{"Simulated TPM EK Issuing CA", 2002, EKRoot, 0, ca, nil}
	case AIKRoot:
		return tpmProfile{"Simulated TPM AIK Root CA", 2003, AIKRoot, 0, ca, nil}
	case VTPMRoot:
		return tpmProfile{"Simulated Virtual TPM Root Certificate Authority", 2006, VTPMRoot, 1, ca, nil}
	case VTPMIssuer:
		return tpmProfile{"Simulated Virtual TPM CA - 01", 2007, VTPMRoot, 0, ca, nil}
	case EK:
		return tpmProfile{"", 2004, EKIssuer, -1, x509.KeyUsageKeyEncipherment, asn1.ObjectIdentifier{2, 23, 133, 8, 1}}
	}
	return tpmProfile{"", 2005, AIKRoot, -1, x509.KeyUsageDigitalSignature, asn1.ObjectIdentifier{2, 23, 133, 8, 3}}
}

// tpmTemplate returns what the certificate of r will say.
func (s *TPMScenario) tpmTemplate(v *TPMVendor, r TPMRole) (*x509.Certificate, error) {
	p := tpmCertificateProfile(r)
	c := &x509.Certificate{
		SerialNumber:          big.NewInt(p.serial),
		NotBefore:             time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC),
		BasicConstraintsValid: true,
		KeyUsage:              p.usage,
	}
	if p.pathLen >= 0 {
		c.IsCA, c.MaxPathLen, c.MaxPathLenZero = true, p.pathLen, p.pathLen == 0
		c.Subject = pkix.Name{CommonName: p.commonName, Organization: vendorOrganization()}
		c.SubjectKeyId = v.keyID(r)
	} else {
		name, err := tpmName()
		if err != nil {
			return nil, err
		}
		c.ExtraExtensions = []pkix.Extension{name}
		c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{p.purpose}
	}
	if r == EK && s.EKKind != RSA2048 {
		c.KeyUsage = x509.KeyUsageKeyAgreement
	}
	if s.Edit.Certificate != nil {
		s.Edit.Certificate(r, c)
	}
	return c, nil
}

// vendorOrganization is in the names of all authorities.
func vendorOrganization() []string {
	return []string{"Assay simulated TPM vendor, for development only"}
}

// keyID returns the subject key identifier of an authority.
func (v *TPMVendor) keyID(r TPMRole) []byte {
	sum := sha256.Sum256([]byte(v.seed + "/" + string(r)))
	return sum[:20]
}

// tpmName is the critical alternative name that stands for the subject of a key of a TPM: manufacturer, model and version.
func tpmName() (pkix.Extension, error) {
	var name pkix.RDNSequence
	for i, value := range []string{"id:41535359", "simulated", "id:00010002"} {
		id := asn1.ObjectIdentifier{2, 23, 133, 2, i + 1}
		name = append(name, pkix.RelativeDistinguishedNameSET{{Type: id, Value: value}})
	}
	der, err := asn1.Marshal(name)
	if err != nil {
		return pkix.Extension{}, fmt.Errorf("encoding the name of a TPM: %w", err)
	}
	directoryName := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: der}
	names, err := asn1.Marshal([]asn1.RawValue{directoryName})
	if err != nil {
		return pkix.Extension{}, fmt.Errorf("encoding the name of a TPM: %w", err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: names}, nil
}

// tpmCertificate issues the certificate of r, DER: the key is the machine's, or an authority's, the issuer is s.Certifier's.
func (s *TPMScenario) tpmCertificate(r TPMRole) ([]byte, error) {
	c, err := s.tpmTemplate(s.Certifier, r)
	if err != nil {
		return nil, err
	}
	issuer := tpmCertificateProfile(r).issuer
	parent, err := s.tpmTemplate(s.Certifier, issuer)
	if err != nil {
		return nil, err
	}
	kind, holder := P256, s.Certifier
	switch {
	case r == EK:
		kind, holder = s.EKKind, s.Vendor
	case issuer == AIKRoot && r != AIKRoot:
		kind, holder = s.AIKKind, s.Vendor
	}
	key := s.signer(r.Certificate(), s.Certifier.Key(issuer, P256))
	der, err := x509.CreateCertificate(nil, c, asIssuer(parent.Subject, parent.SubjectKeyId), holder.Key(r, kind).Public(), key)
	if err != nil {
		return nil, fmt.Errorf("issuing the certificate of %s: %w", r, err)
	}
	return s.edit(r.Certificate(), der), nil
}

// CertificatePEM returns the certificate of r in PEM, of an AIK the RSA one. The one of AIKRoot is what a verifier has to trust to
// accept attestations by machines of v; those of EKRoot and EKIssuer are for endorsement keys, those of VTPMRoot and VTPMIssuer for
// attestation keys of guests on a simulated Azure.
func (v *TPMVendor) CertificatePEM(r TPMRole) ([]byte, error) {
	der, err := v.Scenario().tpmCertificate(r)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
