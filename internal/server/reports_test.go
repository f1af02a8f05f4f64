package server_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/server"
)

// TestReportsThatOutliveTheirKeysAreNotConfigured: a key every hour can be listed for less than 16 hours.
func TestReportsThatOutliveTheirKeysAreNotConfigured(t *testing.T) {
	for name, tt := range map[string]struct {
		every, validity time.Duration
		ok              bool
	}{
		"a year, and a key every 90 days": {0, 365 * 24 * time.Hour, true},
		"as long as keys can be listed":   {2 * time.Hour, 32*time.Hour - 5*time.Minute - time.Second, true},
		"a second longer":                 {2 * time.Hour, 32*time.Hour - 5*time.Minute, false},
		"the default, which is cut short": {2 * time.Hour, 0, true},
	} {
		cfg := config.Config{
			URL: "https://reports.example", Location: "local", Data: t.TempDir(), CollateralSource: "http://127.0.0.1:9",
			Keys: config.Keys{PublishLead: time.Hour, RotateEvery: tt.every}, TPMReportValidity: tt.validity,
		}
		s, err := server.New(cfg, server.Options{Logger: slog.New(slog.DiscardHandler), Clock: time.Now})
		if err == nil {
			s.Close()
		}
		if (err == nil) != tt.ok || err != nil && !strings.Contains(err.Error(), "tpm_report_validity: with a new signing key every 2h0m0s, reports can live 31h54m59s at most") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
