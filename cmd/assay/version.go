package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/assay-attestation/assay/internal/server"
)

// runVersion prints the version, which is the one that the service tells its clients, and what it was built from.
func runVersion(_ context.Context, c *call) error {
	if _, err := c.parse(); err != nil {
		return err
	}
	v := struct {
		Version  string `json:"version"`
		Revision string `json:"revision,omitzero"`
		Go       string `json:"go"`
	}{server.Version, "", runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		v.Revision = revision(info.Settings)
	}
	if c.json {
		return c.printJSON(v)
	}
	about := strings.TrimPrefix(v.Revision+", "+v.Go, ", ")
	_, err := fmt.Fprintf(c.stdout, "assay %s (%s)\n", v.Version, about)
	return err
}

// revision is the commit that the Go tool recorded in the binary, if any, with a mark if files differed from it.
func revision(settings []debug.BuildSetting) string {
	var commit, mark string
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			mark = "+dirty"
		}
	}
	if commit == "" {
		return ""
	}
	return commit + mark
}
