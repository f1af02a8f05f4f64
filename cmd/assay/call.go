package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// call is one run of a command: the world, the arguments, and the flags. A command declares its flags on it first, then
// calls parse, then reads them.
type call struct {
	*env
	*flag.FlagSet
	cmd   *command // nil when no command was found
	given []string
	json  bool // print the result as JSON
}

func newCall(e *env, cmd *command, args []string) *call {
	c := &call{env: e, FlagSet: flag.NewFlagSet("assay", flag.ContinueOnError), cmd: cmd, given: args}
	c.SetOutput(io.Discard) // errors are told by complain, help by printHelp
	c.BoolVar(&c.json, "json", false, "print the result as one JSON object")
	return c
}

// helpRequest is the error of a call that asks for help.
type helpRequest struct{}

func (helpRequest) Error() string { return "help" }

// parse reads the arguments and returns the positional ones, one for each name. Flags may stand before, between and
// behind them; after -- everything is positional.
func (c *call) parse(names ...string) ([]string, error) {
	args, rest := c.given, []string(nil)
	if i := slices.Index(args, "--"); i >= 0 {
		args, rest = args[:i], args[i+1:]
	}
	var found []string
	for len(args) > 0 {
		if err := c.Parse(args); err != nil {
			if err == flag.ErrHelp {
				return nil, helpRequest{}
			}
			return nil, usage("%v", err)
		}
		if args = c.Args(); len(args) > 0 {
			found, args = append(found, args[0]), args[1:]
		}
	}
	found = append(found, rest...)
	switch {
	case len(found) < len(names):
		return nil, usage("%s is missing", names[len(found)])
	case len(found) > len(names):
		return nil, usage("unexpected argument %q", found[len(names)])
	}
	return found, nil
}

// isSet reports whether the flag was given, with whatever value.
func (c *call) isSet(name string) bool {
	given := false
	c.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}

// printHelp prints the usage of the command from its row in the table and the flags it declared.
func (c *call) printHelp() {
	fmt.Fprintf(c.stdout, "assay %s: %s\n\nUsage: assay %s [flags]\n\nFlags:\n", c.cmd.name, c.cmd.summary,
		strings.TrimSpace(c.cmd.name+" "+c.cmd.args))
	c.VisitAll(func(f *flag.Flag) {
		value, text := flag.UnquoteUsage(f)
		if f.DefValue != "" && f.DefValue != "false" {
			text += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(c.stdout, "  %-30s %s\n", strings.TrimSpace("--"+f.Name+" "+value), text)
	})
	fmt.Fprintln(c.stdout, "\nExamples:")
	for _, example := range c.cmd.examples {
		fmt.Fprintln(c.stdout, "  "+example)
	}
}
