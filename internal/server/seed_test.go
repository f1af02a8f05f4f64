package server_test

import (
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/server"
)

// seed is a data folder in which the keys are made already: making RSA keys takes longer than most tests.
var seed = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "assay-seed-")
	if err != nil {
		return "", err
	}
	if _, err := auth.LoadOrCreateDevKey(dir); err != nil {
		return "", err
	}
	s, err := server.New(config.Config{URL: "https://seed.example", Location: "local", Data: dir, CollateralSource: "http://127.0.0.1:9"},
		server.Options{Logger: slog.New(slog.DiscardHandler), Clock: time.Now})
	if err != nil {
		return "", err
	}
	s.Close()
	return dir, nil
})

// dataFolder is a new folder for a service of cfg. Where the trust model is not the usual one it is empty.
func dataFolder(t testing.TB, cfg config.Config) string {
	t.Helper()
	dir := t.TempDir()
	if len(cfg.PolicySigners) > 0 || cfg.Shared {
		return dir
	}
	from, err := seed()
	if err == nil {
		err = os.CopyFS(dir, os.DirFS(from))
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{server.SealFile, "dev-issuer-key.pem"} { // copies do not keep their modes
		if err := os.Chmod(dir+"/"+secret, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestMain(m *testing.M) {
	status := m.Run()
	if dir, err := seed(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(status)
}
