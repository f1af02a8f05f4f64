package assaytest

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// amdCommonName is the name of the certificate of r (sev-snp.md section 2).
func amdCommonName(r AMDRole, p AMDProduct) string {
	switch r {
	case ARK:
		return "ARK-" + string(p)
	case ASK:
		return "SEV-" + string(p)
	case ASVK:
		return "SEV-VLEK-" + string(p)
	}
	return "SEV-" + string(r)
}

// amdSerial is the serial number of the certificate of r. AMD gives those of keys none but 0.
func amdSerial(r AMDRole) int64 {
	return map[AMDRole]int64{ARK: 0x10000, ASK: 0x10001, ASVK: 0x10101}[r]
}

// amdIssuer returns who signs the certificate of r; the ARK signs its own.
func amdIssuer(r AMDRole) AMDRole {
	switch r {
	case VCEK:
		return ASK
	case VLEK:
		return ASVK
	}
	return ARK
}

// amdName returns the name of AMD under the common name given.
func amdName(commonName string) pkix.Name {
	return pkix.Name{
		CommonName: commonName, Organization: []string{"Advanced Micro Devices"}, OrganizationalUnit: []string{"Engineering"},
		Locality: []string{"Santa Clara"}, Province: []string{"CA"}, Country: []string{"US"},
	}
}

// template returns what the certificate of r will say. Unlike AMD's, which hold for 25, 7 and 1 years, all are valid from 2020 to 2049.
func (s *AMDScenario) template(r AMDRole) (*x509.Certificate, error) {
	c := &x509.Certificate{
		SerialNumber:       big.NewInt(amdSerial(r)),
		Subject:            amdName(amdCommonName(r, s.Product)),
		NotBefore:          time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:           time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC),
		SignatureAlgorithm: x509.SHA384WithRSAPSS,
	}
	if r.isAuthority() {
		c.BasicConstraintsValid, c.IsCA = true, true
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		c.SubjectKeyId = s.amdKeyID(r)
		c.MaxPathLen, c.MaxPathLenZero = 1, false
		if r != ARK {
			c.MaxPathLen, c.MaxPathLenZero = 0, true
		}
	} else {
		extensions, err := s.extensions(r)
		if err != nil {
			return nil, err
		}
		c.ExtraExtensions = extensions
	}
	if s.Edit.Certificate != nil {
		s.Edit.Certificate(r, c)
	}
	return c, nil
}

// amdKeyID returns the subject key identifier of an authority.
func (s *AMDScenario) amdKeyID(r AMDRole) []byte {
	sum := sha256.Sum256([]byte(s.Vendor.seed + "/" + amdCommonName(r, s.Product)))
	return sum[:20]
}

// Certificate issues the certificate of r, DER.
func (s *AMDScenario) Certificate(r AMDRole) ([]byte, error) {
	c, err := s.template(r)
	if err != nil {
		return nil, err
	}
	signer := s.signer(r.Certificate(), amdIssuer(r))
	up := *s
	up.Product = signer.Product
	parent, err := up.template(signer.Role)
	if err != nil {
		return nil, err
	}
	public := s.keyOf(AMDSigner{s.Vendor, s.Product, r}).Public()
	der, err := x509.CreateCertificate(amdSalt(r), c, asIssuer(parent.Subject, parent.SubjectKeyId), public, s.keyOf(signer))
	if err != nil {
		return nil, fmt.Errorf("issuing the certificate of %s: %w", r, err)
	}
	return s.edit(r.Certificate(), der), nil
}

// amdSalt gives the salts of the signatures by which r is certified: like all that is random in a scenario they can be foreseen.
func amdSalt(r AMDRole) *stream { return newStream("salt of " + string(r)) }

// pem returns the certificate of r in PEM.
func (s *AMDScenario) pem(r AMDRole) ([]byte, error) {
	der, err := s.Certificate(r)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// ChainPEM returns the certificates that come with the report, in PEM.
func (s *AMDScenario) ChainPEM() ([]byte, error) {
	b, err := s.join(s.Chain...)
	return s.edit(SNPChain, b), err
}

func (s *AMDScenario) join(roles ...AMDRole) ([]byte, error) {
	var b bytes.Buffer
	for _, r := range roles {
		text, err := s.pem(r)
		if err != nil {
			return nil, err
		}
		b.Write(text)
	}
	return b.Bytes(), nil
}

// amdGUID names the certificate of r in a table (sev-snp.md section 2).
func amdGUID(r AMDRole) string {
	switch r {
	case VCEK:
		return "63da758de6644564adc5f4b93be8accd"
	case VLEK:
		return "a8074bc2a25a483eaae639c045a0b8a1"
	case ARK:
		return "c0b406a4a803495297433fb6014cd0ae"
	}
	return "4ab7b379bbac4fe4a02f05aef327c782" // ASVK, too: it is the one that signs
}

// Table returns the certificates that come with the report as the certificate table of an extended report, which Linux gives as auxblob.
func (s *AMDScenario) Table() ([]byte, error) {
	const entry = 24 // bytes
	var head, content []byte
	start := entry * (len(s.Chain) + 1)
	for _, r := range s.Chain {
		der, err := s.Certificate(r)
		if err != nil {
			return nil, err
		}
		guid, err := hex.DecodeString(amdGUID(r))
		if err != nil {
			return nil, err
		}
		head = append(head, guid...)
		head = binary.LittleEndian.AppendUint32(head, uint32(start+len(content)))
		head = binary.LittleEndian.AppendUint32(head, uint32(len(der)))
		content = append(content, der...)
	}
	head = append(head, make([]byte, entry)...) // the end
	return s.edit(SNPTable, append(head, content...)), nil
}

// amdOID returns the object identifier of an extension of AMD's.
func amdOID(below ...int) asn1.ObjectIdentifier {
	return append(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1}, below...)
}

// extensions encodes what the certificate of a key says about it (sev-snp.md section 2).
func (s *AMDScenario) extensions(r AMDRole) ([]pkix.Extension, error) {
	product, version := string(s.Product), 0
	switch {
	case s.Product == Turin:
		version = 1
	case s.Product == Milan && r == VCEK:
		product = "Milan-B0"
	}
	list := extensionList{}
	list.add(amdOID(1), version, "")
	list.add(amdOID(2), product, "ia5")
	list.addTCB(s.TCB, s.Product)
	switch {
	case r == VLEK:
		list.add(amdOID(5), s.CSPID, "ia5")
	case s.DERHardwareID:
		list.add(amdOID(4), s.hardwareID(), "")
	default:
		list.all = append(list.all, pkix.Extension{Id: amdOID(4), Value: s.hardwareID()})
	}
	return list.all, list.err
}

// extensionList collects extensions until one cannot be encoded.
type extensionList struct {
	all []pkix.Extension
	err error
}

func (l *extensionList) add(id asn1.ObjectIdentifier, value any, params string) {
	der, err := asn1.MarshalWithParams(value, params)
	if err != nil {
		l.err = fmt.Errorf("encoding extension %s: %w", id, err)
	}
	l.all = append(l.all, pkix.Extension{Id: id, Value: der})
}

// addTCB adds the security patch levels; the spare ones are zero.
func (l *extensionList) addTCB(t SNPTCB, p AMDProduct) {
	l.add(amdOID(3, 1), int(t.BootLoader), "")
	l.add(amdOID(3, 2), int(t.TEE), "")
	l.add(amdOID(3, 3), int(t.SNP), "")
	for spare := 4; spare <= 7; spare++ {
		if spare > 4 || p != Turin {
			l.add(amdOID(3, spare), 0, "")
		}
	}
	l.add(amdOID(3, 8), int(t.Microcode), "")
	if p == Turin {
		l.add(amdOID(3, 9), int(t.FMC), "")
	}
}

// RevocationList issues the revocation list of the product's ARK, DER.
func (s *AMDScenario) RevocationList() ([]byte, error) {
	issued := s.At.UTC().Truncate(time.Second).AddDate(0, 0, -1)
	list := &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: issued, NextUpdate: issued.AddDate(0, 0, 30), SignatureAlgorithm: x509.SHA384WithRSAPSS,
	}
	for _, r := range s.Revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: big.NewInt(amdSerial(r)), RevocationTime: issued, ReasonCode: 1, // key compromise
		})
	}
	if s.Edit.CRL != nil {
		s.Edit.CRL(list)
	}
	signer := s.signer(AMDCRL, ARK)
	issuer := asIssuer(amdName(amdCommonName(signer.Role, signer.Product)), s.amdKeyID(signer.Role))
	der, err := x509.CreateRevocationList(amdSalt("revocation list"), list, issuer, s.keyOf(signer))
	if err != nil {
		return nil, fmt.Errorf("issuing the revocation list: %w", err)
	}
	return s.edit(AMDCRL, der), nil
}
