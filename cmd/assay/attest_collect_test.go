package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/guesttest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// simulatedGuest is a guest of SEV-SNP on the simulated AMD: with a key of the chip, or of a cloud provider.
func simulatedGuest(t *testing.T, vlek bool) *guesttest.Machine {
	t.Helper()
	s := assaytest.WellKnownAMD().Scenario(assaytest.Milan, time.Now())
	if vlek {
		s.UseVLEK()
	}
	table, err := s.Table()
	if err != nil {
		t.Fatal(err)
	}
	return &guesttest.Machine{TSM: true, Provider: "sev_guest", Device: "/dev/sev-guest", Table: table, Report: func(data [64]byte) []byte {
		s.Guest.ReportData = data
		b, err := s.Report()
		if err != nil {
			t.Error(err)
		}
		return b
	}}
}

// simulatedTD is a TDX guest on the simulated Intel.
func simulatedTD(t *testing.T) *guesttest.Machine {
	s := assaytest.WellKnownIntel().TDXScenario(time.Now())
	return &guesttest.Machine{TSM: true, Provider: "tdx_guest", Device: "/dev/tdx_guest", Report: func(data [64]byte) []byte {
		s.TD.ReportData = data
		return scenarioQuote(t, s)
	}}
}

// simulatedGramine is an enclave of Gramine on the simulated Intel.
func simulatedGramine(t *testing.T) *guesttest.Machine {
	s := assaytest.WellKnownIntel().Scenario(time.Now())
	return &guesttest.Machine{Gramine: "dcap", Report: func(data [64]byte) []byte {
		s.Enclave.ReportData = data
		return scenarioQuote(t, s)
	}}
}

func scenarioQuote(t *testing.T, s *assaytest.Scenario) []byte {
	b, err := s.Quote()
	if err != nil {
		t.Error(err)
	}
	return b
}

// TestCollectedEvidenceEarnsAToken has a service in development mode judge what each way to evidence gives, and verifies the same evidence offline.
func TestCollectedEvidenceEarnsAToken(t *testing.T) {
	service := serve(t, "--dev", "--listen", "127.0.0.1:0", "--data", t.TempDir())
	device := simulatedGuest(t, false)
	device.TSM, device.Provider = false, ""
	key := tempFile(t, "key.json", `{"keys":[]}`)
	for _, tt := range []struct {
		name, kind, source string
		machine            *guesttest.Machine
		claim              string
	}{
		{"SEV-SNP", "snp", "configfs-tsm", simulatedGuest(t, false), "x-ms-sevsnpvm-reportdata"},
		{"SEV-SNP with a VLEK", "snp", "configfs-tsm", simulatedGuest(t, true), "x-ms-sevsnpvm-reportdata"},
		{"SEV-SNP by the device", "snp", "sev-guest", device, "x-ms-sevsnpvm-reportdata"},
		{"TDX", "tdx", "configfs-tsm", simulatedTD(t), "tdx_report_data"},
		{"SGX", "sgx", "gramine", simulatedGramine(t), "x-ms-sgx-report-data"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "evidence")
			args := []string{"attest", tt.kind, "--collect", "--endpoint", service.URL, "--ca", service.CA, "--runtime-data", key, "--runtime-type", "json",
				"--nonce", "n-1", "--out", out, "--json"}
			o := world{guest: tt.machine}.assay(t, args...)
			var got struct {
				Verified  bool
				Claims    map[string]any
				Collected collectedReport
			}
			o.read(t, &got)
			if o.status != exitOK || !got.Verified || got.Claims["nonce"] != "n-1" || got.Claims["x-ms-runtime"] == nil && tt.kind != "sgx" {
				t.Fatalf("exit status %d: %s%s", o.status, o.stdout, o.stderr)
			}
			if got.Collected.Source != tt.source || got.Collected.File != out || got.Claims[tt.claim] != got.Collected.ReportData {
				t.Errorf("%+v, report data in the token: %v", got.Collected, got.Claims[tt.claim])
			}
			if (got.Collected.Certificates == 3) != (tt.kind == "snp") {
				t.Errorf("%d certificates", got.Collected.Certificates)
			}
			verifyCollected(t, tt.kind, out, key)
		})
	}
}

// verifyCollected verifies written evidence offline, with the roots and the collateral that sim writes.
func verifyCollected(t *testing.T, kind, file, key string) {
	t.Helper()
	dir := t.TempDir()
	assay(t, "sim", kind, "--out", dir).want(t, exitOK, "WRITTEN", "")
	args := []string{"evidence", "verify", "--type", kind, file, "--trust-root", dir + "/root.pem", "--runtime-data", key}
	if kind != "snp" {
		args = append(args, "--collateral", dir+"/collateral")
	}
	assay(t, args...).want(t, exitOK, "VERIFIED", "")
}

func TestCollectedEvidenceIsWrittenWithoutAService(t *testing.T) {
	out := filepath.Join(t.TempDir(), "quote.bin")
	o := world{guest: simulatedTD(t)}.assay(t, "attest", "tdx", "--collect", "--out", out)
	o.want(t, exitOK, "COLLECTED", "no --runtime-data was given")
	if b, err := os.ReadFile(out); err != nil || b[0] != 4 {
		t.Errorf("%v", err)
	}
	assay(t, "evidence", "inspect", "--type", "tdx", out).want(t, exitOK, "report data     "+strings.Repeat("0", 64), "")
}

func TestTheLevelThatIsAskedForIsReported(t *testing.T) {
	m := simulatedGuest(t, false)
	world{guest: m}.assay(t, "attest", "snp", "--collect", "--vmpl", "3", "--out", filepath.Join(t.TempDir(), "e")).want(t, exitOK, "COLLECTED", "")
	if m.VMPL != "3" {
		t.Errorf("asked for %q", m.VMPL)
	}
}

func TestMissingCertificatesAreWarnedOfAndCanBeGiven(t *testing.T) {
	m := simulatedGuest(t, false)
	m.Table = nil
	out, dir := filepath.Join(t.TempDir(), "e"), t.TempDir()
	assay(t, "sim", "snp", "--out", dir).want(t, exitOK, "WRITTEN", "")
	o := world{guest: m}.assay(t, "attest", "snp", "--collect", "--out", out, "--json")
	o.want(t, exitOK, `"warning":"the host gave no certificates`, "snp_kds")
	assay(t, "evidence", "verify", "--type", "snp", out, "--trust-root", dir+"/root.pem").want(t, exitRefused, "--chain", "")
	o = world{guest: m}.assay(t, "attest", "snp", "--collect", "--out", out, "--chain", dir+"/chain.pem")
	if o.want(t, exitOK, "certificates  3", ""); strings.Contains(o.stderr, "the host gave no") {
		t.Errorf("warned of what was given: %s", o.stderr)
	}
	assay(t, "evidence", "verify", "--type", "snp", out, "--trust-root", dir+"/root.pem").want(t, exitOK, "VERIFIED", "")
	world{guest: m}.assay(t, "attest", "snp", "--collect", "--out", out, "--chain", dir+"/report.bin").want(t, exitUsage, "", "--chain: ")
}

func TestAMachineThatCannotAttestIsToldWhy(t *testing.T) {
	closed := simulatedGuest(t, false)
	closed.Fault = func(operation, _ string) error {
		if operation == "mkdir" {
			return fs.ErrPermission
		}
		return nil
	}
	for _, tt := range []struct {
		kind    string
		machine *guesttest.Machine
		fix     string
	}{
		{"snp", &guesttest.Machine{}, "load the module sev-guest"},
		{"snp", simulatedTD(t), "assay attest tdx --collect"},
		{"snp", closed, "run as root"},
		{"tdx", &guesttest.Machine{Device: "/dev/tdx_guest"}, "acc/tdquote"},
		{"sgx", &guesttest.Machine{}, "gramine-sgx"},
	} {
		out := filepath.Join(t.TempDir(), "e")
		world{guest: tt.machine}.assay(t, "attest", tt.kind, "--collect", "--out", out).want(t, exitUsage, "", tt.fix)
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s: something was written", tt.kind)
		}
	}
	assay(t, "attest", "snp", "--collect", "--root", t.TempDir(), "--out", filepath.Join(t.TempDir(), "e")).want(t, exitUsage, "", "does not look like a guest of SEV-SNP")
}

func TestCollectSparesTheFilesThatItReads(t *testing.T) {
	key := tempFile(t, "key", "k")
	world{guest: simulatedTD(t)}.assay(t, "attest", "tdx", "--collect", "--runtime-data", key, "--out", key).want(t, exitUsage, "", "not overwritten")
}

// TestAGuestsFileIsSentInTheFormThatServicesTake looks at the requests as a service gets them (api.md section 7.4).
func TestAGuestsFileIsSentInTheFormThatServicesTake(t *testing.T) {
	s := newFakeService(t)
	s.answer = says200(s.sign(s.claims(nil)))
	chain := vectortest.Path(t, "snp/azure-trustee-genoa/chain.pem")
	for _, tt := range []struct {
		name, file string
		args       []string
		chain      bool
		runtime    string
	}{
		{"bare report", vectortest.Path(t, "snp/azure-trustee-genoa/report.bin"), nil, false, ""},
		{"bare report with certificates", vectortest.Path(t, "snp/azure-trustee-genoa/report.bin"), []string{"--chain", chain}, true, ""},
		{"container", vectortest.Path(t, "snp/azure-trustee-genoa/hcl.bin"), []string{"--chain", chain}, true, "JSON"},
		{"body of a request", vectortest.Path(t, "snp/maa-requests/runtime-binary.json"), nil, true, "Binary"},
	} {
		args := append([]string{"attest", "snp", tt.file, "--endpoint", s.URL, "--ca", s.ca}, tt.args...)
		assay(t, args...).want(t, exitOK, "VERIFIED", "")
		var document struct{ SnpReport, VcekCertChain string }
		report, _ := s.body["report"].(string)
		if err := json.Unmarshal(unb64url(t, report), &document); err != nil || len(unb64url(t, document.SnpReport)) != 1184 || (document.VcekCertChain != "") != tt.chain {
			t.Errorf("%s: %+v (%v)", tt.name, document, err)
		}
		runtime, _ := s.body["runtimeData"].(map[string]any)
		if kind, _ := runtime["dataType"].(string); kind != tt.runtime || s.body["quote"] != nil {
			t.Errorf("%s: %v", tt.name, s.body)
		}
	}
	s.request = nil
	assay(t, "attest", "snp", tempFile(t, "x", "x"), "--endpoint", s.URL, "--ca", s.ca).want(t, exitRefused, "", "1184 bytes")
	if s.request != nil {
		t.Error("what is no report was sent")
	}
}
