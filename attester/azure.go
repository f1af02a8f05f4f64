package attester

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
)

// AzureUserDataSize is how many bytes of a guest the paravisor has its hardware report vouch for.
const AzureUserDataSize = 64

// azureNonceSize is the length in bytes of a nonce that nobody gave.
const azureNonceSize = 32

// AzureOptions is what there is to say about a guest of Azure beside what its vTPM says. The zero value but for Logs.Root is one of a machine of Azure.
type AzureOptions struct {
	Logs     Logs              // of the IMA list nothing is read. Below Root /etc/os-release is looked for, too; it may be missing
	PCRs     []int             // to be quoted, from 0 to 23, at least one; nil: 0 to 7, which are the least that services take
	Nonce    []byte            // that quote and token have to repeat, 1 to 64 bytes; nil: a random one
	UserData []byte            // for the hardware report to vouch for, up to 64 bytes, zeros behind them; nil: none
	Payload  map[string][]byte // what the token repeats beside the nonce
	Protocol string            // version of the request, "2.0" or "3.0"; empty: 2.0
	Metadata AzureMetadata
	// Pause waits; nil: with the clock. The paravisor and the metadata service want to be waited for.
	Pause func(context.Context, time.Duration) error
}

// AzureRequest is a request to /attest/AzureGuest (azure-guest.md section 2), and what opens its answer.
type AzureRequest struct {
	Isolation azureguest.Isolation
	Info      []byte         // AttestationInfo, JSON
	Nonce     []byte         // of the quote; the token repeats it in x-ms-runtime.client-payload.nonce, in base64 with padding
	Key       *rsa.PublicKey // to which the answer has to be encrypted
	PCRs      []int          // quoted, in rising order; the answer can be opened while they keep their values
	Warnings  []string       // what a policy may miss

	values tpm.Bank
	saved  tpm2.TPMSContext // of the key, which nobody else can load
	name   tpm2.TPM2BName
}

// CollectAzureGuest has the vTPM of an Azure confidential or trusted-launch VM say what a service asks for, and makes a key in it to which the answer will be
// encrypted (azure-guest.md sections 1, 2 and 5). What it gives nobody has verified; nothing stays in the TPM. The error is a *[Problem], or that of ctx.
func CollectAzureGuest(ctx context.Context, t *TPM, o AzureOptions) (*AzureRequest, error) {
	c := &azureCollection{tpm: t, options: o}
	if err := c.prepare(); err != nil {
		return nil, err
	}
	if err := c.report(ctx); err != nil {
		return nil, err
	}
	if err := c.prove(ctx); err != nil {
		return nil, err
	}
	if err := t.within(c.sign); err != nil {
		return nil, err
	}
	return c.request()
}

// azureCollection is one run of [CollectAzureGuest], in the order of its steps.
type azureCollection struct {
	tpm     *TPM
	options AzureOptions

	pcrs        []int
	nonce       []byte
	logBytes    []byte
	log         *eventlog.Log // nil: it is empty
	ak          *object
	certificate []byte // DER, without the zeros behind it
	hardware    *azureHardware
	proof       []byte // for the hardware; nil for trusted launch
	quoted      *quoted
	key         *object
	certified   certified
	saved       tpm2.TPMSContext
}

// certified is what the attestation key says about the key for the answer.
type certified struct {
	attest    []byte
	signature tpm2.TPMTSignature
}

// prepare checks the options, and reads what needs no waiting.
func (c *azureCollection) prepare() (err error) {
	if err := c.usable(); err != nil {
		return err
	}
	if c.pcrs = slices.Compact(slices.Sorted(slices.Values(c.options.PCRs))); c.options.PCRs == nil {
		c.pcrs = []int{0, 1, 2, 3, 4, 5, 6, 7}
	}
	if c.nonce = c.options.Nonce; c.nonce == nil {
		c.nonce = make([]byte, azureNonceSize)
		rand.Read(c.nonce) //nolint:errcheck // it never fails
	}
	if c.options.Pause == nil {
		c.options.Pause = pause
	}
	if c.logBytes, c.log, err = c.options.Logs.azure(); err != nil {
		return err
	}
	if c.ak, err = c.tpm.azureAK(); err != nil {
		return err
	}
	c.certificate, err = c.tpm.azureCertificate(c.ak)
	return err
}

// usable refuses options that mean nothing, before the TPM is asked for anything.
func (c *azureCollection) usable() error {
	const remedy = "this is a mistake of the program that attests"
	o := &c.options
	if err := (&Machine{TPM: c.tpm, Logs: o.Logs, PCRs: o.PCRs}).usable(true); err != nil {
		return err
	}
	switch {
	case o.Nonce != nil && (len(o.Nonce) == 0 || len(o.Nonce) > maxQualifying):
		return problem(fmt.Sprintf("expected a nonce of 1 to %d bytes, found %d", maxQualifying, len(o.Nonce)), "a TPM signs no more than a hash: send the hash of a longer one", nil)
	case o.UserData != nil && (len(o.UserData) == 0 || len(o.UserData) > AzureUserDataSize):
		return problem(fmt.Sprintf("expected 1 to %d bytes of user data, found %d", AzureUserDataSize, len(o.UserData)), "have the hash of longer ones vouched for", nil)
	case !slices.Contains([]string{"", "2.0", "3.0"}, o.Protocol):
		return problem(fmt.Sprintf("there is no version %q of the protocol", o.Protocol), remedy, nil)
	}
	if _, twice := o.Payload[azureNonceName]; twice {
		return problem("the payload has a member "+azureNonceName, "give the nonce as such (--nonce), and other members other names", nil)
	}
	return nil
}

// sign has the PCRs quoted and a key made that can be used while they keep their values; when they change meanwhile, all is done again.
func (c *azureCollection) sign() error {
	for range quoteTries {
		bank, err := c.readPCRs()
		if err != nil {
			return err
		}
		c.quoted = &quoted{banks: []tpm.Alg{tpm.SHA256}, pcrs: c.pcrs, values: []tpm.Bank{bank}}
		err = c.tpm.quote(c.quoted, c.ak, c.nonce)
		if refusal, ok := errors.AsType[*evidence.Refusal](err); ok && refusal.Check == evidence.PCRDigest {
			continue
		}
		if err != nil {
			return c.notQuoted(err)
		}
		return c.makeKey()
	}
	return problem(fmt.Sprintf("the PCRs changed during each of %d quotes", quoteTries), "try again when the machine is less busy, or quote the PCRs of the boot only (--pcrs 0-7)", nil)
}

// notQuoted explains why the TPM made no quote: how much it signs beside the PCRs depends on the largest of its hashes.
func (c *azureCollection) notQuoted(err error) error {
	if errors.Is(err, tpm2.TPMRCSize) && len(c.nonce) > azureNonceSize {
		return problem(fmt.Sprintf("this TPM signs no nonce of %d bytes", len(c.nonce)), fmt.Sprintf("send one of up to %d bytes, such as the hash of it", azureNonceSize), err)
	}
	return err
}

// readPCRs reads the values of the PCRs to be quoted, which the log must lead to.
func (c *azureCollection) readPCRs() (tpm.Bank, error) {
	bank := tpm.Bank{Alg: tpm.SHA256}
	there, err := c.tpm.readBank(&bank)
	switch {
	case err != nil:
		return bank, err
	case !there:
		return bank, problem("the TPM has no SHA-256 bank", "turn it on: a virtual TPM of Azure has one", nil)
	}
	for pcr := range tpm.PCRCount {
		if !slices.Contains(c.pcrs, pcr) {
			bank.Values[pcr] = nil
		}
	}
	return bank, c.explained(bank)
}

// explained refuses PCRs that the log does not lead to: the service would, too.
func (c *azureCollection) explained(bank tpm.Bank) error {
	if c.log == nil {
		return nil
	}
	replayed, err := eventlog.Replay(bank.Alg, false, c.log)
	if err != nil {
		return problem("the event log cannot be replayed", "restart the machine, or name the log of this boot (--event-log)", err)
	}
	for _, pcr := range c.pcrs {
		if !anybodys(pcr) && !slices.Equal(bank.Values[pcr], replayed.Values[pcr]) {
			return problem(fmt.Sprintf("the event log does not lead to the value of PCR %d", pcr),
				"name the log of this boot of this machine (--event-log); a PCR above 7 that a running system extends can be left out (--pcrs)", nil)
		}
	}
	return nil
}

// pause waits for so long, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
