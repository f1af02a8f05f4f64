package main

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/collateral"
	"github.com/assay-attestation/assay/relyingparty"
)

// The exit statuses (native.md section 1).
const (
	exitOK      = 0 // it holds
	exitRefused = 1 // it does not hold
	exitUsage   = 2 // usage error, or a file or the TPM cannot be read
	exitMissing = 3 // collateral or a key set is not there
	exitService = 4 // the service answered with an error of its own or could not be reached
)

// usageError is a call that is wrong in itself: its flags, its arguments, or a file that they name.
type usageError struct {
	err    error
	inFile bool // the flags are right, so that help would not
}

func (u usageError) Error() string { return u.err.Error() }
func (u usageError) Unwrap() error { return u.err }

func usage(format string, args ...any) error {
	return usageError{err: fmt.Errorf(format, args...)}
}

// badFile is the usage error of a file that cannot be read or written.
func badFile(err error) error { return usageError{err: err, inFile: true} }

// serviceError is an answer of the service other than 200, or none.
type serviceError struct {
	Status  int    // of HTTP; 0 if there was no usable answer
	Code    string // of the error body
	Message string
	err     error // why there was no answer
}

func (s *serviceError) Error() string {
	switch {
	case s.err != nil:
		return s.err.Error()
	case s.Code == "":
		return fmt.Sprintf("the service answered %d %s: %s", s.Status, http.StatusText(s.Status), s.Message)
	}
	return fmt.Sprintf("%s: %s (HTTP %d)", s.Code, s.Message, s.Status)
}

func (s *serviceError) Unwrap() error { return s.err }

// told is an error that the command has shown as its result; only the exit status is left to do.
type told struct{ err error }

func (t told) Error() string { return t.err.Error() }
func (t told) Unwrap() error { return t.err }

// exitStatus says how the program ends after err. What is none of the errors below does not hold.
func exitStatus(err error) int {
	var (
		wrong       usageError
		service     *serviceError
		keys        *relyingparty.KeysUnavailable
		refusal     *evidence.Refusal
		unavailable *collateral.Unavailable
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &wrong), errors.As(err, new(*attester.Problem)):
		return exitUsage
	case errors.As(err, &service):
		if service.Status >= 400 && service.Status < 500 {
			return exitRefused
		}
		return exitService
	case errors.As(err, &keys), errors.As(err, &unavailable), errors.Is(err, collateral.ErrAbsent):
		return exitMissing
	case errors.As(err, &refusal) && refusal.Check == evidence.CollateralMissing:
		return exitMissing
	}
	return exitRefused
}
