package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/relyingparty"
)

// azureAttestation is one run of attest azureguest.
type azureAttestation struct {
	root           string // of the machine's files
	device, socket string
	options        attester.AzureOptions
	emulation      azureEmulation
	collect        bool
	out            string // file for the body; empty: none
	service        remote
	raw            bool
}

// guestReport is the result of attest azureguest: the verified token, and what the machine sent.
type guestReport struct {
	tokenReport
	Machine *guestMachine `json:"machine,omitzero"`
}

type guestMachine struct {
	Isolation string   `json:"isolation"`
	PCRs      []int    `json:"pcrs"`
	Nonce     string   `json:"nonce"` // hex
	Emulated  bool     `json:"emulated"`
	File      string   `json:"file,omitzero"`
	Warnings  []string `json:"warnings,omitzero"`
}

// guestCollected is the result of attest azureguest --collect.
type guestCollected struct {
	Collected *guestMachine `json:"collected"`
}

// sealedReport is the result of attest azureguest with a body that was collected elsewhere.
type sealedReport struct {
	Sealed string `json:"sealed"` // member token of the answer
}

func (a *azureAttestation) declare(c *call) {
	c.rootVar(&a.root, "find the device, the log and /etc/os-release of the machine whose files are below `DIR`")
	c.StringVar(&a.device, "device", "", "`PATH` of the TPM's device file (default /dev/tpmrm0, or else /dev/tpm0)")
	c.StringVar(&a.socket, "swtpm", "", "unix `SOCKET` of a TPM in software instead")
	c.Func("pcrs", "`LIST` of PCRs to quote, such as 0-7,11 (default 0-7)", func(s string) (err error) {
		a.options.PCRs, err = pcrList(s)
		return err
	})
	c.hexVar(&a.options.Nonce, "nonce", "`HEX` that quote and token must repeat (default: random)")
	c.hexVar(&a.options.UserData, "user-data", "up to 64 bytes in `HEX` that the hardware report is to vouch for")
	c.Func("payload", "`NAME=VALUE` that the token must repeat in x-ms-runtime.client-payload; repeatable", a.addPayload)
	c.rootedVar(&a.options.Logs.EventLog, "event-log", "the boot's event log, in `FILE` (default: where Linux keeps it)")
	c.StringVar(&a.options.Metadata.URL, "metadata", "", "`URL` of the metadata service (default http://169.254.169.254)")
	c.choice("protocol", "`VERSION` of the request, 2.0 (default) or 3.0", []string{"2.0", "3.0"}, func(i int) {
		a.options.Protocol = []string{"2.0", "3.0"}[i]
	})
	a.emulation.declare(c)
	c.BoolVar(&a.collect, "collect", false, "write the body of the request to --out, and send nothing")
	c.StringVar(&a.out, "out", "", "write the body of the request to `FILE`")
	c.BoolVar(&a.raw, "raw", false, "print the token alone, as it came; of FILE the sealed answer")
	c.remoteVar(&a.service)
}

// hexVar declares a flag with bytes in hexadecimal.
func (c *call) hexVar(b *[]byte, name, help string) {
	c.Func(name, help, func(s string) (err error) {
		if *b, err = hex.DecodeString(s); err == nil && s == "" {
			return errors.New("expected bytes in hexadecimal: none would not be sent")
		}
		return err
	})
}

func (a *azureAttestation) addPayload(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if _, twice := a.options.Payload[name]; !ok || name == "" || twice {
		return errors.New("expected NAME=VALUE, each name once")
	}
	if a.options.Payload == nil {
		a.options.Payload = map[string][]byte{}
	}
	a.options.Payload[name] = []byte(value)
	return nil
}

// runAttestAzureGuest attests this Azure VM by its vTPM and verifies the token in the sealed answer as a relying party (native.md section 1.4).
func runAttestAzureGuest(ctx context.Context, c *call) error {
	a := &azureAttestation{}
	a.declare(c)
	pos, err := c.parse("[FILE]")
	if err != nil {
		return err
	}
	if err := a.consistent(c, pos); err != nil {
		return err
	}
	if len(pos) > 0 {
		return a.sendReady(ctx, c, pos[0])
	}
	report, err := a.round(ctx, c)
	switch {
	case a.collect && err == nil:
		return c.tell(&guestCollected{report.Machine}, nil)
	case report.Token == "":
		return c.tellService(err)
	case a.raw && err == nil:
		return c.printRaw(&report.tokenReport)
	}
	c.warnDevelopment(&report.tokenReport)
	if err != nil {
		report.Error = problemOf(err)
	}
	return c.tell(report, err)
}

// ofThisMachine are the flags that mean nothing for a body that was collected elsewhere.
const ofThisMachine = "root device swtpm pcrs nonce user-data payload event-log metadata protocol emulate isolation collect out"

func (a *azureAttestation) consistent(c *call, pos []string) error {
	for _, pair := range [][]string{
		{"device", "swtpm"}, {"root", "event-log"}, {"emulate", "device"}, {"emulate", "root"}, {"emulate", "metadata"}, {"collect", "endpoint"}, {"collect", "raw"},
		{"collect", "token"}, {"collect", "token-file"}, {"collect", "token-command"},
	} {
		if err := c.exclusive(pair...); err != nil {
			return err
		}
	}
	switch {
	case len(pos) > 0:
		if err := c.onlyFor("a machine, not for FILE", strings.Fields(ofThisMachine)...); err != nil {
			return err
		}
	case !c.isSet("emulate"):
		if err := c.onlyFor("--emulate", "isolation"); err != nil {
			return err
		}
	}
	switch {
	case a.collect && a.out == "":
		return usage("--out is missing: it names the file that --collect writes")
	case a.collect:
		return nil
	case !c.isSet("endpoint"):
		return usage("--endpoint is missing")
	}
	return a.service.ready(c)
}

// round opens the TPM, attests once, and closes it.
func (a *azureAttestation) round(ctx context.Context, c *call) (*guestReport, error) {
	report := &guestReport{}
	if a.emulation.wanted {
		end, err := a.emulate(ctx, c)
		if err != nil {
			return report, err
		}
		defer end()
	}
	t, err := a.open()
	if err != nil {
		return report, err
	}
	defer t.Close() //nolint:errcheck // all that matters has been done
	return report, a.attest(ctx, c, t, report)
}

func (a *azureAttestation) open() (*attester.TPM, error) {
	if a.options.Logs.Root == nil {
		a.options.Logs.Root = os.DirFS(a.root)
	}
	if a.socket != "" {
		return attester.OpenSocket(a.socket)
	}
	return attester.OpenDevice(cmp.Or(a.device, attester.DefaultDevice(a.root)))
}

// attest collects the evidence, sends it, opens the answer and verifies the token.
func (a *azureAttestation) attest(ctx context.Context, c *call, t *attester.TPM, report *guestReport) error {
	request, err := attester.CollectAzureGuest(ctx, t, a.options)
	if err != nil {
		return err
	}
	report.Machine = &guestMachine{
		Isolation: string(request.Isolation), PCRs: request.PCRs, Nonce: hex.EncodeToString(request.Nonce), Emulated: a.emulation.wanted, File: a.out, Warnings: request.Warnings,
	}
	for _, warning := range request.Warnings {
		c.warn("%s", warning)
	}
	body, err := request.Body()
	if err != nil {
		return err
	}
	if a.out != "" {
		if err := c.write(a.out, body); err != nil {
			return err
		}
	}
	if a.collect {
		return nil
	}
	sealed, err := a.service.token(ctx, azureMessage(body))
	if err != nil {
		return err
	}
	text, err := request.Open(t, sealed)
	if err != nil {
		return byAttester(err)
	}
	token, err := verified(ctx, a.service.verifier, text, []relyingparty.Requirement{a.sealedFor(request)})
	report.tokenReport = *token
	report.Token = text
	return err
}

// sealedFor is what the token must say about the request.
func (a *azureAttestation) sealedFor(r *attester.AzureRequest) sealedFor {
	s := sealedFor{key: r.Key, payload: map[string]string{"nonce": base64.StdEncoding.EncodeToString(r.Nonce)}}
	for _, name := range slices.Sorted(maps.Keys(a.options.Payload)) {
		s.payload[name] = base64.StdEncoding.EncodeToString(a.options.Payload[name])
	}
	return s
}

func azureMessage(body []byte) message {
	m := message{method: http.MethodPost, path: "/attest/" + string(evidence.AzureGuest), kind: jsonBody, body: body}
	return m.with(apiVersion)
}

// sendReady sends a body that was collected before; the TPM of its machine can open the answer, and nobody else.
func (a *azureAttestation) sendReady(ctx context.Context, c *call, file string) error {
	body, err := c.read(file)
	if err != nil {
		return err
	}
	sealed, err := a.service.token(ctx, azureMessage(body))
	if err != nil {
		return c.tellService(err)
	}
	if a.raw {
		_, err := fmt.Fprintln(c.stdout, sealed)
		return err
	}
	return c.tell(&sealedReport{sealed}, nil)
}

func (r *sealedReport) print(s sheet, _ error) {
	s.heading(yellow, "SEALED", "the service answered with a token that only the TPM of the request can open; --raw prints the answer")
}

func (r *guestCollected) print(s sheet, _ error) {
	s.heading(green, "COLLECTED", "the body of a request, which nobody has verified")
	r.Collected.rows(s)
}

func (r *guestReport) print(s sheet, err error) {
	r.tokenReport.print(s, err)
	r.Machine.rows(s)
}

func (m *guestMachine) rows(s sheet) {
	s.section("Machine")
	rows := []row{{"isolation", m.Isolation}, {"PCRs quoted", numbers(m.PCRs)}, {"nonce", m.Nonce}, {"file", m.File}}
	if m.Emulated {
		rows = append(rows, row{"emulated", "yes: nothing of it is real"})
	}
	s.rows(rows...)
}
