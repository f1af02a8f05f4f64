package sgx_test

import (
	"testing"

	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/sgx"
	"github.com/assay-attestation/assay/internal/dcaptest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

func TestVectors(t *testing.T) {
	for _, c := range vectortest.DCAPCases(t, "sgx", "openenclave") {
		t.Run(c.Name, func(t *testing.T) {
			v, err := verify(t, c)
			dcaptest.Outcome(t, c, v, err)
		})
	}
}

// verify runs a case through the whole ladder.
func verify(t *testing.T, c vectortest.DCAPCase) (*dcap.Verified, error) {
	t.Helper()
	parse := sgx.Parse
	if c.Type == "openenclave" {
		parse = sgx.ParseOpenEnclave
	}
	e, err := parse(c.Quote)
	if err != nil {
		return nil, err
	}
	in, err := dcaptest.Endorse(t, c, e.Quote)
	if err != nil {
		return nil, err
	}
	v, err := sgx.Verify(in.Verifier, in.Origin, e, in.Input)
	if err != nil {
		return nil, err
	}
	return v.Verified, nil
}
