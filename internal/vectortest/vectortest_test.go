package vectortest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestVectorsOfOnesOwnComeFirst(t *testing.T) {
	if !exists(beside()) {
		Missing(t, "vectors beside the repository")
	}
	dir := t.TempDir()
	own := filepath.Join(dir, "dcap", "index.json")
	if err := os.MkdirAll(filepath.Dir(own), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(own, []byte(`{"cases":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ASSAY_VECTORS", dir)
	if got := Path(t, "dcap/index.json"); got != own {
		t.Errorf("got %s, want %s", got, own)
	}
	if got, want := Path(t, "dcap/mutations.json"), filepath.Join(beside(), "dcap", "mutations.json"); got != want {
		t.Errorf("a file that is not there: got %s, want %s", got, want)
	}
}

// recorder notes how a test would end.
type recorder struct {
	testing.TB
	end string
}

func (r *recorder) Helper()                           {}
func (r *recorder) Fatalf(format string, args ...any) { r.stop("failed: "+format, args) }
func (r *recorder) Skipf(format string, args ...any)  { r.stop("skipped: "+format, args) }

func (r *recorder) stop(format string, args []any) {
	r.end = fmt.Sprintf(format, args...)
	panic(r)
}

func TestMissingSkipsAtHomeAndFailsInCI(t *testing.T) {
	for ci, want := range map[string]string{
		"":  "skipped: not there, skipped: a thing",
		"1": "failed: needed in CI but not there: a thing",
	} {
		t.Setenv("ASSAY_CI", ci)
		r := &recorder{TB: t}
		func() {
			defer func() { _ = recover() }()
			Missing(r, "a thing")
		}()
		if r.end != want {
			t.Errorf("ASSAY_CI=%q: got %q, want %q", ci, r.end, want)
		}
	}
}

// Edits must not reach into another case: files are shared between cases only as long as nobody writes to them.
func TestCasesDoNotShareWhatTheyEdit(t *testing.T) {
	first, second := DCAPCases(t, "sgx", "openenclave"), DCAPCases(t, "sgx", "openenclave")
	if len(first) != len(second) {
		t.Fatalf("%d cases, then %d", len(first), len(second))
	}
	for i, c := range first {
		again := second[i]
		if c.Name != again.Name || !bytes.Equal(c.Quote, again.Quote) || len(c.Files) != len(again.Files) {
			t.Errorf("case %s reads differently the second time", c.Name)
		}
		for name, b := range c.Files {
			if !bytes.Equal(b, again.Files[name]) {
				t.Errorf("case %s: %s reads differently the second time", c.Name, name)
			}
		}
	}
}

func TestWriteFilesWritesTheCase(t *testing.T) {
	for _, c := range DCAPCases(t, "sgx") {
		quote, collateral, root := c.WriteFiles(t, t.TempDir())
		want := map[string][]byte{quote: c.Quote}
		for name, b := range c.Files {
			want[filepath.Join(collateral, name)] = b
		}
		if c.Root != nil {
			want[root] = c.Root
		}
		for name, b := range want {
			if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, b) {
				t.Errorf("%s: %s holds %d bytes (%v), want %d", c.Name, name, len(got), err, len(b))
			}
		}
	}
}
