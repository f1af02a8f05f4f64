package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/result"
)

// maxInput bounds every file read. Nothing that the program reads may be larger than a token.
const maxInput = result.MaxTokenSize

// read reads a file, or standard input for "-".
func (c *call) read(name string) ([]byte, error) {
	in := c.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, badFile(err)
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err != nil {
		return nil, badFile(err)
	}
	if len(b) > maxInput {
		return nil, badFile(fmt.Errorf("%s is longer than %d bytes", name, maxInput))
	}
	return b, nil
}

// readIf reads the file if one is named.
func (c *call) readIf(name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	return c.read(name)
}

// at declares the flag for the time to judge at.
func (c *call) at(text *string) {
	c.StringVar(text, "at", "", "judge at `TIME` (RFC 3339) instead of now")
}

// time reads the value of that flag.
func (c *call) time(text string) (time.Time, error) {
	if text == "" {
		return c.now(), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, usage("--at %q: expected a time such as 2024-03-01T00:00:00Z", text)
	}
	return t, nil
}

// roots reads the roots to trust: Intel's, or those of the certificates in the file.
func (c *call) roots(name string) (dcap.Roots, error) {
	if name == "" {
		return dcap.IntelRoots(), nil
	}
	b, err := c.read(name)
	if err != nil {
		return dcap.Roots{}, err
	}
	roots, err := dcap.NewRoots(b)
	if err != nil {
		return dcap.Roots{}, badFile(fmt.Errorf("%s: %w", name, err))
	}
	return roots, nil
}

// client makes an HTTP client that trusts the certificates in the file, if one is named, beside those of the system.
func (c *call) client(caFile string) (*http.Client, error) {
	pem, err := c.readIf(caFile)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if caFile != "" && !pool.AppendCertsFromPEM(pem) {
		return nil, badFile(fmt.Errorf("%s holds no PEM certificate", caFile))
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		Proxy:           http.ProxyFromEnvironment, DisableKeepAlives: true,
	}
	return &http.Client{Transport: transport, Timeout: time.Minute}, nil
}

// list splits a comma-separated value.
func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
