package jmespath

import (
	"fmt"
	"strings"

	"github.com/jmespath-community/go-jmespath/pkg/functions"
)

// caller calls the functions of one search.
type caller struct {
	meter *Meter
	table map[string]entry // those that the query calls
}

// CallFunction implements the interpreter's interface.
func (c *caller) CallFunction(name string, args []any) (any, error) {
	if hooked, ok := strings.CutPrefix(name, hookMark); ok {
		return c.hooked(hooked, args)
	}
	if err := c.meter.Spend(size(args...)); err != nil {
		return nil, err
	}
	if err := c.table[name].check(args); err != nil {
		return nil, err
	}
	if err := c.afford(name, args); err != nil {
		return nil, err
	}
	if own := c.own(name); own != nil {
		return own(args)
	}
	return c.library(name, args)
}

// library calls a function of the library, and pays for a string that it makes.
func (c *caller) library(name string, args []any) (any, error) {
	result, err := c.table[name].Handler(args)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if s, ok := result.(string); ok {
		return s, c.meter.Write(len(s))
	}
	return result, c.meter.Spend(size(result))
}

// size is how much of values a function that does not look into their elements may look at.
func size(values ...any) int {
	n := 1
	for _, v := range values {
		switch v := v.(type) {
		case string:
			n += len(v) / bytesPerStep
		case []any:
			n += len(v)
		case map[string]any:
			n += len(v)
		}
	}
	return n
}

// entry is a function as the library describes it.
type entry struct{ functions.FunctionEntry }

// table describes all functions: those of the library and ours.
func table() map[string]entry {
	all := map[string]entry{}
	for _, f := range functions.GetDefaultFunctions() {
		all[f.Name] = entry{f}
	}
	anything := functions.ArgSpec{Types: []functions.JpType{functions.JpAny}}
	all[equalsIgnoreCase] = entry{functions.FunctionEntry{Name: equalsIgnoreCase, Arguments: []functions.ArgSpec{anything, anything}}}
	return all
}

// arity returns how many arguments the function takes; most is -1 where there is no end.
func (f entry) arity() (least, most int) {
	for _, a := range f.Arguments {
		if a.Variadic {
			return len(f.Arguments), -1
		}
		if !a.Optional {
			least++
		}
	}
	return least, len(f.Arguments)
}

func (f entry) counts() string {
	switch least, most := f.arity(); {
	case most < 0:
		return fmt.Sprintf("%d or more", least)
	case least < most:
		return fmt.Sprintf("%d to %d", least, most)
	default:
		return fmt.Sprint(least)
	}
}

// check checks the types of arguments, whose number was checked when the query was compiled.
func (f entry) check(args []any) error {
	for i, arg := range args {
		spec := f.Arguments[min(i, len(f.Arguments)-1)]
		if err := accepts(spec.Types, arg); err != nil {
			return fmt.Errorf("%s: argument %d %w", f.Name, i+1, err)
		}
	}
	return nil
}

func accepts(types []functions.JpType, arg any) error {
	words := make([]string, len(types))
	for i, t := range types {
		if is(t, arg) {
			return nil
		}
		words[i] = string(t)
	}
	if n, ok := arg.(Integer); ok {
		return fmt.Errorf("is %s, beyond the numbers that JMESPath calculates with", shorten(string(n)))
	}
	if arg == nil {
		return fmt.Errorf("must be %s, found null: the document has nothing there", strings.Join(words, " or "))
	}
	return fmt.Errorf("must be %s, found %s", strings.Join(words, " or "), typeName(arg))
}

// is reports whether a value has a type of the library.
func is(t functions.JpType, v any) bool {
	switch t {
	case functions.JpAny:
		return true
	case functions.JpArrayNumber:
		return all(v, func(e any) bool { return isNumber(e) })
	case functions.JpArrayString:
		return all(v, func(e any) bool { return typeName(e) == "string" })
	case functions.JpArrayArray:
		return all(v, func(e any) bool { return typeName(e) == "array" })
	case functions.JpNumber:
		_, ok := v.(float64)
		return ok
	}
	return typeName(v) == string(t)
}

// all reports whether v is an array whose elements all hold.
func all(v any, holds func(any) bool) bool {
	elements, ok := v.([]any)
	for _, e := range elements {
		if !holds(e) {
			return false
		}
	}
	return ok
}

// typeName names the type of a value as the function type does.
func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case float64, Integer:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "expref"
}
