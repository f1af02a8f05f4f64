package main

import (
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/swtpmtest"
)

// TestThePageOfAzureGuestsDoesWhatItSays runs the commands of docs/azure-guests.md in the order in which they stand, in a folder with a service in development mode.
func TestThePageOfAzureGuestsDoesWhatItSays(t *testing.T) {
	swtpmtest.Start(t) // swtpm is there: the commands start their own
	found := fences(t, "../../docs/azure-guests.md")
	t.Chdir(t.TempDir())
	s := serve(t, "--dev", "--listen", "127.0.0.1:0", "--data", "assay-data")
	here := strings.NewReplacer("https://localhost:8443", s.URL)
	ran := 0
	for _, f := range found {
		if f.kind != "console" {
			continue
		}
		for _, step := range strings.Split("\n"+f.text, "\n$ ")[1:] {
			command, want, _ := strings.Cut(step, "\n")
			compareOutput(t, command, intoFile(t, here.Replace(command)), strings.TrimSpace(here.Replace(want))+"…")
			ran++
		}
	}
	if ran != 5 {
		t.Errorf("%d commands found, want 5", ran)
	}
}
