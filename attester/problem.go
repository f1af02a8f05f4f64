package attester

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/google/go-tpm/tpm2"
)

// Problem is why this machine cannot attest: what is wrong, and what to do.
type Problem struct {
	What   string
	Remedy string
	Err    error // the cause; nil: What says all
}

// Error is one or two sentences for a person.
func (p *Problem) Error() string {
	if p.Err == nil {
		return p.What + "; " + p.Remedy
	}
	return fmt.Sprintf("%s: %v; %s", p.What, p.Err, p.Remedy)
}

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.Err }

func problem(what, remedy string, err error) error { return &Problem{what, remedy, err} }

// lost is the error of a TPM that does not answer.
type lost struct{ err error }

func (l lost) Error() string { return l.err.Error() }
func (l lost) Unwrap() error { return l.err }

// failed explains why the TPM did not do something.
func failed(doing string, err error) error {
	what := "the TPM failed while " + doing
	if errors.As(err, new(lost)) {
		return problem("the TPM went away while "+doing,
			"look whether it still is there (dmesg | grep -i tpm) and whether another program has it open; then try again", err)
	}
	for _, known := range remedies() {
		if errors.Is(err, known.code) {
			return problem(what, known.remedy, err)
		}
	}
	return problem(what, "look up the code in part 2 of the TPM 2.0 library; a restart of the machine resets the TPM", err)
}

// remedy is what helps against an answer of a TPM.
type remedy struct {
	code   tpm2.TPMRC
	remedy string
}

func remedies() []remedy {
	const slots = "other programs have left %s in the TPM. Use /dev/tpmrm0, where each program has its own, or clear them with: tpm2_flushcontext %s"
	sessions, objects := fmt.Sprintf(slots, "sessions", "-l -s"), fmt.Sprintf(slots, "keys", "-t")
	const password = "the endorsement hierarchy has a password, or the owner's, with which indices are read, which is not supported: attest before it is set, " +
		"or clear it with tpm2_changeauth -c endorsement, or -c owner"
	const busy = "it is busy: try again in a minute"
	const notStarted = "firmware has not started it: restart the machine; of swtpm, give it --flags startup-clear"
	return []remedy{
		{tpm2.TPMRCSessionMemory, sessions},
		{tpm2.TPMRCSessionHandles, sessions},
		{tpm2.TPMRCContextGap, sessions},
		{tpm2.TPMRCObjectMemory, objects},
		{tpm2.TPMRCObjectHandles, objects},
		{tpm2.TPMRCMemory, objects},
		{tpm2.TPMRCLockout, "it is locked after wrong passwords: wait for its recovery time (tpm2_getcap properties-variable), or tpm2_dictionarylockout --clear-lockout"},
		{tpm2.TPMRCBadAuth, password},
		{tpm2.TPMRCAuthFail, password},
		{tpm2.TPMRCHierarchy, "the endorsement hierarchy is switched off: turn it on in the firmware's setup"},
		{tpm2.TPMRCInitialize, notStarted},
		{tpm2.TPMRCFailure, "it failed its own tests: restart the machine; if that does not help it is broken"},
		{tpm2.TPMRCRetry, busy},
		{tpm2.TPMRCYielded, busy},
		{tpm2.TPMRCTesting, busy},
		{tpm2.TPMRCValue, "this TPM does not have that algorithm: attest by a key of another kind, where there is a choice (--aik)"},
		{tpm2.TPMRCScheme, "this TPM does not have that algorithm: attest by a key of another kind, where there is a choice (--aik)"},
		{tpm2.TPMRCType, "this TPM does not have that kind of key: attest by a key of another kind, where there is a choice (--aik)"},
		{tpm2.TPMRCCurve, "this TPM does not have that curve: attest by a key of another kind, where there is a choice (--aik)"},
	}
}

// notOpened explains why a TPM or a log could not be opened.
func notOpened(what, absent, denied string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return problem(what+" is not there", absent, err)
	case errors.Is(err, fs.ErrPermission):
		return problem(what+" is not yours to read", denied, err)
	}
	return problem(what+" cannot be opened", "look whether the path is right, and whether another program has it open", err)
}
