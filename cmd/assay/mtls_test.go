package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// clientCA issues client certificates.
type clientCA struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newClientCA(t *testing.T, name string) *clientCA {
	t.Helper()
	ca := &clientCA{t: t, cert: &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true}}
	made := ca.issue(name, ca.cert)
	ca.key = made.PrivateKey.(*ecdsa.PrivateKey)
	ca.cert = made.Leaf
	return ca
}

// issue certifies a new key under a name; the first one certifies itself.
func (ca *clientCA) issue(name string, template *x509.Certificate) tls.Certificate {
	ca.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		ca.t.Fatal(err)
	}
	by := ca.key
	if by == nil {
		by = key
	}
	template.SerialNumber, template.Subject = big.NewInt(1), pkix.Name{CommonName: name}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), by)
	if err != nil {
		ca.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		ca.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (ca *clientCA) client(name string) *tls.Certificate {
	made := ca.issue(name, &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return &made
}

// ask sends a request with a client certificate and a bearer token, if they are given. It gives the status, or the error of the
// connection.
func (s *service) ask(t *testing.T, method, path string, cert *tls.Certificate, token string) (int, error) {
	t.Helper()
	root, err := os.ReadFile(s.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	config := &tls.Config{RootCAs: pool}
	if cert != nil { // whatever CAs the server names
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// TestClientCertificatesAreASecondWayIn runs a service with client_ca.
func TestClientCertificatesAreASecondWayIn(t *testing.T) {
	dir := t.TempDir()
	known, unknown := newClientCA(t, "clients"), newClientCA(t, "clients") // of the same name
	caFile, configFile := filepath.Join(dir, "clients.pem"), filepath.Join(dir, "assay.yaml")
	writeFile(t, caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: known.cert.Raw}), 0o600)
	writeFile(t, configFile, fmt.Appendf(nil, `
client_ca: %s
auth:
  client_certs:
    rules:
      - {common_name: auditor, role: reader, providers: [default]}
      - {common_name: pipeline, role: contributor, providers: ["*"]}
      - {common_name: neighbour, role: owner, providers: [other]}
`, caFile), 0o600)
	s := serve(t, "--dev", "--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data"), "--config", configFile)
	const policy = "/policies/SgxEnclave?api-version=2022-08-01"
	for _, tt := range []struct {
		name   string
		method string
		cert   *tls.Certificate
		token  string
		status int // 0: the handshake is refused
	}{
		{"no certificate", "GET", nil, "", 401},
		{"reader reads", "GET", known.client("auditor"), "", 200},
		{"reader writes", "PUT", known.client("auditor"), "", 401},
		{"contributor writes", "PUT", known.client("pipeline"), "", 400}, // an empty policy
		{"no rule", "GET", known.client("stranger"), "", 401},
		{"a rule for another provider", "GET", known.client("neighbour"), "", 401},
		{"another CA", "GET", unknown.client("auditor"), "", 0},
		{"a certificate and a bad token", "GET", known.client("auditor"), "e30.e30.", 401},
		{"the CA itself", "GET", &tls.Certificate{Certificate: [][]byte{known.cert.Raw}, PrivateKey: known.key}, "", 401},
	} {
		status, err := s.ask(t, tt.method, policy, tt.cert, tt.token)
		if status != tt.status || (err != nil) != (tt.status == 0) {
			t.Errorf("%s: status %d, %v, want %d", tt.name, status, err, tt.status)
		}
	}
}
