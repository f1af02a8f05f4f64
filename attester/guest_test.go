package attester_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/internal/guesttest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// with puts report data at an offset of real evidence. Its signature does not hold then, which is not for the client to see.
func with(b []byte, at int) func([64]byte) []byte {
	return func(data [64]byte) []byte {
		made := bytes.Clone(b)
		copy(made[at:], data[:])
		return made
	}
}

func snpMachine(t *testing.T) *guesttest.Machine {
	return &guesttest.Machine{
		Report: with(vectortest.Read(t, "snp/veraison-genoa-tsm/report.bin"), 0x50), Table: vectortest.Read(t, "snp/veraison-genoa-tsm/auxblob.bin"),
		TSM: true, Provider: "sev_guest", Device: "/dev/sev-guest",
	}
}

func tdxMachine(t *testing.T) *guesttest.Machine {
	return &guesttest.Machine{
		Report: with(vectortest.Read(t, "maa/tdx/cvm-tools-v4.quote.bin"), 48+520), TSM: true, Provider: "tdx_guest", Device: "/dev/tdx_guest",
	}
}

func enclave(t *testing.T) *guesttest.Machine {
	return &guesttest.Machine{Report: with(vectortest.Read(t, "dcap/synthetic/sgx-01/quote.bin"), 48+320), Gramine: "dcap"}
}

func guest(m *guesttest.Machine) *attester.Guest {
	return &attester.Guest{Files: m, Control: m.Control}
}

func TestReportDataIsTheHashOfTheRuntimeDataAndZeros(t *testing.T) {
	sum := sha256.Sum256([]byte("key"))
	if got := attester.ReportData([]byte("key")); !bytes.Equal(got[:32], sum[:]) || !bytes.Equal(got[32:], make([]byte, 32)) {
		t.Errorf("%x", got)
	}
	if attester.ReportData(nil) != [64]byte{} || attester.ReportData([]byte{}) == [64]byte{} {
		t.Error("no runtime data must give zeros, empty data its hash")
	}
}

func TestEachWayGivesTheEvidenceThatWasAskedFor(t *testing.T) {
	data := attester.ReportData([]byte("a key"))
	for _, tt := range []struct {
		name    string
		machine *guesttest.Machine
		collect func(*attester.Guest) (*attester.Evidence, error)
		source  string
		at      int
	}{
		{"SEV-SNP by configfs-tsm", snpMachine(t), func(g *attester.Guest) (*attester.Evidence, error) { return g.SNP(data) }, attester.FromTSM, 0x50},
		{"SEV-SNP by its device", without(snpMachine(t)), func(g *attester.Guest) (*attester.Evidence, error) { return g.SNP(data) }, attester.FromDevice, 0x50},
		{"TDX by configfs-tsm", tdxMachine(t), func(g *attester.Guest) (*attester.Evidence, error) { return g.TDX(data) }, attester.FromTSM, 568},
		{"SGX by Gramine", enclave(t), func(g *attester.Guest) (*attester.Evidence, error) { return g.SGX(data) }, attester.FromGramine, 368},
	} {
		e, err := tt.collect(guest(tt.machine))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if e.Source != tt.source || !bytes.Equal(e.Report[tt.at:tt.at+64], data[:]) || e.Warning != nil {
			t.Errorf("%s: %s, warning %v, report data %x", tt.name, e.Source, e.Warning, e.Report[tt.at:tt.at+64])
		}
		if hasChain := e.Chain != nil; hasChain != strings.HasPrefix(tt.name, "SEV-SNP") {
			t.Errorf("%s: has a chain: %v", tt.name, hasChain)
		}
		if len(tt.machine.Requests) > 0 {
			t.Errorf("%s: requests are left: %v", tt.name, tt.machine.Requests)
		}
	}
}

// without takes configfs-tsm from a machine.
func without(m *guesttest.Machine) *guesttest.Machine {
	m.TSM, m.Provider = false, ""
	return m
}

func TestTheDocumentOfAReportIsReadAsItsParts(t *testing.T) {
	e, err := guest(snpMachine(t)).SNP([64]byte{7})
	if err != nil {
		t.Fatal(err)
	}
	for _, chain := range []*snp.Chain{e.Chain, nil} {
		b, err := attester.SNPDocument(e.Report, chain)
		if err != nil {
			t.Fatal(err)
		}
		got, err := snp.Parse(b)
		if err != nil || got.Report.ReportData != [64]byte{7} || (got.Chain != nil) != (chain != nil) {
			t.Fatalf("%+v (%v)", got, err)
		}
		if chain != nil && (!got.Chain.Leaf.Equal(e.Chain.Leaf) || len(got.Chain.Others) != 2) {
			t.Errorf("another chain: %v", got.Chain)
		}
	}
}

func TestThePrivilegeLevelIsAskedFor(t *testing.T) {
	level := 2
	for _, m := range []*guesttest.Machine{snpMachine(t), without(snpMachine(t))} {
		g := guest(m)
		g.VMPL = &level
		if _, err := g.SNP([64]byte{1}); err != nil || m.VMPL != "2" {
			t.Errorf("level %q: %v", m.VMPL, err)
		}
	}
	for _, level = range []int{-1, 4} {
		g := guest(snpMachine(t))
		g.VMPL = &level
		_, err := g.SNP([64]byte{})
		wantProblem(t, err, "no such privilege level", "from 0 to 3")
	}
}

func TestAWriterThatRacesIsNoticedAndTheReportAskedForAgain(t *testing.T) {
	for _, m := range []*guesttest.Machine{snpMachine(t), tdxMachine(t)} {
		collect := (*attester.Guest).SNP
		if m.Provider == "tdx_guest" {
			collect = (*attester.Guest).TDX
		}
		m.Racers = 3
		e, err := collect(guest(m), [64]byte{9})
		if err != nil || !bytes.Contains(e.Report, []byte{9, 0, 0, 0}) || m.Racers != 0 {
			t.Errorf("%s: %v, %d racers left", m.Provider, err, m.Racers)
		}
		m.Racers = 4
		_, err = collect(guest(m), [64]byte{9})
		wantProblem(t, err, "in each of 4 tries", "end it")
		if len(m.Requests) > 0 {
			t.Error("a request is left")
		}
	}
}

// A race that the kernel tells of itself is one, too.
func TestAKernelThatSaysTryAgainIsAskedAgain(t *testing.T) {
	m, times := snpMachine(t), 0
	m.Fault = func(operation, name string) error {
		if times++; name == "outblob" && times < 8 {
			return syscall.EAGAIN
		}
		return nil
	}
	if _, err := guest(m).SNP([64]byte{1}); err != nil || m.Made != 1 {
		t.Errorf("%d requests, %v", m.Made, err)
	}
}

func TestMissingCertificatesAreAWarning(t *testing.T) {
	for name, tt := range map[string]struct {
		table   []byte
		warning string
	}{
		"none":            {nil, "the host gave no certificates"},
		"zeros":           {make([]byte, 4096), "the host gave no certificates"},
		"no table":        {[]byte("nonsense"), "of no use"},
		"no table's end":  {bytes.Repeat([]byte{1}, 24), "of no use"},
		"without a VCEK ": {onlyARK(t), "of no use"},
	} {
		for _, m := range []*guesttest.Machine{snpMachine(t), without(snpMachine(t))} {
			m.Table = tt.table
			e, err := guest(m).SNP([64]byte{1})
			if err != nil || e.Chain != nil || e.Warning == nil || !strings.Contains(e.Warning.Error(), tt.warning) || !strings.Contains(e.Warning.Remedy, "snp_kds") {
				t.Errorf("%s: %+v (%v)", name, e, err)
			}
		}
	}
}

// onlyARK is a table with the first of its three certificates.
func onlyARK(t *testing.T) []byte {
	table := bytes.Clone(vectortest.Read(t, "snp/veraison-genoa-tsm/auxblob.bin"))
	clear(table[24:72])
	return table
}

func TestAHostWithoutCertificatesGivesAReportAllTheSame(t *testing.T) {
	m := without(snpMachine(t))
	for name, refusal := range map[string]error{"does not know of them": syscall.EIO, "kernel does not": syscall.EINVAL, "has too many": syscall.ENOSPC} {
		m.Refuses = map[uint32]error{guesttest.SNPGetExtReport: refusal}
		if e, err := guest(m).SNP([64]byte{1}); err != nil || e.Chain != nil || e.Warning == nil {
			t.Errorf("%s: %+v (%v)", name, e, err)
		}
	}
	m.Refuses, m.Table = nil, make([]byte, 16<<10+1)
	if e, err := guest(m).SNP([64]byte{1}); err != nil || e.Chain != nil || e.Warning == nil {
		t.Errorf("a table that is too long: %+v (%v)", e, err)
	}
}

func TestSizesAtTheirBounds(t *testing.T) {
	m := tdxMachine(t)
	quote := m.Report([64]byte{1})
	for size, fits := range map[int]bool{64 << 10: true, 64<<10 + 1: false} {
		m.Report = func([64]byte) []byte { return append(bytes.Clone(quote), make([]byte, size-len(quote))...) }
		_, err := guest(m).TDX([64]byte{1})
		if fits && err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		if !fits {
			wantProblem(t, err, "more than 65536 bytes", "what provides the reports")
		}
	}
	s := snpMachine(t)
	s.Table = append(s.Table, make([]byte, snp.MaxChain-len(s.Table))...)
	if e, err := guest(s).SNP([64]byte{1}); err != nil || e.Chain == nil {
		t.Errorf("%+v (%v)", e, err)
	}
	s.Table = append(s.Table, 0)
	_, err := guest(s).SNP([64]byte{1})
	wantProblem(t, err, "more than 32768 bytes", "what provides the reports")
}

func TestTDReportComesFromTheDevice(t *testing.T) {
	m := without(tdxMachine(t))
	b, err := guest(m).TDReport([64]byte{5, 6})
	if err != nil || len(b) != 1024 || b[0] != 0x81 || binary.BigEndian.Uint16(b[128:]) != 0x0506 {
		t.Errorf("%x (%v)", b, err)
	}
}

// TestLinuxIsReadAndWrittenBelowItsRoot has files in the place of Gramine's.
func TestLinuxIsReadAndWrittenBelowItsRoot(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "dev/attestation")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	g := attester.Linux(root)
	data := [64]byte{3}
	_, err := g.SGX(data)
	wantProblem(t, err, "does not run in an enclave of Gramine", "gramine-sgx")
	if _, err := os.Stat(dir + "/user_report_data"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the file was made: %v", err)
	}
	for name, b := range map[string][]byte{"user_report_data": nil, "attestation_type": []byte("dcap"), "quote": enclave(t).Report(data)} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if e, err := g.SGX(data); err != nil || e.Source != attester.FromGramine {
		t.Errorf("%+v (%v)", e, err)
	}
	if b, _ := os.ReadFile(dir + "/user_report_data"); !bytes.Equal(b, data[:]) {
		t.Errorf("asked for %x", b)
	}
	_, err = g.TDX(data)
	wantProblem(t, err, "does not look like a TDX guest", "load the module tdx-guest")
}

func TestARequestOnLinuxIsMadeAndRemoved(t *testing.T) {
	root := t.TempDir()
	reports := filepath.Join(root, "sys/kernel/config/tsm/report")
	if err := os.MkdirAll(reports, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := attester.Linux(root).TDX([64]byte{})
	wantProblem(t, err, "provider", "qgsd") // a plain folder has no attributes
	if left, err := os.ReadDir(reports); err != nil || len(left) > 0 {
		t.Errorf("%v is left (%v)", left, err)
	}
}

func TestAFileIsNoDevice(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "dev"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "dev/sev-guest"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := attester.Linux(root).SNP([64]byte{})
	wantProblem(t, err, "/dev/sev-guest gave no report", "too old")
}
