package store

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/internal/strictjson"
)

// The refusals of [Store.Restore].
var (
	ErrNotEmpty = errors.New("the store is not empty: restore into a new one")
	ErrDamaged  = errors.New("not a backup, or not a whole and unchanged one")
)

// Restore reads a backup from r into the store, all of it or nothing. The store must have its schema and nothing else: the
// error is [ErrSchema] or [ErrNotEmpty] otherwise. It is [ErrDamaged] if the backup is cut off or was changed, and
// ErrSchema if it was made of another schema. What the rows say is not judged, see [Store.Check]: a store with faults
// must not be lost for them.
func (s *Store) Restore(ctx context.Context, r io.Reader) error {
	return s.Write(ctx, func(tx *Tx) error {
		schema, err := tx.current()
		if err != nil {
			return err
		}
		if err := tx.empty(); err != nil {
			return err
		}
		return readBackup(r, schema, func(t table, row []any) error {
			return wrap("restoring a row of "+t.name, tx.exec(t.restore, row...))
		})
	})
}

// empty checks that there is nothing in the store.
func (tx *Tx) empty() error {
	for _, t := range tables() {
		var there bool
		what := "SELECT EXISTS (SELECT 1 FROM " + t.name + ")"
		if t.name == "state" {
			what = "SELECT EXISTS (SELECT 1 FROM state WHERE audit_seq <> 0)"
		}
		if err := tx.tx.QueryRowContext(tx.ctx, what).Scan(&there); err != nil {
			return wrap("looking whether the store is empty", err)
		}
		if there {
			return fmt.Errorf("%w (rows in %s)", ErrNotEmpty, t.name)
		}
	}
	return nil
}

// readBackup gives each row of a backup to put. Only when it returns nil is the backup whole.
func readBackup(r io.Reader, schema int, put func(table, []any) error) error {
	b := newBackupReader(r)
	line, err := b.next()
	if err == nil {
		err = checkHeader(line, schema)
	}
	if err != nil {
		return b.fault(err)
	}
	for {
		end := backupEnd(b.lines, b.sum.Sum(nil))
		line, err := b.next()
		switch {
		case err != nil:
			return b.fault(err)
		case string(line) == end:
			return b.atEnd()
		case !bytes.HasPrefix(line, []byte(rowPrefix)):
			return b.damaged("expected a row, or the end with the SHA-256 of all before")
		}
		t, row, err := parseRow(line)
		if err != nil {
			return b.damaged(err.Error())
		}
		if err := put(t, row); err != nil {
			return err
		}
	}
}

func checkHeader(line []byte, schema int) error {
	var header struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
		Schema  int    `json:"schema"`
	}
	if err := strictjson.Exact(line, &header); err != nil || header.Format != "assay-backup" {
		return fmt.Errorf("%w: line 1 is not the header of a backup", ErrDamaged)
	}
	if header.Version != backupVersion {
		return fmt.Errorf("%w: its format has version %d, this program reads %d", ErrSchema, header.Version, backupVersion)
	}
	if header.Schema != schema {
		return fmt.Errorf("%w: the backup has schema %d, the store %d; restore with the program that made it, then run assay store migrate", ErrSchema, header.Schema, schema)
	}
	if string(line) != backupHeader(schema) {
		return fmt.Errorf("%w: line 1 is not as it is written", ErrDamaged)
	}
	return nil
}

// parseRow reads a line. It must be written as [table.line] writes it.
func parseRow(line []byte) (table, []any, error) {
	var parsed struct {
		Table string                    `json:"table"`
		Row   map[string]jsontext.Value `json:"row"`
	}
	if err := strictjson.Exact(line, &parsed); err != nil {
		return table{}, nil, err
	}
	for _, t := range tables() {
		if t.name != parsed.Table {
			continue
		}
		row, err := t.row(parsed.Row)
		if err != nil {
			return t, nil, err
		}
		if again, err := t.line(row); err != nil || !bytes.Equal(again, line) {
			return t, nil, errors.New("the row is not as it is written")
		}
		return t, row, nil
	}
	return table{}, nil, fmt.Errorf("there is no table %q", parsed.Table)
}

func (t table) row(values map[string]jsontext.Value) (row []any, err error) {
	for _, c := range t.columns {
		var number int64
		var text string
		if isNumber(c) {
			err = json.Unmarshal(values[c], &number)
			row = append(row, number)
		} else {
			err = json.Unmarshal(values[c], &text)
			row = append(row, text)
		}
		if err != nil {
			return nil, fmt.Errorf("column %s of %s: %w", c, t.name, err)
		}
	}
	return row, nil
}

// backupReader reads lines, and counts and hashes them.
type backupReader struct {
	lines int
	sum   hash.Hash
	scan  *bufio.Scanner
}

func newBackupReader(r io.Reader) *backupReader {
	b := &backupReader{sum: sha256.New(), scan: bufio.NewScanner(r)}
	b.scan.Buffer(nil, maxLine+1)
	b.scan.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if n := bytes.IndexByte(data, '\n') + 1; n > 0 {
			return n, data[:n], nil
		}
		if atEOF && len(data) > 0 {
			return 0, nil, io.ErrUnexpectedEOF
		}
		return 0, nil, nil
	})
	return b
}

// next gives a line with its end, or io.EOF. It is valid until the next call.
func (b *backupReader) next() ([]byte, error) {
	if !b.scan.Scan() {
		return nil, cmp.Or(b.scan.Err(), io.EOF)
	}
	b.lines++
	b.sum.Write(b.scan.Bytes())
	return b.scan.Bytes(), nil
}

// atEnd checks that nothing follows.
func (b *backupReader) atEnd() error {
	switch _, err := b.next(); {
	case err == io.EOF:
		return nil
	case err != nil:
		return b.fault(err)
	}
	return b.damaged("something follows the end")
}

// fault tells a damaged backup from one that cannot be read.
func (b *backupReader) fault(err error) error {
	switch {
	case errors.Is(err, ErrDamaged), errors.Is(err, ErrSchema):
		return err
	case err == io.EOF:
		return b.damaged("nothing follows, expected a row or the end")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return b.damaged("the next line is cut off")
	case errors.Is(err, bufio.ErrTooLong):
		return b.damaged(fmt.Sprintf("the next line is longer than %d bytes", maxLine))
	}
	return backupFault(err)
}

func (b *backupReader) damaged(how string) error {
	return fmt.Errorf("%w: line %d: %s", ErrDamaged, b.lines, how)
}
