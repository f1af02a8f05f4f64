package assaytest_test

import (
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/tpm"
)

func certificate(t *testing.T, v *assaytest.TPMVendor, r assaytest.TPMRole) *x509.Certificate {
	t.Helper()
	text, err := v.CertificatePEM(r)
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(text)
	if block == nil || len(rest) > 0 {
		t.Fatalf("not one certificate: %s", text)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestKeysOfATPMAreCertifiedByTheAuthoritiesOfItsMaker(t *testing.T) {
	now := time.Now()
	v := vendor()
	roots := func(r assaytest.TPMRole, intermediates ...*x509.Certificate) *tpm.Roots {
		return tpm.NewRoots([]tpm.Root{{Certificate: certificate(t, v, r)}}, intermediates)
	}
	aik, ek := certificate(t, v, assaytest.AIK), certificate(t, v, assaytest.EK)
	if _, err := roots(assaytest.AIKRoot).VerifyAIK(aik.Raw, now); err != nil {
		t.Error("AIK:", err)
	}
	if _, err := roots(assaytest.EKRoot, certificate(t, v, assaytest.EKIssuer)).VerifyEK(ek.Raw, now); err != nil {
		t.Error("EK:", err)
	}
	if _, err := roots(assaytest.EKRoot).VerifyEK(ek.Raw, now); err == nil {
		t.Error("the EK is certified by the root itself, want an intermediate between them")
	}
	if aik.Subject.String() != "" || len(aik.UnhandledCriticalExtensions) != 1 {
		t.Errorf("AIK: subject %q, critical extensions %v", aik.Subject, aik.UnhandledCriticalExtensions)
	}
}

func TestTheWellKnownVendorIsTheSameEverywhereAndOthersAreNot(t *testing.T) {
	one, other := certificate(t, assaytest.WellKnownTPMVendor(), assaytest.AIKRoot), certificate(t, assaytest.WellKnownTPMVendor(), assaytest.AIKRoot)
	if !one.Equal(other) {
		t.Error("two well-known vendors have different roots")
	}
	if fresh := certificate(t, assaytest.NewTPMVendor(), assaytest.AIKRoot); one.Equal(fresh) {
		t.Error("a new vendor has the root that everybody knows")
	}
}
