package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// migrations are the steps that lead to the current schema, in the order of their names. A step that was released is
// never changed.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is the PostgreSQL advisory lock under which one process at a time migrates.
const migrationLock = 0x61737361790001

// Migrate brings the schema up to date. Any number of processes may do so at once. A store of a newer version is refused
// with [ErrSchema], and so is a PostgreSQL database whose encoding is not UTF-8.
func (s *Store) Migrate(ctx context.Context) error {
	steps, err := steps()
	if err != nil {
		return err
	}
	return s.run(ctx, s.write, s.writing(), func(tx *Tx) error {
		if err := tx.prepare(); err != nil {
			return err
		}
		if err := tx.exec("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)"); err != nil {
			return err
		}
		return tx.migrate(steps)
	})
}

// prepare makes sure that PostgreSQL can keep every text, and waits until nobody else migrates.
func (tx *Tx) prepare() error {
	if !tx.postgres {
		return nil
	}
	var encoding string
	if err := tx.tx.QueryRowContext(tx.ctx, "SHOW server_encoding").Scan(&encoding); err != nil {
		return wrap("asking for the encoding", err)
	}
	if encoding != "UTF8" {
		return fmt.Errorf("store: the database has the encoding %s: make one with UTF8", encoding)
	}
	return tx.exec("SELECT pg_advisory_xact_lock($1)", migrationLock)
}

// Version is the version of the schema, and the one that this program needs. Zero: there is no schema.
func (s *Store) Version(ctx context.Context) (have, need int, err error) {
	steps, err := steps()
	if err != nil {
		return 0, 0, err
	}
	err = s.Read(ctx, func(tx *Tx) error { have, err = tx.version(); return err })
	if errors.Is(err, ErrSchema) {
		err = nil // there is no such table
	}
	return have, len(steps), err
}

func (tx *Tx) version() (n int, err error) {
	err = tx.tx.QueryRowContext(tx.ctx, "SELECT COALESCE(MAX(version), 0) FROM schema_version").Scan(&n)
	return n, wrap("reading the version of the schema", err)
}

func (tx *Tx) migrate(steps []string) error {
	have, err := tx.version()
	if err != nil {
		return err
	}
	if have > len(steps) {
		return otherSchema(have, len(steps))
	}
	for n := have; n < len(steps); n++ {
		for statement := range strings.SplitSeq(steps[n], ";\n") {
			if strings.TrimSpace(statement) == "" {
				continue
			}
			if err := tx.exec(tx.dialect(statement)); err != nil {
				return fmt.Errorf("migration %d: %w", n+1, err)
			}
		}
		if err := tx.exec("INSERT INTO schema_version VALUES ($1)", n+1); err != nil {
			return err
		}
	}
	return nil
}

// dialect writes a statement of a migration for the engine. Texts are ordered by their bytes on both.
func (tx *Tx) dialect(statement string) string {
	if tx.postgres {
		return strings.ReplaceAll(statement, "COLLATE BINARY", `COLLATE "C"`)
	}
	return statement
}

// current checks that the schema is the one that this program needs.
func (tx *Tx) current() (version int, err error) {
	steps, err := steps()
	if err != nil {
		return 0, err
	}
	have, err := tx.version()
	if err == nil && have != len(steps) {
		err = otherSchema(have, len(steps))
	}
	return have, err
}

func otherSchema(have, need int) error {
	if have > need {
		return fmt.Errorf("store: %w: its version is %d, this program knows up to %d; use a newer program", ErrSchema, have, need)
	}
	return fmt.Errorf("store: %w: its version is %d, this program needs %d; run assay store migrate", ErrSchema, have, need)
}

func steps() (out []string, err error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		b, err := migrations.ReadFile(name)
		if err != nil {
			return nil, err
		}
		out = append(out, string(b))
	}
	return out, nil
}
