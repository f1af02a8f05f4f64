package collateral

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/dcap"
)

// lay writes files, given by path, into a folder.
func lay(t testing.TB, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// entry is one entry of an archive; without a type it is a file whose content is its name.
type entry struct {
	name string
	typ  byte
	size int
}

func pack(t testing.TB, entries ...entry) string {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.typ, Mode: 0o644, Linkname: "elsewhere"}
		var content io.Reader = strings.NewReader("")
		if e.typ == 0 {
			h.Typeflag, h.Linkname, h.Size, content = tar.TypeReg, "", int64(len(e.name)), strings.NewReader(e.name)
		}
		if e.size > 0 {
			h.Size, content = int64(e.size), io.LimitReader(zeros{}, int64(e.size))
		}
		if e.typ == tar.TypeXGlobalHeader {
			h = &tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "x"}}
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "bundle.tar.gz")
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func names(sets []*Set) (names []string) {
	for _, s := range sets {
		names = append(names, s.Name)
	}
	return names
}

func TestSetsAreFoundInFoldersAndArchives(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []string
		want  []string
	}{
		{"the bundle itself", []string{"tcb_info.json", "pck_crl.der"}, []string{"."}},
		{"in the order of their names", []string{"b/tcb_info.json", "a/tcb_info.json", "tcb_info.json"}, []string{".", "a", "b"}},
		{"one inside another", []string{"a/b/tcb_info.json", "a/pck_crl.der", "a/tcb_info.json", "a/b/pck_crl.pem"}, []string{"a", "a/b"}},
		{"three levels down, not four", []string{"a/b/c/tcb_info.json", "a/b/c/d/tcb_info.json"}, []string{"a/b/c"}},
		{"hidden folders and folders without TCB info", []string{"a/tcb_info.json", ".b/tcb_info.json", "c/.d/tcb_info.json", "e/pck_crl.der"}, []string{"a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var entries []entry
			for _, f := range c.files {
				entries = append(entries, entry{name: "./" + f})
			}
			for _, bundle := range []string{lay(t, c.files...), pack(t, entries...)} {
				sets, err := ReadBundle(bundle)
				if err != nil || !slices.Equal(names(sets), c.want) {
					t.Errorf("%s: got sets %q, error %v, want %q", bundle, names(sets), err, c.want)
				}
			}
		})
	}
}

func TestBundleWithoutASetIsAbsent(t *testing.T) {
	for _, bundle := range []string{lay(t, "readme.txt", "a/pck_crl.der"), pack(t, entry{name: "readme.txt"}), pack(t)} {
		if _, err := ReadBundle(bundle); !errors.Is(err, ErrAbsent) {
			t.Errorf("ReadBundle(%s): got error %v, want %v", bundle, err, ErrAbsent)
		}
	}
	if _, err := ReadSet(lay(t, "readme.txt", "a/tcb_info.json")); !errors.Is(err, ErrAbsent) {
		t.Errorf("ReadSet of a folder without a set's files: got error %v, want %v", err, ErrAbsent)
	}
	if _, err := ReadBundle(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ReadBundle of nothing: got error %v, want %v", err, os.ErrNotExist)
	}
}

func TestHostileArchivesAreRefused(t *testing.T) {
	good := entry{name: "a/tcb_info.json"}
	var many []entry
	for n := range maxBundleEntries {
		many = append(many, entry{name: fmt.Sprint(n), typ: tar.TypeDir})
	}
	for _, c := range []struct {
		name    string
		entries []entry
		want    string
	}{
		{"path to a parent folder", []entry{good, {name: "../tcb_info.json"}}, "leads out"},
		{"path through a folder to a parent", []entry{good, {name: "a/../../tcb_info.json"}}, "leads out"},
		{"absolute path", []entry{good, {name: "/etc/tcb_info.json"}}, "leads out"},
		{"symbolic link", []entry{good, {name: "b/tcb_info.json", typ: tar.TypeSymlink}}, "neither"},
		{"hard link", []entry{good, {name: "b/tcb_info.json", typ: tar.TypeLink}}, "neither"},
		{"device", []entry{good, {name: "b/tcb_info.json", typ: tar.TypeChar}}, "neither"},
		{"same file twice", []entry{good, {name: "./a/tcb_info.json"}}, "twice"},
		{"document one byte too long", []entry{{name: "tcb_info.json", size: MaxDocument + 1}}, "longer than"},
		{"bomb of another name", []entry{good, {name: "bomb", size: maxBundleBytes}, good}, "unpacked"},
		{"one entry too many", append(many, good), "entries"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sets, err := ReadBundle(pack(t, c.entries...))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got sets %q, error %v, want an error that says %q", names(sets), err, c.want)
			}
		})
	}
}

func TestArchiveAtItsBoundsIsRead(t *testing.T) {
	var entries []entry
	for n := range maxBundleEntries - 2 {
		entries = append(entries, entry{name: fmt.Sprint(n), typ: tar.TypeDir})
	}
	entries = append(entries, entry{typ: tar.TypeXGlobalHeader}, entry{name: "tcb_info.json", size: MaxDocument})
	if sets, err := ReadBundle(pack(t, entries...)); err != nil || len(sets) != 1 {
		t.Errorf("got sets %q, error %v, want one", names(sets), err)
	}
}

func TestTotalOfAFoldersDocumentsIsBounded(t *testing.T) {
	tr := newTree()
	for n := range maxBundleBytes / MaxDocument {
		if err := tr.add(fmt.Sprint(n), io.LimitReader(zeros{}, MaxDocument)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tr.add("one more byte", strings.NewReader("x")); err == nil {
		t.Error("got no error one byte above the bound")
	}
}

func TestDamagedArchivesAreRefused(t *testing.T) {
	whole, err := os.ReadFile(pack(t, entry{name: "tcb_info.json"}))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"empty": {}, "not compressed": []byte("tcb_info.json"), "cut short": whole[:len(whole)-12],
	} {
		file := filepath.Join(t.TempDir(), "bundle.tar.gz")
		if err := os.WriteFile(file, content, 0o644); err != nil {
			t.Fatal(err)
		}
		if sets, err := ReadBundle(file); err == nil {
			t.Errorf("%s: got sets %q and no error", name, names(sets))
		}
	}
}

// wide is a file system whose only folder never ends.
type wide struct{ listed int }

func (w *wide) Open(string) (fs.File, error) { return w, nil }
func (w *wide) Stat() (fs.FileInfo, error)   { return nil, fs.ErrInvalid }
func (w *wide) Read([]byte) (int, error)     { return 0, fs.ErrInvalid }
func (w *wide) Close() error                 { return nil }
func (w *wide) ReadDir(n int) (list []fs.DirEntry, err error) {
	if n <= 0 {
		return nil, errors.New("listed as a whole")
	}
	for range n {
		list = append(list, fs.FileInfoToDirEntry(named(fmt.Sprint(w.listed))))
		w.listed++
	}
	return list, nil
}

// named is a file of which nothing but the name is known.
type named string

func (n named) Name() string     { return string(n) }
func (named) Size() int64        { return 0 }
func (named) Mode() fs.FileMode  { return 0 }
func (named) ModTime() time.Time { return time.Time{} }
func (named) IsDir() bool        { return false }
func (named) Sys() any           { return nil }

func TestFolderIsListedWithinBoundsBeforeAnythingIsRead(t *testing.T) {
	var w wide
	if err := newTree().readFolder(&w, maxBundleDepth); err == nil || !strings.Contains(err.Error(), "entries") {
		t.Errorf("folder without end: got error %v, want the bound of entries named", err)
	}
	if w.listed > maxBundleEntries+entriesAtOnce {
		t.Errorf("%d entries were listed, want about %d", w.listed, maxBundleEntries)
	}

	files := fstest.MapFS{"a/tcb_info.json": {Data: make([]byte, MaxDocument+1)}}
	for n := range maxBundleEntries - 2 {
		files[fmt.Sprintf("b%d", n)] = &fstest.MapFile{}
	}
	check := func(want string) {
		t.Helper()
		if err := newTree().readFolder(files, maxBundleDepth); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d files: got error %v, want it to say %q", len(files), err, want)
		}
	}
	check("longer than") // as many as may be are read
	files["one more"] = &fstest.MapFile{}
	check("entries")
}

func TestErrorsNameTheBundleOnce(t *testing.T) {
	good := lay(t, "a/tcb_info.json/file")
	for _, name := range []string{filepath.Join(t.TempDir(), "none"), good} {
		_, err := ReadBundle(name)
		if err == nil || strings.Count(err.Error(), name) != 1 {
			t.Errorf("got error %v, want it to name %s once", err, name)
		}
		if _, err := ReadSet(name + "x"); err == nil || strings.Count(err.Error(), name) != 1 {
			t.Errorf("got error %v, want it to name %s once", err, name)
		}
	}
}

func TestSymbolicLinksDoNotLeadOutOfAFolder(t *testing.T) {
	outside := lay(t, "tcb_info.json")
	dir := lay(t, "..data/tcb_info.json")
	link := func(to, name string) {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link(filepath.Join("..data", "tcb_info.json"), "tcb_info.json") // as mounted configuration has it
	if sets, err := ReadBundle(dir); err != nil || len(sets) != 1 {
		t.Errorf("link inside: got sets %q, error %v, want one", names(sets), err)
	}
	link(filepath.Join(outside, "tcb_info.json"), "qe_identity.json")
	if sets, err := ReadBundle(dir); err == nil {
		t.Errorf("link outside: got sets %q and no error", names(sets))
	}
}

func TestBundleIsReadAsItWasWritten(t *testing.T) {
	in := assaytest.NewIntel()
	sets := []*Set{set(t, "a", in.Scenario(now)), set(t, "b/c", in.Scenario(now.AddDate(0, 1, 0)))}
	for _, name := range []string{"bundle", "bundle.tar.gz"} {
		file := filepath.Join(t.TempDir(), name)
		if err := WriteBundle(file, sets); err != nil {
			t.Fatal(err)
		}
		read, err := ReadBundle(file)
		if err != nil || !slices.Equal(names(read), names(sets)) {
			t.Fatalf("%s: got sets %q, error %v, want %q", name, names(read), err, names(sets))
		}
		for i, s := range read {
			for f, want := range sets[i].files {
				if got := s.files[f]; !bytes.Equal(got, want) {
					t.Errorf("%s: %s/%s: got %d bytes, want the %d written", name, s.Name, f, len(got), len(want))
				}
			}
		}
	}
}

func TestSameSetsGiveTheSameArchive(t *testing.T) {
	s := set(t, "a", assaytest.NewIntel().Scenario(now))
	var archives [2][]byte
	for i := range archives {
		file := filepath.Join(t.TempDir(), "bundle.tar.gz")
		if err := WriteBundle(file, []*Set{s}); err != nil {
			t.Fatal(err)
		}
		archives[i], _ = os.ReadFile(file)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two archives of one set differ")
	}
}

func TestSetNamesThatCannotBeWritten(t *testing.T) {
	s := func(name string) *Set { return &Set{name, map[string][]byte{tcbInfoFile: nil}} }
	for _, sets := range [][]*Set{{s("a"), s("a")}, {s("../a")}, {s("/a")}} {
		if err := WriteBundle(filepath.Join(t.TempDir(), "bundle"), sets); err == nil {
			t.Errorf("WriteBundle of sets %q: got no error", names(sets))
		}
	}
}

func TestMissingFileOfASetIsNamed(t *testing.T) {
	in := assaytest.NewIntel()
	v := verifier(t, in)
	s := in.Scenario(now)
	o := origin(t, v, s)
	if _, err := set(t, ".", s).Verify(v, o); err != nil {
		t.Fatalf("whole set: %v", err)
	}
	for _, file := range []string{tcbInfoFile, tcbInfoChainFile, qeIdentityFile, qeIdentityChainFile, pckCRLFile, rootCRLFile} {
		part := set(t, ".", s)
		delete(part.files, file)
		_, err := part.Verify(v, o)
		if !errors.Is(err, ErrAbsent) || !strings.Contains(err.Error(), file) {
			t.Errorf("without %s: got error %v, want %v with its name", file, err, ErrAbsent)
		}
	}
}

func TestFetchedSetVerifiesAndKeepsPEMApart(t *testing.T) {
	in := assaytest.NewIntel()
	s := in.Scenario(now)
	v := verifier(t, in)
	source := serve(issue(t, s))
	source.Collateral.PCKCRL = assaytest.CRLPEM(issue(t, s).PCKCRL)
	fetched, err := Fetch(t.Context(), source, Choice{FMSPC: s.Platform.FMSPC, CA: dcap.Platform, Evaluation: Standard}, "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fetched.file(pckCRLPEMFile); err != nil {
		t.Errorf("CRL in PEM: %v", err)
	}
	if _, err := fetched.Verify(v, origin(t, v, s)); err != nil {
		t.Error(err)
	}
	source.failWith(ErrAbsent)
	if _, err := Fetch(t.Context(), source, Choice{}, "a"); !errors.Is(err, ErrAbsent) {
		t.Errorf("source without the items: got error %v, want %v", err, ErrAbsent)
	}
}

func FuzzReadArchive(f *testing.F) {
	for _, name := range []string{
		pack(f, entry{name: "a/tcb_info.json"}, entry{name: "pck_crl.pem"}),
		pack(f, entry{name: "../tcb_info.json"}, entry{name: "link", typ: tar.TypeSymlink}),
		pack(f, entry{typ: tar.TypeXGlobalHeader}, entry{name: "a/b/c/d/", typ: tar.TypeDir}),
	} {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tr := newTree()
		if err := tr.readArchive(bytes.NewReader(b)); err != nil {
			return
		}
		for _, s := range tr.sets() {
			if !filepath.IsLocal(s.Name) || s.files[tcbInfoFile] == nil {
				t.Errorf("got set %q with %d files", s.Name, len(s.files))
			}
		}
	})
}
