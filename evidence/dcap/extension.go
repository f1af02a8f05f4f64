package dcap

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
)

// sgxExtension is the arc of Intel's SGX extension of PCK certificates (sgx-tdx.md section 4.3).
const sgxExtension = "1.2.840.113741.1.13.1"

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

// element is one {OID, value} pair of the extension.
type element struct {
	ID    asn1.ObjectIdentifier
	Value asn1.RawValue
}

// parsePCKExtension reads the SGX extension of a PCK certificate. Its elements may come in any order, unknown ones are
// ignored; duplicates and missing ones are errors.
func parsePCKExtension(leaf *x509.Certificate) (PCKExtension, error) {
	var e PCKExtension
	i := slices.IndexFunc(leaf.Extensions, func(x pkixExtension) bool { return x.Id.String() == sgxExtension })
	if i < 0 {
		return e, errors.New("no SGX extension (OID " + sgxExtension + ")")
	}
	top, err := readElements(leaf.Extensions[i].Value, sgxExtension)
	if err != nil {
		return e, err
	}
	tcb, err := readElements(top[2].FullBytes, sgxExtension+".2")
	if err != nil {
		return e, err
	}
	var sgxType asn1.Enumerated
	err = errors.Join(
		octets(top, 1, e.PPID[:]), octets(top, 3, e.PCEID[:]), octets(top, 4, e.FMSPC[:]),
		read(top, 5, &sgxType), octets(tcb, 18, e.TCB.CPUSVN[:]), e.TCB.read(tcb),
	)
	e.SGXType = int(sgxType)
	return e, err
}

// read fills in the component SVNs and the PCESVN.
func (t *TCB) read(tcb map[int]asn1.RawValue) error {
	for i := range t.Components {
		n, err := integer(tcb, i+1, 255)
		if err != nil {
			return err
		}
		t.Components[i] = uint8(n)
	}
	n, err := integer(tcb, 17, 65535)
	t.PCESVN = uint16(n)
	return err
}

// readElements reads SEQUENCE OF {OID, value} and returns the values by the last number of their OID, which must
// stand directly below arc.
func readElements(der []byte, arc string) (map[int]asn1.RawValue, error) {
	var list []element
	rest, err := asn1.Unmarshal(der, &list)
	if err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("SGX extension %s: not a sequence of OID and value: %w", arc, errors.Join(err, trailing(rest)))
	}
	values := make(map[int]asn1.RawValue, len(list))
	for _, e := range list {
		last := e.ID[len(e.ID)-1]
		if e.ID[:len(e.ID)-1].String() != arc {
			continue
		}
		if _, twice := values[last]; twice {
			return nil, fmt.Errorf("SGX extension %s.%d: occurs twice", arc, last)
		}
		values[last] = e.Value
	}
	return values, nil
}

func trailing(rest []byte) error {
	if len(rest) > 0 {
		return fmt.Errorf("%d bytes left over", len(rest))
	}
	return nil
}

// read decodes the element numbered n into v.
func read(values map[int]asn1.RawValue, n int, v any) error {
	raw, ok := values[n]
	if !ok {
		return fmt.Errorf("SGX extension: element %d is missing", n)
	}
	if _, err := asn1.Unmarshal(raw.FullBytes, v); err != nil {
		return fmt.Errorf("SGX extension: element %d: %w", n, err)
	}
	return nil
}

// octets decodes an OCTET STRING of exactly len(dst) bytes into dst.
func octets(values map[int]asn1.RawValue, n int, dst []byte) error {
	var b []byte
	if err := read(values, n, &b); err != nil {
		return err
	}
	if copy(dst, b) != len(b) || len(b) != len(dst) {
		return fmt.Errorf("SGX extension: element %d: expected %d bytes, found %d", n, len(dst), len(b))
	}
	return nil
}

// integer decodes an INTEGER in 0…highest.
func integer(values map[int]asn1.RawValue, n, highest int) (int, error) {
	var v int
	if err := read(values, n, &v); err != nil {
		return 0, err
	}
	if v < 0 || v > highest {
		return 0, fmt.Errorf("SGX extension: element %d: expected 0 to %d, found %d", n, highest, v)
	}
	return v, nil
}
