package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/collateral"
	"github.com/assay-attestation/assay/internal/kds"
	"github.com/assay-attestation/assay/internal/keyring"
	"github.com/assay-attestation/assay/internal/provider"
	"github.com/assay-attestation/assay/internal/ratelimit"
	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/verifier"
	"github.com/assay-attestation/assay/policy"
	"github.com/assay-attestation/assay/result"
)

// TestErrorsBecomeProblems holds the one mapping to README.md section 8 of the specification.
func TestErrorsBecomeProblems(t *testing.T) {
	refused := func(c evidence.Check) *evidence.Refusal { return evidence.Refuse(c, "it does not hold") }
	for _, tt := range []struct {
		name   string
		err    error
		status int
		code   string
		inner  string
		retry  string
	}{
		{"own refusal", bad("x"), 400, "InvalidParameter", "", ""},
		{"change of what is fixed", fmt.Errorf("location: %w", provider.ErrFixed), 409, "Conflict", "", ""},
		{"provider that is gone", fmt.Errorf("store: %w", store.ErrNotFound), 404, "NotFound", "", ""},
		{"name that is taken", fmt.Errorf("store: %w", store.ErrTaken), 409, "Conflict", "", ""},
		{"key to come", &keyring.ComingError{}, 409, "Conflict", "", ""},
		{"key too many", fmt.Errorf("%w: x", keyring.ErrTooManyKeys), 409, "Conflict", "", ""},
		{"quote cannot be parsed", refused(evidence.QuoteFormat), 400, "InvalidQuote", "", ""},
		{"quote without chain", refused(evidence.CertDataType), 400, "InvalidQuote", "", ""},
		{"evidence does not verify", refused(evidence.QuoteSignature), 400, "InvalidParameter", "", ""},
		{"platform below baseline", refused(evidence.TCBBaseline), 400, "InvalidParameter", "QuoteDoesNotMatchAzureBaseline", ""},
		{"platform below all levels", refused(evidence.TCBNotSupported), 400, "InvalidParameter", "QuoteDoesNotMatchAzureBaseline", ""},
		{"wrapped", fmt.Errorf("appraising: %w", refused(evidence.Revoked)), 400, "InvalidParameter", "", ""},
		{"fault of the collateral", refused(evidence.TCBInfoExpired).Blame(evidence.OfEndorsement), 503, "CollateralUnavailable", "", "30"},
		{"collateral not there", &collateral.Unavailable{Item: "TCB info", RetryAfter: 1500 * time.Millisecond, Err: collateral.ErrAbsent}, 503, "CollateralUnavailable", "", "2"},
		{"collateral not there, no pause known", &collateral.Unavailable{Item: "TCB info", Err: collateral.ErrAbsent}, 503, "CollateralUnavailable", "", "30"},
		{"collateral whose cause is a refusal", &collateral.Unavailable{Item: "TCB info", Err: refused(evidence.QuoteFormat)}, 503, "CollateralUnavailable", "", "30"},
		{"certificate not to be had", &kds.Unavailable{Item: "VCEK", RetryAfter: 90 * time.Second, Err: refused(evidence.SNPChain)}, 503, "CollateralUnavailable", "", "90"},
		{"out of time", fmt.Errorf("x: %w", context.DeadlineExceeded), 503, "CollateralUnavailable", "", "30"},
		{"client gone", context.Canceled, 503, "CollateralUnavailable", "", "30"},
		{"unknown baseline", fmt.Errorf("%w: x", collateral.ErrUnknownBaseline), 400, "InvalidParameter", "", ""},
		{"policy text", policy.Errors{{Failure: "x"}}, 400, "PolicyParsingError", "", ""},
		{"policy denies", &policy.Denied{}, 400, "PolicyEvaluationError", "", ""},
		{"policy fails", &policy.EvaluationError{Err: errors.New("x")}, 400, "PolicyEvaluationError", "", ""},
		{"no seat for a policy", verifier.ErrBusy, 429, "TooManyRequests", "", "5"},
		{"no drafts", verifier.ErrNoDrafts, 400, "InvalidOperation", "", ""},
		{"token too large", fmt.Errorf("x: %w", result.ErrTooLarge), 400, "InvalidParameter", "", ""},
		{"fault of ours", errors.New("secret"), 500, "InternalError", "", "30"},
		{"panic", panicked("secret"), 500, "InternalError", "", "30"},
	} {
		w := httptest.NewRecorder()
		problemOf(tt.err).write(w, usualErrors)
		var got struct {
			Error struct {
				Code, Message string
				Innererror    struct{ Code, Message string }
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatalf("%s: %v: %s", tt.name, err, w.Body)
		}
		if tt.inner == "" {
			tt.inner = tt.code
		}
		e, h := got.Error, w.Header()
		if w.Code != tt.status || e.Code != tt.code || e.Innererror.Code != tt.inner || h.Get("Retry-After") != tt.retry || h.Get("x-ms-error-code") != tt.code {
			t.Errorf("%s: got %d %s, Retry-After %q; want %d %s/%s, %q", tt.name, w.Code, w.Body, h.Get("Retry-After"), tt.status, tt.code, tt.inner, tt.retry)
		}
		if undecided := tt.status == 429 || tt.status >= 500; problemOf(tt.err).undecided() != undecided {
			t.Errorf("%s: decided %t, want %t", tt.name, undecided, !undecided)
		}
		if code, message := Describe(tt.err); code != e.Code || message != e.Message {
			t.Errorf("%s: described as %s, %q, sent as %s, %q", tt.name, code, message, e.Code, e.Message)
		}
		if e.Message == "" || e.Innererror.Message != e.Message || strings.Contains(e.Message, "secret") {
			t.Errorf("%s: message %q, inner %q", tt.name, e.Message, e.Innererror.Message)
		}
	}
}

// TestMessagesAreTextAndBounded covers what a message may quote of a request.
func TestMessagesAreTextAndBounded(t *testing.T) {
	for name, message := range map[string]string{
		"no text": "a\xff\xfeb", "endless": strings.Repeat("é", maxMessage), "one byte too long": strings.Repeat("x", maxMessage) + "é",
	} {
		w := httptest.NewRecorder()
		bad("%s", message).(*problem).write(w, usualErrors)
		var v any
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != http.StatusBadRequest || w.Body.Len() > 2*maxMessage+500 {
			t.Errorf("%s: status %d, %d bytes: %v", name, w.Code, w.Body.Len(), err)
		}
	}
}

// bare is a service without providers.
func bare(t *testing.T, log *slog.Logger) *Service {
	t.Helper()
	none, err := ratelimit.New(0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{Logger: log, Clock: time.Now, Limits: Limits{none, none, none, none}})
}

// TestPanicIsAnsweredAndLogged has an operation panic: the client learns nothing, the log all.
func TestPanicIsAnsweredAndLogged(t *testing.T) {
	var log bytes.Buffer
	s := bare(t, slog.New(slog.NewJSONHandler(&log, nil)))
	s.operations = newTable([]route{{http.MethodGet, "/x", operation{name: "Panic", access: everybody(), do: func(context.Context, *request) (any, error) {
		panic("secret state")
	}}}})
	w := httptest.NewRecorder()
	s.serve(w, httptest.NewRequest(http.MethodGet, "/x", nil), new(provider.Instance))
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "secret") || w.Header().Get("Retry-After") == "" {
		t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
	for _, want := range []string{`"level":"ERROR"`, `"status":500`, `"code":"InternalError"`, "secret state", "problem_test.go"} {
		if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), want) {
			t.Errorf("the log is not one line with %s: %s", want, log.String())
		}
	}
}

// TestBodyThatBreaksOff has the client end before its body does.
func TestBodyThatBreaksOff(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/attest/SgxEnclave?api-version=2020-10-01", broken{})
	bare(t, slog.New(slog.DiscardHandler)).serve(w, r, new(provider.Instance))
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "could not be read to its end") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection lost") }
