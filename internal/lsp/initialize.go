package lsp

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/internal/strictjson"
)

// The position encodings of the protocol that the server knows. Every client can count in UTF-16.
const (
	encodingUTF8  = "utf-8"
	encodingUTF16 = "utf-16"
)

// initialize settles what the client and the server can do.
func (s *server) initialize(m message) (any, error) {
	if s.phase != fresh {
		return nil, failure(codeInvalidRequest, "initialize is sent once")
	}
	var params initializeParams
	if err := m.read(&params); err != nil {
		return nil, err
	}
	s.phase = running
	s.utf8 = slices.Contains(params.Capabilities.General.PositionEncodings, encodingUTF8)
	s.markdown = slices.Contains(params.Capabilities.TextDocument.Hover.ContentFormat, "markdown")
	s.setKind(params.Options)
	encoding := encodingUTF16
	if s.utf8 {
		encoding = encodingUTF8
	}
	return initializeResult{
		Capabilities: capabilities{
			PositionEncoding:   encoding,
			TextDocumentSync:   syncOptions{OpenClose: true, Change: 1}, // with the whole text
			CompletionProvider: completionProvider{[]string{`"`, ".", "[", "(", "=", ","}},
			HoverProvider:      true,
			FormattingProvider: true,
		},
		ServerInfo: serverInfo{"assay", s.options.Version},
	}, nil
}

// setKind reads the initialization options: {"attestationType":"sgx"}, or nothing. A mistake in them is shown to the
// user, and is no reason not to serve.
func (s *server) setKind(options jsontext.Value) {
	if kind := options.Kind(); len(options) == 0 || kind == 'n' {
		return
	}
	var o struct {
		AttestationType string `json:"attestationType"`
	}
	err := strictjson.Exact(options, &o)
	if err == nil && o.AttestationType != "" {
		s.kind, err = s.options.Type(o.AttestationType)
	}
	if err != nil {
		s.notify("window/showMessage", messageParams{severityWarning, "initialization options: attestationType: " + err.Error()})
	}
}
