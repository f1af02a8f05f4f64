package collateral

import (
	"errors"
	"fmt"
	"time"

	"github.com/assay-attestation/assay/evidence"
)

// ErrAbsent says that a source was asked and does not have the item.
var ErrAbsent = errors.New("not there")

// Unavailable says that an item of collateral could not be had in a form that may be used. The service answers it as
// 503 CollateralUnavailable with Retry-After; it says nothing about the evidence.
type Unavailable struct {
	Item       string        // which document, in words: "TCB info for FMSPC 00906ED50000"
	RetryAfter time.Duration // when asking again may help; zero if not known
	Err        error         // what is wrong with it
}

// Error names the item and what is wrong with it, for the operator.
func (u *Unavailable) Error() string { return fmt.Sprintf("%s is not available: %v", u.Item, u.Err) }

// Public is Error for a client. It says one of a few things about the item, and nothing about the operator's hosts, files
// and folders or about the bytes in them.
func (u *Unavailable) Public() string {
	what := "it could not be loaded"
	if c, ok := errors.AsType[*cause](u.Err); ok {
		what = c.public
	} else if errors.Is(u.Err, ErrAbsent) {
		what = "it is not there"
	}
	return fmt.Sprintf("%s is not available: %s. Nothing is wrong with the evidence: the operator of the service has to renew "+
		"its collateral; try again later", u.Item, what)
}

// Unwrap returns the cause.
func (u *Unavailable) Unwrap() error { return u.Err }

// cause is why a document is not available, in words for everybody and in full.
type cause struct {
	public string
	err    error
}

// Error is the text in full.
func (c *cause) Error() string { return c.err.Error() }

// Unwrap returns what the text in full is of.
func (c *cause) Unwrap() error { return c.err }

// unsound is the cause of a document that was there and could not be used. Its own cause is not wrapped: a refusal of
// collateral must not be taken for one of evidence.
func unsound(err error) error {
	if c, ok := errors.AsType[*cause](err); ok {
		return c
	}
	public := "what its source gave could not be used"
	if r, ok := errors.AsType[*evidence.Refusal](err); ok {
		public = "what its source gave did not pass the check " + string(r.Check) + " (the service's log says more)"
	}
	return &cause{public, errors.New(err.Error())}
}

// notNow is a cause about which everybody may read all.
func notNow(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &cause{err.Error(), err}
}
