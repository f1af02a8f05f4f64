package policyjws

import (
	"fmt"

	"github.com/assay-attestation/assay/internal/reason"
)

// Reason says in one word why a JWS was refused. The words are a closed list that tests and scripts rely on.
type Reason string

// The reasons in the order of the checks. Parse refuses for the first two, Verify for the next four, Trust for the last.
const (
	Malformed Reason = "malformed" // not a compact JWS, or header or payload are not what they should be
	Algorithm Reason = "alg"       // not an algorithm of policies
	Unsigned  Reason = "unsigned"  // there is no signature
	Key       Reason = "key"       // the key is too weak, or of another kind than the algorithm needs
	Signature Reason = "signature" // the signature does not verify
	Chain     Reason = "chain"     // the certificates of x5c do not lead from one to the next, or end in no CA
	Signer    Reason = "signer"    // not the key of a known signer, nor certified by one
)

// Refusal is the verdict on a JWS that is not accepted. Its text is for a person.
type Refusal struct {
	Reason   Reason
	Problem  string // what did not hold, without a final stop
	Expected string // what would have passed; may be empty
	Found    string // what was met instead; may be empty
	Remedy   string // what the reader can do about it; may be empty
	Err      error  // the cause, if another error is behind it
}

func refuse(reason Reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Problem: fmt.Sprintf(format, args...)}
}

func malformed(format string, args ...any) *Refusal { return refuse(Malformed, format, args...) }

// want adds what was expected and what was found.
func (r *Refusal) want(expected, found string) *Refusal {
	r.Expected, r.Found = expected, found
	return r
}

// do adds what the reader can do.
func (r *Refusal) do(remedy string) *Refusal {
	r.Remedy = remedy
	return r
}

// because adds the error behind the refusal.
func (r *Refusal) because(err error) *Refusal {
	r.Err = err
	return r
}

// Error gives the reason and one or two sentences.
func (r *Refusal) Error() string {
	return reason.Reason{Problem: r.Problem, Err: r.Err, Expected: r.Expected, Found: r.Found, Remedy: r.Remedy}.After("policy JWS: " + string(r.Reason))
}

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// Code is the error code of the service's API for the reason (policy.md section 12).
func (r *Refusal) Code() string {
	if r.Reason == Chain {
		return "InvalidParameter"
	}
	return "InvalidOperation"
}

// maxQuoted bounds how much of a JWS goes into a message.
const maxQuoted = 60

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
