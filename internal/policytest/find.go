package policytest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// finder collects the test files of a run.
type finder struct {
	files   []string
	found   int // times that one was found
	entries int
}

// find returns the test files that paths name, each once: a file itself, and of a folder those in it and below.
func find(paths []string) ([]string, error) {
	var f finder
	for _, path := range paths {
		if err := f.take(path); err != nil {
			return nil, err
		}
	}
	return f.files, nil
}

func (f *finder) take(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return f.add(filepath.Clean(path))
	}
	before := f.found
	if err := f.walk(path); err != nil {
		return err
	}
	if f.found == before {
		return fmt.Errorf("%s: expected test files (NAME.test.yaml) in the folder or below, found none", path)
	}
	return nil
}

// walk adds the test files of a folder. Folders whose names begin with a dot are left out, and links to folders are
// not followed.
func (f *finder) walk(root string) error {
	return fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		switch f.entries++; {
		case err != nil:
			return err
		case f.entries > MaxEntries:
			return fmt.Errorf("%s: expected at most %d files and folders, found more", root, MaxEntries)
		case d.IsDir() && path != "." && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case d.IsDir() || !isTestFile(d.Name()):
			return nil
		}
		return f.add(filepath.Join(root, filepath.FromSlash(path)))
	})
}

// isTestFile tells test files by their names.
func isTestFile(name string) bool {
	return strings.HasSuffix(name, ".test.yaml") || strings.HasSuffix(name, ".test.yml")
}

func (f *finder) add(name string) error {
	f.found++
	switch {
	case slices.Contains(f.files, name):
		return nil
	case len(f.files) == MaxFiles:
		return tooMany(MaxFiles, "test files")
	}
	f.files = append(f.files, name)
	return nil
}

func tooMany(limit int, what string) error {
	return fmt.Errorf("expected at most %d %s, found more", limit, what)
}
