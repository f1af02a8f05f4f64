package server

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/issuer"
	"github.com/assay-attestation/assay/internal/keyring"
	"github.com/assay-attestation/assay/internal/seal"
	"github.com/assay-attestation/assay/internal/store"
)

// Names of files in the data folder.
const (
	databaseFile = "assay.db"
	sealFile     = "seal.key"
)

// onlyProvider is the one provider of the service, by its id in the store.
const onlyProvider = "00000000000000000000000000000000"

// keys gives the signing keys of the provider, after making the first one.
func (s *Server) keys(ctx context.Context, cfg config.Config, clock func() time.Time) (*issuer.Keys, error) {
	key, err := seal.Create(filepath.Join(cfg.Data, sealFile))
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, filepath.Join(cfg.Data, databaseFile))
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, db)
	if err := db.Migrate(ctx); err != nil {
		return nil, err
	}
	if err := db.Write(ctx, addProvider(cfg.URL)); err != nil {
		return nil, err
	}
	ring, err := keyring.New(keyring.Config{Store: db, Seal: key, Schedule: keyring.DefaultSchedule(), Clock: clock})
	if err != nil {
		return nil, err
	}
	return loadKeys(ctx, db, ring, issuer.Config{Issuer: cfg.URL, Development: cfg.Dev})
}

// addProvider makes the provider if it is not there.
func addProvider(url string) func(*store.Tx) error {
	return func(tx *store.Tx) error {
		if _, err := tx.Provider(onlyProvider); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return tx.AddProvider(store.Provider{ID: onlyProvider, Name: "default", URL: url})
	}
}

func loadKeys(ctx context.Context, db *store.Store, ring *keyring.Ring, cfg issuer.Config) (*issuer.Keys, error) {
	unrecorded := func(*store.Tx, keyring.Change) error { return nil }
	if _, err := ring.Maintain(ctx, onlyProvider, unrecorded); err != nil {
		return nil, err
	}
	var keys []issuer.Key
	err := db.Read(ctx, func(tx *store.Tx) (err error) {
		keys, err = ring.Load(tx, onlyProvider)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("opening the signing keys: %w", err)
	}
	return issuer.New(cfg, keys)
}
