package jmespath

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jmespath-community/go-jmespath/pkg/functions"
)

// equalsIgnoreCase is the one function that is not of JMESPath. Published policies use it.
const equalsIgnoreCase = "equals_ignore_case"

// own returns our version of a function, where the library's depends on the order of a map, makes results that
// are not bounded by its arguments, changes its arguments, or panics; nil for all others.
func (c *caller) own(name string) func(args []any) (any, error) {
	switch name {
	case equalsIgnoreCase:
		return c.equalFold
	case "contains":
		return c.contains
	case "items", "keys", "values":
		return func(args []any) (any, error) { return c.members(name, args[0].(map[string]any)) }
	case "join", "pad_left", "pad_right", "replace":
		return func(args []any) (any, error) { return c.bounded(name, args) }
	case "max", "min", "sort":
		return func(args []any) (any, error) { return c.ordered(name, args[0].([]any), args[0].([]any)) }
	case "max_by", "min_by", "sort_by":
		return func(args []any) (any, error) { return c.orderedBy(name, args) }
	case "avg", "sum":
		return func(args []any) (any, error) { return c.total(name, args) }
	case "to_number":
		return func(args []any) (any, error) { return toNumber(args[0]), nil }
	case "to_string":
		return func(args []any) (any, error) { return c.toString(args[0]) }
	case "type":
		return func(args []any) (any, error) { return typeName(args[0]), nil }
	}
	return nil
}

// equalFold is true for two strings that are equal under simple case folding, and false for everything else.
func (c *caller) equalFold(args []any) (any, error) {
	a, isString := args[0].(string)
	b, bothStrings := args[1].(string)
	return isString && bothStrings && strings.EqualFold(a, b), nil
}

func (c *caller) contains(args []any) (any, error) {
	if s, ok := args[0].(string); ok {
		part, ok := args[1].(string)
		return ok && strings.Contains(s, part), nil
	}
	for _, e := range args[0].([]any) {
		if same, err := c.equal(e, args[1]); same || err != nil {
			return same, err
		}
	}
	return false, nil
}

// members lists names, values or both of an object, by name.
func (c *caller) members(what string, object map[string]any) ([]any, error) {
	names, err := c.meter.names(object)
	if err != nil {
		return nil, err
	}
	list := make([]any, len(names))
	for i, name := range names {
		switch what {
		case "keys":
			list[i] = name
		case "values":
			list[i] = object[name]
		default:
			list[i] = []any{name, object[name]}
		}
	}
	return list, nil
}

// bounded calls a function whose result can be larger than its arguments, after the result is paid for.
func (c *caller) bounded(name string, args []any) (any, error) {
	if err := c.meter.Write(resultBytes(name, args)); err != nil {
		return nil, err
	}
	return c.library(name, args)
}

// resultBytes is at least how long the result will be.
func resultBytes(name string, args []any) int {
	switch name {
	case "join":
		separator, bytes := args[0].(string), 0
		for _, s := range args[1].([]any) {
			bytes += len(s.(string)) + len(separator)
		}
		return bytes
	case "replace":
		subject, old, replacement := args[0].(string), args[1].(string), args[2].(string)
		return len(subject) + strings.Count(subject, old)*len(replacement)
	}
	return max(len(args[0].(string)), int(args[1].(float64)))
}

// ordered picks from elements, or sorts them, by keys of the same number.
func (c *caller) ordered(name string, elements, keys []any) (any, error) {
	bytes, sorting := 0, strings.HasPrefix(name, "sort")
	for _, k := range keys {
		bytes += keyBytes(k)
	}
	steps := bytes / bytesPerStep
	if sorting {
		steps = sortSteps(len(keys), bytes)
	}
	if err := c.meter.Spend(steps); err != nil {
		return nil, err
	}
	for _, k := range keys {
		if _, ok := compare(k, keys[0]); !ok {
			return nil, fmt.Errorf("%s: the keys must all be numbers or all strings, found %s and %s", name, typeName(keys[0]), typeName(k))
		}
	}
	by := make([]int, len(elements))
	for i := range by {
		by[i] = i
	}
	less := func(i, j int) int { order, _ := compare(keys[i], keys[j]); return order }
	switch {
	case sorting:
		slices.SortStableFunc(by, less)
		sorted := make([]any, len(by))
		for i, at := range by {
			sorted[i] = elements[at]
		}
		return sorted, nil
	case len(by) == 0:
		return nil, nil
	case strings.HasPrefix(name, "max"):
		return elements[slices.MaxFunc(by, less)], nil
	}
	return elements[slices.MinFunc(by, less)], nil
}

func (c *caller) orderedBy(name string, args []any) (any, error) {
	elements, key := args[0].([]any), args[1].(functions.ExpRef)
	keys := make([]any, len(elements))
	for i, e := range elements {
		var err error
		if keys[i], err = key(e); err != nil {
			return nil, err
		}
	}
	return c.ordered(name, elements, keys)
}

// total adds numbers up.
func (c *caller) total(name string, args []any) (any, error) {
	for i, n := range args[0].([]any) {
		if _, ok := n.(float64); !ok {
			return nil, fmt.Errorf("%s: element %d is %v, beyond the numbers that JMESPath calculates with", name, i, n)
		}
	}
	result, err := c.library(name, args)
	if err != nil {
		return nil, err
	}
	return exact(result)
}

// exact refuses the result of a calculation where it may have been rounded to another integer.
func exact(v any) (any, error) {
	if f, ok := v.(float64); ok && (f > largest || f < -largest) {
		return nil, errors.New("the result lies beyond 2^53, where JMESPath has no exact integers")
	}
	return v, nil
}

// toNumber reads a string as JSON reads a number; what is no number gives null.
func toNumber(v any) any {
	if s, ok := v.(string); ok {
		v, err := Parse(s, &Meter{Steps: MaxDigits, Values: 4 * MaxDigits})
		if err == nil && isNumber(v) && strings.Trim(s, " \t\r\n") == s {
			return v
		}
		return nil
	}
	if isNumber(v) {
		return v
	}
	return nil
}

func (c *caller) toString(v any) (any, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	return Text(v, c.meter)
}
