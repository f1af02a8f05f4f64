// Package vectortest finds the shared test vectors. They are read in place and never copied into the repository:
// from the folder that ASSAY_VECTORS names, or from ../shared/vectors beside the repository. A path that the first
// folder does not have is looked up in the second.
package vectortest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Path returns the file or folder rel of the vectors, whose paths are written from the vectors root. Without the
// vectors the test is skipped, or fails where ASSAY_CI is set.
func Path(t testing.TB, rel string) string {
	t.Helper()
	for _, root := range []string{os.Getenv("ASSAY_VECTORS"), beside()} {
		if root == "" {
			continue
		}
		if p := filepath.Join(root, filepath.FromSlash(rel)); exists(p) {
			return p
		}
	}
	Missing(t, "test vector "+rel+" (set ASSAY_VECTORS to the folder of test vectors)")
	return ""
}

// Read returns the content of the vector file rel.
func Read(t testing.TB, rel string) []byte {
	t.Helper()
	b, err := os.ReadFile(Path(t, rel))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ReadJSON decodes the vector file rel into v.
func ReadJSON(t testing.TB, rel string, v any) {
	t.Helper()
	if err := json.Unmarshal(Read(t, rel), v); err != nil {
		t.Fatalf("%s: %v", rel, err)
	}
}

// Missing ends a test that lacks what it needs: skipped on a developer's machine, failed in CI (ASSAY_CI=1).
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("ASSAY_CI") != "" {
		t.Fatalf("needed in CI but not there: %s", what)
	}
	t.Skipf("not there, skipped: %s", what)
}

// NoCase ends a test whose vectors are there but hold nothing to test with. Other vectors than the shared ones may lack
// what they like; the shared ones must have it.
func NoCase(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("ASSAY_VECTORS") == "" {
		t.Fatalf("the vectors hold no %s", what)
	}
	t.Skipf("the vectors of ASSAY_VECTORS hold no %s", what)
}

// beside is ../shared/vectors, seen from the root of the repository.
func beside() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "..", "shared", "vectors")
}

func exists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}
