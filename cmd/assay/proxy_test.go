package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// askAs asks for /certs after saying, as a balancer would, that the request comes from another address: nothing if before is
// empty. It gives the status, 0 if there was no answer.
func (s *service) askAs(t *testing.T, before string) int {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := net.Dial("tcp", "127.0.0.1:"+u.Port())
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if err := plain.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(plain, before); err != nil {
		t.Fatal(err)
	}
	root, err := os.ReadFile(s.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	conn := tls.Client(plain, &tls.Config{RootCAs: pool, ServerName: "localhost"})
	if _, err := fmt.Fprintf(conn, "GET /certs HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", u.Host); err != nil {
		return 0
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	return res.StatusCode
}

// TestBalancersSayWhoTheirClientsAre: those that are configured must, and are believed; nobody else may.
func TestBalancersSayWhoTheirClientsAre(t *testing.T) {
	const public, private = "PROXY TCP4 203.0.113.7 127.0.0.1 4711 443\r\n", "PROXY TCP4 10.1.2.3 127.0.0.1 4711 443\r\n"
	for _, tt := range []struct {
		addresses               string
		fromPublic, fromPrivate int
		without                 int
	}{
		{"[127.0.0.1]", http.StatusForbidden, http.StatusOK, 0},
		{"[192.0.2.0/24]", 0, 0, http.StatusOK},
		{"[]", 0, 0, http.StatusOK},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "assay.yaml")
		writeFile(t, file, []byte("proxy_protocol: "+tt.addresses+"\nsettings: {publicNetworkAccess: Disabled}\n"), 0o600)
		s := serve(t, "--dev", "--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data"), "--config", file)
		for before, want := range map[string]int{public: tt.fromPublic, private: tt.fromPrivate, "": tt.without} {
			if got := s.askAs(t, before); got != want {
				t.Errorf("proxy_protocol %s, %q: status %d, want %d", tt.addresses, before, got, want)
			}
		}
	}
}
