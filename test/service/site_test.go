package service_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/auth/authtest"
	"github.com/assay-attestation/assay/internal/seal"
)

// externalURL is the one URL of all replicas, as clients know it.
const (
	externalHost = "attest.test"
	externalURL  = "https://" + externalHost
)

// site is what the replicas of a service have in common: certificate, sealing key, issuer of tokens, store.
type site struct {
	dir    string
	roots  *x509.CertPool
	issuer *authtest.Issuer
	owner  string // a bearer token
	store  string
	given  []string // addresses that replicas have, running or not
}

// newSite makes a site on that store.
func newSite(t *testing.T, store string) *site {
	t.Helper()
	s := &site{dir: t.TempDir(), issuer: authtest.Start(t, ""), store: store}
	s.roots = writeCertificate(t, s.file("tls.pem"), s.file("tls-key.pem"))
	s.owner = s.issuer.Token(s.issuer.ClaimsV1(time.Now()))
	secret := make([]byte, 32)
	rand.Read(secret)
	write(t, s.file("seal.key"), base64.StdEncoding.EncodeToString(secret)+"\n")
	write(t, s.file("store"), store+"\n")
	return s
}

func (s *site) file(name string) string { return filepath.Join(s.dir, name) }

// sealKey opens the key of the site, by which the audit trail is checked.
func (s *site) sealKey(t *testing.T) *seal.Key {
	t.Helper()
	key, err := seal.Open(s.file("seal.key"))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// config writes the configuration of a replica. It is one as in earnest, but for the simulated vendors that it trusts, whose
// evidence tests can make.
func (s *site) config(t *testing.T, name, listen, ops, more string) string {
	t.Helper()
	file := s.file(name + ".yaml")
	write(t, file, fmt.Sprintf(`dev: true
url: %s
listen: %s
ops_listen: %s
tls_cert: %s
tls_key: %s
data: %s
store_file: %s
seal_key: %s
auth:
  issuers:
    - url: %s
      ca_file: %s
      rules: [{claim: appid, value: 1950a258-227b-4e31-a9cf-717495945fc2, role: owner, providers: ["*"]}]
rate_limits: {management: {per_second: -1}}
%s`, externalURL, listen, ops, s.file("tls.pem"), s.file("tls-key.pem"), s.file(name), s.file("store"), s.file("seal.key"),
		s.issuer.Name, s.issuer.CAFile, more))
	return file
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// writeCertificate makes a certificate for the external host that signs itself, and returns it as a root.
func writeCertificate(t *testing.T, certFile, keyFile string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{externalHost}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, certFile, string(cert))
	write(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	return roots
}

// freeAddress is one of this machine that nobody listens on, below the ports that systems give to connections and to
// listeners that ask for any: nothing takes it between here and the replica, also while that one is down.
func (s *site) freeAddress(t *testing.T) string {
	t.Helper()
	const first, ports = 10000, 8000
	for range ports {
		address := fmt.Sprintf("127.0.0.1:%d", first+mathrand.IntN(ports))
		if l, err := net.Listen("tcp", address); err == nil && !slices.Contains(s.given, address) {
			l.Close()
			s.given = append(s.given, address)
			return address
		}
	}
	t.Fatal("no free address")
	return ""
}
