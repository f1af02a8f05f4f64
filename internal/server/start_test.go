package server_test

import (
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/collateral"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/server"
)

// testService is a real service on a loopback port, with the simulated Intel that it gets collateral from.
type testService struct {
	*httptest.Server
	intel *assaytest.Intel
	pcs   *assaytest.PCS
}

// start runs the service of cfg in development mode, over TLS, until the test ends.
func start(t testing.TB, cfg config.Config) *testService {
	t.Helper()
	cfg.Dev = true
	if cfg.Data == "" {
		cfg.Data = t.TempDir()
	}
	hs := httptest.NewUnstartedServer(nil)
	hs.StartTLS()
	cfg.URL = hs.URL
	if err := cfg.Complete(); err != nil {
		t.Fatal(err)
	}
	judgedAt := time.Now
	if !cfg.At.IsZero() {
		judgedAt = func() time.Time { return cfg.At }
	}
	intel := assaytest.WellKnownIntel()
	pcs := assaytest.NewPCS(intel, judgedAt)
	s, err := server.New(cfg, server.Options{Logger: slog.New(slog.DiscardHandler), Clock: time.Now, Simulated: simulated(t, intel, pcs)})
	if err != nil {
		t.Fatal(err)
	}
	hs.Config.Handler = s.Handler
	t.Cleanup(func() { hs.Close(); s.Close() })
	return &testService{hs, intel, pcs}
}

// simulated is the simulated Intel with its collateral service on a port of its own.
func simulated(t testing.TB, intel *assaytest.Intel, pcs *assaytest.PCS) *server.Simulated {
	t.Helper()
	root, err := intel.RootPEM()
	if err != nil {
		t.Fatal(err)
	}
	upstream := httptest.NewServer(pcs)
	t.Cleanup(upstream.Close)
	source, err := collateral.NewWeb(collateral.WebConfig{URL: upstream.URL})
	if err != nil {
		t.Fatal(err)
	}
	return &server.Simulated{Root: root, Source: source}
}
