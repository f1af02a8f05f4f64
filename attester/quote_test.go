package attester_test

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"io/fs"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/swtpmtest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// measurement is an entry of IMA, template ima-ng (tpm-evidence.md section 7).
type measurement struct{ data []byte }

func measure(name string) measurement {
	h := crypto.SHA256.New()
	h.Write([]byte(name))
	var data []byte
	for _, field := range [][]byte{append([]byte("sha256:\x00"), h.Sum(nil)...), []byte(name + "\x00")} {
		data = append(binary.LittleEndian.AppendUint32(data, uint32(len(field))), field...)
	}
	return measurement{data}
}

func (m measurement) digest(a tpm.Alg) []byte { return a.Sum(m.data) }

func (m measurement) entry() []byte {
	const template = "ima-ng"
	b := append(binary.LittleEndian.AppendUint32(nil, 10), m.digest(tpm.SHA1)...)
	b = append(binary.LittleEndian.AppendUint32(b, uint32(len(template))), template...)
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(m.data))), m.data...)
}

// extend extends PCR 10 as a kernel since 5.8 does.
func (m measurement) extend(t *testing.T, s *swtpmtest.TPM) {
	t.Helper()
	digests := map[tpm.Alg][]byte{}
	for _, a := range []tpm.Alg{tpm.SHA256, tpm.SHA384} {
		digests[a] = m.digest(a)
	}
	swtpmtest.Extend(t, s.Open(t), 10, digests)
}

func list(entries ...measurement) (b []byte) {
	for _, m := range entries {
		b = append(b, m.entry()...)
	}
	return b
}

func usualPCRs(but ...int) (pcrs []int) {
	for pcr := range tpm.PCRCount {
		if pcr != 16 && pcr != 23 && !slices.Contains(but, pcr) {
			pcrs = append(pcrs, pcr)
		}
	}
	return pcrs
}

func TestThePCRsThatTheLogsExplainAreQuoted(t *testing.T) {
	s := swtpmtest.Start(t)
	m := machine(t, s)
	one, two := measure("/bin/one"), measure("/bin/two")
	attest := func(step string, imaList []byte, want []int) {
		t.Helper()
		m.Logs.Root = fstest.MapFS{eventLog: {Data: vectortest.Read(t, realLog)}, imaLog: {Data: imaList}}
		report, err := m.Attest(t.Context(), (&judge{t: t, required: 0xFF, roots: noRoots(), uncertified: true}).post)
		if err != nil {
			t.Fatal(step, err)
		}
		if !slices.Equal(report.Quoted, want) {
			t.Errorf("%s: quoted %v, want %v", step, report.Quoted, want)
		}
		if rest := append(slices.Clone(report.Quoted), report.Unexplained...); len(rest) != len(usualPCRs()) {
			t.Errorf("%s: not explained %v", step, report.Unexplained)
		}
	}
	attest("after the boot", nil, usualPCRs())
	one.extend(t, s)
	attest("without the list", nil, usualPCRs(10))
	attest("with the list", list(one), usualPCRs())
	attest("with a list that has grown", list(one, two), usualPCRs())
	two.extend(t, s)
	attest("with a list that lacks an entry", list(one), usualPCRs(10))
	swtpmtest.Extend(t, s.Open(t), 15, map[tpm.Alg][]byte{tpm.SHA384: make([]byte, 48)})
	attest("with PCR 15 extended in one bank", list(one, two), usualPCRs(15))
}

func TestTheChosenPCRsAreQuotedInRisingOrder(t *testing.T) {
	m := machine(t, swtpmtest.Start(t))
	m.PCRs = []int{7, 3, 3, 0}
	report, err := m.Attest(t.Context(), (&judge{t: t, required: 1<<7 | 1<<3 | 1, roots: noRoots(), uncertified: true}).post)
	if err != nil || !slices.Equal(report.Quoted, []int{0, 3, 7}) || report.Unexplained != nil {
		t.Errorf("%+v, %v", report, err)
	}
}

// busy is a file system whose IMA list grows, and PCR 10 with it, whenever somebody opens it.
type busy struct {
	t       *testing.T
	s       *swtpmtest.TPM
	log     []byte
	times   int
	entries []measurement
}

func (b *busy) Open(name string) (fs.File, error) {
	if name == imaLog && b.times > 0 {
		b.times--
		m := measure(string(rune('a' + b.times)))
		m.extend(b.t, b.s)
		b.entries = append(b.entries, m)
	}
	return fstest.MapFS{eventLog: {Data: b.log}, imaLog: {Data: list(b.entries...)}}.Open(name)
}

func TestAQuoteIsMadeAgainWhenThePCRsChangeMeanwhile(t *testing.T) {
	s := swtpmtest.Start(t)
	m := machine(t, s)
	b := &busy{t: t, s: s, log: vectortest.Read(t, realLog), times: 3}
	m.Logs.Root = b
	report, err := m.Attest(t.Context(), (&judge{t: t, required: 1<<10 | 0xFF, roots: noRoots(), uncertified: true}).post)
	if err != nil || b.times != 0 || !slices.Contains(report.Quoted, 10) {
		t.Fatalf("%v, %d times left", err, b.times)
	}
	b.times = 100
	_, err = m.Attest(t.Context(), (&judge{t: t}).post)
	wantProblem(t, err, "changed during each of 8 quotes", "--pcrs")
	if b.times != 92 {
		t.Errorf("%d quotes, want 8", 100-b.times)
	}
}

func TestTheCertificateOfAnotherKeyIsNotSent(t *testing.T) {
	m := machine(t, swtpmtest.Start(t))
	ca := swtpmtest.NewCA(t)
	m.AIKCertificate = ca.Certify(t, ca.Certificate.PublicKey)
	_, err := m.Attest(t.Context(), (&judge{t: t}).post)
	wantProblem(t, err, "another key than this TPM's", "enrol again")
	m.AIKCertificate = bytes.Repeat([]byte{1}, 10)
	_, err = m.Attest(t.Context(), (&judge{t: t}).post)
	wantProblem(t, err, "cannot be read", "enrol again")
}

func TestSchemesHaveNames(t *testing.T) {
	for i, name := range attester.Schemes() {
		if s, err := attester.ParseScheme(name); err != nil || s != attester.Scheme(i) {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
	if _, err := attester.ParseScheme("dsa"); err == nil {
		t.Error("dsa is a scheme")
	}
}
