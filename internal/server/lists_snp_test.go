package server_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/server"
)

// TestListsOfTheConfigurationMustBeSigned: the service does not start with one that no trusted root signed.
func TestListsOfTheConfigurationMustBeSigned(t *testing.T) {
	c := findGuest(t, "synthetic.json", "sh-ok-with-crl")
	cfg := config.Config{URL: "https://attest.test", Data: t.TempDir(), At: c.At}
	cfg.Settings.CRLs = []string{c.crlPEM(t, c.CRL)}
	s, err := server.New(cfg, server.Options{Logger: slog.New(slog.DiscardHandler), Clock: time.Now})
	if err == nil {
		s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "snp_crls") || !strings.Contains(err.Error(), "not signed by a trusted root") {
		t.Errorf("got %v", err)
	}
}

// TestListsWhoseRootIsGoneAreNotPassedOver: a provider set a list, and its root is not trusted any more: guests are answered 503.
func TestListsWhoseRootIsGoneAreNotPassedOver(t *testing.T) {
	c := findGuest(t, "synthetic.json", "sh-ok-with-crl")
	cfg := c.config(t, t.TempDir(), provider.Settings{})
	cfg.ProviderURL = "https://{name}.attest.test"
	s := start(t, cfg)
	s.native(t, "PUT", "/demo", text(map[string]any{"settings": map[string]any{"snp_crls": []string{c.crlPEM(t, c.CRL)}}})).want(t, http.StatusCreated)
	ask := func(s *testService) answer {
		return s.make(t, call{method: "POST", path: "/attest/SevSnpVm", version: "2022-08-01", host: "demo.attest.test", body: text(c.body(t))})
	}
	ask(s).claims(t)
	s.stop()
	cfg.AMDRoots = nil
	ask(start(t, cfg)).refused(t, http.StatusServiceUnavailable, "CollateralUnavailable", "", "crl-signature: ")
}
