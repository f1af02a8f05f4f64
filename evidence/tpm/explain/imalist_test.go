package explain_test

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/explain"
	"github.com/assay-attestation/assay/evidence/tpm/ima"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// measurement writes an entry of an IMA list in binary form (tpm-evidence.md section 7).
func measurement(pcr uint32, template string, fields ...string) []byte {
	var data []byte
	for _, f := range fields {
		data = append(binary.LittleEndian.AppendUint32(data, uint32(len(f))), f...)
	}
	return listed(pcr, tpm.SHA1.Sum(data), template, data)
}

func listed(pcr uint32, hash []byte, template string, data []byte) []byte {
	b := append(binary.LittleEndian.AppendUint32(nil, pcr), hash...)
	b = append(binary.LittleEndian.AppendUint32(b, uint32(len(template))), template...)
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(data))), data...)
}

// sum is a field d-ng of a content.
func sum(a tpm.Alg, content string) string {
	return strings.ToLower(a.String()) + ":\x00" + string(a.Sum([]byte(content)))
}

func listOf(t testing.TB, entries ...[]byte) *ima.List {
	t.Helper()
	l, err := ima.ParseBinary(slices.Concat(entries...), tpm.SHA1, ima.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// violation is an entry whose file was open for writing.
func violation(name string) []byte {
	e := measurement(10, "ima-ng", "sha1:\x00"+strings.Repeat("\x00", 20), name+"\x00")
	copy(e[4:24], make([]byte, 20))
	return e
}

func TestEverySentenceAboutMeasurements(t *testing.T) {
	content := sum(tpm.SHA1, "x")
	const hexX = "sha1:11f6ad8ec52a2984abaafd7c3b516503785c2072" // SHA-1 of "x"
	key := certificate(t, pkix.Name{CommonName: "Contoso"})
	for _, test := range []struct {
		entry []byte
		want  string
	}{
		{measurement(10, "ima-ng", content, "/bin/sh\x00"), `the file "/bin/sh", ` + hexX + ` (template "ima-ng")`},
		{measurement(10, "ima-sig", content, "/bin/sh\x00", ""), `the file "/bin/sh", ` + hexX + `, without a signature (template "ima-sig")`},
		{measurement(10, "ima-sig", content, "/bin/sh\x00", "\x03\x02\x04\xAA\xBB\xCC\xDD\x00\x01s"),
			`the file "/bin/sh", ` + hexX + `, with a signature of the key aabbccdd that nobody verified here (template "ima-sig")`},
		{measurement(10, "ima-sig", content, "/bin/sh\x00", "\x04\x01"), `the file "/bin/sh", ` + hexX + `, with 2 bytes in place of a signature (template "ima-sig")`},
		{measurement(10, "ima-ng", content, "boot_aggregate\x00"), "the PCRs of the boot as they were when IMA began (boot_aggregate): " + hexX},
		{measurement(10, "ima-buf", sum(tpm.SHA1, "6.1.0"), "kernel_version\x00", "6.1.0"), `the version of the kernel is "6.1.0"`},
		{measurement(10, "ima-buf", sum(tpm.SHA1, string(key)), ".ima\x00", string(key)), `a key came into the kernel's keyring ".ima": that of "CN=Contoso"`},
		{measurement(10, "ima-buf", sum(tpm.SHA1, "ro"), "kexec-cmdline\x00", "ro"), `"kexec-cmdline", which is no file: "ro"`},
		{measurement(10, "ima-buf", content, "kernel_version\x00", "6.1.0"), `the file "kernel_version", ` + hexX + ` (template "ima-buf")`}, // the digest is of something else
		{measurement(10, "n-ng|d-ng", "/bin/sh\x00", content), `something of which the template "n-ng|d-ng" tells no digest and no name`},
		{violation("/var/log/x"), `VIOLATION: "/var/log/x" was open for writing while it was measured, so that nothing is known of it`},
	} {
		if got := explain.Measurements(listOf(t, test.entry), 1, 1)[0].Says; got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

func TestMeasurementsTellWhatPCR10Covers(t *testing.T) {
	file := func(pcr uint32) []byte { return measurement(pcr, "ima-ng", sum(tpm.SHA1, "x"), "x\x00") }
	all := explain.Measurements(listOf(t, file(10), file(11), violation("y"), file(10)), 7, 3)
	want := []explain.Covers{explain.CoversData, explain.CoversNothing, explain.CoversNothing, explain.CoversNothing} // the last one is not quoted
	for i, m := range all {
		if m.Covers != want[i] || m.Seq != 7+i {
			t.Errorf("entry %d: %+v, want %s", i, m, want[i])
		}
	}
}

// withList sums up a boot without Secure Boot and a list.
func withList(t *testing.T, covered int, entries ...[]byte) []explain.Finding {
	t.Helper()
	log, list := logOf(t, off()...), listOf(t, entries...)
	opt := measured.Options{Depth: sipa.DefaultDepth, Limits: eventlog.DefaultLimits()}
	u, err := measured.ReadUnquoted(log, list, opt)
	if err != nil {
		t.Fatal(err)
	}
	b, err := eventlog.Replay(tpm.SHA1, false, log)
	if err != nil {
		t.Fatal(err)
	}
	return explain.SummarizeIMA(explain.Measurements(list, 1, covered), []tpm.Bank{*b}, u)
}

// aggregate is an entry boot_aggregate with a digest.
func aggregate(a tpm.Alg, digest []byte) []byte {
	return measurement(10, "ima-ng", strings.ToLower(a.String())+":\x00"+string(digest), "boot_aggregate\x00")
}

func TestSummaryOfAListTellsWhatItHolds(t *testing.T) {
	log := logOf(t, off()...)
	b, err := eventlog.Replay(tpm.SHA1, false, log)
	if err != nil {
		t.Fatal(err)
	}
	fits := tpm.SHA1.Sum(bytes.Join(b.Values[:8], nil)) // PCR 0 to 7: tpm-evidence.md section 7
	file := measurement(10, "ima-sig", sum(tpm.SHA1, "x"), "x\x00", "\x03\x02\x04\xAA\xBB\xCC\xDD\x00\x01s")
	for _, test := range []struct {
		name    string
		covered int
		entries [][]byte
		about   string
		says    string
		basis   explain.Basis
	}{
		{"files", 2, [][]byte{aggregate(tpm.SHA1, fits), file}, "IMA", "2 entries in PCR 10: 1 file, of which 1 have a signature that nobody verified here; 1 other measurement", explain.Measured},
		{"a grown list", 1, [][]byte{aggregate(tpm.SHA1, fits), file}, "IMA", "1 entry that PCR 10 as quoted does not cover", explain.Hint},
		{"a violation", 1, [][]byte{violation("x")}, "IMA", "VIOLATIONS: 1 entry of files that were open for writing while they were measured", explain.Hint},
		{"the same boot", 1, [][]byte{aggregate(tpm.SHA1, fits)}, "boot_aggregate", "FITS the event log: it is the hash of PCR 0 to 7", explain.Measured},
		{"another boot", 1, [][]byte{aggregate(tpm.SHA1, slices.Repeat([]byte{7}, 20))}, "boot_aggregate", "DOES NOT FIT the event log", explain.Measured},
		{"PCR 0 to 9 are not for SHA-1", 1, [][]byte{aggregate(tpm.SHA1, tpm.SHA1.Sum(bytes.Join(b.Values[:10], nil)))}, "boot_aggregate", "DOES NOT FIT", explain.Measured},
		{"no TPM", 1, [][]byte{aggregate(tpm.SHA1, make([]byte, 20))}, "boot_aggregate", "all zero: IMA found no TPM when it began", explain.Measured},
		{"another bank", 1, [][]byte{aggregate(tpm.SHA256, make([]byte, 32))}, "boot_aggregate", "not compared: it is of the bank sha256, which the event log does not have", explain.Silent},
		{"none", 1, [][]byte{file}, "boot_aggregate", "no entry ties the list to the event log", explain.Silent},
		{"one that is not quoted", 0, [][]byte{aggregate(tpm.SHA1, fits)}, "boot_aggregate", "no entry ties the list to the event log", explain.Silent},
	} {
		t.Run(test.name, func(t *testing.T) {
			findings := withList(t, test.covered, test.entries...)
			if !slices.ContainsFunc(findings, func(f explain.Finding) bool {
				return f.About == test.about && strings.HasPrefix(f.Says, test.says) && f.Basis == test.basis
			}) {
				t.Errorf("want %s: %q (%s), got %+v", test.about, test.says, test.basis, findings)
			}
		})
	}
}

// TestAnAggregateOfOtherHashesIsOfTenPCRsOrOfEight follows tpm-evidence.md section 7, and Linux before 5.8.
func TestAnAggregateOfOtherHashesIsOfTenPCRsOrOfEight(t *testing.T) {
	b := tpm.Bank{Alg: tpm.SHA256}
	for i := range b.Values {
		b.Values[i] = slices.Repeat([]byte{byte(i)}, 32)
	}
	u, err := measured.ReadUnquoted(logOf(t, off()...), nil, measured.Options{Depth: sipa.DefaultDepth, Limits: eventlog.DefaultLimits()})
	if err != nil {
		t.Fatal(err)
	}
	for pcrs, want := range map[int]string{8: "FITS the event log: it is the hash of PCR 0 to 7", 10: "FITS the event log: it is the hash of PCR 0 to 9", 9: "DOES NOT FIT"} {
		list := listOf(t, aggregate(tpm.SHA256, tpm.SHA256.Sum(bytes.Join(b.Values[:pcrs], nil))))
		f := find(t, explain.SummarizeIMA(explain.Measurements(list, 1, 1), []tpm.Bank{b}, u), "boot_aggregate")
		if !strings.HasPrefix(f.Says, want) {
			t.Errorf("%d PCRs: got %q, want %q", pcrs, f.Says, want)
		}
	}
}

func TestAListIsNotBelievedWherePCR10IsNotQuoted(t *testing.T) {
	list := explain.Measurements(listOf(t, measurement(10, "ima-ng", sum(tpm.SHA1, "x"), "x\x00")), 1, 1)
	u, err := measured.ReadUnquoted(logOf(t, off()...), nil, measured.Options{Depth: sipa.DefaultDepth, Limits: eventlog.DefaultLimits()})
	if err != nil {
		t.Fatal(err)
	}
	for want, boot := range map[string]explain.Boot{
		"NOT BELIEVED, since the log would be refused. The list has 1 entry":    nil,
		"NOT BELIEVED, since the quote does not cover it. The list has 1 entry": partial{u, []int{10}},
	} {
		f := explain.SummarizeIMA(list, nil, boot)
		if len(f) != 1 || f[0].Says != want || f[0].Basis != explain.Hint {
			t.Errorf("got %+v, want %q", f, want)
		}
	}
}

// FuzzMeasurements checks that every entry of a list that can be read is told in a bounded text.
func FuzzMeasurements(f *testing.F) {
	for _, name := range []string{"synthetic-all-templates.bin", "keylime-ima-sig.bin", "keylime-ima-buf-keyring.bin", "neg-other-pcr.bin"} {
		f.Add(vectortest.Read(f, "tpm/ima/"+name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ima.ParseBinary(b, tpm.SHA1, ima.Limits{Size: 1 << 16, Entries: 1000})
		if err != nil {
			return
		}
		all := explain.Measurements(l, 1, len(l.Entries()))
		for i, m := range all {
			if m.Says == "" || len(m.Says) > 4*len(b)+2000 || m.Covers == explain.CoversData && (m.PCR != ima.PCR || l.Entries()[i].Violation) {
				t.Fatalf("%+v", m)
			}
		}
		explain.SummarizeIMA(all, nil, nil)
	})
}
