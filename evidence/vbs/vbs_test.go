package vbs_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/vbs"
)

// draft is a report before it is written.
type draft struct {
	version, scheme, reportVersion, kind, flags uint32
	longer                                      [4]int // added to the sizes of package, statement, signature and report
	records                                     string
	trailing                                    string
}

func newDraft() draft { return draft{version: 1, scheme: 1, reportVersion: 1, kind: 0x10} }

// le writes integers of 32 bits.
func le(values ...uint32) string {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return string(b)
}

// fill gives n bytes of a letter.
func fill(letter string, n int) string { return strings.Repeat(letter, n) }

func (d draft) statement() string {
	s := fill("d", 64) + fill("o", 32) + fill("u", 32) + fill("a", 32) + fill("f", 16) + fill("i", 16) +
		le(7, 3, 2, d.flags, 6, d.kind) + d.records
	return le(uint32(8+len(s)+d.longer[3]), d.reportVersion) + s
}

// bytes writes the report with a signature by key, or one of zeros without a key.
func (d draft) bytes(t testing.TB, key *rsa.PrivateKey, salt int) []byte {
	t.Helper()
	s, sig := d.statement(), make([]byte, 256)
	if key != nil {
		sum := sha256.Sum256([]byte(s))
		var err error
		if sig, err = rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: salt}); err != nil {
			t.Fatal(err)
		}
	}
	size := func(i, n int) uint32 { return uint32(n + d.longer[i]) }
	return []byte(le(size(0, 24+len(s)+len(sig)), d.version, d.scheme, size(1, len(s)), size(2, len(sig)), 0) + s + string(sig) + d.trailing)
}

// record is a record with its header; longer is added to its size.
func record(kind uint32, longer int, content string) string {
	return le(kind, uint32(8+len(content)+longer)) + content
}

// module is the content of a module record.
func module(name string) string {
	return fill("U", 32) + fill("A", 32) + fill("F", 16) + fill("I", 16) + le(9) + name
}

// wide is text in UTF-16.
func wide(text string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(text)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b)
}

func TestMalformedReportsAreRefused(t *testing.T) {
	for _, c := range []struct {
		what string
		edit func(*draft)
		why  string
	}{
		{"package size too large", func(d *draft) { d.longer[0] = 1 }, "package size: expected 504"},
		{"something behind it", func(d *draft) { d.trailing = "\x00" }, "package size: expected 505"},
		{"something behind it that the package size counts", func(d *draft) { d.trailing, d.longer[0] = "\x00", 1 }, "do not make 505"},
		{"package version 0", func(d *draft) { d.version = 0 }, "version: expected 1, found 0"},
		{"package version 2", func(d *draft) { d.version = 2 }, "version: expected 1, found 2"},
		{"another scheme", func(d *draft) { d.scheme = 2 }, "signature scheme: expected 1, found 2"},
		{"statement too long", func(d *draft) { d.longer[1] = 1 }, "do not make"},
		{"signature too long", func(d *draft) { d.longer[2] = 1 }, "do not make"},
		{"sizes that overflow", func(d *draft) { d.longer[1], d.longer[2] = 1<<31, 1<<31 }, "do not make"},
		{"statement too short", func(d *draft) { d.longer[1], d.longer[2] = -1, 1 }, "signed statement size: expected at least 224, found 223"},
		{"another report size", func(d *draft) { d.longer[3] = 1 }, "report size: expected 224, found 225"},
		{"report version 2", func(d *draft) { d.reportVersion = 2 }, "report version: expected 1, found 2"},
		{"another enclave type", func(d *draft) { d.kind = 1 }, "enclave type: expected 0x10 (VBS) or 0, found 0x1"},
		{"record header cut off", func(d *draft) { d.records = "\x05\x00\x00\x00\x08\x00\x00" }, "record size at offset 252"},
		{"record of size 0", func(d *draft) { d.records = record(5, -8, "") }, "record size of type 5 at offset 248: expected at least 8, found 0"},
		{"record of size 7", func(d *draft) { d.records = record(5, -1, "") }, "expected at least 8, found 7"},
		{"record past the end", func(d *draft) { d.records = record(5, 1, "xy") }, "record at offset 256: needs 3 bytes, 2 left"},
		{"module without a name", func(d *draft) { d.records = record(1, 0, module("")) }, "there is no NUL"},
		{"module too short", func(d *draft) { d.records = record(1, 0, module("")[1:]) }, "record size of type 1 at offset 248: expected at least 108, found 107"},
		{"module past the end", func(d *draft) { d.records = record(1, 2, module("a\x00\x00\x00")) }, "record at offset 256: needs 106 bytes, 104 left"},
		{"module name without NUL", func(d *draft) { d.records = record(1, 0, module("a\x00")) }, "module name at offset 356: there is no NUL"},
		{"module name of half a character", func(d *draft) { d.records = record(1, 0, module("a\x00\x00")) }, "3 bytes are no UTF-16"},
		{"text behind the module name", func(d *draft) { d.records = record(1, 0, module("a\x00\x00\x00b\x00")) }, "2 bytes follow its NUL"},
		{"more than zeros that fill up", func(d *draft) { d.records = record(1, 0, module("a\x00"+fill("\x00", 10))) }, "8 bytes follow its NUL"},
		{"too many modules", func(d *draft) {
			d.records = strings.Repeat(record(1, 0, module("\x00\x00")), vbs.MaxModules+1)
		}, "there are more than 1024"},
	} {
		d := newDraft()
		c.edit(&d)
		r, err := vbs.Parse(d.bytes(t, nil, 0))
		refused(t, c.what, err, evidence.VBSFormat, c.why)
		if r != nil {
			t.Errorf("%s: a report came along", c.what)
		}
	}
}

func TestEveryCutOffReportIsRefused(t *testing.T) {
	d := newDraft()
	d.records = record(1, 0, module("a\x00\x00\x00"))
	b := d.bytes(t, nil, 0)
	for n := range b {
		cut := append([]byte(le(uint32(n))), b[4:]...)[:n]
		_, err := vbs.Parse(cut)
		refused(t, "cut off", err, evidence.VBSFormat, "")
	}
}

func newKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// enclaveData is that of a draft.
func enclaveData() [64]byte { return [64]byte([]byte(fill("d", 64))) }

func TestVerifiedReport(t *testing.T) {
	key := newKey(t, 2048)
	for _, salt := range []int{0, 20, 32, 222} {
		d := newDraft()
		d.flags = 4
		d.records = record(5, 0, "unknown") + record(1, 0, module(wide("grün.dll\x00"))) + record(0, 0, "") +
			record(1, 0, module("\x00\x00"+fill("\x00", 6)))
		got, err := verify(d.bytes(t, key, salt), []*rsa.PublicKey{&newKey(t, 2048).PublicKey, &key.PublicKey}, enclaveData())
		if err != nil {
			t.Fatalf("salt of %d bytes: %v", salt, err)
		}
		m := vbs.Module{
			UniqueID: [32]byte([]byte(fill("U", 32))), AuthorID: [32]byte([]byte(fill("A", 32))),
			FamilyID: [16]byte([]byte(fill("F", 16))), ImageID: [16]byte([]byte(fill("I", 16))), SVN: 9,
		}
		named := m
		named.Name = "grün.dll"
		want := vbs.Verified{Modules: []vbs.Module{named, m}, Identity: vbs.Identity{
			OwnerID: [32]byte([]byte(fill("o", 32))), UniqueID: [32]byte([]byte(fill("u", 32))),
			AuthorID: [32]byte([]byte(fill("a", 32))), FamilyID: [16]byte([]byte(fill("f", 16))),
			ImageID: [16]byte([]byte(fill("i", 16))), EnclaveSVN: 7, SecureKernelSVN: 3, PlatformSVN: 2,
			Flags: 4, SigningLevel: 6, Type: 0x10,
		}}
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("salt of %d bytes: got %+v, want %+v", salt, *got, want)
		}
	}
}

func TestMostModules(t *testing.T) {
	d := newDraft()
	d.records = strings.Repeat(record(1, 0, module("\x00\x00")), vbs.MaxModules)
	if _, err := vbs.Parse(d.bytes(t, nil, 0)); err != nil {
		t.Error(err)
	}
}

func TestDebugFlags(t *testing.T) {
	for flags, want := range map[uint32]bool{0: false, 1: true, 2: true, 4: true, 7: true, 8: false} {
		if got := (vbs.Identity{Flags: flags}).Debuggable(); got != want {
			t.Errorf("flags %d are debuggable: %v", flags, got)
		}
	}
}

func TestClaims(t *testing.T) {
	v := vbs.Verified{Identity: vbs.Identity{
		OwnerID: [32]byte{0xFB, 0xFF}, AuthorID: [32]byte{31: 1}, FamilyID: [16]byte{0xFF}, ImageID: [16]byte{15: 1},
		EnclaveSVN: 1<<32 - 1, PlatformSVN: 2, Flags: 5,
	}}
	want := []evidence.Claim{
		{Name: "enclaveOwnerId", Value: "-_8" + fill("A", 40)},
		{Name: "enclaveAuthorId", Value: fill("A", 41) + "AE"},
		{Name: "enclaveFamilyId", Value: "_w" + fill("A", 20)},
		{Name: "enclaveImageId", Value: fill("A", 20) + "AQ"},
		{Name: "enclaveSvn", Value: int64(4294967295)},
		{Name: "enclavePlatformSvn", Value: int64(2)},
		{Name: "enclaveFlags", Value: int64(5)},
	}
	if got := v.Claims(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestReportsOfOthersAreRefused(t *testing.T) {
	key, weak := newKey(t, 2048), newKey(t, 1024)
	good := newDraft().bytes(t, key, 32)
	weakly := newDraft().bytes(t, weak, 32)
	edited := append([]byte{}, good...)
	edited[24+8+64]++ // owner id
	var many []*rsa.PublicKey
	for i := range int64(vbs.MaxKeys + 1) {
		many = append(many, &rsa.PublicKey{N: new(big.Int).Sub(key.N, big.NewInt(2*i+2)), E: key.E})
	}
	own := &key.PublicKey
	for _, c := range []struct {
		what   string
		report []byte
		keys   []*rsa.PublicKey
		data   [64]byte
		check  evidence.Check
		why    string
	}{
		{"no key", good, nil, enclaveData(), evidence.VBSSignature, "found 0"},
		{"keys that are none", good, []*rsa.PublicKey{nil, {}}, enclaveData(), evidence.VBSSignature, "found 0"},
		{"a weak key", weakly, []*rsa.PublicKey{&weak.PublicKey}, enclaveData(), evidence.VBSSignature, "found 0"},
		{"too many keys", good, many, enclaveData(), evidence.VBSSignature, "1 to 16 keys"},
		{"another key", good, many[:1], enclaveData(), evidence.VBSSignature, "not signed by the secure kernel"},
		{"edited", edited, []*rsa.PublicKey{own}, enclaveData(), evidence.VBSSignature, "not signed by the secure kernel"},
		{"another request", good, []*rsa.PublicKey{own}, [64]byte{}, evidence.VBSBinding, "another request"},
	} {
		_, err := verify(c.report, c.keys, c.data)
		refused(t, c.what, err, c.check, c.why)
	}
	same := []*rsa.PublicKey{}
	for range vbs.MaxKeys + 1 {
		same = append(same, many[0])
	}
	for _, keys := range [][]*rsa.PublicKey{append(same, own), append(many[:vbs.MaxKeys-1:vbs.MaxKeys-1], own)} {
		if _, err := verify(good, keys, enclaveData()); err != nil {
			t.Errorf("%d keys: %v", len(keys), err)
		}
	}
}
