package server

import (
	"cmp"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/assay-attestation/assay/internal/audit"
	"github.com/assay-attestation/assay/internal/challenge"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/enrol"
	"github.com/assay-attestation/assay/internal/keyring"
	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/seal"
	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/policy"
)

// Names in the data folder.
const (
	StoreFile = "assay.db" // the store, unless another one is configured
	SealFile  = "seal.key" // the key under which signing keys are sealed in it, likewise
)

// state is what is kept over restarts.
type state struct {
	store *store.Store
	seal  *seal.Key
	keys  *keyring.Ring
	trail *audit.Trail
	// challenges are those of the TPM protocol, for all providers.
	challenges *challenge.Keeper
	enroller   *enrol.Enroller
}

// openState opens the store, whose schema it brings up to date, and the key that seals what is secret in it.
func openState(ctx context.Context, cfg config.Config, clock func() time.Time) (*state, error) {
	dsn, err := storeName(cfg)
	if err != nil {
		return nil, err
	}
	s := &state{}
	if s.seal, err = openSeal(cfg, store.IsPostgres(dsn)); err != nil {
		return nil, err
	}
	s.enroller = enrol.New(s.seal)
	if s.challenges, err = challenge.New(s.seal, cfg.TPMContextLifetime); err != nil {
		return nil, err
	}
	if err := checkReports(cfg); err != nil {
		return nil, err
	}
	if s.store, err = store.Open(ctx, dsn); err != nil {
		return nil, err
	}
	if err := s.store.Migrate(ctx); err != nil {
		return nil, errors.Join(err, s.store.Close())
	}
	s.trail = audit.NewTrail(s.store, s.seal)
	s.keys, err = keyring.New(keyring.Config{Store: s.store, Seal: s.seal, Schedule: schedule(cfg.Keys), Clock: clock})
	if err != nil {
		return nil, errors.Join(err, s.store.Close())
	}
	return s, nil
}

// storeName gives the name of the store that a configuration means.
func storeName(cfg config.Config) (string, error) {
	if cfg.StoreFile == "" {
		return cmp.Or(cfg.Store, filepath.Join(cfg.Data, StoreFile)), nil
	}
	b, err := config.ReadFile(cfg.StoreFile, maxStoreName)
	if err != nil {
		return "", fmt.Errorf("store_file: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// maxStoreName bounds the URL of a store in bytes.
const maxStoreName = 4 << 10

// openSeal opens the key that seals. One for a store that several replicas share is never made: each would make its own.
func openSeal(cfg config.Config, shared bool) (*seal.Key, error) {
	if cfg.SealKey != "" {
		return seal.Open(cfg.SealKey)
	}
	if shared {
		return nil, errors.New("seal_key: a store in PostgreSQL needs a key that all replicas have: make one with " +
			"\"head -c 32 /dev/urandom | base64\", mode 0600, and give each of them a copy")
	}
	return seal.Create(filepath.Join(cfg.Data, SealFile))
}

func schedule(k config.Keys) keyring.Schedule {
	s := keyring.DefaultSchedule()
	s.Lead, s.Every, s.Retain = cmp.Or(k.PublishLead, s.Lead), cmp.Or(k.RotateEvery, s.Every), cmp.Or(k.Retain, s.Retain)
	if k.RotateNever {
		s.Every = 0
	}
	return s
}

// checkReports refuses a validity of reports for which their keys cannot stay listed. One that is not configured is shortened to it,
// as one that a policy asks for.
func checkReports(cfg config.Config) error {
	s := schedule(cfg.Keys)
	if longest := s.LongestReport(); cfg.TPMReportValidity > longest {
		return fmt.Errorf("tpm_report_validity: with a new signing key every %s, reports can live %s at most, found %s: rotate less often, or let them live shorter",
			s.Every, longest, cfg.TPMReportValidity)
	}
	return nil
}

// byConfiguration is the author of what the service does by itself.
func (s *Server) byConfiguration(op audit.Operation) provider.Author {
	now := s.clock()
	return provider.Author{Name: "service", At: now, Audit: func(tx *store.Tx, before, after string) error {
		return s.trail.Append(tx, ownRecord(op, now, before, after))
	}}
}

// ownRecord is the audit record of what the service did by itself.
func ownRecord(op audit.Operation, now time.Time, before, after string) audit.Record {
	return audit.Record{
		Time: now, Operation: op, Category: audit.AuditEvent, Status: 200, Identity: audit.Identity{ID: "service"},
		Properties: audit.Properties{Provider: provider.Default, Before: before, After: after},
	}
}

// checkSeal refuses a sealing key that is not the one of the store, before anything is written with it: a key that no other
// replica can use, and a row of the audit trail that does not verify.
func (s *Server) checkSeal(ctx context.Context) error {
	return s.store.Read(ctx, func(tx *store.Tx) error {
		p, err := tx.ProviderNamed(provider.Default)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err == nil {
			_, err = s.keys.Load(tx, p.ID)
		}
		if errors.Is(err, seal.ErrUnseal) {
			err = fmt.Errorf("seal_key: %w; bring back the one that the store was made with", err)
		}
		return err
	})
}

// ensureDefault makes the provider that the configuration describes, and its first key.
func (s *Server) ensureDefault(ctx context.Context, cfg config.Config) error {
	signers, err := readSigners(cfg.PolicySigners)
	if err != nil {
		return err
	}
	want := store.Provider{URL: cfg.URL, Location: cfg.Location, Shared: cfg.Shared, Isolated: len(signers) > 0, Signers: signers}
	return s.providers.Ensure(ctx, want, s.byConfiguration(audit.UpdateProvider))
}

// maxSignerFile bounds a file of certificates in bytes.
const maxSignerFile = 1 << 20

// readSigners reads certificates from PEM files.
func readSigners(files []string) (ders [][]byte, err error) {
	for _, name := range files {
		rest, err := config.ReadFile(name, maxSignerFile)
		if err != nil {
			return nil, fmt.Errorf("policy_signers: %w", err)
		}
		found := 0
		for block, rest := pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
			if block.Type == "CERTIFICATE" {
				ders, found = append(ders, block.Bytes), found+1
			}
		}
		if found == 0 {
			return nil, fmt.Errorf("policy_signers: %s has no certificate in PEM", name)
		}
	}
	return ders, nil
}

// readPolicies reads the default policies of the configuration as JWS by attestation type.
func readPolicies(cfg config.Config, checkBaseline func(string) error) (map[string]string, error) {
	files, err := cfg.PolicyFiles()
	if err != nil {
		return nil, err
	}
	policies := map[string]string{}
	for t, file := range files {
		b, err := config.ReadFile(file, config.MaxPolicyFile)
		if err == nil {
			policies[t], err = checkedPolicy(b, t, checkBaseline)
		}
		if err != nil {
			return nil, fmt.Errorf("policy for %s: %w", t, err)
		}
	}
	return policies, nil
}

// checkedPolicy gives a policy, which is text or JWS, as JWS, after checking that it fits the attestation type.
func checkedPolicy(b []byte, t string, checkBaseline func(string) error) (string, error) {
	text, err := policyjws.Text(b)
	if err != nil {
		return "", err
	}
	p, err := policy.Parse(text)
	if err != nil {
		return "", err
	}
	if err := p.CheckFor(t); err != nil {
		return "", err
	}
	if c, err := p.Configure(t, policy.Budget{}); err == nil {
		if err := checkBaseline(c.TCBBaseline()); err != nil {
			return "", err
		}
	}
	if len(text) != len(b) { // a JWS is longer than its text
		return strings.TrimSpace(string(b)), nil
	}
	return policyjws.UnsignedPolicy(text)
}
