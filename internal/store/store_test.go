package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/store"
)

func TestFirst(t *testing.T) {
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "a?#%.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 2 {
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	err = s.Write(t.Context(), func(tx *store.Tx) error {
		if err := tx.AddProvider(store.Provider{ID: "1", Name: "a", URL: "https://a", Signers: [][]byte{{1}}}); err != nil {
			return err
		}
		if err := tx.AddKey(store.Key{ProviderID: "1", ID: "k", From: time.Now(), Sealed: []byte{1, 2}}); err != nil {
			return err
		}
		return tx.AppendAudit(store.AuditEntry{Seq: 1, Record: []byte("{}"), MAC: []byte{1}})
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Read(t.Context(), func(tx *store.Tx) error {
		p, err := tx.Providers()
		t.Logf("%+v", p)
		return err
	})
	t.Log(err)
}
