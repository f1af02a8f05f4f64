package dcap

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestCutDER(t *testing.T) {
	long := func(head string, n int) string { return head + strings.Repeat("x", n) }
	for _, tt := range []struct {
		what, in string
		content  int // -1: refused
	}{
		{"empty value", "\x04\x00", 0},
		{"something behind", "\x04\x01xy", 1},
		{"127 bytes", long("\x04\x7f", 127), 127},
		{"128 bytes", long("\x04\x81\x80", 128), 128},
		{"255 bytes", long("\x04\x81\xff", 255), 255},
		{"256 bytes", long("\x04\x82\x01\x00", 256), 256},
		{"65535 bytes", long("\x04\x82\xff\xff", 65535), 65535},
		{"nothing", "", -1},
		{"tag alone", "\x04", -1},
		{"a byte short", "\x04\x02x", -1},
		{"tag of two bytes", "\x1f\x01\x00", -1},
		{"context tag of two bytes", "\xbf\x81\x01\x00", -1},
		{"indefinite length", "\x30\x80\x00\x00", -1},
		{"127 in two bytes", long("\x04\x81\x7f", 127), -1},
		{"255 in three bytes", long("\x04\x82\x00\xff", 255), -1},
		{"65536 bytes", long("\x04\x83\x01\x00\x00", 65536), -1},
		{"4 GiB", "\x04\x84\xff\xff\xff\xff", -1},
		{"length cut", "\x04\x82\x01", -1},
		{"no length byte", "\x04\x81", -1},
	} {
		v, rest, err := cutDER([]byte(tt.in))
		if (err == nil) != (tt.content >= 0) {
			t.Errorf("%s: got %v", tt.what, err)
			continue
		}
		if err == nil && (len(v.content) != tt.content || string(v.whole)+string(rest) != tt.in || v.tag != tt.in[0]) {
			t.Errorf("%s: got tag %#x, %d bytes, %d behind, want %#x, %d bytes", tt.what, v.tag, len(v.content), len(rest), tt.in[0], tt.content)
		}
	}
}

func TestUnsignedDER(t *testing.T) {
	for _, tt := range []struct {
		content string
		want    int // -1: refused
	}{
		{"\x00", 0}, {"\x7f", 127}, {"\x00\x80", 128}, {"\x00\xff", 255}, {"\x01\x00", 256}, {"\x7f\xff", 32767}, {"\x00\xff\xff", 65535},
		{"", -1}, {"\x80", -1}, {"\xff", -1}, {"\x00\x7f", -1}, {"\x00\x00", -1}, {"\x00\x00\x80", -1}, {"\x00\x7f\xff", -1},
		{"\x01\x00\x00", -1}, {"\x00\x01\x00\x00", -1},
	} {
		if got, ok := (derValue{content: []byte(tt.content)}).unsigned(); ok != (tt.want >= 0) || ok && got != tt.want {
			t.Errorf("INTEGER %x: got %d, %t, want %d", tt.content, got, ok, tt.want)
		}
	}
}

// tlv encodes a short DER value.
func tlv(tag byte, contents ...[]byte) []byte {
	content := slices.Concat(contents...)
	return append([]byte{tag, byte(len(content))}, content...)
}

func TestMalformedSGXExtension(t *testing.T) {
	ppid := tlv(tagSequence, tlv(tagOID, []byte(sgxArc+"\x01")), tlv(tagOctets, make([]byte, 16)))
	for what, der := range map[string][]byte{
		"nothing":                    nil,
		"not a SEQUENCE":             tlv(tagOctets, ppid),
		"something behind":           append(tlv(tagSequence, ppid), 0),
		"element not a SEQUENCE":     tlv(tagSequence, tlv(tagOctets, []byte("x"))),
		"element cut short":          tlv(tagSequence, ppid[:len(ppid)-1]),
		"element without a value":    tlv(tagSequence, tlv(tagSequence, tlv(tagOID, []byte(sgxArc+"\x01")))),
		"element with two values":    tlv(tagSequence, tlv(tagSequence, tlv(tagOID, []byte(sgxArc+"\x01")), tlv(tagOctets), tlv(tagOctets))),
		"value before OID":           tlv(tagSequence, tlv(tagSequence, tlv(tagOctets), tlv(tagOID, []byte(sgxArc+"\x01")))),
		"empty element":              tlv(tagSequence, tlv(tagSequence)),
		"twice":                      tlv(tagSequence, ppid, ppid),
		"nothing but one element":    tlv(tagSequence, ppid),
		"element far below the arc":  tlv(tagSequence, tlv(tagSequence, tlv(tagOID, []byte(sgxArc+"\x01\x01")), tlv(tagOctets))),
		"number of more than a byte": tlv(tagSequence, tlv(tagSequence, tlv(tagOID, []byte(sgxArc+"\x81\x01")), tlv(tagOctets))),
	} {
		if e, err := readPCKExtension(bytes.Clone(der)); err == nil {
			t.Errorf("%s: got %+v, want an error", what, e)
		}
	}
}
