package ima

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
)

// The bounds of Linux (security/integrity/ima/ima.h, ima_template.c).
const (
	maxFields   = 15  // IMA_TEMPLATE_NUM_FIELDS_MAX
	maxFieldID  = 16  // IMA_TEMPLATE_FIELD_ID_MAX_LEN
	maxTemplate = 255 // fields of that length with bars between them are shorter
	maxOldName  = 255 // IMA_EVENT_NAME_LEN_MAX: a name of the template ima, hashed with zeros up to one byte more
	oldDigest   = 20  // the digest of the template ima
)

// fieldKind says how a field is laid out and shown.
type fieldKind uint8

const (
	bareDigestField  fieldKind = iota + 1 // d: SHA-1
	digestField                           // d-ng
	typedDigestField                      // d-ngv2
	modsigField                           // d-modsig: as d-ng, may be empty
	nameField                             // n, n-ng
	textField                             // xattrnames: as a name, may be empty
	bufferField                           // buf
	signatureField                        // sig
	bytesField                            // any others in hex
	wordField                             // iuid, igid: u32, may be empty
	halfField                             // imode: u16, may be empty
)

// kindOf gives the kind of a field by its name, 0 for one that Linux does not have.
func kindOf(id string) fieldKind {
	switch id {
	case "d":
		return bareDigestField
	case "d-ng":
		return digestField
	case "d-ngv2":
		return typedDigestField
	case "d-modsig":
		return modsigField
	case "n", "n-ng":
		return nameField
	case "xattrnames":
		return textField
	case "buf":
		return bufferField
	case "sig":
		return signatureField
	case "modsig", "evmsig", "xattrlengths", "xattrvalues":
		return bytesField
	case "iuid", "igid":
		return wordField
	case "imode":
		return halfField
	}
	return 0
}

type field struct {
	id   string
	kind fieldKind
}

// template is the layout of an entry's data: fields, each a u32 with its length before it. The template ima (old) has its digest
// bare, and a name without NUL that is hashed with zeros up to 256 bytes.
type template struct {
	name   string
	fields []field
	old    bool
}

// fieldList gives the fields of a built-in template. A custom one has its fields as its name.
func fieldList(name string) string {
	switch name {
	case "ima":
		return "d|n"
	case "ima-ng":
		return "d-ng|n-ng"
	case "ima-sig":
		return "d-ng|n-ng|sig"
	case "ima-ngv2":
		return "d-ngv2|n-ng"
	case "ima-sigv2":
		return "d-ngv2|n-ng|sig"
	case "ima-buf":
		return "d-ng|n-ng|buf"
	case "ima-modsig":
		return "d-ng|n-ng|sig|d-modsig|modsig"
	case "evm-sig":
		return "d-ng|n-ng|evmsig|xattrnames|xattrlengths|xattrvalues|iuid|igid|imode"
	}
	return name
}

// newTemplate makes the template of a name.
func newTemplate(name string) (*template, *evidence.Refusal) {
	t := &template{name: name, old: name == "ima"}
	list := fieldList(name)
	if n := strings.Count(list, "|") + 1; n > maxFields {
		return nil, evidence.Refuse(evidence.IMAFormat, "the template has too many fields").Want(maxFields, n)
	}
	for id := range strings.SplitSeq(list, "|") {
		kind := kindOf(id)
		if kind == 0 {
			return nil, evidence.Refuse(evidence.IMAFormat, "the template has a field that is not known").
				Want("a built-in template of Linux or a list of its fields", fmt.Sprintf("%q", name)).Do(useBinary)
		}
		for _, f := range t.fields {
			if f.id == id {
				return nil, evidence.Refuse(evidence.IMAFormat, "the template has a field twice").Want("each field once", fmt.Sprintf("%q", name))
			}
		}
		t.fields = append(t.fields, field{strings.Clone(id), kind})
	}
	return t, nil
}

// check holds the data of an entry against its template.
func (t *template) check(data []byte, violation bool) *evidence.Refusal {
	if t.old {
		return checkOldName(data[oldDigest+4:])
	}
	for _, f := range t.fields {
		value, rest, ok := cutField(data)
		if !ok {
			return evidence.Refuse(evidence.IMAFormat, "the field %s does not fit into the template data", f.id)
		}
		if r := checkField(f, value, violation); r != nil {
			return r
		}
		data = rest
	}
	if len(data) > 0 {
		return evidence.Refuse(evidence.IMAFormat, "the template data goes on after its last field").Want("0 bytes", len(data))
	}
	return nil
}

// cutField reads one field: its length and its bytes.
func cutField(data []byte) (value, rest []byte, ok bool) {
	if len(data) < 4 || uint64(binary.LittleEndian.Uint32(data)) > uint64(len(data)-4) {
		return nil, nil, false
	}
	end := 4 + int(binary.LittleEndian.Uint32(data))
	return data[4:end:end], data[end:], true
}

// value is a field of data that was checked.
func (t *template) value(data []byte, i int) []byte {
	switch {
	case t.old && i == 0:
		return data[:oldDigest:oldDigest]
	case t.old:
		return data[oldDigest+4:]
	}
	for ; i > 0; i-- {
		_, data, _ = cutField(data)
	}
	value, _, _ := cutField(data)
	return value
}

// checkField holds one field against its kind.
func checkField(f field, v []byte, violation bool) *evidence.Refusal {
	switch f.kind {
	case bareDigestField:
		return checkSize(f, v, oldDigest)
	case digestField, typedDigestField:
		return checkDigest(f, v, violation)
	case nameField:
		return checkName(f, v)
	}
	if len(v) == 0 {
		return nil
	}
	switch f.kind {
	case modsigField:
		return checkDigest(f, v, violation)
	case textField:
		return checkName(f, v)
	case wordField:
		return checkSize(f, v, 4)
	case halfField:
		return checkSize(f, v, 2)
	}
	return nil
}

func checkSize(f field, v []byte, want int) *evidence.Refusal {
	if len(v) != want {
		return evidence.Refuse(evidence.IMAFormat, "the field %s has the wrong length", f.id).Want(want, len(v))
	}
	return nil
}

// checkName demands a NUL at the end and nowhere else.
func checkName(f field, v []byte) *evidence.Refusal {
	switch at := bytes.IndexByte(v, 0); {
	case at < 0:
		return evidence.Refuse(evidence.IMAFormat, "the name in the field %s does not end", f.id).Want("a NUL at the end", "none")
	case at < len(v)-1:
		return evidence.Refuse(evidence.IMAFormat, "the name in the field %s goes on after a NUL", f.id).
			Want("a NUL only at the end", fmt.Sprintf("one at byte %d", at))
	case f.id == "n" && at > maxOldName:
		return evidence.Refuse(evidence.IMAFormat, "the name in the field n is too long").Want(maxOldName, at)
	}
	return nil
}

// checkOldName demands a name of the template ima, which has no NUL.
func checkOldName(v []byte) *evidence.Refusal {
	if len(v) > maxOldName {
		return evidence.Refuse(evidence.IMAFormat, "the name in the field n is too long").Want(maxOldName, len(v))
	}
	if at := bytes.IndexByte(v, 0); at >= 0 {
		return evidence.Refuse(evidence.IMAFormat, "the name in the field n has a NUL").Want("none", fmt.Sprintf("one at byte %d", at))
	}
	return nil
}

// checkDigest demands the name of a hash, a colon, a NUL and a digest of its length; in d-ngv2 "ima:" or "verity:" before them. Linux
// 5.16 to 6.5 wrote violations with 20 zero bytes, whatever the hash ("ima: fix violation measurement list record").
func checkDigest(f field, v []byte, violation bool) *evidence.Refusal {
	prefix, sum, ok := bytes.Cut(v, []byte{0})
	alg, colon := bytes.CutSuffix(prefix, []byte(":"))
	if f.kind == typedDigestField {
		kind, after, cut := bytes.Cut(alg, []byte(":"))
		ok = ok && cut && (string(kind) == "ima" || string(kind) == "verity")
		alg = after
	}
	size := digestSize(string(alg))
	if !ok || !colon || size == 0 {
		return evidence.Refuse(evidence.IMAFormat, "the field %s does not name a hash", f.id).
			Want("such as sha256: and a NUL", fmt.Sprintf("%q", prefix))
	}
	if len(sum) != size && !(violation && len(sum) == oldDigest && allZero(sum)) {
		return evidence.Refuse(evidence.IMAFormat, "the digest in the field %s has the wrong length for %s", f.id, alg).Want(size, len(sum))
	}
	return nil
}

// digestSize is the length of a digest by Linux' name of its hash (crypto/hash_info.c), 0 for one that Linux does not have.
func digestSize(alg string) int {
	switch alg {
	case "md4", "md5", "rmd128", "tgr128":
		return 16
	case "sha1", "rmd160", "tgr160":
		return 20
	case "tgr192":
		return 24
	case "sha224":
		return 28
	case "sha256", "sha3-256", "rmd256", "wp256", "sm3", "sm3-256", "streebog256":
		return 32
	case "rmd320":
		return 40
	case "sha384", "sha3-384", "wp384":
		return 48
	case "sha512", "sha3-512", "wp512", "streebog512":
		return 64
	}
	return 0
}

// hashOf gives the hash by which a buffer can be held against its digest, 0 for others.
func hashOf(alg string) tpm.Alg {
	switch alg {
	case "sha1":
		return tpm.SHA1
	case "sha256":
		return tpm.SHA256
	case "sha384":
		return tpm.SHA384
	case "sha512":
		return tpm.SHA512
	}
	return 0
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
