package b64

import (
	"bytes"
	"testing"
)

func TestDecode(t *testing.T) {
	want := []byte{0xfb, 0xff, 0xfe, 0x01}
	for in, ok := range map[string]bool{
		"-__-AQ": true, "-__-AQ==": true, "+//+AQ": true, "+//+AQ==": true,
		"-__-AQ=": false, "-__-AQ===": false, "-__+AQ": false, "-__-AR": false, "-__-\nAQ": false, "-__-A": false,
		" -__-AQ": false, "=": false, "====": false,
	} {
		got, err := Decode(in)
		if (err == nil) != ok || ok && !bytes.Equal(got, want) {
			t.Errorf("Decode(%q) = %x, %v", in, got, err)
		}
	}
	if got, err := Decode(""); err != nil || len(got) != 0 {
		t.Errorf("empty: %x, %v", got, err)
	}
}

func TestDecodeURLTakesOneFormOnly(t *testing.T) {
	for in, ok := range map[string]bool{"-__-AQ": true, "-__-AQ==": false, "+//+AQ": false} {
		if _, err := DecodeURL(in); (err == nil) != ok {
			t.Errorf("DecodeURL(%q): %v", in, err)
		}
	}
}
