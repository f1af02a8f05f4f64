package simulator

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/assay-attestation/assay/relyingparty"
)

// readyTimeout and stopTimeout bound the start and the end of the service.
const (
	readyTimeout = time.Minute
	stopTimeout  = 15 * time.Second
)

// policy admits machines whose AIK the service has certified, and that quote what firmware measures.
const policy = `version=1.2;
configurationrules { => issueproperty(type="required_pcr_mask", value=255); };
authorizationrules { [type=="aikValidated", value==true, issuer=="AttestationService"] => permit(); };
issuancerules { c:[type=="x-ms-tpm-request-key", issuer=="AttestationService"] => issue(claim=c); };
`

// service is a running `assay serve --dev` that enrols TPMs of one maker.
type service struct {
	URL           string `json:"url"`
	CA            string `json:"ca"` // PEM file
	reader, owner string // bearer tokens
	client        *http.Client
}

func startService(t *testing.T, ca *maker) *service {
	t.Helper()
	dir := t.TempDir()
	assay := filepath.Join(dir, "assay")
	build := exec.Command("go", "build", "-o", assay, "./cmd/assay")
	build.Dir = "../.."
	run(t, build)
	for name, text := range map[string]string{
		"maker.pem": ca.pem(), "policy.txt": policy,
		"assay.yaml": "ek_roots:\n  - {file: " + filepath.Join(dir, "maker.pem") + "}\nsettings: {aik_enrolment: vendor}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &service{}
	s.serve(t, exec.Command(assay, "serve", "--dev", "--json", "--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data"),
		"--config", filepath.Join(dir, "assay.yaml"), "--policy", "Tpm="+filepath.Join(dir, "policy.txt")))
	token := func(role string) string {
		return strings.TrimSpace(string(run(t, exec.Command(assay, "dev", "token", "--role", role, "--data", filepath.Join(dir, "data")))))
	}
	s.reader, s.owner = token("reader"), token("contributor")
	s.trust(t)
	return s
}

// serve runs the service until the test ends. The port is known from the object that it prints when it is ready.
func (s *service) serve(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var log bytes.Buffer
	cmd.Stderr = &log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		defer time.AfterFunc(stopTimeout, func() { cmd.Process.Kill() }).Stop()
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("the service ended: %v\n%s", err, &log)
		}
	})
	defer time.AfterFunc(readyTimeout, func() { cmd.Process.Kill() }).Stop()
	if err := json.NewDecoder(stdout).Decode(s); err != nil || s.URL == "" || s.CA == "" {
		t.Fatalf("%v: not ready: %v", cmd.Args, err)
	}
}

func (s *service) trust(t *testing.T) {
	t.Helper()
	ca, err := os.ReadFile(s.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatalf("no certificate in %s", s.CA)
	}
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
}

// run runs a command to its end and returns what it printed.
func run(t *testing.T, cmd *exec.Cmd) []byte {
	t.Helper()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return out
}

// post sends what package attester says.
func (s *service) post(ctx context.Context, path string, body []byte) ([]byte, error) {
	if !strings.HasPrefix(path, "/assay/") {
		path += "?api-version=2022-08-01"
	}
	return s.send(ctx, http.MethodPost, path, s.reader, body)
}

// pin pins an endorsement key.
func (s *service) pin(t *testing.T, key crypto.PublicKey) {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.send(t.Context(), http.MethodPut, fmt.Sprintf("/assay/v1/ek/%x", sha256.Sum256(der)), s.owner, nil); err != nil {
		t.Fatal(err)
	}
}

func (s *service) send(ctx context.Context, method, path, token string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %s: %s", path, response.Status, answer)
	}
	return answer, err
}

// verify holds a report against the service's keys, as a relying party does.
func (s *service) verify(t *testing.T, report string) {
	t.Helper()
	v, err := relyingparty.New(relyingparty.Config{Issuer: s.URL, HTTPClient: s.client, AllowDevelopment: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), report); err != nil {
		t.Error(err)
	}
}
