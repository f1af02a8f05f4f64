package ima_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/ima"
)

// asciiOf is the line of an entry of ima-ng.
func asciiOf(e entry) string {
	alg, sum, _ := strings.Cut(e.fields[0], "\x00")
	return fmt.Sprintf("%2d %x %s %s%x %s\n", e.pcr, e.hash(tpm.SHA1), e.template, alg, sum, strings.TrimSuffix(e.fields[1], "\x00"))
}

func TestWhatIsTakenOfAnASCIIList(t *testing.T) {
	five := ng("a")
	five.pcr = 5
	for name, c := range map[string]struct {
		text string
		want int
	}{
		"nothing":                  {"", 0},
		"two lines":                {asciiOf(ng("a")) + asciiOf(ng("b")), 2},
		"no newline at the end":    {strings.TrimSuffix(asciiOf(ng("a")), "\n"), 1},
		"a PCR that is not padded": {strings.TrimPrefix(asciiOf(five), " "), 1},
		"a PCR that is padded":     {asciiOf(five), 1},
		"an empty name":            {asciiOf(ng("")), 1},
	} {
		if l, err := ima.ParseASCII([]byte(c.text), tpm.SHA1, ima.DefaultLimits()); err != nil || len(l.Entries()) != c.want {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
	}
}

func TestWhatIsRefusedOfAnASCIIList(t *testing.T) {
	good := asciiOf(ng("/bin/sh"))
	hash := strings.Fields(good)[1]
	change := func(old, now string) string { return strings.Replace(good, old, now, 1) }
	ids := func(uid, mode string) string { return "10 " + hash + " iuid|imode " + uid + " " + mode }
	for name, c := range map[string]struct{ text, want string }{
		"an empty line":               {"\n", "the line is not as the kernel writes it"},
		"a PCR only":                  {"10\n", "the line is not as the kernel writes it"},
		"no fields":                   {"10 " + hash + " ima-ng\n", "the line is not as the kernel writes it"},
		"a PCR that is no number":     {change("10", "1x"), "the line is not as the kernel writes it"},
		"a PCR with a sign":           {change("10", "+1"), "the line is not as the kernel writes it"},
		"a PCR of three digits":       {change("10", "010"), "the line is not as the kernel writes it"},
		"PCR 24":                      {change("10", "24"), "no such PCR"},
		"a short template hash":       {change(hash, hash[2:]), "the template hash is not SHA1"},
		"a template hash not in hex":  {change(hash, "x"+hash[1:]), "the template hash is not as the kernel writes it"},
		"another template hash":       {change(hash, strings.Repeat("1", 40)), "not that of the template data"},
		"another name":                {change("/bin/sh", "/bin/sg"), "not that of the template data"},
		"a name with a space":         {change("/bin/sh", "/bin/s h"), "does not have the fields of its template"},
		"a name with a NUL":           {change("/bin/sh", "/bin/s\x00h"), "goes on after a NUL"},
		"two spaces":                  {change(" ima-ng", "  ima-ng"), "a field that is not known"},
		"a carriage return":           {change("\n", "\r\n"), "not that of the template data"},
		"no digest":                   {"10 " + hash + " ima-ng  /bin/sh", "the field d-ng is not as the kernel writes it"},
		"a digest not in hex":         {change("sha256:", "sha256:x"), "the field d-ng is not as the kernel writes it"},
		"a digest without its hash":   {change("sha256:", ""), "does not name a hash"},
		"a short digest":              {change("sha256:", "sha384:"), "wrong length for sha384"},
		"a user id that is no number": {ids("x", "1"), "the field iuid is not as the kernel writes it"},
		"a user id too large":         {ids("4294967296", "1"), "the field iuid is not as the kernel writes it"},
		"the largest user id":         {ids("4294967295", "1"), "not that of the template data"},
		"a mode too large":            {ids("1", "65536"), "the field imode is not as the kernel writes it"},
		"the largest mode":            {ids("1", "65535"), "not that of the template data"},
		"an old digest too short":     {"10 " + hash + " ima aabb n", "the field d has the wrong length"},
		"an old name too long":        {"10 " + hash + " ima " + hash + " " + long(256), "the name in the field n is too long"},
		"an old name of 255 bytes":    {"10 " + hash + " ima " + hash + " " + long(255), "not that of the template data"},
	} {
		t.Run(name, func(t *testing.T) {
			first := asciiOf(ng("first"))
			_, err := ima.ParseASCII([]byte(first+c.text), tpm.SHA1, ima.DefaultLimits())
			wantRefusal(t, err, evidence.IMAFormat, c.want)
			wantRefusal(t, err, evidence.IMAFormat, fmt.Sprintf("entry 2 at offset %d of the IMA list: ", len(first)))
		})
	}
}

// A name with a newline shows two lines; the second one is a measurement that was never made (vector neg-newline-in-name).
func TestANewlineInANameForgesNoEntry(t *testing.T) {
	evil := ng("/home/u/x\n" + strings.TrimSuffix(asciiOf(ng("/usr/bin/evil")), "\n"))
	_, err := ima.ParseASCII([]byte(asciiOf(evil)), tpm.SHA1, ima.DefaultLimits())
	wantRefusal(t, err, evidence.IMAFormat, "entry 1 at offset 0 of the IMA list: the SHA1 template hash is not that of the template data")
}
