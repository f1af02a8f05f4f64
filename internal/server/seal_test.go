package server_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/issuer"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/seal"
	"github.com/assay-attestation/assay/internal/server"
	"github.com/assay-attestation/assay/internal/store"
)

// content is a backup of the store in a data folder.
func content(t *testing.T, data string) []byte {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(data, "assay.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var b bytes.Buffer
	if err := s.Backup(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A service with a sealing key that is not the store's would write signing keys and rows of the audit trail that are worth
// nothing to all others.
func TestServiceWithAnotherSealingKeyDoesNotStartAndWritesNothing(t *testing.T) {
	data := t.TempDir()
	start(t, config.Config{Data: data}).stop()
	before := content(t, data)
	if err := os.Remove(filepath.Join(data, "seal.key")); err != nil {
		t.Fatal(err)
	}
	// Another URL is a change that is written at the start, and audited.
	other := config.Config{Data: data, URL: "https://other.test", InsecureHTTP: true, CollateralSource: "http://127.0.0.1:9"}
	if err := other.Complete(); err != nil {
		t.Fatal(err)
	}
	s, err := server.New(other, server.Options{Logger: slog.New(slog.DiscardHandler), Clock: time.Now})
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, seal.ErrUnseal) || !strings.Contains(err.Error(), "seal_key") {
		t.Errorf("error %v, want one about seal_key that wraps %v", err, seal.ErrUnseal)
	}
	if !bytes.Equal(content(t, data), before) {
		t.Error("the store has changed")
	}
}

// Who rotates at once too often is told so: superseded keys stay listed while tokens under them live.
func TestMoreSigningKeysThanCanBeListedAreAConflict(t *testing.T) {
	e := startEstate(t, config.Config{})
	for n := range issuer.MaxKeys {
		a := e.send(t, sending{method: "POST", path: "/assay/v1/keys:rotate?emergency=true", token: e.token("All.owner")})
		want := http.StatusOK
		if n == issuer.MaxKeys-1 { // the first was there already
			want = http.StatusConflict
		}
		if a.status != want {
			t.Fatalf("rotation %d: status %d, want %d: %s", n+1, a.status, want, a.body)
		}
	}
}

// One owner, who may rotate his keys at once as often as he likes, must not keep the service from starting, nor from looking after
// the keys of the others.
func TestKeysOfOneProviderThatCannotBeLookedAfterHinderNoOther(t *testing.T) {
	data := t.TempDir()
	s, err := store.Open(t.Context(), filepath.Join(data, "assay.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = s.Write(t.Context(), func(tx *store.Tx) error {
		p := store.Provider{ID: provider.NewID(), Name: "aaa", URL: "https://aaa.test"} // the first by name
		if err := tx.AddProvider(p); err != nil {
			return err
		}
		for n := range issuer.MaxKeys + 1 {
			if err := tx.AddKey(store.Key{ProviderID: p.ID, ID: strings.Repeat("k", n+1), From: time.Now()}); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	service := start(t, config.Config{Data: data})
	if log := service.log.String(); !strings.Contains(log, "provider aaa") {
		t.Errorf("log %s, want it to name the provider aaa", log)
	}
}
