package dcap

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
)

// The OID of Intel's SGX extension of PCK certificates, 1.2.840.113741.1.13.1, as text and as the content of a DER
// OBJECT IDENTIFIER (sgx-tdx.md section 4.3).
const (
	sgxExtension = "1.2.840.113741.1.13.1"
	sgxArc       = "\x2a\x86\x48\x86\xf8\x4d\x01\x0d\x01"
	tcbArc       = sgxArc + "\x02"
)

// Numbers of the elements, the last ones of their OIDs.
const (
	elementPPID    = 1
	elementTCB     = 2
	elementPCEID   = 3
	elementFMSPC   = 4
	elementSGXType = 5
	// Below the TCB the components are 1 to 16.
	elementPCESVN = 17
	elementCPUSVN = 18
)

// components is the number of component SVNs of a TCB.
const components = 16

// TCB is the security version of a platform as its PCK certificate states it.
type TCB struct {
	Components [components]uint8
	PCESVN     uint16
	CPUSVN     [16]byte
}

// PCKExtension is what the SGX extension of a PCK certificate says about the platform.
type PCKExtension struct {
	PPID  [16]byte
	TCB   TCB
	PCEID [2]byte
	FMSPC FMSPC
	// SGXType is 0 standard, 1 scalable, 2 scalable with integrity.
	SGXType int
}

// parsePCKExtension reads the SGX extension of a PCK certificate.
func parsePCKExtension(leaf *x509.Certificate) (PCKExtension, error) {
	oid := asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}
	i := slices.IndexFunc(leaf.Extensions, func(x pkixExtension) bool { return x.Id.Equal(oid) })
	if i < 0 {
		return PCKExtension{}, errors.New("no SGX extension (OID " + sgxExtension + ")")
	}
	return readPCKExtension(leaf.Extensions[i].Value)
}

// readPCKExtension reads the value of the extension. Its elements may come in any order, unknown ones are ignored;
// duplicates and missing ones are errors.
func readPCKExtension(der []byte) (PCKExtension, error) {
	var e PCKExtension
	top, err := readElements(der, sgxArc)
	if err != nil {
		return e, err
	}
	tcb, err := readElements(top[elementTCB].whole, tcbArc)
	if err != nil {
		return e, fmt.Errorf("element %d (TCB): %w", elementTCB, err)
	}
	err = errors.Join(
		top.octets(elementPPID, e.PPID[:]), top.octets(elementPCEID, e.PCEID[:]), top.octets(elementFMSPC, e.FMSPC[:]),
		tcb.octets(elementCPUSVN, e.TCB.CPUSVN[:]), e.TCB.read(tcb))
	if err != nil {
		return e, err
	}
	e.SGXType, err = top.number(elementSGXType, tagEnumerated, 127)
	return e, err
}

// read fills in the component SVNs and the PCESVN.
func (t *TCB) read(tcb elements) error {
	for i := range t.Components {
		n, err := tcb.number(i+1, tagInteger, 255)
		if err != nil {
			return err
		}
		t.Components[i] = uint8(n)
	}
	n, err := tcb.number(elementPCESVN, tagInteger, 65535)
	t.PCESVN = uint16(n)
	return err
}

// elements are the values of a SEQUENCE OF {OID, value} by the last number of their OID.
type elements [elementCPUSVN + 1]derValue

// readElements reads such a sequence. Elements whose OID is not arc and one more number are ignored, those with a
// number that nothing here asks for too.
func readElements(der []byte, arc string) (values elements, err error) {
	list, rest, err := cutDER(der)
	if err != nil || list.tag != tagSequence || len(rest) > 0 {
		return values, errors.New("SGX extension: expected one SEQUENCE")
	}
	for rest = list.content; len(rest) > 0; {
		var pair, id, value derValue
		pair, rest, err = cutDER(rest)
		if err != nil || pair.tag != tagSequence {
			return values, errors.New("SGX extension: an element is not a SEQUENCE")
		}
		id, inner, err := cutDER(pair.content)
		value, inner, err2 := cutDER(inner)
		if err != nil || err2 != nil || id.tag != tagOID || len(inner) > 0 {
			return values, errors.New("SGX extension: an element is not an OID and a value")
		}
		n, ok := below(arc, id.content)
		if !ok {
			continue
		}
		if values[n].whole != nil {
			return values, fmt.Errorf("SGX extension: element %d occurs twice", n)
		}
		values[n] = value
	}
	return values, nil
}

// below returns the number that oid has below arc, if it is one that elements can hold.
func below(arc string, oid []byte) (int, bool) {
	if len(oid) != len(arc)+1 || string(oid[:len(arc)]) != arc {
		return 0, false
	}
	n := int(oid[len(arc)])
	return n, n < len(elements{})
}

// octets copies an OCTET STRING of exactly len(dst) bytes into dst.
func (e *elements) octets(n int, dst []byte) error {
	if v := e[n]; v.tag != tagOctets || len(v.content) != len(dst) {
		return fmt.Errorf("SGX extension: element %d: expected an OCTET STRING of %d bytes, found %s", n, len(dst), v)
	}
	copy(dst, e[n].content)
	return nil
}

// number reads an INTEGER or ENUMERATED in 0…highest, which is at most 65535.
func (e *elements) number(n int, tag byte, highest int) (int, error) {
	v := e[n]
	value, ok := v.unsigned()
	if v.tag != tag || !ok || value > highest {
		return 0, fmt.Errorf("SGX extension: element %d: expected a number from 0 to %d, found %s", n, highest, v)
	}
	return value, nil
}
