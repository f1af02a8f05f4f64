// Command assay is the whole of Assay in one binary: the attestation service, and the tools of those who run it, send it
// evidence, write its policies or rely on its tokens. This package reads the command line and shows results; what
// evidence, policies and tokens are worth is decided by the packages it calls. Specification: native.md section 1.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/assay-attestation/assay/attester"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once, also where a read cannot be interrupted
	os.Exit(run(ctx, &env{
		args: os.Args[1:], stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		terminal: isTerminal(os.Stdout), getenv: os.Getenv, now: time.Now,
	}))
}

// env is what the program has of the world around it, so that a test can be that world.
type env struct {
	args           []string // without the program's name
	stdin          io.Reader
	stdout, stderr io.Writer // the result; everything else
	terminal       bool      // stdout is one
	getenv         func(string) string
	now            func() time.Time
	guest          func(root string) *attester.Guest // the ways to evidence of a machine; nil: those of Linux
}

// run runs the command that e.args names and returns the exit status of native.md section 1.
func run(ctx context.Context, e *env) int {
	cmd, args, err := find(e.args)
	if err == nil && cmd == nil {
		printIndex(e.stdout, args)
		return exitOK
	}
	c := newCall(e, cmd, args)
	if err == nil {
		err = cmd.run(ctx, c)
	}
	var help helpRequest
	if errors.As(err, &help) {
		c.printHelp()
		return exitOK
	}
	c.complain(err)
	return exitStatus(err)
}

// isTerminal reports whether f is a character device, which is as good as asking for a terminal where only colours
// depend on it.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
