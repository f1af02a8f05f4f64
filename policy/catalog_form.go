package policy

import (
	"encoding/json"
	"fmt"
	"strings"
)

// form is the format of a string claim, as far as it can be checked. The zero form says nothing.
type form struct {
	alphabet alphabet
	length   int    // in characters; 0 for any
	note     string // in words, for what cannot be checked
}

type alphabet uint8

const (
	anyText alphabet = iota
	lowerHex
	base64URLText
	base64Text
	upperGUID
	jsonText
)

func hexDigits(n int) form   { return form{alphabet: lowerHex, length: n} }
func base64URL(n int) form   { return form{alphabet: base64URLText, length: n} }
func words(note string) form { return form{note: note} }

// String describes the form for a person: "64 lower-case hexadecimal digits".
func (f form) String() string {
	switch f.alphabet {
	case lowerHex:
		return fmt.Sprintf("%d lower-case hexadecimal digits", f.length)
	case base64URLText:
		return f.sized("base64url")
	case base64Text:
		return f.sized("base64 with padding")
	case upperGUID:
		return "GUID in upper case, without braces"
	case jsonText:
		return "JSON text"
	}
	return f.note
}

func (f form) sized(name string) string {
	if f.length == 0 {
		return name
	}
	return fmt.Sprintf("%s, %d characters", name, f.length)
}

// fits reports whether s can be a value of this form.
func (f form) fits(s string) bool {
	if f.length > 0 && len(s) != f.length {
		return false
	}
	switch f.alphabet {
	case lowerHex:
		return only(s, "0123456789abcdef")
	case base64URLText:
		return only(s, letters+digits+"-_")
	case base64Text:
		return len(s)%4 == 0 && only(strings.TrimRight(s, "="), letters+digits+"+/")
	case upperGUID:
		return isUpperGUID(s)
	case jsonText:
		return json.Valid([]byte(s))
	}
	return true
}

// mended returns the value that s was meant to be, where only the case of its letters is wrong, or "".
func (f form) mended(s string) string {
	change := strings.ToLower
	if f.alphabet == upperGUID {
		change = strings.ToUpper
	}
	if t := change(s); (f.alphabet == lowerHex || f.alphabet == upperGUID) && t != s && f.fits(t) {
		return t
	}
	return ""
}

const (
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	digits  = "0123456789"
)

// only reports whether s consists of the given ASCII characters.
func only(s, characters string) bool { return strings.Trim(s, characters) == "" }

// isUpperGUID reports whether s is written like A80B0000-0000-4000-8000-000000000001.
func isUpperGUID(s string) bool {
	groups := strings.Split(s, "-")
	if len(s) != 36 || len(groups) != 5 {
		return false
	}
	for i, length := range []int{8, 4, 4, 4, 12} {
		if len(groups[i]) != length || !only(groups[i], "0123456789ABCDEF") {
			return false
		}
	}
	return true
}
