package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// call is one run of a command: the world, the arguments, and the flags. A command declares its flags on it first, then
// calls parse, then reads them.
type call struct {
	*env
	*flag.FlagSet
	cmd    *command // nil when no command was found
	given  []string
	json   bool          // print the result as JSON
	wrong  error         // of the flag whose value was refused
	inputs []os.FileInfo // the files read
}

func newCall(e *env, cmd *command, args []string) *call {
	c := &call{env: e, FlagSet: flag.NewFlagSet("assay", flag.ContinueOnError), cmd: cmd, given: args}
	c.SetOutput(io.Discard) // errors are told by complain, help by printHelp
	c.BoolVar(&c.json, "json", false, "print the result as one JSON object")
	return c
}

// asksForJSON reports whether --json is among the arguments. It is for calls so wrong that they cannot be parsed.
func asksForJSON(args []string) bool {
	if i := slices.Index(args, "--"); i >= 0 {
		args = args[:i]
	}
	return slices.ContainsFunc(args, func(arg string) bool {
		name, value, given := strings.Cut(arg, "=")
		yes, _ := strconv.ParseBool(value)
		return (name == "--json" || name == "-json") && (yes || !given)
	})
}

// Func declares a flag whose value fn reads. It keeps the error of fn, of which package flag keeps only the text.
func (c *call) Func(name, help string, fn func(string) error) {
	c.FlagSet.Func(name, help, func(value string) error {
		err := fn(value)
		var wrong usageError
		switch {
		case errors.As(err, &wrong) && wrong.inFile:
			c.wrong = fmt.Errorf("--%s: %w", name, err)
		case err != nil:
			c.wrong = usage("--%s %q: %w", name, value, err)
		}
		return err
	})
}

// helpRequest is the error of a call that asks for help.
type helpRequest struct{}

func (helpRequest) Error() string { return "help" }

// parse reads the arguments and returns the positional ones, one for each name. A name that begins with -- is that of a
// flag that must be given, one that ends in … takes all that are left, and one in brackets, the last, may be left out.
// Flags may stand before, between and behind the others; after -- everything is positional.
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
			return nil, cmp.Or(c.wrong, usage("%s", dashed(err)))
		}
		if args = c.Args(); len(args) > 0 {
			found, args = append(found, args[0]), args[1:]
		}
	}
	found = append(found, rest...)
	return found, c.complete(found, names)
}

// dashed gives an error of package flag with the flag written as in the help.
func dashed(err error) string {
	text := err.Error()
	for _, before := range []string{"flag provided but not defined: ", "flag needs an argument: "} {
		if flag, ok := strings.CutPrefix(text, before); ok {
			return before + "-" + flag
		}
	}
	return strings.Replace(text, `" for -`, `" for --`, 1) // of a switch
}

// complete checks that everything named was given, and nothing else.
func (c *call) complete(found, names []string) error {
	n := 0
	for _, name := range names {
		flagName, isFlag := strings.CutPrefix(name, "--")
		switch {
		case isFlag && !c.isSet(flagName):
			return usage("%s is missing", name)
		case n == len(found) && name[0] == '[':
		case !isFlag && n == len(found):
			return usage("%s is missing", strings.TrimSuffix(name, "…"))
		case !isFlag && strings.HasSuffix(name, "…"):
			n = len(found)
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

// exclusive refuses a call that gives more than one of the flags named.
func (c *call) exclusive(names ...string) error {
	names = slices.DeleteFunc(names, func(name string) bool { return !c.isSet(name) })
	if len(names) > 1 {
		return usage("--%s and --%s exclude each other", names[0], names[1])
	}
	return nil
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
