package collateral

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/internal/wholefile"
)

// Bounds of a bundle. A set has about 30 KB in seven files.
const (
	maxBundleBytes   = 64 << 20 // unpacked
	maxBundleEntries = 20_000   // files and folders, of whatever kind
	maxBundleDepth   = 3        // folders between the bundle and a set's files
	entriesAtOnce    = 1000     // listed of one folder before they are counted
)

// ReadBundle reads a stored bundle: a folder or one .tar.gz file. Every folder in it that holds tcb_info.json, at most
// three levels down, is a [Set]; they come in the order of their names. Hidden folders and files of other names are
// passed over. The error wraps [ErrAbsent] when there is no set at all.
func ReadBundle(name string) ([]*Set, error) {
	t := newTree()
	err := t.readBundle(name)
	if p, ok := errors.AsType[*fs.PathError](err); ok && p.Path == name {
		return nil, fmt.Errorf("collateral bundle: %w", err) // which names it
	}
	if err != nil {
		return nil, fmt.Errorf("collateral bundle %s: %w", name, err)
	}
	sets := t.sets()
	if len(sets) == 0 {
		return nil, fmt.Errorf("collateral bundle %s: a folder with %s: %w", name, tcbInfoFile, ErrAbsent)
	}
	return sets, nil
}

// tree is the files of sets found so far, by path.
type tree struct {
	files   map[string][]byte
	entries int
	size    int
}

func newTree() *tree { return &tree{files: map[string][]byte{}} }

func (t *tree) readBundle(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if info.IsDir() {
		// A root keeps symbolic links from leading out of the bundle.
		root, err := os.OpenRoot(name)
		if err != nil {
			return err
		}
		defer root.Close()
		return t.readFolder(root.FS(), maxBundleDepth)
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return t.readArchive(f)
}

// readFolder reads the sets' files in fsys, down to depth folders below its root. It finds all of them, within bounds,
// before it reads any: the folder may be the wrong one, such as the root of the file system.
func (t *tree) readFolder(fsys fs.FS, depth int) error {
	files, err := t.find(fsys, ".", depth)
	if err != nil {
		return err
	}
	for _, name := range files {
		if err := t.addFile(fsys, name); err != nil {
			return err
		}
	}
	return nil
}

// find lists the sets' files in the folder dir and, down to depth, in those below it.
func (t *tree) find(fsys fs.FS, dir string, depth int) (files []string, err error) {
	entries, err := t.list(fsys, dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case e.IsDir() && depth > 0 && !hidden(name):
			below, err := t.find(fsys, name, depth-1)
			if err != nil {
				return nil, err
			}
			files = append(files, below...)
		case !e.IsDir() && isSetFile(e.Name()):
			files = append(files, name)
		}
	}
	return files, nil
}

// list returns what is in the folder dir, in no order.
func (t *tree) list(fsys fs.FS, dir string) (entries []fs.DirEntry, err error) {
	f, err := fsys.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	folder, ok := f.(fs.ReadDirFile)
	if !ok {
		return nil, fmt.Errorf("listing %s: %w", dir, errors.ErrUnsupported)
	}
	for {
		some, err := folder.ReadDir(entriesAtOnce)
		if err := t.count(len(some)); err != nil {
			return nil, err
		}
		entries = append(entries, some...)
		switch {
		case errors.Is(err, io.EOF):
			return entries, nil
		case err != nil:
			return nil, err
		}
	}
}

func (t *tree) addFile(fsys fs.FS, name string) error {
	f, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return t.add(name, f)
}

// readArchive reads the sets' files in a gzip-compressed tar. Nothing is unpacked to disk; an entry that would lead out
// of the archive, or is a link, is refused all the same.
func (t *tree) readArchive(r io.Reader) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	unpacked := &io.LimitedReader{R: z, N: maxBundleBytes}
	for archive := tar.NewReader(unpacked); ; {
		h, err := archive.Next()
		last := errors.Is(err, io.EOF)
		switch {
		case last:
			_, err = io.Copy(io.Discard, unpacked) // to the checksum
		case err == nil:
			err = t.addEntry(h, archive)
		}
		switch {
		case (last || err != nil) && unpacked.N == 0:
			return fmt.Errorf("longer than %d bytes unpacked", maxBundleBytes)
		case last || err != nil:
			return err
		}
	}
}

func (t *tree) addEntry(h *tar.Header, r io.Reader) error {
	if err := t.count(1); err != nil {
		return err
	}
	name := path.Clean(h.Name)
	switch {
	case h.Typeflag == tar.TypeXGlobalHeader:
		return nil
	case !fs.ValidPath(name):
		return fmt.Errorf("entry %q leads out of the archive", h.Name)
	case h.Typeflag == tar.TypeDir:
		return nil
	case h.Typeflag != tar.TypeReg:
		return fmt.Errorf("entry %q is neither a file nor a folder", h.Name)
	case !isSetFile(path.Base(name)), hidden(name), folders(name)-1 > maxBundleDepth:
		return nil
	}
	return t.add(name, r)
}

// count keeps the number of entries in bounds, also of those that are passed over.
func (t *tree) count(more int) error {
	if t.entries += more; t.entries > maxBundleEntries {
		return fmt.Errorf("more than %d entries", maxBundleEntries)
	}
	return nil
}

func (t *tree) add(name string, r io.Reader) error {
	if _, twice := t.files[name]; twice {
		return fmt.Errorf("entry %q is there twice", name)
	}
	b, err := readBounded(r, MaxDocument)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if t.size += len(b); t.size > maxBundleBytes {
		return fmt.Errorf("longer than %d bytes", maxBundleBytes)
	}
	t.files[name] = b
	return nil
}

// sets groups the files by folder and leaves out the folders without TCB info, whose platform nobody could tell.
func (t *tree) sets() []*Set {
	folders := map[string]*Set{}
	for name, b := range t.files {
		dir, file := path.Dir(name), path.Base(name)
		if folders[dir] == nil {
			folders[dir] = &Set{dir, map[string][]byte{}}
		}
		folders[dir].files[file] = b
	}
	maps.DeleteFunc(folders, func(_ string, s *Set) bool { return s.files[tcbInfoFile] == nil })
	return slices.SortedFunc(maps.Values(folders), func(a, b *Set) int { return strings.Compare(a.Name, b.Name) })
}

// folders counts the elements of a slash path; "." has none.
func folders(name string) int {
	if name == "." {
		return 0
	}
	return strings.Count(name, "/") + 1
}

// hidden reports whether an element of the path begins with a dot, as the folders do in which some systems keep the
// targets of their symbolic links.
func hidden(name string) bool {
	return name != "." && (name[0] == '.' || strings.Contains(name, "/."))
}

// WriteBundle writes the sets to name, as one file if it ends in .tar.gz, else as a folder, which may exist. The
// same sets give the same bytes. Two sets of one name are refused.
func WriteBundle(name string, sets []*Set) error {
	files := map[string][]byte{}
	for _, s := range sets {
		for file, b := range s.files {
			p := path.Join(s.Name, file)
			if _, twice := files[p]; twice || !fs.ValidPath(p) {
				return fmt.Errorf("collateral bundle: set name %q is used twice or is not a relative path", s.Name)
			}
			files[p] = b
		}
	}
	write := writeFolder
	if strings.HasSuffix(name, ".tar.gz") {
		write = writeArchive
	}
	if err := write(name, files); err != nil {
		return fmt.Errorf("writing collateral bundle: %w", err)
	}
	return nil
}

func writeFolder(dir string, files map[string][]byte) error {
	for name, b := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		if err := wholefile.Write(p, b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func writeArchive(name string, files map[string][]byte) error {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	archive := tar.NewWriter(z)
	for _, p := range slices.Sorted(maps.Keys(files)) {
		h := &tar.Header{Name: p, Mode: 0o644, Size: int64(len(files[p])), Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(h); err != nil {
			return err
		}
		if _, err := archive.Write(files[p]); err != nil {
			return err
		}
	}
	if err := errors.Join(archive.Close(), z.Close()); err != nil {
		return err
	}
	return wholefile.Write(name, packed.Bytes(), 0o644)
}
