package strictjson

import (
	"runtime"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestRefusals(t *testing.T) {
	nest := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, tt := range []struct {
		name, in      string
		exact, folded bool
	}{
		{"object", `{"a":1,"b":[{}]}`, true, true},
		{"scalar", ` "x" `, true, true},
		{"deepest allowed", nest(MaxDepth), true, true},
		{"one deeper", nest(MaxDepth + 1), false, false},
		{"depth bomb", strings.Repeat("[", 1<<20), false, false},
		{"empty", "", false, false},
		{"blank", "  ", false, false},
		{"truncated", `{"a":`, false, false},
		{"trailing data", `{} {}`, false, false},
		{"two scalars", `1 2`, false, false},
		{"brackets in a string", `"` + strings.Repeat(`[`, 99) + `\\\"[["`, true, true},
		{"closed more often than opened", `]]]]`, false, false},
		{"mismatched", `{]`, false, false},
		{"duplicate", `{"a":1,"a":2}`, false, false},
		{"duplicate written with an escape", `{"a":1,"\u0061":2}`, false, false},
		{"duplicate but for case", `{"a":1,"A":2}`, true, false},
		{"duplicate but for case, nested", `[{"b":{"x":1,"X":2}}]`, true, false},
		{"same name in two objects", `[{"a":1},{"A":1}]`, true, true},
		{"value like a name", `{"a":"a","b":"a"}`, true, true},
		{"invalid UTF-8", "\"\xff\"", false, false},
		{"lone surrogate", `"\ud800"`, false, false},
		{"NUL after the document", "{}\x00", false, false},
	} {
		var v any
		if err := Exact([]byte(tt.in), &v); (err == nil) != tt.exact {
			t.Errorf("%s: Exact gave %v", tt.name, err)
		}
		if err := Folded([]byte(tt.in), &v); (err == nil) != tt.folded {
			t.Errorf("%s: Folded gave %v", tt.name, err)
		}
	}
}

func TestMemberNames(t *testing.T) {
	var v struct {
		Quote string `json:"quote"`
	}
	if err := Folded([]byte(`{"QUOTE":"x","other":1}`), &v); err != nil || v.Quote != "x" {
		t.Errorf("Folded: %v %q", err, v.Quote)
	}
	v.Quote = ""
	if err := Exact([]byte(`{"QUOTE":"x"}`), &v); err != nil || v.Quote != "" {
		t.Errorf("Exact: %v %q, want the member ignored", err, v.Quote)
	}
}

func TestIntegersAreExact(t *testing.T) {
	var v struct{ N uint8 }
	for in, ok := range map[string]bool{`{"N":255}`: true, `{"N":256}`: false, `{"N":-1}`: false, `{"N":1.0}`: false,
		`{"N":1e1}`: false, `{"N":"1"}`: false} {
		if err := Exact([]byte(in), &v); (err == nil) != ok {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestCompactSortsAndKeepsText(t *testing.T) {
	got, err := Compact([]byte("{\"b\": 1.50,\n \"a\": [18446744073709551616, \"\\u00e9<\"]}"))
	if want := `{"a":[18446744073709551616,"\u00e9<"],"b":1.50}`; err != nil || string(got) != want {
		t.Errorf("got %s (%v), want %s", got, err, want)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":null}],"c":"\u00e9"}`))
	f.Add([]byte(`[[[[`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var v any
		if Folded(b, &v) == nil && Check(b) != nil {
			t.Fatalf("Folded accepts what Check refuses: %q", b)
		}
	})
}

func TestFoldingIsOfASCIICaseOnly(t *testing.T) {
	var v struct {
		Quote string `json:"quote"`
		Draft string `json:"draftpolicyforattestation"`
	}
	for _, name := range []string{"quo-te", "quo_te", "q uote", "draftPolicyForAtte\u017ftation", "draft_policy_for_attestation"} {
		v.Quote, v.Draft = "", ""
		if err := Folded([]byte(`{"`+name+`":"x","QUOTE":"y"}`), &v); err != nil || v.Quote != "y" || v.Draft != "" {
			t.Errorf("%s: %v, %+v, want it unknown", name, err, v)
		}
	}
}

func TestFoldingKeepsNumbersAndStrings(t *testing.T) {
	var v struct{ N, S jsontext.Value }
	if err := Folded([]byte(`{"n":18446744073709551617.50e3,"s":"\u00e9\u2028\"<"}`), &lower{&v.N, &v.S}); err != nil {
		t.Fatal(err)
	}
	if string(v.N) != "18446744073709551617.50e3" {
		t.Errorf("number became %s", v.N)
	}
	if s, err := jsontext.AppendUnquote(nil, v.S); err != nil || string(s) != "é\u2028\"<" {
		t.Errorf("string became %q, %v", s, err)
	}
}

type lower struct {
	N *jsontext.Value `json:"n"`
	S *jsontext.Value `json:"s"`
}

func TestTokensAreCounted(t *testing.T) {
	array := func(n int) []byte { return []byte("[" + strings.TrimSuffix(strings.Repeat("0,", n), ",") + "]") }
	if err := Check(array(MaxTokens)); err != nil {
		t.Errorf("%d tokens: %v", MaxTokens, err)
	}
	if err := Check(array(MaxTokens + 1)); err == nil {
		t.Errorf("%d tokens accepted", MaxTokens+1)
	}
}

func TestErrorsSpeakOfJSON(t *testing.T) {
	var v struct {
		A string `json:"a"`
		B struct {
			C uint8 `json:"c"`
		} `json:"b"`
	}
	for in, want := range map[string]string{
		`{"a":1}`:           `JSON: member "a" has the wrong type or range: expected a string, found a number`,
		`{"b":{"c":300}}`:   `JSON: member "b.c" has the wrong type or range: expected an integer of 8 bits, found a number`,
		`[]`:                `JSON: the document has the wrong type or range: expected an object, found an array`,
		`{"a":"x","a":"y"}`: `duplicate`,
		`{"a":"x"} {}`:      `invalid character`,
		"\x1f\x8b":          `JSON: offset 0`,
	} {
		for name, read := range map[string]func([]byte, any) error{"Exact": Exact, "Folded": Folded} {
			err := read([]byte(in), &v)
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "jsontext") || strings.Contains(err.Error(), "Go ") {
				t.Errorf("%s(%s): %v, want %q", name, in, err, want)
			}
		}
	}
}

// TestMembersFoldTheirNamesOnly: what a member holds may have names in which case counts, such as tags (management.md section 4.1).
func TestMembersFoldTheirNamesOnly(t *testing.T) {
	got, err := Members([]byte(`{"Tags":{"Env":"X"},"n":null,"K":1}`))
	if err != nil || len(got) != 3 || string(got["tags"]) != `{"Env":"X"}` || string(got["n"]) != "null" {
		t.Errorf("got %s, %v", got, err)
	}
	if none, err := Members([]byte("null")); err != nil || len(none) != 0 {
		t.Errorf("null: %v, %v", none, err)
	}
	for in, want := range map[string]string{
		``: "empty", `[]`: "expected an object", `{"a":1,"A":2}`: "duplicate", `{"a":1,"a":2}`: "duplicate", `{"a":{"b":1,"b":2}}`: "duplicate", `{} {}`: "after",
	} {
		if _, err := Members([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
	}
}

// The end of a string is found as by reading character by character, whatever quotes and backslashes it has.
func TestEndOfAString(t *testing.T) {
	const longest = 7
	texts := []string{""}
	for i := 0; i < len(texts); i++ {
		text := texts[i]
		if len(text) < longest {
			texts = append(texts, text+`"`, text+`\`, text+"a")
		}
		want := 0
		for want < len(text) && text[want] != '"' {
			if text[want] == '\\' {
				want++
			}
			want++
		}
		if got := closing([]byte("x"+text), 1); got != 1+min(want, len(text)) {
			t.Errorf("%s: got %d, want %d", text, got-1, want)
		}
	}
}

// A document that is one long string is copied twice: with its names folded, and into the value.
func TestALongStringIsNotCopiedOften(t *testing.T) {
	const size = 1 << 20
	b := []byte(`{"data":"` + strings.Repeat("A", size) + `"}`)
	var v struct {
		Data string `json:"data"`
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := Folded(b, &v)
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; err != nil || len(v.Data) != size || used > 3*size {
		t.Errorf("%v: %d bytes allocated for %d", err, used, size)
	}
}
