package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/goccy/go-yaml"

	"github.com/assay-attestation/assay/internal/jose"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// providerCall is a call of one of the provider commands: the service, which surface of it, and what is said of the provider.
type providerCall struct {
	remote
	arm      armScope
	name     string
	location string
	tags     map[string]string
	network  string // publicNetworkAccess
	tpm      string // tpmAttestationAuthentication
	signers  []*x509.Certificate
	settings jsontext.Value // nil: not given
	version  int64          // that the provider must have; 0: any
}

// serviceVar declares the flags of all provider commands.
func (p *providerCall) serviceVar(c *call) {
	c.managedVar(&p.remote)
	c.StringVar(&p.arm.subscription, "subscription", "", "`ID` of the subscription: go by way of the Azure Resource Manager, Microsoft's or ours")
	c.StringVar(&p.arm.group, "resource-group", "", "`NAME` of the resource group, with --subscription")
}

// changeableVar declares the flags of what can be set and changed.
func (p *providerCall) changeableVar(c *call) {
	c.Func("tag", "tag `NAME=VALUE`; may be repeated, and replaces all there are", func(s string) error {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return errors.New("expected NAME=VALUE")
		}
		if p.tags == nil {
			p.tags = map[string]string{}
		}
		p.tags[name] = value
		return nil
	})
	c.Func("public-network-access", "`STATE`: Enabled or Disabled, for callers from public addresses", func(s string) (err error) {
		p.network, err = onOff(s)
		return err
	})
	c.Func("tpm-authentication", "`STATE`: Enabled or Disabled, whether TPM attestation needs a bearer token", func(s string) (err error) {
		p.tpm, err = onOff(s)
		return err
	})
	c.Func("settings", "switches of the provider in `FILE`, JSON or YAML (Assay only); they replace all there are", func(file string) (err error) {
		p.settings, err = c.settings(file)
		return err
	})
}

// onOff reads a state as ARM has it.
func onOff(s string) (string, error) {
	for _, state := range []string{"Enabled", "Disabled"} {
		if strings.EqualFold(s, state) {
			return state, nil
		}
	}
	return "", errors.New("expected Enabled or Disabled")
}

// settings reads the switches of a provider. What they mean, the service knows.
func (c *call) settings(file string) (jsontext.Value, error) {
	b, err := c.read(file)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(bytes.TrimSpace(b), []byte{'{'}) {
		if b, err = yaml.YAMLToJSON(b); err != nil {
			return nil, badFile(fmt.Errorf("%s: %w", file, err))
		}
	}
	v, err := strictjson.Compact(b)
	if err == nil && v.Kind() != '{' {
		err = fmt.Errorf("expected an object of switches, found %s", shorten(v.String()))
	}
	if err != nil {
		return nil, badFile(fmt.Errorf("%s: %w", file, err))
	}
	return v, nil
}

func (p *providerCall) versionVar(c *call) {
	c.Int64Var(&p.version, "if-version", 0, "only if version `N` is the newest, as show prints it (Assay only)")
	c.Lookup("if-version").DefValue = ""
}

// parse reads the arguments. pos is the provider's name, or nothing of provider list.
func (p *providerCall) parse(c *call, names ...string) error {
	pos, err := c.parse(append(names, "--endpoint")...)
	if err != nil {
		return err
	}
	if len(pos) > 0 {
		p.name = pos[0]
	}
	switch {
	case p.arm.group != "" && p.arm.subscription == "":
		return usage("--subscription is missing: --resource-group goes with it")
	case p.arm.subscription != "" && p.arm.group == "" && len(pos) > 0:
		return usage("--resource-group is missing: --subscription goes with it")
	case p.arm.subscription != "" && (p.settings != nil || p.version != 0):
		return usage("--settings and --if-version are Assay's own: call without --subscription")
	case p.version < 0:
		return usage("--if-version %d: expected a positive number", p.version)
	}
	return p.ready(c)
}

// providerReport is a provider, as either surface shows it, and the result of the commands about one.
type providerReport struct {
	Name                string            `json:"name"`
	ID                  string            `json:"id,omitzero"` // of ARM
	URL                 string            `json:"url"`
	TrustModel          string            `json:"trustModel"`
	Status              string            `json:"status,omitzero"` // of ARM: Ready, NotReady, Error
	Location            string            `json:"location"`
	Tags                map[string]string `json:"tags,omitzero"`
	Shared              bool              `json:"shared,omitzero"`
	PublicNetworkAccess string            `json:"publicNetworkAccess,omitzero"`
	TPMAuthentication   string            `json:"tpmAttestationAuthentication,omitzero"`
	Settings            jsontext.Value    `json:"settings,omitzero"`
	PolicySigners       []string          `json:"policySigners,omitzero"` // thumbprints
	Version             int64             `json:"version,omitzero"`
	Created             change            `json:"created,omitzero"`
	Modified            change            `json:"modified,omitzero"`
	done                string
}

// change says who changed a provider, and when.
type change struct {
	By        string    `json:"by"`
	At        time.Time `json:"at"`
	RequestID string    `json:"requestId,omitzero"`
}

func (ch change) text() string {
	if ch.At.IsZero() {
		return ""
	}
	return stamp(ch.At) + " by " + ch.By
}

func (r *providerReport) print(s sheet, _ error) {
	s.heading(green, r.done, r.Name)
	version := ""
	if r.Version > 0 {
		version = fmt.Sprint(r.Version)
	}
	s.rows(
		row{"id", r.ID}, row{"URL", r.URL}, row{"status", r.Status}, row{"trust model", r.TrustModel}, row{"location", r.Location},
		row{"tags", r.tags()}, row{"public network access", r.PublicNetworkAccess}, row{"TPM authentication", r.TPMAuthentication},
		row{"settings", string(r.Settings)}, row{"policy signers", list(r.PolicySigners)}, row{"version", version},
		row{"created", r.Created.text()}, row{"modified", r.Modified.text()},
	)
}

func (r *providerReport) tags() string {
	var tags []string
	for _, name := range slices.Sorted(maps.Keys(r.Tags)) {
		tags = append(tags, name+"="+r.Tags[name])
	}
	return list(tags)
}

// providerList is the result of provider list.
type providerList struct {
	Providers []*providerReport `json:"providers"`
}

func (l *providerList) print(s sheet, _ error) {
	lines := [][]string{{"NAME", "TRUST", "LOCATION", "URL"}}
	for _, p := range l.Providers {
		lines = append(lines, []string{p.Name, p.TrustModel, p.Location, p.URL})
	}
	s.heading(green, "PROVIDERS", fmt.Sprint(len(l.Providers)))
	s.table(lines)
}

// deleted is the result of provider delete.
type deleted struct {
	Name   string `json:"name"`
	Result string `json:"result"` // deleted, accepted (it goes on) or absent (there was none)
}

func (d *deleted) print(s sheet, _ error) { s.heading(green, strings.ToUpper(d.Result), d.Name) }

// signerJWK is a policy signing certificate as all surfaces take it (management.md section 4.2).
type signerJWK struct {
	Type      string   `json:"kty"`
	Algorithm string   `json:"alg"`
	Use       string   `json:"use"`
	Chain     [][]byte `json:"x5c"` // standard base64
}

// signerSet is the JWK set of the certificates.
func signerSet(certs []*x509.Certificate) (map[string][]signerJWK, error) {
	keys := []signerJWK{}
	for _, cert := range certs {
		a, err := jose.For(cert.PublicKey)
		if err != nil {
			return nil, usage("--signer: the certificate %s: %w", cert.Subject, err)
		}
		kind := "RSA"
		if cert.PublicKeyAlgorithm == x509.ECDSA {
			kind = "EC"
		}
		keys = append(keys, signerJWK{kind, a.Name, "sig", [][]byte{cert.Raw}})
	}
	return map[string][]signerJWK{"keys": keys}, nil
}

// properties are what the flags say of a provider, without location and tags.
func (p *providerCall) properties() (map[string]any, error) {
	properties := map[string]any{}
	for name, value := range map[string]string{"publicNetworkAccess": p.network, "tpmAttestationAuthentication": p.tpm} {
		if value != "" {
			properties[name] = value
		}
	}
	if p.signers == nil {
		return properties, nil
	}
	set, err := signerSet(p.signers)
	properties["policySigningCertificates"] = set
	return properties, err
}

// target begins a message to the provider, or without a name to all, and says whether that is ARM.
func (p *providerCall) target(method string) (message, bool) {
	if p.arm.subscription != "" {
		return message{method: method, path: p.arm.path(p.name)}.with(armVersion), true
	}
	m := message{method: method, path: nativeRoutes + "/providers", header: http.Header{}}
	if p.name != "" {
		m.path += "/" + url.PathEscape(p.name)
	}
	if p.version > 0 {
		m.header.Set("If-Match", fmt.Sprintf(`"%d"`, p.version))
	}
	return m, false
}

// deliver sends a message to the surface that it is for.
func (p *providerCall) deliver(ctx context.Context, m message, viaARM bool) (*answer, error) {
	a, err := p.send(ctx, m)
	if !viaARM {
		err = ownOperation(err)
	}
	return a, err
}

// write creates or changes the provider.
func (p *providerCall) write(ctx context.Context, method string) (*providerReport, int, error) {
	body, err := p.properties()
	if err != nil {
		return nil, 0, err
	}
	m, viaARM := p.target(method)
	if viaARM {
		body = map[string]any{"properties": body}
	}
	if p.location != "" {
		body["location"] = p.location
	}
	if p.tags != nil {
		body["tags"] = p.tags
	}
	if p.settings != nil {
		body["settings"] = p.settings
	}
	content, err := jsonMessage(method, m.path, body)
	if err != nil {
		return nil, 0, err
	}
	m.kind, m.body = content.kind, content.body
	return p.one(ctx, m, viaARM)
}

// one sends a message that is answered with a provider.
func (p *providerCall) one(ctx context.Context, m message, viaARM bool) (*providerReport, int, error) {
	a, err := p.deliver(ctx, m, viaARM)
	if err != nil {
		return nil, 0, err
	}
	report := &providerReport{}
	var resource armProvider
	if viaARM {
		err = a.read(&resource)
		report = resource.report()
	} else {
		err = a.read(report)
	}
	if err == nil && !strings.EqualFold(report.Name, p.name) {
		err = &serviceError{err: fmt.Errorf("the service answered %d about the provider %q, not about %q", a.status, report.Name, p.name)}
	}
	return report, a.status, err
}

// runProviderCreate creates a provider.
func runProviderCreate(ctx context.Context, c *call) error {
	var p providerCall
	p.serviceVar(c)
	p.changeableVar(c)
	c.StringVar(&p.location, "location", "", "`NAME` of the location; ARM wants one")
	c.Func("signer", "certificates of policy signers in `FILE` (PEM); may be repeated, and makes the provider isolated", func(file string) error {
		certs, err := inPEM(c, file, pemCertificates)
		p.signers = append(p.signers, certs...)
		return err
	})
	if err := p.parse(c, "NAME"); err != nil {
		return err
	}
	if p.arm.subscription != "" && p.location == "" {
		return usage("--location is missing: ARM wants one")
	}
	report, status, err := p.write(ctx, http.MethodPut)
	if err != nil {
		return c.tellService(err)
	}
	if report.done = "CREATED"; status != http.StatusCreated {
		report.done = "UPDATED"
		c.warn("there was a provider %s already; it now has what the flags say", p.name)
	}
	return c.tell(report, nil)
}

// runProviderUpdate changes what the flags say, and nothing else.
func runProviderUpdate(ctx context.Context, c *call) error {
	p := providerCall{}
	p.serviceVar(c)
	p.changeableVar(c)
	p.versionVar(c)
	if err := p.parse(c, "NAME"); err != nil {
		return err
	}
	if p.tags == nil && cmp.Or(p.network, p.tpm) == "" && p.settings == nil {
		return usage("nothing to change: --tag, --public-network-access, --tpm-authentication or --settings is missing")
	}
	report, _, err := p.write(ctx, http.MethodPatch)
	if err != nil {
		return c.tellService(err)
	}
	report.done = "UPDATED"
	return c.tell(report, nil)
}

// runProviderShow shows a provider.
func runProviderShow(ctx context.Context, c *call) error {
	var p providerCall
	p.serviceVar(c)
	if err := p.parse(c, "NAME"); err != nil {
		return err
	}
	m, viaARM := p.target(http.MethodGet)
	report, _, err := p.one(ctx, m, viaARM)
	if err != nil {
		return c.tellService(err)
	}
	report.done = "PROVIDER"
	return c.tell(report, nil)
}

// runProviderList lists the providers that the caller may read.
func runProviderList(ctx context.Context, c *call) error {
	var p providerCall
	p.serviceVar(c)
	if err := p.parse(c); err != nil {
		return err
	}
	m, viaARM := p.target(http.MethodGet)
	a, err := p.deliver(ctx, m, viaARM)
	if err != nil {
		return c.tellService(err)
	}
	all := &providerList{Providers: []*providerReport{}}
	if viaARM {
		err = all.readARM(a)
	} else {
		err = a.read(all)
	}
	if err != nil {
		return err
	}
	return c.tell(all, nil)
}

// runProviderDelete deletes a provider and its signing keys.
func runProviderDelete(ctx context.Context, c *call) error {
	var p providerCall
	p.serviceVar(c)
	p.versionVar(c)
	if err := p.parse(c, "NAME"); err != nil {
		return err
	}
	m, viaARM := p.target(http.MethodDelete)
	a, err := p.deliver(ctx, m, viaARM)
	if err != nil {
		return c.tellService(err)
	}
	d := &deleted{p.name, "deleted"}
	switch {
	case a.status == http.StatusAccepted:
		d.Result = "accepted"
	case viaARM && a.status == http.StatusNoContent:
		d.Result = "absent"
	}
	return c.tell(d, nil)
}
