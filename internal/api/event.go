package api

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/internal/provider"
)

// event is the one line that a request leaves in the log. It holds names and outcomes, never evidence, tokens, policy
// text or credentials.
type event struct {
	start     time.Time
	requestID string
	method    string
	path      string
	caller    string // address
	as        *auth.Caller
	provider  string
	operation string
	status    int
	code      string
	check     string
	cause     string // what is behind a fault of ours or of an upstream
}

// maxLoggedPath bounds what a caller can write into the log.
const maxLoggedPath = 256

func newEvent(r *http.Request, at *provider.Instance) *event {
	path := r.URL.Path
	e := &event{
		start: time.Now(), requestID: requestID(r.Header.Get("traceparent")), method: shorten(r.Method, maxQuoted),
		path: path[:min(len(path), maxLoggedPath)], caller: r.RemoteAddr, operation: "Unknown",
	}
	if at != nil {
		e.provider = at.Name
	}
	return e
}

// requestID has the layout of a W3C trace context: the caller's trace if it sent one, a span of our own.
func requestID(traceparent string) string {
	var id [24]byte
	rand.Read(id[:])
	trace := hex.EncodeToString(id[:16])
	if parts := strings.Split(traceparent, "-"); len(parts) >= 4 && isTraceID(parts[1]) {
		trace = parts[1]
	}
	return "00-" + trace + "-" + hex.EncodeToString(id[16:]) + "-00"
}

// shortRequestID has the form that clients of the TPM protocol know (api.md section 6.1).
func shortRequestID() string {
	var id [12]byte
	rand.Read(id[:])
	return base64.StdEncoding.EncodeToString(id[:])
}

func isTraceID(s string) bool {
	return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == "" && strings.Trim(s, "0") != ""
}

// refused notes how the request was refused.
func (e *event) refused(p *problem, err error) {
	e.status, e.code = p.status, p.code
	e.check = checkOf(err)
	if p.status >= http.StatusInternalServerError {
		e.cause = err.Error()
	}
}

// checkOf is the word for the check that failed, empty if the error is not of one.
func checkOf(err error) string {
	if r, ok := errors.AsType[*evidence.Refusal](err); ok {
		return string(r.Check)
	}
	if r, ok := errors.AsType[*policyjws.Refusal](err); ok {
		return string(r.Reason)
	}
	return ""
}

// identity is who the caller proved to be; nothing of those who did not have to say.
func (e *event) identity() string {
	if e.as == nil {
		return ""
	}
	return e.as.String()
}

func (e *event) write(ctx context.Context, log *slog.Logger) {
	level := slog.LevelInfo
	if e.status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	attrs := []slog.Attr{
		slog.String("requestId", e.requestID), slog.String("operationName", e.operation), slog.String("method", e.method),
		slog.String("path", e.path), slog.String("caller", e.caller), slog.Int("status", e.status),
		slog.Float64("durationMs", float64(time.Since(e.start).Microseconds())/1000),
	}
	for _, a := range []slog.Attr{slog.String("provider", e.provider), slog.String("identity", e.identity()), slog.String("code", e.code), slog.String("check", e.check), slog.String("cause", e.cause)} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	log.LogAttrs(ctx, level, "request", attrs...)
}
