package simulator

import (
	"crypto/x509"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/assay-attestation/assay/attester"
)

// wantAttested enrols a machine and attests, and checks that nothing stays in its TPM beside what was there.
func (s *service) wantAttested(t *testing.T, m *attester.Machine, c transport.TPM, there int) {
	t.Helper()
	if _, err := m.Enroll(t.Context(), s.post); err != nil {
		t.Fatal("enrolling:", err)
	}
	report, err := m.Attest(t.Context(), s.post)
	if err != nil {
		t.Fatal("attesting:", err)
	}
	s.verify(t, report.Text)
	if left := loaded(t, c); len(left) != there {
		t.Errorf("in the TPM: %x, want %d", left, there)
	}
}

func wantProblem(t *testing.T, err error, cause, remedy string) {
	t.Helper()
	problem, ok := errors.AsType[*attester.Problem](err)
	if !ok || !strings.Contains(err.Error(), cause) || !strings.Contains(problem.Remedy, remedy) {
		t.Errorf("got %v\nwant the cause %q and the remedy %q", err, cause, remedy)
	}
}

// TestATPMInTheProcess goes through what can be wrong with a TPM, beside one service that knows the maker of all of them.
func TestATPMInTheProcess(t *testing.T) {
	ca := newMaker(t)
	s := startService(t, ca)
	for name, test := range map[string]func(*testing.T, *service, *maker){
		"enrols and attests with each scheme and key":      eachSchemeAndKey,
		"is named when its session slots are used":         fullOfSessions,
		"is named when its object slots are used":          fullOfKeys,
		"enrols and attests while it is locked":            locked,
		"enrols by a P-256 endorsement key":                onlyECC,
		"without RSA enrols when its key is pinned":        withoutRSA,
		"that fails at any command is named, and is empty": failsAtEach,
	} {
		t.Run(name, func(t *testing.T) { test(t, s, ca) })
	}
}

func eachSchemeAndKey(t *testing.T, s *service, ca *maker) {
	c := newTPM(t)
	ca.certifyRSA(t, c)
	keys := []attester.KeyKind{attester.SoftwareKey, attester.TPMKey, attester.CertifiedKey}
	for scheme := range attester.Schemes() {
		m := machine(t, c)
		m.Scheme, m.Key = attester.Scheme(scheme), keys[scheme%len(keys)]
		s.wantAttested(t, m, c, 0)
	}
}

// fullOfSessions: attesting needs none, enrolling does.
func fullOfSessions(t *testing.T, s *service, ca *maker) {
	c := newTPM(t)
	ca.certifyRSA(t, c)
	m := machine(t, c)
	s.wantAttested(t, m, c, 0)
	const most = 64
	for range most {
		if _, _, err := tpm2.PolicySession(c, tpm2.TPMAlgSHA256, 16); err != nil {
			break
		}
	}
	there := len(loaded(t, c))
	if there == 0 || there == most {
		t.Fatalf("%d sessions: the slots cannot be used up", there)
	}
	if _, err := m.Attest(t.Context(), s.post); err != nil {
		t.Error(err)
	}
	_, err := m.Enroll(t.Context(), s.post)
	wantProblem(t, err, "TPM_RC_SESSION_MEMORY", "tpm2_flushcontext -l -s")
	if left := loaded(t, c); len(left) != there {
		t.Errorf("in the TPM: %x, want the %d sessions of another program", left, there)
	}
}

func fullOfKeys(t *testing.T, s *service, ca *maker) {
	c := newTPM(t)
	ca.certifyRSA(t, c)
	m := machine(t, c)
	s.wantAttested(t, m, c, 0)
	for {
		_, err := tpm2.CreatePrimary{
			PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate),
		}.Execute(c)
		if err != nil {
			break // no slot is left
		}
	}
	for there := loaded(t, c); len(there) > 0; there = there[1:] {
		m.Key = attester.TPMKey
		_, err := m.Attest(t.Context(), s.post)
		if left := loaded(t, c); len(left) != len(there) {
			t.Errorf("in the TPM: %x, want %x", left, there)
		}
		if err == nil {
			return // two slots are enough
		}
		wantProblem(t, err, "TPM_RC_OBJECT_MEMORY", "tpm2_flushcontext -t")
		flush(t, c, there[:1])
	}
	t.Error("it never attests")
}

// locked: the lockout after wrong passwords is none for the client's keys, which have no passwords, nor for the endorsement key.
func locked(t *testing.T, s *service, ca *maker) {
	c := newTPM(t)
	ca.certifyRSA(t, c)
	lock(t, c)
	s.wantAttested(t, machine(t, c), c, 0)
}

func lock(t *testing.T, c transport.TPM) {
	t.Helper()
	template := tpm2.ECCSRKTemplate
	template.ObjectAttributes.NoDA = false
	key, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}, InPublic: tpm2.New2B(template),
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{UserAuth: tpm2.TPM2BAuth{Buffer: []byte("right")}}},
	}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	use := func(password string) error {
		_, err := tpm2.Create{
			ParentHandle: tpm2.AuthHandle{Handle: key.ObjectHandle, Name: key.Name, Auth: tpm2.PasswordAuth([]byte(password))},
			InPublic:     tpm2.New2B(tpm2.ECCSRKTemplate),
		}.Execute(c)
		return err
	}
	for range 100 {
		if err = use("wrong"); errors.Is(err, tpm2.TPMRCLockout) {
			break
		}
	}
	if err := use("right"); !errors.Is(err, tpm2.TPMRCLockout) {
		t.Fatalf("the TPM does not lock: %v", err)
	}
	flush(t, c, []tpm2.TPMHandle{key.ObjectHandle})
}

// onlyECC is a TPM whose maker has certified the P-256 endorsement key alone.
func onlyECC(t *testing.T, s *service, ca *maker) {
	c := newTPM(t)
	ca.certify(t, c, tpm2.ECCEKTemplate, x509.KeyUsageKeyAgreement, indexECC)
	s.wantAttested(t, machine(t, c), c, 0)
}

// noRSA is a TPM that knows nothing of RSA.
type noRSA struct{ transport.TPM }

func (n noRSA) Send(command []byte) ([]byte, error) {
	if tpm2.TPMCC(binary.BigEndian.Uint32(command[6:])) == tpm2.TPMCCCreatePrimary && rsaWanted(command) {
		return refusal(tpm2.TPMRCType), nil
	}
	return n.TPM.Send(command)
}

// rsaWanted reports whether a command makes an RSA key: behind the handle, the password session and the empty sensitive area stands TPM_ALG_RSA.
func rsaWanted(command []byte) bool {
	rest := command[10+4:]
	rest = rest[4+binary.BigEndian.Uint32(rest):] // authorization area
	rest = rest[2+binary.BigEndian.Uint16(rest):] // TPM2B_SENSITIVE_CREATE
	return tpm2.TPMAlgID(binary.BigEndian.Uint16(rest[2:])) == tpm2.TPMAlgRSA
}

// refusal is the answer of a TPM that is nothing but a code.
func refusal(code tpm2.TPMRC) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte{0x80, 0x01}, 10), uint32(code))
}

// withoutRSA is a TPM of which the P-256 endorsement key is all there is. The attestation key must be of a scheme that it has.
func withoutRSA(t *testing.T, s *service, _ *maker) {
	c := newTPM(t)
	m := machine(t, noRSA{c})
	_, err := m.Enroll(t.Context(), s.post)
	wantProblem(t, err, "making the attestation key", "--aik")
	m.Scheme = attester.ECDSAP256
	_, err = m.Enroll(t.Context(), s.post)
	if err == nil || !strings.Contains(err.Error(), "pin") {
		t.Errorf("got %v, want the service's refusal of a key without a certificate", err)
	}
	s.pin(t, endorsementKey(t, c, tpm2.ECCEKTemplate))
	s.wantAttested(t, m, c, 0)
}
