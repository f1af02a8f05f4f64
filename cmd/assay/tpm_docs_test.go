package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2/transport"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/swtpmtest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// TestTheTPMPageDoesWhatItSays goes through docs/tpm.md in an empty folder beside a service whose policy is that of the page.
func TestTheTPMPageDoesWhatItSays(t *testing.T) {
	found := fences(t, "../../docs/tpm.md")
	dir := t.TempDir()
	t.Chdir(dir)
	for _, f := range found {
		if f.name != "" {
			writeFiles(t, dir, map[string]string{f.name: f.text})
		}
	}
	if got := typed(t, "assay policy check --type Tpm policy.txt"); !strings.HasPrefix(got, "VALID") || strings.Contains(got, "warning") {
		t.Errorf("the policy of the page: %s", got) // that of this page is the first one which is copied
	}
	s := serve(t, "--dev", "--listen", "127.0.0.1:0", "--data", "assay-data", "--policy", "Tpm=policy.txt")
	here := strings.NewReplacer("https://localhost:8443", s.URL)
	runs := 0
	for _, f := range found {
		if f.kind == "machine" {
			continue // see TestTheCommandsForARealMachineDoWhatTheySay
		}
		for _, step := range strings.Split("\n"+f.text, "\n$ ")[1:] {
			command, want, _ := strings.Cut(step, "\n")
			compareOutput(t, command, intoFile(t, here.Replace(command)), here.Replace(want))
			runs++
		}
	}
	if runs != 3 {
		t.Errorf("%d commands found, want 3", runs)
	}
}

// TestTheCommandsForARealMachineDoWhatTheySay runs those of docs/tpm.md that stand in fences of the kind "machine", against a service that enrols
// TPMs of one maker. An swtpm stands for the device, a file for the log, and a folder for the machine's files.
func TestTheCommandsForARealMachineDoWhatTheySay(t *testing.T) {
	found := fences(t, "../../docs/tpm.md")
	maker := swtpmtest.NewMaker(t)
	s := maker.Start(t)
	root := fakeMachine(t)
	dir := t.TempDir()
	t.Chdir(dir)
	log := vectortest.Read(t, rigLog)
	s.Boot(t, log)
	extendWhileRunning(t, s.Open(t), 10, 15)
	writeFiles(t, dir, map[string]string{
		"maker.pem": pemOf(maker.Root.Raw), "maker-issuing.pem": pemOf(maker.Issuer.Raw), "policy.txt": machinePolicy, "boot.log": string(log),
		"assay.yaml": "ek_roots:\n  - {file: maker.pem}\nek_intermediates: [maker-issuing.pem]\nsettings: {aik_enrolment: vendor}\n",
	})
	if err := os.Symlink(s.Socket, filepath.Join(dir, "tpm.sock")); err != nil {
		t.Fatal(err)
	}
	service := serve(t, "--dev", "--listen", "127.0.0.1:0", "--data", "assay-data", "--config", "assay.yaml", "--policy", "Tpm=policy.txt")
	writeFiles(t, dir, map[string]string{"token": assay(t, "dev", "token", "--role", "reader", "--data", "assay-data").stdout})
	standIns := strings.NewReplacer("assay attest tpm ", "assay attest tpm --swtpm tpm.sock --event-log boot.log --ca "+service.CA+" ",
		"assay doctor", "assay doctor --swtpm tpm.sock --root "+root)
	here := strings.NewReplacer("https://attest.example", service.URL, "/var/lib/assay/", "")
	if ran := runMachine(t, found, standIns, here); ran != 4 {
		t.Errorf("%d commands found, want 4", ran)
	}
}

// runMachine runs the commands of a machine, and reports how many there are. A service in development mode is warned of behind what they print.
func runMachine(t *testing.T, found []fence, standIns, here *strings.Replacer) (ran int) {
	t.Helper()
	for _, f := range found {
		if f.kind != "machine" {
			continue
		}
		for _, step := range strings.Split("\n"+f.text, "\n$ ")[1:] {
			command, want, _ := strings.Cut(step, "\n")
			compareOutput(t, command, intoFile(t, here.Replace(standIns.Replace(command))), here.Replace(want)+"…")
			ran++
		}
	}
	return ran
}

// extendWhileRunning extends what a running Linux extends, and no log of the boot tells.
func extendWhileRunning(t *testing.T, c transport.TPM, pcrs ...int) {
	t.Helper()
	for _, pcr := range pcrs {
		swtpmtest.Extend(t, c, pcr, map[tpm.Alg][]byte{tpm.SHA256: make([]byte, 32), tpm.SHA384: make([]byte, 48)})
	}
}
