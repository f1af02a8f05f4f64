package store

import (
	"database/sql"
	"errors"
	"time"

	"github.com/go-json-experiment/json"
)

// Bounds of what a provider may have. Certificates that expired long ago make room.
const (
	MaxAIKCertificates = 100_000
	MaxPins            = 10_000 // of each kind
	keptExpired        = 90 * 24 * time.Hour
)

// AIKCertificate is a certificate of an attestation key that was enrolled at a provider.
type AIKCertificate struct {
	ProviderID  string    `json:"-"`
	ID          string    `json:"-"` // its serial number in hex
	AIK         string    `json:"-"` // SHA-256 of the SubjectPublicKeyInfo of the key, 64 hex digits in lower case
	EK          string    `json:"-"` // the same of the endorsement key
	Certificate []byte    `json:"-"` // DER
	NotAfter    time.Time `json:"-"` // whole seconds
	Revoked     time.Time `json:"-"` // whole seconds; zero: it is not
	Reason      string    `json:"reason,omitzero"`
	Issued      Stamp     `json:"issued"`
	RevokedBy   Stamp     `json:"revokedBy,omitzero"`
}

// PinKind says what kind of key is pinned.
type PinKind string

// The kinds of pins.
const (
	PinnedEK  PinKind = "ek"  // an endorsement key that may enrol without a certificate
	PinnedAIK PinKind = "aik" // an attestation key that needs no certificate
)

// Pin is a key of a TPM that a provider's owner trusts by itself.
type Pin struct {
	ProviderID string  `json:"-"`
	Kind       PinKind `json:"-"`
	Hash       string  `json:"-"` // as in AIKCertificate
	Stamp      Stamp   `json:"stamp"`
}

const selectAIKCertificate = "SELECT provider_id, id, aik, ek, not_after, revoked, certificate, doc FROM aik_certificates "

func scanAIKCertificate(rows *sql.Rows) (c AIKCertificate, err error) {
	var notAfter, revoked int64
	var der, doc string
	if err := rows.Scan(&c.ProviderID, &c.ID, &c.AIK, &c.EK, &notAfter, &revoked, &der, &doc); err != nil {
		return c, err
	}
	c.NotAfter = time.Unix(notAfter, 0).UTC()
	if revoked != 0 {
		c.Revoked = time.Unix(revoked, 0).UTC()
	}
	if c.Certificate, err = bytesOf(der); err != nil {
		return c, err
	}
	return c, json.Unmarshal([]byte(doc), &c)
}

// AIKCertificate gives the certificate of an id, or ErrNotFound.
func (tx *Tx) AIKCertificate(providerID, id string) (AIKCertificate, error) {
	return first(all(tx, scanAIKCertificate, selectAIKCertificate+"WHERE provider_id = $1 AND id = $2", providerID, id))
}

// AIKCertificates gives up to limit certificates of a provider with ids after one, in the order of their ids.
func (tx *Tx) AIKCertificates(providerID, after string, limit int) ([]AIKCertificate, error) {
	return all(tx, scanAIKCertificate, selectAIKCertificate+"WHERE provider_id = $1 AND id > $2 ORDER BY id LIMIT $3", providerID, after, limit)
}

// RevokedAIKs gives the id of a revoked certificate for each attestation key of a provider that has one.
func (tx *Tx) RevokedAIKs(providerID string) (map[string]string, error) {
	type row struct{ aik, id string }
	scan := func(rows *sql.Rows) (r row, err error) { return r, rows.Scan(&r.aik, &r.id) }
	rows, err := all(tx, scan, "SELECT aik, id FROM aik_certificates WHERE provider_id = $1 AND revoked > 0 ORDER BY id DESC", providerID)
	revoked := make(map[string]string, len(rows))
	for _, r := range rows {
		revoked[r.aik] = r.id
	}
	return revoked, err
}

// RevokedFor gives a revoked certificate of a provider for that attestation key, else for that endorsement key, or ErrNotFound.
func (tx *Tx) RevokedFor(providerID, aik, ek string) (AIKCertificate, error) {
	c, err := tx.revokedBy("aik", providerID, aik)
	if errors.Is(err, ErrNotFound) {
		c, err = tx.revokedBy("ek", providerID, ek)
	}
	return c, err
}

// revokedBy asks for one column at a time: for both at once SQLite would read all that were revoked, while everybody else waits to write.
func (tx *Tx) revokedBy(column, providerID, hash string) (AIKCertificate, error) {
	return first(all(tx, scanAIKCertificate, selectAIKCertificate+whereRevoked(column), providerID, hash))
}

func whereRevoked(column string) string {
	return "WHERE provider_id = $1 AND " + column + " = $2 AND revoked > 0 ORDER BY id LIMIT 1"
}

const deleteExpired = "DELETE FROM aik_certificates WHERE provider_id = $1 AND revoked = 0 AND not_after < $2"

// AddAIKCertificate adds a certificate of a provider that is there, which is no change of the provider: nobody else needs to know.
// Those that expired long before now go. The error is ErrConflict if the provider is not there or has one of that id, and ErrFull if it
// has MaxAIKCertificates.
func (tx *Tx) AddAIKCertificate(c AIKCertificate, now time.Time) error {
	if _, err := tx.Provider(c.ProviderID); err != nil {
		return err
	}
	err := tx.exec(deleteExpired, c.ProviderID, now.Add(-keptExpired).Unix())
	if err != nil {
		return err
	}
	if err := tx.room(MaxAIKCertificates, "SELECT COUNT(*) FROM aik_certificates WHERE provider_id = $1", c.ProviderID); err != nil {
		return err
	}
	doc, err := marshal(&c)
	if err != nil {
		return err
	}
	return tx.one("INSERT INTO aik_certificates VALUES ($1, $2, $3, $4, $5, 0, $6, $7) ON CONFLICT DO NOTHING",
		c.ProviderID, c.ID, c.AIK, c.EK, c.NotAfter.Unix(), base64Of(c.Certificate), doc)
}

// room refuses to add a row to as many as there may be.
func (tx *Tx) room(most int64, count string, args ...any) error {
	scan := func(rows *sql.Rows) (n int64, err error) { return n, rows.Scan(&n) }
	n, err := first(all(tx, scan, count, args...))
	if err == nil && n >= most {
		err = ErrFull
	}
	return err
}

// RevokeAIKCertificate revokes a certificate at c.Revoked, with its reason and author. The error is ErrConflict if there is none of that
// id, or it was revoked before.
func (tx *Tx) RevokeAIKCertificate(c AIKCertificate) error {
	doc, err := marshal(&c)
	if err != nil {
		return err
	}
	err = tx.one("UPDATE aik_certificates SET revoked = $1, doc = $2 WHERE provider_id = $3 AND id = $4 AND revoked = 0", c.Revoked.Unix(), doc, c.ProviderID, c.ID)
	if err != nil {
		return err
	}
	return tx.touch(c.ProviderID)
}

const selectPin = "SELECT provider_id, kind, hash, doc FROM tpm_pins "

func scanPin(rows *sql.Rows) (p Pin, err error) {
	var doc string
	if err := rows.Scan(&p.ProviderID, &p.Kind, &p.Hash, &doc); err != nil {
		return p, err
	}
	return p, json.Unmarshal([]byte(doc), &p)
}

// Pins gives up to limit pins of one kind of a provider with hashes after one, in the order of their hashes.
func (tx *Tx) Pins(providerID string, kind PinKind, after string, limit int) ([]Pin, error) {
	return all(tx, scanPin, selectPin+"WHERE provider_id = $1 AND kind = $2 AND hash > $3 ORDER BY hash LIMIT $4", providerID, string(kind), after, limit)
}

// Pin gives one pin, or ErrNotFound.
func (tx *Tx) Pin(providerID string, kind PinKind, hash string) (Pin, error) {
	return first(all(tx, scanPin, selectPin+"WHERE provider_id = $1 AND kind = $2 AND hash = $3", providerID, string(kind), hash))
}

// AddPin adds a pin of a provider that is there. The error is ErrConflict if it is there already, and ErrFull if there are MaxPins of its
// kind.
func (tx *Tx) AddPin(p Pin) error {
	if err := tx.room(MaxPins, "SELECT COUNT(*) FROM tpm_pins WHERE provider_id = $1 AND kind = $2", p.ProviderID, string(p.Kind)); err != nil {
		return err
	}
	doc, err := marshal(&p)
	if err != nil {
		return err
	}
	if err := tx.one("INSERT INTO tpm_pins VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", p.ProviderID, string(p.Kind), p.Hash, doc); err != nil {
		return err
	}
	return tx.touch(p.ProviderID)
}

// DeletePin takes a pin away; the error is ErrConflict if there is none.
func (tx *Tx) DeletePin(providerID string, kind PinKind, hash string) error {
	if err := tx.one("DELETE FROM tpm_pins WHERE provider_id = $1 AND kind = $2 AND hash = $3", providerID, string(kind), hash); err != nil {
		return err
	}
	return tx.touch(providerID)
}
