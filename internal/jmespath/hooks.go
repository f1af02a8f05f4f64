package jmespath

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// hooked runs one of the functions that the rewritten tree calls.
func (c *caller) hooked(name string, args []any) (any, error) {
	switch name {
	case hookWeigh:
		return args[0], c.meter.Spend(size(args[0]) * int(args[1].(float64)))
	case hookStep:
		return args[0], c.meter.Spend(int(args[1].(float64)))
	case hookEach:
		return c.each(args)
	case hookFlatten:
		return c.flatten(args[0])
	case "==", "!=":
		same, err := c.equal(args[0], args[1])
		return same == (name == "=="), err
	case "<", "<=", ">", ">=":
		return ordering(name, args[0], args[1]), nil
	}
	return arithmetic(name, args)
}

func (c *caller) each(args []any) (any, error) {
	object, ok := args[0].(map[string]any)
	if !ok {
		return nil, nil
	}
	return members("values", object), c.meter.Spend(len(object) * (stepsPerComparison + int(args[1].(float64))))
}

// flatten joins the arrays among the elements of an array.
func (c *caller) flatten(v any) (any, error) {
	elements, ok := v.([]any)
	if !ok {
		return nil, nil
	}
	out := make([]any, 0, len(elements))
	for _, e := range elements {
		inner, ok := e.([]any)
		if !ok {
			inner = []any{e}
		}
		if err := c.meter.Spend(1 + len(inner)); err != nil {
			return nil, err
		}
		out = append(out, inner...)
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
	for _, name := range slices.Sorted(maps.Keys(x)) { // so that unequal objects cost the same each time
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
