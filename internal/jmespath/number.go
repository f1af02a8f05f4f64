package jmespath

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// Integer is a whole number that no float64 stands for exactly, in decimal digits without leading zeros. It can be
// found, compared, sorted and given back, but not calculated with.
type Integer string

// MaxDigits is how many characters a number may have in JSON text.
const MaxDigits = 400

// largest is the number up to which float64 has all integers.
const largest = 1 << 53

// short reads the text of a JSON number that is whole, has few digits and neither fraction nor exponent.
func short(text string) (any, bool) {
	if len(text) > 15 {
		return nil, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return float64(n), err == nil
}

// number reads the text of a JSON number: a float64 where that is exact or the number is no integer, else an Integer.
// 1.0 and 1e2 are integers.
func number(text string) (any, error) {
	if v, ok := short(text); ok {
		return v, nil
	}
	if len(text) > MaxDigits {
		return nil, fmt.Errorf("a number has %d characters, at most %d are allowed", len(text), MaxDigits)
	}
	if digits, ok := integer(text); ok {
		if f, ok := float(digits); ok {
			return f, nil
		}
		return Integer(digits), nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("the number %s is out of range", shorten(text))
	}
	return f + 0, nil
}

// float returns the floating-point number that a whole number is, if there is one.
func float(digits string) (float64, bool) {
	const most = 310 // sign and digits of the largest
	if len(digits) > most {
		return 0, false
	}
	n, _ := new(big.Int).SetString(digits, 10)
	f, accuracy := new(big.Float).SetInt(n).Float64()
	return f, accuracy == big.Exact
}

// integer returns the digits of the whole number that the text of a JSON number stands for, if it does and they are
// no more than a JSON text may have.
func integer(text string) (digits string, ok bool) {
	mantissa, exponent, shift := text, "", 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa, exponent = text[:i], text[i+1:]
		var err error
		if shift, err = strconv.Atoi(exponent); err != nil {
			return "", false
		}
	}
	unsigned := strings.TrimPrefix(mantissa, "-")
	sign := mantissa[:len(mantissa)-len(unsigned)]
	whole, fraction, _ := strings.Cut(unsigned, ".")
	digits = strings.TrimLeft(whole+fraction, "0")
	significant := strings.TrimRight(digits, "0")
	shift += len(digits) - len(significant) - len(fraction)
	switch {
	case significant == "":
		return "0", true
	case shift < 0 || shift > MaxDigits || len(sign)+len(significant)+shift > MaxDigits:
		return "", false
	}
	return sign + significant + strings.Repeat("0", shift), true
}

// isNumber reports whether v is a number.
func isNumber(v any) bool {
	switch v.(type) {
	case float64, Integer:
		return true
	}
	return false
}

// compare orders two numbers, or two strings by code points. It fails for anything else.
func compare(a, b any) (order int, ok bool) {
	if s, isString := a.(string); isString {
		t, isString := b.(string)
		return strings.Compare(s, t), isString
	}
	if !isNumber(a) || !isNumber(b) {
		return 0, false
	}
	x, xExact := a.(float64)
	y, yExact := b.(float64)
	if xExact && yExact {
		switch {
		case x < y:
			return -1, true
		case x > y:
			return 1, true
		}
		return 0, true
	}
	return rational(a).Cmp(rational(b)), true
}

// rational returns a number's exact value.
func rational(v any) *big.Rat {
	r := new(big.Rat)
	switch n := v.(type) {
	case float64:
		r.SetFloat64(n)
	case Integer:
		r.SetString(string(n))
	}
	return r
}

// Int64 returns a value as a signed 64-bit integer, if it is one.
func Int64(v any) (int64, bool) {
	switch n := v.(type) {
	case float64:
		if n != float64(int64(n)) || n >= 1<<63 || n < -1<<63 {
			return 0, false
		}
		return int64(n), true
	case Integer:
		i, err := strconv.ParseInt(string(n), 10, 64)
		return i, err == nil
	}
	return 0, false
}
