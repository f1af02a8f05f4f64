package lsp

import "github.com/go-json-experiment/json/jsontext"

// The structures of LSP 3.17, with the members that the server reads or writes.

type position struct {
	Line      uint32 `json:"line"`
	Character uint32 `json:"character"`
}

// span is the protocol's Range: from start to before end.
type span struct {
	Start position `json:"start"`
	End   position `json:"end"`
}

type documentID struct {
	URI string `json:"uri"`
}

type initializeParams struct {
	Options      jsontext.Value `json:"initializationOptions"`
	Capabilities struct {
		General struct {
			PositionEncodings []string `json:"positionEncodings"`
		} `json:"general"`
		TextDocument struct {
			Hover struct {
				ContentFormat []string `json:"contentFormat"`
			} `json:"hover"`
		} `json:"textDocument"`
	} `json:"capabilities"`
}

type initializeResult struct {
	Capabilities capabilities `json:"capabilities"`
	ServerInfo   serverInfo   `json:"serverInfo"`
}

type serverInfo struct {
	Name    string `json:"name"`
	Version string `json:"version,omitzero"`
}

type capabilities struct {
	PositionEncoding   string             `json:"positionEncoding"`
	TextDocumentSync   syncOptions        `json:"textDocumentSync"`
	CompletionProvider completionProvider `json:"completionProvider"`
	HoverProvider      bool               `json:"hoverProvider"`
	FormattingProvider bool               `json:"documentFormattingProvider"`
}

type syncOptions struct {
	OpenClose bool `json:"openClose"`
	Change    int  `json:"change"`
}

type completionProvider struct {
	TriggerCharacters []string `json:"triggerCharacters"`
}

type didOpenParams struct {
	TextDocument struct {
		documentID
		Version int64  `json:"version"`
		Text    string `json:"text"`
	} `json:"textDocument"`
}

type didChangeParams struct {
	TextDocument struct {
		documentID
		Version *int64 `json:"version"`
	} `json:"textDocument"`
	ContentChanges []contentChange `json:"contentChanges"`
}

// contentChange is the new text of a document. The server asks for whole texts, so that no range is expected.
type contentChange struct {
	Range jsontext.Value `json:"range"`
	Text  string         `json:"text"`
}

type documentParams struct {
	TextDocument documentID `json:"textDocument"`
}

type positionParams struct {
	TextDocument documentID `json:"textDocument"`
	Position     position   `json:"position"`
}

type publishParams struct {
	URI         string       `json:"uri"`
	Version     *int64       `json:"version,omitzero"`
	Diagnostics []diagnostic `json:"diagnostics"`
}

type diagnostic struct {
	Range    span   `json:"range"`
	Severity int    `json:"severity"`
	Code     string `json:"code,omitzero"`
	Source   string `json:"source"`
	Message  string `json:"message"`
}

// The severities of diagnostics and, with the same numbers, the types of messages.
const (
	severityError   = 1
	severityWarning = 2
)

type messageParams struct {
	Type    int    `json:"type"`
	Message string `json:"message"`
}

type textEdit struct {
	Range   span   `json:"range"`
	NewText string `json:"newText"`
}

type completionList struct {
	IsIncomplete bool             `json:"isIncomplete"`
	Items        []completionItem `json:"items"`
}

type completionItem struct {
	Label         string   `json:"label"`
	Kind          int      `json:"kind"`
	Detail        string   `json:"detail,omitzero"`
	Documentation string   `json:"documentation,omitzero"`
	Deprecated    bool     `json:"deprecated,omitzero"`
	SortText      string   `json:"sortText"`
	FilterText    string   `json:"filterText"`
	TextEdit      textEdit `json:"textEdit"`
}

// The kinds of completion items that the server uses.
const (
	kindFunction = 3
	kindField    = 5
	kindVariable = 6
	kindProperty = 10
	kindValue    = 12
	kindKeyword  = 14
)

type hoverResult struct {
	Contents markup `json:"contents"`
	Range    span   `json:"range"`
}

type markup struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
}
