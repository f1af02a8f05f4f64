// Package reason writes why something was refused: one or two sentences for a person, on one line. The refusals of
// evidence, tokens and policies in JWS are types of their own; what they say is said here.
package reason

import (
	"fmt"
	"strings"
)

// Reason is what a refusal says. All but Problem may be empty.
type Reason struct {
	Problem  string // what did not hold, without a final stop
	Err      error  // the cause, if another error is behind it
	Expected string // what would have passed
	Found    string // what was met instead
	Remedy   string // what the reader can do about it
}

// maxCause is how many characters of a cause are quoted. It may quote the sender's bytes in its turn, which say what they
// like at any length.
const maxCause = 500

// After returns the text behind head: "head: problem: cause (expected this, found that); remedy".
func (r Reason) After(head string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", head, r.Problem)
	if r.Err != nil {
		fmt.Fprintf(&b, ": %.*s", maxCause, strings.ReplaceAll(r.Err.Error(), "\n", "; "))
	}
	if r.Expected != "" || r.Found != "" {
		fmt.Fprintf(&b, " (expected %s, found %s)", r.Expected, r.Found)
	}
	if r.Remedy != "" {
		fmt.Fprintf(&b, "; %s", r.Remedy)
	}
	return b.String()
}
