package main

import (
	"strings"
	"testing"
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
