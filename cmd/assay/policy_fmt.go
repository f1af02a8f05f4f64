package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/internal/wholefile"
	"github.com/assay-attestation/assay/policy"
)

// formatReport is the result of policy fmt.
type formatReport struct {
	Files   []*formatted `json:"files"`
	printed bool         // the texts are the result, and not the names of files
}

// formatted is what policy fmt found out about one file.
type formatted struct {
	File    string        `json:"file"`
	Changed bool          `json:"changed"` // formatting changes the text
	Hash    string        `json:"hash"`    // of the file's bytes as they were
	NewHash string        `json:"newHash,omitzero"`
	Text    *string       `json:"text,omitzero"` // formatted; without --check and --write
	Errors  []policyError `json:"errors,omitzero"`
	Error   *problem      `json:"error,omitzero"` // of what is no policy text at all

	old, text []byte
	err       error
}

// formatMode is what to do with formatted texts.
type formatMode struct{ check, write bool }

// runPolicyFmt formats policies. All files are read before the first is written.
func runPolicyFmt(_ context.Context, c *call) error {
	var mode formatMode
	c.BoolVar(&mode.check, "check", false, "write nothing; list the files that would change, and exit with status 1 if there are any")
	c.BoolVar(&mode.write, "write", false, "write the result into the files, and list those that changed")
	c.BoolVar(&mode.write, "w", false, "the same as --write")
	names, err := c.parse("FILE…")
	switch {
	case err != nil:
		return err
	case mode.check && mode.write:
		return usage("--check and --write exclude each other")
	case mode.write && slices.Contains(names, "-"):
		return usage("--write needs files: standard input cannot be written")
	}
	report := &formatReport{printed: !mode.check && !mode.write}
	for _, name := range names {
		b, err := c.read(name)
		if err != nil {
			return err
		}
		report.Files = append(report.Files, formatPolicy(name, b))
	}
	return c.finishFormat(report, mode)
}

// formatPolicy formats the bytes of one file.
func formatPolicy(name string, b []byte) *formatted {
	f := &formatted{File: name, Hash: policy.Hash(b), old: b}
	if text, err := policyjws.Text(b); err != nil || !bytes.Equal(text, b) {
		f.err = errors.New("expected the text of a policy, found a JWS, whose signature ends with its text: take the text out with assay policy unsign")
		f.Error = problemOf(f.err)
		return f
	}
	if f.text, f.err = policy.Format(b); f.err != nil {
		f.Errors = policyErrors(f.err)
		return f
	}
	f.Changed, f.NewHash = !bytes.Equal(f.text, b), policy.Hash(f.text)
	return f
}

// finishFormat does with the formatted texts what is wanted, and tells it.
func (c *call) finishFormat(report *formatReport, mode formatMode) error {
	var errs []error
	for _, f := range report.Files {
		switch {
		case f.err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", f.File, f.err))
		case f.Changed && mode.check:
			errs = append(errs, fmt.Errorf("%s is not formatted", f.File))
		case f.Changed && mode.write:
			if err := wholefile.Replace(f.File, f.text); err != nil {
				return badFile(err)
			}
		case report.printed:
			text := string(f.text)
			f.Text = &text
		}
		c.noteFormat(f, mode)
	}
	return c.tell(report, errors.Join(errs...))
}

// noteFormat says on standard error what is wrong with a file, or what formatting it means for its hash.
func (c *call) noteFormat(f *formatted, mode formatMode) {
	var found policy.Errors
	switch {
	case errors.As(f.err, &found):
		for _, e := range found {
			fmt.Fprintf(c.stderr, "%s:%s\n", plain(f.File), e.Detail())
		}
	case f.err != nil:
		fmt.Fprintf(c.stderr, "assay: %s: %s\n", plain(f.File), plain(f.err.Error()))
	case f.Changed:
		verb := "changes"
		if mode.check {
			verb = "would change"
		}
		fmt.Fprintf(c.stderr, "assay: %s: formatting %s the policy hash from %s to %s; a signed policy must be signed again\n",
			plain(f.File), verb, f.Hash, f.NewHash)
	}
}

// print prints the formatted texts, or the names of the files that change.
func (r *formatReport) print(s sheet, _ error) {
	for _, f := range r.Files {
		switch {
		case f.err != nil:
		case r.printed:
			s.w.Write(f.text) //nolint:errcheck // as with every result, the exit status is not about standard output
		case f.Changed:
			fmt.Fprintln(s.w, plain(f.File))
		}
	}
}
