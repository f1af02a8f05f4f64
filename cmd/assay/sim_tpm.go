package main

import (
	"context"
	"fmt"
	"os"

	"github.com/go-json-experiment/json"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/attester"
)

// tpmSimulation is one run of sim tpm: how the machine booted, and what to do with it.
type tpmSimulation struct {
	Dir   string   `json:"dir,omitzero"`
	Files []string `json:"files,omitzero"`
	Data  string   `json:"data"` // member data of the next message

	boot     assaytest.TPMBoot
	linux    bool
	vbs      bool
	version  int
	certify  bool
	log      []byte // a real log instead; nil: none
	answer   []byte // body of the answer to the first message; nil: not yet
	service  remote
	scenario *assaytest.TPMScenario
}

// tpmFlags are those that only sim tpm has.
const tpmFlags = "linux secure-boot debugging vbs protocol certify log answer endpoint"

func (sim *tpmSimulation) declare(c *call) {
	sim.boot, sim.version = assaytest.SoundTPMBoot(), 2
	c.BoolVar(&sim.linux, "linux", false, "tpm: boot a Linux with an IMA list, not a Windows")
	c.Func("secure-boot", "tpm, azureguest: `STATE` of secure boot, on or off (default on)", func(s string) (err error) {
		sim.boot.SecureBoot, err = oneOf(s, "on", "off")
		return err
	})
	c.BoolVar(&sim.boot.Debugging, "debugging", false, "tpm: boot with debuggers on (Windows)")
	c.BoolVar(&sim.vbs, "vbs", false, "tpm: have a VBS enclave vouch for the request (Windows)")
	c.Func("protocol", "tpm: `VERSION` of the protocol, 1 or 2 (default 2)", func(s string) error {
		first, err := oneOf(s, "1", "2")
		if first {
			sim.version = 1
		}
		return err
	})
	c.BoolVar(&sim.certify, "certify", false, "tpm: bind the request key by a certification, not by the quote")
	c.fileVar(&sim.log, "log", "tpm: quote the PCRs of the TCG log in `FILE`")
	c.fileVar(&sim.answer, "answer", "tpm: print the second message, for the service's answer to the first in `FILE`")
	c.remoteVar(&sim.service)
}

// oneOf reports which of two words it is.
func oneOf(s, first, second string) (bool, error) {
	if s != first && s != second {
		return false, fmt.Errorf("expected %s or %s", first, second)
	}
	return s == first, nil
}

// run makes the machine and attests to a service, or writes its next message.
func (sim *tpmSimulation) run(ctx context.Context, c *call) error {
	if err := sim.consistent(c); err != nil {
		return err
	}
	if err := sim.make(); err != nil {
		return err
	}
	if sim.Dir != "" {
		if err := sim.write(); err != nil {
			return err
		}
	}
	if c.isSet("endpoint") {
		return sim.attest(ctx, c)
	}
	if err := sim.next(); err != nil {
		return err
	}
	return c.tell(sim, nil)
}

// consistent refuses flags of which one would say nothing beside the other.
func (sim *tpmSimulation) consistent(c *call) error {
	switch {
	case sim.linux && (sim.vbs || sim.boot.Debugging):
		return usage("--linux has no --vbs and no --debugging: those are of Windows")
	case sim.version == 1 && (sim.linux || sim.certify):
		return usage("--protocol 1 has no --linux and no --certify: it carries no IMA list and certifies no keys")
	}
	for _, boot := range []string{"linux", "secure-boot", "debugging"} {
		if err := c.exclusive("log", boot); err != nil {
			return err
		}
	}
	return c.exclusive("endpoint", "answer")
}

// make boots the machine.
func (sim *tpmSimulation) make() (err error) {
	sim.boot.Windows = !sim.linux
	if sim.scenario, err = assaytest.WellKnownTPMVendor().BootScenario(sim.boot); err != nil {
		return fmt.Errorf("simulating a machine: %w", err)
	}
	s := sim.scenario
	if sim.log != nil {
		if s.Current.Log, err = assaytest.ReadTPMLog(sim.log); err != nil {
			return badFile(fmt.Errorf("--log: %w; give a TCG log as the firmware or Windows keeps it (assay tpm eventlog FILE says what is wrong with one)", err))
		}
		bank := s.Current.Log.Banks[len(s.Current.Log.Banks)-1]
		s.Current.IMA = nil
		s.Current.Quoted = []assaytest.TPMSelection{{Bank: bank, PCRs: assaytest.AllPCRs()}}
	}
	if s.VBS = sim.vbs; sim.certify {
		s.Binding = assaytest.BoundByCertify
	}
	if sim.version == 1 {
		s.UseVersion1()
	}
	return nil
}

// write writes what the machine is made of.
func (sim *tpmSimulation) write() error {
	vendor := assaytest.WellKnownTPMVendor()
	root, err := vendor.CertificatePEM(assaytest.AIKRoot)
	if err != nil {
		return fmt.Errorf("simulating a root: %w", err)
	}
	aik, err := vendor.CertificatePEM(assaytest.AIK)
	if err != nil {
		return fmt.Errorf("simulating an AIK: %w", err)
	}
	if err := os.MkdirAll(sim.Dir, 0o755); err != nil {
		return badFile(err)
	}
	files := []file{{"root.pem", root}, {"aik.pem", aik}, {"tcg.log", sim.scenario.Current.Log.Bytes()}}
	if sim.scenario.Current.IMA != nil {
		files = append(files, file{"ima.log", sim.scenario.Current.IMA.Bytes()})
	}
	sim.Files, err = writeEach(sim.Dir, files)
	return err
}

// next makes the message that is due: the first one, or the one that answers the challenge.
func (sim *tpmSimulation) next() error {
	sim.Data = sim.scenario.Init()
	if sim.answer == nil {
		return nil
	}
	challenge, err := attester.ReadChallenge(sim.answer)
	if err != nil {
		return badFile(fmt.Errorf("--answer: expected the body of the service's answer: %w", err))
	}
	request, err := sim.scenario.Request(challenge.Challenge, challenge.Context)
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	sim.Data = sim.scenario.Data(request)
	return nil
}

// attest makes both rounds and verifies the report as a relying party does.
func (sim *tpmSimulation) attest(ctx context.Context, c *call) error {
	if err := sim.service.ready(c); err != nil {
		return err
	}
	text, err := sim.service.attestSimulated(ctx, sim.scenario)
	if err != nil {
		return c.tellService(err)
	}
	report, err := verified(ctx, sim.service.verifier, text, nil)
	report.Token = text
	return c.tellToken(report, err)
}

// attestSimulated makes both rounds for a simulated machine and gives the report, unverified.
func (r *remote) attestSimulated(ctx context.Context, s *assaytest.TPMScenario) (string, error) {
	post := attester.Post(r.post)
	challenge, err := post.Challenge(ctx)
	if err != nil {
		return "", byAttester(err)
	}
	request, err := s.Request(challenge.Challenge, challenge.Context)
	if err != nil {
		return "", fmt.Errorf("making the request: %w", err)
	}
	report, err := post.Report(ctx, request)
	return report, byAttester(err)
}

// tpmBody is the body of a message: JSON in base64url (tpm.md section 2).
type tpmBody struct {
	Data string `json:"data"`
}

// print prints the body of the message alone, to be sent.
func (sim *tpmSimulation) print(s sheet, _ error) {
	body, err := json.Marshal(tpmBody{sim.Data})
	if err != nil {
		body = nil // cannot be: it is a text
	}
	fmt.Fprintf(s.w, "%s\n", body)
}

// onlyFor refuses flags of another type.
func (c *call) onlyFor(kind string, names ...string) error {
	for _, name := range names {
		if c.isSet(name) {
			return usage("--%s is for %s", name, kind)
		}
	}
	return nil
}
