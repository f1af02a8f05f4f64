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
	c := connect(b, s)
	primitives := barePrimitives(b)
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
func connect(b *testing.B, s *testService) *connection {
	b.Helper()
	roots := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	conn, err := tls.Dial("tcp", s.Listener.Addr().String(), &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	request := text(s.evidence(b, s.scenario()))
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", sgxPath, len(request))
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

// barePrimitives returns a function that does two P-256 verifications, one RSA-2048 signature and its verification,
// each over messages of the sizes met in an attestation.
func barePrimitives(b *testing.B) func() {
	b.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	quote, token := make([]byte, 432), make([]byte, 2800)
	digest := sha256.Sum256(quote)
	signature, err := ecdsa.SignASN1(rand.Reader, ec, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	return func() {
		for range 2 {
			digest := sha256.Sum256(quote)
			if !ecdsa.VerifyASN1(&ec.PublicKey, digest[:], signature) {
				b.Fatal("P-256")
			}
		}
		digest := sha256.Sum256(token)
		sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
		if err == nil {
			err = rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], sig)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
