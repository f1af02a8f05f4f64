package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// armCall sends a request of ARM's as an owner, and reads the answer.
func (s *service) armCall(t *testing.T, token, method, name, body string) (status int, provider struct {
	Properties struct{ AttestURI string }
}) {
	t.Helper()
	client, err := (&call{env: &env{}}).client(s.CA)
	if err != nil {
		t.Fatal(err)
	}
	path := "/subscriptions/s/resourceGroups/g/providers/Microsoft.Attestation/attestationProviders/" + name + "?api-version=2021-06-01"
	req, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && len(b) > 0 {
		err = json.Unmarshal(b, &provider)
	}
	if err != nil {
		t.Fatalf("%s %s: status %d: %v: %s", method, name, res.StatusCode, err, b)
	}
	return res.StatusCode, provider
}

// TestProvidersHaveListenersOfTheirOwn creates two providers by way of ARM: each is in service at its attestUri before the answer
// is there, as itself, and gone when it was deleted (management.md section 1).
func TestProvidersHaveListenersOfTheirOwn(t *testing.T) {
	data := t.TempDir()
	file := tempFile(t, "assay.yaml", fmt.Sprintf("dev: true\nlisten: 127.0.0.1:0\ndata: %s\narm_facade: true\n", data))
	s := serve(t, "--config", file)
	token := strings.TrimSpace(assay(t, "dev", "token", "--role", "owner", "--data", data).stdout)
	seen := map[string]bool{s.keyIDs(t): true}
	urls := map[string]string{}
	for _, name := range []string{"one", "two"} {
		status, made := s.armCall(t, token, "PUT", name, `{"location":"local","properties":{}}`)
		at := made.Properties.AttestURI
		if status != http.StatusCreated || !strings.HasPrefix(at, "https://localhost:") || at == s.URL || at == urls["one"] {
			t.Fatalf("%s: status %d, attestUri %q", name, status, at)
		}
		own := &service{URL: at, CA: s.CA}
		var metadata struct{ Issuer, JWKSURI string }
		if err := json.Unmarshal([]byte(strings.Replace(own.get(t, "/.well-known/openid-configuration"), "jwks_uri", "jwksuri", 1)), &metadata); err != nil || metadata.Issuer != at || metadata.JWKSURI != at+"/certs" {
			t.Errorf("metadata of %s at %s: %+v, %v", name, at, metadata, err)
		}
		keys := own.keyIDs(t)
		if seen[keys] {
			t.Errorf("%s has the keys of another: %s", name, keys)
		}
		seen[keys], urls[name] = true, at
	}
	if status, _ := s.armCall(t, token, "DELETE", "one", ""); status != http.StatusOK {
		t.Fatalf("DELETE: status %d", status)
	}
	u, err := url.Parse(urls["one"])
	if err != nil {
		t.Fatal(err)
	}
	if !closes(net.JoinHostPort("127.0.0.1", u.Port())) {
		t.Errorf("%s still listens", u.Host)
	}
	(&service{URL: urls["two"], CA: s.CA}).get(t, "/certs")
}

// closes waits until nobody listens at an address any more.
func closes(address string) bool {
	for range 100 {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return true
		}
		conn.Close()
		time.Sleep(50 * time.Millisecond)
	}
	return false
}
