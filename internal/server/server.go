// Package server puts the service together from its configuration: keys, policies, collateral, verifier and data plane.
// It opens no port; whoever runs it brings the listener. Development mode reaches it only as values: the simulated
// vendors are given by the caller or are not there.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/api"
	"github.com/assay-attestation/assay/internal/collateral"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/explain"
	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/internal/verifier"
	"github.com/assay-attestation/assay/policy"
)

// Version is the version of the service, told to clients in x-ms-maa-service-version.
const Version = "0.1.0"

// endorsingTime is how long collateral for one request may take before the client is told to come back.
const endorsingTime = 20 * time.Second

// Options are what the caller brings beside the configuration.
type Options struct {
	Logger    *slog.Logger
	Clock     func() time.Time // for tokens; evidence is judged at the same time unless the configuration fixes one
	Simulated *Simulated       // set in development mode only
}

// Simulated is a vendor that exists in software only, trusted in development mode.
type Simulated struct {
	Root   []byte // certificate, PEM
	Source collateral.Source
}

// Server is a service that is ready to answer.
type Server struct {
	Handler http.Handler
	closers []io.Closer
}

// New makes the service. The configuration must be complete, its URL included. Close it after the last request.
func New(cfg config.Config, opt Options) (*Server, error) {
	if (opt.Simulated != nil) != cfg.Dev {
		return nil, errors.New("simulated vendors and development mode go together")
	}
	s := &Server{}
	keys, err := s.keys(context.Background(), cfg, opt.Clock)
	if err != nil {
		s.Close()
		return nil, err
	}
	v, judgedAt, err := s.verifier(cfg, opt)
	if err != nil {
		s.Close()
		return nil, err
	}
	explanations, err := keepExplanations(cfg)
	if err != nil {
		s.Close()
		return nil, err
	}
	s.Handler = api.New(api.Config{
		URL: cfg.URL, Version: Version, Verifier: v, Keys: keys, Clock: opt.Clock, JudgedAt: judgedAt,
		Development: cfg.Dev, AttestBody: cfg.AttestBody, Logger: opt.Logger,
		Explanations: explanations, HidePolicyReasons: cfg.Settings.HidePolicyReasons,
	})
	return s, nil
}

// keepExplanations makes the store of explanations, in development mode only: nobody could be allowed to read them yet.
func keepExplanations(cfg config.Config) (*explain.Store, error) {
	store, err := explain.NewStore(cfg.Explanations.Entries, cfg.Explanations.Age)
	if err != nil || !cfg.Dev {
		return nil, err
	}
	return store, nil
}

// Close ends the background work and waits for it.
func (s *Server) Close() {
	for _, c := range s.closers {
		_ = c.Close()
	}
}

// verifier puts trust roots, collateral, baseline and policies together.
func (s *Server) verifier(cfg config.Config, opt Options) (*verifier.Verifier, func() time.Time, error) {
	baseline, err := cfg.Settings.Baseline()
	if err != nil {
		return nil, nil, err
	}
	judgedAt := opt.Clock
	if !cfg.At.IsZero() {
		judgedAt = func() time.Time { return cfg.At }
	}
	roots := dcap.IntelRoots()
	if opt.Simulated != nil {
		simulated, err := dcap.NewRoots(opt.Simulated.Root)
		if err != nil {
			return nil, nil, err
		}
		roots = roots.And(simulated)
	}
	policies, err := readPolicies(cfg)
	if err != nil {
		return nil, nil, err
	}
	e := endorsing{
		cfg: cfg, opt: opt, dcap: dcap.NewVerifier(roots), clock: judgedAt, policies: policies,
		withoutCRLs: baseline.WithoutCRLs && !baseline.Strict,
	}
	endorser, err := e.endorser(s)
	if err != nil {
		return nil, nil, err
	}
	return verifier.New(verifier.Config{
		DCAP: e.dcap, Endorser: endorser, Baseline: baseline, Policies: policies, Endorsing: endorsingTime, PolicyTime: cfg.PolicyTime,
	}), judgedAt, nil
}

// readPolicies reads the configured policies; a type without one has the built-in default.
func readPolicies(cfg config.Config) (map[evidence.Type]*policy.Policy, error) {
	files, err := cfg.PolicyFiles()
	if err != nil {
		return nil, err
	}
	policies := map[evidence.Type]*policy.Policy{}
	for _, t := range []evidence.Type{evidence.SgxEnclave, evidence.OpenEnclave} {
		text := policy.DefaultSGX()
		if file, ok := files[t]; ok {
			if text, err = config.ReadFile(file, config.MaxPolicyFile); err != nil {
				return nil, fmt.Errorf("policy for %s: %w", t, err)
			}
		}
		if policies[t], err = parsePolicy(text, t); err != nil {
			return nil, fmt.Errorf("policy for %s: %w", t, err)
		}
	}
	return policies, nil
}

// parsePolicy reads a policy given as text or JWS, and checks that it fits the attestation type.
func parsePolicy(b []byte, t evidence.Type) (*policy.Policy, error) {
	text, err := policyjws.Text(b)
	if err != nil {
		return nil, err
	}
	p, err := policy.Parse(text)
	if err != nil {
		return nil, err
	}
	return p, p.CheckFor(string(t))
}

// closer makes a closer of a Close method without an error.
type closer func()

// Close calls the function.
func (c closer) Close() error { c(); return nil }

// endorsing is what the making of the endorser needs.
type endorsing struct {
	cfg   config.Config
	opt   Options
	dcap  *dcap.Verifier
	clock func() time.Time

	policies    map[evidence.Type]*policy.Policy
	withoutCRLs bool // CRLs that are not available are done without
}

// endorser gives the collateral of the configured bundles and source; in development mode that of the simulated vendor
// too, for evidence that ends in its root and for no other.
func (e endorsing) endorser(s *Server) (verifier.Endorser, error) {
	var stored []*collateral.Set
	for _, name := range e.cfg.Collateral {
		sets, err := collateral.ReadBundle(name)
		if err != nil {
			return nil, err
		}
		stored = append(stored, sets...)
	}
	live, err := e.live()
	if err != nil {
		return nil, err
	}
	genuine := e.baselines(s, stored, live)
	if e.opt.Simulated == nil {
		return genuine, e.checkPolicies(genuine)
	}
	return e.withSimulated(s, genuine)
}

// baselines makes the baselines of stored sets and a live cache, which the server closes with itself.
func (e endorsing) baselines(s *Server, stored []*collateral.Set, live *collateral.Cache) *collateral.Baselines {
	b := collateral.NewBaselines(collateral.BaselinesConfig{
		Stored: stored, Live: live, Verifier: e.dcap, Clock: e.clock, Grace: e.cfg.Settings.CollateralGrace,
		Logger: e.opt.Logger, WithoutCRLs: e.withoutCRLs,
	})
	s.closers = append(s.closers, closer(b.Close))
	return b
}

// checkPolicies refuses a policy that names a baseline which does not exist (management.md section 10).
func (e endorsing) checkPolicies(b *collateral.Baselines) error {
	for t, p := range e.policies {
		configuration, err := p.Configure(string(t), policy.Budget{})
		if err == nil {
			err = b.Check(configuration.TCBBaseline())
		}
		if err != nil {
			return fmt.Errorf("policy for %s: %w", t, err)
		}
	}
	return nil
}

// live is the cache over the network source, nil if there is none.
func (e endorsing) live() (*collateral.Cache, error) {
	if e.cfg.CollateralSource == "" && len(e.cfg.Collateral) > 0 {
		return nil, nil
	}
	source, err := collateral.NewWeb(collateral.WebConfig{URL: cmp.Or(e.cfg.CollateralSource, collateral.IntelPCS)})
	if err != nil {
		return nil, err
	}
	return e.cache(source, filepath.Join(e.cfg.Data, "collateral")), nil
}

func (e endorsing) cache(source collateral.Source, dir string) *collateral.Cache {
	return collateral.New(collateral.Config{
		Source: source, Verifier: e.dcap, Dir: dir, Clock: e.clock, Grace: e.cfg.Settings.CollateralGrace,
		Pinned: e.cfg.Settings.CollateralExpiry == "pinned", Logger: e.opt.Logger, WithoutCRLs: e.withoutCRLs,
	})
}

// withSimulated adds the simulated vendor's collateral.
func (e endorsing) withSimulated(s *Server, genuine verifier.Endorser) (verifier.Endorser, error) {
	simulated := e.baselines(s, nil, e.cache(e.opt.Simulated.Source, ""))
	anchors, err := dcap.NewRoots(e.opt.Simulated.Root)
	if err != nil {
		return nil, err
	}
	return byRoot{genuine: genuine, simulated: simulated, roots: anchors}, nil
}

// byRoot asks the simulated vendor for evidence of the simulated vendor, the genuine one for all else.
type byRoot struct {
	genuine, simulated verifier.Endorser
	roots              dcap.Roots
}

// For finds the collateral, see [verifier.Endorser].
func (b byRoot) For(ctx context.Context, baseline string, o *dcap.Origin) (collateral.Baseline, error) {
	if b.roots.Trusts(o.Anchor()) {
		return b.simulated.For(ctx, baseline, o)
	}
	return b.genuine.For(ctx, baseline, o)
}
