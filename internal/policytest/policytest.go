// Package policytest runs golden tests of policies. A test file, NAME.test.yaml, names a policy and lists cases: claims
// or evidence, and what is expected of the policy over them. The package finds and reads such files, evaluates their
// cases as the service would, says where the outcome differs from what was expected, writes expectations anew, and
// reports to people and to CI systems. docs/policy-testing.md is the manual of the format.
//
// A test must not pass by oversight. So a permit issues exactly what is expected, an error is expected with what tells
// it from others, and files without cases, folders without files and cases without expectation are no passes.
package policytest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/policy"
)

// The limits of a run. A test file that breaks one is refused before work is done that grows with it.
const (
	MaxFiles      = 1000      // test files
	MaxEntries    = 100_000   // files and folders that are looked at to find them
	MaxFile       = 256 << 10 // bytes of a test file
	MaxLines      = 10_000    // of a test file
	MaxLine       = 8 << 10   // bytes of a line
	MaxOpen       = 512       // brackets of a test file that are open at one place
	MaxCases      = 1000      // of a test file
	MaxName       = 200       // bytes of a case's name
	MaxClaimsFile = 8 << 20   // bytes of a claims file
)

// Options say how test files are run.
type Options struct {
	// Appraise verifies evidence offline and returns the claims that the policy sees of it. Its error is an
	// evidence.Refusal if the evidence was refused; every other one means that the case cannot be run. It must be given
	// where cases have evidence.
	Appraise func(Evidence, *policy.Policy, *policy.Configuration) ([]policy.Claim, error)
	// Update writes the expectations of cases that fail anew.
	Update bool
}

// Status is how a case ended.
type Status string

// The statuses of a case.
const (
	Passed  Status = "pass"
	Failed  Status = "fail"
	Updated Status = "updated" // it failed, and its expectation was written anew
	Added   Status = "added"   // it had no expectation, and was given one
	Broken  Status = "error"   // it could not be run
)

// Report is the result of a run.
type Report struct {
	Files []FileReport
}

// FileReport is the result of one test file.
type FileReport struct {
	Name  string // the path
	Err   error  // why it could not be run, or its expectations not be written
	Cases []CaseReport
}

// CaseReport is the result of one case.
type CaseReport struct {
	Name        string
	Line        int // where the case starts in its file
	Status      Status
	Missing     bool         // it has, or had, no expectation
	Differences []Difference // of failed, updated and added cases
	Message     string       // the service's message, where the outcome is a refusal
	Err         error        // of a broken case
}

// Lines returns the differences as a diff shows them, below the members that hold the claims, and the service's message.
func (c *CaseReport) Lines() []string {
	var lines []string
	if c.Missing {
		lines = append(lines, "  no expectation; this was found:")
	}
	above := ""
	for i := range c.Differences {
		d := &c.Differences[i]
		if d.Claim != "" && d.Member != above {
			lines = append(lines, "  "+d.Member+":")
		}
		above = ""
		if d.Claim != "" {
			above = d.Member
		}
		lines = append(lines, d.lines()...)
	}
	told := slices.ContainsFunc(c.Differences, func(d Difference) bool { return d.Member == "message" && d.Found != "" })
	if c.Message != "" && !told {
		lines = append(lines, "  the service says: "+c.Message)
	}
	return lines
}

// Summary says on one line which members differ.
func (c *CaseReport) Summary() string {
	if c.Missing {
		return "no expectation"
	}
	var names []string
	for _, d := range c.Differences {
		if !slices.Contains(names, d.Member) {
			names = append(names, d.Member)
		}
	}
	return "not as expected: " + strings.Join(names, ", ")
}

// Counts are the numbers of cases by status, and of files that could not be run.
type Counts struct {
	Passed, Failed, Updated, Added, Broken, BrokenFiles int
}

// Cases is the number of all cases.
func (c Counts) Cases() int { return c.Passed + c.Failed + c.Updated + c.Added + c.Broken }

// Count counts the cases of the report.
func (r *Report) Count() Counts {
	var n Counts
	for _, f := range r.Files {
		if f.Err != nil {
			n.BrokenFiles++
		}
		for _, c := range f.Cases {
			*n.of(c.Status)++
		}
	}
	return n
}

func (c *Counts) of(s Status) *int {
	switch s {
	case Passed:
		return &c.Passed
	case Failed:
		return &c.Failed
	case Updated:
		return &c.Updated
	case Added:
		return &c.Added
	}
	return &c.Broken
}

// Run runs the test files named, and all files *.test.yaml and *.test.yml in the folders named and below. The error says
// that a path does not exist, that a folder holds no test file, that a limit is broken, or that ctx ended.
func Run(ctx context.Context, paths []string, opt Options) (*Report, error) {
	files, err := find(paths)
	if err != nil {
		return nil, err
	}
	report := &Report{}
	for _, name := range files {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		report.Files = append(report.Files, runFile(ctx, name, opt))
	}
	return report, nil
}

// runFile runs one test file.
func runFile(ctx context.Context, name string, opt Options) FileReport {
	report := FileReport{Name: name}
	f, err := readFile(name)
	if err != nil {
		report.Err = err
		return report
	}
	var changes []change
	for i := range f.cases {
		if ctx.Err() != nil {
			report.Err = context.Cause(ctx)
			return report
		}
		c := &f.cases[i]
		result, found := f.run(c, opt)
		if result.Status == Failed && opt.Update {
			result.Status = Updated
			if result.Missing {
				result.Status = Added
			}
			changes = append(changes, change{c, found})
		}
		report.Cases = append(report.Cases, result)
	}
	if len(changes) > 0 {
		report.fail(f.update(changes))
	}
	return report
}

// fail takes back what an update that failed was to have done.
func (r *FileReport) fail(err error) {
	if err == nil {
		return
	}
	r.Err = fmt.Errorf("%s: %w", r.Name, err)
	for i := range r.Cases {
		if s := &r.Cases[i].Status; *s == Updated || *s == Added {
			*s = Failed
		}
	}
}

// run runs one case and returns with its result the expectation that it would have met.
func (f *testFile) run(c *testCase, opt Options) (CaseReport, *expectation) {
	result := CaseReport{Name: c.name, Line: c.line, Status: Passed, Missing: c.expect == nil}
	subject := Subject{Policy: f.text, Type: f.kind}
	subject.Claims = func(p *policy.Policy, configuration *policy.Configuration) ([]policy.Claim, error) {
		if c.evidence != nil {
			return opt.Appraise(*c.evidence, p, configuration)
		}
		return c.claims, nil
	}
	o, err := subject.Judge()
	if err != nil {
		result.Status, result.Err = Broken, err
		return result, nil
	}
	found := o.like(c.expect)
	result.Differences = differences(c.expect, found)
	if len(result.Differences) > 0 {
		result.Status, result.Message = Failed, o.Message
	}
	return result, found
}
