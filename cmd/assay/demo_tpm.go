package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
)

// demoTPMPolicy admits machines whose attestation key is certified and that started with secure boot.
const demoTPMPolicy = `version= 1.2;
authorizationrules {
    [type=="aikValidated", value==true, issuer=="AttestationService"] &&
    [type=="secureBootEnabled", value==true, issuer=="AttestationService"] => permit();
};
issuancerules {
    c:[type=="aikValidated", issuer=="AttestationService"] => issue(claim=c);
    c:[type=="secureBootEnabled", issuer=="AttestationService"] => issue(claim=c);
    c:[type=="bootDebuggingDisabled", issuer=="AttestationService"] => issue(claim=c);
};
`

// tpmPolicy writes the policy for TPMs, which has no default, and gives its file.
func (d *demo) tpmPolicy() (string, error) {
	name := filepath.Join(d.dir, "tpm-policy.txt")
	return name, os.WriteFile(name, []byte(demoTPMPolicy), 0o600)
}

// tellTPM is the second act: a machine that is judged by its TPM.
func (d *demo) tellTPM(ctx context.Context) error {
	d.say("\n6  Now a whole machine. While it starts, firmware and Windows write down each step in a log, and extend its digest into a register\n" +
		"   (PCR) of the TPM, which can only ever be extended. The operator's policy wants a certified TPM key, and Secure Boot on.")
	sound, err := demoMachine(true)
	if err != nil {
		return err
	}
	report, err := d.remote().attestSimulated(ctx, sound)
	if err != nil {
		return fmt.Errorf("the machine with secure boot was refused: %w", err)
	}
	d.say("7  The machine asks the service for a challenge, has the TPM sign it together with the PCRs, and sends that with the log.\n" +
		"   The log leads to the signed PCRs, so it is true: the service signs a report, and a relying party verifies it:\n")
	if d.outcome.Report, err = d.relyOn(ctx, report); err != nil {
		return fmt.Errorf("the report on the machine does not verify: %w", err)
	}
	d.show(d.outcome.Report)
	return d.tellUnsoundBoots(ctx)
}

// tellUnsoundBoots starts the machine without secure boot, and has it lie about that.
func (d *demo) tellUnsoundBoots(ctx context.Context) error {
	off, err := demoMachine(false)
	if err != nil {
		return err
	}
	_, err = d.remote().attestSimulated(ctx, off)
	d.say("\n8  The same machine is started with Secure Boot off. Its evidence is as good as before; what it says is not what the policy wants:\n")
	if err := d.refused(&d.outcome.SecureBootOff, "the machine without secure boot", err); err != nil {
		return err
	}
	if err := hideSecureBoot(off); err != nil {
		return err
	}
	_, err = d.remote().attestSimulated(ctx, off)
	d.say("\n9  Somebody edits the log: the event about Secure Boot is given the type of one whose data nobody reads. Its digest, and so the PCR, is\n" +
		"   the same as before. The service knows what may stand in that PCR:\n")
	return d.refused(&d.outcome.RetypedEvent, "the log with a retyped event", err)
}

// demoMachine is the simulated Windows machine.
func demoMachine(secureBoot bool) (*assaytest.TPMScenario, error) {
	boot := assaytest.SoundTPMBoot()
	boot.SecureBoot = secureBoot
	return assaytest.WellKnownTPMVendor().BootScenario(boot)
}

// platformFirmwareBlob is the type of an event that tells of a piece of firmware by its address; only its digest counts (tpm.md section 7.4).
const platformFirmwareBlob = 0x80000008

// hideSecureBoot relabels the first variable that firmware measured, which is SecureBoot.
func hideSecureBoot(s *assaytest.TPMScenario) error {
	e := s.Current.Log.Find(func(e assaytest.TPMEvent) bool { return e.Type == uint32(eventlog.VariableDriverConfig) })
	if e == nil {
		return errors.New("the simulated log has no variable")
	}
	e.Type = platformFirmwareBlob
	return nil
}
