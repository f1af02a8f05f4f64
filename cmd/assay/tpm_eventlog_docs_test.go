package main

import (
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// TestTheEventLogPageShowsWhatIsPrinted runs the commands of docs/tpm-eventlog.md that have an output, in the folder of the vectors.
func TestTheEventLogPageShowsWhatIsPrinted(t *testing.T) {
	found := fences(t, "../../docs/tpm-eventlog.md")
	t.Chdir(vectortest.Path(t, "tpm"))
	runs := 0
	for _, f := range found {
		command, want, _ := strings.Cut(strings.TrimPrefix(f.text, "$ "), "\n")
		if want == "" {
			continue
		}
		if got := typed(t, command); got != want {
			t.Errorf("$ %s\n%s\nThe document has:\n%s", command, got, want)
		}
		runs++
	}
	if runs != 5 {
		t.Errorf("%d commands with an output found, want 5", runs)
	}
}
