package dcap

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
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
	tcb, err := readElements(top[elementTCB], tcbArc)
	if err != nil {
		return e, fmt.Errorf("element %d (TCB): %w", elementTCB, err)
	}
	return e, errors.Join(
		top.octets(elementPPID, e.PPID[:]), top.octets(elementPCEID, e.PCEID[:]), top.octets(elementFMSPC, e.FMSPC[:]),
		top.enumerated(elementSGXType, &e.SGXType), tcb.octets(elementCPUSVN, e.TCB.CPUSVN[:]), e.TCB.read(&tcb))
}

// read fills in the component SVNs and the PCESVN.
func (t *TCB) read(tcb *elements) error {
	for i := range t.Components {
		n, err := tcb.integer(i+1, math.MaxUint8)
		if err != nil {
			return err
		}
		t.Components[i] = uint8(n)
	}
	n, err := tcb.integer(elementPCESVN, math.MaxUint16)
	t.PCESVN = uint16(n)
	return err
}

// elements are the values of a SEQUENCE OF {OID, value}, in DER, by the last number of their OID; nil is none.
type elements [elementCPUSVN + 1]cryptobyte.String

// readElements reads such a sequence. Elements whose OID is not arc and one more number are ignored, those with a
// number that nothing here asks for too.
func readElements(der cryptobyte.String, arc string) (values elements, err error) {
	var list cryptobyte.String
	if !der.ReadASN1(&list, tag.SEQUENCE) || !der.Empty() {
		return values, errors.New("SGX extension: expected one SEQUENCE")
	}
	for !list.Empty() {
		var pair, oid, value cryptobyte.String
		if !list.ReadASN1(&pair, tag.SEQUENCE) || !pair.ReadASN1(&oid, tag.OBJECT_IDENTIFIER) ||
			!pair.ReadAnyASN1Element(&value, nil) || !pair.Empty() {
			return values, errors.New("SGX extension: an element is not a SEQUENCE of an OID and a value")
		}
		n, ok := below(arc, oid)
		if !ok {
			continue
		}
		if values[n] != nil {
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
	value, content := e[n], cryptobyte.String(nil)
	if !value.ReadASN1(&content, tag.OCTET_STRING) || len(content) != len(dst) {
		return e.unfit(n, fmt.Sprintf("an OCTET STRING of %d bytes", len(dst)))
	}
	copy(dst, content)
	return nil
}

// integer reads an INTEGER in 0…highest.
func (e *elements) integer(n int, highest uint64) (number uint64, err error) {
	value := e[n]
	if !value.ReadASN1Integer(&number) || number > highest {
		err = e.unfit(n, fmt.Sprintf("an INTEGER from 0 to %d", highest))
	}
	return number, err
}

// enumerated reads an ENUMERATED that is not negative.
func (e *elements) enumerated(n int, number *int) error {
	value := e[n]
	if !value.ReadASN1Enum(number) || *number < 0 {
		return e.unfit(n, "an ENUMERATED")
	}
	return nil
}

// unfit says that an element is missing or not what is expected.
func (e *elements) unfit(n int, expected string) error {
	if e[n] == nil {
		return fmt.Errorf("SGX extension: element %d is missing, expected %s", n, expected)
	}
	return fmt.Errorf("SGX extension: element %d: expected %s, found %d other bytes", n, expected, len(e[n]))
}
