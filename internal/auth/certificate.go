package auth

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/internal/strictjson"
)

// certRule is a CertRule to be used.
type certRule struct {
	meets func(*x509.Certificate) bool
	grant Grant
}

func (r *CertRule) compile() (certRule, error) {
	rule := certRule{grant: Grant{r.Role, slices.Clone(r.Providers)}}
	var found int
	for _, s := range []string{r.Fingerprint, r.URI, r.DNS, r.CommonName} {
		if s != "" {
			found++
		}
	}
	if found != 1 {
		return rule, fmt.Errorf("expected exactly one of fingerprint, uri, dns and common_name, found %d", found)
	}
	if err := rule.grant.check(); err != nil {
		return rule, err
	}
	fingerprint := strings.ToLower(strings.ReplaceAll(r.Fingerprint, ":", ""))
	if b, err := hex.DecodeString(fingerprint); r.Fingerprint != "" && (err != nil || len(b) != sha256.Size) {
		return rule, fmt.Errorf("fingerprint %q: expected SHA-256 in hex", r.Fingerprint)
	}
	rule.meets = r.property(fingerprint)
	return rule, nil
}

// property is the test of the member that is there.
func (r CertRule) property(fingerprint string) func(*x509.Certificate) bool {
	switch {
	case r.Fingerprint != "":
		return func(c *x509.Certificate) bool { return fingerprintOf(c) == fingerprint }
	case r.URI != "":
		return func(c *x509.Certificate) bool {
			return slices.ContainsFunc(c.URIs, func(u *url.URL) bool { return u.String() == r.URI })
		}
	case r.DNS != "":
		name := strictjson.LowerASCII(r.DNS)
		return func(c *x509.Certificate) bool {
			return slices.ContainsFunc(c.DNSNames, func(s string) bool { return strictjson.LowerASCII(s) == name })
		}
	}
	return func(c *x509.Certificate) bool { return c.Subject.CommonName == r.CommonName }
}

func fingerprintOf(c *x509.Certificate) string {
	digest := sha256.Sum256(c.Raw)
	return hex.EncodeToString(digest[:])
}

// holder is the caller with the client certificate that the TLS handshake verified; nil without one. A certificate that
// has expired since is refused.
func (a *Authenticator) holder(state *tls.ConnectionState) (*Caller, error) {
	if state == nil || len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) == 0 {
		return nil, nil
	}
	cert := state.VerifiedChains[0][0]
	if now := a.clock(); now.After(cert.NotAfter) {
		return nil, &Refused{Reason: ReasonExpired, Problem: "the client certificate has expired", Found: stamp(cert.NotAfter),
			Expected: "an end after " + stamp(now), Remedy: "connect anew with another"}
	}
	caller := &Caller{
		ID: fingerprintOf(cert), Name: clean(cert.Subject.String()), Issuer: clean(cert.Issuer.String()), Method: Certificate,
	}
	for _, r := range a.certs {
		if r.meets(cert) {
			caller.grants = append(caller.grants, r.grant)
		}
	}
	return caller, nil
}

// readCertificates reads a PEM file that holds certificates and nothing else.
func readCertificates(file string) (certs []*x509.Certificate, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCAFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) > maxCAFile:
		return nil, fmt.Errorf("%s: larger than %d bytes", file, maxCAFile)
	}
	if certs, err = parseCertificates(b); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return certs, nil
}

func parseCertificates(b []byte) (certs []*x509.Certificate, err error) {
	begun := bytes.Count(b, []byte("-----BEGIN "))
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("expected certificates in PEM, found %q", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(certs)+1, err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 || len(certs) != begun { // Decode passes over what is damaged
		return nil, errors.New("expected certificates in PEM, found none or a damaged one")
	}
	return certs, nil
}
