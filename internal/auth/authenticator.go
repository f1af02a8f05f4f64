package auth

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// NotBeforeLeeway is how far a token's nbf may lie in the future, for clocks that differ. There is none for exp.
const NotBeforeLeeway = 5 * time.Minute

// Authenticator tells who makes a request. It is safe for concurrent use.
type Authenticator struct {
	clock   func() time.Time
	uri     string             // where callers get their tokens
	issuers map[string]*issuer // by iss
	certs   []certRule
}

// issuer is somebody whose tokens are accepted.
type issuer struct {
	audiences map[Audience][]string
	keys      keySource
	grants    func(claims) []Grant
	longest   time.Duration // how long its tokens may still live; 0: as long as they say
}

// keySource gives the keys of an issuer: those that its key set has under the kid, or none. The error is *Unavailable.
type keySource interface {
	find(ctx context.Context, kid string) ([]publicKey, error)
}

// New makes an Authenticator, or says what is wrong with the configuration. It reads the files that are named and reaches
// no issuer: the service starts without them.
func New(cfg Config, clock func() time.Time) (*Authenticator, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	a := &Authenticator{clock: clock, uri: cfg.authorizationURI(), issuers: map[string]*issuer{}}
	for _, i := range cfg.Issuers {
		keys, err := newRemoteKeys(i, clock)
		if err != nil {
			return nil, fmt.Errorf("issuer %q: %w", i.URL, err)
		}
		a.issuers[i.URL] = &issuer{audiences: i.audiences(), keys: keys, grants: grantsBy(slices.Clone(i.Rules))}
	}
	if cfg.Development != nil {
		a.issuers[devIssuer] = cfg.Development.issuer()
	}
	for n, r := range cfg.ClientCerts.Rules {
		rule, err := r.compile()
		if err != nil {
			return nil, fmt.Errorf("client certificates: rule %d: %w", n+1, err)
		}
		a.certs = append(a.certs, rule)
	}
	return a, nil
}

// AuthorizationURI is where callers get their tokens, for the header WWW-Authenticate: the authority of the first issuer
// configured, which clients take the tenant from (api.md section 5). Without one it is empty.
func (a *Authenticator) AuthorizationURI() string { return a.uri }

// Caller says who makes the request: the bearer of its token, which must be for the side of the service given, or else
// the holder of its verified client certificate. Without either it is nil, the anonymous caller. A token that does not
// hold is *Refused, whatever certificate there is; the keys to judge it by may be *Unavailable.
func (a *Authenticator) Caller(r *http.Request, side Audience) (*Caller, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return a.holder(r.TLS)
	}
	text, err := bearerToken(headers)
	if err != nil {
		return nil, err
	}
	t, err := parseToken(text)
	if err != nil {
		return nil, err
	}
	return a.bearer(r.Context(), t, side)
}

// bearer judges a token. All that needs no key comes first, so that worthless tokens cause no request to the issuer.
func (a *Authenticator) bearer(ctx context.Context, t *token, side Audience) (*Caller, error) {
	name, err := t.claims.text(claimIssuer)
	if err != nil {
		return nil, err
	}
	from, ok := a.issuers[name]
	if !ok {
		return nil, &Refused{Reason: ReasonIssuer, Problem: "the token is not of an issuer that this service accepts", Found: quote(name),
			Expected: "one that the configuration names"}
	}
	if err := t.claims.isFor(from.audiences[side]); err != nil {
		return nil, err
	}
	if err := t.claims.inForce(a.clock(), from.longest); err != nil {
		return nil, err
	}
	caller, err := t.claims.caller()
	if err != nil {
		return nil, err
	}
	if err := from.verify(ctx, name, t); err != nil {
		return nil, err
	}
	caller.grants = from.grants(t.claims)
	return caller, nil
}

// verify checks the signature.
func (i *issuer) verify(ctx context.Context, name string, t *token) error {
	listed, err := i.keys.find(ctx, t.header.KeyID)
	if err != nil {
		return err
	}
	var keys oidc.StaticKeySet
	for _, k := range listed {
		if k.fits(t.algorithm) {
			keys.PublicKeys = append(keys.PublicKeys, k.key)
		}
	}
	if len(keys.PublicKeys) == 0 {
		return &Refused{Reason: ReasonUnknownKey, Problem: "the issuer lists no usable key of this name for " + t.algorithm.Name,
			Expected: "a kid of its key set", Found: quote(t.header.KeyID), Remedy: "get a new token"}
	}
	verifier := oidc.NewVerifier(name, &keys, &oidc.Config{
		SupportedSigningAlgs: []string{t.algorithm.Name}, SkipClientIDCheck: true, SkipExpiryCheck: true, // isFor, inForce
	})
	if _, err := verifier.Verify(ctx, t.text); err != nil {
		return &Refused{Reason: ReasonSignature, Problem: "the token does not verify with the issuer's key " + quote(t.header.KeyID)}
	}
	return nil
}

// isFor checks that aud has one of the values wanted.
func (c claims) isFor(wanted []string) error {
	found, ok := c.list(claimAudience)
	switch {
	case !ok && len(c[claimAudience]) > 0:
		return malformed("the claim aud is neither a string nor an array of strings")
	case slices.ContainsFunc(found, func(s string) bool { return slices.Contains(wanted, s) }):
		return nil
	}
	return &Refused{Reason: ReasonAudience, Problem: "the token is for another service", Expected: fmt.Sprintf("%q", wanted),
		Found: quote(strings.Join(found, " ")), Remedy: "ask the issuer for a token for this one"}
}

// inForce checks the times of a token. It lives no longer than longest from now on, unless that is zero.
func (c claims) inForce(now time.Time, longest time.Duration) error {
	expires, err := c.time(claimExpires)
	if err != nil {
		return err
	}
	from, err := c.time(claimNotBefore)
	switch {
	case err != nil:
		return err
	case expires.IsZero():
		return malformed("the claim exp is missing")
	case longest > 0 && expires.Sub(now) > longest:
		return malformed("exp is more than %v away", longest)
	case !now.Before(expires):
		return &Refused{Reason: ReasonExpired, Problem: "the token has expired", Expected: "exp after " + stamp(now),
			Found: stamp(expires), Remedy: "get a new token"}
	case from.After(now.Add(NotBeforeLeeway)):
		return &Refused{Reason: ReasonNotYetValid, Problem: "the token is not yet valid", Found: stamp(from),
			Expected: "nbf up to " + stamp(now.Add(NotBeforeLeeway)), Remedy: "compare the clocks"}
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
