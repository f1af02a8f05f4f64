package jmespath

import (
	"errors"
	"fmt"
	"math"
)

// hooked runs one of the functions that the rewritten tree calls.
func (c *caller) hooked(name string, args []any) (any, error) {
	switch name {
	case hookWeigh:
		return args[0], c.weigh(args[0], args[1:])
	case hookSlice:
		return args[0], c.slice(args[0], args[1:])
	case hookStep:
		return args[0], c.each(1, args[1:])
	case hookValues:
		return c.values(args[0], args[1:])
	case hookFlatten:
		return c.flatten(args[0])
	case "==", "!=":
		same, err := c.equal(args[0], args[1])
		return same == (name == "=="), err
	case "<", "<=", ">", ">=":
		return ordering(name, args[0], args[1]), c.meter.Spend((keyBytes(args[0]) + keyBytes(args[1])) / bytesPerStep)
	}
	return arithmetic(name, args)
}

// each pays for n evaluations of what has a weight, a pair of numbers: steps, and bytes of values.
func (c *caller) each(n int, weight []any) error {
	c.meter.Values -= n * int(weight[1].(float64))
	return c.meter.Spend(n * int(weight[0].(float64)))
}

// weigh pays for evaluations over each part of a value, and for the list of what they give.
func (c *caller) weigh(v any, weight []any) error {
	if list, ok := v.([]any); ok {
		c.meter.Values -= arrayBytes(len(list))
	}
	return c.each(size(v), weight)
}

// slice pays for a slice of a list or a string, too.
func (c *caller) slice(v any, weight []any) error {
	switch v := v.(type) {
	case []any:
		c.meter.Values -= arrayBytes(len(v))
	case string:
		c.meter.Values -= bytesPerString + 2*len(v)
		c.meter.Steps -= 2 * len(v) / bytesPerRune
	}
	return c.weigh(v, weight)
}

// bytesPerRune is how many bytes of a string are turned into characters and back for one step.
const bytesPerRune = 8

// values lists the values of an object in the order of their names, and pays for evaluations over each.
func (c *caller) values(v any, weight []any) (any, error) {
	object, ok := v.(map[string]any)
	if !ok {
		return nil, nil
	}
	c.meter.Values -= 2 * arrayBytes(len(object)) // and the list of what the evaluations give
	if err := c.each(len(object), weight); err != nil {
		return nil, err
	}
	return c.members("values", object)
}

// flatten joins the arrays among the elements of an array.
func (c *caller) flatten(v any) (any, error) {
	elements, ok := v.([]any)
	if !ok {
		return nil, nil
	}
	total := 0
	for _, e := range elements {
		if inner, ok := e.([]any); ok {
			total += len(inner)
		} else {
			total++
		}
	}
	c.meter.Values -= arrayBytes(total)
	if err := c.meter.Spend(len(elements) + total); err != nil {
		return nil, err
	}
	out := make([]any, 0, total)
	for _, e := range elements {
		if inner, ok := e.([]any); ok {
			out = append(out, inner...)
		} else {
			out = append(out, e)
		}
	}
	return out, nil
}

// equal compares two values deeply.
func (c *caller) equal(a, b any) (bool, error) {
	if err := c.meter.Spend(1); err != nil {
		return false, err
	}
	switch x := a.(type) {
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false, nil
		}
		for i := range x {
			if same, err := c.equal(x[i], y[i]); !same || err != nil {
				return false, err
			}
		}
		return true, nil
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false, nil
		}
		return c.equalMembers(x, y)
	case string:
		y, ok := b.(string)
		return ok && x == y, c.meter.Spend(min(len(x), len(y)) / bytesPerStep)
	}
	return sameScalar(a, b), nil
}

func (c *caller) equalMembers(x, y map[string]any) (bool, error) {
	names, err := c.meter.names(x) // in order, so that unequal objects cost the same each time
	if err != nil {
		return false, err
	}
	for _, name := range names {
		other, ok := y[name]
		if !ok {
			return false, nil
		}
		if same, err := c.equal(x[name], other); !same || err != nil {
			return false, err
		}
	}
	return true, nil
}

// sameScalar compares null, booleans and numbers; expression references are equal to nothing.
func sameScalar(a, b any) bool {
	switch a.(type) {
	case nil, bool, float64, Integer:
	default:
		return false
	}
	switch b.(type) {
	case nil, bool, float64, Integer:
		return a == b
	}
	return false
}

// ordering compares two numbers; anything else gives null.
func ordering(operator string, a, b any) any {
	if !isNumber(a) || !isNumber(b) {
		return nil
	}
	order, _ := compare(a, b)
	switch operator {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

// calculable refuses to calculate with an integer that would have to be rounded.
func calculable(args []any) error {
	for _, a := range args {
		if n, ok := a.(Integer); ok {
			return fmt.Errorf("%s is beyond the numbers that JMESPath calculates with", shorten(string(n)))
		}
	}
	return nil
}

// arithmetic calculates with one or two numbers; anything else gives null.
func arithmetic(operator string, args []any) (any, error) {
	x, isNumber := args[0].(float64)
	y, bothNumbers := args[len(args)-1].(float64)
	if !isNumber || !bothNumbers {
		return nil, calculable(args)
	}
	result := x
	switch operator {
	case hookNegate:
		result = -x
	case "+":
		result = x + y
	case "-":
		result = x - y
	case "*":
		result = x * y
	case "/":
		result = x / y
	case "%":
		result = math.Mod(x, y)
	case "//":
		result = math.Floor(x / y)
	}
	if math.IsNaN(result) || math.IsInf(result, 0) {
		return nil, errors.New("the query divides by zero")
	}
	return exact(result)
}
