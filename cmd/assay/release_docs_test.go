package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// TestASecretIsReleasedAsThePageSays goes through docs/release-a-secret.md beside a service, with the vault of the page. The day on which the
// page has a reference value expire is over.
func TestASecretIsReleasedAsThePageSays(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		vectortest.Missing(t, "program openssl")
	}
	found := fences(t, "../../docs/release-a-secret.md")
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	s := serve(t, "--dev", "--listen", "127.0.0.1:0", "--data", "assay-data")
	here := strings.NewReplacer("https://localhost:8443", s.URL, "2027-01-31T00:00:00Z", time.Now().Add(-time.Hour).UTC().Format(time.RFC3339))
	t.Setenv("PATH", ".:"+os.Getenv("PATH"))
	runs := 0
	for _, f := range found {
		if f.name != "" {
			writeFiles(t, ".", map[string]string{f.name: here.Replace(f.text)})
		}
		if f.kind == "go" {
			buildIn(t, root, f.name)
		}
		if f.kind == "console" {
			runs += f.typedAt(t, here)
		}
	}
	if runs < 25 {
		t.Errorf("%d commands found", runs)
	}
	old := time.Now().Add(-3 * time.Minute)
	if err := os.Chtimes("vault.nonce", old, old); err != nil {
		t.Fatal(err)
	}
	if out := inShell(t, "vault release new.jwt"); !strings.Contains(out, "too old") {
		t.Errorf("an old nonce: %s", out)
	}
}

// buildIn builds a program that stands in a file of the current folder, with the packages of the module whose folder is root.
func buildIn(t *testing.T, root, file string) {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(here, file)
	for _, args := range [][]string{{"vet", file}, {"build", "-o", strings.TrimSuffix(file, ".go"), file}} {
		cmd := exec.Command("go", args...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", args[0], err, out)
		}
	}
}

// typedAt runs the commands of a fence, those of other programs in a shell, and compares what they print. It returns their number.
func (f fence) typedAt(t *testing.T, here *strings.Replacer) (runs int) {
	t.Helper()
	for _, step := range strings.Split("\n"+f.text, "\n$ ")[1:] {
		command, want, _ := strings.Cut(step, "\n")
		command = here.Replace(command)
		if strings.HasPrefix(command, "assay ") {
			compareOutput(t, command, intoFile(t, command), here.Replace(want))
		} else {
			compareOutput(t, command, inShell(t, command), want)
		}
		runs++
	}
	return runs
}

// inShell runs a command as a shell does. Of what it writes to standard error only that of one that fails is given.
func inShell(t *testing.T, command string) string {
	t.Helper()
	var errors strings.Builder
	cmd := exec.Command("sh", "-c", command)
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		return string(out) + errors.String()
	}
	return string(out)
}
