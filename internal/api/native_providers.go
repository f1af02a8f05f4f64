package api

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// nativeProviders is the path of the providers, and that of one of them with its name.
const nativeProviders = "/assay/v1/providers"

// providerRoutes are our own operations on providers (docs/api.md).
func (s *Service) providerRoutes() []route {
	one := func(name string, p auth.Permission, do func(context.Context, *request) (any, error)) operation {
		return operation{name: name, access: onNamed(p, auth.DataPlane), policyBody: true, always: true, do: do}
	}
	const path = nativeProviders + "/{name}"
	list := operation{name: "ListProviders", access: onSome(auth.DataPlane), policyBody: true, always: true, do: s.listNative}
	return []route{
		{http.MethodGet, nativeProviders, list},
		{http.MethodGet, path, one("GetProvider", auth.Read, s.getNative)},
		{http.MethodPut, path, one("CreateProvider", auth.Manage, s.putNative)},
		{http.MethodPatch, path, one("UpdateProvider", auth.Manage, s.patchNative)},
		{http.MethodDelete, path, one("DeleteProvider", auth.Manage, s.deleteNative)},
	}
}

// providerBody is a provider on the wire.
type providerBody struct {
	Name                         string            `json:"name"`
	URL                          string            `json:"url"`
	TrustModel                   string            `json:"trustModel"`
	Location                     string            `json:"location"`
	Tags                         map[string]string `json:"tags"`
	Shared                       bool              `json:"shared"`
	PublicNetworkAccess          string            `json:"publicNetworkAccess"`
	TPMAttestationAuthentication string            `json:"tpmAttestationAuthentication"`
	Settings                     jsontext.Value    `json:"settings,omitzero"` // not of the default provider, whose are in the configuration
	PolicySigners                []string          `json:"policySigners"`     // thumbprints
	Version                      int64             `json:"version"`
	Created                      store.Stamp       `json:"created"`
	Modified                     store.Stamp       `json:"modified"`
}

func nativeOf(i *provider.Instance) (providerBody, error) {
	b := providerBody{
		Name: i.Name, URL: i.URL, TrustModel: i.TrustModel(), Location: i.Location, Tags: i.Tags, Shared: i.Shared,
		PublicNetworkAccess:          cmp.Or(i.Settings.PublicNetworkAccess, i.PublicNetworkAccess, "Enabled"),
		TPMAttestationAuthentication: cmp.Or(i.Settings.TPMAttestationAuthentication, i.TPMAttestationAuthentication, "Enabled"),
		Settings:                     i.Provider.Settings, PolicySigners: []string{}, Version: i.Version, Created: i.Created, Modified: i.Modified,
	}
	if b.Settings == nil && i.Name != provider.Default {
		b.Settings = jsontext.Value("{}")
	}
	certs, err := i.PolicySigners()
	for _, cert := range certs {
		b.PolicySigners = append(b.PolicySigners, policyjws.Thumbprint(cert))
	}
	return b, err
}

// nativeReply answers with a provider, and its version as the ETag.
func nativeReply(status int, i *provider.Instance) (any, error) {
	body, err := nativeOf(i)
	if err != nil {
		return nil, err
	}
	header := map[string]string{"ETag": etag(i.Version)}
	if status == http.StatusCreated {
		header["Location"] = nativeProviders + "/" + i.Name
	}
	return reply{status, header, body}, nil
}

func etag(version int64) string { return strconv.Quote(strconv.FormatInt(version, 10)) }

func (s *Service) listNative(ctx context.Context, r *request) (any, error) {
	all, err := s.readable(ctx, r)
	if err != nil {
		return nil, err
	}
	list := []providerBody{}
	for _, i := range all {
		b, err := nativeOf(i)
		if err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	return map[string]any{"providers": list}, nil
}

func (s *Service) getNative(ctx context.Context, r *request) (any, error) {
	i, err := s.existing(ctx, r)
	if err != nil {
		return nil, err
	}
	return nativeReply(http.StatusOK, i)
}

// putNative creates a provider, or changes what the body has of it.
func (s *Service) putNative(ctx context.Context, r *request) (any, error) {
	spec, err := r.nativeSpec()
	if err != nil {
		return nil, err
	}
	i, created, err := s.put(ctx, r, spec)
	switch {
	case err != nil:
		return nil, err
	case created:
		return nativeReply(http.StatusCreated, i)
	}
	return nativeReply(http.StatusOK, i)
}

// patchNative changes what the body has of a provider.
func (s *Service) patchNative(ctx context.Context, r *request) (any, error) {
	spec, err := r.nativeSpec()
	if err != nil {
		return nil, err
	}
	i, err := s.patch(ctx, r, spec)
	if err != nil {
		return nil, err
	}
	return nativeReply(http.StatusOK, i)
}

func (s *Service) deleteNative(ctx context.Context, r *request) (any, error) {
	version, err := r.ifMatch()
	if err != nil {
		return nil, err
	}
	i, err := s.existing(ctx, r)
	if err != nil {
		return nil, err
	}
	return reply{status: http.StatusNoContent}, s.Providers.Delete(ctx, i, version, s.author(r))
}

// nativeSpec reads a body, and the version that it is meant for.
func (r *request) nativeSpec() (provider.Spec, error) {
	m, err := strictjson.Members(r.body)
	if err != nil {
		return provider.Spec{}, bad("The request body cannot be read (expected one JSON object): %v.", err)
	}
	for name := range m {
		switch name {
		case memberLocation, memberTags, memberTrustModel, memberSigners, memberNetwork, memberTPM, memberShared, memberSettings:
		default:
			return provider.Spec{}, bad("The member %q is none that can be set: expected location, tags, trustModel, policySigningCertificates, publicNetworkAccess, tpmAttestationAuthentication, shared or settings.", shorten(name, maxQuoted))
		}
	}
	spec, err := members(m).spec()
	if err != nil {
		return spec, err
	}
	spec.IfVersion, err = r.ifMatch()
	return spec, err
}

// ifMatch reads the header If-Match: the version of the provider that is to be changed, 0 for any.
func (r *request) ifMatch() (int64, error) {
	text := r.Header.Get("If-Match")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimPrefix(text, `"`), `"`), 10, 64)
	if err != nil || n < 1 || text != etag(n) {
		return 0, bad("If-Match: expected the ETag of an earlier answer, such as %s, found %q.", etag(3), shorten(text, maxQuoted))
	}
	return n, nil
}
