package lsp_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/lsp"
)

// client is an editor in this process. It writes and reads the bytes of the protocol with code of its own.
type client struct {
	t    *testing.T
	in   io.WriteCloser
	out  chan incoming
	end  chan error
	last int // id of the last request
}

// incoming is a message of the server.
type incoming struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
	Result  json.RawMessage `json:"result"`
	Error   *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// typeOf knows two attestation types, as the command line knows more.
func typeOf(name string) (string, error) {
	switch strings.ToLower(name) {
	case "sgx":
		return "SgxEnclave", nil
	case "tpm":
		return "Tpm", nil
	}
	return "", errors.New("expected sgx or tpm")
}

// connect starts a server, to which nothing was said yet.
func connect(t *testing.T) *client {
	t.Helper()
	serverIn, in := io.Pipe()
	out, serverOut := io.Pipe()
	c := &client{t: t, in: in, out: make(chan incoming, 100), end: make(chan error, 1)}
	go func() {
		c.end <- lsp.Serve(serverIn, serverOut, lsp.Options{Version: "1.2.3", Type: typeOf})
		serverIn.Close()
		serverOut.Close()
	}()
	received := make(chan error, 1)
	go func() {
		received <- receive(out, func(m incoming) { c.out <- m })
		close(c.out)
	}()
	t.Cleanup(func() {
		in.Close()
		for range c.out {
		}
		if err := <-received; err != nil {
			t.Errorf("the server wrote what is no message: %v", err)
		}
	})
	return c
}

// receive reads messages to the end of a stream.
func receive(r io.Reader, take func(incoming)) error {
	b := bufio.NewReader(r)
	for {
		header, err := b.ReadString('\n')
		if errors.Is(err, io.EOF) && header == "" {
			return nil
		}
		size, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(header, "Content-Length: "), "\r\n"))
		if err != nil {
			return fmt.Errorf("header %q: %w", header, err)
		}
		body := make([]byte, size+2)
		if _, err := io.ReadFull(b, body); err != nil || string(body[:2]) != "\r\n" {
			return fmt.Errorf("content %q: %w", body, err)
		}
		var m incoming
		if err := json.Unmarshal(body[2:], &m); err != nil || m.JSONRPC != "2.0" {
			return fmt.Errorf("content %q: %w", body, err)
		}
		take(m)
	}
}

// start connects and initializes.
func start(t *testing.T, capabilities, options string) *client {
	t.Helper()
	c := connect(t)
	if got := c.request("initialize", `{"processId":null,"rootUri":null,"capabilities":`+capabilities+`,"initializationOptions":`+options+`}`); got.Error != nil {
		t.Fatalf("initialize: %+v", got.Error)
	}
	c.notify("initialized", "{}")
	return c
}

// send writes the content of a message with its header.
func (c *client) send(content string) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.in, "Content-Length: %d\r\n\r\n%s", len(content), content); err != nil {
		c.t.Fatalf("the server does not read: %v", err)
	}
}

func (c *client) notify(method, params string) {
	c.t.Helper()
	c.send(`{"jsonrpc":"2.0","method":"` + method + `","params":` + params + `}`)
}

// next returns the next message of the server.
func (c *client) next() incoming {
	c.t.Helper()
	m, ok := <-c.out
	if !ok {
		c.t.Fatal("the server has ended")
	}
	return m
}

// request sends a request and returns its response, which must be the next message.
func (c *client) request(method, params string) incoming {
	c.t.Helper()
	c.last++
	c.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, c.last, method, params))
	m := c.next()
	if string(m.ID) != strconv.Itoa(c.last) || m.Method != "" || (m.Error == nil) == (m.Result == nil) {
		c.t.Fatalf("%s: got %+v, want the response to %d", method, m, c.last)
	}
	return m
}

// refused sends a request and checks that it is answered with an error.
func (c *client) refused(method, params string, code int, text string) {
	c.t.Helper()
	got := c.request(method, params)
	c.wantError(got, code, text)
}

func (c *client) wantError(got incoming, code int, text string) {
	c.t.Helper()
	if got.Error == nil || got.Error.Code != code || !strings.Contains(got.Error.Message, text) {
		c.t.Errorf("got %+v %s, want error %d with %q", got.Error, got.Result, code, text)
	}
}

// diagnostics is what the server says about a document.
type diagnostics struct {
	URI         string
	Version     *int
	Diagnostics []struct {
		Range             lspRange
		Severity          int
		Code, Source, Msg string
		Message           string
	}
}

type lspRange struct{ Start, End lspPosition }

type lspPosition struct{ Line, Character int }

// published returns the next message, which must be diagnostics.
func (c *client) published() diagnostics {
	c.t.Helper()
	m := c.next()
	var d diagnostics
	if err := json.Unmarshal(m.Params, &d); err != nil || m.Method != "textDocument/publishDiagnostics" {
		c.t.Fatalf("got %+v, want diagnostics: %v", m, err)
	}
	return d
}

// describe writes diagnostics on a line each: place, severity, code and message.
func (d diagnostics) describe() string {
	var b strings.Builder
	for _, g := range d.Diagnostics {
		r := g.Range
		fmt.Fprintf(&b, "%d:%d-%d:%d %d %s %s\n", r.Start.Line, r.Start.Character, r.End.Line, r.End.Character, g.Severity, g.Code, g.Message)
	}
	return b.String()
}

// open opens a document and returns what the server says about it.
func (c *client) open(uri, text string) diagnostics {
	c.t.Helper()
	c.notify("textDocument/didOpen", `{"textDocument":{"uri":`+quote(uri)+`,"languageId":"policy","version":1,"text":`+quote(text)+`}}`)
	return c.published()
}

// change gives a document another text and returns what the server says about it.
func (c *client) change(uri string, version int, text string) diagnostics {
	c.t.Helper()
	c.notify("textDocument/didChange", fmt.Sprintf(`{"textDocument":{"uri":%s,"version":%d},"contentChanges":[{"text":%s}]}`, quote(uri), version, quote(text)))
	return c.published()
}

// leave ends the connection with these words and returns what Serve says.
func (c *client) leave(contents ...string) error {
	c.t.Helper()
	for _, content := range contents {
		c.send(content)
	}
	c.in.Close()
	for range c.out {
	}
	return <-c.end
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
