package main

import (
	"context"
	"io"

	"github.com/assay-attestation/assay/internal/lsp"
	"github.com/assay-attestation/assay/internal/server"
)

// runPolicyLSP serves an editor on standard input and output. It ends when the editor says so, closes the input, or
// ends the program by a signal.
func runPolicyLSP(ctx context.Context, c *call) error {
	c.Bool("stdio", false, "has no effect: the server always speaks on standard input and output")
	if _, err := c.parse(); err != nil {
		return err
	}
	if c.json {
		return usage("--json: standard output belongs to the protocol")
	}
	in := interruptible(ctx, c.stdin)
	defer in.Close()
	return lsp.Serve(in, c.stdout, lsp.Options{Version: server.Version, Type: policyType})
}

// interruptible reads from r and ends when ctx does, or when the result is closed. A read from r that still waits then
// cannot be interrupted: it ends with the program, which follows.
func interruptible(ctx context.Context, r io.Reader) *io.PipeReader {
	out, in := io.Pipe()
	context.AfterFunc(ctx, func() { in.Close() })
	go func() {
		_, err := io.Copy(in, r)
		in.CloseWithError(err)
	}()
	return out
}
