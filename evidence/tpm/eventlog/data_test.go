package eventlog_test

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
)

// variable writes a UEFI_VARIABLE_DATA with the lengths that it is told.
func variable(units, size uint64, name []uint16, data string) []byte {
	g := eventlog.GlobalVariable()
	b := le.AppendUint64(le.AppendUint64(bytes.Clone(g[:]), units), size)
	for _, u := range name {
		b = le.AppendUint16(b, u)
	}
	return append(b, data...)
}

func TestVariablesAreRead(t *testing.T) {
	for want, name := range map[string][]uint16{
		"":       nil,
		"db":     {'d', 'b'},
		"db\x00": {'d', 'b', 0},
		"ö€":     {0xF6, 0x20AC},
		"a😀b":    {'a', 0xD83D, 0xDE00, 'b'},
	} {
		for _, data := range []string{"", "\x01", "data"} {
			b := variable(uint64(len(name)), uint64(len(data)), name, data)
			v, err := eventlog.ParseVariable(b, eventlog.DefaultLimits())
			if err != nil || v.GUID != eventlog.GlobalVariable() || v.Name != want || string(v.Data) != data {
				t.Errorf("%q with %q: got %+v, %v", want, data, v, err)
			}
		}
	}
}

func TestVariablesThatDoNotAddUpAreRefused(t *testing.T) {
	db := []uint16{'d', 'b'}
	good := variable(2, 4, db, "data")
	for name, b := range map[string][]byte{
		"name longer":          variable(3, 4, db, "data"),
		"name shorter":         variable(1, 4, db, "data"),
		"name huge":            variable(math.MaxUint64, 4, db, "data"),
		"name wraps":           variable(1<<63+2, 4, db, "data"),
		"data longer":          variable(2, 5, db, "data"),
		"data shorter":         variable(2, 3, db, "data"),
		"data huge":            variable(2, math.MaxUint64, db, "data"),
		"byte behind":          append(bytes.Clone(good), 0),
		"first half alone":     variable(2, 0, []uint16{0xD83D, 'b'}, ""),
		"first half at end":    variable(2, 0, []uint16{'a', 0xD83D}, ""),
		"second half alone":    variable(2, 0, []uint16{0xDE00, 0xD83D}, ""),
		"first half and first": variable(2, 0, []uint16{0xD83D, 0xD83D}, ""),
	} {
		_, err := eventlog.ParseVariable(b, eventlog.DefaultLimits())
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		expectRefusal(t, err, evidence.EventLogFormat)
	}
	for n := range good {
		_, err := eventlog.ParseVariable(good[:n], eventlog.DefaultLimits())
		expectRefusal(t, err, evidence.EventLogFormat)
	}
}

func TestNamesOfVariablesAreBounded(t *testing.T) {
	for _, limit := range []int{-1, 0, 1, 2048} {
		l := eventlog.Limits{VariableName: limit}
		n := max(limit, 0)
		name := slices.Repeat([]uint16{'n'}, n+1)
		if v, err := eventlog.ParseVariable(variable(uint64(n), 0, name[:n], ""), l); err != nil || len(v.Name) != n {
			t.Errorf("limit %d: name of %d characters, %v", limit, len(v.Name), err)
		}
		_, err := eventlog.ParseVariable(variable(uint64(n)+1, 0, name, ""), l)
		if expectRefusal(t, err, evidence.EventLogFormat); !strings.Contains(err.Error(), "efi_variable_name") {
			t.Errorf("limit %d: %q does not name the limit", limit, err)
		}
	}
}

// list writes an EFI_SIGNATURE_LIST with the sizes that it is told.
func list(kind eventlog.GUID, size, header, entry uint32, rest ...[]byte) []byte {
	b := le.AppendUint32(le.AppendUint32(le.AppendUint32(bytes.Clone(kind[:]), size), header), entry)
	return append(b, slices.Concat(rest...)...)
}

func TestSignatureListsAreReadAndTheirHeadersSkipped(t *testing.T) {
	shim := eventlog.Shim()
	one, two := append(shim[:], "one"...), append(shim[:], "two"...)
	cert := append(shim[:], "certificate"...)
	entryLike := append(shim[:], "bad"...)
	b := slices.Concat(
		list(eventlog.SHA256(), 28+19+38, 19, 19, entryLike, one, two),
		list(eventlog.X509(), 28, 0, 100),
		list(eventlog.X509(), 28+27, 0, 27, cert))
	got, err := eventlog.ParseSignatureLists(b)
	if err != nil {
		t.Fatal(err)
	}
	want := []eventlog.Signature{
		{eventlog.SHA256(), shim, []byte("one")}, {eventlog.SHA256(), shim, []byte("two")}, {eventlog.X509(), shim, []byte("certificate")},
	}
	if !slices.EqualFunc(got, want, func(a, b eventlog.Signature) bool {
		return a.Type == b.Type && a.Owner == b.Owner && bytes.Equal(a.Data, b.Data)
	}) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, err := eventlog.ParseSignatureLists(nil); err != nil || len(got) != 0 {
		t.Errorf("an empty database: %v, %v", got, err)
	}
}

func TestSignatureListsThatDoNotAddUpAreRefused(t *testing.T) {
	kind, entry := eventlog.SHA256(), make([]byte, 20)
	good := list(kind, 48, 0, 20, entry)
	for name, b := range map[string][]byte{
		"list of no size":         list(kind, 0, 0, 20, entry),
		"list less than a header": list(kind, 27, 0, 20, entry),
		"list longer than data":   list(kind, 68, 0, 20, entry),
		"list huge":               list(kind, math.MaxUint32, 0, 1, entry),
		"header longer than list": list(kind, 48, 21, 20, entry),
		"header huge":             list(kind, 48, math.MaxUint32, 20, entry),
		"signatures of no size":   list(kind, 48, 0, 0, entry),
		"no signature, no size":   list(kind, 28, 0, 0),
		"signatures all owner":    list(kind, 28+32, 0, 16, make([]byte, 32)),
		"signatures huge":         list(kind, 48, 0, math.MaxUint32, entry),
		"ragged":                  list(kind, 49, 0, 20, entry, []byte{0}),
		"byte behind":             append(bytes.Clone(good), 0),
		"second list bad":         slices.Concat(good, list(kind, 0, 0, 20)),
	} {
		if _, err := eventlog.ParseSignatureLists(b); err == nil {
			t.Errorf("%s: accepted", name)
		} else {
			expectRefusal(t, err, evidence.EventLogFormat)
		}
	}
	for n := 1; n < len(good); n++ {
		_, err := eventlog.ParseSignatureLists(good[:n])
		expectRefusal(t, err, evidence.EventLogFormat)
	}
}

func TestGUIDsAreWrittenAsInTheSpecification(t *testing.T) {
	for want, g := range map[string]eventlog.GUID{
		"8BE4DF61-93CA-11D2-AA0D-00E098032B8C": eventlog.GlobalVariable(),
		"D719B2CB-3D3A-4596-A3BC-DAD00E67656F": eventlog.ImageSecurity(),
		"605DAB50-E046-4300-ABB6-3DD810DD8B23": eventlog.Shim(),
		"A5C059A1-94E4-4AA7-87B5-AB155C2BF072": eventlog.X509(),
		"C1C41626-504C-4092-ACA9-41F936934328": eventlog.SHA256(),
		"03020100-0504-0706-0809-0A0B0C0D0E0F": {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	} {
		if g.String() != want {
			t.Errorf("got %s, want %s", g, want)
		}
	}
}
