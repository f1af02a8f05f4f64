package policy_test

import (
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/jmespath"
)

func TestScratchJ(t *testing.T) {
	for range 10 {
		jmespath.Compile(strings.Repeat("[?@]", 4000))
	}
}
func TestScratchK(t *testing.T) {
	for range 100 {
		jmespath.Compile(strings.Repeat("@|", 8000) + "@")
	}
}
