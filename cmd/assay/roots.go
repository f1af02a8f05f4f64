package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/assay-attestation/assay/internal/vendorca"
)

// The limits of a folder of certificates.
const (
	maxRootFiles = 4096 // files and folders
	maxRootDepth = 8    // folders in folders
)

// rootsImport is the result of roots import.
type rootsImport struct {
	Kind          string            `json:"kind"`
	Certificates  []*vendorca.Entry `json:"certificates"`
	Roots         []string          `json:"roots"`                  // files written, absolute
	Intermediates string            `json:"intermediates,omitzero"` // file written, absolute
	Configuration string            `json:"configuration,omitzero"` // lines that make a service trust the files
}

func (r *rootsImport) print(s sheet, err error) {
	counts := map[vendorca.Use]int{}
	lines := [][]string{{"USE", "KEY", "FROM", "UNTIL", "SHA-256", "FILE", "SUBJECT"}}
	var notes []row
	for _, e := range r.Certificates {
		counts[e.Use]++
		use := string(e.Use)
		if e.Use == vendorca.None {
			use = string(e.Reason)
			notes = append(notes, row{e.File, shorten(e.Detail)})
		}
		if e.Orphan {
			notes = append(notes, row{e.File, "leads to no root here; its issuer is " + shorten(e.Issuer)})
		}
		lines = append(lines, []string{use, e.Key, day(e, false), day(e, true), e.SHA256, e.File, shorten(e.Subject)})
	}
	colour, verdict := green, "SORTED"
	if err != nil {
		colour, verdict = red, "REFUSED"
	}
	s.heading(colour, verdict, fmt.Sprintf("%d roots, %d intermediates, %d left out", counts[vendorca.Root], counts[vendorca.Intermediate], counts[vendorca.None]))
	s.table(lines)
	if len(notes) > 0 {
		s.section("Notes")
		s.rows(notes...)
	}
	r.printNext(s, err)
}

// day is the day on which a certificate begins or ends.
func day(e *vendorca.Entry, end bool) string {
	switch {
	case e.Certificate() == nil:
		return ""
	case end:
		return e.NotAfter.Format("2006-01-02")
	}
	return e.NotBefore.Format("2006-01-02")
}

// printNext says what makes a service trust the certificates.
func (r *rootsImport) printNext(s sheet, err error) {
	switch {
	case err != nil:
		s.section(err.Error())
	case r.Configuration == "":
		s.section("Nothing was written: --out DIR writes the roots and intermediates, and the configuration that names them.")
	default:
		s.section("Nothing is trusted yet. A service trusts these when its configuration has the following lines; strike the makers that you do not want.")
		fmt.Fprintln(s.w)
		for line := range strings.Lines(r.Configuration) {
			fmt.Fprintln(s.w, plain(strings.TrimSuffix(line, "\n")))
		}
	}
}

// runRootsImport sorts the certificates of a folder, and writes those that can be trusted. It trusts none.
func runRootsImport(_ context.Context, c *call) error {
	r := &rootsImport{Roots: []string{}}
	out := c.String("out", "", "write the roots, a file for each, and the intermediates into `DIR`")
	c.StringVar(&r.Kind, "kind", "ek", "`KIND` of the keys that they certify: ek (by makers of TPMs) or aik (by attestation CAs)")
	at := c.now()
	c.timeVar(&at)
	pos, err := c.parse("DIR")
	if err != nil {
		return err
	}
	if r.Kind != "ek" && r.Kind != "aik" {
		return usage("--kind %q: expected ek or aik", r.Kind)
	}
	set := vendorca.New(at)
	if err := c.readFolder(pos[0], set); err != nil {
		return err
	}
	set.Link()
	r.Certificates = append([]*vendorca.Entry{}, set.Entries...)
	if len(set.Of(vendorca.Root))+len(set.Of(vendorca.Intermediate)) == 0 {
		return c.tell(r, errors.New("the folder holds no certificate of a CA that is of use"))
	}
	if *out != "" {
		err = r.write(c, *out, set)
	}
	if err != nil {
		return err
	}
	return c.tell(r, nil)
}

// readFolder adds every file of a folder to the set. A link counts as the file to which it leads; folders that are linked are left alone.
func (c *call) readFolder(dir string, set *vendorca.Set) error {
	seen := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if seen++; err == nil && seen > maxRootFiles {
			err = fmt.Errorf("%s holds more than %d files", dir, maxRootFiles)
		}
		name, relErr := filepath.Rel(dir, path)
		if err != nil || relErr != nil {
			return errors.Join(err, relErr)
		}
		if entry.IsDir() {
			if strings.Count(name, string(filepath.Separator)) >= maxRootDepth {
				return fmt.Errorf("%s holds folders more than %d deep", dir, maxRootDepth)
			}
			return nil
		}
		if path == "-" { // a file of that name, not standard input
			path = "." + string(filepath.Separator) + path
		}
		return c.addFile(path, name, set)
	})
	if err == nil && seen == 1 {
		err = fmt.Errorf("%s is empty, or not a folder", dir)
	}
	if err != nil {
		return badFile(err)
	}
	return nil
}

// addFile adds one file to the set. One that cannot be read is an entry: it keeps the others from nothing.
func (c *call) addFile(path, name string, set *vendorca.Set) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return set.Unread(name, err)
	case info.IsDir():
		return nil
	case !info.Mode().IsRegular():
		return set.Unread(name, errors.New("not a regular file"))
	case info.Size() > vendorca.MaxFile:
		return set.Unread(name, fmt.Errorf("%d bytes, at most %d are read", info.Size(), vendorca.MaxFile))
	}
	b, err := c.read(path)
	if err != nil {
		return set.Unread(name, err)
	}
	return set.Add(name, b)
}

// write writes the certificates: a file for each root, because that is how a configuration names roots, one by one.
func (r *rootsImport) write(c *call, out string, set *vendorca.Set) error {
	dir, err := filepath.Abs(out)
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return badFile(err)
	}
	var lines strings.Builder
	fmt.Fprintf(&lines, "%s_roots:\n", r.Kind)
	for _, e := range set.Entries {
		if e.Use != vendorca.Root {
			continue
		}
		file := filepath.Join(dir, "root-"+e.SHA256[:16]+".pem")
		if err := c.write(file, vendorca.PEM(e.Certificate())); err != nil {
			return err
		}
		r.Roots = append(r.Roots, file)
		fmt.Fprintf(&lines, "  - {file: %q} # %s\n", file, plain(e.Subject))
	}
	if len(r.Roots) > 0 {
		r.Configuration = lines.String()
	}
	return r.writeIntermediates(c, dir, set.Of(vendorca.Intermediate))
}

func (r *rootsImport) writeIntermediates(c *call, dir string, certs []*x509.Certificate) error {
	if len(certs) == 0 {
		return nil
	}
	r.Intermediates = filepath.Join(dir, "intermediates.pem")
	r.Configuration += fmt.Sprintf("%s_intermediates: [%q]\n", r.Kind, r.Intermediates)
	return c.write(r.Intermediates, vendorca.PEM(certs...))
}
