package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// The api-versions of ARM (management.md section 2).
const (
	arm2020        = "2020-10-01"
	arm2021Preview = "2021-06-01-preview"
	arm2021        = "2021-06-01"
)

// armVersions lists the versions of ARM.
func armVersions() []string { return []string{preview2018, arm2020, arm2021Preview, arm2021} }

// Paths of ARM. Those of one provider begin with armOne.
const (
	armSubscription = "/subscriptions/{sub}"
	armGroup        = armSubscription + "/resourceGroups/{group}"
	armOne          = armGroup + "/providers/" + providerType + "/{name}"
	armNamespace    = "/providers/Microsoft.Attestation"
)

// armRoutes are those of the Azure Resource Manager (management.md section 3).
func (s *Service) armRoutes() []route {
	op := func(name string, a access, do func(context.Context, *request) (any, error)) operation {
		return operation{name: name, access: a, versions: armVersions(), policyBody: true, always: true, form: armErrors, do: do}
	}
	some, read, manage := onSome(auth.ControlPlane), onNamed(auth.Read, auth.ControlPlane), onNamed(auth.Manage, auth.ControlPlane)
	list := op("ListProviders", some, s.armList)
	routes := []route{
		{http.MethodGet, armNamespace + "/operations", op("ListOperations", some, armOperations)},
		{http.MethodGet, armOne, op("GetProvider", read, s.armGet)},
		{http.MethodPut, armOne, op("CreateProvider", manage, s.armPut)},
		{http.MethodPatch, armOne, op("UpdateProvider", manage, s.armPatch)},
		{http.MethodDelete, armOne, op("DeleteProvider", manage, s.armDelete)},
		{http.MethodGet, armSubscription + "/providers/" + providerType, list},
		{http.MethodGet, armGroup + "/providers/" + providerType, list},
		{http.MethodGet, armSubscription + armNamespace + "/defaultProviders", op("ListDefaultProviders", some, s.armDefaults)},
		{http.MethodGet, armSubscription + armNamespace + "/locations/{location}/defaultProvider", op("GetDefaultProvider", some, s.armDefaultAt)},
	}
	return append(routes, s.armPrivateRoutes()...)
}

// onNamed lets in whoever has a permission for the provider that the path names.
func onNamed(p auth.Permission, side auth.Audience) access {
	return access{permission: p, side: side, scope: namedByPath}
}

// onSome lets in whoever may read some provider; the operation shows what the caller may see.
func onSome(side auth.Audience) access {
	return access{permission: auth.Read, side: side, scope: anyProvider}
}

func (s *Service) armGet(ctx context.Context, r *request) (any, error) {
	i, err := s.existing(ctx, r)
	if err != nil {
		return nil, err
	}
	return armOf(i, r.version), nil
}

// armPut creates a provider, or changes what the body has of it and is not fixed (management.md section 4.2).
func (s *Service) armPut(ctx context.Context, r *request) (any, error) {
	m, err := armMembers(r.body)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{memberLocation, memberProperties} {
		if m.value(name) == nil {
			return nil, bad("The member %q is missing.", name)
		}
	}
	spec, err := m.spec()
	if err != nil {
		return nil, err
	}
	if spec.Location == "" {
		return nil, bad("The member %q must name a location.", memberLocation)
	}
	i, created, err := s.put(ctx, r, spec)
	switch {
	case err != nil:
		return nil, err
	case created:
		return reply{http.StatusCreated, map[string]string{"Location": i.URL + "/"}, armOf(i, r.version)}, nil
	}
	return armOf(i, r.version), nil
}

// armPatch changes the tags and the switches (management.md section 4.3).
func (s *Service) armPatch(ctx context.Context, r *request) (any, error) {
	m, err := armMembers(r.body)
	if err != nil {
		return nil, err
	}
	spec, err := m.spec()
	if err != nil {
		return nil, err
	}
	i, err := s.patch(ctx, r, spec)
	if err != nil {
		return nil, err
	}
	return armOf(i, r.version), nil
}

func (s *Service) armDelete(ctx context.Context, r *request) (any, error) {
	gone := reply{status: http.StatusNoContent}
	i, err := s.named(ctx, r)
	if err != nil || i == nil {
		return gone, err
	}
	err = s.Providers.Delete(ctx, i, 0, s.author(r))
	if errors.Is(err, store.ErrNotFound) { // somebody else was faster
		return gone, nil
	}
	return reply{status: http.StatusOK}, err
}

// armMembers reads a body of ARM: the members beside its properties and in them. What a provider does not have is ignored.
func armMembers(body []byte) (members, error) {
	top, err := strictjson.Members(body)
	if err != nil {
		return nil, bad("The request body cannot be read (expected one JSON object): %v.", err)
	}
	var properties members
	if value := members(top).value(memberProperties); value != nil {
		if properties, err = strictjson.Members(value); err != nil {
			return nil, bad("The member %q cannot be read: %v.", memberProperties, err)
		}
	}
	m := members{}
	for _, name := range []string{memberLocation, memberTags, memberProperties} {
		m[name] = top[name]
	}
	for _, name := range []string{memberTrustModel, memberSigners, memberNetwork, memberTPM} {
		m[name] = properties[name]
	}
	return m, nil
}

// armList lists the providers of a subscription, or of a resource group in it.
func (s *Service) armList(ctx context.Context, r *request) (any, error) {
	all, err := s.readable(ctx, r)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(i *provider.Instance) bool { return !r.holds(i) })
	return armListOf(all, r.version), nil
}

// defaults are the provider that the configuration describes and the shared ones: what a caller without providers of its own
// can use. Shared ones are shown to everybody who may use the operation.
func (s *Service) defaults(ctx context.Context, r *request) (list []*provider.Instance, err error) {
	if err := s.Providers.Refresh(ctx); err != nil {
		return nil, err
	}
	for _, i := range s.Providers.All() {
		switch {
		case i.Name == provider.Default && (i.Shared || r.caller.May(i.Name, auth.Read)):
			list = slices.Insert(list, 0, i)
		case i.Name != provider.Default && i.Shared:
			list = append(list, i)
		}
	}
	return list, nil
}

func (s *Service) armDefaults(ctx context.Context, r *request) (any, error) {
	list, err := s.defaults(ctx, r)
	return armListOf(list, r.version), err
}

// armDefaultAt answers the first default provider of a location.
func (s *Service) armDefaultAt(ctx context.Context, r *request) (any, error) {
	list, err := s.defaults(ctx, r)
	if err != nil {
		return nil, err
	}
	location := provider.ShortLocation(r.params["location"])
	for _, i := range list {
		if provider.ShortLocation(i.Location) == location {
			return armOf(i, r.version), nil
		}
	}
	return nil, refuse(http.StatusNotFound, codeNotFound, "No default provider is in the location %q.", shorten(strings.TrimSpace(r.params["location"]), maxQuoted))
}
