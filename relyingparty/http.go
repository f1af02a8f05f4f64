package relyingparty

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/assay-attestation/assay/result"
)

type tokenKey struct{}

// FromContext returns the verified token of a request that came through Middleware.
func FromContext(ctx context.Context) (*Token, bool) {
	t, ok := ctx.Value(tokenKey{}).(*Token)
	return t, ok
}

// Middleware lets a request through only with a token, sent as bearer token (RFC 6750 section 2.1), that verifies and
// meets every requirement; FromContext then gives the token. Without requirements any genuine token passes, and the
// handler has to decide.
//
// Others are answered 401 with the reason word of the refusal, 403 if the token is genuine and misses a requirement,
// and 503 with Retry-After if the issuer's keys are not available.
func (v *Verifier) Middleware(requirements ...Requirement) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, err := v.admit(r, requirements)
			if err != nil {
				refuse(w, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenKey{}, token)))
		})
	}
}

var errNoBearer = errors.New("the request needs one header Authorization: Bearer with an attestation token")

func (v *Verifier) admit(r *http.Request, requirements []Requirement) (*Token, error) {
	header := r.Header.Values("Authorization")
	if len(header) != 1 {
		return nil, errNoBearer
	}
	scheme, text, ok := strings.Cut(header[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return nil, errNoBearer
	}
	token, err := v.Verify(r.Context(), text)
	if err != nil || len(requirements) == 0 {
		return token, err
	}
	return token, token.Require(requirements...)
}

// refuse answers with the reason word and no more: what was expected is for the log of whoever runs the service.
func refuse(w http.ResponseWriter, err error) {
	w.Header().Set("Cache-Control", "no-store")
	if unavailable, ok := errors.AsType[*KeysUnavailable](err); ok {
		w.Header().Set("Retry-After", retrySeconds(unavailable.RetryAfter))
		http.Error(w, "the attestation issuer's keys are not available", http.StatusServiceUnavailable)
		return
	}
	refusal, ok := errors.AsType[*result.Refusal](err)
	switch {
	case errors.Is(err, errNoBearer):
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, err.Error(), http.StatusUnauthorized)
	case !ok:
		http.Error(w, "the token could not be judged", http.StatusInternalServerError)
	case refusal.Reason == Unmet:
		http.Error(w, "token refused: "+string(refusal.Reason), http.StatusForbidden)
	default:
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token", error_description="`+string(refusal.Reason)+`"`)
		http.Error(w, "token refused: "+string(refusal.Reason), http.StatusUnauthorized)
	}
}

// retrySeconds writes a wait for Retry-After, in whole seconds and at least one.
func retrySeconds(wait time.Duration) string {
	return strconv.Itoa(int(math.Max(1, math.Ceil(wait.Seconds()))))
}
