// Package api is the data plane's HTTP surface: it finds the operation, bounds and decodes the request, calls the
// verifier and the issuer, and encodes the answer or the refusal. It takes no decision about evidence. Specification:
// api.md, clients.md section 1.
package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/explain"
	"github.com/assay-attestation/assay/internal/issuer"
	"github.com/assay-attestation/assay/internal/strictjson"
	"github.com/assay-attestation/assay/internal/verifier"
)

// DefaultAttestBody is the limit attest_body: how many bytes the body of an attest request may have.
const DefaultAttestBody = 4 << 20

// Config is what the service needs.
type Config struct {
	URL         string // external URL of the provider without trailing slash: the issuer of its tokens
	Version     string // of the service, for its header
	Verifier    *verifier.Verifier
	Keys        *issuer.Keys
	Clock       func() time.Time // for the tokens' own times
	JudgedAt    func() time.Time // for evidence and collateral; differs from Clock in development mode only
	Development bool
	AttestBody  int64 // limit attest_body; 0 means DefaultAttestBody
	Logger      *slog.Logger
	// Explanations keeps why requests were decided as they were, and opens the routes that say it; nil: none of that.
	Explanations *explain.Store
	// HidePolicyReasons is the switch hide_policy_reasons.
	HidePolicyReasons bool
}

// service holds what the operations share.
type service struct {
	Config
	operations map[string]map[string]operation // by lower-case path, then by method
}

// operation is one row of the API: its name in the log, whether it needs an api-version, and what it does. do returns
// the body of the answer as a value to be written as JSON, or as ready bytes.
type operation struct {
	name      string
	versioned bool
	do        func(ctx context.Context, r *request) (any, error)
}

// request is what an operation is given.
type request struct {
	id   string // of this request, which the answer carries too
	name string // the last part of a path that ends in a name
	body []byte
}

// New makes the handler of the data plane.
func New(cfg Config) http.Handler {
	if cfg.AttestBody == 0 {
		cfg.AttestBody = DefaultAttestBody
	}
	s := &service{Config: cfg}
	s.operations = s.routes()
	return s
}

// routes lists every operation. Paths are matched without regard to case, as real clients need it.
func (s *service) routes() map[string]map[string]operation {
	certs := operation{"GetSigningKeys", false, s.certs}
	routes := s.explainRoutes()
	maps.Copy(routes, map[string]map[string]operation{
		"/certs":                            {http.MethodGet: certs},
		"/certs/":                           {http.MethodGet: certs},
		"/.well-known/openid-configuration": {http.MethodGet: operation{"GetOpenIdConfiguration", false, s.openID}},
	})
	for _, t := range []evidence.Type{evidence.SgxEnclave, evidence.OpenEnclave} {
		routes["/attest/"+strings.ToLower(string(t))] = map[string]operation{
			http.MethodPost: {"Attest" + string(t), true, s.attest(t)},
		}
	}
	routes["/attest/tpm"] = map[string]operation{http.MethodPost: {"AttestTpm", true, noTPMPolicy}}
	for _, t := range []string{"SevSnpVm", "TdxVm", "AzureGuest", "KeyGuard", "MdepTz", "Pluton"} {
		routes["/attest/"+strings.ToLower(t)] = map[string]operation{
			http.MethodPost: {"Attest" + t, true, unsupported(t)},
		}
	}
	return routes
}

// versions are the api-versions that are served, each on every route (api.md section 2).
func versions() []string {
	return []string{"2020-10-01", "2022-08-01", "2022-09-01-preview", "2023-04-01-preview", "2025-06-01", "2026-03-11-preview"}
}

// ServeHTTP answers one request and writes one event about it.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e := newEvent(r)
	defer e.write(r.Context(), s.Logger)
	h := w.Header()
	h.Set("Server", "Assay")
	h.Set("x-ms-request-id", e.requestID)
	h.Set("x-ms-maa-service-version", s.Version)
	answer, err := s.call(r, w, e)
	if err != nil {
		p := s.problemOf(err)
		e.refused(p, err)
		p.write(w)
		return
	}
	e.status = http.StatusOK
	writeJSON(w, http.StatusOK, answer)
}

// call finds the operation, reads the body and does it. A panic below is a fault of ours and answered as one.
func (s *service) call(r *http.Request, w http.ResponseWriter, e *event) (answer any, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = panicked(fault)
		}
	}()
	op, name, err := s.find(r, w.Header())
	if err != nil {
		return nil, err
	}
	e.operation = op.name
	if op.versioned {
		if err := checkVersion(r); err != nil {
			return nil, err
		}
	}
	body, err := readBody(w, r, s.AttestBody)
	if err != nil {
		return nil, err
	}
	return op.do(r.Context(), &request{e.requestID, name, body})
}

// find looks the operation up by path and method, and gives the name in which the path ends where it does.
func (s *service) find(r *http.Request, h http.Header) (operation, string, error) {
	path, name := strictjson.LowerASCII(r.URL.EscapedPath()), ""
	methods, ok := s.operations[path]
	if !ok {
		cut := strings.LastIndexByte(path, '/') + 1
		path, name = path[:cut]+named, path[cut:]
		methods, ok = s.operations[path]
	}
	if !ok {
		return operation{}, "", refuse(http.StatusNotFound, codeNotFound, "No such operation: %s", shorten(r.URL.Path, maxQuoted))
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	op, ok := methods[method]
	if !ok {
		h.Set("Allow", allowed(methods))
		return op, "", refuse(http.StatusMethodNotAllowed, codeMethodNotAllowed, "%s is not supported for %s", shorten(r.Method, maxQuoted), r.URL.Path)
	}
	return op, name, nil
}

// named stands in the table of operations for a last part of the path that is a name.
const named = "{name}"

// allowed lists methods for the header Allow; what can be read can be asked about by HEAD.
func allowed(methods map[string]operation) string {
	names := slices.Sorted(maps.Keys(methods))
	if slices.Contains(names, http.MethodGet) {
		names = append(names, http.MethodHead)
	}
	return strings.Join(names, ", ")
}

func checkVersion(r *http.Request) error {
	version := r.URL.Query().Get("api-version")
	if version == "" {
		return refuse(http.StatusBadRequest, codeInvalidParameter, "The query parameter api-version is missing; send one of %s.", strings.Join(versions(), ", "))
	}
	if !slices.Contains(versions(), strings.ToLower(version)) {
		return refuse(http.StatusBadRequest, codeUnsupportedVersion, "The api-version %s is not supported; send one of %s.", shorten(version, maxQuoted), strings.Join(versions(), ", "))
	}
	return nil
}

// readBody reads the body up to the limit attest_body.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, bad("The body has Content-Encoding %q; send it as it is, without encoding.", shorten(encoding, maxQuoted))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, refuse(http.StatusRequestEntityTooLarge, codeBodyTooLarge, "The request body exceeds attest_body (%d bytes).", limit)
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, codeInvalidParameter, "The request body could not be read to its end.")
	}
	return body, nil
}

// writeJSON writes an answer; ready bytes go out as they are.
func writeJSON(w http.ResponseWriter, status int, v any) {
	b, ready := v.([]byte)
	if !ready {
		var err error
		if b, err = json.Marshal(v); err != nil {
			panic("api: an answer that cannot be marshalled: " + err.Error())
		}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client may be gone; there is nobody to tell
}
