package store

import (
	"context"
	"embed"
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

// Migrate brings the schema up to date. Any number of processes may do so at once. It refuses a store of a newer version.
func (s *Store) Migrate(ctx context.Context) error {
	steps, err := steps()
	if err != nil {
		return err
	}
	return s.run(ctx, s.write, nil, func(tx *Tx) error {
		if s.postgres {
			if err := tx.exec("SELECT pg_advisory_xact_lock($1)", migrationLock); err != nil {
				return err
			}
		}
		if err := tx.exec("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)"); err != nil {
			return err
		}
		return tx.migrate(steps)
	})
}

// Version is the version of the schema, and the one that this program needs. Zero: there is no schema.
func (s *Store) Version(ctx context.Context) (have, need int, err error) {
	steps, err := steps()
	if err != nil {
		return 0, 0, err
	}
	err = s.Read(ctx, func(tx *Tx) error { have, err = tx.version(); return err })
	if err != nil && strings.Contains(err.Error(), "schema_version") {
		return 0, len(steps), nil // there is no such table
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
		return fmt.Errorf("store: its schema has version %d, this program knows up to %d: use a newer program", have, len(steps))
	}
	for n := have; n < len(steps); n++ {
		for statement := range strings.SplitSeq(steps[n], ";\n") {
			if strings.TrimSpace(statement) == "" {
				continue
			}
			if err := tx.exec(statement); err != nil {
				return fmt.Errorf("migration %d: %w", n+1, err)
			}
		}
		if err := tx.exec("INSERT INTO schema_version VALUES ($1)", n+1); err != nil {
			return err
		}
	}
	return nil
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
