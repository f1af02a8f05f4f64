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
