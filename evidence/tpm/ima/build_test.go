package ima_test

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/assay-attestation/assay/evidence/tpm"
)

// entry is one to be built; what is set beyond PCR, template and fields makes it a wrong or a special one.
type entry struct {
	pcr       uint32
	template  string
	fields    []string
	trailing  string // behind the last field
	violation bool
	wrongHash bool
}

// ng is an entry of ima-ng.
func ng(name string) entry {
	return entry{pcr: 10, template: "ima-ng", fields: []string{sha256Digest(name), name + "\x00"}}
}

// sha256Digest is a field d-ng.
func sha256Digest(content string) string {
	return "sha256:\x00" + string(tpm.SHA256.Sum([]byte(content)))
}

// with is the entry with other fields.
func (e entry) with(template string, fields ...string) entry {
	e.template, e.fields = template, fields
	return e
}

func (e entry) data() []byte {
	var b []byte
	for _, f := range e.fields {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(f))), f...)
	}
	if e.template == "ima" {
		b = b[4:] // the digest is bare
	}
	return append(b, e.trailing...)
}

// hashed is what is hashed of the data.
func (e entry) hashed() []byte {
	if e.template == "ima" {
		return append([]byte(e.fields[0]+e.fields[1]), make([]byte, 256-len(e.fields[1]))...)
	}
	return e.data()
}

// hash is the template hash.
func (e entry) hash(a tpm.Alg) []byte {
	sum := a.Sum(e.hashed())
	if e.violation {
		clear(sum)
	}
	if e.wrongHash {
		sum[0] ^= 1
	}
	return sum
}

// binaryList writes entries as the kernel does.
func binaryList(a tpm.Alg, entries ...entry) []byte {
	var b []byte
	for _, e := range entries {
		b = append(binary.LittleEndian.AppendUint32(b, e.pcr), e.hash(a)...)
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(e.template))), e.template...)
		if e.template != "ima" {
			b = binary.LittleEndian.AppendUint32(b, uint32(len(e.data())))
		}
		b = append(b, e.data()...)
	}
	return b
}

// kernel is how a kernel extends PCR 10.
type kernel struct {
	before58  bool // SHA-1 values with zeros behind them
	shortOnes bool // of these: 20 bytes 0xFF for a violation
}

// extended is PCR 10 after entries, whatever PCR they name.
func (k kernel) extended(a tpm.Alg, entries ...entry) []byte {
	value := make([]byte, a.Size())
	for _, e := range entries {
		value = a.Sum(value, k.digest(a, e))
	}
	return value
}

func (k kernel) digest(a tpm.Alg, e entry) []byte {
	from := a
	if k.before58 {
		from = tpm.SHA1
	}
	digest := from.Sum(e.hashed())
	if e.violation {
		n := a.Size()
		if k.shortOnes {
			n = from.Size()
		}
		digest = bytes.Repeat([]byte{0xFF}, n)
	}
	return append(digest, make([]byte, a.Size()-len(digest))...)
}

// all gives PCR 10 of some banks.
func (k kernel) all(entries []entry, algs ...tpm.Alg) map[tpm.Alg][]byte {
	out := map[tpm.Alg][]byte{}
	for _, a := range algs {
		out[a] = k.extended(a, entries...)
	}
	return out
}

func long(n int) string { return strings.Repeat("a", n) }
