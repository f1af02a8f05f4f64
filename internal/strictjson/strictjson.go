// Package strictjson reads JSON written by others. Every document is UTF-8, nested at most MaxDepth deep, has at most
// MaxTokens tokens, no duplicate member and nothing after its end; numbers must fit the Go type they are read into. It
// is the one door for JSON from outside: request bodies, collateral, tokens, key sets, runtime data (api.md section 4).
package strictjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is the limit json_depth: how deep arrays and objects may nest in any JSON read.
const MaxDepth = 32

// MaxTokens bounds the work that a document can make. Counted are the marks between tokens: { [ , and : outside of
// strings. The largest real document, a TCB info, has 3,000.
const MaxTokens = 1 << 17

// ErrLimit is in the error of a document that is nested too deep or has too many tokens.
var ErrLimit = errors.New("the limit of JSON documents")

// TypeError says that a member has another type than it should.
type TypeError struct {
	Member   string // its path, with dots: "runtimeData.data"; empty for the document itself
	Expected string // in words
	Found    string
}

// Error names the member, what was expected and what was found.
func (e *TypeError) Error() string {
	what := "JSON: the document"
	if e.Member != "" {
		what = fmt.Sprintf("JSON: member %q", e.Member)
	}
	return what + " has the wrong type or range: expected " + e.Expected + ", found " + e.Found
}

// Exact reads b into v, matching member names letter by letter and ignoring unknown ones: the rule for everything
// that is hashed or signed as sent.
func Exact(b []byte, v any) error {
	if err := scan(b); err != nil {
		return err
	}
	return typed(json.Unmarshal(b, v))
}

// Folded reads b into v like Exact, but without regard to the case of ASCII letters in member names: the rule for API
// bodies. Two members that differ only in case are duplicates there. The names in v's struct tags are in lower case.
func Folded(b []byte, v any) error {
	lower, err := foldNames(b)
	if err != nil {
		return err
	}
	return typed(json.Unmarshal(lower, v))
}

// Members gives the members of the object b, whose names are matched without regard to the case of ASCII letters and given in
// lower case. What they hold is as it was: for members in which case counts. null has no members.
func Members(b []byte) (map[string]jsontext.Value, error) {
	var exact map[string]jsontext.Value
	if err := Exact(b, &exact); err != nil {
		return nil, err
	}
	members := make(map[string]jsontext.Value, len(exact))
	for name, value := range exact {
		lower := LowerASCII(name)
		if members[lower] != nil {
			return nil, fmt.Errorf("JSON: duplicate member %q, in two cases", lower)
		}
		members[lower] = value
	}
	return members, nil
}

// Elements gives the elements of the array b to read, one by one and unread, so that the limits hold for each of them
// and not for the whole. It ends with the first error of read.
func Elements(b []byte, read func(element []byte) error) error {
	d := decoder(b)
	if t, err := d.ReadToken(); err != nil || t.Kind() != '[' {
		return notArray(t, err)
	}
	for d.PeekKind() != ']' {
		element, err := d.ReadValue()
		if err != nil {
			return syntax(err)
		}
		if err := read(element); err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return syntax(err)
	}
	return end(d)
}

// notArray says what stands at the beginning of a document in place of an array.
func notArray(t jsontext.Token, err error) error {
	switch {
	case err == io.EOF:
		return errors.New("JSON: the document is empty")
	case err != nil:
		return syntax(err)
	}
	return &TypeError{Expected: "an array", Found: kindName(t.Kind())}
}

// Check reports whether b is one JSON document within the package's limits, without reading it into anything.
func Check(b []byte) error {
	if err := scan(b); err != nil {
		return err
	}
	d := decoder(b)
	if _, err := d.ReadValue(); err != nil {
		return syntax(err)
	}
	return end(d)
}

// Compact returns the document b with its insignificant white space removed and the members of every object sorted
// by name. Numbers and strings keep their text.
func Compact(b []byte) (jsontext.Value, error) {
	if err := scan(b); err != nil {
		return nil, err
	}
	v := jsontext.Value(b).Clone()
	err := v.Format(jsontext.ReorderRawObjects(true), jsontext.CanonicalizeRawInts(false),
		jsontext.CanonicalizeRawFloats(false), jsontext.PreserveRawStrings(true))
	return v, syntax(err)
}

// scan holds b to the limits in one pass over its bytes. It knows strings and nothing else of JSON; whoever reads the
// document finds what is wrong with it.
func scan(b []byte) error {
	depth, tokens := 0, 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i = closing(b, i+1)
		case '{', '[':
			depth++
			tokens++
		case '}', ']':
			depth--
		case ',', ':':
			tokens++
		}
		if depth > MaxDepth {
			return fmt.Errorf("JSON: nested deeper than %d at offset %d: %w", MaxDepth, i, ErrLimit)
		}
		if tokens > MaxTokens {
			return fmt.Errorf("JSON: more than %d tokens: %w", MaxTokens, ErrLimit)
		}
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return errors.New("JSON: the document is empty")
	}
	return nil
}

// closing finds the quote that ends the string whose text begins at start, or gives the end of b. Nearly all of a large document is in
// few strings, so that it goes from quote to quote and from backslash to backslash.
func closing(b []byte, start int) int {
	for {
		n := bytes.IndexByte(b[start:], '"')
		if n < 0 {
			return len(b)
		}
		for quote := start + n; start <= quote; {
			escape := bytes.IndexByte(b[start:quote], '\\')
			if escape < 0 {
				return quote
			}
			start += escape + 2
		}
	}
}

// decoder reads b where it is: a reader of another kind would be copied.
func decoder(b []byte) *jsontext.Decoder { return jsontext.NewDecoder(bytes.NewBuffer(b)) }

// end checks that d has come to the end of its input.
func end(d *jsontext.Decoder) error {
	if d.PeekKind() != 0 {
		return fmt.Errorf("JSON: offset %d: invalid character after the document", d.InputOffset())
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return syntax(err)
	}
	return nil
}

// foldNames writes the document again with the ASCII letters of all member names in lower case. The encoder refuses
// names that have become duplicates.
func foldNames(b []byte) ([]byte, error) {
	if err := scan(b); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.Grow(len(b) + len(b)/3 + 1) // the encoder moves what leaves less than a quarter of it free
	d, e := decoder(b), jsontext.NewEncoder(&out)
	for {
		t, err := d.ReadToken()
		if err != nil {
			return nil, syntax(err)
		}
		kind, n := d.StackIndex(d.StackDepth())
		if kind == '{' && n%2 == 1 {
			t = jsontext.String(LowerASCII(t.String()))
		}
		if err := e.WriteToken(t); err != nil {
			return nil, syntax(err)
		}
		if d.StackDepth() == 0 {
			return out.Bytes(), end(d)
		}
	}
}

// LowerASCII puts the ASCII letters of s in lower case and leaves all else: a Kelvin sign is no k.
func LowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// syntax gives a syntax error without the words of the library.
func syntax(err error) error {
	s, ok := errors.AsType[*jsontext.SyntacticError](err)
	if !ok {
		return err
	}
	text := strings.TrimPrefix(s.Err.Error(), "jsontext: ")
	if member := path(s.JSONPointer); member != "" {
		text += fmt.Sprintf(" (member %q)", member)
	}
	return fmt.Errorf("JSON: offset %d: %s", s.ByteOffset, text)
}

// typed gives a type error in the words of JSON.
func typed(err error) error {
	s, ok := errors.AsType[*json.SemanticError](err)
	if !ok {
		return syntax(err)
	}
	e := &TypeError{Member: path(s.JSONPointer), Expected: "something else", Found: kindName(s.JSONKind)}
	if s.GoType != nil {
		e.Expected = typeName(s.GoType)
	}
	return e
}

// path writes a JSON pointer with dots; what is too long to be a member of ours is cut.
func path(p jsontext.Pointer) string {
	const longest = 128
	text := strings.ReplaceAll(strings.TrimPrefix(string(p), "/"), "/", ".")
	if len(text) > longest {
		return strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}

// typeName tells what JSON a Go type stands for.
func typeName(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch k := t.Kind(); {
	case k == reflect.String:
		return "a string"
	case k == reflect.Bool:
		return "true or false"
	case k == reflect.Slice || k == reflect.Array:
		return "an array"
	case k >= reflect.Int && k <= reflect.Uintptr:
		return fmt.Sprintf("an integer of %d bits", t.Bits())
	}
	return "an object"
}

// kindName names a kind of JSON value.
func kindName(k jsontext.Kind) string {
	switch k {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '0':
		return "a number"
	case '"':
		return "a string"
	case 't', 'f':
		return "true or false"
	}
	return "null"
}
