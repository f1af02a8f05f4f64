package ima_test

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/ima"
)

func read(b []byte) (*ima.List, error) { return ima.ParseBinary(b, tpm.SHA1, ima.DefaultLimits()) }

func TestWhatIsRefusedOfABinaryList(t *testing.T) {
	good, sum := ng("/bin/sh"), sha256Digest("x")
	cases := map[string]struct {
		e    entry
		want string
	}{
		"hash of other data":           {entry{pcr: 10, template: "ima-ng", fields: good.fields, wrongHash: true}, "template hash is not that of the template data"},
		"bytes behind the last field":  {entry{pcr: 10, template: "ima-ng", fields: good.fields, trailing: "\x00"}, "goes on after its last field"},
		"a field too few":              {good.with("ima-sig", good.fields...), "the field sig does not fit"},
		"no fields":                    {good.with("ima-ng"), "the field d-ng does not fit"},
		"a field that is too long":     {entry{pcr: 10, template: "ima-ng", fields: []string{sum}, trailing: "\x02\x00\x00\x00\x00"}, "the field n-ng does not fit"},
		"a name without an end":        {good.with("ima-ng", sum, "/bin/sh"), "does not end"},
		"an empty name field":          {good.with("ima-ng", sum, ""), "does not end"},
		"a name with a NUL in it":      {good.with("ima-ng", sum, "/bin/sh\x00.evil\x00"), "goes on after a NUL"},
		"a name with two NULs":         {good.with("ima-ng", sum, "/bin/sh\x00\x00"), "goes on after a NUL"},
		"a short digest":               {good.with("ima-ng", sum[:len(sum)-1], "n\x00"), "wrong length for sha256"},
		"a long digest":                {good.with("ima-ng", sum+"x", "n\x00"), "wrong length for sha256"},
		"a digest of no known hash":    {good.with("ima-ng", "unknown:\x00"+long(32), "n\x00"), "does not name a hash"},
		"a digest without a NUL":       {good.with("ima-ng", "sha256:"+long(32), "n\x00"), "does not name a hash"},
		"a digest without a colon":     {good.with("ima-ng", "sha256\x00"+long(32), "n\x00"), "does not name a hash"},
		"an empty digest":              {good.with("ima-ng", "", "n\x00"), "does not name a hash"},
		"ngv2 without a kind":          {good.with("ima-ngv2", sum, "n\x00"), "does not name a hash"},
		"ngv2 of another kind":         {good.with("ima-ngv2", "evm:"+sum, "n\x00"), "does not name a hash"},
		"ng with a kind":               {good.with("ima-ng", "ima:"+sum, "n\x00"), "does not name a hash"},
		"a bad digest of the module":   {good.with("ima-modsig", sum, "n\x00", "", sum[:9], ""), "d-modsig has the wrong length"},
		"a bare digest of 19 bytes":    {good.with("d|n", long(19), "n\x00"), "the field d has the wrong length"},
		"a short name that is long":    {good.with("d|n", long(20), long(256)+"\x00"), "the name in the field n is too long"},
		"an old name that is long":     {good.with("ima", long(20), long(256)), "the name in the field n is too long"},
		"an old name with a NUL":       {good.with("ima", long(20), "/bin/sh\x00"), "the name in the field n has a NUL"},
		"a user id of 2 bytes":         {good.with("d-ng|n-ng|iuid", sum, "n\x00", "ab"), "the field iuid has the wrong length"},
		"a mode of 4 bytes":            {good.with("d-ng|n-ng|imode", sum, "n\x00", "abcd"), "the field imode has the wrong length"},
		"xattr names without an end":   {good.with("d-ng|n-ng|xattrnames", sum, "n\x00", "abcd"), "xattrnames does not end"},
		"a template that is not known": {good.with("ima-new", good.fields...), "a field that is not known"},
		"a template without a name":    {good.with("", good.fields...), "a field that is not known"},
		"a field without a name":       {good.with("d-ng||n-ng", good.fields...), "a field that is not known"},
		"a field twice":                {good.with("d-ng|d-ng", sum, sum), "a field twice"},
		"16 fields":                    {good.with("d"+strings.Repeat("|d", 15), long(20)), "too many fields"},
		"PCR 24":                       {entry{pcr: 24, template: "ima-ng", fields: good.fields}, "no such PCR"},
		"a big-endian PCR 10":          {entry{pcr: 10 << 24, template: "ima-ng", fields: good.fields}, "no such PCR"},
		"a violation that is malformed": {entry{pcr: 10, template: "ima-ng", violation: true, fields: []string{sum[:27], "n\x00"}},
			"wrong length for sha256"},
		"20 zero bytes that are no violation": {good.with("ima-ng", "sha256:\x00"+string(make([]byte, 20)), "n\x00"), "wrong length for sha256"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if c.e.template == "ima" && len(c.e.fields[1]) > 256 {
				t.Fatal("cannot be built")
			}
			_, err := read(binaryList(tpm.SHA1, good, c.e))
			wantRefusal(t, err, evidence.IMAFormat, c.want)
			wantRefusal(t, err, evidence.IMAFormat, "entry 2 at offset 94 of the IMA list: ")
		})
	}
}

func TestWhatIsTakenOfABinaryList(t *testing.T) {
	sum, zero20 := sha256Digest("x"), string(make([]byte, 20))
	cases := map[string]entry{
		"PCR 23":                             {pcr: 23, template: "ima-ng", fields: ng("a").fields},
		"an empty name":                      ng(""),
		"a name with a newline":              ng("a\nb c"),
		"an old name of 255 bytes":           ng("").with("ima", long(20), long(255)),
		"a short name of 255 bytes":          ng("").with("d|n", long(20), long(255)+"\x00"),
		"a long name":                        ng(long(4096)),
		"one field":                          ng("").with("n-ng", "n\x00"),
		"no digest of a module":              ng("").with("ima-modsig", sum, "n\x00", "", "", ""),
		"empty ids":                          ng("").with("evm-sig", sum, "n\x00", "", "", "", "", "", "", ""),
		"15 fields":                          ng("").with("d|n|d-ng|n-ng|d-ngv2|sig|buf|d-modsig|modsig|evmsig|xattrnames|xattrlengths|xattrvalues|iuid|igid", long(20), "n\x00", sum, "n\x00", "ima:"+sum, "", "", "", "", "", "", "", "", "", ""),
		"a violation":                        {pcr: 10, template: "ima-ng", violation: true, fields: []string{"sha256:\x00" + string(make([]byte, 32)), "n\x00"}},
		"a violation of Linux 5.16 to 6.5":   {pcr: 10, template: "ima-ng", violation: true, fields: []string{"sha256:\x00" + zero20, "n\x00"}},
		"a violation of the template ima":    {pcr: 10, template: "ima", violation: true, fields: []string{zero20, "n"}},
		"a template name of exactly a field": ng("").with("d", zero20),
	}
	for name, e := range cases {
		t.Run(name, func(t *testing.T) {
			for _, a := range algs() {
				l, err := ima.ParseBinary(binaryList(a, ng("first"), e), a, ima.DefaultLimits())
				if err != nil || len(l.Entries()) != 2 || l.Entries()[1].Template() != e.template || l.Entries()[1].Violation != e.violation {
					t.Errorf("%s: %+v, %v", a, l, err)
				}
			}
		})
	}
}

func TestACutListIsRefusedWhereverItIsCut(t *testing.T) {
	b := binaryList(tpm.SHA1, ng("a"), ng("b").with("ima", long(20), "b"), ng("c"))
	whole := 0
	for n := range b {
		if l, err := read(b[:n]); err == nil {
			whole++
			if got := binaryList(tpm.SHA1, []entry{ng("a"), ng("b").with("ima", long(20), "b")}[:len(l.Entries())]...); len(got) != n {
				t.Errorf("cut at %d: %d entries", n, len(l.Entries()))
			}
		}
	}
	if whole != 3 { // after 0, 1 and 2 entries
		t.Errorf("%d cuts taken", whole)
	}
}

func TestHugeLengthsAreRefused(t *testing.T) {
	good := binaryList(tpm.SHA1, ng("a"))
	for name, c := range map[string]struct {
		at   int
		want string
	}{"name": {24, "template's name"}, "data": {34, "template data"}, "field": {38, "the field d-ng does not fit"}} {
		for _, n := range []uint32{uint32(len(good)), 1 << 31, 1<<32 - 1} {
			b := slices.Clone(good)
			binary.LittleEndian.PutUint32(b[c.at:], n)
			_, err := read(b)
			if wantRefusal(t, err, evidence.IMAFormat, c.want); t.Failed() {
				t.Fatal(name, n)
			}
		}
	}
}

func TestTemplateNamesHaveALength(t *testing.T) {
	_, err := read(binaryList(tpm.SHA1, ng("").with(long(255))))
	wantRefusal(t, err, evidence.IMAFormat, "a field that is not known")
	_, err = read(binaryList(tpm.SHA1, ng("").with(long(256))))
	wantRefusal(t, err, evidence.IMAFormat, "256 is more than 255")
}

func TestLimits(t *testing.T) {
	b := binaryList(tpm.SHA1, ng("a"), ng("b"))
	ascii := []byte(asciiOf(ng("a")) + asciiOf(ng("b")))
	for _, c := range []struct {
		size, entries int
		want          string
	}{{0, 2, ""}, {-1, 2, "ima_log"}, {0, 1, "ima_entries"}, {0, 0, "ima_entries"}, {0, -1, "ima_entries"}} {
		_, err := ima.ParseBinary(b, tpm.SHA1, ima.Limits{Size: len(b) + c.size, Entries: c.entries})
		_, err2 := ima.ParseASCII(ascii, tpm.SHA1, ima.Limits{Size: len(ascii) + c.size, Entries: c.entries})
		for _, err := range []error{err, err2} {
			if c.want != "" {
				wantRefusal(t, err, evidence.IMAFormat, c.want)
			} else if err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := ima.ParseBinary(b, tpm.SHA1, ima.Limits{}); err == nil {
		t.Error("the zero limits allow something")
	}
}

func TestTheHashOfTheTemplateHashesMustBeSaidRight(t *testing.T) {
	for _, a := range algs() {
		for _, said := range algs() {
			if _, err := ima.ParseBinary(binaryList(a, ng("a")), said, ima.DefaultLimits()); (err == nil) != (a == said) {
				t.Errorf("a list of %s read as %s: %v", a, said, err)
			}
		}
	}
	_, err := ima.ParseBinary(nil, 0x12, ima.DefaultLimits())
	wantRefusal(t, err, evidence.IMAFormat, "hash of the template hashes is not known")
}

func TestABufferFitsOnlyItsDigest(t *testing.T) {
	buf := func(alg, sum string) entry {
		return ng("").with("ima-buf", alg+":\x00"+sum, "kernel_version\x00", "6.1.0")
	}
	content := []byte("6.1.0")
	violation := buf("sha256", string(tpm.SHA256.Sum(content)))
	violation.violation = true
	cases := []struct {
		e    entry
		want bool
	}{
		{buf("sha1", string(tpm.SHA1.Sum(content))), true},
		{buf("sha256", string(tpm.SHA256.Sum(content))), true},
		{buf("sha512", string(tpm.SHA512.Sum(content))), true},
		{buf("sha256", string(tpm.SHA256.Sum([]byte("6.1.1")))), false},
		{buf("sm3", string(tpm.SHA256.Sum(content))), false},
		{violation, false},
		{ng("a"), false},
		{ng("").with("ima-sig", sha256Digest(""), "empty file\x00", ""), false},
		{ng("").with("ima-sig", sha256Digest("6.1.0"), "kernel_version\x00", "6.1.0"), true},
		{ng("").with("d-ng|n-ng|sig|modsig", sha256Digest("6.1.0"), "kernel_version\x00", "", "6.1.0"), true},
	}
	for i, c := range cases {
		l, err := read(binaryList(tpm.SHA1, c.e))
		if err != nil {
			t.Fatal(err)
		}
		if e := &l.Entries()[0]; (e.MeasuredBuffer() != nil) != c.want || (string(e.Buffer()) == "6.1.0") != (i < 6) {
			t.Errorf("case %d: measured %q, buffer %q", i, e.MeasuredBuffer(), e.Buffer())
		}
	}
}

func TestTextsOfFieldsThatAreNotThere(t *testing.T) {
	l, err := read(binaryList(tpm.SHA1, ng("").with("sig", "s"), ng("").with("n", "n\x00"), ng("").with("d", long(20))))
	if err != nil {
		t.Fatal(err)
	}
	got := texts(l)
	want := []string{"sig   sig 73", "n n ", "d  sha1:" + strings.Repeat("61", 20)}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if l.Entries()[1].Signature() != nil || l.Entries()[1].Buffer() != nil {
		t.Error("a signature or buffer out of nothing")
	}
}

func TestWhatIsMeasuredIsDescribedByADigestAndAName(t *testing.T) {
	sum := sha256Digest("x")
	for i, c := range []struct {
		e    entry
		want bool
	}{
		{ng("a"), true},
		{ng("").with("ima", long(20), "a"), true},
		{ng("").with("d|n-ng|sig", long(20), "n\x00", ""), true},
		{ng("").with("ima-ngv2", "ima:"+sum, "n\x00"), true},
		{ng("").with("n-ng", "n\x00"), false},
		{ng("").with("n-ng|d-ng", "n\x00", sum), false},
		{ng("").with("d-ng|evmsig", sum, "n\x00"), false},
		{ng("").with("d-ng|xattrnames", sum, "n\x00"), false},
		{ng("").with("d-modsig|n-ng", sum, "n\x00"), false},
		{ng("").with("modsig|n-ng", sum, "n\x00"), false},
	} {
		l, err := read(binaryList(tpm.SHA1, c.e))
		if err != nil {
			t.Fatal(err)
		}
		if l.Entries()[0].Described() != c.want {
			t.Errorf("case %d: got %v", i, !c.want)
		}
	}
}

// The sizes are those of Linux' crypto/hash_info.c.
func TestEachHashOfLinuxHasItsSize(t *testing.T) {
	for size, names := range map[int]string{
		16: "md4 md5 rmd128 tgr128", 20: "sha1 rmd160 tgr160", 24: "tgr192", 28: "sha224", 32: "sha256 sha3-256 rmd256 wp256 sm3 sm3-256 streebog256",
		40: "rmd320", 48: "sha384 sha3-384 wp384", 64: "sha512 sha3-512 wp512 streebog512",
	} {
		for _, name := range strings.Fields(names) {
			for _, n := range []int{size - 1, size, size + 1} {
				_, err := read(binaryList(tpm.SHA1, ng("").with("ima-ng", name+":\x00"+long(n), "n\x00")))
				if (err == nil) != (n == size) {
					t.Errorf("%s with %d bytes: %v", name, n, err)
				}
			}
		}
	}
}
