package clients

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/test/clients/internal/plan"
)

// stage is what a client program gets: the plan, and the certificates to trust.
type stage struct {
	plan string   // file
	ca   string   // PEM file with both certificates
	cas  []string // PEM files of the service and of the tampering proxy
}

// newStage puts a tampering proxy beside the service and writes the files that the clients read.
func newStage(t *testing.T, s service, evidence []evidence, tpm *plan.TPM) *stage {
	t.Helper()
	dir := t.TempDir()
	serviceCA, err := os.ReadFile(s.CA)
	must(t, err)
	proxy := newTamperingProxy(t, s.URL, serviceCA)
	proxyCA := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: proxy.Certificate().Raw})

	st := &stage{plan: filepath.Join(dir, "plan.json"), ca: filepath.Join(dir, "ca.pem")}
	st.cas = []string{s.CA, filepath.Join(dir, "proxy.pem")}
	must(t, os.WriteFile(st.cas[1], proxyCA, 0o600))
	must(t, os.WriteFile(st.ca, append(serviceCA, proxyCA...), 0o600))
	p := plan.Plan{Issuer: s.URL, Tampering: proxy.URL, Cases: cases(t, evidence), TPM: tpm}
	must(t, p.Write(st.plan))
	return st
}

// newTamperingProxy starts an HTTPS server that passes everything through to the service, except that each token loses
// its valid signature on the way back.
func newTamperingProxy(t *testing.T, target string, ca []byte) *httptest.Server {
	t.Helper()
	u, err := url.Parse(target)
	must(t, err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatalf("CA of the service is not PEM: %q", ca)
	}
	server := httptest.NewTLSServer(&httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(u) },
		Transport:      &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
		ModifyResponse: tamper,
	})
	t.Cleanup(server.Close)
	return server
}

// tamper flips one bit in the signature of the token in an answer. Answers without a signed token stay as they are.
func tamper(r *http.Response) error {
	if r.StatusCode != http.StatusOK || !strings.HasPrefix(r.Request.URL.Path, "/attest/") {
		return nil
	}
	var answer struct {
		Token string `json:"token"`
	}
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		return err
	}
	head := answer.Token[:strings.LastIndexByte(answer.Token, '.')+1]
	signature, err := base64.RawURLEncoding.DecodeString(answer.Token[len(head):])
	if err != nil {
		return err
	}
	if len(signature) > 0 {
		signature[len(signature)/2] ^= 1
	}
	answer.Token = head + base64.RawURLEncoding.EncodeToString(signature)
	b, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(b))
	r.ContentLength = int64(len(b))
	r.Header.Set("Content-Length", strconv.Itoa(len(b)))
	return nil
}
