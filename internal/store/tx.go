package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

// Tx is a transaction. It is valid until the function that it was given to returns, and for one goroutine.
type Tx struct {
	ctx      context.Context
	tx       *sql.Tx
	postgres bool
}

func (tx *Tx) exec(query string, args ...any) error {
	if err := textual(args); err != nil {
		return err
	}
	_, err := tx.tx.ExecContext(tx.ctx, query, args...)
	return wrap("writing", err)
}

// one runs a statement that must change one row; otherwise the error is ErrConflict.
func (tx *Tx) one(query string, args ...any) error {
	if err := textual(args); err != nil {
		return err
	}
	result, err := tx.tx.ExecContext(tx.ctx, query, args...)
	if err != nil {
		return wrap("writing", err)
	}
	n, err := result.RowsAffected()
	if err == nil && n != 1 {
		err = ErrConflict
	}
	return wrap("writing", err)
}

// textual refuses texts that PostgreSQL cannot keep, on SQLite too.
func textual(args []any) error {
	for _, arg := range args {
		if s, ok := arg.(string); ok && (!utf8.ValidString(s) || strings.Contains(s, "\x00")) {
			return errors.New("store: a text is not UTF-8 or holds a zero byte: expected neither")
		}
	}
	return nil
}

// each gives the rows of a query to do, one by one, with the error of their scan.
func each[T any](tx *Tx, q query[T], do func(T, error) error) error {
	if textual(q.args) != nil {
		return nil // nothing that is stored is equal to it
	}
	rows, err := tx.tx.QueryContext(tx.ctx, q.text, q.args...)
	if err != nil {
		return wrap("reading", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := do(q.scan(rows)); err != nil {
			return err
		}
	}
	return wrap("reading", rows.Err())
}

// query is a query and what reads its rows.
type query[T any] struct {
	scan func(*sql.Rows) (T, error)
	text string
	args []any
}

// all reads every row of a query.
func all[T any](tx *Tx, scan func(*sql.Rows) (T, error), text string, args ...any) (out []T, err error) {
	err = each(tx, query[T]{scan, text, args}, func(v T, err error) error {
		out = append(out, v)
		return wrap("reading a row", err)
	})
	return out, err
}

// first gives the only element, or ErrNotFound.
func first[T any](all []T, err error) (T, error) {
	var none T
	if err == nil && len(all) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return none, err
	}
	return all[0], nil
}

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func bytesOf(s string) ([]byte, error) { return base64.StdEncoding.DecodeString(s) }

// touch counts a change of what belongs to a provider, so that others see that there is something new to read.
func (tx *Tx) touch(providerID string) error {
	return tx.one("UPDATE providers SET version = version + 1 WHERE id = $1", providerID)
}

// Versions gives the version of every provider by id. One grows with each change of the provider, its policies or its keys.
func (tx *Tx) Versions() (map[string]int64, error) {
	type row struct {
		id      string
		version int64
	}
	scan := func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.id, &r.version)
		return r, err
	}
	rows, err := all(tx, scan, "SELECT id, version FROM providers")
	versions := make(map[string]int64, len(rows))
	for _, r := range rows {
		versions[r.id] = r.version
	}
	return versions, err
}

// The queries of providers begin so.
const selectProvider = "SELECT id, name, url, version, doc FROM providers "

func scanProvider(rows *sql.Rows) (p Provider, err error) {
	var doc string
	if err := rows.Scan(&p.ID, &p.Name, &p.URL, &p.Version, &doc); err != nil {
		return p, err
	}
	return p, json.Unmarshal([]byte(doc), &p)
}

// Providers gives all providers by name.
func (tx *Tx) Providers() ([]Provider, error) {
	return all(tx, scanProvider, selectProvider+"ORDER BY name")
}

// Provider gives the provider of an id, or ErrNotFound.
func (tx *Tx) Provider(id string) (Provider, error) {
	return first(all(tx, scanProvider, selectProvider+"WHERE id = $1", id))
}

// ProviderNamed gives the provider of a name in lower case, or ErrNotFound.
func (tx *Tx) ProviderNamed(name string) (Provider, error) {
	return first(all(tx, scanProvider, selectProvider+"WHERE name = $1", name))
}

// AddProvider adds a provider, with version 1. The error is ErrTaken if its name or URL is another's, and ErrConflict if
// its id is.
func (tx *Tx) AddProvider(p Provider) error {
	if err := tx.free(p); err != nil {
		return err
	}
	doc, err := marshal(&p)
	if err != nil {
		return err
	}
	return tx.one("INSERT INTO providers VALUES ($1, $2, $3, 1, $4, 0) ON CONFLICT DO NOTHING", p.ID, p.Name, p.URL, doc)
}

// free checks that no other provider has the name or the URL.
func (tx *Tx) free(p Provider) error {
	others, err := all(tx, scanProvider, selectProvider+"WHERE (name = $1 OR url = $2) AND id <> $3", p.Name, p.URL, p.ID)
	if err == nil && len(others) > 0 {
		err = ErrTaken
	}
	return err
}

// UpdateProvider changes a provider. The error is ErrConflict if its version is not the stored one, which then grows by one,
// and ErrTaken if its URL is another's. The name cannot be changed.
func (tx *Tx) UpdateProvider(p Provider) error {
	if err := tx.free(p); err != nil {
		return err
	}
	doc, err := marshal(&p)
	if err != nil {
		return err
	}
	return tx.one("UPDATE providers SET url = $1, doc = $2, version = version + 1 WHERE id = $3 AND version = $4", p.URL, doc, p.ID, p.Version)
}

// DeleteProvider takes a provider away, and with it its keys, its reference values and what it knows of keys of TPMs. The versions of its policies stay, as the audit trail does.
// The error is ErrConflict if there is no such provider.
func (tx *Tx) DeleteProvider(id string) error {
	for _, owned := range []string{"signing_keys", "aik_certificates", "tpm_pins", "reference_values"} {
		if err := tx.exec("DELETE FROM "+owned+" WHERE provider_id = $1", id); err != nil {
			return err
		}
	}
	return tx.one("DELETE FROM providers WHERE id = $1", id)
}

// LongestReport gives the longest validity that [Tx.RaiseLongestReport] was told of for a provider, or ErrNotFound.
func (tx *Tx) LongestReport(providerID string) (time.Duration, error) {
	scan := func(rows *sql.Rows) (seconds int64, err error) { return seconds, rows.Scan(&seconds) }
	seconds, err := first(all(tx, scan, "SELECT longest_report FROM providers WHERE id = $1", providerID))
	return time.Duration(seconds) * time.Second, err
}

// RaiseLongestReport keeps the validity of a report, in whole seconds, if it is longer than all before. It is no change of the
// provider. The error is ErrConflict if the provider is not there.
func (tx *Tx) RaiseLongestReport(providerID string, validity time.Duration) error {
	seconds := int64((validity + time.Second - 1) / time.Second)
	return tx.one("UPDATE providers SET longest_report = CASE WHEN longest_report < $1 THEN $1 ELSE longest_report END WHERE id = $2", seconds, providerID)
}

func marshal(v any) (string, error) {
	b, err := json.Marshal(v, json.Deterministic(true))
	return string(b), wrap("writing a document", err)
}

const selectPolicy = "SELECT provider_id, type, version, jws, doc FROM policies "

func scanPolicy(rows *sql.Rows) (p Policy, err error) {
	var doc string
	if err := rows.Scan(&p.ProviderID, &p.Type, &p.Version, &p.JWS, &doc); err != nil {
		return p, err
	}
	return p, json.Unmarshal([]byte(doc), &p)
}

const newestPolicies = `WHERE provider_id = $1 AND (type, version) IN
	(SELECT type, MAX(version) FROM policies WHERE provider_id = $1 GROUP BY type) ORDER BY type`

// Policies gives the newest version of each policy of a provider, in the order of their types.
func (tx *Tx) Policies(providerID string) ([]Policy, error) {
	return all(tx, scanPolicy, selectPolicy+newestPolicies, providerID)
}

// Policy gives one version of a policy, the newest for version 0, or ErrNotFound.
func (tx *Tx) Policy(providerID, attestationType string, version int64) (Policy, error) {
	if version == 0 {
		return first(all(tx, scanPolicy, selectPolicy+"WHERE provider_id = $1 AND type = $2 ORDER BY version DESC LIMIT 1", providerID, attestationType))
	}
	return first(all(tx, scanPolicy, selectPolicy+"WHERE provider_id = $1 AND type = $2 AND version = $3", providerID, attestationType, version))
}

// PolicyHistory gives up to limit versions of a policy below a version, newest first and without their JWS.
func (tx *Tx) PolicyHistory(providerID, attestationType string, below int64, limit int) ([]Policy, error) {
	return all(tx, scanPolicy, `SELECT provider_id, type, version, '', doc FROM policies
		WHERE provider_id = $1 AND type = $2 AND version < $3 ORDER BY version DESC LIMIT $4`, providerID, attestationType, below, limit)
}

// AddPolicy adds the next version of a policy of a provider that is there. The error is ErrConflict if p.Version does not follow the newest one.
func (tx *Tx) AddPolicy(p Policy) error {
	newest, err := tx.Policy(p.ProviderID, p.Type, 0)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if p.Version != newest.Version+1 {
		return fmt.Errorf("version %d of the policy for %s: %w: the newest is %d", p.Version, p.Type, ErrConflict, newest.Version)
	}
	doc, err := marshal(&p)
	if err != nil {
		return err
	}
	if err := tx.exec("INSERT INTO policies VALUES ($1, $2, $3, $4, $5)", p.ProviderID, p.Type, p.Version, p.JWS, doc); err != nil {
		return err
	}
	return tx.touch(p.ProviderID)
}

const selectKey = "SELECT provider_id, id, signs_from, sealed FROM signing_keys "

// Keys gives the signing keys of a provider in the order in which they sign.
func (tx *Tx) Keys(providerID string) ([]Key, error) {
	return all(tx, scanKey, selectKey+"WHERE provider_id = $1 ORDER BY signs_from, id", providerID)
}

func scanKey(rows *sql.Rows) (k Key, err error) {
	var from int64
	var sealed string
	if err := rows.Scan(&k.ProviderID, &k.ID, &from, &sealed); err != nil {
		return k, err
	}
	k.From = time.Unix(from, 0).UTC()
	k.Sealed, err = bytesOf(sealed)
	return k, err
}

// AddKey adds a signing key of a provider that is there. The error is ErrConflict if the provider has one of that id.
func (tx *Tx) AddKey(k Key) error {
	err := tx.one("INSERT INTO signing_keys VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", k.ProviderID, k.ID, k.From.Unix(), base64Of(k.Sealed))
	if err != nil {
		return err
	}
	return tx.touch(k.ProviderID)
}

// DeleteKey takes a signing key away; the error is ErrConflict if there is none.
func (tx *Tx) DeleteKey(providerID, id string) error {
	if err := tx.one("DELETE FROM signing_keys WHERE provider_id = $1 AND id = $2", providerID, id); err != nil {
		return err
	}
	return tx.touch(providerID)
}

const selectAudit = "SELECT seq, record, mac FROM audit "

func scanAudit(rows *sql.Rows) (e AuditEntry, err error) {
	var mac, record string
	if err := rows.Scan(&e.Seq, &record, &mac); err != nil {
		return e, err
	}
	e.Record = []byte(record)
	e.MAC, err = bytesOf(mac)
	return e, err
}

// Audit gives up to limit entries of the trail, from a sequence number on.
func (tx *Tx) Audit(from int64, limit int) ([]AuditEntry, error) {
	return all(tx, scanAudit, selectAudit+"WHERE seq >= $1 ORDER BY seq LIMIT $2", from, limit)
}

// AuditMark gives the sequence number and MAC of the newest entry as they are kept beside the trail; 0 of an empty one.
func (tx *Tx) AuditMark() (seq int64, mac []byte, err error) {
	var text string
	if err := tx.tx.QueryRowContext(tx.ctx, "SELECT audit_seq, audit_mac FROM state").Scan(&seq, &text); err != nil {
		return 0, nil, wrap("reading the mark of the audit trail", err)
	}
	mac, err = bytesOf(text)
	return seq, mac, wrap("reading the mark of the audit trail", err)
}

// AppendAudit adds the next entry to the trail, and moves the mark. The error is ErrConflict if e does not follow the mark.
func (tx *Tx) AppendAudit(e AuditEntry) error {
	mac := base64Of(e.MAC)
	if err := tx.one("UPDATE state SET audit_seq = $1, audit_mac = $2 WHERE audit_seq = $3", e.Seq, mac, e.Seq-1); err != nil {
		return err
	}
	return tx.exec("INSERT INTO audit VALUES ($1, $2, $3)", e.Seq, string(e.Record), mac)
}

// Skew is how far a clock is ahead of the database server's, which all replicas share; zero for SQLite, whose clock is this
// machine's.
func (tx *Tx) Skew(now time.Time) (time.Duration, error) {
	if !tx.postgres {
		return 0, nil
	}
	var server time.Time
	err := tx.tx.QueryRowContext(tx.ctx, "SELECT clock_timestamp()").Scan(&server)
	return now.Sub(server), wrap("reading the server's clock", err)
}
