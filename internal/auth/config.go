package auth

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Config says whom to believe and what they may do. The zero value believes nobody: all callers are anonymous, and tokens
// are refused.
type Config struct {
	// Issuers are the OpenID Connect issuers whose tokens are accepted.
	Issuers []Issuer `yaml:"issuers"`
	// ClientCerts are the rules for callers with a client certificate.
	ClientCerts ClientCerts `yaml:"client_certs"`
	// Development is the key of the built-in issuer; only ever set in development mode. Nil: its tokens are refused.
	Development *DevKey `yaml:"-"`
}

// Issuer is an OpenID Connect issuer. For Entra, one tenant and one version of its tokens:
//
//	v1: URL https://sts.windows.net/TENANT/, Discovery https://login.microsoftonline.com/TENANT
//	v2: URL https://login.microsoftonline.com/TENANT/v2.0
type Issuer struct {
	// URL is the claim iss of its tokens, compared letter by letter.
	URL string `yaml:"url"`
	// Discovery is the https URL under which /.well-known/openid-configuration is, if that is not URL.
	Discovery string `yaml:"discovery"`
	// Audiences are the values of aud for the data plane, one of which a token must have; default
	// DefaultAudiences(DataPlane). Tokens of Entra v2 have the application's id there.
	Audiences []string `yaml:"audiences"`
	// ControlAudiences are those for the resource manager's side; default DefaultAudiences(ControlPlane).
	ControlAudiences []string `yaml:"control_audiences"`
	// CAFile has the roots in PEM for reaching the issuer, in the place of the system's.
	CAFile string `yaml:"ca_file"`
	// Rules give roles. Without any the issuer's callers may do nothing.
	Rules []Rule `yaml:"rules"`
}

// Rule gives a role to the bearers of tokens whose claim has a value.
type Rule struct {
	// Claim is one of RuleClaims. It is a string, or an array of strings; scp is a list of words.
	Claim string `yaml:"claim"`
	// Value is one of the claim's values, letter by letter.
	Value     string   `yaml:"value"`
	Role      Role     `yaml:"role"`
	Providers []string `yaml:"providers"` // as in Grant
}

// ClientCerts are the rules for client certificates.
type ClientCerts struct {
	// Rules give roles to the holders of certificates. Without any they may do nothing.
	Rules []CertRule `yaml:"rules"`
}

// CertRule gives a role to the holder of a certificate that has a property: exactly one of the first four members. All
// but the fingerprint trust every CA for client certificates to give its names to the right ones.
type CertRule struct {
	Fingerprint string   `yaml:"fingerprint"` // SHA-256 of the DER in hex, colons between the bytes or not
	URI         string   `yaml:"uri"`         // a subject alternative name, letter by letter
	DNS         string   `yaml:"dns"`         // a subject alternative name, without case; * is a letter as any other
	CommonName  string   `yaml:"common_name"` // of the subject, letter by letter
	Role        Role     `yaml:"role"`
	Providers   []string `yaml:"providers"` // as in Grant
}

// Audience is the side of the service that a token must be for. The zero value fits no token.
type Audience int

// The sides.
const (
	DataPlane    Audience = iota + 1 // the attestation service
	ControlPlane                     // the resource manager
)

// DefaultAudiences are the values of aud that Azure's clients ask for (api.md section 5, clients.md section 2).
func DefaultAudiences(a Audience) []string {
	switch a {
	case DataPlane:
		return []string{"https://attest.azure.net", "https://attest.azure.net/"}
	case ControlPlane:
		return []string{"https://management.azure.com", "https://management.azure.com/", "https://management.core.windows.net/"}
	}
	return nil
}

// RuleClaims are the claims that a Rule may look at: those that issuers assign, and whoever they are about cannot change.
func RuleClaims() []string {
	return []string{"roles", "groups", claimObjectID, claimSubject, claimAppID, claimParty, claimScope}
}

// changeable are claims that look like identities and are none.
func changeable() []string {
	return []string{"email", claimUPN, claimUsername, "unique_name", "name", "given_name", "family_name"}
}

func (r *Rule) check() error {
	switch {
	case slices.Contains(changeable(), r.Claim):
		return fmt.Errorf("claim %q can change hands or be chosen by its owner: grant by %s, %s, roles or groups",
			r.Claim, claimObjectID, claimSubject)
	case !slices.Contains(RuleClaims(), r.Claim):
		return fmt.Errorf("claim %q: expected one of %q", r.Claim, RuleClaims())
	case r.Value == "":
		return errors.New("value is missing")
	}
	return r.grant().check()
}

func (r *Rule) grant() Grant { return Grant{r.Role, r.Providers} }

// check reports what contradicts itself, without reaching anything.
func (c *Config) check() error {
	seen := map[string]bool{devIssuer: true}
	for _, i := range c.Issuers {
		if seen[i.URL] {
			return fmt.Errorf("issuer %q: there are two of it", i.URL)
		}
		seen[i.URL] = true
		if err := i.check(); err != nil {
			return fmt.Errorf("issuer %q: %w", i.URL, err)
		}
	}
	return nil
}

func (i *Issuer) check() error {
	if i.URL == "" {
		return errors.New("url is missing")
	}
	if err := checkHTTPS(i.discovery()); err != nil {
		return fmt.Errorf("where to discover it: %w", err)
	}
	if slices.Contains(i.Audiences, "") || slices.Contains(i.ControlAudiences, "") {
		return errors.New("an audience is empty")
	}
	for n, r := range i.Rules {
		if err := r.check(); err != nil {
			return fmt.Errorf("rule %d: %w", n+1, err)
		}
	}
	return nil
}

func (i *Issuer) discovery() string {
	if i.Discovery != "" {
		return i.Discovery
	}
	return i.URL
}

// authorizationURI is that of the Authenticator. The authority of Entra is without the version of its tokens.
func (c *Config) authorizationURI() string {
	if len(c.Issuers) == 0 {
		return ""
	}
	return strings.TrimSuffix(strings.TrimSuffix(c.Issuers[0].discovery(), "/"), "/v2.0")
}

// audiences are the values of aud for each side.
func (i *Issuer) audiences() map[Audience][]string {
	all := map[Audience][]string{DataPlane: i.Audiences, ControlPlane: i.ControlAudiences}
	for side, values := range all {
		if len(values) == 0 {
			all[side] = DefaultAudiences(side)
		}
	}
	return all
}

func checkHTTPS(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return err
	case u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return fmt.Errorf("expected a URL such as https://login.example/tenant, found %q", text)
	}
	return nil
}
