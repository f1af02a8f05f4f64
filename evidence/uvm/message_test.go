package uvm_test

import (
	"bytes"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/assay-attestation/assay/evidence/uvm"
)

// epoch is a time as CBOR has it.
func epoch(seconds int64) cbor.Tag { return cbor.Tag{Number: 1, Content: seconds} }

// odd is a number of so many bits.
func odd(bits uint) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return n.Add(n, big.NewInt(1))
}

// TestMessagesThatAreNone changes one thing of a message each, and signs it again.
func TestMessagesThatAreNone(t *testing.T) {
	l := newLab(t)
	body := func(svn, measurement string) func(*message) {
		return payload(`{"x-ms-sevsnpvm-guestsvn":` + svn + `,"x-ms-sevsnpvm-launchmeasurement":"` + measurement + `"}`)
	}
	for name, c := range map[string]struct {
		edit func(*message)
		part string
	}{
		"another tag":             {func(m *message) { m.tag = 98 }, "expected tag 18, found 98"},
		"PS256":                   {with(1, -37), "expected -38 (PS384), found -37"},
		"no algorithm":            {with(1, nil), "found 0"},
		"crit":                    {with(2, []any{"iss"}), "crit: expected none"},
		"crit that is null":       {with(2, cbor.RawMessage{0xf6}), "crit: expected none"},
		"no signing time":         {with("signingtime", nil), "signingtime is missing"},
		"a signing time untagged": {with("signingtime", 1717200000), "protected header"},
		"a signing time in NaN":   {with("signingtime", cbor.RawMessage{0xc1, 0xf9, 0x7e, 0}), "signingtime"},
		"an issuer in bytes":      {with("iss", []byte("did")), "protected header"},
		"no certificates":         {with(33, nil), "expected 2 to 8 certificates, found 0"},
		"one certificate as such": {with(33, l.signer.Raw), "protected header"},
		"salt of another length":  {func(m *message) { m.salt = 32 }, "signature does not verify"},
		"a stranger's signature":  {func(m *message) { m.key = keys()[3] }, "signature does not verify"},
		"the authority's":         {func(m *message) { m.key = keys()[1] }, "signature does not verify"},
		"no payload":              {func(m *message) { m.payload = nil }, "payload cannot be read"},
		"no measurement":          {body("22", ""), "expected 96 hexadecimal digits"},
		"a short measurement":     {body("22", measurement[2:]), "expected 96 hexadecimal digits"},
		"no security version":     {payload(`{"x-ms-sevsnpvm-launchmeasurement":"` + measurement + `"}`), "expected a whole number"},
		"an empty one":            {body(`""`, measurement), "expected a whole number"},
		"a negative one":          {body("-1", measurement), "expected a whole number"},
		"a negative one in text":  {body(`"-1"`, measurement), "expected a whole number"},
		"a float":                 {body("22.5", measurement), "expected a whole number"},
		"an exponent":             {body("22e3", measurement), "expected a whole number"},
		"2^64":                    {body(`"18446744073709551616"`, measurement), "expected a whole number"},
		"null":                    {body("null", measurement), "expected a whole number"},
		"a list":                  {body("[22]", measurement), "expected a whole number"},
		"twice":                   {body(`22,"x-ms-sevsnpvm-guestsvn":99`, measurement), "payload cannot be read"},
		"names in other case":     {payload(strings.ToUpper(`{"x-ms-sevsnpvm-guestsvn":22,"x-ms-sevsnpvm-launchmeasurement":"` + measurement + `"}`)), "payload cannot be read"},
		"unprotected is null":     {func(m *message) { m.unprotected = nil }, "unprotected header"},
		"unprotected is a text":   {func(m *message) { m.unprotected = "x" }, "unprotected header"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := uvm.Parse(l.make(c.edit))
			refused(t, name, err, c.part)
		})
	}
}

// TestHeadersOfOtherForms replaces the protected header by one with the same members in a form that others may read in another way.
func TestHeadersOfOtherForms(t *testing.T) {
	l := newLab(t)
	var good []byte
	l.make(func(m *message) { good = l.marshal(m.header) })
	if good[0] != 0xa5 {
		t.Fatalf("the header begins with %#x", good[0])
	}
	more := slices.Clip(append([]byte{0xa6}, good[1:]...))
	item := func(k, v any) []byte { return append(l.marshal(k), l.marshal(v)...) }
	for name, bad := range map[string][]byte{
		"alg twice":         append(more, item(1, -38)...),
		"iss twice":         append(more, item("iss", did)...),
		"indefinite length": append(append([]byte{0xbf}, good[1:]...), 0xff),
		"bytes left over":   append(append([]byte{}, good...), 0),
		"not UTF-8":         append(more, 0x61, 0xff, 0x00),
		"a bomb of lists":   append(more, append(item("x", []any{})[:2], append(bytes.Repeat([]byte{0x81}, 40), 0x80)...)...),
		"a list of 2^32":    append(more, 0x61, 'x', 0x9b, 0, 0, 0, 1, 0, 0, 0, 0),
		"bytes of 2^63":     append(more, 0x61, 'x', 0x5b, 0x80, 0, 0, 0, 0, 0, 0, 0),
		"an array":          {0x80},
		"nothing":           {},
	} {
		_, err := uvm.Parse(l.make(func(m *message) { m.protected = bad }))
		refused(t, name, err, "no COSE_Sign1 of the form that is read")
	}
}

// TestNamesInTheHeaderAreMatchedLetterByLetter: a member in other case is another member.
func TestNamesInTheHeaderAreMatchedLetterByLetter(t *testing.T) {
	l := newLab(t)
	e, err := uvm.Parse(l.make(with("iss", nil), with("ISS", didOf(l.root)), with("feed", nil), with("Feed", feed)))
	if err != nil {
		t.Fatal(err)
	}
	if e.Issuer != "" || e.Feed != "" {
		t.Errorf("issuer %q, feed %q", e.Issuer, e.Feed)
	}
}

// TestFramesOfOtherForms changes the bytes around what is signed.
func TestFramesOfOtherForms(t *testing.T) {
	l := newLab(t)
	good := l.make()
	for name, bad := range map[string][]byte{
		"without its tag":  good[1:],
		"a fifth element":  append(append([]byte{0xd2, 0x85}, good[2:]...), 0),
		"indefinite":       append(append([]byte{0xd2, 0x9f}, good[2:]...), 0xff),
		"bytes left over":  append(append([]byte{}, good...), 0),
		"a tag in the tag": append([]byte{0xd2}, good...),
		"nothing but tag":  {0xd2},
		"an empty array":   {0xd2, 0x80},
		"null":             {0xf6},
	} {
		_, err := uvm.Parse(bad)
		refused(t, name, err, "no COSE_Sign1 of the form that is read")
	}
}
