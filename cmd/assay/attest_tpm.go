package main

import (
	"cmp"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/wholefile"
	"github.com/assay-attestation/assay/relyingparty"
)

// tpmAttestation is one run of attest tpm.
type tpmAttestation struct {
	root           string // of the machine's files
	device, socket string
	enroll         bool
	certificate    string // file of the AIK's certificate
	machine        attester.Machine
	service        remote
	raw            bool
	keyFile        string    // of a software key; empty: the key is gone when the command ends
	renew          string    // file to keep a fresh report in
	enrolledUntil  time.Time // zero: not enrolled by this call
}

// machineReport is the result of attest tpm: the verified report, and what the machine sent.
type machineReport struct {
	tokenReport
	PCRs        []int           `json:"pcrs,omitzero"`
	Banks       []string        `json:"banks,omitzero"`
	Unexplained []int           `json:"unexplained,omitzero"`
	Enrolled    *enrolledReport `json:"enrolled,omitzero"`
}

type enrolledReport struct {
	ID       string `json:"id"`
	NotAfter string `json:"notAfter"`
	File     string `json:"file,omitzero"`
}

func (a *tpmAttestation) declare(c *call) {
	c.rootVar(&a.root, "find the device and the logs of the machine whose files are below `DIR`")
	c.StringVar(&a.device, "device", "", "`PATH` of the TPM's device file (default /dev/tpmrm0, or else /dev/tpm0)")
	c.StringVar(&a.socket, "swtpm", "", "unix `SOCKET` of a TPM in software instead")
	c.BoolVar(&a.enroll, "enroll", false, "have the service certify the attestation key first")
	c.StringVar(&a.certificate, "aik-cert", "", "`FILE` with the certificate of the attestation key in PEM; --enroll writes it")
	c.choice("aik", "`SCHEME` of the attestation key: "+strings.Join(attester.Schemes(), ", ")+" (default rsassa)", attester.Schemes(), func(i int) {
		a.machine.Scheme = attester.Scheme(i)
	})
	c.choice("key", "`KIND` of the key that the report is for: software (default), tpm, or certified by the attestation key", []string{"software", "tpm", "certified"}, func(i int) {
		a.machine.Key = attester.KeyKind(i)
	})
	c.StringVar(&a.keyFile, "key-out", "", "write the software key that the report is for to `FILE` (PEM, PKCS#8)")
	c.Func("pcrs", "`LIST` of PCRs to quote, such as 0-7,14 (default: those that the logs explain)", func(s string) (err error) {
		a.machine.PCRs, err = pcrList(s)
		return err
	})
	c.rootedVar(&a.machine.Logs.EventLog, "event-log", "the boot's event log, in `FILE` (default: where Linux keeps it)")
	c.rootedVar(&a.machine.Logs.IMALog, "ima-log", "the list of IMA in binary form, in `FILE` (default: where Linux keeps it)")
	c.Func("nonce", "`HEX` that the report must repeat", func(s string) (err error) {
		if a.machine.Nonce, err = hex.DecodeString(s); err == nil && s == "" {
			return errors.New("expected bytes in hexadecimal: an empty nonce would not be sent")
		}
		return err
	})
	c.BoolVar(&a.raw, "raw", false, "print the report alone, as it came")
	c.StringVar(&a.renew, "renew", "", "keep a fresh report in `FILE` until ended")
	c.remoteVar(&a.service)
}

// choice declares a flag with one of some words as its value.
func (c *call) choice(name, help string, words []string, set func(i int)) {
	c.Func(name, help, func(s string) error {
		i := slices.IndexFunc(words, func(word string) bool { return strings.EqualFold(word, s) })
		if i < 0 {
			return fmt.Errorf("expected one of %s", strings.Join(words, ", "))
		}
		set(i)
		return nil
	})
}

// rootedVar declares a flag that names a file, and puts its path below / into p.
func (c *call) rootedVar(p *string, name, help string) {
	c.Func(name, help, func(file string) error {
		c.reads(file)
		abs, err := filepath.Abs(file)
		*p = strings.TrimPrefix(filepath.ToSlash(abs), "/")
		return err
	})
}

// pcrList reads indices and ranges of them, separated by commas.
func pcrList(s string) (pcrs []int, err error) {
	for part := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || first < 0 || last < first || last >= tpm.PCRCount {
			return nil, fmt.Errorf("%q: expected PCRs from 0 to %d, such as 0-7,14", part, tpm.PCRCount-1)
		}
		for pcr := first; pcr <= last; pcr++ {
			pcrs = append(pcrs, pcr)
		}
	}
	return pcrs, nil
}

// runAttestTPM attests this machine by its TPM and verifies the report as a relying party (native.md section 1.4).
func runAttestTPM(ctx context.Context, c *call) error {
	a := &tpmAttestation{}
	a.declare(c)
	if _, err := c.parse("--endpoint"); err != nil {
		return err
	}
	if err := a.consistent(c); err != nil {
		return err
	}
	if a.renew != "" {
		return a.renewal(c).run(ctx)
	}
	report, err := a.round(ctx, c)
	switch {
	case report.Token == "":
		return c.tellService(err)
	case a.raw && err == nil:
		return c.printRaw(&report.tokenReport)
	}
	return c.tellMachine(report, err)
}

// round opens the TPM, attests once, and closes it: others may want it meanwhile.
func (a *tpmAttestation) round(ctx context.Context, c *call) (*machineReport, error) {
	report := &machineReport{}
	if err := a.open(); err != nil {
		return report, err
	}
	defer a.machine.TPM.Close() //nolint:errcheck // all that matters has been done
	return report, a.attest(ctx, c, report)
}

func (a *tpmAttestation) consistent(c *call) error {
	for _, pair := range [][]string{{"device", "swtpm"}, {"root", "event-log"}, {"root", "ima-log"}, {"renew", "nonce"}, {"renew", "raw"}} {
		if err := c.exclusive(pair...); err != nil {
			return err
		}
	}
	if a.keyFile != "" && a.machine.Key != attester.SoftwareKey {
		return usage("--key-out is for --key software: the others cannot leave the TPM")
	}
	if !a.enroll && a.certificate != "" {
		certs, err := inPEM(c, a.certificate, pemCertificates)
		if err != nil {
			return err
		}
		a.machine.AIKCertificate = certs[0].Raw
	}
	if err := a.apart(c); err != nil {
		return err
	}
	return a.service.ready(c)
}

// apart refuses a file to write that is read too, or written twice: a slip would cost a key.
func (a *tpmAttestation) apart(c *call) error {
	files := map[string]string{} // to its flag
	for _, out := range []struct{ flag, file string }{{"key-out", a.keyFile}, {"renew", a.renew}, {"aik-cert", a.certificate}} {
		if out.file == "" || out.flag == "aik-cert" && !a.enroll {
			continue
		}
		if err := c.spare(out.file); err != nil {
			return err
		}
		path, err := filepath.Abs(out.file)
		if err != nil {
			return badFile(err)
		}
		if other, twice := files[path]; twice {
			return usage("--%s and --%s name the same file: one would overwrite the other", other, out.flag)
		}
		files[path] = out.flag
	}
	return nil
}

func (a *tpmAttestation) open() (err error) {
	a.machine.Logs.Root = os.DirFS(a.root)
	if a.socket != "" {
		a.machine.TPM, err = attester.OpenSocket(a.socket)
	} else {
		a.machine.TPM, err = attester.OpenDevice(cmp.Or(a.device, attester.DefaultDevice(a.root)))
	}
	return err
}

// attest enrols if wanted, makes both rounds, and verifies the report.
func (a *tpmAttestation) attest(ctx context.Context, c *call, report *machineReport) (err error) {
	if a.enroll && c.now().Add(enrolBefore).After(a.enrolledUntil) {
		if report.Enrolled, err = a.enrol(ctx, c); err != nil {
			return byAttester(err)
		}
	}
	r, err := a.machine.Attest(ctx, a.service.post)
	if err != nil {
		return byAttester(err)
	}
	report.PCRs, report.Unexplained = r.Quoted, r.Unexplained
	for _, bank := range r.Banks {
		report.Banks = append(report.Banks, bank.String())
	}
	requirements := []relyingparty.Requirement{holder{r.Key}}
	if a.machine.Nonce != nil {
		requirements = append(requirements, relyingparty.Claim{Name: "nonce", Value: b64.URL(a.machine.Nonce)})
	}
	token, err := verified(ctx, a.service.verifier, r.Text, requirements)
	report.tokenReport = *token
	report.Token = r.Text
	if err == nil && a.keyFile != "" {
		if err = writeKey(a.keyFile, r.Private); err != nil {
			*report = machineReport{} // without its key it is for nobody
		}
	}
	return err
}

// writeKey writes a private key for its owner alone.
func writeKey(file string, key *rsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("writing the key: %w", err)
	}
	if err := wholefile.Write(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return badFile(err)
	}
	return nil
}

// enrol has the AIK certified and keeps the certificate.
func (a *tpmAttestation) enrol(ctx context.Context, c *call) (*enrolledReport, error) {
	e, err := a.machine.Enroll(ctx, a.service.post)
	if err != nil {
		return nil, err
	}
	a.enrolledUntil = e.NotAfter
	if a.certificate == "" {
		return &enrolledReport{ID: e.ID, NotAfter: stamp(e.NotAfter)}, nil
	}
	var text []byte
	for _, der := range append([][]byte{e.Certificate}, e.Chain...) {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return &enrolledReport{e.ID, stamp(e.NotAfter), a.certificate}, c.write(a.certificate, text)
}

// post sends a body of package attester to the service.
func (r *remote) post(ctx context.Context, path string, body []byte) ([]byte, error) {
	m := message{method: http.MethodPost, path: path, kind: jsonBody, body: body}
	own := strings.HasPrefix(path, nativeRoutes)
	if !own {
		m = m.with(apiVersion)
	}
	a, err := r.send(ctx, m)
	switch {
	case err != nil && own:
		return nil, ownOperation(err)
	case err != nil:
		return nil, err
	}
	return a.body, nil
}

// byAttester sorts the errors of package attester: an answer that is none is the service's.
func byAttester(err error) error {
	if bad, ok := errors.AsType[*attester.BadAnswer](err); ok {
		return &serviceError{err: bad}
	}
	return err
}

// tellMachine shows the report as the result of a command that ends in err.
func (c *call) tellMachine(r *machineReport, err error) error {
	c.warnDevelopment(&r.tokenReport)
	if err != nil {
		r.Error = problemOf(err)
	}
	return c.tell(r, err)
}

func (r *machineReport) print(s sheet, err error) {
	r.tokenReport.print(s, err)
	s.section("Machine")
	s.rows(row{"PCRs quoted", numbers(r.PCRs) + " (" + strings.Join(r.Banks, ", ") + ")"}, row{"not explained", numbers(r.Unexplained)})
	if r.Enrolled != nil {
		s.rows(row{"enrolled", r.Enrolled.ID}, row{"until", r.Enrolled.NotAfter}, row{"certificate", r.Enrolled.File})
	}
}

// numbers writes indices as --pcrs reads them.
func numbers(list []int) string {
	var parts []string
	for i := 0; i < len(list); i++ {
		first := i
		for i+1 < len(list) && list[i+1] == list[i]+1 {
			i++
		}
		part := strconv.Itoa(list[first])
		if i > first {
			part += "-" + strconv.Itoa(list[i])
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ",")
}
