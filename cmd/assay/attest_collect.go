package main

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/assay-attestation/assay/attester"
	"github.com/assay-attestation/assay/evidence"
)

// collection is how attest gets evidence of the machine that it runs on.
type collection struct {
	wanted bool
	root   string // of the machine's files
	out    string // file for the evidence; empty: none
	vmpl   *int
}

// collectOnly are the flags that mean something with --collect only.
const collectOnly = "root out vmpl"

func (f *collection) declare(c *call) {
	c.BoolVar(&f.wanted, "collect", false, "make the evidence of this machine or enclave, instead of reading FILE")
	c.rootVar(&f.root, "with --collect: use the devices and file systems of the machine whose files are below `DIR`")
	c.StringVar(&f.out, "out", "", "with --collect: write the evidence to `FILE`; without --endpoint that is all")
	c.Func("vmpl", "with --collect, snp: privilege `LEVEL`, 0 to 3, that the report is for", func(s string) error {
		level, err := strconv.Atoi(s)
		if err != nil || level < 0 || level > 3 {
			return errors.New("expected a number from 0 to 3")
		}
		f.vmpl = &level
		return nil
	})
}

// collectedReport is what attest --collect tells of the evidence.
type collectedReport struct {
	Source       string `json:"source"`
	ReportData   string `json:"reportData"`
	Certificates int    `json:"certificates,omitzero"` // that came with a report of SEV-SNP
	File         string `json:"file,omitzero"`
	Warning      string `json:"warning,omitzero"`
}

// attestReport is the result of attest with evidence that was collected.
type attestReport struct {
	tokenReport
	Collected *collectedReport `json:"collected"`
}

func (r *attestReport) print(s sheet, err error) {
	r.tokenReport.print(s, err)
	r.Collected.rows(s)
}

// collectedOnly is the result of attest without a service.
type collectedOnly struct {
	Collected *collectedReport `json:"collected"`
}

func (r *collectedOnly) print(s sheet, _ error) {
	s.heading(green, "COLLECTED", "evidence of this machine, which nobody has verified")
	r.Collected.rows(s)
}

func (r *collectedReport) rows(s sheet) {
	s.section("Evidence")
	rows := []row{{"made by", r.Source}, {"report data", r.ReportData}}
	if r.Certificates > 0 {
		rows = append(rows, row{"certificates", strconv.Itoa(r.Certificates)})
	}
	s.rows(append(rows, row{"file", r.File})...)
}

// collect makes the evidence of this machine, and writes it where that is wanted.
func (a *attestation) collect(c *call) error {
	collect, err := a.way(c)
	if err != nil {
		return err
	}
	data := attester.ReportData(a.runtime.bytes)
	e, err := collect(data)
	if err != nil {
		return err
	}
	a.collected = &collectedReport{Source: e.Source, ReportData: hex.EncodeToString(data[:])}
	if a.evidence = e.Report; a.kind == evidence.SevSnpVM {
		if err := a.addCertificates(c, e); err != nil {
			return err
		}
	}
	if a.runtime.bytes == nil {
		c.warn("the report data is zero, since no --runtime-data was given: the token will vouch for the machine, and for no key or message of its own")
	}
	if a.from.out == "" {
		return nil
	}
	a.collected.File = a.from.out
	return c.write(a.from.out, a.evidence)
}

// way gives what collects evidence of the type.
func (a *attestation) way(c *call) (func([attester.ReportDataSize]byte) (*attester.Evidence, error), error) {
	guest := c.machine(a.from.root)
	guest.VMPL = a.from.vmpl
	switch a.kind {
	case evidence.SevSnpVM:
		return guest.SNP, nil
	case evidence.TdxVM:
		return guest.TDX, c.onlyFor("snp", "vmpl")
	case evidence.SgxEnclave:
		return guest.SGX, c.onlyFor("snp", "vmpl")
	}
	return nil, usage("--collect is for snp, tdx and sgx, not for %s", a.kind)
}

// addCertificates makes the document that goes to the service: with the certificates of --chain, or with those that the host gave.
func (a *attestation) addCertificates(c *call, e *attester.Evidence) (err error) {
	chain := e.Chain
	if a.chain != nil {
		if chain, err = readChain(a.chain); err != nil {
			return badFile(fmt.Errorf("--chain: %w", err))
		}
	} else if e.Warning != nil {
		a.collected.Warning = e.Warning.Error()
		c.warn("%v", e.Warning)
	}
	a.collected.Certificates = certificatesIn(chain)
	a.evidence, err = attester.SNPDocument(e.Report, chain)
	return err
}

// machine gives the ways to evidence of the machine whose files are below root.
func (c *call) machine(root string) *attester.Guest {
	if c.guest != nil {
		return c.guest(root)
	}
	return attester.Linux(root)
}

// load reads evidence from a file, and what came along with a report of SEV-SNP.
func (a *attestation) load(c *call, file string) error {
	b, err := c.read(file)
	if err != nil {
		return err
	}
	return a.take(file, b)
}

// take is load of what is read already.
func (a *attestation) take(file string, b []byte) error {
	if a.evidence = b; a.kind != evidence.SevSnpVM {
		return nil
	}
	g, err := readGuest(b, a.chain)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if a.runtime.bytes == nil && g.runtime != nil {
		a.runtime = *g.runtime
	}
	a.evidence, err = g.member()
	return err
}

// arguments checks the positional arguments and the flags that go together; it gives the file with the evidence, or none to collect it.
func (a *attestation) arguments(c *call, pos []string) (file string, err error) {
	if a.kind, err = evidenceType(pos[0]); err != nil {
		return "", usage("TYPE %q: %w", pos[0], err)
	}
	if a.kind != evidence.SevSnpVM {
		if err := c.onlyFor("snp", "chain"); err != nil {
			return "", err
		}
	}
	switch file = cmp.Or(append(pos[1:], "")...); {
	case a.from.wanted && file != "":
		return "", usage("FILE and --collect exclude each other")
	case !a.from.wanted && file == "":
		return "", usage("FILE is missing: give one, or --collect")
	case !c.isSet("endpoint") && (!a.from.wanted || a.from.out == ""):
		return "", usage("--endpoint is missing")
	case !a.from.wanted:
		return file, c.onlyFor("--collect", strings.Fields(collectOnly)...)
	}
	return "", nil
}
