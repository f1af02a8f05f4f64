package main

import (
	"strings"
	"testing"
)

// TestThePageOnReferencesDoesWhatItSays goes through docs/reference-values.md in an empty folder beside a service.
func TestThePageOnReferencesDoesWhatItSays(t *testing.T) {
	found := fences(t, "../../docs/reference-values.md")
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
	if runs != 8 {
		t.Errorf("%d commands found, want 8", runs)
	}
}
