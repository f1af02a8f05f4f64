package attester_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/internal/swtpmtest"
)

// unasked is a service to which nothing may be sent.
func unasked(t *testing.T) attester.Post {
	return func(context.Context, string, []byte) ([]byte, error) {
		t.Error("the service was asked")
		return nil, errors.New("asked")
	}
}

func TestAMachineWithValuesThatMeanNothingIsRefusedBeforeAnybodyIsAsked(t *testing.T) {
	whole := machine(t, swtpmtest.Start(t))
	for name, test := range map[string]struct {
		edit  func(*attester.Machine)
		cause string
		alike bool // of Enroll too
	}{
		"no TPM":       {func(m *attester.Machine) { m.TPM = nil }, "no TPM is given", true},
		"no scheme":    {func(m *attester.Machine) { m.Scheme = attester.ECDSAP384 + 1 }, "no scheme of number 4", true},
		"negative":     {func(m *attester.Machine) { m.Scheme = -1 }, "no scheme of number -1", true},
		"no kind":      {func(m *attester.Machine) { m.Key = attester.CertifiedKey + 1 }, "no kind of key of number 3", false},
		"no logs":      {func(m *attester.Machine) { m.Logs.Root = nil }, "no file system", false},
		"no PCR":       {func(m *attester.Machine) { m.PCRs = []int{} }, "expected PCRs from 0 to 23, found []", false},
		"PCR 24":       {func(m *attester.Machine) { m.PCRs = []int{0, 24} }, "found [0 24]", false},
		"negative PCR": {func(m *attester.Machine) { m.PCRs = []int{-1} }, "found [-1]", false},
	} {
		t.Run(name, func(t *testing.T) {
			m := *whole
			test.edit(&m)
			_, err := m.Attest(t.Context(), unasked(t))
			wantProblem(t, err, test.cause, "mistake of the program")
			if test.alike {
				_, err = m.Enroll(t.Context(), unasked(t))
				wantProblem(t, err, test.cause, "mistake of the program")
			}
		})
	}
}

func TestATPMThatWasNotOpenedDoesNotAnswer(t *testing.T) {
	for _, c := range []*attester.TPM{new(attester.TPM), attester.New(nil)} {
		_, err := c.AIK(attester.RSASSA)
		wantProblem(t, err, "it was not opened", "")
		_, _, err = c.EKCertificate()
		wantProblem(t, err, "it was not opened", "")
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// loaded gives the handles of keys and of sessions that are in the TPM.
func loaded(t *testing.T, s *swtpmtest.TPM) (handles []tpm2.TPMHandle) {
	t.Helper()
	for _, first := range []uint32{uint32(tpm2.TPMHTTransient) << 24, uint32(tpm2.TPMHTHMACSession) << 24} {
		answer, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: first, PropertyCount: 64}.Execute(s.Open(t))
		if err != nil {
			t.Fatal(err)
		}
		list, err := answer.CapabilityData.Data.Handles()
		if err != nil {
			t.Fatal(err)
		}
		handles = append(handles, list.Handle...)
	}
	return handles
}

// TestNothingStaysInTheTPMWhateverFails: without a resource manager it would fill up.
func TestNothingStaysInTheTPMWhateverFails(t *testing.T) {
	s := swtpmtest.Start(t)
	m := machine(t, s)
	m.Key = attester.CertifiedKey
	fails := func(command tpm2.TPMCC, act func() error) {
		t.Helper()
		m.TPM = attester.New(answering{s.Open(t), command, tpm2.TPMRCRetry})
		if err := act(); err == nil {
			t.Errorf("command %x was not sent", command)
		}
		if left := loaded(t, s); len(left) > 0 {
			t.Errorf("after command %x failed there are %x", command, left)
		}
	}
	for _, command := range []tpm2.TPMCC{tpm2.TPMCCStartAuthSession, tpm2.TPMCCPolicySecret, tpm2.TPMCCActivateCredential} {
		fails(command, func() error { _, err := m.Enroll(t.Context(), newEnroller(t).post); return err })
	}
	for _, command := range []tpm2.TPMCC{tpm2.TPMCCCertify, tpm2.TPMCCPCRRead, tpm2.TPMCCQuote, tpm2.TPMCCSign} {
		fails(command, func() error { _, err := m.Attest(t.Context(), (&judge{t: t}).post); return err })
	}
}
