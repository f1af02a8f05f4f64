package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// maxFindings is how many faults Check tells.
const maxFindings = 100

// Check looks for faults of the store, and tells each in a sentence: another schema, damage of the SQLite file, documents
// that cannot be read, versions of policies that are missing, keys of providers that are not there, an audit trail with
// gaps or that does not end at its mark. The MACs of the trail are not checked here. Policies of deleted providers are no
// fault. After maxFindings faults it stops.
func (s *Store) Check(ctx context.Context) ([]string, error) {
	c := &check{}
	err := s.Read(ctx, func(tx *Tx) error {
		if err := c.schema(tx); err != nil || len(c.findings) > 0 {
			return err
		}
		for _, part := range []func(*Tx) error{c.integrity, c.providers, c.policies, c.keys, c.certificates, c.pins, c.references, c.audit} {
			if err := part(tx); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case errors.Is(err, errEnough):
		return append(c.findings, "there may be more faults than these"), nil
	case isCorrupt(err):
		return append(c.findings, "the SQLite file is damaged: "+err.Error()), nil
	}
	return c.findings, err
}

// errEnough ends a check.
var errEnough = errors.New("enough faults")

type check struct {
	findings []string
	ids      map[string]bool // of the providers
}

func (c *check) find(format string, args ...any) error {
	c.findings = append(c.findings, fmt.Sprintf(format, args...))
	if len(c.findings) >= maxFindings {
		return errEnough
	}
	return nil
}

// isCorrupt reports whether SQLite could not make sense of its file.
func isCorrupt(err error) bool {
	var fault *sqlite.Error
	return errors.As(err, &fault) && fault.Code()&0xff == sqlite3.SQLITE_CORRUPT
}

func (c *check) schema(tx *Tx) error {
	_, err := tx.current()
	if errors.Is(err, ErrSchema) {
		return c.find("%s", strings.TrimPrefix(err.Error(), "store: "))
	}
	return err
}

func (c *check) integrity(tx *Tx) error {
	if tx.postgres {
		return nil // its checksums are the server's business
	}
	q := query[string]{func(rows *sql.Rows) (s string, err error) { return s, rows.Scan(&s) }, fmt.Sprintf("PRAGMA integrity_check(%d)", maxFindings), nil}
	return each(tx, q, func(s string, err error) error {
		if err != nil || s == "ok" {
			return wrap("checking the SQLite file", err)
		}
		return c.find("the SQLite file is damaged: %s", s)
	})
}

func (c *check) providers(tx *Tx) error {
	c.ids = map[string]bool{}
	return each(tx, query[Provider]{scanProvider, selectProvider + "ORDER BY id", nil}, func(p Provider, err error) error {
		c.ids[p.ID] = true
		if err != nil {
			return c.find("provider %s (%s) cannot be read: %v", p.Name, p.ID, err)
		}
		return nil
	})
}

func (c *check) policies(tx *Tx) error {
	var last Policy
	q := query[Policy]{scanPolicy, selectPolicy + "ORDER BY provider_id, type, version", nil}
	return each(tx, q, func(p Policy, err error) error {
		if p.ProviderID != last.ProviderID || p.Type != last.Type {
			last.Version = 0
		}
		wanted := last.Version + 1
		last = p
		if err != nil {
			err = c.find("version %d of the policy of provider %s for %s cannot be read: %v", p.Version, p.ProviderID, p.Type, err)
		}
		if p.Version != wanted {
			err = errors.Join(err, c.find("version %d of the policy of provider %s for %s is missing, the next is %d", wanted, p.ProviderID, p.Type, p.Version))
		}
		return err
	})
}

func (c *check) keys(tx *Tx) error {
	q := query[Key]{scanKey, selectKey + "ORDER BY provider_id, id", nil}
	return each(tx, q, func(k Key, err error) error {
		if err != nil {
			err = c.find("signing key %s of provider %s cannot be read: %v", k.ID, k.ProviderID, err)
		}
		if !c.ids[k.ProviderID] {
			err = errors.Join(err, c.find("signing key %s is of provider %s, which is not there", k.ID, k.ProviderID))
		}
		return err
	})
}

func (c *check) certificates(tx *Tx) error {
	q := query[AIKCertificate]{scanAIKCertificate, selectAIKCertificate + "ORDER BY provider_id, id", nil}
	return each(tx, q, func(a AIKCertificate, err error) error {
		if err != nil {
			err = c.find("AIK certificate %s of provider %s cannot be read: %v", a.ID, a.ProviderID, err)
		}
		if !c.ids[a.ProviderID] {
			err = errors.Join(err, c.find("AIK certificate %s is of provider %s, which is not there", a.ID, a.ProviderID))
		}
		return err
	})
}

func (c *check) pins(tx *Tx) error {
	q := query[Pin]{scanPin, selectPin + "ORDER BY provider_id, kind, hash", nil}
	return each(tx, q, func(p Pin, err error) error {
		if err != nil {
			err = c.find("pin %s of provider %s cannot be read: %v", p.Hash, p.ProviderID, err)
		}
		if !c.ids[p.ProviderID] {
			err = errors.Join(err, c.find("pin %s is of provider %s, which is not there", p.Hash, p.ProviderID))
		}
		return err
	})
}

func (c *check) references(tx *Tx) error {
	q := query[Reference]{scanReference, selectReference + "ORDER BY provider_id, name", nil}
	return each(tx, q, func(r Reference, err error) error {
		if err != nil {
			err = c.find("reference value %s of provider %s cannot be read: %v", r.Name, r.ProviderID, err)
		}
		if !c.ids[r.ProviderID] {
			err = errors.Join(err, c.find("reference value %s is of provider %s, which is not there", r.Name, r.ProviderID))
		}
		return err
	})
}

func (c *check) audit(tx *Tx) error {
	seq, mac, err := tx.AuditMark()
	if err != nil && !errors.As(err, new(base64.CorruptInputError)) {
		return err
	} else if err != nil {
		return c.find("the mark of the audit trail cannot be read: %v", err)
	}
	var last AuditEntry
	q := query[AuditEntry]{scanAudit, selectAudit + "ORDER BY seq", nil}
	err = each(tx, q, func(e AuditEntry, err error) error {
		wanted := last.Seq + 1
		last = e
		if err != nil {
			err = c.find("entry %d of the audit trail cannot be read: %v", e.Seq, err)
		}
		if e.Seq != wanted {
			err = errors.Join(err, c.find("entry %d of the audit trail is missing, the next is %d", wanted, e.Seq))
		}
		return err
	})
	if err == nil && (last.Seq != seq || !bytes.Equal(last.MAC, mac)) {
		return c.find("the audit trail ends with entry %d, its mark is that of another entry %d", last.Seq, seq)
	}
	return err
}
