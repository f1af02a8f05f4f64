package auth

import (
	"fmt"
	"time"

	"github.com/assay-attestation/assay/internal/reason"
)

// Reason says in one word why a caller was refused. The words are a closed list.
type Reason string

// The reasons in the order of the checks.
const (
	ReasonMalformed   Reason = "malformed"     // not one bearer token, or a member of it is missing or of another type
	ReasonAlgorithm   Reason = "alg"           // unsigned, signed with a secret, or with an algorithm that is not known
	ReasonIssuer      Reason = "issuer"        // no issuer of the configuration
	ReasonAudience    Reason = "audience"      // made for another service
	ReasonExpired     Reason = "expired"       // exp of the token, or the end of the certificate, has come
	ReasonNotYetValid Reason = "not-yet-valid" // nbf lies in the future
	ReasonUnknownKey  Reason = "unknown-key"   // the issuer lists no usable key with this kid
	ReasonSignature   Reason = "signature"     // the signature does not verify
)

// Refused is the verdict on somebody who did not prove who it is. Its text is for a person, and never holds the token.
type Refused struct {
	Reason   Reason
	Problem  string // what did not hold, without a final stop
	Expected string // what would have passed; may be empty
	Found    string // what was met instead; may be empty
	Remedy   string // what the reader can do about it; may be empty
}

// Error gives the reason and one or two sentences.
func (r *Refused) Error() string {
	return reason.Reason{Problem: r.Problem, Expected: r.Expected, Found: r.Found, Remedy: r.Remedy}.After(string(r.Reason))
}

func malformed(format string, args ...any) *Refused {
	return &Refused{Reason: ReasonMalformed, Problem: fmt.Sprintf(format, args...)}
}

// Unavailable is the error when an issuer's keys could not be had. It is no verdict on the caller: try again.
type Unavailable struct {
	Issuer     string        // as configured
	RetryAfter time.Duration // when another attempt will be made
	Err        error         // what went wrong; for the log, not for the caller
}

// Error says whose keys are missing and why.
func (u *Unavailable) Error() string {
	return fmt.Sprintf("the keys of the issuer %s are not available: %v", u.Issuer, u.Err)
}

// Unwrap returns what went wrong.
func (u *Unavailable) Unwrap() error { return u.Err }

// maxQuoted bounds how much of a token's text goes into a message.
const maxQuoted = 120

// quote writes text of a stranger for a message: on one line and not too long.
func quote(s string) string {
	if s == "" {
		return "none"
	}
	if len(s) > maxQuoted {
		return fmt.Sprintf("%.*q…", maxQuoted, s)
	}
	return fmt.Sprintf("%q", s)
}
