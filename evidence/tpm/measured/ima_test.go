package measured_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/ima"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// imaCase is a case of vectors/tpm/ima/index.json.
type imaCase struct {
	File, Binary, Expect string
	Bad                  []int `json:"bad_template_hash"`
	PCR10                values
	Old                  values `json:"pcr10_kernel_before_5.8"`
	Reference            values `json:"reference_pcr10"`
}

// list names the binary list, "" where the case has none.
func (c *imaCase) list() string {
	if file, _, _ := strings.Cut(c.Binary, " "); file != "" {
		return file
	}
	if strings.HasSuffix(c.File, ".bin") {
		return c.File
	}
	return ""
}

// accepted says whether the binary list is sound.
func (c *imaCase) accepted() bool {
	return len(c.Bad) == 0 && (!strings.HasPrefix(c.Expect, "reject") || strings.Contains(c.Expect, "ascii"))
}

// read parses the binary list.
func (c *imaCase) read(t *testing.T) (*ima.List, error) {
	t.Helper()
	hash := tpm.SHA1
	if strings.Contains(c.File, ".sha256file.") {
		hash = tpm.SHA256
	}
	return ima.ParseBinary(vectortest.Read(t, "tpm/ima/"+c.list()), hash, ima.DefaultLimits())
}

// quoteWithIMA quotes PCR 10 as the index says for each bank, beside a log of the firmware.
func quoteWithIMA(t *testing.T, m *machine, pcr10 values) *tpm.Quoted {
	t.Helper()
	var banks []tpm.Bank
	for _, a := range m.algs {
		b := m.bank(a)
		b.Values[ima.PCR] = values{"10": pcr10[strings.ToLower(a.String())]}.bank(t, a.String()).Values[ima.PCR]
		banks = append(banks, b)
	}
	return quote(t, banks...)
}

func TestIMALists(t *testing.T) {
	var cases []imaCase
	vectortest.ReadJSON(t, "tpm/ima/index.json", &cases)
	seen := 0
	for _, c := range cases {
		if c.list() == "" {
			continue
		}
		seen++
		t.Run(c.File, func(t *testing.T) {
			m := linux()
			m.algs = []tpm.Alg{tpm.SHA384, tpm.SHA256, tpm.SHA1}
			for _, pcr10 := range []values{c.PCR10, c.Old, c.Reference} {
				if pcr10 != nil {
					c.verify(t, m, pcr10)
				}
			}
		})
	}
	if seen == 0 {
		vectortest.NoCase(t, "binary IMA list")
	}
}

func (c *imaCase) verify(t *testing.T, m *machine, pcr10 values) {
	t.Helper()
	l, err := c.read(t)
	var b *measured.Boot
	if err == nil {
		b, err = measured.Verify(append(m.parsed(t), measured.Log{IMA: l}), quoteWithIMA(t, m, pcr10), strict())
	}
	if !c.accepted() {
		if r, ok := err.(*evidence.Refusal); !ok || r.Check != evidence.IMAFormat && r.Check != evidence.IMAReplay {
			t.Errorf("got %v, want a refusal of the list", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := events(t, b)[len(m.logs[0])+1:]
	if len(lines) > len(l.Entries()) {
		t.Errorf("got %d events of %d entries", len(lines), len(l.Entries()))
	}
	for i, e := range lines {
		entry := &l.Entries()[i]
		if e.EventTypeString != "IMA_MEASUREMENT_EVENT" || e.EventType != nil || *e.PcrIndex != entry.PCR {
			t.Errorf("entry %d: got %+v", i+1, e)
		}
		if believable := entry.PCR == ima.PCR && !entry.Violation; !believable && e.ProcessedData != nil {
			t.Errorf("entry %d is believed: %s", i+1, e.ProcessedData)
		}
	}
}

// The binary list says what the text of the same list says.
func TestMeasurementsOfFiles(t *testing.T) {
	text := strings.Split(strings.TrimSpace(string(vectortest.Read(t, "tpm/ima/ubuntu-ima-ng.ascii"))), "\n")
	l := readList(t, "ubuntu-ima-ng.bin")
	got := imaEvents(t, l)
	if len(got) != len(text) {
		t.Fatalf("got %d entries, want %d", len(got), len(text))
	}
	for i, line := range text {
		field := strings.SplitN(line, " ", 5)
		want := fmt.Sprintf(`{"TemplateName":%q,"Name":%q,"Digest":%q}`, field[2], field[4], field[3])
		if got[i] != want {
			t.Errorf("entry %d: got %s, want %s", i+1, got[i], want)
		}
	}
}

func readList(t *testing.T, name string) *ima.List {
	t.Helper()
	l, err := ima.ParseBinary(vectortest.Read(t, "tpm/ima/"+name), tpm.SHA1, ima.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// imaEvents gives the ProcessedData of each entry of a list, quoted with the first value of PCR 10 in the index that fits it.
func imaEvents(t *testing.T, l *ima.List) (all []string) {
	t.Helper()
	var cases []imaCase
	vectortest.ReadJSON(t, "tpm/ima/index.json", &cases)
	m := &machine{algs: []tpm.Alg{tpm.SHA256}}
	for _, c := range cases {
		if c.list() == "" || !c.accepted() || c.PCR10 == nil {
			continue
		}
		b, err := measured.Verify([]measured.Log{{IMA: l}}, quoteWithIMA(t, m, c.PCR10), strict())
		if err != nil {
			continue
		}
		for _, e := range events(t, b) {
			all = append(all, string(e.ProcessedData))
		}
		return all
	}
	t.Fatal("no value of PCR 10 fits the list")
	return nil
}

// The subject is what openssl x509 -nameopt RFC2253 says of the certificate in the list.
func TestCertificatesAddedToAKeyring(t *testing.T) {
	got := imaEvents(t, readList(t, "keylime-ima-buf-keyring.bin"))
	if want := `{"Keyring":".ima","CertificateSubject":"CN=ecdsa-ca-signed-ec-key"}`; len(got) != 1 || got[0] != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// measurement is an entry of a list that a test makes: fields of an ima-buf, or with no buffer of an ima-ng.
type measurement struct {
	pcr          uint32
	name, buffer string
	digestOf     string // instead of buffer
	violation    bool
}

func (e measurement) data() []byte {
	of := e.buffer
	if e.digestOf != "" {
		of = e.digestOf
	}
	d := sized(sized(nil, "sha256:\x00"+string(tpm.SHA256.Sum([]byte(of)))), e.name+"\x00")
	if e.buffer != "" {
		d = sized(d, e.buffer)
	}
	return d
}

func sized(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
}

// entries makes a list, and the value of PCR 10 in the SHA-256 bank after each entry.
func entries(t *testing.T, list ...measurement) (*ima.List, [][]byte) {
	t.Helper()
	var b []byte
	value, after := make([]byte, 32), [][]byte{}
	for _, e := range list {
		template, hash, digest := "ima-ng", tpm.SHA1.Sum(e.data()), tpm.SHA256.Sum(e.data())
		if e.buffer != "" {
			template = "ima-buf"
		}
		if e.violation {
			hash, digest = make([]byte, 20), []byte(strings.Repeat("\xFF", 32))
		}
		b = append(binary.LittleEndian.AppendUint32(b, e.pcr), hash...)
		b = sized(sized(b, template), string(e.data()))
		if e.pcr == ima.PCR {
			value = tpm.SHA256.Sum(value, digest)
		}
		after = append(after, value)
	}
	l, err := ima.ParseBinary(b, tpm.SHA1, ima.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return l, after
}

// quoteIMA quotes PCR 10 with a value, and nothing else that was measured.
func quoteIMA(t *testing.T, value []byte) *tpm.Quoted {
	t.Helper()
	b := (&machine{}).bank(tpm.SHA256)
	b.Values[ima.PCR] = value
	return quote(t, b)
}

func TestWhatEntriesOfAListSay(t *testing.T) {
	list := []measurement{
		{10, "boot_aggregate", "", "the PCRs", false},
		{10, "kernel_version", "6.1.0-13-amd64", "", false},
		{10, "kernel_version", "6.1.0-13-amd64", "another", false},
		{10, "kernel_version", "6.1\xFF", "", false},
		{10, "kexec-cmdline", "quiet \"é\"", "", false},
		{10, "kexec-cmdline", "quiet", "another", false},
		{10, "kernel_version", "", "x", false},
		{10, "/var/log/\"x\"", "", "x", true},
		{11, "/bin/sh", "", "x", false},
		{10, "/bin/\"é\"", "", "x", false},
	}
	want := []string{
		measures("ima-ng", `boot_aggregate`, "the PCRs"), `{"KernelVersion":"6.1.0-13-amd64"}`, measures("ima-buf", `kernel_version`, "another"), ``,
		measures("ima-buf", `kexec-cmdline`, `quiet "é"`), measures("ima-buf", `kexec-cmdline`, "another"), measures("ima-ng", `kernel_version`, "x"), ``, ``, measures("ima-ng", `/bin/\"é\"`, "x"),
	}
	l, after := entries(t, list...)
	b, err := measured.Verify([]measured.Log{{IMA: l}}, quoteIMA(t, after[len(after)-1]), strict())
	if err != nil {
		t.Fatal(err)
	}
	got := events(t, b)
	if len(got) != len(want) {
		t.Fatalf("got %d events, want %d", len(got), len(want))
	}
	for i := range got {
		if string(got[i].ProcessedData) != want[i] {
			t.Errorf("entry %d: got %s, want %s", i+1, got[i].ProcessedData, want[i])
		}
	}
}

func measures(template, name, of string) string {
	return fmt.Sprintf(`{"TemplateName":"%s","Name":"%s","Digest":"sha256:%x"}`, template, name, tpm.SHA256.Sum([]byte(of)))
}

// A list that went on after the quote says nothing of what it has grown by.
func TestEntriesBehindTheQuoteAreLeftOut(t *testing.T) {
	l, after := entries(t, measurement{10, "a", "", "a", false}, measurement{10, "b", "", "b", false}, measurement{10, "c", "", "c", false})
	for n, value := range after {
		b, err := measured.Verify([]measured.Log{{IMA: l}}, quoteIMA(t, value), strict())
		if err != nil {
			t.Fatal(err)
		}
		if got := events(t, b); len(got) != n+1 {
			t.Errorf("after entry %d: got %d events", n+1, len(got))
		}
	}
	_, err := measured.Verify([]measured.Log{{IMA: l}}, quoteIMA(t, tpm.SHA256.Sum(nil)), strict())
	refused(t, err, evidence.IMAReplay, "")
}

func TestAListIsNotBelievedWithoutPCR10(t *testing.T) {
	l, _ := entries(t, measurement{10, "a", "", "a", false}, measurement{10, "kernel_version", "6.1", "", false})
	m := &machine{algs: []tpm.Alg{tpm.SHA256}, quoted: []int{0, 9}}
	b, err := m.verify(t, strict(), l)
	if err != nil {
		t.Fatal(err)
	}
	got := events(t, b)
	if len(got) != 2 || got[0].ProcessedData != nil || got[1].ProcessedData != nil {
		t.Errorf("got %+v", got)
	}
}

func TestThereIsOneListAtMost(t *testing.T) {
	l, after := entries(t, measurement{10, "a", "", "a", false})
	_, err := measured.Verify([]measured.Log{{IMA: l}, {IMA: l}}, quoteIMA(t, after[0]), strict())
	refused(t, err, evidence.IMAReplay, "second IMA list")
}

func TestTheJournalTellsOfTheList(t *testing.T) {
	l, after := entries(t, measurement{10, "a", "", "a", false})
	var j evidence.Journal
	opt := strict()
	opt.Journal = &j
	if _, err := measured.Verify([]measured.Log{{IMA: l}}, quoteIMA(t, after[0]), opt); err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(j.Entries)
	if !strings.Contains(string(text), `{"name":"ima-replay","outcome":"pass","found":"1 entry"}`) {
		t.Errorf("got %s", text)
	}
}
