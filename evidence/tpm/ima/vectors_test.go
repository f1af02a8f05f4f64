package ima_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/ima"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// vector is one list of vectors/tpm/ima/index.json.
type vector struct {
	File, Binary, Expect, Code string
	Entries                    *int
	Templates                  map[string]int
	PCRs                       []uint32 `json:"pcrs"`
	Violations                 int
	BadTemplateHash            []int             `json:"bad_template_hash"`
	FirstName                  string            `json:"first_name"`
	PCR10                      map[string]string `json:"pcr10"`
	PCR10Old                   map[string]string `json:"pcr10_kernel_before_5.8"`
	Reference                  map[string]string `json:"reference_pcr10"`
}

// checkOf is the check that refuses each reason class of the index; an empty one refuses nothing.
func checkOf(t *testing.T, code string) evidence.Check {
	t.Helper()
	checks := map[string]evidence.Check{
		"TEMPLATE_HASH": evidence.IMAFormat, "TRUNCATED": evidence.IMAFormat, "BAD_LENGTH": evidence.IMAFormat, "TRAILING": evidence.IMAFormat,
		"BAD_NAME": evidence.IMAFormat, "BAD_DIGEST_LENGTH": evidence.IMAFormat, "PCR_MISMATCH": evidence.IMAReplay, "PCR10_UNCHANGED": "",
	}
	c, ok := checks[code]
	if !ok {
		t.Fatalf("the index has a reason class that is not in the table: %q", code)
	}
	return c
}

func vectors(t testing.TB) []vector {
	t.Helper()
	var list []vector
	vectortest.ReadJSON(t, "tpm/ima/index.json", &list)
	if len(list) == 0 {
		vectortest.NoCase(t, "IMA list")
	}
	return list
}

// forms are the files of a vector; the index names the binary form with a remark behind it.
func (v vector) forms() []string {
	if name, _, _ := strings.Cut(v.Binary, " "); name != "" {
		return []string{v.File, name}
	}
	return []string{v.File}
}

// algOf is the hash of the template hashes: SHA-1, or what the file is named for.
func algOf(file string) tpm.Alg {
	for name, a := range algs() {
		if strings.Contains(file, "."+name+"file.") {
			return a
		}
	}
	return tpm.SHA1
}

func algs() map[string]tpm.Alg {
	return map[string]tpm.Alg{"sha1": tpm.SHA1, "sha256": tpm.SHA256, "sha384": tpm.SHA384, "sha512": tpm.SHA512}
}

func parse(t testing.TB, file string) (*ima.List, error) {
	t.Helper()
	b := vectortest.Read(t, "tpm/ima/"+file)
	if strings.HasSuffix(file, ".ascii") {
		return ima.ParseASCII(b, algOf(file), ima.DefaultLimits())
	}
	return ima.ParseBinary(b, algOf(file), ima.DefaultLimits())
}

// banks turns the values of the index into those of Match.
func banks(t testing.TB, values map[string]string) map[tpm.Alg][]byte {
	t.Helper()
	out := map[tpm.Alg][]byte{}
	for name, text := range values {
		b, err := hex.DecodeString(text)
		if err != nil || algs()[name] == 0 {
			t.Fatalf("%s: %q: %v", name, text, err)
		}
		out[algs()[name]] = b
	}
	return out
}

func zeros() map[tpm.Alg][]byte {
	out := map[tpm.Alg][]byte{}
	for _, a := range algs() {
		out[a] = make([]byte, a.Size())
	}
	return out
}

func wantRefusal(t testing.TB, err error, check evidence.Check, text string) {
	t.Helper()
	if r := (*evidence.Refusal)(nil); !errors.As(err, &r) || r.Check != check || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want a refusal of %s with %q", err, check, text)
	}
}

func TestListsOfTheIndex(t *testing.T) {
	for _, v := range vectors(t) {
		for _, file := range v.forms() {
			t.Run(file, func(t *testing.T) { v.run(t, file) })
		}
	}
}

func (v vector) run(t *testing.T, file string) {
	l, err := parse(t, file)
	check := evidence.Check("")
	if v.Code != "" {
		check = checkOf(t, v.Code)
	}
	if len(v.BadTemplateHash) > 0 {
		check = evidence.IMAFormat
	}
	if strings.Contains(v.Expect, "(ascii)") && !strings.HasSuffix(file, ".ascii") {
		check = "" // only the other form is to be refused
	}
	if check == evidence.IMAFormat {
		wantRefusal(t, err, check, "")
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if v.Reference != nil {
		_, err = l.Match(zeros(), banks(t, v.Reference))
	}
	if check != "" {
		wantRefusal(t, err, check, "")
		return
	}
	if err != nil {
		t.Error(err)
	}
	v.compare(t, l)
}

// compare holds a list against what the index says of it.
func (v vector) compare(t *testing.T, l *ima.List) {
	t.Helper()
	templates, pcrs, violations := map[string]int{}, []uint32{}, 0
	for i := range l.Entries() {
		e := &l.Entries()[i]
		templates[e.Template()]++
		pcrs = append(pcrs, e.PCR)
		if e.Violation {
			violations++
		}
	}
	for _, values := range []map[string]string{v.PCR10, v.PCR10Old} {
		if n, err := l.Match(zeros(), banks(t, values)); values != nil && (err != nil || n != len(l.Entries())) {
			t.Errorf("PCR 10 %v after %d entries of %d, %v", values, n, len(l.Entries()), err)
		}
	}
	if v.Entries == nil {
		return
	}
	slices.Sort(pcrs)
	if pcrs = slices.Compact(pcrs); len(l.Entries()) != *v.Entries || !maps.Equal(templates, v.Templates) || violations != v.Violations ||
		!slices.Equal(pcrs, v.PCRs) || l.Entries()[0].Name() != v.FirstName {
		t.Errorf("got %d entries, templates %v, %d violations, PCRs %v, first %q, want %+v",
			len(l.Entries()), templates, violations, pcrs, l.Entries()[0].Name(), v)
	}
}

func TestBothFormsSayTheSame(t *testing.T) {
	for _, v := range vectors(t) {
		var seen [][]string
		for _, file := range v.forms() {
			if l, err := parse(t, file); err == nil {
				seen = append(seen, texts(l))
			}
		}
		if len(seen) == 2 && !slices.Equal(seen[0], seen[1]) {
			t.Errorf("%v: ascii %q, binary %q", v.forms(), seen[0], seen[1])
		}
	}
}

// texts shows all that a list says.
func texts(l *ima.List) []string {
	var out []string
	for i := range l.Entries() {
		out = append(out, text(&l.Entries()[i]))
	}
	return out
}

func TestEntriesOfAllTemplates(t *testing.T) {
	l, err := parse(t, "synthetic-all-templates.bin")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{ // the ascii form of the same list
		"ima-ng boot_aggregate sha256:1f51b5e37c6a7862e98a64c83ff66759e5c4c7d4d85725cc448c2d64d76b4ed9",
		"ima /usr/bin/legacy sha1:f511342c931bc066e5d0792736a31520a8c929ec",
		"ima-ng /usr/bin/with_space sha256:44ce8af8e7279634a95d92e177149e6388b7d92898ea921a9b120327fcd5a11f",
		"ima-sig /usr/bin/signed sha256:8e24551c825a8a3453494e0beeaa74edcf88e8f3921d5e82e2335d3058cef2a6 sig 030204aabbccdd0004deadbeef",
		"ima-sig /usr/bin/unsigned sha256:e0417ba9f8946de046ffc807da61bdb79bf58c0b66936d84dc1cb8183326835d",
		"ima-ngv2 /usr/bin/v2 sha256:c4c54dacca51cc360de5db9bee30b893e4f1373d4df2405553cae04d9dcec83f",
		"ima-sigv2 /usr/bin/verity verity:sha256:6145e9cc4266d5eb99780831c2cf0b210a8011f6b399411f27b1a037297a0ed8 sig 060304aabbccdd0004deadbeef",
		"ima-buf kexec-cmdline sha256:9246d2c0e0f213ae2b86ac78a432a55edfd31d07a072331d58763c08d5292212 buf 6b3d76 fits",
		"ima-modsig /lib/modules/x.ko sha256:e6b3ea413179eb901c95c0ed92c5cca35006009a073475fcc45b532cbb22335c",
		"evm-sig /usr/bin/evm sha256:1144d644c8f01ee03d884c04d246f4e61f3e342906ca57ee1da7d1de50faad84",
		"ima-ng /var/log/violated sha256:" + strings.Repeat("0", 64) + " violation",
		"ima-ng /usr/bin/sha384 sha384:f2ad9ac8232e930604a515083ad092515e3eef8d410e66221bf7413e1ca53f4a8a5c579deebe518211dd872348975f0d",
	}
	if got := texts(l); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func text(e *ima.Entry) string {
	s := e.Template() + " " + e.Name() + " " + e.Digest()
	if b := e.Signature(); len(b) > 0 {
		s += " sig " + hex.EncodeToString(b)
	}
	if b := e.Buffer(); len(b) > 0 {
		s += " buf " + hex.EncodeToString(b)
	}
	if e.MeasuredBuffer() != nil {
		s += " fits"
	}
	if e.Violation {
		s += " violation"
	}
	return s
}

// TestReplayGivesTheValuesOfTheIndex compares PCR 10 after all entries.
func TestReplayGivesTheValuesOfTheIndex(t *testing.T) {
	compared := 0
	for _, v := range vectors(t) {
		l, err := parse(t, v.File)
		if err != nil {
			continue // TestListsOfTheIndex says whether that is right
		}
		for a, want := range banks(t, v.PCR10) {
			if got := l.Replay(a, make([]byte, a.Size())); !bytes.Equal(got, want) {
				t.Errorf("%s, %v: got %x, want %x", v.File, a, got, want)
			}
			compared++
		}
		if l.Replay(tpm.SHA256, make([]byte, 20)) != nil || l.Replay(0, nil) != nil {
			t.Errorf("%s: a start of another length was taken", v.File)
		}
	}
	if compared == 0 {
		vectortest.NoCase(t, "value of PCR 10")
	}
}
