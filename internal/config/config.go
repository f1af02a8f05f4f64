// Package config is the configuration of the service: one documented struct, read from YAML with unknown keys refused.
// Every flag of "assay serve" has a key here; a flag that is given wins over the key.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/challenge"
	"github.com/assay-attestation/assay/internal/issuer"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/policy"
)

// DefaultListen is where the service listens unless told otherwise: this machine only.
const DefaultListen = "127.0.0.1:8443"

// MaxDrain bounds Drain.
const MaxDrain = 10 * time.Minute

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
	// Policies are files (text, or JWS around it) by attestation type: the default policies of the default provider, in force
	// until its owner sets others: {SgxEnclave: FILE}.
	Policies map[string]string `yaml:"policies"`
	// PolicySigners are PEM files of certificates. With any, the default provider is isolated from the day it is created, and
	// these are its first policy management certificates, in this order; later they are changed by way of the API only.
	PolicySigners []string `yaml:"policy_signers"`
	// Shared makes the default provider one for everybody: its policies can be read without a token and not be changed.
	Shared bool `yaml:"shared"`
	// Location is the region that ARM shows for the default provider, and for new ones that name none; default local.
	Location string `yaml:"location"`
	// ProviderURL is the external URL of a new provider, with {name} and perhaps {location} in its host name:
	// https://{name}.attest.example. They are all served by the listener of the service and told apart by the Host header.
	ProviderURL string `yaml:"provider_url"`
	// ProviderListen are the addresses of listeners for new providers, a range of ports: 127.0.0.1:9000-9099. With it each
	// new provider has a port of its own, and its URL is that of the default provider with this port. In development mode the
	// default is any free port.
	ProviderListen string `yaml:"provider_listen"`
	// Store is where state is kept: a PostgreSQL URL, or the name of an SQLite file; default assay.db in Data.
	Store string `yaml:"store"`
	// StoreFile is a file that holds the value of Store, which may have a password in it.
	StoreFile string `yaml:"store_file"`
	// SealKey is the file with the key under which signing keys are encrypted in the store; default seal.key in Data, which is
	// made when the store is a file in Data too.
	SealKey string `yaml:"seal_key"`
	// Keys are the times of signing keys.
	Keys Keys `yaml:"keys"`
	// Auth says whom to believe and what they may do. Without it nobody may do what needs a permission.
	Auth auth.Config `yaml:"auth"`
	// ClientCA has the roots, in PEM, of client certificates (mTLS); the rules for them are in Auth.
	ClientCA string `yaml:"client_ca"`
	// Limits are the rates at which callers are served.
	Limits Limits `yaml:"rate_limits"`
	// Audit says what else the audit trail does beside being kept in the store.
	Audit Audit `yaml:"audit"`
	// ProxyProtocol are the addresses (CIDR or single) of balancers that put the PROXY protocol in front of each connection, by
	// which the service knows its callers' addresses. They must then do so; from any other address it is refused.
	ProxyProtocol []string `yaml:"proxy_protocol"`
	// OpsListen is the address for operators: /livez, /readyz and /metrics, plain HTTP; default none.
	OpsListen string `yaml:"ops_listen"`
	// Drain is how long the service still answers after it was told to end, while /readyz says that nothing more is to be sent
	// to it: the time that a balancer needs to learn of it. Default 0.
	Drain time.Duration `yaml:"drain"`
	// Preview2018 is the switch api_2018_preview, on by default.
	Preview2018 *bool `yaml:"api_2018_preview"`
	// ARMFacade is the switch arm_facade, off by default: serve the routes of the Azure Resource Manager.
	ARMFacade bool `yaml:"arm_facade"`
	// PolicyBody is the limit policy_body in bytes; default 2 MiB.
	PolicyBody int64 `yaml:"policy_body"`
	// Dev is development mode: simulated vendors are trusted beside the real ones, and everything says so.
	Dev bool `yaml:"dev"`
	// At is a fixed time for evidence and collateral, in development mode only; never for a token's own times.
	At time.Time `yaml:"at"`
	// AttestBody is the limit attest_body in bytes; default 4 MiB.
	AttestBody int64 `yaml:"attest_body"`
	// PolicyTime is the limit policy_time, how long one evaluation of a policy may take; default 5s.
	PolicyTime time.Duration `yaml:"policy_time"`
	// TPMContextLifetime is the limit tpm_context_lifetime, how long a challenge of the TPM protocol can be answered; default 5m, at
	// least 1s, at most 1h.
	TPMContextLifetime time.Duration `yaml:"tpm_context_lifetime"`
	// TPMReportValidity is the limit tpm_report_validity, how long a TPM report is valid whose policy does not say; default 24h, at
	// least 1m, at most a year and what the rotation of keys allows.
	TPMReportValidity time.Duration `yaml:"tpm_report_validity"`
	// Explanations bounds what is kept to explain the decisions of the service.
	Explanations Explanations `yaml:"explanations"`
	// Settings are the provider's switches.
	Settings provider.Settings `yaml:"settings"`
	// AIKRoots and AIKIntermediates are PEM files of certificates that certify attestation keys of TPMs, for all providers. There are
	// none by default. Clients send no intermediates.
	AIKRoots         []AIKRoot `yaml:"aik_roots"`
	AIKIntermediates []string  `yaml:"aik_intermediates"`
	// EKRoots and EKIntermediates are the same for certificates of endorsement keys: the makers of TPMs whose keys providers with
	// aik_enrolment vendor enrol. Clients may send intermediates.
	EKRoots         []AIKRoot `yaml:"ek_roots"`
	EKIntermediates []string  `yaml:"ek_intermediates"`

	// AMDRoots are files, PEM or DER, of ARKs that certify keys of SEV-SNP beside those of AMD, and of the certificates below them. They are
	// for test PKI.
	AMDRoots []string `yaml:"amd_roots"`
	// AMDKeyService is the URL of AMD's key service or of a cache of it, for providers with snp_kds; default AMD's.
	// With AMDCertificates nobody is asked unless this names a service.
	AMDKeyService string `yaml:"amd_key_service"`
	// AMDCertificates are files of certificates, PEM or DER, and folders of such files: VCEKs that providers with snp_kds have without asking.
	AMDCertificates []string `yaml:"amd_certificates"`

	// SNPReportVersions is the limit snp_report_versions: the least and the highest version of reports of SEV-SNP that are accepted;
	// default 2 and 5.
	SNPReportVersions Versions `yaml:"snp_report_versions"`

	TPMLimits `yaml:",inline"`
}

// Versions is a range of versions, both ends included. Zero means the default.
type Versions struct {
	Least uint32 `yaml:"least"`
	Most  uint32 `yaml:"most"`
}

// AIKRoot is a file of one certificate that is trusted to certify attestation keys, or endorsement keys.
type AIKRoot struct {
	File string `yaml:"file"`
	// AllowMissingEKU accepts certificates below it that do not say that they are of one.
	AllowMissingEKU bool `yaml:"allow_missing_eku"`
}

// Keys are the times of signing keys (tokens.md section 3.2). Zero means the default.
type Keys struct {
	// PublishLead is the limit key_publish_lead: how long a key is listed before it signs; default 24h.
	PublishLead time.Duration `yaml:"publish_lead"`
	// RotateEvery is how long a key signs until the next one does; default 2160h, 90 days. Never with RotateNever.
	RotateEvery time.Duration `yaml:"rotate_every"`
	// RotateNever leaves rotation to the operator's command.
	RotateNever bool `yaml:"rotate_never"`
	// Retain is how long a key stays listed after the next one took over; default and least 24h5m, the life of the longest-lived
	// tokens.
	Retain time.Duration `yaml:"retain"`
}

// Limits are rates in requests per second, and how many may come at once. Zero means the default, a negative rate none.
type Limits struct {
	// Address bounds all requests of one address (one /64 of IPv6); default none.
	Address Rate `yaml:"address"`
	// Denied bounds the refused requests for management of one address, each of which costs a row of the audit trail; default 5, 100.
	Denied Rate `yaml:"denied"`
	// AllDenied bounds those of all addresses together that go into the audit trail: strangers may have many; default 100, 1000.
	AllDenied Rate `yaml:"all_denied"`
	// Management bounds the operations of one caller that need a permission; default 200, 1000.
	Management Rate `yaml:"management"`
}

// Rate is a rate and a burst.
type Rate struct {
	PerSecond float64 `yaml:"per_second"`
	Burst     int     `yaml:"burst"`
}

// Audit says where the audit trail goes beside the store, and what is in it.
type Audit struct {
	// File is a file of JSON lines.
	File string `yaml:"file"`
	// Stdout writes it to standard output.
	Stdout bool `yaml:"stdout"`
	// Attest puts every decision about evidence into it.
	Attest bool `yaml:"attest"`
}

// Explanations bounds the explanations that are kept for GET /assay/v1/explanations (native.md section 3).
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
	if c.Location == "" {
		c.Location = "local"
	}
	if c.Dev && c.ProviderURL == "" && c.ProviderListen == "" {
		c.ProviderListen = "127.0.0.1:0"
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
	case c.ClientCA != "" && c.PlainHTTP():
		return errors.New("client_ca: there are no client certificates without TLS: give tls_cert and tls_key")
	case c.ClientCA == "" && len(c.Auth.ClientCerts.Rules) > 0:
		return errors.New("auth: client_certs have rules, and no client_ca says whose certificates count")
	case c.InsecureHTTP && !loopback(host):
		return fmt.Errorf("insecure_http: %s is not a loopback address", c.Listen)
	case strings.HasSuffix(c.URL, "/"):
		return errors.New("url must not end in a slash")
	case c.AttestBody < 0:
		return fmt.Errorf("attest_body: expected a number of bytes, found %d", c.AttestBody)
	case c.PolicyBody < 0:
		return fmt.Errorf("policy_body: expected a number of bytes, found %d", c.PolicyBody)
	case c.Store != "" && c.StoreFile != "":
		return errors.New("store and store_file exclude each other")
	case c.ProviderURL != "" && c.ProviderListen != "":
		return errors.New("provider_url and provider_listen exclude each other")
	case c.ProviderURL != "" && !strings.Contains(c.ProviderURL, "{name}"):
		return fmt.Errorf("provider_url: expected a URL with {name} in its host name, found %q", c.ProviderURL)
	case c.Drain < 0 || c.Drain > MaxDrain:
		return fmt.Errorf("drain: expected a duration up to %v, found %v", MaxDrain, c.Drain)
	case c.PolicyTime < 0:
		return fmt.Errorf("policy_time: expected a duration such as 5s, found %v", c.PolicyTime)
	}
	return cmp.Or(c.checkTPM(), c.checkSNP())
}

// checkTPM checks the limits of the TPM protocol.
func (c *Config) checkTPM() error {
	if d := c.TPMContextLifetime; d != 0 && (d < challenge.MinLifetime || d > challenge.MaxLifetime) {
		return fmt.Errorf("tpm_context_lifetime: expected %v to %v, found %v", challenge.MinLifetime, challenge.MaxLifetime, d)
	}
	if d := c.TPMReportValidity; d != 0 && (d < time.Minute || d > issuer.MaxReportValidity) {
		return fmt.Errorf("tpm_report_validity: expected %v to %v, found %v", time.Minute, issuer.MaxReportValidity, d)
	}
	return c.TPMLimits.check()
}

// checkSNP checks the limit of the versions of reports: no layout is known outside its default.
func (c *Config) checkSNP() error {
	v := c.SNPReportVersions
	if least, most := cmp.Or(v.Least, minReport), cmp.Or(v.Most, maxReport); least < minReport || most > maxReport || least > most {
		return fmt.Errorf("snp_report_versions: expected least and most from %d to %d, found %d and %d", minReport, maxReport, least, most)
	}
	return nil
}

// The versions of reports of SEV-SNP whose layout is known (sev-snp.md section 1).
const (
	minReport = 2
	maxReport = 5
)

// ReportValidity is the limit tpm_report_validity.
func (c *Config) ReportValidity() time.Duration {
	return cmp.Or(c.TPMReportValidity, issuer.DefaultReportValidity)
}

// Preview reports the switch api_2018_preview.
func (c *Config) Preview() bool { return c.Preview2018 == nil || *c.Preview2018 }

// PlainHTTP reports whether the listener speaks HTTP without TLS.
func (c *Config) PlainHTTP() bool { return c.InsecureHTTP && c.TLSCert == "" }

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// SetPolicy names the file of the policy for an attestation type, in the place of any other.
func (c *Config) SetPolicy(t, file string) {
	maps.DeleteFunc(c.Policies, func(name, _ string) bool {
		known, _ := policy.ParseType(name)
		return known == t
	})
	if c.Policies == nil {
		c.Policies = map[string]string{}
	}
	c.Policies[t] = file
}

// PolicyFiles gives the files of Policies by attestation type, as URLs name it. One type under two names is an error.
func (c *Config) PolicyFiles() (map[string]string, error) {
	files := map[string]string{}
	for name, file := range c.Policies {
		t, ok := policy.ParseType(name)
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
