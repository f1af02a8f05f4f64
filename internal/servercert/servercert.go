// Package servercert provides the TLS certificate of the service: from files that are read again when they change, or
// from a development CA of its own. It has nothing to do with the certificates of token-signing keys.
package servercert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// config is what all of the service's TLS has in common (api.md section 1).
func config(get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: get}
}

// Files serves the certificate of two PEM files. They are read at once, so that a mistake shows at start, and again
// when either has changed. A change that cannot be read leaves the old certificate in use, and is told to warn, once.
func Files(cert, key string, warn func(error)) (*tls.Config, error) {
	f := &files{cert: cert, key: key, warn: warn}
	if err := f.load(); err != nil {
		return nil, err
	}
	return config(f.get), nil
}

type files struct {
	cert, key string
	warn      func(error)

	mu     sync.Mutex
	loaded *tls.Certificate
	stamp  [2]time.Time // modification times of the files loaded
}

func (f *files) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if stamp, err := f.times(); err == nil && stamp != f.stamp {
		f.stamp = stamp // what cannot be read is not read again until it changes
		if err := f.load(); err != nil {
			f.warn(err)
		}
	}
	return f.loaded, nil
}

func (f *files) times() (stamp [2]time.Time, err error) {
	for i, name := range []string{f.cert, f.key} {
		info, err := os.Stat(name)
		if err != nil {
			return stamp, err
		}
		stamp[i] = info.ModTime()
	}
	return stamp, nil
}

func (f *files) load() error {
	stamp, err := f.times()
	if err != nil {
		return fmt.Errorf("TLS certificate: %w", err)
	}
	cert, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return fmt.Errorf("TLS certificate: %w", err)
	}
	f.loaded, f.stamp = &cert, stamp
	return nil
}

// Names of the development CA's files in the data folder.
const (
	DevCAFile    = "dev-ca.pem"
	devCAKeyFile = "dev-ca-key.pem"
)

// Development serves a certificate for localhost and the loopback addresses, made now and issued by a CA whose
// certificate is the file DevCAFile in dir and whose key stays beside it (0600). The CA is made on first use. It
// returns the path of the CA's certificate.
func Development(dir string, now time.Time) (*tls.Config, string, error) {
	ca, key, err := developmentCA(dir, now)
	if err != nil {
		return nil, "", fmt.Errorf("development CA: %w", err)
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	leaf := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 3, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, leafKey.Public(), key)
	if err != nil {
		return nil, "", err
	}
	cert := &tls.Certificate{Certificate: [][]byte{der, ca.Raw}, PrivateKey: leafKey}
	get := func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert, nil }
	return config(get), filepath.Join(dir, DevCAFile), nil
}

// developmentCA reads the CA, or makes one if there is none that is of use: two services that start in one folder for the
// first time can leave half of each.
func developmentCA(dir string, now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	certFile, keyFile := filepath.Join(dir, DevCAFile), filepath.Join(dir, devCAKeyFile)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil || now.After(pair.Leaf.NotAfter) {
		if err := makeCA(certFile, keyFile, now); err != nil {
			return nil, nil, err
		}
		if pair, err = tls.LoadX509KeyPair(certFile, keyFile); err != nil {
			return nil, nil, err
		}
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, nil, fmt.Errorf("%s: not an ECDSA key", keyFile)
	}
	return pair.Leaf, key, nil
}

func makeCA(certFile, keyFile string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Assay development CA, not to be trusted elsewhere"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(2, 0, 0), KeyUsage: x509.KeyUsageCertSign,
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
		// People install it: it must be of no use but here.
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{"localhost"},
		PermittedIPRanges: []*net.IPNet{
			{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
			{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
		},
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writePEM(certFile, "CERTIFICATE", der, 0o644); err != nil {
		return err
	}
	return writePEM(keyFile, "PRIVATE KEY", secret, 0o600)
}

func writePEM(name, kind string, der []byte, mode os.FileMode) error {
	return os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}

func serial() *big.Int {
	var b [16]byte
	rand.Read(b[:])
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b[:])
}
