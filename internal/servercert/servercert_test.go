package servercert

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// leaf is the certificate that a client is shown, after it was verified against the roots for the name; a nil pool
// verifies nothing.
func leaf(t *testing.T, cfg *tls.Config, roots *x509.CertPool, name string) (*x509.Certificate, error) {
	t.Helper()
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		_ = tls.Server(there, cfg).Handshake() // the client says what is wrong
	}()
	defer here.Close()
	client := tls.Client(here, &tls.Config{ServerName: name, RootCAs: roots, InsecureSkipVerify: roots == nil, MinVersion: tls.VersionTLS12})
	if err := client.Handshake(); err != nil {
		return nil, err
	}
	return client.ConnectionState().PeerCertificates[0], nil
}

func pool(t *testing.T, file string) *x509.CertPool {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(b) {
		t.Fatalf("%s holds no certificate", file)
	}
	return p
}

func TestDevelopmentCertificate(t *testing.T) {
	dir := t.TempDir()
	cfg, caFile, err := Development(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "dev-ca.pem"); caFile != want {
		t.Errorf("CA file %s, want %s", caFile, want)
	}
	for name, ok := range map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true, "attest.example": false, "192.0.2.1": false} {
		if _, err := leaf(t, cfg, pool(t, caFile), name); (err == nil) != ok {
			t.Errorf("%s: %v, want it to verify: %t", name, err, ok)
		}
	}
	info, err := os.Stat(filepath.Join(dir, devCAKeyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("CA key: %v, %v; want mode 0600", info, err)
	}
	if cfg.MinVersion != tls.VersionTLS12 {
		t.Errorf("oldest TLS version %#x, want 1.2", cfg.MinVersion)
	}
}

func TestDevelopmentCAStays(t *testing.T) {
	dir := t.TempDir()
	_, caFile, err := Development(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	roots := pool(t, caFile)
	again, _, err := Development(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leaf(t, again, roots, "localhost"); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	other, _, err := Development(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leaf(t, other, roots, "localhost"); err == nil {
		t.Error("two folders have the same CA")
	}
}

func TestUselessDevelopmentCAIsMadeAnew(t *testing.T) {
	damage := func(file string) func(string) {
		return func(dir string) { put(t, filepath.Join(dir, file), []byte("x"), 1) }
	}
	_, other := pair(t)
	for name, spoil := range map[string]func(dir string){
		"damaged certificate": damage(DevCAFile), "damaged key": damage(devCAKeyFile),
		"key of another": func(dir string) { put(t, filepath.Join(dir, devCAKeyFile), other, 1) },
		"expired":        nil,
	} {
		dir, now := t.TempDir(), time.Now()
		if spoil == nil {
			now = now.AddDate(-3, 0, 0)
		}
		if _, _, err := Development(dir, now); err != nil {
			t.Fatal(err)
		}
		if spoil != nil {
			spoil(dir)
		}
		cfg, caFile, err := Development(dir, time.Now())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := leaf(t, cfg, pool(t, caFile), "localhost"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// pair makes certificate and key files; each call makes others.
func pair(t *testing.T) (cert, key []byte) {
	t.Helper()
	dir := t.TempDir()
	if _, _, err := Development(dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	for i, to := range []*[]byte{&cert, &key} {
		b, err := os.ReadFile(filepath.Join(dir, []string{DevCAFile, devCAKeyFile}[i]))
		if err != nil {
			t.Fatal(err)
		}
		*to = b
	}
	return cert, key
}

// put writes a file with a modification time of its own.
func put(t *testing.T, name string, b []byte, stamp int64) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(name, time.Unix(stamp, 0), time.Unix(stamp, 0)); err != nil {
		t.Fatal(err)
	}
}

func TestFilesAreReadAgainWhenTheyChange(t *testing.T) {
	certFile, keyFile := filepath.Join(t.TempDir(), "cert"), filepath.Join(t.TempDir(), "key")
	cert1, key1 := pair(t)
	cert2, key2 := pair(t)
	put(t, certFile, cert1, 1)
	put(t, keyFile, key1, 1)
	var warnings []error
	cfg, err := Files(certFile, keyFile, func(err error) { warnings = append(warnings, err) })
	if err != nil {
		t.Fatal(err)
	}
	shown := func() string {
		c, err := leaf(t, cfg, nil, "localhost")
		if err != nil {
			t.Fatal(err)
		}
		return c.SerialNumber.String()
	}
	first := shown()
	for _, step := range []struct {
		name    string
		change  func()
		renewed bool
	}{
		{"nothing changed", func() {}, false},
		{"certificate written, key not yet", func() { put(t, certFile, cert2, 2) }, false},
		{"key half written", func() { put(t, keyFile, key2[:40], 3) }, false},
		{"both written", func() { put(t, keyFile, key2, 4) }, true},
		{"key gone", func() { os.Remove(keyFile) }, true},
		{"garbage", func() { put(t, keyFile, []byte("x"), 5) }, true},
	} {
		step.change()
		for range 3 {
			if got := shown(); (got != first) != step.renewed {
				t.Errorf("%s: shows the new certificate: %t, want %t", step.name, got != first, step.renewed)
			}
		}
	}
	if len(warnings) != 3 {
		t.Errorf("warnings %v, want one for each change that could not be read", warnings)
	}
}

func TestFilesAreReadAtOnce(t *testing.T) {
	cert, key := pair(t)
	_, other := pair(t)
	dir := t.TempDir()
	for name, b := range map[string][]byte{"cert": cert, "key": key, "other": other, "garbage": []byte("x")} {
		put(t, filepath.Join(dir, name), b, 1)
	}
	for _, tt := range []struct {
		cert, key string
		ok        bool
	}{{"cert", "key", true}, {"cert", "other", false}, {"cert", "none", false}, {"none", "key", false}, {"garbage", "key", false}} {
		if _, err := Files(filepath.Join(dir, tt.cert), filepath.Join(dir, tt.key), func(error) {}); (err == nil) != tt.ok {
			t.Errorf("%s, %s: %v", tt.cert, tt.key, err)
		}
	}
}
