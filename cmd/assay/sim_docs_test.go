package main

import (
	"fmt"
	"strings"
	"testing"
)

// TestThePageOnSimulatingDoesWhatItSays goes through docs/simulating.md in an empty folder, beside a service in development mode.
func TestThePageOnSimulatingDoesWhatItSays(t *testing.T) {
	found := fences(t, "../../docs/simulating.md")
	dir := t.TempDir()
	t.Chdir(dir)
	s := serve(t, "--dev", "--listen", "127.0.0.1:0", "--data", "assay-data")
	runs := 0
	for _, f := range found {
		if f.name != "" {
			writeFiles(t, dir, map[string]string{f.name: f.text})
		}
		for _, step := range strings.Split("\n"+f.text, "\n$ ")[1:] {
			command, want, _ := strings.Cut(step, "\n")
			if strings.HasPrefix(command, "curl ") {
				compareOutput(t, command, s.curl(t, command), want)
			} else {
				here := strings.NewReplacer("https://localhost:8443", s.URL)
				compareOutput(t, command, typed(t, here.Replace(command)), here.Replace(want))
			}
			runs++
		}
	}
	if runs != 14 {
		t.Errorf("%d commands found, want 14", runs)
	}
}

// curl does what the command of that name would with a file that it sends to the service, wherever there is none.
func (s *service) curl(t *testing.T, command string) string {
	t.Helper()
	_, rest, _ := strings.Cut(command, "'https://localhost:8443")
	route, rest, _ := strings.Cut(rest, "'")
	_, file, sends := strings.Cut(rest, "--data @")
	if route == "" || !sends {
		t.Fatalf("no route or no file in %s", command)
	}
	status, body := s.posted(t, route, file)
	if status != 200 {
		return fmt.Sprint(status, " ", body)
	}
	return body
}
