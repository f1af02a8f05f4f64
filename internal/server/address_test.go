package server_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/server"
)

// TestAddressesOfProvidersAreCheckedAtTheStart: not only when somebody creates a provider, who can do nothing about them.
func TestAddressesOfProvidersAreCheckedAtTheStart(t *testing.T) {
	for _, tt := range []struct{ url, provider, listen, want string }{
		{"https://attest.example", "https://attest.example/{name}", "", "provider_url: "},
		{"https://attest.example", "https://{name}.attest.example/", "", "provider_url: "},
		{"https://attest.example", "{name}.attest.example", "", "provider_url: "},
		{"https://home.attest.example", "https://{name}.attest.example:443", "", "without the usual port"}, // a provider home has the same Host
		{"https://home.attest.example:443", "https://{name}.attest.example", "", "url: expected https://home.attest.example without the usual port"},
		{"https://attest.example", "", "127.0.0.1:9999-9000", "provider_listen: "},
		{"https://attest.example", "", "127.0.0.1", "provider_listen: "},
	} {
		cfg := config.Config{URL: tt.url, ProviderURL: tt.provider, ProviderListen: tt.listen, InsecureHTTP: true, Data: t.TempDir(), CollateralSource: "http://127.0.0.1:9"}
		if err := cfg.Complete(); err != nil {
			t.Fatal(err)
		}
		s, err := server.New(cfg, server.Options{Logger: slog.New(slog.DiscardHandler), Clock: time.Now})
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}
