package issuer

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"time"

	"github.com/assay-attestation/assay/result"
)

// certify makes the instance certificate of a key: self-signed, subject and issuer CN=<iss>, serial number 1, basic
// constraints without CA, equal key identifiers, no other extension.
//
// Its validity is the one recorded (tokens.md section 3.1) and says nothing about the key's age: relying parties take
// the certificate as a container for the key and trust it for where they fetched it. With a fixed window and a
// signature by RSASSA-PKCS1-v1_5, key and URL give the same certificate every time. It returns the end of the validity too.
func certify(key *rsa.PrivateKey, issuer string) (result.PublishedKey, time.Time, error) {
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return result.PublishedKey{}, time.Time{}, err
	}
	name, err := commonName(issuer)
	if err != nil {
		return result.PublishedKey{}, time.Time{}, err
	}
	digest := sha256.Sum256(spki)
	keyID := digest[:20] // any value that is the key's own will do (RFC 5280 section 4.2.1.2)
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		RawSubject:            name,
		NotBefore:             validFrom(),
		NotAfter:              validUntil(),
		BasicConstraintsValid: true,
		SubjectKeyId:          keyID,
		AuthorityKeyId:        keyID,
		SignatureAlgorithm:    x509.SHA256WithRSA,
	}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		return result.PublishedKey{}, time.Time{}, err
	}
	return result.PublishedKey{KeyID: result.KeyID(spki), Chain: [][]byte{der}}, template.NotAfter, nil
}

// commonName is the DER of a name with the one attribute commonName, as UTF8String like the recorded ones. Package
// pkix would write a PrintableString.
func commonName(text string) ([]byte, error) {
	type attribute struct {
		Type  asn1.ObjectIdentifier
		Value string `asn1:"utf8"`
	}
	type attributeSET []attribute
	return asn1.Marshal([]attributeSET{{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: text}}})
}
