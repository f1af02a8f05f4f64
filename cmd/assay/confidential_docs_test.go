package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/guesttest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// TestThePageOnConfidentialMachinesDoesWhatItSays runs the commands of docs/confidential-vms.md, each recipe on a fake machine of its kind, against a
// service in development mode.
func TestThePageOnConfidentialMachinesDoesWhatItSays(t *testing.T) {
	found := fences(t, "../../docs/confidential-vms.md")
	dir := t.TempDir()
	t.Chdir(dir)
	without := simulatedGuest(t, false)
	without.Table = nil
	machines := map[string]*guesttest.Machine{
		"aws": simulatedGuest(t, true), "google-snp": simulatedGuest(t, false), "google-tdx": simulatedTD(t), "kvm": without,
		"gramine": simulatedGramine(t), "azure": {},
	}
	assay(t, "sim", "snp", "--out", ".").want(t, exitOK, "WRITTEN", "") // chain.pem is that of the simulated chip
	writeFiles(t, dir, azureFiles(t))
	s := serve(t, "--dev", "--listen", "127.0.0.1:0", "--data", "assay-data")
	here := strings.NewReplacer("https://attest.example", s.URL)
	runs := map[string]int{}
	for _, f := range found {
		if f.name != "" {
			writeFiles(t, dir, map[string]string{f.name: f.text})
		}
		machine := machines[f.kind]
		if machine == nil {
			continue
		}
		for _, step := range strings.Split("\n"+f.text, "\n$ ")[1:] {
			command, want, _ := strings.Cut(step, "\n")
			words := strings.Fields(here.Replace(command))[1:]
			if strings.Contains(command, "attest.example") {
				words = append(words, "--ca", s.CA)
			}
			o := world{guest: machine}.assay(t, words...)
			const development = "assay: warning: a token of development mode: it vouches for simulated hardware\n"
			compareOutput(t, command, o.stdout+strings.TrimSuffix(o.stderr, development), here.Replace(want))
			runs[f.kind]++
		}
	}
	for kind := range machines {
		if runs[kind] == 0 {
			t.Errorf("no command for %s", kind)
		}
	}
}

// azureFiles are the files that are read on a machine of Azure: real ones, of a Genoa.
func azureFiles(t *testing.T) map[string]string {
	t.Helper()
	leaf, rest, _ := strings.Cut(string(vectortest.Read(t, "snp/azure-trustee-genoa/chain.pem")), "-----END CERTIFICATE-----")
	answer, err := json.Marshal(map[string]string{"vcekCert": leaf + "-----END CERTIFICATE-----\n", "certificateChain": rest, "tcbm": "0", "cacheControl": "86400"})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"thim.json": string(answer), "hcl.bin": string(vectortest.Read(t, "snp/azure-trustee-genoa/hcl.bin"))}
}

// The fences of the page that are not run are those of other programs.
func TestEveryCommandOfThePageIsRun(t *testing.T) {
	for _, f := range fences(t, "../../docs/confidential-vms.md") {
		if f.kind == "sh" && strings.Contains(f.text, "assay ") {
			t.Errorf("line %d: a command of assay in a fence that is not run", f.line)
		}
	}
	if _, err := os.Stat("../../docs/confidential-vms.md"); err != nil {
		t.Error(err)
	}
}
