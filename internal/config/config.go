// Package config is the configuration of the service: one documented struct, read from YAML with unknown keys refused.
// Every flag of "assay serve" has a key here; a flag that is given wins over the key.
package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/provider"
)

// DefaultListen is where the service listens unless told otherwise: this machine only.
const DefaultListen = "127.0.0.1:8443"

// Bounds of the files that the operator names, in bytes.
const (
	maxFile = 1 << 20 // of the configuration
	// MaxPolicyFile is of a policy, whose text takes 16/9 of its length in a JWS (limit policy_body).
	MaxPolicyFile = 2 << 20
)

// Config is the whole configuration. The zero value of each field is its default, except where the comment says so.
type Config struct {
	// Listen is the address to listen on; default 127.0.0.1:8443, port 0 picks a free one.
	Listen string `yaml:"listen"`
	// URL is the external URL of the default provider, without trailing slash: it decides iss, jku and the names in
	// certificates. Required outside development mode, where it defaults to https://localhost:PORT.
	URL string `yaml:"url"`
	// TLSCert and TLSKey are PEM files, read again when they change.
	TLSCert string `yaml:"tls_cert"`
	TLSKey  string `yaml:"tls_key"`
	// InsecureHTTP serves plain HTTP, on a loopback address only, behind a proxy that ends TLS.
	InsecureHTTP bool `yaml:"insecure_http"`
	// Data is the folder of keys and caches; default ./assay-data, created 0700.
	Data string `yaml:"data"`
	// Collateral lists bundles (folders or .tar.gz), each a stored baseline, hence pinned. The first that has a
	// platform's TCB info is its default baseline.
	Collateral []string `yaml:"collateral"`
	// CollateralSource is where collateral is fetched: the URL of Intel's service, of a PCCS or of an Azure cache.
	// Default: Intel's service if Collateral is empty, else none.
	CollateralSource string `yaml:"collateral_source"`
	// Policies are files (text, or JWS around it) by attestation type, in force from the start: {SgxEnclave: FILE}.
	Policies map[string]string `yaml:"policies"`
	// Dev is development mode: simulated vendors are trusted beside the real ones, and everything says so.
	Dev bool `yaml:"dev"`
	// At is a fixed time for evidence and collateral, in development mode only; never for a token's own times.
	At time.Time `yaml:"at"`
	// AttestBody is the limit attest_body in bytes; default 4 MiB.
	AttestBody int64 `yaml:"attest_body"`
	// PolicyTime is the limit policy_time, how long one evaluation of a policy may take; default 5s.
	PolicyTime time.Duration `yaml:"policy_time"`
	// Explanations bounds what is kept to explain the decisions of the service.
	Explanations Explanations `yaml:"explanations"`
	// Settings are the provider's switches.
	Settings provider.Settings `yaml:"settings"`
}

// Explanations bounds the explanations that are kept for GET /assay/v1/explanations (native.md section 3). Nothing is kept
// outside development mode until there is a way to say who may read them.
type Explanations struct {
	// Entries is how many requests are remembered; default 10,000.
	Entries int `yaml:"entries"`
	// Age is for how long; default 24h.
	Age time.Duration `yaml:"age"`
}

// Read reads a configuration file.
func Read(name string) (Config, error) {
	var c Config
	b, err := ReadFile(name, maxFile)
	if err != nil {
		return c, err
	}
	if err := yaml.UnmarshalWithOptions(b, &c, yaml.Strict(), yaml.CustomUnmarshaler(readTime)); err != nil {
		return c, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// ReadFile reads a file of at most limit bytes. Of a longer one, or one without an end, it reads no more than that.
func ReadFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s: larger than %d bytes", name, limit)
	}
	return b, err
}

// readTime reads a time in RFC 3339. By itself the decoder takes what it cannot read for no time at all.
func readTime(t *time.Time, b []byte) (err error) {
	*t, err = time.Parse(time.RFC3339, strings.Trim(strings.TrimSpace(string(b)), `"'`))
	return err
}

// Complete fills in the defaults that need no running service, and reports what contradicts itself or the rules of
// operation outside development mode.
func (c *Config) Complete() error {
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	if c.Data == "" {
		c.Data = "assay-data"
	}
	host, _, err := net.SplitHostPort(c.Listen)
	switch {
	case err != nil:
		return fmt.Errorf("listen: %w", err)
	case !c.Dev && c.URL == "":
		return errors.New("url is required: clients compare it with the issuer of each token (or start with --dev)")
	case !c.At.IsZero() && !c.Dev:
		return errors.New("at is for development mode (--dev) only")
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("tls_cert and tls_key go together")
	case !c.Dev && c.TLSCert == "" && !c.InsecureHTTP:
		return errors.New("no TLS: give tls_cert and tls_key, or insecure_http on a loopback address behind a proxy that ends TLS")
	case c.InsecureHTTP && !loopback(host):
		return fmt.Errorf("insecure_http: %s is not a loopback address", c.Listen)
	case strings.HasSuffix(c.URL, "/"):
		return errors.New("url must not end in a slash")
	case c.AttestBody < 0:
		return fmt.Errorf("attest_body: expected a number of bytes, found %d", c.AttestBody)
	case c.PolicyTime < 0:
		return fmt.Errorf("policy_time: expected a duration such as 5s, found %v", c.PolicyTime)
	}
	return nil
}

// PlainHTTP reports whether the listener speaks HTTP without TLS.
func (c *Config) PlainHTTP() bool { return c.InsecureHTTP && c.TLSCert == "" }

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// SetPolicy names the file of the policy for an attestation type, in the place of any other.
func (c *Config) SetPolicy(t evidence.Type, file string) {
	maps.DeleteFunc(c.Policies, func(name, _ string) bool {
		known, _ := evidence.ParseType(name)
		return known == t
	})
	if c.Policies == nil {
		c.Policies = map[string]string{}
	}
	c.Policies[string(t)] = file
}

// PolicyFiles gives the files of Policies by attestation type. One type under two names is an error.
func (c *Config) PolicyFiles() (map[evidence.Type]string, error) {
	files := map[evidence.Type]string{}
	for name, file := range c.Policies {
		t, ok := evidence.ParseType(name)
		if !ok {
			return nil, fmt.Errorf("policies: unknown attestation type %q", name)
		}
		if files[t] != "" {
			return nil, fmt.Errorf("policies: two files for %s", t)
		}
		files[t] = file
	}
	return files, nil
}
