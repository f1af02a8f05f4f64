package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/assay-attestation/assay/internal/policytest"
	"github.com/assay-attestation/assay/policy"
)

// runPolicyTest runs golden tests of policies (native.md section 1.6, docs/policy-testing.md).
func runPolicyTest(ctx context.Context, c *call) error {
	update := c.Bool("update", false, "write the expectations of cases that fail anew, into their files")
	junit := c.String("junit", "", "write the result as JUnit's XML to `FILE`, too")
	paths, err := c.parse("DIR…")
	if err != nil {
		return err
	}
	report, err := policytest.Run(ctx, paths, policytest.Options{Appraise: c.appraise, Update: *update})
	if err != nil {
		return badFile(err)
	}
	r := goldenReportOf(report)
	err = r.err()
	if *junit != "" {
		unwritten := c.writeJUnit(*junit, report)
		if unwritten != nil {
			fmt.Fprintf(c.stderr, "assay: --junit: %s\n", plain(unwritten.Error())) // the result has no place for it
		}
		err = errors.Join(err, unwritten)
	}
	return c.tell(r, err)
}

func (c *call) writeJUnit(file string, report *policytest.Report) error {
	b, err := report.JUnit()
	if err != nil {
		return badFile(err)
	}
	for _, f := range report.Files {
		c.reads(f.Name)
	}
	return c.write(file, b)
}

// appraise verifies the evidence of a case as evidence verify does with the flags of the same names.
func (c *call) appraise(e policytest.Evidence, p *policy.Policy, configuration *policy.Configuration) ([]policy.Claim, error) {
	in, err := c.appraisalOf(e)
	if err != nil {
		return nil, err
	}
	return in.incoming(&evidenceReport{Type: in.kind}, p, configuration)
}

// appraisalOf reads what the evidence of a case needs. Its errors are no refusals: the case cannot be run.
func (c *call) appraisalOf(e policytest.Evidence) (*appraisal, error) {
	in := &appraisal{}
	in.options.At = e.At
	var err error
	if in.kind, err = evidenceType(e.Type); err != nil {
		return nil, fmt.Errorf("type %s: of evidence, %w", e.Type, err)
	}
	for _, given := range []struct {
		name, value string
		set         func(string) error
	}{
		{"trust-root", e.TrustRoot, func(file string) (err error) { in.root, err = c.read(file); return err }},
		{"chain", e.Chain, func(file string) (err error) { in.guest.chain, err = c.read(file); return err }},
		{"collateral-expiry", e.Expiry, in.setExpiry},
		{"accept-status", e.Accept, in.setAccept},
		{"runtime-data", e.RuntimeData, func(file string) (err error) { in.runtime.bytes, err = c.read(file); return err }},
		{"runtime-type", e.Runtime, in.runtime.setType},
	} {
		if given.value == "" {
			continue
		}
		if err := given.set(given.value); err != nil {
			return nil, fmt.Errorf("evidence: %s: %w", given.name, err)
		}
	}
	return in, in.read(c, e.File, e.Collateral)
}

// goldenReport is the result of policy test.
type goldenReport struct {
	Passed  int          `json:"passed"`
	Failed  int          `json:"failed"`
	Updated int          `json:"updated"`
	Broken  int          `json:"broken"` // cases and files that could not be run
	Files   []goldenFile `json:"files"`
}

type goldenFile struct {
	File  string       `json:"file"`
	Cases []goldenCase `json:"cases"`
	Error string       `json:"error,omitzero"`
}

type goldenCase struct {
	Name        string             `json:"name"`
	Line        int                `json:"line"`
	Status      policytest.Status  `json:"status"`
	Differences []goldenDifference `json:"differences,omitzero"`
	Message     string             `json:"message,omitzero"` // of the service
	Error       string             `json:"error,omitzero"`
	lines       []string
}

// goldenDifference has what differs written as in a test file.
type goldenDifference struct {
	Member   string `json:"member"`
	Claim    string `json:"claim,omitzero"`
	Expected string `json:"expected,omitzero"`
	Found    string `json:"found,omitzero"`
}

func goldenReportOf(report *policytest.Report) *goldenReport {
	n := report.Count()
	r := &goldenReport{Passed: n.Passed, Failed: n.Failed, Updated: n.Updated + n.Added, Broken: n.Broken + n.BrokenFiles}
	for _, f := range report.Files {
		file := goldenFile{File: f.Name, Cases: []goldenCase{}}
		if f.Err != nil {
			file.Error = f.Err.Error()
		}
		for i := range f.Cases {
			file.Cases = append(file.Cases, goldenCaseOf(&f.Cases[i]))
		}
		r.Files = append(r.Files, file)
	}
	return r
}

func goldenCaseOf(c *policytest.CaseReport) goldenCase {
	g := goldenCase{Name: c.Name, Line: c.Line, Status: c.Status, Message: c.Message, lines: c.Lines()}
	for _, d := range c.Differences {
		g.Differences = append(g.Differences, goldenDifference(d))
	}
	if c.Err != nil {
		g.Error = c.Err.Error()
		g.lines = strings.Split(g.Error, "\n")
	}
	return g
}

// err is nil if all cases passed or were given their expectations.
func (r *goldenReport) err() error {
	switch {
	case r.Broken > 0:
		return badFile(fmt.Errorf("%d cases or files cannot be run", r.Broken))
	case r.Failed > 0:
		return fmt.Errorf("%d cases failed", r.Failed)
	}
	return nil
}

// print shows a line for each case, below it what differs, and the numbers at the end.
func (r *goldenReport) print(s sheet, err error) {
	for _, f := range r.Files {
		for _, c := range f.Cases {
			s.verdict(c.Status, fmt.Sprintf("%s:%d: %s", f.File, c.Line, c.Name))
			for _, line := range c.lines {
				fmt.Fprintf(s.w, "        %s\n", plain(line))
			}
		}
		if f.Error != "" {
			s.verdict(policytest.Broken, f.Error)
		}
	}
	colour, word := green, "PASS"
	if err != nil {
		colour, word = red, "FAIL"
	}
	if advice := r.advice(); advice != "" {
		s.section(advice)
	}
	s.heading(colour, word, fmt.Sprintf("%d passed, %d failed, %d updated, %d could not be run", r.Passed, r.Failed, r.Updated, r.Broken))
}

// advice says what to do next, or nothing.
func (r *goldenReport) advice() string {
	switch {
	case r.Failed > 0:
		return "Expected is behind -, found behind +. If what was found is right, --update writes it into the files."
	case r.Updated > 0:
		return "Expectations were written anew. Look at the change before you commit it."
	}
	return ""
}

// verdict prints how a case ended.
func (s sheet) verdict(status policytest.Status, about string) {
	words := map[policytest.Status][2]string{
		policytest.Passed: {"ok", green}, policytest.Failed: {"FAIL", red}, policytest.Broken: {"ERROR", red},
		policytest.Updated: {"UPDATED", yellow}, policytest.Added: {"ADDED", yellow},
	}
	word := words[status]
	s.heading(word[1], fmt.Sprintf("%-7s", word[0]), about)
}
