package assaytest

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// crlURL is where certificates say that their CRL is: a name that leads nowhere, for nobody should follow it.
const crlURL = "https://simulated-intel.invalid/IntelSGXRootCA.der"

// profile is what tells the certificates of Intel apart (sgx-tdx.md section 4.1).
type profile struct {
	commonName string
	serial     int64
	pathLen    int // below 0: not a CA
}

// certificateProfile returns the profile of r.
func certificateProfile(r Role) profile {
	switch r {
	case Root:
		return profile{"Intel SGX Root CA", 1001, 1}
	case ProcessorCA:
		return profile{"Intel SGX PCK Processor CA", 1002, 0}
	case PlatformCA:
		return profile{"Intel SGX PCK Platform CA", 1003, 0}
	case TCBSigning:
		return profile{"Intel SGX TCB Signing", 1004, -1}
	case ForgedPCK:
		return profile{"Intel SGX PCK Certificate", 1006, -1}
	}
	return profile{"Intel SGX PCK Certificate", 1005, -1}
}

// issuer returns who signs the certificate of r; the root signs its own.
func (s *Scenario) issuer(r Role) Role {
	switch r {
	case PCK:
		return s.Platform.CA
	case ForgedPCK:
		return PCK
	}
	return Root
}

// intelName returns the name of Intel under the common name given.
func intelName(commonName string) pkix.Name {
	return pkix.Name{
		CommonName: commonName, Organization: []string{"Intel Corporation"},
		Locality: []string{"Santa Clara"}, Province: []string{"CA"}, Country: []string{"US"},
	}
}

// template returns what the certificate of in's role r will say.
func (s *Scenario) template(in *Intel, r Role) (*x509.Certificate, error) {
	p := certificateProfile(r)
	c := &x509.Certificate{
		SerialNumber:          big.NewInt(p.serial),
		Subject:               intelName(p.commonName),
		NotBefore:             time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment,
		SubjectKeyId:          in.keyID(r),
		CRLDistributionPoints: []string{crlURL},
	}
	if p.pathLen >= 0 {
		c.IsCA, c.MaxPathLen, c.MaxPathLenZero = true, p.pathLen, p.pathLen == 0
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	if r == PCK || r == ForgedPCK {
		ext, err := s.sgxExtension()
		if err != nil {
			return nil, err
		}
		c.ExtraExtensions = []pkix.Extension{ext}
	}
	if s.Edit.Certificate != nil {
		s.Edit.Certificate(r, c)
	}
	return c, nil
}

// keyID returns the subject key identifier of r.
func (in *Intel) keyID(r Role) []byte {
	sum := sha256.Sum256(in.publicKey(r))
	return sum[:20]
}

// certificate issues the certificate of in's role r, DER.
func (s *Scenario) certificate(in *Intel, r Role) ([]byte, error) {
	c, err := s.template(in, r)
	if err != nil {
		return nil, err
	}
	up := s.issuer(r)
	parent, err := s.template(in, up)
	if err != nil {
		return nil, err
	}
	key := s.signer(r.Certificate(), in, up).key()
	der, err := x509.CreateCertificate(nil, c, asIssuer(parent.Subject, parent.SubjectKeyId), in.keys[r].private.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("issuing the certificate of %s: %w", r, err)
	}
	return s.edit(r.Certificate(), der), nil
}

// asIssuer gives name and key identifier the form in which crypto/x509 takes an issuer. Whether that may issue, and
// whose key it really is, is left open: attacks are made here too.
func asIssuer(name pkix.Name, keyID []byte) *x509.Certificate {
	return &x509.Certificate{
		Subject:      name,
		SubjectKeyId: keyID,
		KeyUsage:     x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

// chain returns the certificates of in's roles in PEM: leaf, LF, root, LF.
func (s *Scenario) chain(in *Intel, roles ...Role) ([]byte, error) {
	var b bytes.Buffer
	for _, r := range roles {
		der, err := s.certificate(in, r)
		if err != nil {
			return nil, err
		}
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	return b.Bytes(), nil
}

// Element is a member of the SGX extension: an object identifier below 1.2.840.113741.1.13.1 and a value that
// encoding/asn1 can marshal.
type Element struct {
	ID    asn1.ObjectIdentifier
	Value any
}

// sgxOID returns the object identifier of the SGX extension, or of an element below it.
func sgxOID(below ...int) asn1.ObjectIdentifier {
	return append(asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}, below...)
}

// sgxExtension encodes the extension of the PCK certificate (sgx-tdx.md section 4.3).
func (s *Scenario) sgxExtension() (pkix.Extension, error) {
	elements := s.Platform.elements()
	if s.Edit.Extension != nil {
		elements = s.Edit.Extension(elements)
	}
	der, err := asn1.Marshal(elements)
	if err != nil {
		return pkix.Extension{}, fmt.Errorf("encoding the SGX extension: %w", err)
	}
	return pkix.Extension{Id: sgxOID(), Value: der}, nil
}

// elements returns the members of the SGX extension in the order of their suffixes.
func (p Platform) elements() []Element {
	kind := asn1.Enumerated(0) // standard
	if p.CA == PlatformCA {
		kind = 1 // scalable
	}
	elements := []Element{
		{sgxOID(1), p.PPID[:]},
		{sgxOID(2), p.tcb()},
		{sgxOID(3), p.PCEID[:]},
		{sgxOID(4), p.FMSPC[:]},
		{sgxOID(5), kind},
	}
	if p.CA != PlatformCA {
		return elements
	}
	configuration := []Element{{sgxOID(7, 1), true}, {sgxOID(7, 2), false}, {sgxOID(7, 3), true}}
	return append(elements, Element{sgxOID(6), p.InstanceID[:]}, Element{sgxOID(7), configuration})
}

func (p Platform) tcb() []Element {
	var tcb []Element
	for i, svn := range p.SVN {
		tcb = append(tcb, Element{sgxOID(2, i+1), int(svn)})
	}
	return append(tcb, Element{sgxOID(2, 17), int(p.PCESVN)}, Element{sgxOID(2, 18), p.CPUSVN[:]})
}

// crl issues the revocation list of the endorser's role ca, DER. Part p is PCKCRL or RootCRL.
func (s *Scenario) crl(p Part, ca Role) ([]byte, error) {
	signer := s.signer(p, s.Endorser, ca)
	issuer := asIssuer(intelName(certificateProfile(signer.Role).commonName), signer.By.keyID(signer.Role))
	list := &x509.RevocationList{
		Number:                    big.NewInt(1),
		ThisUpdate:                s.issued(),
		NextUpdate:                s.expires(),
		RevokedCertificateEntries: s.revokedBy(ca),
	}
	if ca == Root {
		list.NextUpdate = s.issued().AddDate(1, 0, 0)
	}
	if s.Edit.CRL != nil {
		s.Edit.CRL(p, list)
	}
	der, err := x509.CreateRevocationList(nil, list, issuer, signer.key())
	if err != nil {
		return nil, fmt.Errorf("issuing the %s: %w", p, err)
	}
	return s.edit(p, der), nil
}

// revokedBy lists the revoked certificates among those that ca has issued.
func (s *Scenario) revokedBy(ca Role) []x509.RevocationListEntry {
	var entries []x509.RevocationListEntry
	for _, r := range s.Revoked {
		if s.issuer(r) == ca {
			entries = append(entries, x509.RevocationListEntry{
				SerialNumber:   big.NewInt(certificateProfile(r).serial),
				RevocationTime: s.issued(),
				ReasonCode:     1, // key compromise
			})
		}
	}
	return entries
}
