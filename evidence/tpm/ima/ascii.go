package ima

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
)

// ParseASCII reads ascii_runtime_measurements likewise.
func ParseASCII(b []byte, templateHash tpm.Alg, l Limits) (*List, error) {
	p, r := newParser(len(b), templateHash, l)
	if r != nil {
		return nil, r
	}
	for start := 0; start < len(b); {
		line, _, _ := bytes.Cut(b[start:], []byte{'\n'})
		if r := p.line(line); r != nil {
			r.Problem = fmt.Sprintf("entry %d at offset %d of the IMA list: %s", len(p.list.entries)+1, start, r.Problem)
			return nil, r
		}
		start += len(line) + 1
	}
	return p.list, nil
}

// line reads one entry: PCR, template hash, template, fields, with one space between them.
func (p *parser) line(line []byte) *evidence.Refusal {
	pcr, rest, _ := bytes.Cut(bytes.TrimPrefix(line, []byte{' '}), []byte{' '}) // the kernel writes PCRs two wide
	sum, rest, _ := bytes.Cut(rest, []byte{' '})
	name, rest, ok := bytes.Cut(rest, []byte{' '})
	n, err := strconv.ParseUint(string(pcr), 10, 8)
	if !ok || err != nil || len(pcr) > 2 {
		return notASCII("line", "PCR, template hash, template and fields", line)
	}
	if len(sum) != 2*p.size {
		return evidence.Refuse(evidence.IMAFormat, "the template hash is not %s", p.list.alg).
			Want(fmt.Sprintf("%d hex digits", 2*p.size), len(sum)).Do(useBinary)
	}
	t, r := p.template(name)
	if r != nil {
		return r
	}
	raw, err := hex.AppendDecode(make([]byte, 0, p.size+len(rest)+8*len(t.fields)), sum)
	if err != nil {
		return notASCII("template hash", "hex", sum)
	}
	if raw, r = t.appendText(raw, rest); r != nil {
		return r
	}
	return p.add(Entry{PCR: uint32(n), template: t, raw: bytes.Clone(raw), data: uint16(p.size)})
}

func notASCII(what, want string, found []byte) *evidence.Refusal {
	return evidence.Refuse(evidence.IMAFormat, "the %s is not as the kernel writes it", what).Want(want, fmt.Sprintf("%.80q", found)).Do(useBinary)
}

// appendText appends the template data that is written as text.
func (t *template) appendText(raw, text []byte) ([]byte, *evidence.Refusal) {
	if n := bytes.Count(text, []byte{' '}) + 1; n != len(t.fields) {
		return nil, evidence.Refuse(evidence.IMAFormat, "the line does not have the fields of its template").Want(len(t.fields), n).Do(useBinary)
	}
	for i, f := range t.fields {
		var word []byte
		word, text, _ = bytes.Cut(text, []byte{' '})
		at := len(raw)
		if !t.old || i > 0 {
			raw = append(raw, 0, 0, 0, 0)
		}
		var ok bool
		if raw, ok = f.kind.appendText(raw, word); !ok {
			return nil, notASCII("field "+f.id, "a value of it", word)
		}
		switch {
		case !t.old:
			binary.LittleEndian.PutUint32(raw[at:], uint32(len(raw)-at-4))
		case i == 0 && len(raw)-at != oldDigest:
			return nil, evidence.Refuse(evidence.IMAFormat, "the field d has the wrong length").Want(oldDigest, len(raw)-at)
		case i > 0:
			raw = raw[:len(raw)-1] // no NUL
			binary.LittleEndian.PutUint32(raw[at:], uint32(len(raw)-at-4))
		}
	}
	return raw, nil
}

// appendText appends the bytes of one field.
func (k fieldKind) appendText(raw, word []byte) ([]byte, bool) {
	switch k {
	case nameField:
		return append(append(raw, word...), 0), true
	}
	if len(word) == 0 {
		return raw, k != bareDigestField && k != digestField && k != typedDigestField
	}
	switch k {
	case digestField, typedDigestField, modsigField:
		colon := bytes.LastIndexByte(word, ':')
		raw = append(append(raw, word[:colon+1]...), 0)
		word = word[colon+1:]
	case textField:
		return append(append(raw, word...), 0), true
	case wordField:
		n, err := strconv.ParseUint(string(word), 10, 32)
		return binary.LittleEndian.AppendUint32(raw, uint32(n)), err == nil
	case halfField:
		n, err := strconv.ParseUint(string(word), 10, 16)
		return binary.LittleEndian.AppendUint16(raw, uint16(n)), err == nil
	}
	raw, err := hex.AppendDecode(raw, word)
	return raw, err == nil
}
