package server_test

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/config"
)

// BenchmarkAttestOverHTTPS measures the whole request on a connection that is kept alive, client and service in one
// process, and beside it, in turn, the bare primitives that it cannot do without: with the collateral verified and the
// PCK certificate remembered, two P-256 verifications (QE report and quote), the signature of the token, and the
// service's own check of it. The lowest deciles, in which other load on the machine shows least, and their ratio are
// reported.
func BenchmarkAttestOverHTTPS(b *testing.B) {
	s := start(b, config.Config{})
	connect(b, s, sgxPath, s.evidence(b, s.scenario())).measure(b, verifications{p256: 2}.bare(b))
}

// measure measures the request and the primitives by turns.
func (c *connection) measure(b *testing.B, primitives func()) {
	c.attest(b) // loads the collateral
	var whole, bare []time.Duration
	for b.Loop() {
		began := time.Now()
		c.attest(b)
		half := time.Now()
		primitives()
		whole, bare = append(whole, half.Sub(began)), append(bare, time.Since(half))
	}
	request, floor := lowestDecile(whole), lowestDecile(bare)
	b.ReportMetric(0, "ns/op") // the two together mean nothing
	b.ReportMetric(float64(request.Microseconds()), "request-µs")
	b.ReportMetric(float64(floor.Microseconds()), "primitives-µs")
	b.ReportMetric(float64(request)/float64(floor), "ratio")
}

func lowestDecile(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/10]
}

// connection is an HTTPS connection with one request ready to be sent.
type connection struct {
	*tls.Conn
	reader  *bufio.Reader
	request []byte
}

// connect opens a connection without the machinery of an HTTP client.
func connect(b *testing.B, s *testService, path string, evidence body) *connection {
	b.Helper()
	roots := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	conn, err := tls.Dial("tcp", s.Listener.Addr().String(), &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	request := text(evidence)
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", path, len(request))
	return &connection{conn, bufio.NewReader(conn), []byte(head + request)}
}

func (c *connection) attest(b *testing.B) {
	if _, err := c.Write(c.request); err != nil {
		b.Fatal(err)
	}
	res, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
		b.Fatalf("status %d, %v", res.StatusCode, err)
	}
}

// verifications are those that a piece of evidence needs at least, by kind.
type verifications struct{ p256, p384, rsa4096 int }

// bare returns a function that does them, and one RSA-2048 signature and its verification, each over messages of the sizes met in an
// attestation.
func (v verifications) bare(b *testing.B) func() {
	b.Helper()
	all := []func() bool{signature(b)}
	all = append(all, slices.Repeat([]func() bool{onCurve(b, elliptic.P256(), crypto.SHA256, 432)}, v.p256)...)
	all = append(all, slices.Repeat([]func() bool{onCurve(b, elliptic.P384(), crypto.SHA384, 672)}, v.p384)...)
	if v.rsa4096 > 0 {
		all = append(all, slices.Repeat([]func() bool{byAMD(b)}, v.rsa4096)...)
	}
	return func() {
		for _, primitive := range all {
			if !primitive() {
				b.Fatal("a bare primitive failed")
			}
		}
	}
}

// signature signs a token with RSA-2048 and verifies it.
func signature(b *testing.B) func() bool {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	token := make([]byte, 2800)
	return func() bool {
		digest := sha256.Sum256(token)
		sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
		return err == nil && rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], sig) == nil
	}
}

// onCurve verifies an ECDSA signature over a message of size bytes.
func onCurve(b *testing.B, curve elliptic.Curve, hash crypto.Hash, size int) func() bool {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	message := make([]byte, size)
	sig, err := ecdsa.SignASN1(rand.Reader, key, sum(hash, message))
	if err != nil {
		b.Fatal(err)
	}
	return func() bool { return ecdsa.VerifyASN1(&key.PublicKey, sum(hash, message), sig) }
}

// byAMD verifies the signature of one of AMD's authorities over a certificate: RSA-PSS with 4096 bits.
func byAMD(b *testing.B) func() bool {
	key, err := rsa.GenerateKey(rand.Reader, 4096)
	if err != nil {
		b.Fatal(err)
	}
	certificate := make([]byte, 1000)
	sig, err := rsa.SignPSS(rand.Reader, key, crypto.SHA384, sum(crypto.SHA384, certificate), nil)
	if err != nil {
		b.Fatal(err)
	}
	return func() bool {
		return rsa.VerifyPSS(&key.PublicKey, crypto.SHA384, sum(crypto.SHA384, certificate), sig, nil) == nil
	}
}

func sum(hash crypto.Hash, message []byte) []byte {
	h := hash.New()
	h.Write(message)
	return h.Sum(nil)
}
