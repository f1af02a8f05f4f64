//go:build cgo

package azureguest

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// readyTimeout and stopTimeout bound the start and the end of the service.
const (
	readyTimeout = time.Minute
	stopTimeout  = 15 * time.Second
)

// service is a running `assay serve --dev`.
type service struct {
	URL    string `json:"url"`
	CA     string `json:"ca"` // PEM file
	client *http.Client
}

// buildAssay compiles the service and returns its file.
func buildAssay(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "assay")
	build := exec.Command("go", "build", "-o", binary, "./cmd/assay")
	build.Dir = filepath.Join("..", "..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// startService runs the service on a free port until the test ends. The port is known from the object that it prints when it is ready.
func startService(t *testing.T, assay string, flags ...string) *service {
	t.Helper()
	cmd := exec.Command(assay, append([]string{"serve", "--dev", "--json", "--listen", "127.0.0.1:0", "--data", t.TempDir()}, flags...)...)
	var log bytes.Buffer
	cmd.Stderr = &log
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		defer time.AfterFunc(stopTimeout, func() { cmd.Process.Kill() }).Stop()
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("the service ended: %v\n%s", err, &log)
		}
	})
	defer time.AfterFunc(readyTimeout, func() { cmd.Process.Kill() }).Stop()
	s := &service{}
	if err := json.NewDecoder(stdout).Decode(s); err != nil || s.URL == "" || s.CA == "" {
		t.Fatalf("%v: not ready: %v", cmd.Args, err)
	}
	s.trust(t)
	return s
}

func (s *service) trust(t *testing.T) {
	t.Helper()
	ca, err := os.ReadFile(s.CA)
	must(t, err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatalf("no certificate in %s", s.CA)
	}
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
}
