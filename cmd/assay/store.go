package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/assay-attestation/assay/internal/server"
	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/wholefile"
)

// storeChoice is the store that a command works on.
type storeChoice struct {
	name string // --store
	data string // --data
	file []byte // content of --store-file
}

func (c *call) storeVar(s *storeChoice) {
	c.StringVar(&s.name, "store", "", "`STORE`: a postgres:// URL, or an SQLite file")
	c.StringVar(&s.data, "data", "", "data folder `DIR` of the service, whose store is "+server.StoreFile)
	c.fileVar(&s.file, "store-file", "`FILE` that holds what --store would say: a URL with a password is not for the command line")
}

// dsn is the URL or file chosen. Exactly one flag says it.
func (s *storeChoice) dsn(c *call) (string, error) {
	given := 0
	for _, name := range []string{"store", "data", "store-file"} {
		if c.isSet(name) {
			given++
		}
	}
	switch {
	case given == 0:
		return "", usage("--store, --store-file or --data is missing")
	case given > 1:
		return "", usage("--store, --store-file and --data exclude each other")
	case s.data != "":
		return filepath.Join(s.data, server.StoreFile), nil
	case s.name != "":
		return s.name, nil
	}
	if line := string(bytes.TrimSpace(s.file)); line != "" {
		return line, nil
	}
	return "", badFile(errors.New("--store-file is empty: expected a postgres:// URL, or the name of an SQLite file"))
}

// openStore is a store, and how it is called where people read it.
type openStore struct {
	*store.Store
	name     string // without user and password
	postgres bool
}

// open opens the store. An SQLite file must be there, unless it is to be made.
func (s *storeChoice) open(ctx context.Context, c *call, create bool) (*openStore, error) {
	dsn, err := s.dsn(c)
	if err != nil {
		return nil, err
	}
	if err := store.CheckName(dsn); err != nil {
		return nil, badFile(err)
	}
	o := &openStore{name: dsn, postgres: store.IsPostgres(dsn)}
	if o.postgres {
		o.name = withoutSecrets(dsn)
	} else if err := prepareFile(dsn, s.data, create); err != nil {
		return nil, badFile(err)
	}
	c.reads(dsn)
	if o.Store, err = store.Open(ctx, dsn); err != nil {
		return nil, o.fault(err)
	}
	return o, nil
}

// prepareFile makes the data folder for a store that is to be made; another must be there.
func prepareFile(file, data string, create bool) error {
	if create && data != "" {
		return os.MkdirAll(data, 0o700)
	}
	if create {
		return nil
	}
	_, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; assay store migrate makes an empty store", err)
	}
	return err
}

// withoutSecrets is a PostgreSQL URL down to host and database.
func withoutSecrets(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return "PostgreSQL"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// fault gives an error of the store its exit status. A refusal stays one; of the rest, a file that cannot be read is a
// wrong call, and a server that fails or is not there is a service.
func (o *openStore) fault(err error) error {
	var file *store.BackupError
	switch {
	case err == nil, errors.Is(err, store.ErrSchema), errors.Is(err, store.ErrNotEmpty), errors.Is(err, store.ErrDamaged):
		return err
	case errors.As(err, &file) || !o.postgres || errors.Is(err, store.ErrName):
		return badFile(err)
	}
	return &serviceError{err: err}
}

// storeReport is the result of migrate, backup and restore.
type storeReport struct {
	Store  string `json:"store"`
	Schema int    `json:"schema"`
	Before *int   `json:"before,omitzero"` // migrate: the version of the schema before; 0: there was none
	Out    string `json:"out,omitzero"`
	Bytes  int64  `json:"bytes,omitzero"`  // of the backup
	SHA256 string `json:"sha256,omitzero"` // of the backup, hex
	done   string
}

func (r *storeReport) print(s sheet, _ error) {
	s.heading(green, r.done, r.Store)
	rows := []row{{"schema", fmt.Sprintf("version %d", r.Schema)}, {"written to", r.Out}}
	if r.Before != nil && *r.Before != r.Schema {
		rows = append(rows, row{"before", fmt.Sprintf("version %d", *r.Before)})
	}
	if r.Bytes > 0 {
		rows = append(rows, row{"bytes", fmt.Sprint(r.Bytes)}, row{"SHA-256", r.SHA256})
	}
	s.rows(rows...)
}

// report says what was done to the store, and to which backup.
func (o *openStore) report(ctx context.Context, done string, backup *measure) (*storeReport, error) {
	have, _, err := o.Version(ctx)
	r := &storeReport{Store: o.name, Schema: have, done: done}
	if backup != nil {
		r.Bytes, r.SHA256 = backup.bytes, hex.EncodeToString(backup.sum.Sum(nil))
	}
	return r, o.fault(err)
}

// measure counts and hashes what is written to it.
type measure struct {
	bytes int64
	sum   hash.Hash
}

func newMeasure() *measure { return &measure{sum: sha256.New()} }

// Write never fails.
func (m *measure) Write(b []byte) (int, error) {
	m.bytes += int64(len(b))
	return m.sum.Write(b)
}

// runStoreMigrate brings the schema of a store up to date, and makes the store if it is an SQLite file.
func runStoreMigrate(ctx context.Context, c *call) error {
	var choice storeChoice
	c.storeVar(&choice)
	if _, err := c.parse(); err != nil {
		return err
	}
	o, err := choice.open(ctx, c, true)
	if err != nil {
		return err
	}
	defer o.Close()
	before, _, err := o.Version(ctx)
	if err == nil {
		err = o.Migrate(ctx)
	}
	if err != nil {
		return o.fault(err)
	}
	r, err := o.report(ctx, "MIGRATED", nil)
	if err != nil {
		return err
	}
	r.Before = &before
	return c.tell(r, nil)
}

// runStoreBackup writes one state of a store to a file, whole or not at all, or to standard output.
func runStoreBackup(ctx context.Context, c *call) error {
	var choice storeChoice
	c.storeVar(&choice)
	out := c.String("out", "", "write to `FILE` (0600); - is standard output")
	if _, err := c.parse("--out"); err != nil {
		return err
	}
	if *out == "-" && c.json {
		return usage("--out - and --json exclude each other: both want standard output")
	}
	o, err := choice.open(ctx, c, false)
	if err != nil {
		return err
	}
	defer o.Close()
	if *out == "-" {
		return o.fault(o.Backup(ctx, c.stdout))
	}
	if err := c.spare(*out); err != nil {
		return err
	}
	m := newMeasure()
	err = wholefile.Stream(*out, 0o600, func(w io.Writer) error {
		return o.fault(o.Backup(ctx, io.MultiWriter(w, m)))
	})
	if err != nil {
		return fileFault(err)
	}
	r, err := o.report(ctx, "BACKED UP", m)
	if err != nil {
		return err
	}
	r.Out = *out
	return c.tell(r, nil)
}

// fileFault is the error of a file, unless it is known to be another.
func fileFault(err error) error {
	if errors.As(err, new(*os.PathError)) || errors.As(err, new(*os.LinkError)) {
		return badFile(err)
	}
	return err
}

// runStoreRestore reads a backup into a store that has its schema and nothing else.
func runStoreRestore(ctx context.Context, c *call) error {
	var choice storeChoice
	c.storeVar(&choice)
	pos, err := c.parse("FILE")
	if err != nil {
		return err
	}
	in := c.stdin
	if pos[0] != "-" {
		f, err := os.Open(pos[0])
		if err != nil {
			return badFile(err)
		}
		defer f.Close()
		in = f
	}
	o, err := choice.open(ctx, c, false)
	if err != nil {
		return err
	}
	defer o.Close()
	m := newMeasure()
	if err := o.Restore(ctx, io.TeeReader(in, m)); err != nil {
		return o.fault(err)
	}
	r, err := o.report(ctx, "RESTORED", m)
	if err != nil {
		return err
	}
	return c.tell(r, nil)
}

// checkReport is the result of store check.
type checkReport struct {
	Store    string   `json:"store"`
	Sound    bool     `json:"sound"`
	Findings []string `json:"findings"`
}

func (r *checkReport) print(s sheet, _ error) {
	if r.Sound {
		s.heading(green, "SOUND", r.Store)
		return
	}
	s.heading(red, "FAULTY", r.Store)
	for _, finding := range r.Findings {
		fmt.Fprintln(s.w, "  "+plain(finding))
	}
}

// runStoreCheck looks for faults of a store.
func runStoreCheck(ctx context.Context, c *call) error {
	var choice storeChoice
	c.storeVar(&choice)
	if _, err := c.parse(); err != nil {
		return err
	}
	o, err := choice.open(ctx, c, false)
	if err != nil {
		return err
	}
	defer o.Close()
	findings, err := o.Check(ctx)
	if err != nil {
		return o.fault(err)
	}
	r := &checkReport{o.name, len(findings) == 0, append([]string{}, findings...)}
	if !r.Sound {
		err = fmt.Errorf("the store has %d faults", len(findings))
	}
	return c.tell(r, err)
}
