//go:build !cgo

package azureguest

import (
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
)

func TestGuest(t *testing.T) {
	vectortest.Missing(t, "C compiler with cgo (Debian: gcc and libssl-dev), which the simulated TPM is built with")
}
