package lsp

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/assay-attestation/assay/policy"
)

const (
	// MaxDocuments is how many documents may be open at a time; more are not looked at.
	MaxDocuments = 100
	// MaxURI is how many bytes the name of a document may have.
	MaxURI = 8 << 10
	// typeLines is in how many lines at the beginning of a document a comment may name its attestation type.
	typeLines = 10
)

// stored is an open policy between two messages.
type stored struct {
	content string
	kind    string // its attestation type, or ""
	tooLong bool   // nothing of it is kept
}

// document is a policy while a message about it is handled.
type document struct {
	text
	kind     string       // its attestation type, or ""
	strange  *policy.Word // a comment that names an attestation type which there is not
	complain string       // what is wrong with it
}

// newDocument reads a policy. Without an attestation type of the whole connection, it is that of a comment in its first
// lines, // type: sgx, or of its name.
func (s *server) newDocument(uri, content string) *document {
	d := &document{text: newText(content, s.utf8), kind: s.kind}
	if d.kind == "" {
		d.kind = s.kindOfComment(d)
	}
	if d.kind == "" {
		d.kind = s.kindOfName(uri)
	}
	return d
}

// kindOfComment finds the attestation type that a comment in the first lines names.
func (s *server) kindOfComment(d *document) string {
	for i, w := range d.notes {
		if int(d.position(w.Offset).Line) >= typeLines {
			break
		}
		key, name, ok := strings.Cut(strings.TrimPrefix(w.Text, "//"), ":")
		if !ok || !strings.EqualFold(strings.TrimSpace(key), "type") {
			continue
		}
		kind, err := s.options.Type(strings.TrimSpace(name))
		if err == nil {
			return kind
		}
		d.strange, d.complain = &d.notes[i], err.Error()
	}
	return ""
}

// kindOfName finds the attestation type whose name is part of a document's.
func (s *server) kindOfName(uri string) string {
	name := uri
	if u, err := url.Parse(uri); err == nil {
		name = u.Path
	}
	name = strings.ToLower(path.Base(name))
	for _, word := range []string{"openenclave", "azureguest", "sgx", "snp", "tdx", "tpm"} {
		if !strings.Contains(name, word) {
			continue
		}
		if kind, err := s.options.Type(word); err == nil {
			return kind
		}
	}
	return ""
}

func (s *server) didOpen(m message) error {
	var params didOpenParams
	if err := m.read(&params); err != nil {
		return err
	}
	d := params.TextDocument
	return s.take(d.URI, d.Text, &d.Version)
}

// didChange takes the new text of a document, that of the last change.
func (s *server) didChange(m message) error {
	var params didChangeParams
	if err := m.read(&params); err != nil {
		return err
	}
	for _, c := range params.ContentChanges {
		if len(c.Range) > 0 && c.Range.Kind() != 'n' {
			return failure(codeInvalidParams, "textDocument/didChange: expected the whole text, found a change of a range")
		}
	}
	if n := len(params.ContentChanges); n > 0 {
		d := params.TextDocument
		return s.take(d.URI, params.ContentChanges[n-1].Text, d.Version)
	}
	return nil
}

func (s *server) didClose(m message) error {
	var params documentParams
	if err := m.read(&params); err != nil {
		return err
	}
	delete(s.documents, params.TextDocument.URI)
	s.publish(params.TextDocument.URI, nil, []diagnostic{})
	return nil
}

// take keeps the text of a document and tells what is wrong with it.
func (s *server) take(uri, content string, version *int64) error {
	if uri == "" || len(uri) > MaxURI {
		return failure(codeInvalidParams, "textDocument: uri: expected a name of 1 to %d bytes, found %d bytes", MaxURI, len(uri))
	}
	_, known := s.documents[uri]
	switch {
	case !known && len(s.documents) >= MaxDocuments:
		s.publish(uri, version, []diagnostic{failing(span{}, fmt.Sprintf("more than %d policies are open: close some", MaxDocuments))})
	case len(content) > policy.MaxText:
		s.documents[uri] = stored{tooLong: true}
		s.publish(uri, version, []diagnostic{failing(span{}, fmt.Sprintf("the policy has %d bytes, at most %d are allowed", len(content), policy.MaxText))})
	default:
		d := s.newDocument(uri, content)
		s.documents[uri] = stored{content: content, kind: d.kind}
		s.publish(uri, version, d.diagnostics())
	}
	return nil
}

// open returns a document that is open and not too long to be looked at.
func (s *server) open(id documentID) (*document, error) {
	d, known := s.documents[id.URI]
	switch {
	case !known:
		return nil, failure(codeInvalidParams, "the document %s is not open", printable(id.URI))
	case d.tooLong:
		return nil, failure(codeRequestFailed, "the policy is longer than %d bytes", policy.MaxText)
	}
	return &document{text: newText(d.content, s.utf8), kind: d.kind}, nil
}

func (s *server) publish(uri string, version *int64, diagnostics []diagnostic) {
	s.notify("textDocument/publishDiagnostics", publishParams{uri, version, diagnostics})
}

// formatting lays the whole document out.
func (s *server) formatting(m message) (any, error) {
	var params documentParams
	if err := m.read(&params); err != nil {
		return nil, err
	}
	d, err := s.open(params.TextDocument)
	if err != nil {
		return nil, err
	}
	out, err := policy.Format([]byte(d.content))
	if found, ok := errors.AsType[policy.Errors](err); ok && len(found) > 0 {
		return nil, failure(codeRequestFailed, "the policy cannot be formatted before its errors are mended, the first in line %d: %s",
			found[0].Line, found[0].Failure)
	}
	if err != nil {
		return nil, failure(codeRequestFailed, "%v", err)
	}
	if string(out) == d.content {
		return []textEdit{}, nil
	}
	return []textEdit{{d.span(0, len(d.content)), string(out)}}, nil
}
