package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

func TestPolicyLSPEndsAsTheProtocolWants(t *testing.T) {
	frames := func(contents ...string) string {
		var b strings.Builder
		for _, c := range contents {
			fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(c), c)
		}
		return b.String()
	}
	const (
		initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{},"initializationOptions":{"attestationType":"toaster"}}}`
		shutdown   = `{"jsonrpc":"2.0","id":2,"method":"shutdown"}`
		exit       = `{"jsonrpc":"2.0","method":"exit"}`
	)
	for _, test := range []struct {
		name, stdin    string
		status         int
		stdout, stderr string
	}{
		{"shutdown and exit", frames(initialize, shutdown, exit), exitOK, `"serverInfo":{"name":"assay","version":"`, ""},
		{"types as the command line knows them", frames(initialize, shutdown, exit), exitOK, "expected sgx, openenclave, snp, tdx, azureguest or tpm", ""},
		{"exit alone", frames(initialize, exit), exitRefused, "", "assay: the client left without the request shutdown\n"},
		{"no input", "", exitRefused, "", "without the request shutdown"},
		{"no protocol", "hello\n", exitRefused, `"code":-32700`, "header of the message"},
	} {
		for _, args := range [][]string{{"policy", "lsp"}, {"policy", "lsp", "--stdio"}} {
			t.Run(test.name, func(t *testing.T) {
				world{stdin: test.stdin}.assay(t, args...).want(t, test.status, test.stdout, test.stderr)
			})
		}
	}
}

func TestPolicyLSPHasNoJSONOfItsOwn(t *testing.T) {
	assay(t, "policy", "lsp", "--json").want(t, exitUsage, `{"error":{"message":"--json: standard output belongs to the protocol"}}`, "belongs to the protocol")
}

func TestPolicyLSPEndsWithTheProgram(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stdin, editor := io.Pipe() // on which nothing is ever said
	defer editor.Close()
	status := make(chan int)
	var stderr strings.Builder
	go func() {
		status <- run(ctx, &env{args: []string{"policy", "lsp"}, stdin: stdin, stdout: io.Discard, stderr: &stderr,
			getenv: func(string) string { return "" }, now: time.Now})
	}()
	cancel()
	select {
	case got := <-status:
		if got != exitRefused {
			t.Errorf("exit status %d, want 1: %s", got, &stderr)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the server does not end")
	}
}
