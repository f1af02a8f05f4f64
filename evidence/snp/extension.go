package snp

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
)

// amdArc begins the OIDs of AMD's extensions (sev-snp.md section 2).
const amdArc = "1.3.6.1.4.1.3704.1."

// What follows amdArc in the OIDs of the extensions. Security patch levels have 3 and a number.
const (
	extStructVersion = "1"
	extProduct       = "2"
	extHardwareID    = "4"
	extCSPID         = "5"
)

// maxStructVersion is the newest version of the extensions that is known: Turin's.
const maxStructVersion = 1

// extensions are the values of AMD's extensions by what follows amdArc in their OIDs. A certificate with two of one OID has not been parsed.
type extensions map[string]cryptobyte.String

func amdExtensions(cert *x509.Certificate) extensions {
	values := extensions{}
	for _, x := range cert.Extensions {
		if name, ok := strings.CutPrefix(x.Id.String(), amdArc); ok {
			values[name] = x.Value
		}
	}
	return values
}

// read fills in what the extensions of a certificate of s.Kind and s.Product say about the key.
func (s *Signer) read(x extensions) error {
	if version, err := x.integer(extStructVersion, maxStructVersion); err != nil {
		return fmt.Errorf("structure version %d: %w", version, err)
	}
	var err error
	if s.tcb, err = x.tcb(s.Product); err != nil {
		return err
	}
	s.TCB = s.Product.Components(s.tcb)
	if s.Kind == VLEK {
		s.CSPID, err = x.text(extCSPID)
		return errors.Join(err, x.absent(extHardwareID))
	}
	s.HardwareID, err = x.hardwareID(s.Product.HardwareIDSize())
	return errors.Join(err, x.absent(extCSPID))
}

// tcb puts the security patch levels together as a report of the product has them. Spare ones may be missing, all others are there.
func (x extensions) tcb(p Product) (t TCB, err error) {
	layout, ok := p.layout()
	if !ok {
		return t, fmt.Errorf("the TCB of product %q is not known", p)
	}
	for i, spl := range layout {
		name := fmt.Sprintf("3.%d", spl)
		if splSpare4 <= spl && spl <= splSpare7 && x[name] == nil {
			continue
		}
		if t[i], err = x.integer(name, 255); err != nil {
			return t, err
		}
	}
	return t, nil
}

// integer reads an INTEGER from 0 to highest.
func (x extensions) integer(name string, highest uint64) (uint8, error) {
	value, number := x[name], uint64(0)
	if !value.ReadASN1Integer(&number) || number > highest || !value.Empty() {
		return 0, x.unfit(name, fmt.Sprintf("an INTEGER from 0 to %d", highest))
	}
	return uint8(number), nil
}

// text reads an IA5String that is not empty.
func (x extensions) text(name string) (string, error) {
	value, content := x[name], cryptobyte.String(nil)
	notPrintable := func(r rune) bool { return r < ' ' || r > '~' }
	if !value.ReadASN1(&content, tag.IA5String) || !value.Empty() || len(content) == 0 || strings.ContainsFunc(string(content), notPrintable) {
		return "", x.unfit(name, "an IA5String")
	}
	return string(content), nil
}

// hardwareID reads the id of a chip of n bytes: raw, or in an OCTET STRING.
func (x extensions) hardwareID(n int) ([]byte, error) {
	value := x[extHardwareID]
	if len(value) == n {
		return value, nil
	}
	var content cryptobyte.String
	if !value.ReadASN1(&content, tag.OCTET_STRING) || !value.Empty() || len(content) != n {
		return nil, x.unfit(extHardwareID, fmt.Sprintf("%d bytes, raw or in an OCTET STRING", n))
	}
	return content, nil
}

// absent refuses an extension that belongs to the other kind of certificate.
func (x extensions) absent(name string) error {
	if x[name] != nil {
		return fmt.Errorf("extension %s%s does not belong in this kind of certificate", amdArc, name)
	}
	return nil
}

// unfit says that an extension is missing or not what is expected.
func (x extensions) unfit(name, expected string) error {
	if x[name] == nil {
		return fmt.Errorf("extension %s%s is missing, expected %s", amdArc, name, expected)
	}
	return fmt.Errorf("extension %s%s: expected %s, found %d other bytes", amdArc, name, expected, len(x[name]))
}
