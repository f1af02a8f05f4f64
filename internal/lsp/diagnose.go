package lsp

import (
	"errors"
	"unicode/utf8"

	"github.com/assay-attestation/assay/policy"
)

// codeParsing is the code under which the service refuses a policy that does not parse.
const codeParsing = "PolicyParsingError"

// source is what the editor shows as the origin of a diagnostic.
const source = "assay"

func failing(at span, message string) diagnostic {
	return diagnostic{at, severityError, codeParsing, source, message}
}

// diagnostics returns everything that is wrong or doubtful in a document.
func (d *document) diagnostics() []diagnostic {
	found := []diagnostic{}
	if d.strange != nil {
		found = append(found, diagnostic{d.span(d.strange.Offset, d.strange.End()), severityWarning, "UnknownType", source,
			"the attestation type of the policy: " + d.complain})
	}
	p, err := policy.Parse([]byte(d.content))
	if err == nil && d.kind != "" {
		err = p.CheckFor(d.kind)
	}
	errs, _ := errors.AsType[policy.Errors](err)
	for _, e := range errs {
		found = append(found, failing(d.errorSpan(e), e.Failure))
	}
	if p != nil {
		found = append(found, d.warnings(p)...)
	}
	return found
}

// errorSpan is the word that an error is about, or the character where the text may not go on.
func (d *document) errorSpan(e *policy.Error) span {
	at := d.character(e.Line, e.Column)
	if n, ok := d.at(at); ok && d.words[n].Offset == at {
		return d.span(at, d.words[n].End())
	}
	r, size := utf8.DecodeRuneInString(d.content[at:])
	if r == '\r' || r == '\n' {
		size = 0
	}
	return d.span(at, at+size)
}

// warnings returns what is doubtful in a valid policy.
func (d *document) warnings(p *policy.Policy) []diagnostic {
	var found []diagnostic
	for _, w := range p.Warnings(d.kind) {
		message := w.Text
		if w.Fix != "" {
			message += "\nwrite instead: " + w.Fix
		}
		at := d.span(d.character(w.Line, w.Column), d.character(w.Line, w.EndColumn))
		found = append(found, diagnostic{at, severityWarning, w.Code, source, message})
	}
	return found
}
