package sipa_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

func TestMalformedDataIsRefused(t *testing.T) {
	ok := elem(debug, "\x00")
	for _, c := range []struct{ what, data, why string }{
		{"a header cut off", ok + "\x01\x02\x03\x04\x05\x06\x07", "header of the element at offset 9 is cut off (expected 8 bytes, found 7)"},
		{"a header cut off inside", elem(boundary, "\x01"), "header of the element at offset 8 is cut off (expected 8 bytes, found 1)"},
		{"a value longer than the data", ok + "\x01\x00\x05\x00\x02\x00\x00\x00\x00",
			"EVENT_OSKERNELDEBUG at offset 9 does not fit into what holds it (expected at most 1 bytes, found 2)"},
		{"the longest value", "\x01\x00\x05\x00\xFF\xFF\xFF\xFF", "expected at most 0 bytes, found 4294967295"},
		{"a value longer than its container", elem(boundary, "\x01\x00\x05\x00\x01\x00\x00\x00") + ok, "at offset 8 does not fit"},
		{"a container longer than the data", "\x01\x00\x01\x40\x09\x00\x00\x00" + elem(debug), "EVENT_TRUSTBOUNDARY at offset 0 does not fit"},
		{"not measured and too long", "\x01\x00\x05\x80\x01\x00\x00\x00", "0x80050001 at offset 0 does not fit"},
		{"two trust boundaries", elem(boundary) + elem(boundary), "second trust boundary, at offset 8"},
		{"a trust boundary in another", elem(boundary, elem(boundary)), "second trust boundary, at offset 8"},
		{"a trust boundary in an unknown container", elem(boundary) + elem(nobody, elem(boundary)), "second trust boundary, at offset 16"},
		{"a boolean of no byte", elem(debug), "EVENT_OSKERNELDEBUG at offset 0 has a value of a wrong length (expected 1 byte, found 0 bytes)"},
		{"a boolean of two bytes", elem(boundary, elem(debug, "\x00\x00")), "EVENT_OSKERNELDEBUG at offset 8 has a value of a wrong length"},
		{"NOAUTHORITY of no byte", elem(noAuth), "EVENT_NOAUTHORITY at offset 0 has a value of a wrong length"},
		{"a number of no byte", elem(svn), "EVENT_APPLICATION_SVN at offset 0 has a value of a wrong length"},
		{"a number of three bytes", elem(svn, "\x00\x00\x00"), "expected an integer of 1, 2, 4 or 8 bytes, found 3 bytes"},
		{"a named number of five bytes", elem(transfer, "\x00\x00\x00\x00\x00"), "found 5 bytes"},
		{"a number of nine bytes", elem(svn, "\x00\x00\x00\x00\x00\x00\x00\x00\x00"), "found 9 bytes"},
		{"half a character", elem(path, "a\x00b"), "expected UTF-16, so an even number of bytes, found 3 bytes"},
	} {
		_, err := sipa.Parse([]byte(c.data), sipa.DefaultDepth)
		refusedBecause(t, c.what, err, c.why)
	}
}

// nested is a boolean in n containers.
func nested(n int) string {
	data := elem(debug, "\x01")
	for range n {
		data = elem(modules, data)
	}
	return data
}

func TestNestingIsBounded(t *testing.T) {
	for _, depth := range []int{-1, 0, 1, 2, sipa.DefaultDepth} {
		if _, err := sipa.Parse([]byte(nested(max(depth, 0))), depth); err != nil {
			t.Errorf("%d containers with a limit of %d: %v", depth, depth, err)
		}
		_, err := sipa.Parse([]byte(nested(max(depth, 0)+1)), depth)
		refusedBecause(t, fmt.Sprintf("one more than %d", depth), err, "sipa_depth")
	}
}

func TestWhatIsNotMeasuredIsNotRead(t *testing.T) {
	data := elem(0xC0010004, nested(20), "garbage") + nested(1)
	elements, err := sipa.Parse([]byte(data), 1)
	if err != nil || len(elements) != 1 || elements[0].ID != modules {
		t.Errorf("got %v, %v", elements, err)
	}
}

func TestParsedElements(t *testing.T) {
	got, err := sipa.Parse([]byte(elem(boundary, elem(unknown, "xy"), elem(nobody, elem(svn, "\x01\x02")))+elem(debug, "\x01")), 2)
	want := []sipa.Element{
		{ID: boundary, Elements: []sipa.Element{
			{ID: unknown, Payload: []byte("xy")},
			{ID: nobody, Elements: []sipa.Element{{ID: svn, Payload: []byte{1, 2}}}},
		}},
		{ID: debug, Payload: []byte{1}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if n, ok := got[0].Elements[1].Elements[0].Uint(); !ok || n != 0x201 {
		t.Errorf("the number is %#x, %v", n, ok)
	}
	if n, ok := (sipa.Element{Payload: []byte("abc")}).Uint(); ok || n != 0 {
		t.Errorf("three bytes are the number %d", n)
	}
	if !got[1].Bool() || (sipa.Element{Payload: []byte{0}}).Bool() || (sipa.Element{Payload: []byte{1, 1}}).Bool() {
		t.Error("true is a single byte that is not zero")
	}
}

func TestManyElementsAreAllRead(t *testing.T) {
	for _, n := range []int{1, 127, 128, 129, 1000} {
		data := elem(modules, strings.Repeat(elem(modules, elem(svn, "\x01"), elem(debug, "\x01")), n))
		elements, err := sipa.Parse([]byte(data), 2)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		sipa.Find(elements, svn, func(e sipa.Element) { found += int(e.Payload[0]) })
		if found != n {
			t.Errorf("%d of %d found", found, n)
		}
	}
}

func TestFindLooksEverywhere(t *testing.T) {
	data := elem(debug, "\x01") + elem(boundary, elem(debug, "\x02"), elem(modules, elem(svn, "\x00"), elem(debug, "\x03"))) +
		elem(nobody, elem(debug, "\x04")) + elem(0xC0010004, elem(debug, "\x05"))
	elements, err := sipa.Parse([]byte(data), 2)
	if err != nil {
		t.Fatal(err)
	}
	var found []byte
	sipa.Find(elements, sipa.OSKernelDebug, func(e sipa.Element) { found = append(found, e.Payload...) })
	if string(found) != "\x01\x02\x03\x04" {
		t.Errorf("found %x", found)
	}
	containers := 0
	sipa.Find(elements, modules, func(e sipa.Element) { containers += len(e.Elements) })
	if containers != 2 {
		t.Errorf("the container has %d elements", containers)
	}
}
