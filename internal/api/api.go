// Package api is the service's HTTP surface: it finds the provider and the operation, lets in who may, bounds and decodes the
// request, calls the verifier, the issuer and the control plane, and encodes the answer or the refusal. It takes no decision
// about evidence. Specification: api.md, management.md, native.md, clients.md section 1.
package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/audit"
	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/challenge"
	"github.com/assay-attestation/assay/internal/enrol"
	"github.com/assay-attestation/assay/internal/explain"
	"github.com/assay-attestation/assay/internal/keyring"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/ratelimit"
	"github.com/assay-attestation/assay/internal/verifier"
)

// The limits attest_body and policy_body: how many bytes the body of a request may have.
const (
	DefaultAttestBody = 4 << 20
	DefaultPolicyBody = 2 << 20
)

// Config is what the service needs.
type Config struct {
	Version     string // of the service, for its header
	Providers   *provider.Registry
	Address     provider.Address // of new providers; nil: none can be created
	Keys        *keyring.Ring
	Challenges  *challenge.Keeper // of the TPM protocol
	Enroller    *enrol.Enroller
	EKRoots     *tpm.Roots // the makers of TPMs whose keys are enrolled
	Seats       *verifier.Seats
	Baselines   func() []Baseline // the TCB baselines that there are, newest first
	Auth        *auth.Authenticator
	Trail       *audit.Trail
	Clock       func() time.Time // for the tokens' own times
	JudgedAt    func() time.Time // for evidence and collateral; differs from Clock in development mode only
	Ready       func(context.Context) error
	Observe     func(operation string, status int, took time.Duration) // told of every request
	Development bool
	AttestBody  int64 // limit attest_body; 0 means DefaultAttestBody
	PolicyBody  int64 // limit policy_body; 0 means DefaultPolicyBody
	Logger      *slog.Logger
	// Explanations keeps why requests were decided as they were.
	Explanations *explain.Store
	// AuditAttest puts every decision about evidence into the audit trail.
	AuditAttest bool
	// Preview and ARM are the switches api_2018_preview and arm_facade.
	Preview, ARM bool
	Limits       Limits
}

// Limits are the rates at which callers are served. All of them are needed.
type Limits struct {
	Address    *ratelimit.Limiter // requests by address
	Denied     *ratelimit.Limiter // refused credentials by address; each costs an entry of the audit trail
	AllDenied  *ratelimit.Limiter // refused credentials of all addresses together
	Management *ratelimit.Limiter // operations that need permission, by caller
}

// Service answers requests.
type Service struct {
	Config
	operations table
	off        []switchedOff
}

// switchedOff is what a switch of the service keeps from being served.
type switchedOff struct {
	name       string // of the switch
	operations table
}

// request is what an operation is given.
type request struct {
	*http.Request
	id      string             // of this request, which the answer carries too
	op      *operation         // that is done
	at      *provider.Instance // the provider that it is for
	caller  *auth.Caller       // nil: nobody said who
	params  params             // of the path
	version string             // api-version in lower case, of operations that have one
	body    []byte
}

// reply is an answer that is not simply 200.
type reply struct {
	status int
	header map[string]string
	body   any // nil: none
}

// New makes the service.
func New(cfg Config) *Service {
	if cfg.AttestBody == 0 {
		cfg.AttestBody = DefaultAttestBody
	}
	if cfg.PolicyBody == 0 {
		cfg.PolicyBody = DefaultPolicyBody
	}
	s := &Service{Config: cfg}
	s.operations = newTable(s.routes())
	if !s.Preview {
		s.off = append(s.off, switchedOff{"api_2018_preview", newTable(s.previewRoutes())})
	}
	if !s.ARM {
		s.off = append(s.off, switchedOff{"arm_facade", newTable(s.armRoutes())})
	}
	return s
}

// ServeHTTP answers a request for the provider that its Host header names.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at, _ := s.Providers.At(r.Host)
	s.serve(w, r, at)
}

// For answers requests for one provider, whatever their Host header: those of its own listener.
func (s *Service) For(providerID string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, _ := s.Providers.ByID(providerID)
		s.serve(w, r, at)
	})
}

// serve answers one request and writes one event about it. at is nil if there is no such provider.
func (s *Service) serve(w http.ResponseWriter, r *http.Request, at *provider.Instance) {
	e := newEvent(r, at)
	defer e.write(r.Context(), s.Logger)
	h := w.Header()
	h.Set("Server", "Assay")
	h.Set("x-ms-request-id", e.requestID)
	h.Set("x-ms-maa-service-version", s.Version)
	q := &request{Request: r, id: e.requestID, at: at}
	answer, err := s.call(q, w, e)
	if err != nil {
		p := s.problemFor(q, err)
		e.refused(p, err)
		s.deny(q, e, p)
		p.write(w, q.op.errors())
	} else {
		e.status = write(w, answer)
	}
	if s.Observe != nil {
		s.Observe(e.operation, e.status, time.Since(e.start))
	}
}

// call finds the operation, lets the caller in, reads the body and does it. A panic below is a fault of ours and answered as
// one.
func (s *Service) call(r *request, w http.ResponseWriter, e *event) (answer any, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = panicked(fault)
		}
	}()
	if retry, ok := s.Limits.Address.Allow(ratelimit.AddressKey(r.RemoteAddr), s.Clock()); !ok {
		return nil, tooMany(retry)
	}
	if r.at == nil {
		return nil, refuse(http.StatusNotFound, codeNotFound, "No provider answers at %s: use the URL that the provider was given.", shorten(r.Host, maxQuoted))
	}
	if r.op, r.params, err = s.find(r.Request, w.Header()); err != nil {
		return nil, err
	}
	defer func() { e.operation = r.op.name }() // what it is may depend on the version, and on what is there
	if r.op.shortID {
		r.id = shortRequestID()
		e.requestID = r.id
		w.Header().Set("x-ms-request-id", r.id)
	}
	if r.op.form == armErrors {
		armHeader(w.Header(), r.at.URL)
	}
	if err := s.version(r); err != nil {
		return nil, err
	}
	err = s.admit(r, w.Header())
	if e.as = r.caller; err != nil {
		return nil, err
	}
	if r.at.Outdated != nil && !r.op.always {
		return nil, fmt.Errorf("the provider is not up to date: %v", r.at.Outdated) // not wrapped: it is no refusal of this request
	}
	if r.body, err = s.readBody(w, r); err != nil {
		return nil, err
	}
	return r.op.do(r.Context(), r)
}

// find looks the operation up by path and method.
func (s *Service) find(r *http.Request, h http.Header) (*operation, params, error) {
	methods, params, ok := s.operations.find(r.URL.EscapedPath())
	if !ok {
		return nil, nil, s.nowhere(r.URL)
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	op, ok := methods[method]
	if !ok {
		h.Set("Allow", allowed(methods))
		return nil, nil, refuse(http.StatusMethodNotAllowed, codeMethodNotAllowed, "%s is not supported for %s", shorten(r.Method, maxQuoted), shorten(r.URL.Path, maxQuoted))
	}
	return op, params, nil
}

// nowhere is the refusal of a path that nothing answers. It names the switch that would change that.
func (s *Service) nowhere(u *url.URL) error {
	hint := ""
	for _, off := range s.off {
		if _, _, ok := off.operations.find(u.EscapedPath()); ok {
			hint = " (" + off.name + " is off)"
		}
	}
	return refuse(http.StatusNotFound, codeNotFound, "No such operation: %s%s", shorten(u.Path, maxQuoted), hint)
}

// version checks the api-version, and turns to what the operation is in 2018-09-01-preview if that is the version.
func (s *Service) version(r *request) error {
	known := r.op.versions
	if known == nil {
		return nil
	}
	if !s.Preview && r.op.form != armErrors {
		known = slices.DeleteFunc(slices.Clone(known), func(v string) bool { return v == preview2018 })
	}
	version := strings.ToLower(r.URL.Query().Get("api-version"))
	if version == "" {
		return bad("The query parameter api-version is missing; send one of %s.", strings.Join(known, ", "))
	}
	if !slices.Contains(known, version) {
		hint := ""
		if version == preview2018 {
			hint = " (api_2018_preview is off)"
		}
		return refuse(http.StatusBadRequest, codeUnsupportedVersion, "The api-version %s is not supported%s; send one of %s.", shorten(version, maxQuoted), hint, strings.Join(known, ", "))
	}
	r.version = version
	if version == preview2018 && r.op.preview != nil {
		r.op = r.op.preview
	}
	return nil
}

// readBody reads the body up to the limit of the operation.
func (s *Service) readBody(w http.ResponseWriter, r *request) ([]byte, error) {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, bad("The body has Content-Encoding %q; send it as it is, without encoding.", shorten(encoding, maxQuoted))
	}
	name, limit := "attest_body", s.AttestBody
	if r.op.policyBody {
		name, limit = "policy_body", s.PolicyBody
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, refuse(http.StatusRequestEntityTooLarge, codeBodyTooLarge, "The request body exceeds %s (%d bytes).", name, limit)
	}
	if err != nil {
		return nil, bad("The request body could not be read to its end.")
	}
	return body, nil
}

// query gives a parameter of the query whose name is matched without regard to case.
func (r *request) query(name string) string {
	for key, values := range r.URL.Query() {
		if strings.EqualFold(key, name) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

// write writes an answer and gives its status.
func write(w http.ResponseWriter, answer any) int {
	r, ok := answer.(reply)
	if !ok {
		writeJSON(w, http.StatusOK, answer)
		return http.StatusOK
	}
	for name, value := range r.header {
		w.Header().Set(name, value)
	}
	if r.body == nil {
		w.WriteHeader(r.status)
	} else {
		writeJSON(w, r.status, r.body)
	}
	return r.status
}

// writeJSON writes a value as JSON; ready bytes go out as they are.
func writeJSON(w http.ResponseWriter, status int, v any) {
	b, ready := v.([]byte)
	if !ready {
		var err error
		if b, err = json.Marshal(v, json.Deterministic(true)); err != nil {
			panic("api: an answer that cannot be marshalled: " + err.Error())
		}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client may be gone; there is nobody to tell
}

// pathText undoes the escapes of a part of a path; what is wrongly escaped stays as it is.
func pathText(s string) string {
	if text, err := url.PathUnescape(s); err == nil {
		return text
	}
	return s
}
