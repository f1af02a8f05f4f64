// Package relyingparty is for those who receive tokens of an attestation service, Assay or Microsoft Azure
// Attestation, and decide by them (RFC 9334's relying party). One call verifies a token and fails closed; the claims of
// a verified token can then be read with their types or held against requirements:
//
//	verifier, err := relyingparty.New(relyingparty.Config{Issuer: "https://attest.example.com"})
//	…
//	token, err := verifier.Verify(ctx, text)
//	…
//	err = token.Require(relyingparty.SGX{MRSIGNER: trusted, ProductID: 1, MinSVN: 3})
//
// It trusts the issuer named in its configuration and nothing that a token says about where keys are (tokens.md
// section 3.3, steps 1 and 2). It does not judge the evidence in the issuer's own certificates.
package relyingparty

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/assay-attestation/assay/internal/strictjson"
	"github.com/assay-attestation/assay/result"
)

// Config says whom to trust. Only Issuer is needed, and everything left zero is the strict choice.
type Config struct {
	// Issuer is the URL of the attestation provider. Tokens must have it as iss; one trailing slash is dropped, as no
	// token has it. Keys are read from its path /certs, over HTTPS.
	Issuer string
	// HTTPClient fetches the keys. The default checks TLS certificates against the system's roots.
	HTTPClient *http.Client
	// AllowLoopbackHTTP also takes an Issuer with http, if its host is this machine.
	AllowLoopbackHTTP bool
	// AllowDevelopment accepts tokens of services in development mode, which vouch for simulated hardware.
	AllowDevelopment bool
	// Leeway is how far the issuer's clock may be off, at most result.MaxLeeway.
	Leeway time.Duration
	// Clock tells the time, to several goroutines at once; the default is time.Now.
	Clock func() time.Time
	// Keys, if set, are the issuer's keys, pinned by the caller: nothing is fetched, and a certificate among them may
	// name another instance of the issuer's region (result.Expect.SharedKeys).
	Keys *result.KeySet
}

// Verifier verifies the tokens of one issuer. It is safe for concurrent use.
type Verifier struct {
	pinned *result.KeySet // never change; nil: the keys are remote
	remote *remoteKeys
	expect result.Expect // without the time
	clock  func() time.Time
}

// New makes a verifier. It fetches nothing yet.
func New(cfg Config) (*Verifier, error) {
	issuer, err := parseIssuer(cfg.Issuer, cfg.AllowLoopbackHTTP)
	if err != nil {
		return nil, err
	}
	if cfg.Leeway < 0 || cfg.Leeway > result.MaxLeeway {
		return nil, fmt.Errorf("leeway %v is not between 0 and %v", cfg.Leeway, result.MaxLeeway)
	}
	v := &Verifier{clock: cfg.Clock, expect: result.Expect{
		Issuer: issuer, Leeway: cfg.Leeway, AllowDevelopment: cfg.AllowDevelopment, SharedKeys: cfg.Keys != nil,
	}}
	if v.clock == nil {
		v.clock = time.Now
	}
	if v.pinned = cfg.Keys; v.pinned == nil {
		v.remote = newRemoteKeys(issuer, cfg.HTTPClient, v.clock)
	}
	return v, nil
}

// Verify checks signature, key, issuer and times of a token in compact serialisation and returns it. The error is a
// *result.Refusal if the token is not to be relied on, and *KeysUnavailable if that could not be decided. A token with
// an unknown key that names another issuer is refused for that, without asking the issuer for its keys.
func (v *Verifier) Verify(ctx context.Context, token string) (*Token, error) {
	verified, err := v.verifyWithKeys(ctx, token)
	if err != nil {
		return nil, err
	}
	return &Token{*verified}, nil
}

func (v *Verifier) verifyWithKeys(ctx context.Context, token string) (*result.Verified, error) {
	if v.pinned != nil {
		return v.verify(token, v.pinned)
	}
	verified, err := v.verify(token, v.remote.cached())
	if refusal, ok := errors.AsType[*result.Refusal](err); !ok || refusal.Reason != result.UnknownKey {
		return verified, err
	}
	if err := v.foreign(token); err != nil {
		return nil, err
	}
	keys, err := v.remote.newest(ctx)
	if err != nil {
		return nil, err
	}
	return v.verify(token, keys)
}

// foreign refuses a token that names another issuer than the one expected. Nobody has verified it, so that nothing may
// be accepted by what it says; but what it says is enough to send no request on its behalf. One that names no issuer
// is left to the full verification.
func (v *Verifier) foreign(token string) error {
	unverified, err := result.ParseToken(token)
	if err != nil {
		return err
	}
	var claims struct {
		Issuer *string `json:"iss"`
	}
	if err := strictjson.Exact(unverified.Payload(), &claims); err != nil {
		return &result.Refusal{Reason: result.Malformed, Problem: "the payload is not as expected", Err: err}
	}
	if claims.Issuer != nil && *claims.Issuer != v.expect.Issuer {
		return &result.Refusal{Reason: result.Issuer, Problem: "the token is of another issuer",
			Expected: fmt.Sprintf("%q", v.expect.Issuer), Found: fmt.Sprintf("%.120q", *claims.Issuer)}
	}
	return nil
}

func (v *Verifier) verify(token string, keys *result.KeySet) (*result.Verified, error) {
	expect := v.expect
	expect.At = v.clock()
	return result.Verify(token, keys, expect)
}

// Token is a verified token.
type Token struct{ result.Verified }

// Require holds the token against every requirement and returns the first refusal. Requiring nothing is an error, since
// a genuine token alone says only that someone attested something.
func (t *Token) Require(requirements ...Requirement) error {
	if len(requirements) == 0 {
		return errors.New("no requirement is given")
	}
	for _, r := range requirements {
		if err := r.Check(t); err != nil {
			return err
		}
	}
	return nil
}
