package store

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A backup is lines of JSON: a header, a line for each row, and an end with the number of the lines before it and their
// SHA-256. Equal stores have equal backups, byte for byte and on each engine.
const (
	backupVersion = 1
	maxLine       = 16 << 20 // bytes of a line; the largest row is a policy, whose JWS is bounded by the limit policy_body
	rowPrefix     = `{"table":`
)

func backupHeader(schema int) string {
	return fmt.Sprintf("{\"format\":\"assay-backup\",\"version\":%d,\"schema\":%d}\n", backupVersion, schema)
}

func backupEnd(lines int, sum []byte) string {
	return fmt.Sprintf("{\"lines\":%d,\"sha256\":\"%x\"}\n", lines, sum)
}

// table is a table as a backup holds it.
type table struct {
	name    string
	key     string // by which its rows are ordered
	columns []string
	restore string // the statement that puts a row back
}

// tables are all tables but schema_version. The counter of changes is not kept: it means something only where it counts.
func tables() []table {
	return []table{
		{"state", "one", []string{"audit_seq", "audit_mac"}, "UPDATE state SET audit_seq = $1, audit_mac = $2"},
		{"providers", "id", []string{"id", "name", "url", "version", "doc", "longest_report"}, "INSERT INTO providers VALUES ($1, $2, $3, $4, $5, $6)"},
		{"policies", "provider_id, type, version", []string{"provider_id", "type", "version", "jws", "doc"}, "INSERT INTO policies VALUES ($1, $2, $3, $4, $5)"},
		{"signing_keys", "provider_id, id", []string{"provider_id", "id", "signs_from", "sealed"}, "INSERT INTO signing_keys VALUES ($1, $2, $3, $4)"},
		{"aik_certificates", "provider_id, id", []string{"provider_id", "id", "aik", "ek", "not_after", "revoked", "certificate", "doc"},
			"INSERT INTO aik_certificates VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"},
		{"tpm_pins", "provider_id, kind, hash", []string{"provider_id", "kind", "hash", "doc"}, "INSERT INTO tpm_pins VALUES ($1, $2, $3, $4)"},
		{"reference_values", "provider_id, name", []string{"provider_id", "name", "version", "doc"}, "INSERT INTO reference_values VALUES ($1, $2, $3, $4)"},
		{"audit", "seq", []string{"seq", "record", "mac"}, "INSERT INTO audit VALUES ($1, $2, $3)"},
	}
}

// isNumber tells the columns of numbers from those of texts.
func isNumber(column string) bool {
	switch column {
	case "version", "longest_report", "signs_from", "not_after", "revoked", "seq", "audit_seq":
		return true
	}
	return false
}

// scan reads a row: an int64 or a string for each column.
func (t table) scan(rows *sql.Rows) ([]any, error) {
	row, into := make([]any, len(t.columns)), make([]any, len(t.columns))
	for i := range row {
		into[i] = &row[i]
	}
	if err := rows.Scan(into...); err != nil {
		return nil, err
	}
	for i, c := range t.columns {
		_, number := row[i].(int64)
		if _, text := row[i].(string); number != isNumber(c) || text == isNumber(c) {
			return nil, fmt.Errorf("column %s of %s holds a %T", c, t.name, row[i])
		}
	}
	return row, nil
}

// line writes a row as a line of a backup.
func (t table) line(row []any) ([]byte, error) {
	tokens := []jsontext.Token{jsontext.BeginObject, jsontext.String("table"), jsontext.String(t.name), jsontext.String("row"), jsontext.BeginObject}
	for i, c := range t.columns {
		value := jsontext.Int(0)
		switch v := row[i].(type) {
		case int64:
			value = jsontext.Int(v)
		case string:
			value = jsontext.String(v)
		}
		tokens = append(tokens, jsontext.String(c), value)
	}
	var b bytes.Buffer
	e := jsontext.NewEncoder(&b)
	for _, token := range append(tokens, jsontext.EndObject, jsontext.EndObject) {
		if err := e.WriteToken(token); err != nil {
			return nil, fmt.Errorf("store: a row of %s: %w", t.name, err)
		}
	}
	if b.Len() > maxLine {
		return nil, fmt.Errorf("store: a row of %s takes %d bytes, expected %d at most", t.name, b.Len(), maxLine)
	}
	return b.Bytes(), nil
}

// Backup writes one state of the store to w, row by row, while others may go on writing. The signing keys are sealed in
// it as they are in the store. The error is [ErrSchema] if the store has another schema than this program.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	out := &backupWriter{w: bufio.NewWriter(w), sum: sha256.New()}
	err := s.Read(ctx, func(tx *Tx) error {
		schema, err := tx.current()
		if err != nil {
			return err
		}
		if err := out.line([]byte(backupHeader(schema))); err != nil {
			return err
		}
		for _, t := range tables() {
			if err := tx.backup(t, out); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = out.w.WriteString(backupEnd(out.lines, out.sum.Sum(nil)))
	return backupFault(errors.Join(err, out.w.Flush()))
}

func (tx *Tx) backup(t table, out *backupWriter) error {
	q := query[[]any]{t.scan, "SELECT " + strings.Join(t.columns, ", ") + " FROM " + t.name + " ORDER BY " + t.key, nil}
	return each(tx, q, func(row []any, err error) error {
		if err != nil {
			return wrap("reading a row", err)
		}
		line, err := t.line(row)
		if err != nil {
			return err
		}
		return out.line(line)
	})
}

type backupWriter struct {
	w     *bufio.Writer
	sum   hash.Hash
	lines int
}

func (b *backupWriter) line(line []byte) error {
	b.lines++
	b.sum.Write(line)
	_, err := b.w.Write(line)
	return backupFault(err)
}

// BackupError is the error of whatever a backup is written to or read from, in distinction from those of the store.
type BackupError struct{ Err error }

// Error tells the error.
func (e *BackupError) Error() string { return "the backup: " + e.Err.Error() }

// Unwrap gives the error of the file or stream.
func (e *BackupError) Unwrap() error { return e.Err }

func backupFault(err error) error {
	if err == nil {
		return nil
	}
	return &BackupError{err}
}
