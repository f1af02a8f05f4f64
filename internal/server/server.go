// Package server puts the service together from its configuration: the store, keys, providers, collateral, and the API. It opens
// no port; whoever runs it brings the listeners. Development mode reaches it only as values: the simulated vendors are given
// by the caller or are not there.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/api"
	"github.com/assay-attestation/assay/internal/audit"
	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/collateral"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/explain"
	"github.com/assay-attestation/assay/internal/issuer"
	"github.com/assay-attestation/assay/internal/kds"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/ratelimit"
	"github.com/assay-attestation/assay/internal/verifier"
)

// Version is the version of the service, told to clients in x-ms-maa-service-version.
const Version = "0.1.0"

// endorsingTime is how long collateral for one request may take before the client is told to come back.
const endorsingTime = 20 * time.Second

// startTime is how long the store may take when the service starts.
const startTime = time.Minute

// Options are what the caller brings beside the configuration.
type Options struct {
	Logger    *slog.Logger
	Clock     func() time.Time // for tokens; evidence is judged at the same time unless the configuration fixes one
	Simulated *Simulated       // set in development mode only
	Stdout    io.Writer        // for the audit trail, if the configuration wants it there
	// Listen is told which listeners providers have, whenever that may have changed; nil: nobody opens any.
	Listen func([]Listener)
}

// Listener is a listener of a provider of its own.
type Listener struct {
	ProviderID string
	Address    string
}

// Simulated is a vendor that exists in software only, trusted in development mode.
type Simulated struct {
	Root   []byte // certificate of the simulated Intel, PEM
	Source collateral.Source
	// AMDRoots are the certificates, PEM, of the simulated AMD: its ARKs, ASKs and ASVKs; nil: there is none.
	AMDRoots [][]byte
	// KeyService asks the simulated AMD's key service before the configured one; nil: only the configured one is asked.
	KeyService *http.Client
	// AIKRoots and EKRoot are certificates, PEM, that certify attestation and endorsement keys of simulated TPMs: roots, and intermediates
	// below them; nil: there are none.
	AIKRoots, EKRoot []byte
}

// Server is a service that is ready to answer.
type Server struct {
	*state
	api       *api.Service
	cfg       config.Config
	opt       Options
	endorsing *endorsing
	aiks      *aikTrust
	amd       snp.Roots
	signers   *verifier.Signers
	kds       *kds.Client
	eks       *tpm.Roots
	providers *provider.Registry
	metrics   *metrics
	sinks     []audit.Sink

	draining atomic.Bool
	stop     context.CancelFunc
	work     sync.WaitGroup
}

// New makes the service. The configuration must be complete, its URL included. Close it after the last request.
func New(cfg config.Config, opt Options) (*Server, error) {
	if (opt.Simulated != nil) != cfg.Dev {
		return nil, errors.New("simulated vendors and development mode go together")
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	s := &Server{cfg: cfg, opt: opt, stop: func() {}, metrics: newMetrics()}
	if err := s.open(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// open makes the parts of the service one on top of the other.
func (s *Server) open(ctx context.Context) (err error) {
	if err := issuer.CheckURL(s.cfg.URL); err != nil {
		return err
	}
	if err := s.checkAddresses(); err != nil {
		return err
	}
	if s.endorsing, err = newEndorsing(s.cfg, s.opt, s.judgedAt); err != nil {
		return err
	}
	if err = s.openTPMTrust(); err != nil {
		return err
	}
	if s.amd, err = amdRoots(s.cfg, s.opt.Simulated); err != nil {
		return err
	}
	s.signers = verifier.NewSigners(s.amd)
	if err := s.openKeyService(); err != nil {
		return err
	}
	if err := s.checkSettings(s.cfg.Settings); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	if s.state, err = openState(ctx, s.cfg, s.opt.Clock); err != nil {
		return err
	}
	if err := s.openProviders(ctx); err != nil {
		return err
	}
	if err := s.openAPI(); err != nil {
		return err
	}
	return s.begin()
}

func (s *Server) clock() time.Time { return s.opt.Clock() }

// judgedAt is the time at which evidence and collateral are judged.
func (s *Server) judgedAt() time.Time {
	if !s.cfg.At.IsZero() {
		return s.cfg.At
	}
	return s.opt.Clock()
}

// openProviders puts the default provider into service, and those that the store has.
func (s *Server) openProviders(ctx context.Context) error {
	usual, err := s.endorsing.usual()
	if err != nil {
		return err
	}
	policies, err := readPolicies(s.cfg, usual.genuine.Check)
	if err != nil {
		return err
	}
	s.providers = provider.NewRegistry(provider.Ground{
		Store: s.store, Keys: s.keys, Verify: s.verifier, CheckBaseline: usual.genuine.Check, CheckSettings: s.checkSettings, Seats: verifier.NewSeats(s.cfg.PolicyTime), ByHost: s.cfg.ProviderURL != "",
		Default: provider.Local{Settings: s.cfg.Settings, Policies: policies}, Development: s.cfg.Dev, Logger: s.opt.Logger,
	}, s.watch)
	if err := s.checkSeal(ctx); err != nil {
		return err
	}
	if err := s.ensureDefault(ctx, s.cfg); err != nil {
		return err
	}
	s.maintain(ctx) // a provider whose keys cannot be made is not put into service; the others are
	if err := s.providers.Refresh(ctx); err != nil {
		return err
	}
	if _, ok := s.providers.ByName(provider.Default); !ok {
		return errors.New("the default provider could not be put into service")
	}
	return nil
}

// verifier makes the verifier of a provider.
func (s *Server) verifier(i *provider.Instance) (*verifier.Verifier, error) {
	baseline, err := i.Settings.Baseline()
	if err != nil {
		return nil, err
	}
	endorser, err := s.endorsing.under(demandOf(i.Settings, baseline))
	if err != nil {
		return nil, err
	}
	roots, err := s.aikRoots(i, baseline.TPM)
	if err != nil {
		return nil, err
	}
	baseline.CollateralGrace = s.cfg.Settings.CollateralGrace
	return verifier.New(verifier.Config{
		References: i.References,
		DCAP:       s.endorsing.dcap, Endorser: endorser, Baseline: baseline,
		TPM: verifier.TPM{
			Challenge: s.challenges.Open, Roots: roots, Limits: s.cfg.Evidence(), Validity: s.cfg.ReportValidity(), Longest: s.keys.LongestReport(),
		},
		SNP:      s.guests(baseline.SNP),
		Policies: i.Verifiable(), Endorsing: endorsingTime, Seats: s.providers.Seats, Share: i.Share,
	}), nil
}

// watch tells whoever opens listeners which there are to be.
func (s *Server) watch(all []*provider.Instance) {
	if s.opt.Listen == nil {
		return
	}
	var listeners []Listener
	for _, i := range all {
		if i.Listen != "" {
			listeners = append(listeners, Listener{i.ID, i.Listen})
		}
	}
	s.opt.Listen(listeners)
}

// openAPI makes the HTTP surface.
func (s *Server) openAPI() error {
	explanations, err := explain.NewStore(s.cfg.Explanations.Entries, s.cfg.Explanations.Age)
	if err != nil {
		return err
	}
	authentication := s.cfg.Auth
	if s.cfg.Dev {
		if authentication.Development, err = auth.LoadOrCreateDevKey(s.cfg.Data); err != nil {
			return err
		}
	}
	callers, err := auth.New(authentication, s.opt.Clock)
	if err != nil {
		return err
	}
	limits, err := newLimits(s.cfg.Limits)
	if err != nil {
		return err
	}
	s.api = api.New(api.Config{
		Version: Version, Providers: s.providers, Address: s.address(), Keys: s.keys, Challenges: s.challenges, Enroller: s.enroller, EKRoots: s.eks, Seats: s.providers.Seats, Baselines: s.baselines, Auth: callers,
		Trail: s.trail, Clock: s.opt.Clock, JudgedAt: s.judgedAt, Ready: s.Ready, Observe: s.metrics.observe, Development: s.cfg.Dev,
		AttestBody: s.cfg.AttestBody, PolicyBody: s.cfg.PolicyBody, Logger: s.opt.Logger, Explanations: explanations,
		AuditAttest: s.cfg.Audit.Attest, Preview: s.cfg.Preview(), ARM: s.cfg.ARMFacade, Limits: limits,
	})
	return nil
}

// newLimits makes the rate limits of a configuration.
func newLimits(c config.Limits) (l api.Limits, err error) {
	for _, one := range []struct {
		to    **ratelimit.Limiter
		rate  config.Rate
		usual config.Rate
	}{
		{&l.Address, c.Address, config.Rate{}},
		{&l.Denied, c.Denied, config.Rate{PerSecond: 5, Burst: 100}},
		{&l.AllDenied, c.AllDenied, config.Rate{PerSecond: 100, Burst: 1000}},
		{&l.Management, c.Management, config.Rate{PerSecond: 200, Burst: 1000}},
	} {
		rate := cmp.Or(one.rate, one.usual)
		if *one.to, err = ratelimit.New(max(0, rate.PerSecond), cmp.Or(rate.Burst, 1), 0); err != nil {
			return l, err
		}
	}
	return l, nil
}

// ServeHTTP answers a request for the provider that its Host header names.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.api.ServeHTTP(w, r) }

// For answers requests for one provider, those of its own listener.
func (s *Server) For(providerID string) http.Handler { return s.api.For(providerID) }

// Operations lists what the API offers.
func (s *Server) Operations() []api.Operation { return s.api.Operations() }

// Drain has the service say that it is not ready from now on. It goes on answering.
func (s *Server) Drain() { s.draining.Store(true) }

// Draining reports whether the service is about to end.
func (s *Server) Draining() bool { return s.draining.Load() }

// Close ends the background work, waits for it, and closes the store.
func (s *Server) Close() {
	s.stop()
	s.work.Wait()
	if s.endorsing != nil {
		s.endorsing.close()
	}
	if s.kds != nil {
		s.kds.Close()
	}
	for _, sink := range s.sinks {
		if err := sink.Close(); err != nil {
			s.opt.Logger.Error("closing an audit sink", "error", err)
		}
	}
	if s.state != nil {
		if err := s.store.Close(); err != nil {
			s.opt.Logger.Error("closing the store", "error", err)
		}
	}
}
