package tpm

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// withSubjectAltName gives a copy of the certificate in which a critical subjectAltName counts as understood, if it holds
// directory names and nothing else (maker, model and version of the TPM). Every other extension stays as it was. An
// error names those that are critical and not understood.
func withSubjectAltName(c *x509.Certificate) (*x509.Certificate, error) {
	understood := *c
	understood.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(c.UnhandledCriticalExtensions), isSubjectAltName)
	if len(understood.UnhandledCriticalExtensions) > 0 {
		return nil, fmt.Errorf("extension %v", understood.UnhandledCriticalExtensions[0])
	}
	if len(c.UnhandledCriticalExtensions) > 0 {
		if _, err := directoryNames(c); err != nil {
			return nil, fmt.Errorf("subjectAltName: %w", err)
		}
	}
	return &understood, nil
}

func isSubjectAltName(id asn1.ObjectIdentifier) bool {
	return id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17})
}

// directoryNames reads the subjectAltName, which must hold at least one name and directory names only.
func directoryNames(c *x509.Certificate) ([]pkix.RDNSequence, error) {
	i := slices.IndexFunc(c.Extensions, func(e pkix.Extension) bool { return isSubjectAltName(e.Id) })
	if i < 0 {
		return nil, errors.New("not there")
	}
	in := cryptobyte.String(c.Extensions[i].Value)
	var names cryptobyte.String
	if !in.ReadASN1(&names, cbasn1.SEQUENCE) || !in.Empty() || names.Empty() {
		return nil, errors.New("not a list of names")
	}
	var all []pkix.RDNSequence
	for !names.Empty() {
		name, err := directoryName(&names)
		if err != nil {
			return nil, err
		}
		all = append(all, name)
	}
	return all, nil
}

func directoryName(names *cryptobyte.String) (pkix.RDNSequence, error) {
	var inner cryptobyte.String
	if !names.ReadASN1(&inner, cbasn1.Tag(4).Constructed().ContextSpecific()) {
		return nil, errors.New("not a directory name")
	}
	var name pkix.RDNSequence
	if rest, err := asn1.Unmarshal(inner, &name); err != nil || len(rest) > 0 || len(name) == 0 {
		return nil, errors.New("an empty or malformed directory name")
	}
	return name, nil
}

// Maker is what the certificate of an endorsement key says of its TPM in the subjectAltName (tpm-evidence.md section 3).
type Maker struct{ Manufacturer, Model, Version string }

// MakerOf reads it; what the certificate does not say is empty. Nothing of it is believed before the certificate is verified.
func MakerOf(c *x509.Certificate) Maker {
	names, err := directoryNames(c)
	if err != nil {
		return Maker{}
	}
	var m Maker
	members := []*string{1: &m.Manufacturer, 2: &m.Model, 3: &m.Version} // 2.23.133.2.1 to 3
	for _, name := range names {
		for _, set := range name {
			for _, attribute := range set {
				text, ok := attribute.Value.(string)
				if i, known := makerAttribute(attribute.Type); ok && known {
					*members[i] = text
				}
			}
		}
	}
	return m
}

// makerAttribute gives the last number of the TCG's attributes of a TPM.
func makerAttribute(id asn1.ObjectIdentifier) (int, bool) {
	if len(id) != 5 || !id[:4].Equal(asn1.ObjectIdentifier{2, 23, 133, 2}) || id[4] < 1 || id[4] > 3 {
		return 0, false
	}
	return id[4], true
}
