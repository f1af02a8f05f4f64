package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/auth"
)

// ca issues client certificates.
type ca struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // PEM
}

func newCA(t *testing.T) ca {
	t.Helper()
	c := ca{t: t, key: newKey(t), file: filepath.Join(t.TempDir(), "clients.pem")}
	c.cert = c.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "clients"}, IsCA: true, BasicConstraintsValid: true}, c.key)
	if err := os.WriteFile(c.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue signs a certificate for the key that is good for an hour around now.
func (c ca) issue(cert *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	c.t.Helper()
	parent := c.cert
	if parent == nil {
		parent = cert
	}
	cert.SerialNumber = big.NewInt(1)
	cert.NotBefore, cert.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, key.Public(), c.key)
	if err != nil {
		c.t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		c.t.Fatal(err)
	}
	return made
}

// person is a certificate with every property that a rule may name.
func person() *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: "pipeline", Organization: []string{"Contoso"}}, DNSNames: []string{"ci.contoso.example", "*.wild.example"},
		URIs: []*url.URL{{Scheme: "spiffe", Host: "contoso.example", Path: "/ci"}},
	}
}

func verified(cert *x509.Certificate) *http.Request {
	r := request()
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}, VerifiedChains: [][]*x509.Certificate{{cert}}}
	return r
}

func TestCertificateRules(t *testing.T) {
	c := newCA(t)
	cert := c.issue(person(), newKey(t))
	digest := sha256.Sum256(cert.Raw)
	fingerprint := hex.EncodeToString(digest[:])
	var colons []string
	for i := 0; i < len(fingerprint); i += 2 {
		colons = append(colons, strings.ToUpper(fingerprint[i:i+2]))
	}
	for _, tt := range []struct {
		name string
		rule auth.CertRule
		want bool
	}{
		{"fingerprint", auth.CertRule{Fingerprint: fingerprint}, true},
		{"fingerprint as OpenSSL prints it", auth.CertRule{Fingerprint: strings.Join(colons, ":")}, true},
		{"another fingerprint", auth.CertRule{Fingerprint: strings.Repeat("0", 64)}, false},
		{"URI", auth.CertRule{URI: "spiffe://contoso.example/ci"}, true},
		{"URI that begins alike", auth.CertRule{URI: "spiffe://contoso.example/"}, false},
		{"DNS name", auth.CertRule{DNS: "CI.contoso.example"}, true},
		{"another DNS name", auth.CertRule{DNS: "contoso.example"}, false},
		{"name that a certificate's pattern fits", auth.CertRule{DNS: "a.wild.example"}, false},
		{"pattern", auth.CertRule{DNS: "*.contoso.example"}, false},
		{"common name", auth.CertRule{CommonName: "pipeline"}, true},
		{"common name in another case", auth.CertRule{CommonName: "Pipeline"}, false},
		{"DNS name as common name", auth.CertRule{CommonName: "ci.contoso.example"}, false},
	} {
		tt.rule.Role, tt.rule.Providers = auth.Reader, []string{"one"}
		a := authenticator(t, auth.Config{ClientCerts: auth.ClientCerts{Rules: []auth.CertRule{tt.rule}}}, time.Now)
		got, err := a.Caller(verified(cert), auth.DataPlane)
		if err != nil || got == nil || got.May("one", auth.Read) != tt.want || got.May("two", auth.Read) || got.May("one", auth.Write) {
			t.Errorf("%s: %v, %v; may read %v, want %v", tt.name, got, err, got.May("one", auth.Read), tt.want)
		}
		if got.ID != fingerprint || got.Method != auth.Certificate || !strings.Contains(got.Name, "CN=pipeline") || got.Issuer != "CN=clients" {
			t.Errorf("%s: got %+v", tt.name, *got)
		}
	}
}

func TestCertificateRulesThatAreNone(t *testing.T) {
	all := []string{"*"}
	for name, rule := range map[string]auth.CertRule{
		"nothing":        {Role: auth.Reader, Providers: all},
		"two properties": {DNS: "a.example", CommonName: "a", Role: auth.Reader, Providers: all},
		"short":          {Fingerprint: "abcd", Role: auth.Reader, Providers: all},
		"SHA-1":          {Fingerprint: strings.Repeat("0", 40), Role: auth.Reader, Providers: all},
		"no hex":         {Fingerprint: strings.Repeat("g", 64), Role: auth.Reader, Providers: all},
		"colons only":    {Fingerprint: ":", Role: auth.Reader, Providers: all},
		"no role":        {CommonName: "a", Providers: all},
		"no providers":   {CommonName: "a", Role: auth.Reader},
	} {
		if _, err := auth.New(auth.Config{ClientCerts: auth.ClientCerts{Rules: []auth.CertRule{rule}}}, time.Now); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestOnlyVerifiedCertificatesInForceCount(t *testing.T) {
	c := newCA(t)
	cert := c.issue(person(), newKey(t))
	at := &clock{now: cert.NotAfter}
	a := authenticator(t, auth.Config{}, at.Now)
	unverified := request()
	unverified.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
	for name, r := range map[string]*http.Request{"unverified": unverified, "no TLS": request()} {
		if got, err := a.Caller(r, auth.DataPlane); got != nil || err != nil {
			t.Errorf("%s: %v, %v, want the anonymous caller", name, got, err)
		}
	}
	if got, err := a.Caller(verified(cert), auth.DataPlane); got == nil || err != nil || got.May("one", auth.Read) {
		t.Errorf("the last moment: %v, %v, want a caller without permissions", got, err)
	}
	at.pass(1)
	if _, err := a.Caller(verified(cert), auth.DataPlane); verdictOf(t, err) != "expired" {
		t.Errorf("after it: %v, want expired", err)
	}
	bad := verified(cert)
	bad.Header.Set("Authorization", "Bearer x")
	if _, err := a.Caller(bad, auth.DataPlane); verdictOf(t, err) != "malformed" {
		t.Errorf("bad token beside a certificate: %v, want malformed", err)
	}
}

// TestCertificateComesThroughTLS has real handshakes: the pool of ClientCAs lets in those whom the CA issued.
func TestCertificateComesThroughTLS(t *testing.T) {
	c, stranger := newCA(t), newCA(t)
	pool, err := auth.ClientCAs(c.file)
	if err != nil {
		t.Fatal(err)
	}
	a := authenticator(t, auth.Config{ClientCerts: auth.ClientCerts{Rules: []auth.CertRule{
		{CommonName: "pipeline", Role: auth.Reader, Providers: []string{"*"}},
	}}}, time.Now)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := a.Caller(r, auth.DataPlane)
		if verdictOf(t, err) != "" || !got.MayAll(auth.Read) {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	server.TLS = &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	get := func(certs ...tls.Certificate) (int, error) {
		client := server.Client()
		client.Transport.(*http.Transport).TLSClientConfig.Certificates = certs
		defer client.CloseIdleConnections()
		res, err := client.Get(server.URL)
		if err != nil {
			return 0, err
		}
		return res.StatusCode, res.Body.Close()
	}
	key := newKey(t)
	if got, err := get(); got != http.StatusUnauthorized || err != nil {
		t.Errorf("without a certificate: %d, %v", got, err)
	}
	if got, err := get(tls.Certificate{Certificate: [][]byte{c.issue(person(), key).Raw}, PrivateKey: key}); got != http.StatusOK || err != nil {
		t.Errorf("with one: %d, %v", got, err)
	}
	if got, err := get(tls.Certificate{Certificate: [][]byte{stranger.issue(person(), key).Raw, stranger.cert.Raw}, PrivateKey: key}); got == http.StatusOK {
		t.Errorf("with a stranger's: %d, %v", got, err)
	}
}

func TestFilesOfRoots(t *testing.T) {
	c := newCA(t)
	good, err := os.ReadFile(c.file)
	if err != nil {
		t.Fatal(err)
	}
	write := func(content string) string {
		name := filepath.Join(t.TempDir(), "roots.pem")
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for name, tt := range map[string]struct {
		file string
		ok   bool
	}{
		"one": {c.file, true}, "two": {write(string(good) + string(good)), true}, "comment": {write("# roots\n" + string(good)), true},
		"at the limit": {write(string(good) + strings.Repeat("\n", 1<<20-len(good))), true},
		"above it":     {write(string(good) + strings.Repeat("\n", 1<<20-len(good)+1)), false},
		"none":         {write("roots"), false}, "empty": {write(""), false}, "absent": {c.file + ".absent", false},
		"damaged": {write(string(good) + strings.Replace(string(good), "MII", "!!!", 1)), false},
		"key":     {write(string(good) + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), false},
	} {
		if _, err := auth.ClientCAs(tt.file); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
