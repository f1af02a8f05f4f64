package kds

import (
	"fmt"
	"time"
)

// Unavailable says that a certificate could not be had now. The API answers it as 503 CollateralUnavailable with Retry-After; it says
// nothing about the evidence.
type Unavailable struct {
	Item       string        // which certificate, in words
	RetryAfter time.Duration // when asking again may help, above zero
	Err        error         // what is wrong
	public     string        // likewise, without the hosts and files of the operator
}

// Error names the item and what is wrong, for the operator.
func (u *Unavailable) Error() string { return fmt.Sprintf("%s is not available: %v", u.Item, u.Err) }

// Public is Error for a client.
func (u *Unavailable) Public() string {
	return fmt.Sprintf("%s is not available: %s. Nothing is wrong with the evidence: try again later, or send VcekCertChain with the report", u.Item, u.public)
}

// Unwrap returns the cause.
func (u *Unavailable) Unwrap() error { return u.Err }

// notNow is an Unavailable about which everybody may read all.
func notNow(k key, after time.Duration, format string, args ...any) *Unavailable {
	err := fmt.Errorf(format, args...)
	return &Unavailable{k.String(), max(after, time.Second), err, err.Error()}
}
