package main

import (
	"bytes"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/swtpmtest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// tutorialMachine is the machine of docs/tpm-tutorial.md: an swtpm that boots with one log after another.
type tutorialMachine struct {
	tpm  *swtpmtest.TPM
	logs map[string][]byte
}

// newTutorialMachine makes the machine. It boots with the log of a real Linux with Secure Boot on, with that after an update of the
// firmware, or with that of the same machine with Secure Boot off.
func newTutorialMachine(t *testing.T, maker *swtpmtest.Maker) *tutorialMachine {
	t.Helper()
	good := vectortest.Read(t, "tpm/eventlogs/cos-85-amd-sev.bin")
	edited := func(pcr uint32, old, changed string) []byte {
		l, err := assaytest.ReadTPMLog(good)
		if err != nil {
			t.Fatal(err)
		}
		e := l.Find(func(e assaytest.TPMEvent) bool { return e.PCR == pcr && bytes.Contains(e.Data, []byte(old)) })
		if e == nil {
			t.Fatalf("no event of PCR %d with %q", pcr, old)
		}
		e.Data, e.Digests = bytes.Replace(e.Data, []byte(old), []byte(changed), 1), nil
		return l.Bytes()
	}
	const variable = "S\x00e\x00c\x00u\x00r\x00e\x00B\x00o\x00o\x00t\x00"
	return &tutorialMachine{maker.Start(t), map[string][]byte{
		"secure":  good,
		"updated": edited(0, "v\x001\x00", "v\x002\x00"),
		"open":    edited(7, variable+"\x01", variable+"\x00"),
	}}
}

// boot restarts the machine with a log, which stands in boot.log then.
func (m *tutorialMachine) boot(t *testing.T, name string) {
	t.Helper()
	log, ok := m.logs[name]
	if !ok {
		t.Fatalf("no log %q", name)
	}
	m.tpm.Restart(t)
	m.tpm.Boot(t, log)
	if err := os.WriteFile("boot.log", log, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTheTPMTutorialDoesWhatItSays goes through docs/tpm-tutorial.md: a fence of the kind "machine" restarts the machine with the log it
// names, a file is written, and commands are run and compared.
func TestTheTPMTutorialDoesWhatItSays(t *testing.T) {
	found := fences(t, "../../docs/tpm-tutorial.md")
	maker := swtpmtest.NewMaker(t)
	m := newTutorialMachine(t, maker)
	dir := t.TempDir()
	t.Chdir(dir)
	writeFiles(t, dir, map[string]string{"maker.pem": pemOf(maker.Root.Raw), "maker-issuing.pem": pemOf(maker.Issuer.Raw)})
	if err := os.Symlink(m.tpm.Socket, filepath.Join(dir, "tpm.sock")); err != nil {
		t.Fatal(err)
	}
	for i := range found { // from the end, so that of two files of a name the first one is there
		if f := found[len(found)-1-i]; f.kind != "machine" && f.name != "" {
			writeFiles(t, dir, map[string]string{f.name: f.text})
		}
	}
	s := serve(t, "--dev", "--listen", "127.0.0.1:0", "--data", "assay-data", "--config", "assay.yaml", "--policy", "Tpm=policy.txt")
	here := strings.NewReplacer("https://localhost:8443", s.URL)
	runs := 0
	for _, f := range found {
		switch {
		case f.kind == "machine":
			m.boot(t, f.name)
		case f.name != "":
			writeFiles(t, dir, map[string]string{f.name: f.text})
		}
		for _, step := range strings.Split("\n"+f.text, "\n$ ")[1:] {
			command, want, _ := strings.Cut(step, "\n")
			compareOutput(t, command, intoFile(t, here.Replace(command)), here.Replace(want))
			runs++
		}
	}
	if runs < 10 {
		t.Errorf("%d commands found", runs)
	}
}

func pemOf(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
