package ima

import (
	"bytes"
	"fmt"
	"hash"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/binread"
)

// Remedies.
const (
	useBinary = "send the machine's binary_runtime_measurements as it is, or the file of it that has template hashes of the agreed kind" +
		" (its name ends in _sha1 for SHA-1)"
	shorten = "restart the machine, or measure less (ima-policy)"
)

// typicalEntry is about the size of an entry of the template ima-ng: it is guessed from it how many there are.
const typicalEntry = 100

// parser makes a list.
type parser struct {
	limits    Limits
	size      int // of a template hash
	hasher    hasher
	templates map[string]*template
	list      *List
}

// newParser checks what does not depend on the entries.
func newParser(size int, alg tpm.Alg, l Limits) (*parser, *evidence.Refusal) {
	if alg.Size() == 0 {
		return nil, evidence.Refuse(evidence.IMAFormat, "the hash of the template hashes is not known").
			Want("SHA1, SHA256, SHA384 or SHA512", alg).Do(useBinary)
	}
	if size > l.Size {
		return nil, evidence.Refuse(evidence.IMAFormat, "the IMA list is larger than allowed (ima_log)").
			Want(fmt.Sprintf("at most %d bytes", l.Size), size).Do(shorten)
	}
	return &parser{
		limits: l, size: alg.Size(), hasher: newHasher(alg), templates: map[string]*template{},
		list: &List{alg: alg, entries: make([]Entry, 0, max(0, min(l.Entries, size/typicalEntry)))},
	}, nil
}

// ParseBinary reads binary_runtime_measurements, little-endian, whose template hashes are by the algorithm. The error is an
// [evidence.Refusal] of IMAFormat that names the entry and its offset.
func ParseBinary(b []byte, templateHash tpm.Alg, l Limits) (*List, error) {
	p, r := newParser(len(b), templateHash, l)
	if r != nil {
		return nil, r
	}
	for c := binread.New(b); c.Left() > 0; {
		start := c.Offset()
		if r := p.entry(b, c); r != nil {
			r.Problem = fmt.Sprintf("entry %d at offset %d of the IMA list: %s", len(p.list.entries)+1, start, r.Problem)
			return nil, r
		}
	}
	return p.list, nil
}

// entry reads one entry at the cursor, which is one over b.
func (p *parser) entry(b []byte, c *binread.Cursor) *evidence.Refusal {
	pcr := c.LE32("PCR")
	start := c.Offset()
	c.Bytes("template hash", p.size)
	nameSize := c.LE32("length of the template's name")
	if nameSize > maxTemplate {
		c.Fail("length of the template's name: %d is more than %d", nameSize, maxTemplate)
	}
	name := c.Bytes("template's name", int(nameSize))
	if c.Err() != nil {
		return malformed(c)
	}
	t, r := p.template(name)
	if r != nil {
		return r
	}
	data := c.Offset() + 4
	if t.old {
		data -= 4
		c.Bytes("digest", oldDigest)
	}
	c.Bytes("template data", int(c.LE32("length of the template data")))
	if c.Err() != nil {
		return malformed(c)
	}
	return p.add(Entry{PCR: pcr, template: t, raw: b[start:c.Offset():c.Offset()], data: uint16(data - start)})
}

func malformed(c *binread.Cursor) *evidence.Refusal {
	return evidence.Refuse(evidence.IMAFormat, "malformed").Because(c.Err()).Do(useBinary)
}

// template finds or makes the template of a name.
func (p *parser) template(name []byte) (*template, *evidence.Refusal) {
	if t := p.templates[string(name)]; t != nil {
		return t, nil
	}
	t, r := newTemplate(string(name))
	if r != nil {
		return nil, r
	}
	p.templates[t.name] = t
	return t, nil
}

// add checks an entry and puts it into the list.
func (p *parser) add(e Entry) *evidence.Refusal {
	if len(p.list.entries) >= p.limits.Entries {
		return evidence.Refuse(evidence.IMAFormat, "the IMA list has more entries than allowed (ima_entries)").
			Want(fmt.Sprintf("at most %d", p.limits.Entries), "more").Do(shorten)
	}
	if e.PCR >= tpm.PCRCount {
		return evidence.Refuse(evidence.IMAFormat, "there is no such PCR").Want("0 to 23", e.PCR).
			Do("on a big-endian machine boot with ima_canonical_fmt; else " + useBinary)
	}
	e.hashSize = uint8(p.size)
	e.Violation = allZero(e.hash())
	if r := e.template.check(e.raw[e.data:], e.Violation); r != nil {
		return r
	}
	if sum := p.hasher.sum(&e); !e.Violation && !bytes.Equal(sum, e.hash()) {
		return evidence.Refuse(evidence.IMAFormat, "the %s template hash is not that of the template data", p.list.alg).
			Want(fmt.Sprintf("%x", sum), fmt.Sprintf("%x", e.hash())).Do(useBinary)
	}
	p.list.entries = append(p.list.entries, e)
	return nil
}

// hasher computes template hashes without allocating.
type hasher struct {
	h     hash.Hash
	value []byte
	zeros []byte
}

func newHasher(a tpm.Alg) hasher {
	return hasher{h: a.Hash().New(), value: make([]byte, 0, a.Size()), zeros: make([]byte, maxOldName+1)}
}

// sum is the template hash of an entry, valid until the next call.
func (h *hasher) sum(e *Entry) []byte {
	h.h.Reset()
	data := e.raw[e.data:]
	if e.template.old {
		name := data[oldDigest+4:]
		h.h.Write(data[:oldDigest])
		h.h.Write(name)
		data = h.zeros[len(name):]
	}
	h.h.Write(data)
	return h.h.Sum(h.value)
}
