package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestManualsConfigurationIsRead holds the example of docs/operating.md to the keys that there are.
func TestManualsConfigurationIsRead(t *testing.T) {
	manual, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(manual), "```yaml\nlisten:")
	example, _, found := strings.Cut(after, "```")
	if !found {
		t.Fatal("the manual has no configuration that begins with listen")
	}
	file := filepath.Join(t.TempDir(), "assay.yaml")
	if err := os.WriteFile(file, []byte("listen:"+example), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Read(file)
	if err == nil {
		err = c.Complete()
	}
	if err == nil {
		_, err = c.Settings.Baseline()
	}
	if err != nil {
		t.Error(err)
	}
}
