package lsp_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/lsp"
)

const (
	initialize = `{"jsonrpc":"2.0","id":"a","method":"initialize","params":{"capabilities":{}}}`
	shutdown   = `{"jsonrpc":"2.0","id":"b","method":"shutdown"}`
	exit       = `{"jsonrpc":"2.0","method":"exit"}`
)

func TestEndFollowsTheShutdown(t *testing.T) {
	for _, test := range []struct {
		name     string
		contents []string
		want     error
	}{
		{"shutdown and exit", []string{initialize, shutdown, exit}, nil},
		{"shutdown and end of input", []string{initialize, shutdown}, nil},
		{"exit alone", []string{initialize, exit}, lsp.ErrNoShutdown},
		{"exit before initialize", []string{exit}, lsp.ErrNoShutdown},
		{"end of input", []string{initialize}, lsp.ErrNoShutdown},
		{"shutdown before initialize is refused", []string{shutdown, exit}, lsp.ErrNoShutdown},
		{"nothing at all", nil, lsp.ErrNoShutdown},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := connect(t).leave(test.contents...); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestInitializeTellsWhatTheServerOffers(t *testing.T) {
	for _, test := range []struct{ capabilities, encoding string }{
		{`{}`, "utf-16"},
		{`{"general":{"positionEncodings":["utf-16"]}}`, "utf-16"},
		{`{"general":{"positionEncodings":["utf-32"]}}`, "utf-16"},
		{`{"general":{"positionEncodings":["utf-16","utf-8"]}}`, "utf-8"},
		{`{"general":null,"textDocument":null}`, "utf-16"},
	} {
		c := connect(t)
		got := c.request("initialize", `{"capabilities":`+test.capabilities+`,"unknown":[{}],"initializationOptions":null}`)
		want := `{"capabilities":{"positionEncoding":"` + test.encoding + `","textDocumentSync":{"openClose":true,"change":1},` +
			`"completionProvider":{"triggerCharacters":["\"",".","[","(","=",","]},"hoverProvider":true,"documentFormattingProvider":true},` +
			`"serverInfo":{"name":"assay","version":"1.2.3"}}`
		if string(got.Result) != want {
			t.Errorf("%s\ngot  %s\nwant %s", test.capabilities, got.Result, want)
		}
	}
}

func TestRequestsAreAnsweredInTheirPhaseOnly(t *testing.T) {
	c := connect(t)
	c.notify("textDocument/didOpen", `{"textDocument":{"uri":"file:///a","version":1,"text":""}}`) // ignored before initialize
	c.refused("textDocument/hover", `{}`, -32002, "before initialize")
	c.refused("initialize", `{"capabilities":{"general":{"positionEncodings":"utf-8"}}}`, -32602, "positionEncodings")
	c.request("initialize", `{"capabilities":{}}`)
	c.refused("initialize", `{"capabilities":{}}`, -32600, "once")
	c.refused("workspace/symbol", `{}`, -32601, `"workspace/symbol"`)
	c.refused("$/unknown", `{}`, -32601, "no method")
	c.notify("$/unknown", `{}`)
	c.notify("workspace/didChangeConfiguration", `{}`)
	c.send(`{"jsonrpc":"2.0","id":7,"result":null}`) // of a request that was never made
	if got := c.request("shutdown", `null`); string(got.Result) != "null" {
		t.Errorf("shutdown: %s, want null", got.Result)
	}
	c.notify("textDocument/didOpen", `{"textDocument":{"uri":"file:///a","version":1,"text":""}}`)
	c.refused("textDocument/hover", `{}`, -32600, "after shutdown")
	c.refused("shutdown", `null`, -32600, "after shutdown")
}

func TestMalformedMessagesAreAnsweredAndTheNextIsRead(t *testing.T) {
	deep := strings.Repeat("[", 33) + strings.Repeat("]", 33)
	for _, test := range []struct {
		content string
		code    int
		id      string
	}{
		{``, -32700, "null"},
		{`{`, -32700, "null"},
		{`{"jsonrpc":"2.0","id":1,"method":"shutdown"} x`, -32700, "null"},
		{`{"jsonrpc":"2.0","id":1,"id":2,"method":"shutdown"}`, -32700, "null"},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}", -32700, "null"},
		{`{"jsonrpc":"2.0","id":1,"method":"x","params":` + deep + `}`, -32700, "null"},
		{`[{"jsonrpc":"2.0","id":1,"method":"shutdown"}]`, -32600, "null"},
		{`"shutdown"`, -32600, "null"},
		{`null`, -32600, "null"},
		{`{"jsonrpc":"2.0","id":1,"method":5}`, -32600, "null"},
		{`{"jsonrpc":"2.0","id":null,"method":"shutdown"}`, -32600, "null"},
		{`{"jsonrpc":"2.0","id":{},"method":"shutdown"}`, -32600, "null"},
		{`{"jsonrpc":"1.0","id":1,"method":"shutdown"}`, -32600, "1"},
		{`{"id":"x","method":"shutdown"}`, -32600, `"x"`},
		{`{"jsonrpc":"2.0","id":1}`, -32600, "1"},
		{`{"jsonrpc":"2.0"}`, -32600, "null"},
		{`{"jsonrpc":"2.0","id":1,"method":"textDocument/hover"}`, -32602, "1"},
		{`{"jsonrpc":"2.0","id":1,"method":"textDocument/hover","params":[]}`, -32602, "1"},
		{`{"jsonrpc":"2.0","id":1,"method":"textDocument/hover","params":{"textDocument":{"uri":"x"},"position":{"line":-1,"character":0}}}`, -32602, "1"},
		{`{"jsonrpc":"2.0","id":1,"method":"textDocument/hover","params":{"textDocument":{"uri":"x"},"position":{"line":0,"character":4294967296}}}`, -32602, "1"},
		{`{"jsonrpc":"2.0","id":1,"method":"textDocument/completion","params":{"textDocument":{"uri":"unknown"},"position":{"line":0,"character":0}}}`, -32602, "1"},
		{`{"jsonrpc":"2.0","id":1,"method":"textDocument/formatting","params":{"textDocument":{"uri":"unknown"}}}`, -32602, "1"},
	} {
		c := start(t, "{}", "null")
		c.send(test.content)
		got := c.next()
		if c.wantError(got, test.code, ""); string(got.ID) != test.id {
			t.Errorf("%s: id %s, want %s", test.content, got.ID, test.id)
		}
		c.request("shutdown", "null")
	}
}

// A notification has no response, so that what is wrong with one is logged.
func TestMalformedNotificationsAreLogged(t *testing.T) {
	c := start(t, "{}", "null")
	for method, params := range map[string]string{
		"textDocument/didOpen":   `{"textDocument":{"uri":"file:///a","text":7}}`,
		"textDocument/didChange": `{"textDocument":{"uri":"file:///a","version":2},"contentChanges":[{"range":{"start":{"line":0,"character":0},"end":{"line":0,"character":0}},"text":"x"}]}`,
		"textDocument/didClose":  `[]`,
	} {
		c.notify(method, params)
		if got := c.next(); got.Method != "window/logMessage" || !strings.Contains(string(got.Params), `"type":1`) {
			t.Errorf("%s: got %+v, want a log message", method, got)
		}
	}
}

func TestHeadersAreReadAsTheProtocolSays(t *testing.T) {
	for _, header := range []string{
		"Content-Length: %d\r\n\r\n",
		"content-length:%d\r\n\r\n",
		"Content-Length: %d\n\n",
		"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: %d\r\n\r\n",
		"Content-Length: %d\r\nContent-Type: application/vscode-jsonrpc; charset=utf8\r\nX-Unknown: 1\r\n\r\n",
		"X: " + strings.Repeat("x", lsp.MaxHeader-len("X: \r\nContent-Length: 70\r\n\r\n")) + "\r\nContent-Length: %d\r\n\r\n",
	} {
		c := connect(t)
		fmt.Fprintf(c.in, header+"%s", len(initialize), initialize)
		if got := c.next(); got.Error != nil || string(got.ID) != `"a"` {
			t.Errorf("%.200q: got %+v, want a result", header, got)
		}
	}
}

func TestHeadersThatMakeNoSenseEndTheConnection(t *testing.T) {
	for _, header := range []string{
		"\r\n", "\r\n\r\n", "x\r\n\r\n", "Content-Type: x\r\n\r\n", "Content-Length: -1\r\n\r\n", "Content-Length: 1e2\r\n\r\n", "Content-Length: \r\n\r\n",
		"Content-Length: 9223372036854775808\r\n\r\n", "Content-Length: 0x10\r\n\r\n", "Content-Length: 2\r\nContent-Length: 2\r\n\r\n",
		"Content-Length: 2\r\nContent-Type: text/plain; charset=latin1\r\n\r\n{}",
		strings.Repeat("x", lsp.MaxHeader+1), strings.Repeat("X: y\r\n", lsp.MaxHeader/6+1),
		"Content-Length: 5", "Content-Length: 5\r\n\r\n{}", "Content-Length: 99999999999\r\n\r\n{}", "Content-Length: 9223372036854775807\r\n\r\n{}",
	} {
		var out strings.Builder
		err := lsp.Serve(strings.NewReader(header), &out, lsp.Options{Type: typeOf})
		if err == nil || errors.Is(err, lsp.ErrNoShutdown) {
			t.Errorf("%.80q: ended with %v, want an error of the header", header, err)
		}
		if !strings.Contains(out.String(), `"id":null,"error":{"code":-32700,`) {
			t.Errorf("%.80q: answered %q, want a parse error", header, out.String())
		}
	}
}

// A message above the limit is read over, and the connection goes on.
func TestMessagesAboveTheLimitAreRefused(t *testing.T) {
	c := start(t, "{}", "null")
	for _, more := range []int{0, 1} {
		const frame = `{"jsonrpc":"2.0","id":1,"method":"x","params":""}`
		c.send(strings.Replace(frame, `""`, `"`+strings.Repeat("x", lsp.MaxMessage-len(frame)+more)+`"`, 1))
		code := -32601
		if more > 0 {
			code = -32600
		}
		c.wantError(c.next(), code, "")
	}
	c.request("shutdown", "null")
}

func TestServeEndsWhereTheClientDoesNotRead(t *testing.T) {
	in := strings.NewReader(fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(initialize), initialize))
	if err := lsp.Serve(in, brokenWriter{}, lsp.Options{Type: typeOf}); err == nil || !strings.Contains(err.Error(), "writing to the client") {
		t.Errorf("got %v, want the error of the write", err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestInitializationOptionsOfAnotherShapeAreShown(t *testing.T) {
	for _, options := range []string{`{"attestationType":"toaster"}`, `{"attestationType":7}`, `[]`} {
		c := connect(t)
		c.send(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{},"initializationOptions":` + options + `}}`)
		var params struct {
			Type    int
			Message string
		}
		got := c.next()
		if err := json.Unmarshal(got.Params, &params); err != nil || got.Method != "window/showMessage" || params.Type != 2 || !strings.Contains(params.Message, "attestationType") {
			t.Errorf("%s: got %+v, want a message", options, got)
		}
		if got := c.next(); got.Error != nil {
			t.Errorf("%s: initialize fails: %+v", options, got.Error)
		}
	}
}
