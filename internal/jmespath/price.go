package jmespath

import (
	"fmt"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"
)

// What values take in memory, in bytes. The figures hold for slices and maps that grew to their size one by one.
const (
	bytesPerElement = 24 // of an array
	bytesPerArray   = 24
	bytesPerString  = 16 // beside its characters
	bytesPerNumber  = 8
	bytesPerMember  = 64 // of an object
	bytesPerObject  = 48
	bytesPerFirst   = 256 // of an object's first member more
	bytesPerGroup   = bytesPerMember + 2*bytesPerArray + 4*bytesPerElement
)

func arrayBytes(elements int) int { return bytesPerArray + elements*bytesPerElement }

func objectBytes(members int) int {
	return bytesPerObject + min(members, 1)*bytesPerFirst + members*bytesPerMember
}

// sortSteps is the price of sorting n keys of so many bytes in all.
func sortSteps(n, bytes int) int { return bits.Len(uint(n)) * (n + bytes/bytesPerStep) }

// keyBytes is how much of a key a comparison may look at. Integers are compared slowly.
func keyBytes(key any) int {
	switch key := key.(type) {
	case string:
		return len(key)
	case Integer:
		return bytesPerStep * len(key)
	}
	return 0
}

// names returns the names of an object's members in order, after their sorting is paid for.
func (m *Meter) names(object map[string]any) ([]string, error) {
	bytes := 0
	for name := range object {
		bytes += len(name)
	}
	if err := m.Spend(sortSteps(len(object), bytes)); err != nil {
		return nil, err
	}
	names := slices.AppendSeq(make([]string, 0, len(object)), maps.Keys(object))
	slices.Sort(names)
	return names, nil
}

// afford takes what a function of the library or of ours costs beyond a look at its arguments, before it is called.
func (c *caller) afford(name string, args []any) error {
	steps, values, err := price(name, args)
	if err != nil {
		return err
	}
	c.meter.Values -= values
	return c.meter.Spend(steps)
}

// stepsPerPiece is the price of a piece or member that a function makes.
const stepsPerPiece = 4

func price(name string, args []any) (steps, values int, err error) {
	elements := size(args...)
	switch name {
	case equalsIgnoreCase:
		a, _ := args[0].(string)
		b, _ := args[1].(string)
		return min(len(a), len(b)) / bytesPerFold, 0, nil
	case "from_items", "merge":
		return stepsPerPiece * elements, objectBytes(elements), nil
	case "group_by":
		return stepsPerPiece * elements, bytesPerObject + bytesPerFirst + elements*bytesPerGroup, nil
	case "items":
		return stepsPerPiece * elements, elements * (bytesPerElement + arrayBytes(2) + bytesPerString), nil
	case "split":
		pieces := pieces(args)
		return stepsPerPiece * pieces, pieces * (bytesPerElement + 2*bytesPerString), nil
	case "trim", "trim_left", "trim_right":
		return trimSteps(args), 0, nil
	case "zip":
		rows := math.MaxInt
		for _, a := range args {
			rows = min(rows, len(a.([]any)))
		}
		return rows * len(args), rows * (bytesPerElement + arrayBytes(2*len(args))), nil
	case "ends_with", "find_first", "find_last", "length", "lower", "reverse", "starts_with", "upper":
		s, isString := args[0].(string)
		if isString {
			return len(s) / bytesPerRune, bytesPerString, nil
		}
		return 0, elements * bytesPerElement, nil
	case "pad_left", "pad_right":
		return 0, 0, padding(name, args[1].(float64))
	case "keys", "map", "sort", "sort_by", "values":
		return 0, elements * (bytesPerElement + bytesPerString), nil
	}
	return 0, bytesPerString, nil
}

// bytesPerFold is how many bytes of two strings are compared for one step without regard to case.
const bytesPerFold = 4

// pieces is at least how many strings split makes.
func pieces(args []any) int {
	s, separator := args[0].(string), args[1].(string)
	if separator == "" {
		return 1 + utf8.RuneCountInString(s)
	}
	return 1 + strings.Count(s, separator)
}

// trimSteps is the price of looking up each character in a set of characters, which is searched one by one unless it is of
// ASCII.
func trimSteps(args []any) int {
	if len(args) < 2 {
		return 0
	}
	s, set := args[0].(string), args[1].(string)
	if strings.IndexFunc(set, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 {
		return 0
	}
	return len(s) * (1 + len(set)/bytesPerStep)
}

func padding(name string, width float64) error {
	const widest = 1 << 20
	if width > widest {
		return fmt.Errorf("%s: the width %v is larger than %d", name, width, widest)
	}
	return nil
}
