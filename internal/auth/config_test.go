package auth_test

import (
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/assay-attestation/assay/internal/auth"
)

func TestConfigurationsThatContradictThemselves(t *testing.T) {
	good := func() auth.Issuer {
		return auth.Issuer{URL: "https://login.example/tenant", Rules: []auth.Rule{
			{Claim: "roles", Value: "Admin", Role: auth.Owner, Providers: []string{"*", "abc", strings.Repeat("a", 24)}},
		}}
	}
	with := func(change func(*auth.Issuer)) auth.Config {
		i := good()
		change(&i)
		return auth.Config{Issuers: []auth.Issuer{i}}
	}
	rule := func(change func(*auth.Rule)) auth.Config {
		return with(func(i *auth.Issuer) { change(&i.Rules[0]) })
	}
	claim := func(name string) auth.Config { return rule(func(r *auth.Rule) { r.Claim = name }) }
	for _, tt := range []struct {
		name string
		cfg  auth.Config
		want string // in the error; empty: none
	}{
		{"nothing", auth.Config{}, ""},
		{"good", auth.Config{Issuers: []auth.Issuer{good()}}, ""},
		{"two issuers", auth.Config{Issuers: []auth.Issuer{good(), {URL: "https://login.example/other"}}}, ""},
		{"v1", with(func(i *auth.Issuer) {
			i.URL, i.Discovery = "https://sts.windows.net/t/", "https://login.microsoftonline.com/t"
		}), ""},
		{"one issuer twice", auth.Config{Issuers: []auth.Issuer{good(), good()}}, "two of it"},
		{"development issuer", with(func(i *auth.Issuer) { i.URL, i.Discovery = "urn:assay:development", i.URL }), "two of it"},
		{"no URL", with(func(i *auth.Issuer) { i.URL = "" }), "url is missing"},
		{"http", with(func(i *auth.Issuer) { i.URL = "http://login.example" }), "https"},
		{"discovery by http", with(func(i *auth.Issuer) { i.Discovery = "http://login.example" }), "https"},
		{"discovery with a user", with(func(i *auth.Issuer) { i.Discovery = "https://a:b@login.example" }), "https"},
		{"no host", with(func(i *auth.Issuer) { i.URL = "https:///tenant" }), "https"},
		{"query", with(func(i *auth.Issuer) { i.URL += "?x=y" }), "https"},
		{"empty audience", with(func(i *auth.Issuer) { i.Audiences = []string{""} }), "audience"},
		{"empty control audience", with(func(i *auth.Issuer) { i.ControlAudiences = []string{"a", ""} }), "audience"},
		{"no such file of roots", with(func(i *auth.Issuer) { i.CAFile = "absent.pem" }), "absent.pem"},
		{"email", claim("email"), "can change hands"},
		{"upn", claim("upn"), "can change hands"},
		{"preferred_username", claim("preferred_username"), "can change hands"},
		{"unknown claim", claim("tid"), "expected one of"},
		{"claim in another case", claim("Roles"), "expected one of"},
		{"no claim", claim(""), "expected one of"},
		{"no value", rule(func(r *auth.Rule) { r.Value = "" }), "value is missing"},
		{"no role", rule(func(r *auth.Rule) { r.Role = "" }), "expected a role"},
		{"role in capitals", rule(func(r *auth.Rule) { r.Role = "Owner" }), "expected a role"},
		{"no providers", rule(func(r *auth.Rule) { r.Providers = nil }), "no providers"},
		{"provider with a pattern", rule(func(r *auth.Rule) { r.Providers = []string{"team-*"} }), "3 to 24"},
		{"provider too short", rule(func(r *auth.Rule) { r.Providers = []string{"ab"} }), "3 to 24"},
		{"provider too long", rule(func(r *auth.Rule) { r.Providers = []string{strings.Repeat("a", 25)} }), "3 to 24"},
	} {
		_, err := auth.New(tt.cfg, (&clock{now: start}).Now)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: got %v, want it to hold %q", tt.name, err, tt.want)
		}
	}
}

func TestClaimsOfRulesAreAllKnown(t *testing.T) {
	for _, name := range auth.RuleClaims() {
		cfg := auth.Config{Issuers: []auth.Issuer{{URL: "https://login.example", Rules: []auth.Rule{
			{Claim: name, Value: "x", Role: auth.Reader, Providers: []string{"*"}},
		}}}}
		if _, err := auth.New(cfg, (&clock{}).Now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConfigurationIsYAML(t *testing.T) {
	var cfg auth.Config
	err := yaml.UnmarshalWithOptions([]byte(`
issuers:
- url: https://sts.windows.net/t/
  discovery: https://login.microsoftonline.com/t
  audiences: [a]
  control_audiences: [b]
  rules:
  - {claim: roles, value: Admin, role: owner, providers: ["*"]}
client_certs:
  rules:
  - {common_name: pipeline, role: reader, providers: [one]}
`), &cfg, yaml.Strict())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := auth.New(cfg, (&clock{}).Now); err != nil {
		t.Error(err)
	}
	i := cfg.Issuers[0]
	if i.Discovery == "" || i.ControlAudiences[0] != "b" || i.Rules[0].Role != auth.Owner || cfg.ClientCerts.Rules[0].CommonName != "pipeline" {
		t.Errorf("got %+v", cfg)
	}
}

func TestAuthorizationURIEndsInTheTenant(t *testing.T) {
	const tenant = "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad"
	v1 := auth.Issuer{URL: "https://sts.windows.net/9188040d-6c67-4c5b-b112-36a304b66dad/", Discovery: tenant}
	v2 := auth.Issuer{URL: tenant + "/v2.0"}
	for _, tt := range []struct {
		cfg  auth.Config
		want string
	}{
		{auth.Config{Issuers: []auth.Issuer{v1, v2}}, tenant},
		{auth.Config{Issuers: []auth.Issuer{v2, v1}}, tenant},
		{auth.Config{Issuers: []auth.Issuer{{URL: "https://login.example/realms/attest/"}}}, "https://login.example/realms/attest"},
		{auth.Config{Issuers: []auth.Issuer{v1}, Development: devKey(t, t.TempDir())}, tenant},
		{auth.Config{Development: devKey(t, t.TempDir())}, ""},
		{auth.Config{}, ""},
	} {
		if got := authenticator(t, tt.cfg, (&clock{now: start}).Now).AuthorizationURI(); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.cfg.Issuers, got, tt.want)
		}
	}
}
