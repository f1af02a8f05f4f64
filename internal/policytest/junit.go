package policytest

import (
	"encoding/xml"
	"fmt"
	"path/filepath"
	"strings"
)

// The elements of JUnit's XML that Jenkins and GitLab read. GitLab tells cases apart by classname and name.
type (
	junitSuites struct {
		XMLName  xml.Name `xml:"testsuites"`
		Name     string   `xml:"name,attr"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Errors   int      `xml:"errors,attr"`
		Suites   []junitSuite
	}
	junitSuite struct {
		XMLName  xml.Name `xml:"testsuite"`
		Name     string   `xml:"name,attr"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Errors   int      `xml:"errors,attr"`
		Skipped  int      `xml:"skipped,attr"`
		Cases    []junitCase
	}
	junitCase struct {
		XMLName   xml.Name     `xml:"testcase"`
		Name      string       `xml:"name,attr"`
		ClassName string       `xml:"classname,attr"`
		Failure   *junitDetail `xml:"failure"`
		Error     *junitDetail `xml:"error"`
	}
	junitDetail struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit returns the report as JUnit's XML: a suite for each test file, a failure for a case that failed, an error for
// one that could not be run, and a case "test file" with an error for a file that could not. Cases whose expectations
// were written anew pass.
func (r *Report) JUnit() ([]byte, error) {
	all := junitSuites{Name: "assay policy test"}
	for _, f := range r.Files {
		s := f.junit()
		all.Tests, all.Failures, all.Errors = all.Tests+s.Tests, all.Failures+s.Failures, all.Errors+s.Errors
		all.Suites = append(all.Suites, s)
	}
	b, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing JUnit's XML: %w", err)
	}
	return append(append([]byte(xml.Header), b...), '\n'), nil
}

func (f *FileReport) junit() junitSuite {
	s := junitSuite{Name: filepath.ToSlash(f.Name)}
	for _, c := range f.Cases {
		s.add(c.junit(f.Name))
	}
	if f.Err != nil {
		s.add(junitCase{Name: "test file", Error: &junitDetail{Message: f.Err.Error(), Type: "file"}})
	}
	return s
}

func (s *junitSuite) add(c junitCase) {
	c.ClassName = s.Name
	s.Tests++
	switch {
	case c.Failure != nil:
		s.Failures++
	case c.Error != nil:
		s.Errors++
	}
	s.Cases = append(s.Cases, c)
}

func (c *CaseReport) junit(file string) junitCase {
	j := junitCase{Name: c.Name}
	switch place := fmt.Sprintf("%s:%d", filepath.ToSlash(file), c.Line); c.Status {
	case Failed:
		j.Failure = &junitDetail{Message: c.Summary(), Type: "difference", Text: place + "\n" + strings.Join(c.Lines(), "\n") + "\n"}
	case Broken:
		j.Error = &junitDetail{Message: c.Err.Error(), Type: "case", Text: place + "\n"}
	}
	return j
}
