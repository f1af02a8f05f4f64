package api

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/ratelimit"
)

// access says who may do an operation. The zero value lets in nobody but those who may manage all providers.
type access struct {
	anybody    bool
	permission auth.Permission
	side       auth.Audience
	scope      scope
	open       openTo                          // the providers of which it needs no token; nil: none
	closed     func(*provider.Instance) string // what WWW-Authenticate says of the setting behind open; the body is as recorded
}

// scope is what the permission must be for.
type scope int

const (
	allProviders scope = iota // every provider there is or will be
	thisProvider              // the one that the request is for
	namedByPath               // the one that the path names
	anyProvider               // some provider, also one that is not there
)

// everybody lets in everybody, whatever token they bring.
func everybody() access { return access{anybody: true} }

// needs lets in whoever has a permission for the provider.
func needs(p auth.Permission) access {
	return access{permission: p, side: auth.DataPlane, scope: thisProvider}
}

// readsPolicy is the access to policies, which some providers show to everybody (api.md section 5).
func readsPolicy() access {
	a := needs(auth.Read)
	a.open, a.closed = (*provider.Instance).OpenPolicies, func(i *provider.Instance) string {
		if i.Settings.Strict && (i.Shared || i.Settings.AnonymousPolicyRead) {
			return "the provider's setting strict is on, which overrules anonymous_policy_read"
		}
		return "the provider's setting anonymous_policy_read is off"
	}
	return a
}

// tpmAccess is the access to /attest/Tpm (management.md section 4.4).
func tpmAccess() access {
	a := needs(auth.Read)
	a.open, a.closed = (*provider.Instance).OpenTPM, func(*provider.Instance) string {
		return "the provider's setting tpmAttestationAuthentication is Enabled"
	}
	return a
}

func (a access) name() string {
	if a.anybody {
		return ""
	}
	return a.permission.String()
}

// admit lets the caller in or not, and notes who it is.
func (s *Service) admit(r *request, h http.Header) error {
	if r.at.Private() && isPublic(r.RemoteAddr) {
		return refuse(http.StatusForbidden, codeForbidden, "Public network access is disabled for this provider (publicNetworkAccess): %s is not a private address.", shorten(hostOf(r.RemoteAddr), maxQuoted))
	}
	a := r.op.access
	if a.anybody || a.open != nil && a.open(r.at) {
		return nil
	}
	caller, err := s.Auth.Caller(r.Request, a.side)
	switch {
	case err != nil:
		if refused, ok := errors.AsType[*auth.Refused](err); ok {
			h.Set("WWW-Authenticate", s.challenge(r))
			return refuse(http.StatusUnauthorized, codeUnauthorized, "Access to %s requires a valid JWT bearer token: %v", shorten(r.URL.Path, maxQuoted), refused)
		}
		return err
	}
	r.caller = caller // also of one who is refused: the audit trail says who it was
	if caller == nil || !a.lets(caller, r) {
		h.Set("WWW-Authenticate", s.challenge(r))
		return unauthorized(r, caller)
	}
	if retry, ok := s.Limits.Management.Allow(caller.Issuer+" "+caller.ID, s.Clock()); !ok {
		return tooMany(retry)
	}
	return nil
}

// lets reports whether the caller may do the operation.
func (a access) lets(c *auth.Caller, r *request) bool {
	switch a.scope {
	case thisProvider:
		return c.May(r.at.Name, a.permission)
	case namedByPath:
		return c.May(r.params["name"], a.permission)
	case anyProvider:
		return c.MayAny(a.permission)
	}
	return c.MayAll(a.permission)
}

// may reports whether whoever sent the request has a permission for the provider. It is for what an operation that lets in
// everybody tells to some only; credentials that do not hold are as none.
func (s *Service) may(r *request, p auth.Permission) bool {
	caller := r.caller
	if caller == nil {
		caller, _ = s.Auth.Caller(r.Request, auth.DataPlane)
	}
	return caller.May(r.at.Name, p)
}

// challenge is the header WWW-Authenticate as clients read it: the authorization URI first, in quotes, with a tenant at its end
// (api.md section 5).
func (s *Service) challenge(r *request) string {
	uri := cmp.Or(s.Auth.AuthorizationURI(), r.at.URL+"/development")
	header := fmt.Sprintf("Bearer authorization_uri=%q, resource=%q", uri, auth.DefaultAudiences(r.op.access.side)[0])
	if closed := r.op.access.closed; closed != nil {
		header += fmt.Sprintf(", error_description=%q", closed(r.at))
	}
	return header
}

// unauthorized is the refusal of whoever may not do an operation, in the words of Microsoft's service.
func unauthorized(r *request, c *auth.Caller) error {
	path := shorten(r.URL.Path, maxQuoted)
	if c == nil {
		return refuse(http.StatusUnauthorized, codeUnauthorized, "Access to %s requires a valid JWT bearer token", path)
	}
	return refuse(http.StatusUnauthorized, codeUnauthorized, "Access to %s requires a valid JWT bearer token of a caller with the permission %s for it: %s does not have it; ask whoever maps roles for this service.",
		path, r.op.access.permission, c)
}

func tooMany(retry time.Duration) error {
	seconds := max(1, int64((retry+time.Second-1)/time.Second))
	return &problem{
		status: http.StatusTooManyRequests, code: codeTooMany, retry: time.Duration(seconds) * time.Second,
		message: fmt.Sprintf("Too many requests, retry after %d seconds.", seconds),
	}
}

// isPublic reports whether an address is one of the public internet. What cannot be read is.
func isPublic(remote string) bool {
	ip, err := netip.ParseAddr(hostOf(remote))
	if err != nil {
		return true
	}
	ip = ip.Unmap().WithZone("")
	return !ip.IsPrivate() && !ip.IsLoopback() && !ip.IsLinkLocalUnicast()
}

func hostOf(remote string) string {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		return host
	}
	return remote
}

// deny takes note of a refused caller. Those who try too often are told to wait, and leave no more traces
// in the audit trail, nor does anybody while too many are refused; the log has each.
func (s *Service) deny(r *request, e *event, p *problem) {
	denied := p.status == http.StatusUnauthorized || p.status == http.StatusForbidden
	if p.status == http.StatusTooManyRequests || !denied && !r.changes() {
		return
	}
	if denied || r.caller == nil {
		if retry, ok := s.Limits.Denied.Allow(ratelimit.AddressKey(r.RemoteAddr), s.Clock()); !ok {
			*p = *tooMany(retry).(*problem)
			e.status, e.code = p.status, p.code
			return
		}
		if _, ok := s.Limits.AllDenied.Allow("", s.Clock()); !ok { // somebody has many addresses; the answer stays what it is
			return
		}
	}
	record := s.record(r, e.start, p)
	record.Properties.Check = e.check
	if err := s.Trail.Write(r.Context(), record); err != nil {
		s.Logger.Error("a denial could not be put into the audit trail", "requestId", r.id, "error", err)
	}
}

// changes reports whether the operation would have changed something of a provider: its failure is recorded as well.
func (r *request) changes() bool {
	return r.op != nil && !r.op.access.anybody && r.op.access.permission != auth.Read
}
