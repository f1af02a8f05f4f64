package wholefile_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/assay-attestation/assay/internal/wholefile"
)

func TestReplaceKeepsPermissionsAndLinks(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := wholefile.Write(file, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	if err := wholefile.Replace(link, []byte("new")); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil || string(b) != "new" {
		t.Errorf("%q, %v", b, err)
	}
	if info, err := os.Lstat(file); err != nil || info.Mode() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info.Mode(), err)
	}
}

// TestFailureLeavesTheOldContent writes into folders where nothing can be put.
func TestFailureLeavesTheOldContent(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{filepath.Join(dir, "none"), dir} {
		if err := wholefile.Replace(name, nil); err == nil {
			t.Errorf("Replace(%q) succeeded", name)
		}
	}
	if err := wholefile.Write(dir, nil, 0o600); err == nil {
		t.Error("a folder was replaced by a file")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), ".tmp-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestOneOfManyCreatesAFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	var made atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			switch err := wholefile.Create(file, fmt.Appendf(nil, "%d", i), 0o600); {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, fs.ErrExist):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	b, err := os.ReadFile(file)
	if made.Load() != 1 || err != nil || len(b) != 1 {
		t.Errorf("%d made it; it holds %q, %v", made.Load(), b, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestReadPrivateReadsWhatOnlyTheOwnerReaches(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := wholefile.ReadPrivate(file, 6); err != nil || string(b) != "secret" {
		t.Errorf("%q, %v", b, err)
	}
	if b, err := wholefile.ReadPrivate(file, 5); err == nil {
		t.Errorf("one byte too long: read %q", b)
	}
	if _, err := wholefile.ReadPrivate(filepath.Dir(file), 6); err == nil {
		t.Error("a folder was read")
	}
	for _, mode := range []fs.FileMode{0o640, 0o602, 0o610} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		if b, err := wholefile.ReadPrivate(file, 6); err == nil {
			t.Errorf("mode %04o: read %q", mode, b)
		}
	}
}

func TestStreamThatFailsLeavesTheOldContent(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	broken := errors.New("half way")
	for _, test := range []struct {
		content string
		err     error
		want    string
	}{{"first", nil, "first"}, {"half", broken, "first"}, {"second", nil, "second"}} {
		err := wholefile.Stream(file, 0o600, func(w io.Writer) error {
			_, err := io.WriteString(w, test.content)
			return errors.Join(err, test.err)
		})
		if b, readErr := os.ReadFile(file); !errors.Is(err, test.err) || string(b) != test.want {
			t.Errorf("%q: %v; the file holds %q (%v), want %q", test.content, err, b, readErr, test.want)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
