package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/assay-attestation/assay/evidence"
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
		c.reads(name)
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

// reads notes that the call reads a file, so that write spares it.
func (c *call) reads(name string) {
	if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
		c.inputs = append(c.inputs, info)
	}
}

// spare refuses a file to write to that the call has read: a slip would cost a private key.
func (c *call) spare(name string) error {
	if info, err := os.Stat(name); err == nil && slices.ContainsFunc(c.inputs, func(in os.FileInfo) bool { return os.SameFile(info, in) }) {
		return badFile(fmt.Errorf("%s is one of the files read, and is not overwritten: name another file", name))
	}
	return nil
}

// write writes a result into a file, but not over one that the call has read.
func (c *call) write(name string, b []byte) error {
	if err := c.spare(name); err != nil {
		return err
	}
	if err := os.WriteFile(name, b, 0o644); err != nil {
		return badFile(err)
	}
	return nil
}

// The flags that several commands share. Each reads its value at once, so that a command finds it ready after parse.

// fileVar declares a flag that names a file, and puts the content into b. It is not nil then, even of an empty file.
func (c *call) fileVar(b *[]byte, name, help string) {
	c.Func(name, help, func(file string) (err error) {
		*b, err = c.read(file)
		return err
	})
}

// typeVar declares the flag for the type of evidence.
func (c *call) typeVar(t *evidence.Type) {
	c.Func("type", "attestation type `T` of the evidence: sgx, openenclave, snp, tdx or azureguest", func(s string) (err error) {
		*t, err = evidenceType(s)
		return err
	})
}

// evidenceType reads a type whose evidence is a file. That of a TPM is a conversation.
func evidenceType(s string) (evidence.Type, error) {
	t, ok := evidence.ParseType(s)
	if !ok || t == evidence.Tpm {
		return "", errors.New("expected sgx, openenclave, snp, tdx or azureguest")
	}
	return t, nil
}

// timeVar declares the flag for the time to judge at, and sets t to now.
func (c *call) timeVar(t *time.Time) {
	*t = c.now()
	c.Func("at", "judge at `TIME` (RFC 3339) instead of now", func(s string) (err error) {
		*t, err = c.time(s)
		return err
	})
}

// time reads a time as flags give it; none means now.
func (c *call) time(text string) (time.Time, error) {
	if text == "" {
		return c.now(), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, errors.New("expected a time such as 2024-03-01T00:00:00Z")
	}
	return t, nil
}

// rootsVar declares the flag for the roots to trust, and sets roots to Intel's.
func (c *call) rootsVar(roots *dcap.Roots) {
	*roots = dcap.IntelRoots()
	c.Func("trust-root", "trust the certificate in `FILE` (PEM or DER) instead of Intel's root", func(file string) (err error) {
		*roots, err = c.roots(file)
		return err
	})
}

// roots reads the certificate to trust.
func (c *call) roots(file string) (dcap.Roots, error) {
	b, err := c.read(file)
	if err != nil {
		return dcap.Roots{}, err
	}
	return dcap.NewRoots(b)
}

// clientVar declares the flag for a CA of the service to call, and sets client to one that trusts the system's CAs.
func (c *call) clientVar(client **http.Client, name string) {
	*client = newClient(nil)
	c.Func(name, "trust the certificates in `FILE` for the connection, too", func(file string) (err error) {
		*client, err = c.client(file)
		return err
	})
}

// client makes an HTTP client that trusts the certificates in the file beside those of the system.
func (c *call) client(caFile string) (*http.Client, error) {
	pem, err := c.read(caFile)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, badFile(fmt.Errorf("%s holds no PEM certificate", caFile))
	}
	return newClient(pool), nil
}

// newClient makes an HTTP client that trusts pool, or the system's CAs without one.
func newClient(pool *x509.CertPool) *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		Proxy:           http.ProxyFromEnvironment, DisableKeepAlives: true,
	}}
}

// runtimeData is what an enclave puts the hash of into its report data.
type runtimeData struct {
	bytes []byte // nil: none given
	json  bool
}

func (c *call) runtimeVar(d *runtimeData) {
	c.fileVar(&d.bytes, "runtime-data", "`FILE` whose SHA-256 the report data begins with")
	c.Func("runtime-type", "`KIND` of the runtime data: json or binary (default binary)", d.setType)
}

func (d *runtimeData) setType(s string) error {
	d.json = strings.EqualFold(s, "json")
	if !d.json && !strings.EqualFold(s, "binary") {
		return errors.New("expected json or binary")
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
