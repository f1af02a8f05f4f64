package api

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// route is one row of the API. Parts of the pattern in braces take any text.
type route struct {
	method, pattern string
	operation
}

// operation is what a route does. do returns the body of the answer as a value to be written as JSON, or as ready bytes, or a
// reply.
type operation struct {
	name       string // in the log, in metrics and in the audit trail
	access     access
	versions   []string // the api-versions that the operation has; nil: it takes none
	policyBody bool     // the limit policy_body counts, not attest_body
	shortID    bool     // requests have ids of the short form
	always     bool     // also of a provider that is not up to date
	form       errorForm
	preview    *operation // what it is in api version 2018-09-01-preview, where that is something else
	do         func(ctx context.Context, r *request) (any, error)
}

// preview2018 is the version with routes and forms of its own (api.md section 13).
const preview2018 = "2018-09-01-preview"

// versions are the api-versions that are served, each on every route (api.md section 2).
func versions() []string {
	return []string{preview2018, "2020-10-01", "2022-08-01", "2022-09-01-preview", "2023-04-01-preview", "2025-06-01", "2026-03-11-preview"}
}

// routes lists every operation.
func (s *Service) routes() []route {
	routes := slices.Concat(s.metadataRoutes(), s.attestRoutes(), s.policyRoutes(), s.signerRoutes(), s.explainRoutes(), s.nativeRoutes(), s.enrolmentRoutes(), s.referenceRoutes(), s.providerRoutes())
	if s.Preview {
		routes = append(routes, s.previewRoutes()...)
	}
	if s.ARM {
		routes = append(routes, s.armRoutes()...)
	}
	return routes
}

// metadataRoutes are what relying parties and probes ask for.
func (s *Service) metadataRoutes() []route {
	certs := operation{name: "GetSigningKeys", access: everybody(), always: true, do: s.certs}
	return []route{
		{http.MethodGet, "/certs", certs},
		{http.MethodGet, "/certs/", certs},
		{http.MethodGet, "/.well-known/openid-configuration", operation{name: "GetOpenIdConfiguration", access: everybody(), always: true, do: s.openID}},
		{http.MethodGet, "/servicehealth", operation{name: "GetServiceHealth", access: everybody(), do: s.health}},
		{http.MethodGet, "/tcbbaselines/{type}", operation{name: "GetTcbBaselines", access: everybody(), versions: versions(), do: s.tcbBaselines}},
	}
}

// attestRoutes are the attest operations, with those of types that this service does not verify.
func (s *Service) attestRoutes() (routes []route) {
	for _, t := range []evidence.Type{evidence.SgxEnclave, evidence.OpenEnclave} {
		op := operation{name: "Attest" + string(t), access: everybody(), versions: versions(), do: s.attest(t), preview: s.previewAttest(t)}
		routes = append(routes, route{http.MethodPost, "/attest/" + string(t), op})
	}
	tpm := operation{name: "AttestTpm", access: tpmAccess(), versions: versions(), shortID: true, do: s.attestTPM}
	routes = append(routes, route{http.MethodPost, "/attest/Tpm", tpm})
	for _, t := range []evidence.Type{evidence.SevSnpVM, evidence.TdxVM, evidence.AzureGuest} {
		op := operation{name: "Attest" + string(t), access: everybody(), versions: versions(), do: s.attest(t)}
		routes = append(routes, route{http.MethodPost, "/attest/" + string(t), op})
	}
	for _, t := range []string{"KeyGuard", "MdepTz", "Pluton"} {
		op := operation{name: "Attest" + t, access: tpmAccess(), versions: versions(), do: unsupported(t)}
		routes = append(routes, route{http.MethodPost, "/attest/" + t, op})
	}
	return routes
}

// params are the parts of a path for which a pattern has names.
type params map[string]string

// table finds operations by path.
type table struct {
	fixed    map[string]map[string]*operation // by path in lower case, then by method
	patterns []pattern
}

type pattern struct {
	parts   []string // in lower case; those in braces are names
	methods map[string]*operation
}

func newTable(routes []route) table {
	t := table{fixed: map[string]map[string]*operation{}}
	named := map[string]int{}
	for _, r := range routes {
		path := strictjson.LowerASCII(r.pattern)
		methods := t.fixed[path]
		if n, ok := named[path]; ok {
			methods = t.patterns[n].methods
		}
		if methods == nil {
			methods = map[string]*operation{}
			if strings.Contains(path, "{") {
				named[path] = len(t.patterns)
				t.patterns = append(t.patterns, pattern{strings.Split(path, "/"), methods})
			} else {
				t.fixed[path] = methods
			}
		}
		op := r.operation
		methods[r.method] = &op
	}
	// {type}:reset before {type}, which would take it all for the name of a type.
	slices.SortStableFunc(t.patterns, func(a, b pattern) int { return b.literal() - a.literal() })
	return t
}

// find gives the operations of a path, which is matched without regard to case, as real clients need it.
func (t *table) find(path string) (map[string]*operation, params, bool) {
	lower := strictjson.LowerASCII(path)
	if methods, ok := t.fixed[lower]; ok {
		return methods, nil, true
	}
	parts, lowerParts := strings.Split(path, "/"), strings.Split(lower, "/")
	for _, p := range t.patterns {
		if found, ok := p.match(parts, lowerParts); ok {
			return p.methods, found, true
		}
	}
	return nil, nil, false
}

func (p *pattern) match(parts, lower []string) (params, bool) {
	if len(parts) != len(p.parts) {
		return nil, false
	}
	found := params{}
	for i, want := range p.parts {
		name, suffix, isName := braced(want)
		value, ends := parts[i], strings.HasSuffix(lower[i], suffix)
		switch {
		case !isName && lower[i] != want, isName && (!ends || len(value) == len(suffix)):
			return nil, false
		case isName:
			found[name] = pathText(value[:len(value)-len(suffix)])
		}
	}
	return found, true
}

// literal counts the bytes of a pattern that a path must have.
func (p *pattern) literal() (n int) {
	for _, part := range p.parts {
		if _, suffix, isName := braced(part); isName {
			part = suffix
		}
		n += len(part)
	}
	return n
}

// braced takes apart a part of a pattern such as {type}:reset.
func braced(part string) (name, suffix string, ok bool) {
	if !strings.HasPrefix(part, "{") {
		return "", "", false
	}
	name, suffix, ok = strings.Cut(part[1:], "}")
	return name, suffix, ok
}

// allowed lists methods for the header Allow; what can be read can be asked about by HEAD.
func allowed(methods map[string]*operation) string {
	names := slices.Sorted(maps.Keys(methods))
	if slices.Contains(names, http.MethodGet) {
		names = append(names, http.MethodHead)
	}
	return strings.Join(names, ", ")
}

// Operation describes a route for those who check who may do what.
type Operation struct {
	Method, Pattern, Name string
	Permission            string // read, write, delete, manage; empty: none is needed
}

// Operations lists every operation that the service offers.
func (s *Service) Operations() (all []Operation) {
	for _, r := range s.routes() {
		all = append(all, Operation{r.method, r.pattern, r.name, r.access.name()})
	}
	return all
}

// openTo says for which providers an operation needs no token.
type openTo func(*provider.Instance) bool
