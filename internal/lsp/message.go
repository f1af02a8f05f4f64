package lsp

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/internal/strictjson"
)

// The codes of errors (JSON-RPC 2.0 section 5.1, LSP 3.17 section Response Message).
const (
	codeParse          = -32700 // the content is no JSON
	codeInvalidRequest = -32600 // it is no message
	codeUnknownMethod  = -32601
	codeInvalidParams  = -32602
	codeInternal       = -32603
	codeNotInitialized = -32002
	codeRequestFailed  = -32803 // the request is right and cannot be answered
)

// rpcError is the error member of a response.
type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *rpcError) Error() string { return e.Message }

func failure(code int, format string, args ...any) *rpcError {
	return &rpcError{code, fmt.Sprintf(format, args...)}
}

// message is a request, a notification or a response of the client.
type message struct {
	Version string         `json:"jsonrpc"`
	ID      jsontext.Value `json:"id"` // empty for notifications
	Method  string         `json:"method"`
	Params  jsontext.Value `json:"params"`
	Result  jsontext.Value `json:"result"`
	Error   jsontext.Value `json:"error"`
}

// response is what the server answers to a request.
type response struct {
	Version string         `json:"jsonrpc"`
	ID      jsontext.Value `json:"id"`
	Result  any            `json:"result"`
}

// refusal is the response that carries an error.
type refusal struct {
	Version string         `json:"jsonrpc"`
	ID      jsontext.Value `json:"id"`
	Error   *rpcError      `json:"error"`
}

// notification is what the server sends unasked.
type notification struct {
	Version string `json:"jsonrpc"`
	Method  string `json:"method"`
	Params  any    `json:"params"`
}

const rpcVersion = "2.0"

// parseMessage reads the content of a frame. The error is an rpcError, and the message has an id if it has one at all.
func parseMessage(content []byte) (message, error) {
	var m message
	if err := strictjson.Exact(content, &m); err != nil {
		if _, ok := errors.AsType[*strictjson.TypeError](err); ok {
			return message{}, failure(codeInvalidRequest, "%v", err)
		}
		return message{}, failure(codeParse, "%v", err)
	}
	switch kind := m.ID.Kind(); {
	case len(m.ID) > 0 && kind != '0' && kind != '"':
		return message{}, failure(codeInvalidRequest, "id: expected a number or a string")
	case m.Version != rpcVersion:
		return m, failure(codeInvalidRequest, "jsonrpc: expected %q, found %.20q", rpcVersion, m.Version)
	case m.Method == "" && !m.isResponse():
		return m, failure(codeInvalidRequest, "method: expected the name of one, found none")
	}
	return m, nil
}

func (m message) isRequest() bool { return m.Method != "" && len(m.ID) > 0 }

// isResponse reports whether the message answers a request. The server sends none, so that there is nothing to do.
func (m message) isResponse() bool {
	return m.Method == "" && len(m.ID) > 0 && (len(m.Result) > 0 || len(m.Error) > 0)
}

// read decodes the parameters into v.
func (m message) read(v any) error {
	if len(m.Params) == 0 {
		return failure(codeInvalidParams, "%s: params are missing", printable(m.Method))
	}
	if err := strictjson.Exact(m.Params, v); err != nil {
		return failure(codeInvalidParams, "%s: params: %v", printable(m.Method), err)
	}
	return nil
}

// printable quotes what a client wrote, shortened, for a message to it.
func printable(s string) string { return fmt.Sprintf("%.80q", s) }
