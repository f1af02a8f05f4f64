package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/collateral"
	"github.com/assay-attestation/assay/internal/kds"
	"github.com/assay-attestation/assay/internal/keyring"
	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/reference"
	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/verifier"
	"github.com/assay-attestation/assay/policy"
	"github.com/assay-attestation/assay/result"
)

// The error codes of the data plane (README.md section 8 of the specification).
const (
	codeInvalidParameter   = "InvalidParameter"
	codeBelowBaseline      = "QuoteDoesNotMatchAzureBaseline" // inner code only
	codeInvalidOperation   = "InvalidOperation"
	codePolicyParsing      = "PolicyParsingError"
	codePolicyEvaluation   = "PolicyEvaluationError"
	codeUnsupportedVersion = "UnsupportedApiVersion"
	codeNoTPMPolicy        = "Bad request"
	codeNotFound           = "NotFound"
	codeMethodNotAllowed   = "MethodNotAllowed"
	codeBodyTooLarge       = "RequestBodyTooLarge"
	codeTooMany            = "TooManyRequests"
	codeInternal           = "InternalError"
	codeCollateral         = "CollateralUnavailable"
	codeUnauthorized       = "Unauthorized"
	codeForbidden          = "Forbidden"
	codeConflict           = "Conflict"
	codeUnavailable        = "ServiceUnavailable"
)

// defaultRetry is told to clients when nobody knows better when a fault of ours or of an upstream will have passed.
const defaultRetry = 30 * time.Second

// busyRetry is told to clients when all seats are taken, since an evaluation takes no longer, and when the store is away.
const busyRetry = 5 * time.Second

// maxMessage bounds the message of an answer. The errors of a policy that is wrong all over stay below it.
const maxMessage = 16 << 10

// problem is an error as the client sees it (api.md section 6.3). As an error it is a refusal by this package.
type problem struct {
	status  int
	code    string
	inner   string // code of the inner error, if more exact
	message string
	bare    string        // the message without anything of the policy; "" where it has nothing of it
	public  string        // the message without reference values; "" where nobody knows whether it has any
	retry   time.Duration // for 429 and 5xx
}

// undecided says that it is no verdict on the request, which may be made again as it is.
func (p *problem) undecided() bool { return p.retry > 0 }

// Error gives code and message.
func (p *problem) Error() string { return p.code + ": " + p.message }

func refuse(status int, code, format string, args ...any) error {
	return &problem{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

func bad(format string, args ...any) error {
	return refuse(http.StatusBadRequest, codeInvalidParameter, format, args...)
}

// panicFault is a panic in a request, kept for the log.
type panicFault struct {
	value any
	stack []byte
}

func panicked(value any) error { return &panicFault{value, debug.Stack()} }

// Error gives the panic and where it happened.
func (p *panicFault) Error() string { return fmt.Sprintf("panic: %v\n%s", p.value, p.stack) }

// problemOf is the one place that maps errors to what the client sees. What it does not know is a fault of ours, about
// which the client learns nothing.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if u, ok := errors.AsType[*collateral.Unavailable](err); ok {
		return unavailable(u.Public(), u.RetryAfter)
	}
	if u, ok := errors.AsType[*kds.Unavailable](err); ok {
		return unavailable(u.Public(), u.RetryAfter)
	}
	if r, ok := errors.AsType[*evidence.Refusal](err); ok {
		return refusal(r)
	}
	if p := policyProblem(err); p != nil {
		return p
	}
	if p := changeProblem(err); p != nil {
		return p
	}
	switch {
	case errors.Is(err, collateral.ErrUnknownBaseline):
		return &problem{status: http.StatusBadRequest, code: codeInvalidParameter, message: err.Error()}
	case errors.Is(err, result.ErrTooLarge):
		return &problem{status: http.StatusBadRequest, code: codeInvalidParameter, message: "The claims do not fit into a token: " + err.Error()}
	case errors.Is(err, verifier.ErrNoDrafts):
		return &problem{status: http.StatusBadRequest, code: codeInvalidOperation, message: err.Error()}
	case errors.Is(err, verifier.ErrBusy):
		return &problem{status: http.StatusTooManyRequests, code: codeTooMany, message: "Too many policies are being evaluated, retry after 5 seconds.", retry: busyRetry}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return unavailable("the collateral was not there in time", defaultRetry)
	}
	return &problem{status: http.StatusInternalServerError, code: codeInternal, message: "The request could not be processed.", retry: defaultRetry}
}

// Describe returns the code and the message with which the service answers err, for commands that tell what it would
// say without being one (README.md section 8 of the specification).
func Describe(err error) (code, message string) {
	p := problemOf(err)
	return p.code, p.text()
}

func unavailable(message string, retry time.Duration) *problem {
	if retry <= 0 {
		retry = defaultRetry
	}
	return &problem{status: http.StatusServiceUnavailable, code: codeCollateral, message: message, retry: retry}
}

// refusal maps a check that did not hold.
func refusal(r *evidence.Refusal) *problem {
	code := r.Code()
	if code == codeCollateral {
		return unavailable(r.Error(), defaultRetry)
	}
	p := &problem{status: http.StatusBadRequest, code: code, message: r.Error()}
	if r.Check == evidence.TCBBaseline || r.Check == evidence.TCBNotSupported {
		p.inner = codeBelowBaseline
	}
	return p
}

// policyProblem maps the three ways in which a policy can say no, or gives nil.
func policyProblem(err error) *problem {
	if errs, ok := errors.AsType[policy.Errors](err); ok {
		return &problem{status: http.StatusBadRequest, code: codePolicyParsing, message: "Policy Parser Exception Thrown: " + errs.Error()}
	}
	if denied, ok := errors.AsType[*policy.Denied](err); ok {
		return &problem{status: http.StatusBadRequest, code: codePolicyEvaluation, message: err.Error(), bare: denied.Kind.Message(), public: denied.Public()}
	}
	if _, ok := errors.AsType[*policy.EvaluationError](err); ok {
		return &problem{status: http.StatusBadRequest, code: codePolicyEvaluation, message: err.Error(), bare: bareFailure}
	}
	return nil
}

// changeProblem maps the refusals of callers and of changes, or gives nil.
func changeProblem(err error) *problem {
	if u, ok := errors.AsType[*auth.Unavailable](err); ok {
		return &problem{status: http.StatusServiceUnavailable, code: codeUnavailable, message: "The issuer of the token cannot be asked for its keys.", retry: cmp.Or(u.RetryAfter, defaultRetry)}
	}
	if errors.Is(err, store.ErrUnavailable) {
		return &problem{status: http.StatusServiceUnavailable, code: codeUnavailable, message: "The store of the service cannot be reached.", retry: busyRetry}
	}
	if jws, ok := errors.AsType[*policyjws.Refusal](err); ok {
		return &problem{status: http.StatusBadRequest, code: jws.Code(), message: jws.Error()}
	}
	for _, known := range []error{provider.ErrNotIsolated, provider.ErrShared, provider.ErrLastSigner, provider.ErrTooManySigners, provider.ErrConfigured, provider.ErrNoURL} {
		if errors.Is(err, known) {
			return &problem{status: http.StatusBadRequest, code: codeInvalidOperation, message: err.Error() + "."}
		}
	}
	if _, coming := errors.AsType[*keyring.ComingError](err); coming || errors.Is(err, keyring.ErrTooManyKeys) {
		return &problem{status: http.StatusConflict, code: codeConflict, message: err.Error() + "."}
	}
	switch {
	case errors.Is(err, provider.ErrInvalid), errors.Is(err, provider.ErrInvalidReference), errors.Is(err, provider.ErrBaseline):
		return &problem{status: http.StatusBadRequest, code: codeInvalidParameter, message: err.Error() + "."}
	case errors.Is(err, provider.ErrNoSuchVersion), errors.Is(err, store.ErrNotFound):
		return &problem{status: http.StatusNotFound, code: codeNotFound, message: err.Error() + "."}
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrTaken), errors.Is(err, store.ErrFull), errors.Is(err, reference.ErrFull), errors.Is(err, provider.ErrFixed):
		return &problem{status: http.StatusConflict, code: codeConflict, message: err.Error() + "."}
	}
	return nil
}

// bareFailure is all that is said of a failed evaluation where hide_policy_reasons is on.
const bareFailure = "Policy Engine Exception: The policy could not be evaluated over the claims of the evidence."

// problemFor maps an error, and leaves out what this caller is not to see: what the provider does not want said, and reference values, which
// take the permission to read (native.md section 5).
func (s *Service) problemFor(r *request, err error) *problem {
	p := problemOf(err)
	if p.bare == "" || s.may(r, auth.Read) {
		return p
	}
	switch {
	case r.at.Settings.HidePolicyReasons:
		p.message = p.bare + " The provider does not say why (hide_policy_reasons); its operator can find out by the request id."
	case p.public != "":
		p.message = p.public
	case r.at.HasReferences():
		p.message = p.bare + " Why takes the permission to read, since the provider has reference values; its operator can find out by the request id."
	}
	return p
}

type errorBody struct {
	Error struct {
		Code    string      `json:"code"`
		Message string      `json:"message"`
		Inner   *innerError `json:"innererror,omitzero"`
	} `json:"error"`
}

type innerError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// text is the message as it is sent: it may quote what the caller sent.
func (p *problem) text() string { return strings.ToValidUTF8(shorten(p.message, maxMessage), "\uFFFD") }

// errorForm is how an operation writes its refusals.
type errorForm int

const (
	usualErrors   errorForm = iota
	armErrors               // without the inner error (management.md section 3)
	previewErrors           // of 2018-09-01-preview: 401 is a string (api.md section 5)
)

// errors gives the form of the operation, the usual one before an operation was found.
func (op *operation) errors() errorForm {
	if op == nil {
		return usualErrors
	}
	return op.form
}

// write answers with the problem in the shape that the clients of the operation read.
func (p *problem) write(w http.ResponseWriter, form errorForm) {
	var b errorBody
	b.Error.Code, b.Error.Message = p.code, p.text()
	if form != armErrors && p.status != http.StatusUnauthorized { // neither has one in what was recorded
		b.Error.Inner = &innerError{cmp.Or(p.inner, p.code), b.Error.Message}
	}
	w.Header().Set("x-ms-error-code", p.code)
	if p.retry > 0 {
		seconds := int64((p.retry + time.Second - 1) / time.Second)
		w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	if form == previewErrors && p.status == http.StatusUnauthorized {
		writeJSON(w, p.status, b.Error.Message)
		return
	}
	writeJSON(w, p.status, b)
}
