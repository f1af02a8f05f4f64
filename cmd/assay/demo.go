package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/config"
)

// demo is the whole story on one machine: a service in development mode, a simulated enclave, a relying party; then a simulated
// machine with a TPM; then confidential virtual machines.
type demo struct {
	*call
	dir     string
	service *running
	client  *http.Client
	quote   []byte
	data    []byte
	outcome demoOutcome
}

// demoOutcome is the demo as JSON: the tokens and the report that were earned, and the refusals.
type demoOutcome struct {
	Token         *tokenReport `json:"token"`
	Refused       demoRefusal  `json:"refused"`       // of the tampered quote
	Report        *tokenReport `json:"report"`        // of the machine with secure boot
	SecureBootOff demoRefusal  `json:"secureBootOff"` // by the policy
	RetypedEvent  demoRefusal  `json:"retypedEvent"`  // by a check of the evidence
	Guest         *tokenReport `json:"guest"`         // of the SEV-SNP guest
	TamperedGuest demoRefusal  `json:"tamperedGuest"` // of its tampered report
	Domain        *tokenReport `json:"domain"`        // of the TD
}

// demoRefusal is what the service said.
type demoRefusal struct {
	Status  int    `json:"status"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// runDemo tells the story (native.md section 1.2). It fails unless the genuine evidence earns tokens and the sound machine a report that
// verify, and all that is forged or against the policy is refused.
func runDemo(ctx context.Context, c *call) error {
	keep := c.Bool("keep", false, "leave the service running, and its data folder in place, until interrupted")
	if _, err := c.parse(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "assay-demo-")
	if err != nil {
		return err
	}
	d := &demo{call: c, dir: dir, data: []byte(simulatedRuntimeData)}
	defer os.RemoveAll(dir)
	return d.withService(ctx, func() error {
		if err := d.tell(ctx); err != nil {
			return err
		}
		if d.json {
			if err := d.printJSON(d.outcome); err != nil {
				return err
			}
		}
		if *keep {
			d.say("The service stays at %s (CA: %s) until you interrupt it.", d.service.cfg.URL, d.service.caFile)
			<-ctx.Done()
		}
		return nil
	})
}

// withService runs f while the service runs.
func (d *demo) withService(ctx context.Context, f func() error) error {
	quiet := *d.env
	quiet.stderr = io.Discard
	policy, err := d.tpmPolicy()
	if err != nil {
		return err
	}
	cfg := config.Config{Dev: true, Listen: "127.0.0.1:0", Data: d.dir, Policies: map[string]string{string(evidence.Tpm): policy}}
	if d.service, err = start(cfg, &quiet); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- d.service.run(ctx) }()
	err = f()
	stop()
	return errors.Join(err, <-ended)
}

// tell goes through the story, step by step.
func (d *demo) tell(ctx context.Context) error {
	var err error
	if d.client, err = d.call.client(d.service.caFile); err != nil {
		return err
	}
	d.say("1  A service in development mode runs at %s. It trusts simulated hardware; never do that in earnest.", d.service.cfg.URL)
	if err := d.simulateQuote(); err != nil {
		return err
	}
	token, err := d.attest(ctx, d.quote)
	if err != nil {
		return fmt.Errorf("the genuine quote was refused: %w", err)
	}
	if err := d.verifyToken(ctx, token); err != nil {
		return fmt.Errorf("the token of the genuine quote does not verify: %w", err)
	}
	if err := d.forge(ctx); err != nil {
		return err
	}
	if err := d.tellTPM(ctx); err != nil {
		return err
	}
	return d.tellGuests(ctx)
}

// simulateQuote makes the evidence: a quote whose report data is the hash of the runtime data.
func (d *demo) simulateQuote() error {
	enclave := assaytest.SimulatedEnclave()
	digest := sha256.Sum256(d.data)
	copy(enclave.ReportData[:], digest[:])
	var err error
	if d.quote, err = assaytest.WellKnownIntel().Quote(enclave); err != nil {
		return err
	}
	d.say("2  A simulated enclave holds %s\n   and made a quote of %d bytes that vouches for it.", d.data, len(d.quote))
	return nil
}

// attest sends a quote to the service.
func (d *demo) attest(ctx context.Context, quote []byte) (string, error) {
	m, err := attestMessage(evidence.SgxEnclave, attestBodyFor(evidence.SgxEnclave, quote, &runtimeData{d.data, true}))
	if err != nil {
		return "", err
	}
	return d.remote().token(ctx, m)
}

// remote is the service as a client sees it, with a bearer token of the built-in issuer: attestation by TPM wants one.
func (d *demo) remote() *remote {
	bearer := func(context.Context) (string, error) {
		t := devToken{Role: auth.Reader, Providers: []string{auth.AllProviders}, from: d.now(), life: time.Hour}
		err := t.make(d.dir)
		return t.Token, err
	}
	return &remote{party: party{issuer: d.service.cfg.URL, client: d.client}, bearer: bearer}
}

// verifyToken is the relying party's part.
func (d *demo) verifyToken(ctx context.Context, token string) (err error) {
	if d.outcome.Token, err = d.relyOn(ctx, token); err != nil {
		return err
	}
	d.say("3  The service verified the quote against the simulated Intel's collateral, asked its policy, and signed a token.")
	d.say("4  A relying party fetched the service's keys and verified the token:\n")
	d.show(d.outcome.Token)
	return nil
}

// relyOn verifies a token or a report as a relying party does.
func (d *demo) relyOn(ctx context.Context, token string) (*tokenReport, error) {
	// Made only now, since its clock stands still from here on: a token issued later would not be valid yet.
	party, err := d.relyingParty(d.remote().party)
	if err != nil {
		return nil, err
	}
	return verified(ctx, party, token, nil)
}

func (d *demo) show(report *tokenReport) {
	if !d.json {
		report.print(d.sheet(), nil)
	}
}

// mrenclaveOffset is where MRENCLAVE stands in a version 3 quote (sgx-tdx.md section 2.3).
const mrenclaveOffset = 48 + 64

// forge alters one bit of the enclave's measurement, and expects the service to say so.
func (d *demo) forge(ctx context.Context) error {
	forged := bytes.Clone(d.quote)
	forged[mrenclaveOffset] ^= 1
	_, err := d.attest(ctx, forged)
	d.say("\n5  Somebody changes one bit of the enclave's measurement in the quote and tries again:\n")
	return d.refused(&d.outcome.Refused, "the tampered quote", err)
}

// refused notes and shows the refusal that a request was to meet.
func (d *demo) refused(r *demoRefusal, what string, err error) error {
	answer, refused := errors.AsType[*serviceError](err)
	if !refused || answer.Status != http.StatusBadRequest {
		return fmt.Errorf("%s was not refused as it should be: %w", what, errors.Join(err, errors.New("no refusal")))
	}
	*r = demoRefusal{answer.Status, answer.Code, answer.Message}
	if !d.json {
		s := d.sheet()
		s.heading(green, "REFUSED", "as it should be")
		s.rows(row{"status", fmt.Sprint(answer.Status)}, row{"code", answer.Code}, row{"message", answer.Message})
	}
	return nil
}

func (d *demo) say(format string, args ...any) {
	if !d.json {
		fmt.Fprintf(d.stdout, format+"\n", args...)
	}
}
