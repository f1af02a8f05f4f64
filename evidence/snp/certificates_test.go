package snp_test

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/snp"
)

func TestChainsInEveryOrderAndLineEnd(t *testing.T) {
	l := newLab(t, "Milan")
	leaf := l.vcek()
	for name, text := range map[string][]byte{
		"leaf first":     toPEM(leaf, l.ask.cert, l.ark.cert),
		"leaf last":      toPEM(l.ark.cert, l.ask.cert, leaf),
		"leaf between":   toPEM(l.ask.cert, leaf, l.ark.cert),
		"CRLF":           bytes.ReplaceAll(toPEM(leaf, l.ask.cert, l.ark.cert), []byte("\n"), []byte("\r\n")),
		"blank lines":    bytes.ReplaceAll(toPEM(leaf, l.ask.cert, l.ark.cert), []byte("-----BEGIN"), []byte("\n \n-----BEGIN")),
		"no line ends":   bytes.ReplaceAll(toPEM(leaf, l.ask.cert, l.ark.cert), []byte("\n"), nil),
		"NUL at the end": append(toPEM(leaf, l.ask.cert, l.ark.cert), 0),
	} {
		c, err := snp.ParseChain(text)
		if err != nil || !c.Leaf.Equal(leaf) || len(c.Others) != 2 {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

func TestChainsThatAreNone(t *testing.T) {
	l := newLab(t, "Milan")
	leaf := l.vcek()
	good := string(toPEM(leaf))
	for name, c := range map[string]struct{ text, part string }{
		"text before":        {"x" + good, "something else"},
		"text behind":        {good + "x", "something else"},
		"another block":      {strings.ReplaceAll(good, "CERTIFICATE", "PUBLIC KEY"), "something else"},
		"no end":             {good[:len(good)-10], "something else"},
		"a header":           {strings.Replace(good, "-----\n", "-----\nA: b\n\n", 1), "damaged"},
		"a second begin":     {strings.Replace(good, "-----\n", "-----\n-----BEGIN CERTIFICATE-----\n", 1), "damaged"},
		"damaged base64":     {strings.Replace(good, "M", "!", 1), "damaged"},
		"bits left over":     {"-----BEGIN CERTIFICATE-----\nAAB=\n-----END CERTIFICATE-----\n", "damaged"},
		"no certificate":     {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate 1: x509"},
		"two leaves":         {good + string(toPEM(l.vlek())), "more than one VCEK or VLEK"},
		"the leaf twice":     {good + good, "more than one VCEK or VLEK"},
		"an extension twice": {string(toPEM(rawCertificate(extendedTwice(t, leaf)))), "duplicate extension"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := snp.ParseChain([]byte(c.text))
			refusedSaying(t, err, evidence.SNPChain, c.part)
			if errors.Is(err, snp.ErrMissing) {
				t.Error("nothing is missing")
			}
		})
	}
	for name, text := range map[string][]byte{"nothing": nil, "white space": []byte(" \r\n"), "authorities only": toPEM(l.ask.cert, l.ark.cert)} {
		if _, err := snp.ParseChain(text); !errors.Is(err, snp.ErrMissing) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// extendedTwice is cert with its first patch level in place of its second; the signature does not matter.
func extendedTwice(t *testing.T, cert *x509.Certificate) []byte {
	t.Helper()
	arc := []byte("\x06\x0a\x2b\x06\x01\x04\x01\x9c\x78\x01\x03") // 1.3.6.1.4.1.3704.1.3
	raw := bytes.ReplaceAll(cert.Raw, slices.Concat(arc, []byte{2}), slices.Concat(arc, []byte{1}))
	if bytes.Equal(raw, cert.Raw) {
		t.Fatal("no second patch level found")
	}
	return raw
}

// TestLeafIsToldByItsExtensionsToo: a leaf with another name is refused for its name, not taken for one that is missing.
func TestLeafIsToldByItsExtensionsToo(t *testing.T) {
	l := newLab(t, "Milan")
	renamed := l.vcek(func(s *leafSpec) { s.name = "VCEK" })
	bare := l.vcek(func(s *leafSpec) { s.ext = nil })
	for _, leaf := range []*x509.Certificate{renamed, bare} {
		if c, err := snp.ParseChain(toPEM(l.ask.cert, leaf)); err != nil || !c.Leaf.Equal(leaf) {
			t.Errorf("%q: %v", leaf.Subject.CommonName, err)
		}
	}
}

func TestChainsAreBounded(t *testing.T) {
	l := newLab(t, "Milan")
	text := toPEM(l.vcek())
	longest := append(bytes.Clone(text), bytes.Repeat([]byte("\n"), snp.MaxChain-len(text))...)
	if _, err := snp.ParseChain(longest); err != nil {
		t.Error(err)
	}
	_, err := snp.ParseChain(append(longest, '\n'))
	refusedSaying(t, err, evidence.SNPChain, "at most 32768 bytes")
	for range snp.MaxCertificates - 1 {
		text = append(text, toPEM(l.ark.cert)...)
	}
	if _, err := snp.ParseChain(text); err != nil {
		t.Error(err)
	}
	_, err = snp.ParseChain(append(text, toPEM(l.ark.cert)...))
	refusedSaying(t, err, evidence.SNPChain, "more than 8 certificates")
}

// entry is one of a certificate table.
type entry struct {
	guid    string
	content []byte
}

// table makes the certificate table of an extended report.
func table(t *testing.T, entries ...entry) []byte {
	t.Helper()
	head := make([]byte, 24*(len(entries)+1))
	var body []byte
	for i, e := range entries {
		guid, err := hex.DecodeString(strings.ReplaceAll(e.guid, "-", ""))
		if err != nil {
			t.Fatal(err)
		}
		copy(head[24*i:], guid)
		binary.LittleEndian.PutUint32(head[24*i+16:], uint32(len(head)+len(body)))
		binary.LittleEndian.PutUint32(head[24*i+20:], uint32(len(e.content)))
		body = append(body, e.content...)
	}
	return append(head, body...)
}

// GUIDs of sev-snp.md section 2.
const (
	vcekGUID = "63da758d-e664-4564-adc5-f4b93be8accd"
	vlekGUID = "a8074bc2-a25a-483e-aae6-39c045a0b8a1"
	askGUID  = "4ab7b379-bbac-4fe4-a02f-05aef327c782"
	arkGUID  = "c0b406a4-a803-4952-9743-3fb6014cd0ae"
	crlGUID  = "92f81bc3-5811-4d3d-97ff-d19f88dc67ea"
)

func TestCertificateTables(t *testing.T) {
	l := newLab(t, "Milan")
	leaf := l.vcek()
	for name, b := range map[string][]byte{
		"DER":             table(t, entry{vcekGUID, leaf.Raw}, entry{askGUID, l.ask.cert.Raw}, entry{arkGUID, l.ark.cert.Raw}),
		"PEM":             table(t, entry{arkGUID, toPEM(l.ark.cert)}, entry{askGUID, toPEM(l.ask.cert)}, entry{vcekGUID, toPEM(leaf)}),
		"PEM in one":      table(t, entry{vcekGUID, toPEM(leaf, l.ask.cert, l.ark.cert)}),
		"what is no use":  table(t, entry{crlGUID, []byte("list")}, entry{strings.Repeat("ab", 16), nil}, entry{vcekGUID, leaf.Raw}, entry{askGUID, l.ask.cert.Raw}, entry{arkGUID, l.ark.cert.Raw}),
		"padding behind":  append(table(t, entry{vcekGUID, toPEM(leaf, l.ask.cert, l.ark.cert)}), make([]byte, 4096)...),
		"under VLEK GUID": table(t, entry{vlekGUID, leaf.Raw}, entry{askGUID, l.ask.cert.Raw}, entry{arkGUID, l.ark.cert.Raw}),
	} {
		c, err := snp.ParseTable(b)
		if err != nil || !c.Leaf.Equal(leaf) || len(c.Others) != 2 {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

func TestCertificateTablesThatAreNone(t *testing.T) {
	l := newLab(t, "Milan")
	leaf := l.vcek()
	good := table(t, entry{vcekGUID, leaf.Raw})
	edited := func(offset int, value uint32) []byte {
		b := bytes.Clone(good)
		binary.LittleEndian.PutUint32(b[offset:], value)
		return b
	}
	many := func(n int) []byte {
		entries := make([]entry, n)
		for i := range entries {
			entries[i].guid = crlGUID
		}
		return table(t, append(entries, entry{vcekGUID, leaf.Raw})...)
	}
	for name, c := range map[string]struct {
		table []byte
		part  string // empty: accepted
	}{
		"nothing":               {nil, "entry at offset 0: needs 24 bytes, 0 left"},
		"no end":                {table(t, entry{crlGUID, nil})[:24], "entry at offset 24: needs 24 bytes, 0 left"},
		"an end that is cut":    {table(t, entry{crlGUID, nil})[:47], "needs 24 bytes, 23 left"},
		"content that is cut":   {good[:len(good)-1], "behind the end of the table"},
		"an offset behind":      {edited(16, uint32(len(good))), "behind the end of the table"},
		"an offset that wraps":  {edited(16, 1<<32-1), "behind the end of the table"},
		"a length that wraps":   {edited(20, 1<<32-1), "behind the end of the table"},
		"no content":            {edited(20, 0), "certificate 1: x509"},
		"content of less":       {edited(20, uint32(len(leaf.Raw)-1)), "certificate 1: x509"},
		"no certificates":       {make([]byte, 24), "certificates are missing"},
		"authorities only":      {table(t, entry{arkGUID, l.ark.cert.Raw}), "certificates are missing"},
		"15 entries":            {many(14), ""},
		"16 entries":            {many(15), "more than 15 entries"},
		"as long as can be":     {append(bytes.Clone(good), make([]byte, snp.MaxChain-len(good))...), ""},
		"longer than it can be": {append(bytes.Clone(good), make([]byte, snp.MaxChain-len(good)+1)...), "at most 32768 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := snp.ParseTable(c.table)
			if c.part != "" {
				refusedSaying(t, err, evidence.SNPChain, c.part)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}
