// Package lsp is a language server for attestation policies: it tells an editor the errors and warnings of a policy while
// it is written, completes and explains its words, and formats it. It speaks the Language Server Protocol 3.17 over a
// pair of streams.
//
// The client is an editor of the user's own machine, but nothing relies on that: messages and documents are bounded
// before they are read, a message that makes no sense is answered with an error or ends the connection, and the server
// touches no file and no network. Messages are handled one by one in the order in which they come.
package lsp

import (
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Options are what a server is told about the program around it.
type Options struct {
	// Version is that of the program, for the editor to show.
	Version string
	// Type finds the attestation type that people call by a name, in any case, as the service's URLs spell it.
	Type func(name string) (attestationType string, err error)
}

// ErrNoShutdown says that the client ended the connection without asking for a shutdown before, for which the protocol
// wants the exit status 1.
var ErrNoShutdown = errors.New("the client left without the request shutdown")

// Serve answers the messages of one client until it sends exit or its stream ends. The error is nil if the client had
// asked for a shutdown, ErrNoShutdown if not, and else says what made the connection unusable.
func Serve(in io.Reader, out io.Writer, o Options) error {
	s := &server{options: o, out: out, documents: map[string]stored{}}
	frames := newFrames(in)
	for !s.exited && s.broken == nil {
		content, err := frames.next()
		switch {
		case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			s.exited = true
		case errors.As(err, new(tooLong)):
			s.refuse(nil, failure(codeInvalidRequest, "%v", err))
		case err != nil:
			s.refuse(nil, failure(codeParse, "%v", err))
			return err
		default:
			s.handle(content)
		}
	}
	switch {
	case s.broken != nil:
		return s.broken
	case s.phase != shut:
		return ErrNoShutdown
	}
	return nil
}

// phase is how far the connection has come.
type phase int

const (
	fresh   phase = iota // nothing but initialize is answered
	running              // everything is
	shut                 // nothing is
)

// server is the state of one connection.
type server struct {
	options   Options
	out       io.Writer
	broken    error // of a write
	phase     phase
	exited    bool
	utf8      bool   // positions count bytes, not UTF-16 code units
	markdown  bool   // the editor shows it
	kind      string // the attestation type of all documents, if the editor says so
	documents map[string]stored
}

// handle does what one message wants.
func (s *server) handle(content []byte) {
	m, err := parseMessage(content)
	switch {
	case err != nil:
		s.refuse(m.ID, err)
	case m.isResponse():
	case m.isRequest():
		s.answer(m)
	default:
		s.note(m)
	}
}

// answer handles a request, which has exactly one response.
func (s *server) answer(m message) {
	result, err := s.request(m)
	if err != nil {
		s.refuse(m.ID, err)
		return
	}
	s.send(response{rpcVersion, m.ID, result})
}

func (s *server) request(m message) (any, error) {
	switch {
	case s.phase == shut:
		return nil, failure(codeInvalidRequest, "%s after shutdown", printable(m.Method))
	case s.phase == fresh && m.Method != "initialize":
		return nil, failure(codeNotInitialized, "%s before initialize", printable(m.Method))
	}
	switch m.Method {
	case "initialize":
		return s.initialize(m)
	case "shutdown":
		s.phase = shut
		return nil, nil
	case "textDocument/completion":
		return s.completion(m)
	case "textDocument/hover":
		return s.hover(m)
	case "textDocument/formatting":
		return s.formatting(m)
	}
	return nil, failure(codeUnknownMethod, "the server has no method %s", printable(m.Method))
}

// note handles a notification. Unknown ones are ignored, as the protocol wants for those that begin with $/; that others
// are not is nothing a client could do something about.
func (s *server) note(m message) {
	var err error
	switch {
	case m.Method == "exit":
		s.exited = true
	case s.phase != running:
	case m.Method == "textDocument/didOpen":
		err = s.didOpen(m)
	case m.Method == "textDocument/didChange":
		err = s.didChange(m)
	case m.Method == "textDocument/didClose":
		err = s.didClose(m)
	}
	if err != nil {
		s.notify("window/logMessage", messageParams{severityError, err.Error()})
	}
}

// send writes a message. After a write that failed the connection is over.
func (s *server) send(v any) {
	b, err := json.Marshal(v)
	if err == nil {
		err = writeFrame(s.out, b)
	}
	if err != nil && s.broken == nil {
		s.broken = fmt.Errorf("writing to the client: %w", err)
	}
}

// refuse answers a request with an error, or a message whose id is not known.
func (s *server) refuse(id jsontext.Value, err error) {
	refused, ok := errors.AsType[*rpcError](err)
	if !ok {
		refused = failure(codeInternal, "%v", err)
	}
	if len(id) == 0 {
		id = jsontext.Value("null")
	}
	s.send(refusal{rpcVersion, id, refused})
}

func (s *server) notify(method string, params any) {
	s.send(notification{rpcVersion, method, params})
}
