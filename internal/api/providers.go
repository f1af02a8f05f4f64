package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// The control plane has two surfaces, that of ARM and our own. Here is what both do; each reads its bodies into members
// and writes what came of it in its own form.

// members are those of a body that describe a provider, by their names in lower case.
type members map[string]jsontext.Value

// Names of members in lower case.
const (
	memberLocation   = "location"
	memberTags       = "tags"
	memberTrustModel = "trustmodel"
	memberSigners    = "policysigningcertificates"
	memberNetwork    = "publicnetworkaccess"
	memberTPM        = "tpmattestationauthentication"
	memberShared     = "shared"
	memberSettings   = "settings"
	memberProperties = "properties"
)

// spec reads the members; those that are absent or null say nothing.
func (m members) spec() (s provider.Spec, err error) {
	for _, field := range []struct {
		name string
		into any
	}{
		{memberLocation, &s.Location}, {memberTags, &s.Tags}, {memberTrustModel, &s.TrustModel}, {memberShared, &s.Shared},
		{memberNetwork, &s.PublicNetworkAccess}, {memberTPM, &s.TPMAttestationAuthentication},
	} {
		if value := m.value(field.name); value != nil {
			if err := strictjson.Exact(value, field.into); err != nil {
				return s, bad("The member %q cannot be read: %v.", field.name, err)
			}
		}
	}
	s.Settings = m.value(memberSettings)
	if set := m.value(memberSigners); set != nil {
		s.Signers, err = signersOf(set)
	}
	return s, err
}

// value gives a member, nil of one that is null.
func (m members) value(name string) jsontext.Value {
	if v := m[name]; v.Kind() != 'n' {
		return v
	}
	return nil
}

// signersOf reads a JWK set. One without keys says that there are to be none.
func signersOf(set jsontext.Value) ([][]byte, error) {
	certs, err := policyjws.Signers(set, provider.MaxSigners)
	if err != nil {
		return nil, bad("The member %q cannot be read (expected a JWK set with x5c in each key): %v.", memberSigners, err)
	}
	ders := [][]byte{}
	for _, cert := range certs {
		ders = append(ders, cert.Raw)
	}
	return ders, nil
}

// named finds the provider that the path names, as the store has it now; nil if there is none, or it is not of the subscription
// and resource group in the path.
func (s *Service) named(ctx context.Context, r *request) (*provider.Instance, error) {
	if err := s.Providers.Refresh(ctx); err != nil {
		return nil, err
	}
	i, ok := s.Providers.ByName(r.params["name"])
	if !ok || !r.holds(i) {
		return nil, nil
	}
	return i, nil
}

// existing is named for operations on what must be there.
func (s *Service) existing(ctx context.Context, r *request) (*provider.Instance, error) {
	i, err := s.named(ctx, r)
	if err == nil && i == nil {
		err = noProvider(r)
	}
	return i, err
}

func noProvider(r *request) error {
	where := "here"
	if group, ok := r.params["group"]; ok {
		where = "in the resource group " + shorten(group, maxQuoted) + " of this subscription"
	}
	return refuse(http.StatusNotFound, codeNotFound, "There is no provider %s %s; list those that there are.", shorten(r.params["name"], maxQuoted), where)
}

// holds reports whether a provider is of the subscription and the resource group that the path names, if it does.
func (r *request) holds(i *provider.Instance) bool {
	for name, value := range map[string]string{"sub": i.Subscription, "group": i.ResourceGroup} {
		if wanted, ok := r.params[name]; ok && !strings.EqualFold(wanted, value) {
			return false
		}
	}
	return true
}

// put creates the provider that the path names, or changes it if it is there.
func (s *Service) put(ctx context.Context, r *request, spec provider.Spec) (i *provider.Instance, created bool, err error) {
	if i, err = s.named(ctx, r); err != nil {
		return nil, false, err
	}
	if i != nil {
		op := *r.op
		op.name, r.op = "UpdateProvider", &op
		i, err = s.change(ctx, r, i, spec)
		return i, false, err
	}
	if spec.IfVersion != 0 {
		return nil, false, refuse(http.StatusConflict, codeConflict, "If-Match names version %d of a provider that is not there.", spec.IfVersion)
	}
	spec.Name, spec.Subscription, spec.ResourceGroup = r.params["name"], r.params["sub"], r.params["group"]
	if home, ok := s.Providers.ByName(provider.Default); ok && spec.Location == "" {
		spec.Location = home.Location
	}
	if err := s.Providers.Create(ctx, spec, s.Address, s.author(r)); err != nil {
		return nil, false, taken(err, spec.Name)
	}
	i, err = s.existing(ctx, r)
	return i, true, err
}

// patch changes the provider that the path names.
func (s *Service) patch(ctx context.Context, r *request, spec provider.Spec) (*provider.Instance, error) {
	i, err := s.existing(ctx, r)
	if err != nil {
		return nil, err
	}
	return s.change(ctx, r, i, spec)
}

// taken says what is taken.
func taken(err error, name string) error {
	if !errors.Is(err, store.ErrTaken) {
		return err
	}
	return refuse(http.StatusConflict, codeConflict, "A provider %s cannot be created: the name or the URL that it would have is taken. Names are unique over the whole service, also between subscriptions and resource groups.", shorten(name, maxQuoted))
}

// change changes a provider and gives what it is then.
func (s *Service) change(ctx context.Context, r *request, i *provider.Instance, spec provider.Spec) (*provider.Instance, error) {
	if err := s.Providers.Update(ctx, i, spec, s.author(r)); err != nil {
		return nil, err
	}
	now, ok := s.Providers.ByID(i.ID)
	if !ok {
		return nil, fmt.Errorf("the provider was deleted in the meantime: %w", store.ErrNotFound)
	}
	return now, nil
}

// readable lists the providers that the caller may read, by name.
func (s *Service) readable(ctx context.Context, r *request) ([]*provider.Instance, error) {
	if err := s.Providers.Refresh(ctx); err != nil {
		return nil, err
	}
	var list []*provider.Instance
	for _, i := range s.Providers.All() {
		if r.caller.May(i.Name, r.op.access.permission) {
			list = append(list, i)
		}
	}
	return list, nil
}

// subject is the provider that a request is about: mostly the one that it was sent to; in the control plane the one that its path
// names, whether it is there or not.
func (s *Service) subject(r *request) *provider.Instance {
	if r.op == nil || r.op.access.scope != namedByPath {
		return r.at
	}
	if i, ok := s.Providers.ByName(r.params["name"]); ok {
		return i
	}
	return &provider.Instance{Provider: store.Provider{
		Name: strings.ToLower(r.params["name"]), Subscription: r.params["sub"], ResourceGroup: r.params["group"],
	}}
}
