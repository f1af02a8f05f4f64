package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/config"
)

// TestOutsideDevelopmentNobodyKnowsSimulatedGuests: neither those who vouch for them, nor, where a careless operator trusts the simulated vTPMs, their secure-boot
// keys. The service in development mode before it leaves nothing of them in its data.
func TestOutsideDevelopmentNobodyKnowsSimulatedGuests(t *testing.T) {
	data, guests := t.TempDir(), t.TempDir()
	var permissive = tempFile(t, "policy", "version=1.0;authorizationrules{=>permit();};issuancerules{};")
	body := map[string]string{}
	for _, kind := range []string{"SevSnp", "Tdx", "TrustedLaunch"} {
		dir := filepath.Join(guests, kind)
		assay(t, "sim", "azureguest", "--isolation", kind, "--out", dir).want(t, exitOK, "WRITTEN", "")
		body[kind] = readFile(t, filepath.Join(dir, "body.json"))
	}
	attest := func(kind string, cfg config.Config) string {
		t.Helper()
		cfg.URL, cfg.Listen, cfg.Data, cfg.InsecureHTTP = "https://attest.example", "127.0.0.1:0", data, true
		r, err := start(cfg, &env{stdin: strings.NewReader(""), stdout: &strings.Builder{}, stderr: &strings.Builder{}, getenv: func(string) string { return "" }, now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		defer r.service.Close()
		defer r.listener.Close()
		w := httptest.NewRecorder()
		q := httptest.NewRequest(http.MethodPost, "https://attest.example/attest/AzureGuest?api-version=2025-06-01", strings.NewReader(body[kind]))
		q.Header.Set("Content-Type", "application/json")
		r.service.ServeHTTP(w, q)
		return w.Body.String()
	}
	if got := attest("TrustedLaunch", config.Config{Dev: true}); !strings.Contains(got, `"token"`) {
		t.Errorf("in development mode: %s", got)
	}
	trusting := config.Config{
		AIKRoots:         []config.AIKRoot{{File: filepath.Join(guests, "TrustedLaunch", "vtpm-root.pem")}},
		AIKIntermediates: []string{filepath.Join(guests, "TrustedLaunch", "vtpm-intermediate.pem")},
	}
	permitting := config.Config{Policies: map[string]string{"AzureGuest": permissive}}
	for _, test := range []struct {
		kind, want string
		cfg        config.Config
	}{
		{"SevSnp", "untrusted-root", permitting},
		{"Tdx", "untrusted-root", permitting},
		{"TrustedLaunch", "no root is trusted", permitting},
		{"TrustedLaunch", "default-securebootkeysvalidated = false", trusting},
	} {
		if got := attest(test.kind, test.cfg); !strings.Contains(got, test.want) {
			t.Errorf("%s: want %q in %s", test.kind, test.want, got)
		}
	}
}
