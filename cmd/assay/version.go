package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// runVersion prints what the Go tool recorded in the binary.
func runVersion(_ context.Context, c *call) error {
	if _, err := c.parse(); err != nil {
		return err
	}
	v := struct {
		Version string `json:"version"`
		Go      string `json:"go"`
	}{"unknown", runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	if c.json {
		return c.printJSON(v)
	}
	_, err := fmt.Fprintf(c.stdout, "assay %s (%s)\n", v.Version, v.Go)
	return err
}
