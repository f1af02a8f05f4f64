package store

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of the reference values of a provider.
const (
	MaxReferences     = 1000
	MaxReferenceBytes = 64 << 10 // of the body of one
)

// ErrTooLong is of a reference value of more than MaxReferenceBytes.
var ErrTooLong = fmt.Errorf("a reference value may have %d bytes at most", MaxReferenceBytes)

// Reference is a reference value of a provider (native.md section 5). What its body means is not known here.
type Reference struct {
	ProviderID string         `json:"-"`
	Name       string         `json:"-"`
	Version    int64          `json:"-"` // that of the provider after the change that made it
	Body       jsontext.Value `json:"body"`
	Stamp      Stamp          `json:"stamp"`
}

const selectReference = "SELECT provider_id, name, version, doc FROM reference_values "

func scanReference(rows *sql.Rows) (r Reference, err error) {
	var doc string
	if err := rows.Scan(&r.ProviderID, &r.Name, &r.Version, &doc); err != nil {
		return r, err
	}
	return r, json.Unmarshal([]byte(doc), &r)
}

// References gives up to limit reference values of a provider with names after one, in the order of their names.
func (tx *Tx) References(providerID, after string, limit int) ([]Reference, error) {
	return all(tx, scanReference, selectReference+"WHERE provider_id = $1 AND name > $2 ORDER BY name LIMIT $3", providerID, after, limit)
}

// ReferencesSince gives up to limit reference values of a provider that were made after a version of it, in the order of their names.
func (tx *Tx) ReferencesSince(providerID string, version int64, limit int) ([]Reference, error) {
	return all(tx, scanReference, selectReference+"WHERE provider_id = $1 AND version > $2 ORDER BY name LIMIT $3", providerID, version, limit)
}

// ReferenceNames gives the names of up to limit reference values of a provider in their order.
func (tx *Tx) ReferenceNames(providerID string, limit int) ([]string, error) {
	name := func(rows *sql.Rows) (s string, err error) { return s, rows.Scan(&s) }
	return all(tx, name, "SELECT name FROM reference_values WHERE provider_id = $1 ORDER BY name LIMIT $2", providerID, limit)
}

// Reference gives the reference value of a name, or ErrNotFound.
func (tx *Tx) Reference(providerID, name string) (Reference, error) {
	return first(all(tx, scanReference, selectReference+"WHERE provider_id = $1 AND name = $2", providerID, name))
}

// PutReference adds a reference value to a provider that is there, for version 0, or replaces the one of r.Version. It returns the new
// version. The error is ErrConflict if there is one already, or not of that version, ErrFull if a provider has MaxReferences, and
// ErrTooLong.
func (tx *Tx) PutReference(r Reference) (version int64, err error) {
	if len(r.Body) > MaxReferenceBytes {
		return 0, ErrTooLong
	}
	doc, err := marshal(&r)
	if err != nil {
		return 0, err
	}
	if err := tx.expectReference(r); err != nil {
		return 0, err
	}
	version, err = tx.nextVersion(r.ProviderID)
	if err != nil {
		return 0, err
	}
	if r.Version == 0 {
		return version, tx.one("INSERT INTO reference_values VALUES ($1, $2, $3, $4)", r.ProviderID, r.Name, version, doc)
	}
	return version, tx.one("UPDATE reference_values SET version = $1, doc = $2 WHERE provider_id = $3 AND name = $4 AND version = $5",
		version, doc, r.ProviderID, r.Name, r.Version)
}

// expectReference checks that what is stored is of r.Version, and that there is room for what is not there.
func (tx *Tx) expectReference(r Reference) error {
	old, err := tx.Reference(r.ProviderID, r.Name)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if old.Version != r.Version {
		return ErrConflict
	}
	if r.Version != 0 {
		return nil
	}
	return tx.room(MaxReferences, "SELECT COUNT(*) FROM reference_values WHERE provider_id = $1", r.ProviderID)
}

// nextVersion counts a change of a provider, and gives its version.
func (tx *Tx) nextVersion(providerID string) (int64, error) {
	if err := tx.touch(providerID); err != nil {
		return 0, err
	}
	p, err := tx.Provider(providerID)
	return p.Version, err
}

// DeleteReference takes the reference value of a version away; the error is ErrConflict if there is none.
func (tx *Tx) DeleteReference(providerID, name string, version int64) error {
	err := tx.one("DELETE FROM reference_values WHERE provider_id = $1 AND name = $2 AND version = $3", providerID, name, version)
	if err != nil {
		return err
	}
	return tx.touch(providerID)
}
