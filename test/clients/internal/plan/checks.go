package plan

import (
	"fmt"
	"os"
	"strings"
)

// Checks counts the outcomes of a client program and prints one line for each.
type Checks struct{ passed, failed int }

// Run makes one check: err is what the client made of it, nil where it holds.
func (c *Checks) Run(name string, err error) {
	if err != nil {
		c.failed++
		fmt.Printf("FAIL  %s: %v\n", name, err)
		return
	}
	c.passed++
	fmt.Printf("ok    %s\n", name)
}

// Exit prints the totals and ends the program: status 1 if a check failed or none was made.
func (c *Checks) Exit() {
	fmt.Printf("%d passed, %d failed\n", c.passed, c.failed)
	if c.failed > 0 || c.passed == 0 {
		os.Exit(1)
	}
}

// WantRefusal turns a refusal with the given reason into success, and everything else into an error.
func WantRefusal(err error, reason string) error {
	if err == nil {
		return fmt.Errorf("accepted, want a refusal with %q", reason)
	}
	if !strings.Contains(err.Error(), reason) {
		return fmt.Errorf("refused for another reason than %q: %w", reason, err)
	}
	return nil
}
