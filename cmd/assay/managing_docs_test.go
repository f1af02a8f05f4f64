package main

import (
	"os"
	"strings"
	"testing"
)

// TestManagingDoesWhatItSays goes through docs/managing.md in an empty folder beside a service. Where the page has …, anything may
// stand; a command that ends in >FILE has its standard output there.
func TestManagingDoesWhatItSays(t *testing.T) {
	found := fences(t, "../../docs/managing.md")
	dir := t.TempDir()
	t.Chdir(dir)
	s := serve(t, "--dev", "--listen", "127.0.0.1:0", "--data", "assay-data")
	here := strings.NewReplacer("https://localhost:8443", s.URL)
	runs := 0
	for _, f := range found {
		if f.name != "" {
			writeFiles(t, dir, map[string]string{f.name: f.text})
			continue
		}
		for _, step := range strings.Split("\n"+f.text, "\n$ ")[1:] {
			command, want, _ := strings.Cut(step, "\n")
			compareOutput(t, command, intoFile(t, here.Replace(command)), here.Replace(want))
			runs++
		}
	}
	if runs < 12 {
		t.Errorf("%d commands found", runs)
	}
	if got := readFile(t, "before.txt"); !strings.HasPrefix(got, "version= 1.1;") {
		t.Errorf("before.txt: %q", got)
	}
}

// intoFile is typed for a command that may end in >FILE. It returns what a person would see.
func intoFile(t *testing.T, command string) string {
	t.Helper()
	command, file, redirected := strings.Cut(command, " >")
	if !redirected {
		return typed(t, command)
	}
	o := assay(t, strings.Fields(command)[1:]...)
	if err := os.WriteFile(file, []byte(o.stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	return o.stderr
}
