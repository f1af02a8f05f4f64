package server_test

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/collateral"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/server"
)

// testService is a real service on a loopback port, with the simulated Intel that it gets collateral from.
type testService struct {
	*httptest.Server
	intel *assaytest.Intel
	pcs   *assaytest.PCS
	log   *logged
	now   func() time.Time // at which evidence is judged
	stop  func()           // waits for all that it still does
	data  string           // folder
	dev   *auth.DevKey
}

// token is a token of the development issuer for a role on all providers.
func (s *testService) token(t testing.TB, role auth.Role) string {
	t.Helper()
	token, err := s.dev.Token(role, []string{auth.AllProviders}, nil, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// start runs the service of cfg in development mode, over TLS, until the test ends.
func start(t testing.TB, cfg config.Config) *testService {
	t.Helper()
	return startBeside(t, cfg, nil)
}

// startBeside starts a service beside the given vendors; nil: the usual simulated ones.
func startBeside(t testing.TB, cfg config.Config, vendors *server.Simulated) *testService {
	t.Helper()
	cfg.Dev = true
	if cfg.Data == "" {
		cfg.Data = dataFolder(t, cfg)
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
	if vendors == nil {
		vendors = simulated(t, intel, pcs)
	}
	log := new(logged)
	s, err := server.New(cfg, server.Options{
		Logger: slog.New(slog.NewJSONHandler(log, nil)), Clock: time.Now, Simulated: vendors,
	})
	if err != nil {
		t.Fatal(err)
	}
	hs.Config.Handler = s
	dev, err := auth.LoadOrCreateDevKey(cfg.Data)
	if err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() { hs.Close(); s.Close() })
	t.Cleanup(stop)
	return &testService{hs, intel, pcs, log, judgedAt, stop, cfg.Data, dev}
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
	aikRoot, err := assaytest.WellKnownTPMVendor().CertificatePEM(assaytest.AIKRoot)
	if err != nil {
		t.Fatal(err)
	}
	return &server.Simulated{Root: root, Source: source, AIKRoots: aikRoot}
}

// scenario is sound evidence and the collateral that the PCS has for it today, but for the edits.
func (s *testService) scenario(edits ...func(*assaytest.Scenario)) *assaytest.Scenario {
	sc := s.intel.Scenario(s.now().UTC().Truncate(24 * time.Hour))
	for _, edit := range edits {
		edit(sc)
	}
	return sc
}

// logged is what the service wrote to its log.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write takes a line.
func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// String returns all lines so far.
func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// events returns the lines about requests.
func (l *logged) events() (lines []string) {
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, `"msg":"request"`) {
			lines = append(lines, line)
		}
	}
	return lines
}
