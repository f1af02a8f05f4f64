package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fence is a block of a manual between lines of three back-ticks.
type fence struct {
	line       int
	kind, name string // the words behind the back-ticks; name is that of a file
	text       string
}

func fences(t *testing.T, manual string) []fence {
	t.Helper()
	b, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	var found []fence
	lines := strings.Split(string(b), "\n")
	for i := 0; i < len(lines); i++ {
		info, ok := strings.CutPrefix(lines[i], "```")
		if !ok {
			continue
		}
		f := fence{line: i + 1}
		f.kind, f.name, _ = strings.Cut(info, " ")
		for i++; lines[i] != "```"; i++ {
			f.text += lines[i] + "\n"
		}
		found = append(found, f)
	}
	return found
}

// TestPolicyTestingManualDoesWhatItSays writes the files of docs/policy-testing.md into a folder, runs the commands in it,
// in the order of the page, and compares the output.
func TestPolicyTestingManualDoesWhatItSays(t *testing.T) {
	found := fences(t, "../../docs/policy-testing.md")
	dir := t.TempDir()
	t.Chdir(dir)
	assay(t, "sim", "sgx", "--out", "sim", "--at", time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC).Format(time.RFC3339)).want(t, exitOK, "WRITTEN", "")
	runs := 0
	for _, f := range found {
		switch {
		case f.name != "":
			writeFiles(t, dir, map[string]string{f.name: f.text})
		case f.kind == "console":
			runs += f.run(t)
		}
	}
	if runs < 5 {
		t.Errorf("%d commands found", runs)
	}
}

// TestPolicyTutorialDoesWhatItSays goes through docs/policy-tutorial.md in an empty folder. Where the page has …, anything may
// stand.
func TestPolicyTutorialDoesWhatItSays(t *testing.T) {
	found := fences(t, "../../docs/policy-tutorial.md")
	dir := t.TempDir()
	t.Chdir(dir)
	runs := 0
	for _, f := range found {
		if f.name != "" {
			writeFiles(t, dir, map[string]string{f.name: f.text})
			continue
		}
		for _, step := range strings.Split("\n"+f.text, "\n$ ")[1:] {
			command, want, _ := strings.Cut(step, "\n")
			compareOutput(t, command, typed(t, command), want)
			runs++
		}
	}
	if runs < 10 {
		t.Errorf("%d commands found", runs)
	}
}

// run runs the commands of a console and returns how many there are.
func (f *fence) run(t *testing.T) int {
	t.Helper()
	parts := strings.Split("\n"+f.text, "\n$ assay ")[1:]
	for _, part := range parts {
		command, want, _ := strings.Cut(part, "\n")
		o := assay(t, strings.Fields(command)...)
		if got := strings.TrimSuffix(o.stdout, "\n"); got != strings.TrimSuffix(want, "\n") || o.stderr != "" {
			t.Errorf("line %d: assay %s: got\n%s%s\nwant\n%s", f.line, command, o.stdout, o.stderr, want)
		}
	}
	return len(parts)
}

// TestFencesAreFound keeps the manual's test from finding nothing.
func TestFencesAreFound(t *testing.T) {
	manual := filepath.Join(t.TempDir(), "manual.md")
	writeFiles(t, filepath.Dir(manual), map[string]string{"manual.md": "a\n```yaml x.yaml\nb\n```\n```console\n$ c\n```\n"})
	found := fences(t, manual)
	if len(found) != 2 || found[0] != (fence{2, "yaml", "x.yaml", "b\n"}) || found[1] != (fence{5, "console", "", "$ c\n"}) {
		t.Errorf("got %+v", found)
	}
}
