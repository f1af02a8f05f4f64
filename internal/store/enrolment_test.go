package store_test

import (
	"errors"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/store/storetest"
)

// aikCertificate is one that expires a day after instant.
func aikCertificate(providerID, id string) store.AIKCertificate {
	return store.AIKCertificate{
		ProviderID: providerID, ID: id, AIK: "a" + id, EK: "e" + id, Certificate: everyByte(), NotAfter: instant().Truncate(time.Second).Add(24 * time.Hour),
		Issued: store.Stamp{By: "é", At: instant()},
	}
}

func TestAIKCertificatesAreKeptAndRevoked(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		populate(t, s)
		third, revoked := aikCertificate("1", "0c"), aikCertificate("1", "0b")
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.AddAIKCertificate(third, instant()), tx.AddAIKCertificate(aikCertificate("1", "0b"), instant()))
		})
		refuses(t, s, store.ErrConflict, func(tx *store.Tx) error { return tx.AddAIKCertificate(third, instant()) })
		refuses(t, s, store.ErrNotFound, func(tx *store.Tx) error { return tx.AddAIKCertificate(aikCertificate("9", "0d"), instant()) })
		revoked.Revoked, revoked.Reason = time.Unix(77, 0).UTC(), "stolen"
		before := version(t, s)
		write(t, s, func(tx *store.Tx) error { return tx.RevokeAIKCertificate(revoked) })
		if version(t, s) != before+1 {
			t.Error("nobody learns of the revocation")
		}
		refuses(t, s, store.ErrConflict, func(tx *store.Tx) error { return tx.RevokeAIKCertificate(revoked) })
		read(t, s, func(tx *store.Tx) error {
			got, err := tx.AIKCertificate("1", "0b")
			equal(t, "revoked", got, revoked)
			list, err2 := tx.AIKCertificates("1", "0a", 1)
			equal(t, "page", list, []store.AIKCertificate{revoked})
			keys, err3 := tx.RevokedAIKs("1")
			equal(t, "keys", keys, map[string]string{"a0b": "0b"})
			byEK, err4 := tx.RevokedFor("1", "another", "e0b")
			equal(t, "by EK", byEK.ID, "0b")
			return errors.Join(err, err2, err3, err4)
		})
		for _, keys := range [][2]string{{"a0a", "e0a"}, {"e0b", "a0b"}} {
			refuses(t, s, store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.RevokedFor("1", keys[0], keys[1]); return err })
		}
		refuses(t, s, store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.RevokedFor("2", "a0b", "e0b"); return err })
	})
}

// version is that of the provider 1.
func version(t *testing.T, s *store.Store) (n int64) {
	t.Helper()
	read(t, s, func(tx *store.Tx) error {
		p, err := tx.Provider("1")
		n = p.Version
		return err
	})
	return n
}

// TestWhatExpiredLongAgoMakesRoom, unless it was revoked: by that its TPM is known.
func TestWhatExpiredLongAgoMakesRoom(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		populate(t, s)
		revoked := aikCertificate("1", "0b")
		revoked.Revoked = time.Unix(77, 0)
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.AddAIKCertificate(revoked, instant()), tx.RevokeAIKCertificate(revoked))
		})
		for _, step := range []struct {
			later time.Duration
			id    string
			want  string
		}{{91*24*time.Hour - time.Minute, "0c", "[0a 0b 0c]"}, {91*24*time.Hour + time.Minute, "0d", "[0b 0d]"}} {
			write(t, s, func(tx *store.Tx) error {
				return tx.AddAIKCertificate(aikCertificate("1", step.id), instant().Add(step.later))
			})
			read(t, s, func(tx *store.Tx) error {
				list, err := tx.AIKCertificates("1", "", 10)
				var ids []string
				for _, c := range list {
					ids = append(ids, c.ID)
				}
				if got := fmt.Sprint(ids); got != step.want {
					t.Errorf("after %s there are %s, want %s", step.later, got, step.want)
				}
				return err
			})
		}
	})
}

func TestAProviderHasABoundedNumberOfKeysOfTPMs(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		populate(t, s)
		fill := func(table, columns, values string, n int) {
			err := store.Exec(s, fmt.Sprintf("INSERT INTO %s (%s) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT %s FROM n", table, columns, n, values))
			if err != nil {
				t.Fatal(err)
			}
		}
		fill("tpm_pins", "provider_id, kind, hash, doc", "'1', 'ek', CAST(i AS TEXT), '{}'", store.MaxPins-1)
		fill("aik_certificates", "provider_id, id, aik, ek, not_after, revoked, certificate, doc", "'1', CAST(i AS TEXT), '', '', 4000000000, 0, '', '{}'", store.MaxAIKCertificates-2)
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.AddPin(store.Pin{ProviderID: "1", Kind: store.PinnedEK, Hash: "last"}), tx.AddAIKCertificate(aikCertificate("1", "last"), instant()))
		})
		refuses(t, s, store.ErrFull, func(tx *store.Tx) error {
			return tx.AddPin(store.Pin{ProviderID: "1", Kind: store.PinnedEK, Hash: "more"})
		})
		refuses(t, s, store.ErrFull, func(tx *store.Tx) error { return tx.AddAIKCertificate(aikCertificate("1", "more"), instant()) })
		write(t, s, func(tx *store.Tx) error { // of the other kind, and of another provider
			return errors.Join(tx.AddPin(store.Pin{ProviderID: "1", Kind: store.PinnedAIK, Hash: "more"}), tx.AddAIKCertificate(aikCertificate("2", "more"), instant()))
		})
	})
}

// TestEnrolmentsLookAtFewRows asks both engines for their plan: each column that narrows down must be in a condition on an index. Before
// that, an enrolment at a provider with 100,000 certificates kept all others from writing for half a second.
func TestEnrolmentsLookAtFewRows(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		s, explain := open(t, dsn), "EXPLAIN QUERY PLAN "
		if store.IsPostgres(dsn) {
			explain = "EXPLAIN "
		}
		const rows = "INSERT INTO aik_certificates WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) " +
			"SELECT '2', CAST(i AS TEXT), CAST(i AS TEXT), CAST(i AS TEXT), i, i % 2, '', '{}' FROM n"
		if err := errors.Join(store.Exec(s, rows), store.Exec(s, "ANALYZE")); err != nil {
			t.Fatal(err)
		}
		for i, column := range []string{"aik", "ek", "not_after"} {
			q := store.EnrolmentQueries()[i]
			plan, err := store.Plan(s, explain+q)
			indexed := regexp.MustCompile(`(?:USING (?:COVERING )?INDEX|Index Cond:).*\b` + column + `\b`)
			if err != nil || !indexed.MatchString(plan) {
				t.Errorf("%s\n%s%v", q, plan, err)
			}
		}
	})
}

func TestPinsComeAndGo(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		populate(t, s)
		pin := store.Pin{ProviderID: "1", Kind: store.PinnedEK, Hash: "ee", Stamp: store.Stamp{By: "é", At: instant()}}
		before := version(t, s)
		write(t, s, func(tx *store.Tx) error { return tx.AddPin(pin) })
		refuses(t, s, store.ErrConflict, func(tx *store.Tx) error { return tx.AddPin(pin) })
		refuses(t, s, store.ErrConflict, func(tx *store.Tx) error { return tx.DeletePin("1", store.PinnedAIK, "ee") })
		read(t, s, func(tx *store.Tx) error {
			got, err := tx.Pin("1", store.PinnedEK, "ee")
			equal(t, "pin", got, pin)
			return err
		})
		write(t, s, func(tx *store.Tx) error { return tx.DeletePin("1", store.PinnedEK, "ee") })
		if version(t, s) != before+2 {
			t.Error("nobody learns of the change")
		}
		refuses(t, s, store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.Pin("1", store.PinnedEK, "ee"); return err })
	})
}

func TestPinsAreListedInPages(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		populate(t, s)
		pin := func(kind store.PinKind, hash string) store.Pin {
			return store.Pin{ProviderID: "1", Kind: kind, Hash: hash, Stamp: store.Stamp{By: "é", At: instant()}}
		}
		foreign := pin(store.PinnedEK, "bb")
		foreign.ProviderID = "2"
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.AddPin(pin(store.PinnedEK, "cc")), tx.AddPin(pin(store.PinnedEK, "aa")), tx.AddPin(pin(store.PinnedAIK, "bb")), tx.AddPin(foreign))
		})
		for _, tt := range []struct {
			after string
			limit int
			want  []store.Pin
		}{
			{"", 10, []store.Pin{pin(store.PinnedEK, "aa"), pin(store.PinnedEK, "cc")}},
			{"", 1, []store.Pin{pin(store.PinnedEK, "aa")}},
			{"aa", 10, []store.Pin{pin(store.PinnedEK, "cc")}},
			{"cc", 10, nil},
		} {
			read(t, s, func(tx *store.Tx) error {
				list, err := tx.Pins("1", store.PinnedEK, tt.after, tt.limit)
				equal(t, "after "+tt.after, list, tt.want)
				return err
			})
		}
	})
}
