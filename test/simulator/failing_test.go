package simulator

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/assay-attestation/assay/attester"
)

// fault is what happens to a command.
type fault struct {
	arrives bool // the TPM does the command, and the answer is lost
	code    tpm2.TPMRC
	forever bool // the TPM is gone from then on
}

// failing is a TPM whose n-th command fails.
type failing struct {
	transport.TPM
	fault
	n, count int
}

var errGone = errors.New("input/output error")

func (f *failing) Send(command []byte) ([]byte, error) {
	f.count++
	if f.count != f.n && (!f.forever || f.count < f.n) {
		return f.TPM.Send(command)
	}
	if f.arrives {
		if _, err := f.TPM.Send(command); err != nil {
			return nil, err
		}
	}
	if f.code != 0 {
		return refusal(f.code), nil
	}
	return nil, errGone
}

// step is what a machine does with the TPM that fails.
type step struct {
	fewest   int  // commands, or the test has not gone through them
	enrolled bool // before
	do       func(context.Context, *attester.Machine, attester.Post) (any, error)
}

func steps() map[string]step {
	return map[string]step{
		"enrolling": {14, false, func(ctx context.Context, m *attester.Machine, post attester.Post) (any, error) {
			e, err := m.Enroll(ctx, post)
			if e == nil && m.AIKCertificate == nil {
				return nil, err
			}
			return e, err
		}},
		"attesting": {16, true, func(ctx context.Context, m *attester.Machine, post attester.Post) (any, error) {
			r, err := m.Attest(ctx, post)
			if r == nil {
				return nil, err
			}
			return r, err
		}},
	}
}

// failsAtEach lets each command of an enrolment and of both rounds of an attestation fail, in each way that commands can.
func failsAtEach(t *testing.T, s *service, ca *maker) {
	c := newTPM(t)
	ca.certifyRSA(t, c)
	enrolled := machine(t, c)
	enrolled.Scheme = attester.ECDSAP256
	s.wantAttested(t, enrolled, c, 0)
	for doing, step := range steps() {
		for name, how := range map[string]fault{
			"a command does not arrive": {}, "an answer is lost": {arrives: true}, "it fails its tests": {code: tpm2.TPMRCFailure}, "it is gone": {forever: true},
		} {
			t.Run(doing+" when "+name, func(t *testing.T) {
				n := 1
				for step.failsAt(t, s, &failing{TPM: c, fault: how, n: n}, enrolled.AIKCertificate) {
					n++
				}
				if n <= step.fewest {
					t.Errorf("%d commands, want at least %d", n-1, step.fewest)
				}
			})
		}
	}
}

// failsAt makes the step with a TPM that fails, and reports whether it came to that.
func (step step) failsAt(t *testing.T, s *service, f *failing, certificate []byte) bool {
	t.Helper()
	m := machine(t, f)
	m.Scheme, m.Key = attester.ECDSAP256, attester.CertifiedKey
	if step.enrolled {
		m.AIKCertificate = certificate
	}
	got, err := step.do(t.Context(), m, s.post)
	left := loaded(t, f.TPM)
	if f.count < f.n {
		if got == nil || err != nil || len(left) != 0 {
			t.Errorf("without a failure: %v, in the TPM: %x", err, left)
		}
		return false
	}
	problem, ok := errors.AsType[*attester.Problem](err)
	if !ok || got != nil || !strings.HasPrefix(problem.What, "the TPM ") || problem.Remedy == "" {
		t.Errorf("command %d: done %t, error %v", f.n, got != nil, err)
	}
	if len(left) != 0 && !f.forever {
		t.Errorf("command %d leaves %x in the TPM", f.n, left)
	}
	flush(t, f.TPM, left)
	return true
}
