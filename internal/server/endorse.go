package server

import (
	"cmp"
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/collateral"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/verifier"
)

// endorsing gives providers their endorsers. Those whose settings ask for the same have the same one, and so the same caches.
type endorsing struct {
	cfg    config.Config
	opt    Options
	dcap   *dcap.Verifier
	clock  func() time.Time
	stored []*collateral.Set

	mu        sync.Mutex
	endorsers map[demand]*endorser
}

// demand is what settings can ask of collateral.
type demand struct{ withoutCRLs, pinned bool }

func demandOf(s provider.Settings, b verifier.Baseline) demand {
	return demand{b.WithoutCRLs && !b.Strict, s.CollateralExpiry == "pinned" && !b.Strict}
}

// endorser is the collateral under one demand; simulated is nil outside development mode.
type endorser struct {
	genuine, simulated *collateral.Baselines
	roots              dcap.Roots // of the simulated vendor
}

// For asks the simulated vendor for evidence of the simulated vendor, the genuine one for all else, see [verifier.Endorser].
func (e *endorser) For(ctx context.Context, baseline string, o *dcap.Origin) (collateral.Baseline, error) {
	if e.simulated != nil && e.roots.Trusts(o.Anchor()) {
		return e.simulated.For(ctx, baseline, o)
	}
	return e.genuine.For(ctx, baseline, o)
}

func newEndorsing(cfg config.Config, opt Options, clock func() time.Time) (*endorsing, error) {
	e := &endorsing{cfg: cfg, opt: opt, clock: clock, endorsers: map[demand]*endorser{}}
	roots := dcap.IntelRoots()
	if opt.Simulated != nil {
		simulated, err := dcap.NewRoots(opt.Simulated.Root)
		if err != nil {
			return nil, err
		}
		roots = roots.And(simulated)
	}
	e.dcap = dcap.NewVerifier(roots)
	for _, name := range cfg.Collateral {
		sets, err := collateral.ReadBundle(name)
		if err != nil {
			return nil, err
		}
		e.stored = append(e.stored, sets...)
	}
	return e, nil
}

// under gives the endorser for a demand.
func (e *endorsing) under(d demand) (*endorser, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if known := e.endorsers[d]; known != nil {
		return known, nil
	}
	live, err := e.live(d)
	if err != nil {
		return nil, err
	}
	made := &endorser{genuine: e.baselines(e.stored, live, d)}
	if e.opt.Simulated != nil {
		made.simulated = e.baselines(nil, e.cache(e.opt.Simulated.Source, "", d), d)
		if made.roots, err = dcap.NewRoots(e.opt.Simulated.Root); err != nil {
			return nil, err
		}
	}
	e.endorsers[d] = made
	return made, nil
}

// baselines makes the baselines of stored sets and a live cache, which Close closes.
func (e *endorsing) baselines(stored []*collateral.Set, live *collateral.Cache, d demand) *collateral.Baselines {
	return collateral.NewBaselines(collateral.BaselinesConfig{
		Stored: stored, Live: live, Verifier: e.dcap, Clock: e.clock, Grace: e.cfg.Settings.CollateralGrace,
		Logger: e.opt.Logger, WithoutCRLs: d.withoutCRLs,
	})
}

// live is the cache over the network source, nil if there is none.
func (e *endorsing) live(d demand) (*collateral.Cache, error) {
	if e.cfg.CollateralSource == "" && len(e.cfg.Collateral) > 0 {
		return nil, nil
	}
	source, err := collateral.NewWeb(collateral.WebConfig{URL: cmp.Or(e.cfg.CollateralSource, collateral.IntelPCS)})
	if err != nil {
		return nil, err
	}
	return e.cache(source, filepath.Join(e.cfg.Data, "collateral"), d), nil
}

func (e *endorsing) cache(source collateral.Source, dir string, d demand) *collateral.Cache {
	return collateral.New(collateral.Config{
		Source: source, Verifier: e.dcap, Dir: dir, Clock: e.clock, Grace: e.cfg.Settings.CollateralGrace,
		Pinned: d.pinned, Logger: e.opt.Logger, WithoutCRLs: d.withoutCRLs,
	})
}

// usual gives the endorser of the default provider, which also says which baselines there are.
func (e *endorsing) usual() (*endorser, error) {
	b, err := e.cfg.Settings.Baseline()
	if err != nil {
		return nil, err
	}
	return e.under(demandOf(e.cfg.Settings, b))
}

// close ends the background work of all endorsers.
func (e *endorsing) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, made := range e.endorsers {
		made.genuine.Close()
		if made.simulated != nil {
			made.simulated.Close()
		}
	}
}
