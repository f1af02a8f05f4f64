package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/policy"
)

// policyType finds the attestation type that s names.
func policyType(s string) (string, error) {
	kind, ok := policy.ParseType(s)
	if !ok {
		return "", errors.New("expected " + policy.TypeNames)
	}
	return kind, nil
}

// policyTypeVar declares the flag for the type that a policy is for.
func (c *call) policyTypeVar(kind *string) {
	c.Func("type", "attestation type `T` that the policy is for", func(s string) (err error) {
		*kind, err = policyType(s)
		return err
	})
}

// policyReport is the result of policy check.
type policyReport struct {
	Valid    bool            `json:"valid"`
	Version  string          `json:"version,omitzero"`
	Hash     string          `json:"hash"` // defined for texts that do not parse, too
	Errors   []policyError   `json:"errors"`
	Warnings []policyWarning `json:"warnings"`
	JWS      bool            `json:"jws,omitzero"` // the text came in one; hash, lines and columns are the text's
	file     string
}

type policyError struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Symbol  string `json:"symbol"`
	Message string `json:"message"`
	Rule    string `json:"rule"`
}

type policyWarning struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Fix     string `json:"fix,omitzero"` // what to write in place of the text at that place
}

// runPolicyCheck checks a policy as the service does when one is set.
func runPolicyCheck(_ context.Context, c *call) error {
	var kind string
	c.policyTypeVar(&kind)
	pos, err := c.parse("FILE", "--type")
	if err != nil {
		return err
	}
	b, err := c.read(pos[0])
	if err != nil {
		return err
	}
	text, err := policyjws.Text(b)
	if err != nil {
		return fmt.Errorf("%s: %w", pos[0], err)
	}
	report, err := checkPolicy(text, kind)
	report.file, report.JWS = pos[0], !bytes.Equal(text, b)
	return c.tell(report, err)
}

// checkPolicy parses text and checks it for the attestation type, if one is given. The error is the one that refuses it.
func checkPolicy(text []byte, kind string) (*policyReport, error) {
	report := &policyReport{Hash: policy.Hash(text), Errors: []policyError{}, Warnings: []policyWarning{}}
	p, err := policy.Parse(text)
	if err == nil {
		major, minor := p.Version()
		report.Version = fmt.Sprintf("%d.%d", major, minor)
		for _, w := range p.Warnings(kind) {
			report.Warnings = append(report.Warnings, policyWarning{w.Line, w.Column, w.Code, w.Text, w.Fix})
		}
		if kind != "" {
			err = p.CheckFor(kind)
		}
	}
	report.Errors = append(report.Errors, policyErrors(err)...)
	report.Valid = err == nil
	return report, err
}

// policyErrors lists the errors of a policy text, if err is about some.
func policyErrors(err error) []policyError {
	var found policy.Errors
	errors.As(err, &found)
	var list []policyError
	for _, e := range found {
		list = append(list, policyError{e.Line, e.Column, e.Symbol, e.Failure, e.Rule})
	}
	return list
}

// print prints errors as a compiler does, so that editors can jump to them.
func (r *policyReport) print(s sheet, err error) {
	if err == nil {
		s.heading(green, "VALID", r.file+", version "+r.Version)
		s.rows(row{"hash", r.Hash})
	} else {
		s.heading(red, "REFUSED", r.file)
	}
	if r.JWS {
		s.rows(row{"form", "JWS; checked is the text in it, not the signature"})
	}
	var found policy.Errors
	errors.As(err, &found)
	for _, e := range found {
		fmt.Fprintf(s.w, "%s:%s\n", plain(r.file), e.Detail())
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(s.w, "%s:%d:%d: warning: %s [%s]\n", plain(r.file), w.Line, w.Column, plain(w.Message), w.Code)
		if w.Fix != "" {
			fmt.Fprintf(s.w, "  write instead: %s\n", plain(w.Fix))
		}
	}
}

// runPolicyHash prints the hash of a policy's bytes, parsed or not.
func runPolicyHash(_ context.Context, c *call) error {
	pos, err := c.parse("FILE")
	if err != nil {
		return err
	}
	text, err := c.read(pos[0])
	if err != nil {
		return err
	}
	hash := policy.Hash(text)
	if c.json {
		return c.printJSON(struct {
			Hash string `json:"hash"`
		}{hash})
	}
	_, err = fmt.Fprintln(c.stdout, hash)
	return err
}
