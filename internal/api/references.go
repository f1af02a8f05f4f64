package api

import (
	"context"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/reference"
	"github.com/assay-attestation/assay/internal/store"
)

// referencePath is the path of the reference values.
const referencePath = "/assay/v1/references"

// referenceRoutes are those of reference values (native.md section 5). Deleting is possible also of a provider that is not up to date,
// which decides nothing until it is: then without what was deleted.
func (s *Service) referenceRoutes() []route {
	op := func(name string, p auth.Permission, do func(context.Context, *request) (any, error)) operation {
		return operation{name: name, access: needs(p), policyBody: true, do: do}
	}
	remove := op("DeleteReference", auth.Write, s.deleteReference)
	remove.always = true
	const one = referencePath + "/{name}"
	return []route{
		{http.MethodGet, referencePath, op("ListReferences", auth.Read, s.listReferences)},
		{http.MethodGet, one, op("GetReference", auth.Read, s.getReference)},
		{http.MethodPut, one, op("SetReference", auth.Write, s.putReference)},
		{http.MethodDelete, one, remove},
	}
}

// referenceBody is a reference value on the wire: the members that were sent, and what the service knows of it.
type referenceBody struct {
	Name    string                  `json:"name"`
	Body    jsontext.Value          `json:",embed"`
	Version int64                   `json:"version"`
	State   provider.ReferenceState `json:"state"`
	Changed changedBody             `json:"changed"`
}

// changedBody says who changed something last.
type changedBody struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// referenceOf makes the answer about a reference value at a time. Of one that cannot be read nobody knows which members it has.
func referenceOf(parser *reference.Parser, r store.Reference, at time.Time) referenceBody {
	e, err := parser.Parse(r.Name, r.Body)
	if err != nil {
		e, r.Body = nil, nil
	}
	return referenceBody{r.Name, r.Body, r.Version, provider.StateOf(e, at), changedBody{r.Stamp.By, r.Stamp.At}}
}

// referenceReply answers with a reference value, and its version as the ETag.
func (s *Service) referenceReply(status int, r store.Reference) any {
	return reply{status, map[string]string{"ETag": etag(r.Version)}, referenceOf(&reference.Parser{}, r, s.JudgedAt())}
}

// putReference puts a reference value in force: 201 of a name that was not there. If-None-Match: * replaces none.
func (s *Service) putReference(ctx context.Context, r *request) (any, error) {
	version, err := r.ifMatch()
	if err != nil {
		return nil, err
	}
	change := provider.ReferenceChange{Name: r.params["name"], Body: r.body, IfVersion: version}
	switch none := r.Header.Get("If-None-Match"); {
	case none != "" && none != "*":
		return nil, bad("If-None-Match: expected *, which creates a reference value and replaces none, found %q.", shorten(none, maxQuoted))
	case none != "" && version != 0:
		return nil, bad("If-Match and If-None-Match exclude each other: send one of them.")
	default:
		change.Create = none != ""
	}
	set, created, err := s.Providers.SetReference(ctx, r.at, change, s.author(r))
	switch {
	case err != nil:
		return nil, err
	case created:
		return s.referenceReply(http.StatusCreated, set), nil
	}
	return s.referenceReply(http.StatusOK, set), nil
}

// getReference answers one reference value.
func (s *Service) getReference(ctx context.Context, r *request) (any, error) {
	found, err := s.Providers.Reference(ctx, r.at, r.params["name"])
	if err != nil {
		return nil, err
	}
	return s.referenceReply(http.StatusOK, found), nil
}

// deleteReference takes a reference value away.
func (s *Service) deleteReference(ctx context.Context, r *request) (any, error) {
	version, err := r.ifMatch()
	if err != nil {
		return nil, err
	}
	if err := s.Providers.DeleteReference(ctx, r.at, r.params["name"], version, s.author(r)); err != nil {
		return nil, err
	}
	return reply{status: http.StatusNoContent}, nil
}

// listReferences lists reference values by name: up to "top" of those after the name "after".
func (s *Service) listReferences(ctx context.Context, r *request) (any, error) {
	after, limit, err := r.page()
	if err != nil {
		return nil, err
	}
	found, err := s.Providers.References(ctx, r.at, after, limit)
	if err != nil {
		return nil, err
	}
	var parser reference.Parser
	list := []referenceBody{}
	for _, one := range found {
		list = append(list, referenceOf(&parser, one, s.JudgedAt()))
	}
	return map[string]any{"references": list}, nil
}
