package result

import (
	"fmt"

	"github.com/assay-attestation/assay/internal/reason"
)

// Reason says in one word why a token was refused. The words are a closed list that tests and scripts rely on.
type Reason string

// The reasons for which Verify refuses a token, in the order of its checks.
const (
	Malformed   Reason = "malformed"     // not a JWT in compact serialisation, or a member is missing or of another type
	Algorithm   Reason = "alg"           // the algorithm is not RS256
	UnknownKey  Reason = "unknown-key"   // the key set has no usable key with this kid
	Signature   Reason = "signature"     // the signature does not verify
	Issuer      Reason = "issuer"        // the token, or the certificate of its key, is another issuer's
	NotYetValid Reason = "not-yet-valid" // nbf lies in the future
	Expired     Reason = "expired"       // exp has come
	Development Reason = "development"   // the token carries the mark of development mode
)

// Refusal is the verdict on a token that is not to be relied on. Its text is for a person.
type Refusal struct {
	Reason   Reason
	Problem  string // what did not hold, without a final stop
	Expected string // the value that would have passed; may be empty
	Found    string // the value met instead; may be empty
	Remedy   string // what the reader can do about it; may be empty
	Err      error  // the cause, if another error is behind it
}

// Error gives the reason and one or two sentences.
func (r *Refusal) Error() string {
	return reason.Reason{Problem: r.Problem, Err: r.Err, Expected: r.Expected, Found: r.Found, Remedy: r.Remedy}.After(string(r.Reason))
}

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// malformed refuses a token whose form is wrong; format and args say how.
func malformed(format string, args ...any) *Refusal {
	return &Refusal{Reason: Malformed, Problem: fmt.Sprintf(format, args...)}
}

// maxQuoted bounds how much of a token's text goes into a message.
const maxQuoted = 120

// quote writes text of unknown origin for a message: on one line and not too long.
func quote(s string) string {
	if s == "" {
		return "none"
	}
	if len(s) > maxQuoted {
		return fmt.Sprintf("%.*q… (%d bytes)", maxQuoted, s, len(s))
	}
	return fmt.Sprintf("%q", s)
}
