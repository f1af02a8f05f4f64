package config

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/verifier"
)

func read(t *testing.T, text string) (Config, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "assay.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Read(name)
}

// everything is a file with every key, which is also an example of the forms.
const everything = `
listen: 127.0.0.1:0
url: https://attest.example
tls_cert: cert.pem
tls_key: key.pem
insecure_http: true
data: /var/lib/assay
collateral: [a.tar.gz, b]
collateral_source: https://pccs.example
policies:
  SgxEnclave: sgx.txt
dev: true
at: 2024-03-01T00:00:00Z
attest_body: 1048576
policy_time: 2s
tpm_context_lifetime: 2m
tpm_report_validity: 96h
explanations: {entries: 100, age: 1h}
settings:
  hide_policy_reasons: true
  strict: true
  allow_draft_policy: false
  refuse_debuggable: true
  require_zero_report_data_tail: true
  require_crls: false
  collateral_expiry: pinned
  collateral_grace: 36h
  tcb_accepted_statuses:
    UpToDate: ""
    OutOfDate: 2026-01-31
  tcb_min_evaluation_number: 17
  tcb_min_date: 2024-03-13
  tcb_refused_advisories: [INTEL-SA-00615]
  anonymous_policy_read: true
  tpm_allow_sha1: true
  tpm_allow_v1_basic: false
  tpm_secureboot_require_authority: false
  tpm_custom_claim_prefix: "urn:"
  tpm_pcr_digest_text: hex
  tpm_event_digests: true
  tpm_drtm_signing_key: |
    a key in PEM
  tpm_emit_attestation_type: true
  tpm_aik_roots: [{certificate: "a certificate in PEM", allow_missing_eku: true}]
  tpm_aik_intermediates: certificates in PEM
  aik_enrolment: vendor
aik_roots: [{file: root.pem, allow_missing_eku: true}, {file: other.pem}]
aik_intermediates: [issuing.pem]
ek_roots: [{file: maker.pem, allow_missing_eku: true}]
ek_intermediates: [maker-issuing.pem]
amd_roots: [ark.pem]
amd_key_service: https://kds.example
amd_certificates: [vceks]
snp_report_versions: {least: 3, most: 4}
tcg_log: 1048576
tcg_log_records: 1000
tcg_event_data: 4096
efi_variable_name: 100
sipa_depth: 3
ima_log: 2097152
ima_entries: 500
custom_claims: 10
custom_claim_value: 1024
policy_signers: [signer.pem]
shared: true
location: westeurope
provider_url: https://{name}.attest.example
provider_listen: 127.0.0.1:9000-9099
store: postgres://assay@db/assay
store_file: /etc/assay/store
seal_key: /etc/assay/seal.key
keys: {publish_lead: 1h, rotate_every: 720h, rotate_never: true, retain: 48h}
auth:
  issuers:
    - url: https://login.example/v2.0
      discovery: https://login.example/d
      audiences: [a]
      control_audiences: [b]
      ca_file: ca.pem
      rules: [{claim: groups, value: g, role: contributor, providers: ["*"]}]
  client_certs:
    rules: [{uri: "spiffe://x", role: reader, providers: [default]}]
client_ca: clients.pem
rate_limits:
  address: {per_second: 100, burst: 200}
  denied: {per_second: 1, burst: 2}
  all_denied: {per_second: 5, burst: 6}
  management: {per_second: 3, burst: 4}
audit: {file: audit.jsonl, stdout: true, attest: true}
ops_listen: 127.0.0.1:9464
proxy_protocol: [192.0.2.0/24, 2001:db8::1]
drain: 5s
api_2018_preview: false
arm_facade: true
policy_body: 4096
`

func TestEveryKeyIsRead(t *testing.T) {
	got, err := read(t, everything)
	if err != nil {
		t.Fatal(err)
	}
	no := false
	want := Config{
		Listen: "127.0.0.1:0", URL: "https://attest.example", TLSCert: "cert.pem", TLSKey: "key.pem", InsecureHTTP: true,
		Data: "/var/lib/assay", Collateral: []string{"a.tar.gz", "b"}, CollateralSource: "https://pccs.example",
		Policies: map[string]string{"SgxEnclave": "sgx.txt"}, Dev: true, At: time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC), AttestBody: 1 << 20,
		PolicyTime: 2 * time.Second, Explanations: Explanations{Entries: 100, Age: time.Hour},
		TPMContextLifetime: 2 * time.Minute, TPMReportValidity: 96 * time.Hour,
		Settings: provider.Settings{
			HidePolicyReasons: true, AnonymousPolicyRead: true,
			Strict: true, AllowDraftPolicy: &no, RefuseDebuggable: true, RequireZeroReportDataTail: true, RequireCRLs: &no,
			CollateralExpiry: "pinned", CollateralGrace: 36 * time.Hour,
			TCBAcceptedStatuses:    map[string]string{"UpToDate": "", "OutOfDate": "2026-01-31"},
			TCBMinEvaluationNumber: 17, TCBMinDate: "2024-03-13", TCBRefusedAdvisories: []string{"INTEL-SA-00615"},
			TPMSettings: provider.TPMSettings{
				AllowSHA1: true, AllowV1Basic: &no, RequireAuthority: &no, ClaimPrefix: "urn:", PCRDigestText: "hex", EventDigests: true,
				DRTMSigningKey: "a key in PEM\n", EmitAttestationType: true,
				AIKRoots: []provider.AIKRoot{{Certificate: "a certificate in PEM", AllowMissingEKU: true}}, AIKIntermediates: "certificates in PEM",
				AIKEnrolment: "vendor",
			},
		},
		AIKRoots: []AIKRoot{{"root.pem", true}, {"other.pem", false}}, AIKIntermediates: []string{"issuing.pem"},
		EKRoots: []AIKRoot{{"maker.pem", true}}, EKIntermediates: []string{"maker-issuing.pem"},
		AMDRoots: []string{"ark.pem"}, AMDKeyService: "https://kds.example", AMDCertificates: []string{"vceks"}, SNPReportVersions: Versions{3, 4},
		TPMLimits:     TPMLimits{1 << 20, 1000, 4096, 100, 3, 2 << 20, 500, 10, 1024},
		PolicySigners: []string{"signer.pem"}, Shared: true, Location: "westeurope",
		ProviderURL: "https://{name}.attest.example", ProviderListen: "127.0.0.1:9000-9099",
		Store: "postgres://assay@db/assay", StoreFile: "/etc/assay/store", SealKey: "/etc/assay/seal.key",
		Keys: Keys{PublishLead: time.Hour, RotateEvery: 720 * time.Hour, RotateNever: true, Retain: 48 * time.Hour},
		Auth: auth.Config{
			Issuers: []auth.Issuer{{
				URL: "https://login.example/v2.0", Discovery: "https://login.example/d", Audiences: []string{"a"}, ControlAudiences: []string{"b"},
				CAFile: "ca.pem", Rules: []auth.Rule{{Claim: "groups", Value: "g", Role: auth.Contributor, Providers: []string{"*"}}},
			}},
			ClientCerts: auth.ClientCerts{Rules: []auth.CertRule{{URI: "spiffe://x", Role: auth.Reader, Providers: []string{"default"}}}},
		},
		ClientCA: "clients.pem", Drain: 5 * time.Second, Limits: Limits{Rate{100, 200}, Rate{1, 2}, Rate{5, 6}, Rate{3, 4}}, Audit: Audit{"audit.jsonl", true, true},
		OpsListen: "127.0.0.1:9464", ProxyProtocol: []string{"192.0.2.0/24", "2001:db8::1"}, Preview2018: &no, ARMFacade: true, PolicyBody: 4096,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for i := range reflect.TypeFor[Config]().NumField() {
		if reflect.ValueOf(got).Field(i).IsZero() {
			t.Errorf("the example has no %s", reflect.TypeFor[Config]().Field(i).Name)
		}
	}
}

func TestUnreadableFilesAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"unknown key":         "lisen: x",
		"unknown setting":     "settings: {stric: true}",
		"key twice":           "url: a\nurl: b",
		"key in another case": "URL: a",
		"setting at top":      "strict: true",
		"wrong type":          "dev: maybe",
		"list for text":       "url: [a]",
		"bad time":            "at: yesterday",
		"time without zone":   "at: 2024-03-01T00:00:00",
		"bad duration":        "settings: {collateral_grace: 3 days}",
		"negative number":     "settings: {tcb_min_evaluation_number: -1}",
		"no YAML":             "\x00{",
		"too large":           "# " + strings.Repeat("x", maxFile),
	} {
		if c, err := read(t, text); err == nil {
			t.Errorf("%s: read as %+v", name, c)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); !os.IsNotExist(err) {
		t.Errorf("no file: %v", err)
	}
	if _, err := read(t, "# "+strings.Repeat("x", maxFile-2)); err != nil {
		t.Errorf("largest file: %v", err)
	}
}

func TestComplete(t *testing.T) {
	tls := Config{URL: "https://attest.example", TLSCert: "c", TLSKey: "k"}
	dev := Config{Dev: true}
	proxied := Config{URL: "https://attest.example", InsecureHTTP: true}
	for _, tt := range []struct {
		name string
		base Config
		edit func(*Config)
		want string // in the error; empty if there is none
	}{
		{"with TLS", tls, func(*Config) {}, ""},
		{"with TLS on all addresses", tls, func(c *Config) { c.Listen = ":8443" }, ""},
		{"development", dev, func(*Config) {}, ""},
		{"development at a fixed time", dev, func(c *Config) { c.At = time.Unix(1, 0) }, ""},
		{"behind a proxy", proxied, func(*Config) {}, ""},
		{"behind a proxy, IPv6", proxied, func(c *Config) { c.Listen = "[::1]:80" }, ""},
		{"behind a proxy, by name", proxied, func(c *Config) { c.Listen = "localhost:80" }, ""},

		{"no URL", tls, func(c *Config) { c.URL = "" }, "url is required"},
		{"URL with a slash", tls, func(c *Config) { c.URL += "/" }, "slash"},
		{"no TLS", Config{URL: "https://attest.example"}, func(*Config) {}, "no TLS"},
		{"certificate without key", tls, func(c *Config) { c.TLSKey = "" }, "go together"},
		{"key without certificate", dev, func(c *Config) { c.TLSKey = "k" }, "go together"},
		{"log beyond 16 MiB", tls, func(c *Config) { c.TCGLog = 16<<20 + 1 }, "tcg_log"},
		{"log of 16 MiB", tls, func(c *Config) { c.TCGLog, c.TCGLogRecords = 16<<20, 100_000 }, ""},
		{"records beyond 100,000", tls, func(c *Config) { c.TCGLogRecords = 100_001 }, "tcg_log_records"},
		{"negative depth", tls, func(c *Config) { c.SIPADepth = -1 }, "sipa_depth"},
		{"fixed time", tls, func(c *Config) { c.At = time.Unix(1, 0) }, "development mode"},
		{"plain HTTP to all", proxied, func(c *Config) { c.Listen = ":80" }, "not a loopback address"},
		{"plain HTTP to all, IPv4", proxied, func(c *Config) { c.Listen = "0.0.0.0:80" }, "not a loopback address"},
		{"plain HTTP to a network", proxied, func(c *Config) { c.Listen = "192.0.2.1:80" }, "not a loopback address"},
		{"plain HTTP to a name", proxied, func(c *Config) { c.Listen = "localhost.example:80" }, "not a loopback address"},
		{"plain HTTP in development", dev, func(c *Config) { c.InsecureHTTP, c.Listen = true, ":80" }, "not a loopback address"},
		{"address without port", tls, func(c *Config) { c.Listen = "127.0.0.1" }, "listen"},
		{"longest time to drain", tls, func(c *Config) { c.Drain = MaxDrain }, ""},
		{"a longer one", tls, func(c *Config) { c.Drain = MaxDrain + 1 }, "drain"},
		{"a negative one", tls, func(c *Config) { c.Drain = -1 }, "drain"},
		{"shortest TPM challenge", tls, func(c *Config) { c.TPMContextLifetime = time.Second }, ""},
		{"a shorter one", tls, func(c *Config) { c.TPMContextLifetime = time.Second - 1 }, "tpm_context_lifetime"},
		{"longest TPM challenge", tls, func(c *Config) { c.TPMContextLifetime = time.Hour }, ""},
		{"a longer one", tls, func(c *Config) { c.TPMContextLifetime = time.Hour + 1 }, "tpm_context_lifetime"},
		{"shortest TPM report", tls, func(c *Config) { c.TPMReportValidity = time.Minute }, ""},
		{"a shorter one", tls, func(c *Config) { c.TPMReportValidity = time.Minute - 1 }, "tpm_report_validity"},
		{"longest TPM report", tls, func(c *Config) { c.TPMReportValidity = 365 * 24 * time.Hour }, ""},
		{"a longer one", tls, func(c *Config) { c.TPMReportValidity = 365*24*time.Hour + 1 }, "tpm_report_validity"},
		{"client certificates", tls, func(c *Config) { c.ClientCA = "ca"; c.Auth.ClientCerts.Rules = make([]auth.CertRule, 1) }, ""},
		{"client certificates without TLS", proxied, func(c *Config) { c.ClientCA = "ca" }, "client_ca"},
		{"rules for client certificates of nobody", tls, func(c *Config) { c.Auth.ClientCerts.Rules = make([]auth.CertRule, 1) }, "client_ca"},
		{"negative limit", tls, func(c *Config) { c.AttestBody = -1 }, "attest_body"},
	} {
		c := tt.base
		tt.edit(&c)
		if err := c.Complete(); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
	if err := tls.Complete(); err != nil || tls.Listen != "127.0.0.1:8443" || tls.Data != "assay-data" {
		t.Errorf("defaults: %v, listen %q, data %q", err, tls.Listen, tls.Data)
	}
}

func TestSettingsBecomeABaseline(t *testing.T) {
	yes, no := true, false
	enforce, pinned := dcap.Enforce, dcap.Pinned
	day := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name     string
		settings provider.Settings
		want     verifier.Baseline
	}{
		{"defaults", provider.Settings{}, verifier.Baseline{AllowDraftPolicy: true}},
		{"strict", provider.Settings{Strict: true}, verifier.Baseline{Strict: true, AllowDraftPolicy: true}},
		{"off", provider.Settings{AllowDraftPolicy: &no, RequireCRLs: &no}, verifier.Baseline{WithoutCRLs: true}},
		{"on", provider.Settings{AllowDraftPolicy: &yes, RequireCRLs: &yes, RefuseDebuggable: true, RequireZeroReportDataTail: true},
			verifier.Baseline{AllowDraftPolicy: true, RefuseDebuggable: true, ZeroReportDataTail: true}},
		{"enforce", provider.Settings{CollateralExpiry: "enforce"}, verifier.Baseline{AllowDraftPolicy: true, Expiry: &enforce}},
		{"pinned", provider.Settings{CollateralExpiry: "pinned", CollateralGrace: time.Hour}, verifier.Baseline{AllowDraftPolicy: true, Expiry: &pinned, CollateralGrace: time.Hour}},
		{"statuses", provider.Settings{TCBAcceptedStatuses: map[string]string{"UpToDate": "", "OutOfDate": "2026-01-31"}},
			verifier.Baseline{AllowDraftPolicy: true, AcceptedStatuses: map[dcap.Status]time.Time{dcap.UpToDate: {}, dcap.OutOfDate: day}}},
		{"conditions", provider.Settings{TCBMinEvaluationNumber: 17, TCBMinDate: "2026-01-31", TCBRefusedAdvisories: []string{"INTEL-SA-00615"}},
			verifier.Baseline{AllowDraftPolicy: true, MinEvaluationNumber: 17, MinDate: day, RefusedAdvisories: []string{"INTEL-SA-00615"}}},
	} {
		if got, err := tt.settings.Baseline(); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %+v, %v\nwant %+v", tt.name, got, err, tt.want)
		}
	}
}

func TestBadSettingsAreRefused(t *testing.T) {
	statuses := func(status, until string) provider.Settings {
		return provider.Settings{TCBAcceptedStatuses: map[string]string{status: until}}
	}
	for _, tt := range []struct {
		settings provider.Settings
		want     string
	}{
		{provider.Settings{CollateralExpiry: "ignore"}, "enforce or pinned"},
		{provider.Settings{CollateralExpiry: "Pinned"}, "enforce or pinned"},
		{provider.Settings{CollateralGrace: -time.Hour}, "collateral_grace"},
		{provider.Settings{TCBMinDate: "31.1.2026"}, "tcb_min_date"},
		{statuses("OutOfDate", ""), "OutOfDate needs the date"},
		{statuses("OutOfDateConfigurationNeeded", ""), "OutOfDateConfigurationNeeded needs the date"},
		{statuses("Revoked", ""), "Revoked needs the date"},
		{statuses("OutOfDate", "soon"), "tcb_accepted_statuses"},
		{statuses("OutOfDate", "2026-02-30"), "tcb_accepted_statuses"},
		{statuses("uptodate", ""), "unknown status"},
		{statuses("NotSupported", "2026-01-31"), "unknown status"},
	} {
		if got, err := tt.settings.Baseline(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got %+v, %v; want %q", tt.settings, got, err, tt.want)
		}
	}
}

func TestPolicyFiles(t *testing.T) {
	c := Config{Policies: map[string]string{"sgx": "a", "openENCLAVE": "b"}}
	c.SetPolicy("SgxEnclave", "c")
	got, err := c.PolicyFiles()
	if want := map[string]string{"SgxEnclave": "c", "OpenEnclave": "b"}; err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	for _, names := range [][]string{{"tpm2"}, {"sgx", "SgxEnclave"}} {
		c := Config{Policies: map[string]string{}}
		for _, name := range names {
			c.Policies[name] = "x"
		}
		if got, err := c.PolicyFiles(); err == nil {
			t.Errorf("%v: got %v, want an error", names, got)
		}
	}
}

func TestTimeMayBeQuoted(t *testing.T) {
	for _, text := range []string{`at: 2024-03-01T00:00:00Z`, `at: "2024-03-01T00:00:00Z"`, `at: '2024-03-01T01:00:00+01:00' # in Berlin`} {
		if c, err := read(t, text); err != nil || !c.At.Equal(time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("%s: got %v, %v", text, c.At, err)
		}
	}
}

func TestFilesAreBounded(t *testing.T) {
	dir := t.TempDir()
	for size, fits := range map[int]bool{0: true, MaxPolicyFile: true, MaxPolicyFile + 1: false} {
		name := filepath.Join(dir, "policy.txt")
		if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if b, err := ReadFile(name, MaxPolicyFile); (err == nil) != fits || fits && len(b) != size {
			t.Errorf("%d bytes: got %d, %v", size, len(b), err)
		}
	}
	if _, err := os.Stat("/dev/zero"); err != nil {
		return // not a system with files that have no end
	}
	if _, err := Read("/dev/zero"); err == nil || !strings.Contains(err.Error(), "larger than 1048576 bytes") {
		t.Errorf("a file without an end: %v", err)
	}
}

// TestReportsLiveADayByDefault: README.md section 7 of the specification.
func TestReportsLiveADayByDefault(t *testing.T) {
	for set, want := range map[time.Duration]time.Duration{0: 1440 * time.Minute, time.Hour: time.Hour} {
		if got := (&Config{TPMReportValidity: set}).ReportValidity(); got != want {
			t.Errorf("set to %s: %s, want %s", set, got, want)
		}
	}
}
