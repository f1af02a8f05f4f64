// Package ima reads the measurement lists of Linux' Integrity Measurement Architecture, in the binary and the ascii form, and
// replays them (tpm-evidence.md section 7, tpm.md section 7.5).
//
// The ascii form is ambiguous where a file name has a newline. Its template hashes show it, but the binary form is to be
// preferred.
package ima

import (
	"bytes"
	"encoding/hex"

	"github.com/assay-attestation/assay/evidence/tpm"
)

// PCR is the one that IMA extends.
const PCR = 10

// Limits bound what is read of a list (README.md section 7 of the specification). The zero value allows nothing.
type Limits struct {
	Size    int // ima_log: bytes
	Entries int // ima_entries
}

// DefaultLimits are those of the specification's table.
func DefaultLimits() Limits { return Limits{Size: 16 << 20, Entries: 100_000} }

// List is a list, parsed; each template hash fits its data. Nothing says that it is of the machine it is said to be.
type List struct {
	alg     tpm.Alg // of the template hashes
	entries []Entry
}

// Entry is one measurement. It aliases the list that was read; its methods allocate what they give as text.
type Entry struct {
	PCR uint32 // 0 to 23; only entries of PCR 10 are covered by it

	// Violation: the file was open for writing while it was measured. The template hash is all zero, and the kernel extended 0xFF
	// bytes, so that nothing covers the name and the other fields: anybody can have written them.
	Violation bool

	hashSize uint8
	data     uint16 // where the template data begins in raw
	template *template
	raw      []byte // the template hash, and the template data at its end
}

// Entries are all entries in order. The caller must not change them.
func (l *List) Entries() []Entry { return l.entries }

// Template is the name of the template, such as ima-ng, or the field list of a custom one, such as d-ng|n-ng.
func (e *Entry) Template() string { return e.template.name }

// Name is the file name, the keyring, or what else was measured, such as kernel_version (field n-ng or n, whichever is first).
// It is bytes, not always UTF-8, and empty where the template has no name.
func (e *Entry) Name() string {
	v, _ := e.first(nameField)
	return string(bytes.TrimSuffix(v, []byte{0}))
}

// Digest is the first of the fields d, d-ng and d-ngv2: the name of the algorithm, a colon and lower-case hex. A digest of fs-verity,
// which is not the digest of the file's bytes, keeps its prefix "verity:". It is empty where the template has no digest.
func (e *Entry) Digest() string {
	alg, sum := e.digest()
	if alg == "" {
		return ""
	}
	return alg + ":" + hex.EncodeToString(sum)
}

// digest splits the first digest field.
func (e *Entry) digest() (alg string, sum []byte) {
	v, kind := e.first(bareDigestField, digestField, typedDigestField)
	switch kind {
	case bareDigestField:
		return "sha1", v
	case digestField, typedDigestField:
		prefix, sum, _ := bytes.Cut(v, []byte{0})
		return string(bytes.TrimPrefix(prefix[:len(prefix)-1], []byte("ima:"))), sum
	}
	return "", nil
}

// described is how many fields say what was measured: a digest and a name.
const described = 2

// Described reports whether the data begins with a digest and a name, as that of every template of Linux does that is built in. Nothing covers
// the name of the template: under fields of another order anything can have been measured.
func (e *Entry) Described() bool {
	f := e.template.fields
	if len(f) < described || f[1].kind != nameField {
		return false
	}
	return f[0].kind == bareDigestField || f[0].kind == digestField || f[0].kind == typedDigestField
}

// Buffer is the field buf, nil without one: the key, the command line or the version that was measured. Believe MeasuredBuffer.
func (e *Entry) Buffer() []byte {
	v, _ := e.first(bufferField)
	return v
}

// MeasuredBuffer is the field behind digest and name that the digest is of, whatever the template calls it, since nothing covers the name of
// the template (tpm.md section 9.2). It is nil without one, for a violation, and for a hash that is not SHA-1 or of SHA-2.
func (e *Entry) MeasuredBuffer() []byte {
	alg, sum := e.digest()
	h := hashOf(alg)
	if e.Violation || h == 0 {
		return nil
	}
	for i := described; i < len(e.template.fields); i++ {
		v := e.template.value(e.raw[e.data:], i)
		if len(v) > 0 && bytes.Equal(h.Sum(v), sum) {
			return v
		}
	}
	return nil
}

// Signature is the field sig with its header, nil without one. Nobody has verified it.
func (e *Entry) Signature() []byte {
	v, _ := e.first(signatureField)
	return v
}

// first gives the first field that is of one of the kinds, and its kind.
func (e *Entry) first(kinds ...fieldKind) ([]byte, fieldKind) {
	for i, f := range e.template.fields {
		for _, k := range kinds {
			if f.kind == k {
				return e.template.value(e.raw[e.data:], i), k
			}
		}
	}
	return nil, 0
}

func (e *Entry) hash() []byte { return e.raw[:e.hashSize] }
