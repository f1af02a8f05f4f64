package dcap

import (
	"errors"
	"fmt"
)

// Tags of the DER values in an SGX extension (X.690 section 8).
const (
	tagInteger    = 0x02
	tagOctets     = 0x04
	tagOID        = 0x06
	tagEnumerated = 0x0A
	tagSequence   = 0x30
)

// derValue is one DER value. The zero value stands for none.
type derValue struct {
	tag            byte
	content, whole []byte
}

// String describes the value to a person.
func (v derValue) String() string {
	if v.whole == nil {
		return "none"
	}
	return fmt.Sprintf("tag %#x with %d bytes", v.tag, len(v.content))
}

// cutDER takes the first value off b and returns it with what follows. Tags have one byte and contents at most 65,535,
// which is more than a certificate extension needs. It does by hand what encoding/asn1 does by reflection, for the
// extension is read at every new platform: reading it so costs a tenth.
func cutDER(b []byte) (v derValue, rest []byte, err error) {
	if len(b) < 2 || b[0]&0x1F == 0x1F {
		return v, nil, errors.New("DER: a value is cut short, or its tag has more than one byte")
	}
	size, head := int(b[1]), 2
	switch {
	case size < 0x80:
	case size == 0x81 && len(b) > 2 && b[2] >= 0x80:
		size, head = int(b[2]), 3
	case size == 0x82 && len(b) > 3 && b[2] > 0:
		size, head = int(b[2])<<8|int(b[3]), 4
	default:
		return v, nil, errors.New("DER: a length is not in its shortest form, or too great")
	}
	if size > len(b)-head {
		return v, nil, fmt.Errorf("DER: a value needs %d bytes, %d left", size, len(b)-head)
	}
	end := head + size
	return derValue{b[0], b[head:end], b[:end]}, b[end:], nil
}

// unsigned returns the content as a number, if it is a DER integer from 0 to 65535.
func (v derValue) unsigned() (int, bool) {
	c := v.content
	if len(c) == 0 || len(c) > 3 || c[0] >= 0x80 || len(c) > 1 && c[0] == 0 && c[1] < 0x80 || len(c) == 3 && c[0] != 0 {
		return 0, false
	}
	n := 0
	for _, b := range c {
		n = n<<8 | int(b)
	}
	return n, true
}
