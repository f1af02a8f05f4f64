package azureguest_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// refused fails unless an error is a refusal.
func refused(t *testing.T, err error) {
	t.Helper()
	if _, ok := errors.AsType[*evidence.Refusal](err); !ok {
		t.Fatalf("not a refusal: %v", err)
	}
}

// FuzzBundle parses bundles and verifies them with the roots of the vectors. What is verified is what vTPMs of the vectors signed, byte for byte,
// over the PCRs and the key that came along.
func FuzzBundle(f *testing.F) {
	var in azureguest.Input
	known := map[string]bool{}
	add := func(b []byte, err error) {
		if err != nil {
			return
		}
		f.Add(b)
		if bundle, err := azureguest.Parse(b, limits()); err == nil {
			for _, part := range bundle.Signed() {
				known[string(part)] = true
			}
		}
	}
	for _, c := range vectors(f) {
		add(c.information(f))
		if c.Roots.VTPM != "" {
			in = c.input(f, azureguest.Input{})
		}
	}
	add(information(f, "maa/azureguest/goclient-simulated.request.json"))
	if len(known) == 0 {
		vectortest.NoCase(f, "bundle that can be parsed")
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		bundle, err := azureguest.Parse(b, limits())
		if err != nil {
			refused(t, err)
			return
		}
		if confidential := bundle.Isolation != azureguest.TrustedLaunch; confidential != (bundle.RuntimeData != nil) || confidential != (bundle.Proof != nil) {
			t.Errorf("%s with %d bytes of proof and %d of runtime data", bundle.Isolation, len(bundle.Proof), len(bundle.RuntimeData))
		}
		m, err := bundle.Verify(in)
		if err != nil {
			refused(t, err)
			return
		}
		if slices.ContainsFunc(bundle.Signed(), func(part []byte) bool { return !known[string(part)] }) {
			t.Error("what nobody signed is verified")
		}
		if v, err := m.OnTrustedLaunch(); err == nil && (!m.Certified() || v.Recipient() == nil) {
			t.Error("trusted launch without a certificate, or without a recipient")
		}
	})
}
