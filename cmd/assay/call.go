package main

import (
	"errors"
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

// parse reads the arguments and returns the positional ones, one for each name. A name that begins with -- is that of a
// flag that must be given. Flags may stand before, between and behind the others; after -- everything is positional.
func (c *call) parse(names ...string) ([]string, error) {
	args, rest := c.given, []string(nil)
	if i := slices.Index(args, "--"); i >= 0 {
		args, rest = args[:i], args[i+1:]
	}
	var found []string
	for len(args) > 0 {
		if err := c.Parse(args); errors.Is(err, flag.ErrHelp) {
			return nil, helpRequest{}
		} else if err != nil {
			return nil, usage("%w", err)
		}
		if args = c.Args(); len(args) > 0 {
			found, args = append(found, args[0]), args[1:]
		}
	}
	found = append(found, rest...)
	return found, c.complete(found, names)
}

// complete checks that everything named was given, and nothing else.
func (c *call) complete(found, names []string) error {
	n := 0
	for _, name := range names {
		flagName, isFlag := strings.CutPrefix(name, "--")
		switch {
		case isFlag && !c.isSet(flagName):
			return usage("%s is missing", name)
		case !isFlag && n == len(found):
			return usage("%s is missing", name)
		case !isFlag:
			n++
		}
	}
	if len(found) > n {
		return usage("unexpected argument %q", found[n])
	}
	return nil
}

// isSet reports whether the flag was given, and not as an empty text.
func (c *call) isSet(name string) bool {
	given := false
	c.Visit(func(f *flag.Flag) { given = given || f.Name == name && (f.Value.String() != "" || isFunc(f)) })
	return given
}

// isFunc reports whether the flag's value is a function, which keeps no text.
func isFunc(f *flag.Flag) bool {
	_, isGetter := f.Value.(flag.Getter)
	return !isGetter
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
