package tdx_test

import (
	"testing"

	"github.com/assay-attestation/assay/evidence/tdx"
	"github.com/assay-attestation/assay/internal/dcaptest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

func TestVectors(t *testing.T) {
	for _, c := range vectortest.DCAPCases(t, "tdx") {
		t.Run(c.Name, func(t *testing.T) {
			v, err := verify(t, c)
			if err != nil {
				dcaptest.Outcome(t, c, nil, err)
				return
			}
			dcaptest.Outcome(t, c, v.Verified, nil)
		})
	}
}

// verify runs a case through the whole ladder.
func verify(t testing.TB, c vectortest.DCAPCase) (*tdx.Verified, error) {
	t.Helper()
	e, err := tdx.Parse(c.Quote)
	if err != nil {
		return nil, err
	}
	in, err := dcaptest.Endorse(t, c, e.Quote)
	if err != nil {
		return nil, err
	}
	return tdx.Verify(in.Verifier, in.Origin, e, in.Input)
}
