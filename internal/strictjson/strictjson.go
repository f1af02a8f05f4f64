// Package strictjson reads JSON written by others. Every document is UTF-8, nested at most MaxDepth deep, has no
// duplicate member and nothing after its end; numbers must fit the Go type they are read into. It is the one door
// for JSON from outside: request bodies, collateral, tokens, key sets, runtime data (api.md section 4).
package strictjson

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is the limit json_depth: how deep arrays and objects may nest in any JSON read.
const MaxDepth = 32

// Exact reads b into v, matching member names letter by letter and ignoring unknown ones: the rule for everything
// that is hashed or signed as sent.
func Exact(b []byte, v any) error {
	if err := Check(b); err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// Folded reads b into v like Exact, but matches member names without regard to case: the rule for API bodies. Two
// members that differ only in case are duplicates there.
func Folded(b []byte, v any) error {
	if err := walk(b, strings.ToLower); err != nil {
		return err
	}
	return json.Unmarshal(b, v, json.MatchCaseInsensitiveNames(true))
}

// Check reports whether b is one JSON document within the package's limits, without reading it into anything.
func Check(b []byte) error {
	return walk(b, nil)
}

// Compact returns the document b with its insignificant white space removed and the members of every object sorted
// by name. Numbers and strings keep their text.
func Compact(b []byte) (jsontext.Value, error) {
	if err := Check(b); err != nil {
		return nil, err
	}
	v := jsontext.Value(b).Clone()
	err := v.Format(jsontext.ReorderRawObjects(true), jsontext.CanonicalizeRawInts(false),
		jsontext.CanonicalizeRawFloats(false), jsontext.PreserveRawStrings(true))
	return v, err
}

// walk reads every token of b. With fold, names of one object must also differ after folding.
func walk(b []byte, fold func(string) string) error {
	d := jsontext.NewDecoder(strings.NewReader(string(b)))
	var seen []map[string]bool
	for {
		t, err := d.ReadToken()
		switch {
		case errors.Is(err, io.EOF) && d.InputOffset() > 0 && len(seen) == 0:
			return nil
		case errors.Is(err, io.EOF):
			return errors.New("JSON: empty document")
		case err != nil:
			return fmt.Errorf("JSON: %w", err)
		case d.StackDepth() > MaxDepth:
			return fmt.Errorf("JSON: nested deeper than %d at offset %d", MaxDepth, d.InputOffset())
		}
		switch kind, n := d.StackIndex(d.StackDepth()); t.Kind() {
		case '{', '[':
			seen = append(seen, map[string]bool{})
		case '}', ']':
			seen = seen[:len(seen)-1]
		case '"':
			if fold == nil || kind != '{' || n%2 == 0 {
				continue
			}
			name := fold(t.String())
			if seen[len(seen)-1][name] {
				return fmt.Errorf("JSON: duplicate member %q at offset %d", t.String(), d.InputOffset())
			}
			seen[len(seen)-1][name] = true
		}
		if len(seen) == 0 && t.Kind() != 0 {
			// The document is complete; only white space may follow.
			if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
				return fmt.Errorf("JSON: data after the document at offset %d", d.InputOffset())
			}
			return nil
		}
	}
}
