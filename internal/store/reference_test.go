package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/store/storetest"
)

// reference is one that is not there yet.
func reference(providerID, name string) store.Reference {
	return store.Reference{
		ProviderID: providerID, Name: name, Body: jsontext.Value(`{"type":"SgxEnclave","values":{"x-ms-sgx-mrenclave":["é<"]}}`),
		Stamp: store.Stamp{By: "é", At: instant()},
	}
}

// put stores a reference value and gives it with its version.
func put(t testing.TB, s *store.Store, r store.Reference) store.Reference {
	t.Helper()
	write(t, s, func(tx *store.Tx) (err error) {
		r.Version, err = tx.PutReference(r)
		return err
	})
	return r
}

func putError(r store.Reference) func(tx *store.Tx) error {
	return func(tx *store.Tx) error { _, err := tx.PutReference(r); return err }
}

func TestReferencesComeAndGo(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		populate(t, s)
		before := version(t, s)
		golden := put(t, s, reference("1", "g"))
		if golden.Version != before+1 || version(t, s) != before+1 {
			t.Errorf("the version is %d, that of the provider %d; want both %d", golden.Version, version(t, s), before+1)
		}
		read(t, s, func(tx *store.Tx) error {
			got, err := tx.Reference("1", "g")
			equal(t, "reference value", got, golden)
			return err
		})
		refuses(t, s, store.ErrConflict, putError(reference("1", "g")))
		refuses(t, s, store.ErrConflict, putError(reference("8", "g"))) // there is no such provider
		old := golden
		golden.Body = jsontext.Value(`{}`)
		golden = put(t, s, golden)
		refuses(t, s, store.ErrConflict, putError(old))
		refuses(t, s, store.ErrConflict, func(tx *store.Tx) error { return tx.DeleteReference("1", "g", old.Version) })
		refuses(t, s, store.ErrConflict, func(tx *store.Tx) error { return tx.DeleteReference("2", "g", golden.Version) })
		write(t, s, func(tx *store.Tx) error { return tx.DeleteReference("1", "g", golden.Version) })
		if version(t, s) != before+3 {
			t.Error("nobody learns of the change")
		}
		for _, name := range []string{"g", "G", "\x00"} {
			refuses(t, s, store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.Reference("1", name); return err })
		}
		refuses(t, s, store.ErrConflict, putError(golden)) // it cannot be replaced any more
	})
}

// TestNoVersionOfAReferenceComesBack: whoever remembers a name that was deleted and made again cannot take the new one for the old one.
func TestNoVersionOfAReferenceComesBack(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		providers(t, s, "1")
		var versions []int64
		for range 3 {
			r := put(t, s, reference("1", "g"))
			versions = append(versions, r.Version)
			write(t, s, func(tx *store.Tx) error { return tx.DeleteReference("1", "g", r.Version) })
		}
		if versions[0] >= versions[1] || versions[1] >= versions[2] {
			t.Errorf("versions %d, want each to be greater than the one before", versions)
		}
	})
}

func TestReferencesAreListedInPages(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		providers(t, s, "1", "2")
		c, a := put(t, s, reference("1", "c")), put(t, s, reference("1", "a"))
		put(t, s, reference("2", "b"))
		for _, tt := range []struct {
			after string
			limit int
			want  []store.Reference
		}{{"", 10, []store.Reference{a, c}}, {"", 1, []store.Reference{a}}, {"a", 10, []store.Reference{c}}, {"c", 10, nil}} {
			read(t, s, func(tx *store.Tx) error {
				list, err := tx.References("1", tt.after, tt.limit)
				equal(t, "after "+tt.after, list, tt.want)
				return err
			})
		}
	})
}

func TestReferencesAreBounded(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		providers(t, s, "1", "2")
		long := reference("1", "long")
		long.Body = jsontext.Value(`"` + strings.Repeat("x", store.MaxReferenceBytes-2) + `"`)
		long = put(t, s, long)
		longer := long
		longer.Body = jsontext.Value(`"` + strings.Repeat("x", store.MaxReferenceBytes-1) + `"`)
		refuses(t, s, store.ErrTooLong, putError(longer))
		err := store.Exec(s, fmt.Sprintf("INSERT INTO reference_values (provider_id, name, version, doc) WITH RECURSIVE n(i) AS "+
			"(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT '1', CAST(i AS TEXT), 1, '{}' FROM n", store.MaxReferences-2))
		if err != nil {
			t.Fatal(err)
		}
		last := put(t, s, reference("1", "last"))
		refuses(t, s, store.ErrFull, putError(reference("1", "more")))
		put(t, s, last) // what is there can be replaced
		put(t, s, reference("2", "more"))
	})
}

func TestDeletedProvidersLoseTheirReferences(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		providers(t, s, "1", "2")
		put(t, s, reference("1", "g"))
		kept := put(t, s, reference("2", "g"))
		write(t, s, func(tx *store.Tx) error { return tx.DeleteProvider("1") })
		refuses(t, s, store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.Reference("1", "g"); return err })
		read(t, s, func(tx *store.Tx) error {
			got, err := tx.Reference("2", "g")
			equal(t, "that of another provider", got, kept)
			return err
		})
	})
}

// TestConcurrentWritersOfAReferenceLoseNothing has each read, add and write until nobody was faster.
func TestConcurrentWritersOfAReferenceLoseNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		replicas := two(t, dsn)
		providers(t, replicas[0], "1")
		first := reference("1", "g")
		first.Stamp.By = ""
		put(t, replicas[0], first)
		err := all(writers, func(i int) error {
			for {
				if err := addToReference(t, replicas[i%2]); !errors.Is(err, store.ErrConflict) {
					return err
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		read(t, replicas[0], func(tx *store.Tx) error {
			r, err := tx.Reference("1", "g")
			if n := len(r.Stamp.By); n != writers {
				t.Errorf("%d changes are there, want %d", n, writers)
			}
			return err
		})
	})
}

// addToReference reads in one transaction and writes in another one.
func addToReference(t *testing.T, s *store.Store) (err error) {
	var r store.Reference
	err = s.Read(t.Context(), func(tx *store.Tx) (err error) { r, err = tx.Reference("1", "g"); return err })
	if err != nil {
		return err
	}
	r.Stamp.By += "x"
	return s.Write(t.Context(), putError(r))
}

// TestAStoreOfTheThirdSchemaGetsReferences, and keeps what it has.
func TestAStoreOfTheThirdSchemaGetsReferences(t *testing.T) {
	storetest.Each(t, func(t *testing.T, dsn string) {
		s, err := store.Open(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		err = errors.Join(store.MigrateTo(s, 3), store.Exec(s, "INSERT INTO providers VALUES ('1', 'a', 'https://a', 7, '{}', 60)"),
			store.Exec(s, "INSERT INTO tpm_pins VALUES ('1', 'ek', 'ee', '{}')"), s.Migrate(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		if r := put(t, s, reference("1", "g")); r.Version != 8 {
			t.Errorf("the version is %d, want 8", r.Version)
		}
		read(t, s, func(tx *store.Tx) error {
			pins, err := tx.Pins("1", store.PinnedEK, "", 10)
			if len(pins) != 1 {
				t.Errorf("the pins are %+v", pins)
			}
			return err
		})
	})
}

// TestReferencesAreReadSinceAVersion, which is how a replica reads a change without all that has not changed.
func TestReferencesAreReadSinceAVersion(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		providers(t, s, "1", "2")
		c, a := put(t, s, reference("1", "c")), put(t, s, reference("1", "a"))
		put(t, s, reference("2", "b"))
		for _, tt := range []struct {
			since int64
			limit int
			want  []store.Reference
		}{{0, 10, []store.Reference{a, c}}, {0, 1, []store.Reference{a}}, {c.Version - 1, 10, []store.Reference{a, c}}, {c.Version, 10, []store.Reference{a}}, {a.Version, 10, nil}} {
			read(t, s, func(tx *store.Tx) error {
				list, err := tx.ReferencesSince("1", tt.since, tt.limit)
				equal(t, fmt.Sprintf("since %d", tt.since), list, tt.want)
				return err
			})
		}
		for limit, want := range map[int]string{10: "[a c]", 1: "[a]"} {
			read(t, s, func(tx *store.Tx) error {
				names, err := tx.ReferenceNames("1", limit)
				equal(t, "names", fmt.Sprint(names), want)
				return err
			})
		}
	})
}
