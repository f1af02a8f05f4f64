package jmespath

import (
	"reflect"
	"testing"
	"time"
)

// FuzzSearch holds for every query and document: no panic that is not caught; two searches end alike and cost the same; what
// is found can be written and read back; and what the meter allows ends soon.
func FuzzSearch(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"Events":[{"EventSeq":1,"PcrIndex":7},{"EventSeq":2,"PcrIndex":20}]}`, "Events[?PcrIndex == `20` && !x] | [0].EventSeq || @"},
		{`{"a":{"x":[1,2.5,-0]},"b":{"x":"é"}}`, "*.x[] | {a: sort_by(@, &to_string(@)), b: length(@), c: [::-1][0:2]}"},
		{`["18446744073709551615",1e22,"b"]`, "[*].to_number(@) | max(@) > `9007199254740993`"},
		{`{"a":["x","y"],"b":"x,y"}`, "let $v = b, $w = a in [$w, split($v, ','), zip($w, $w), from_items(zip($w, $w)), items(@)]"},
		{`"aXbX"`, "[replace(@, 'X', ''), pad_left(@, `9`, '-'), trim(@, 'a'), upper(@), find_last(@, 'X', `1`), reverse(@)]"},
		{`[{"k":"a","v":1},{"k":"b","v":2}]`, "[group_by(@, &k), map(&v, @) | sum(@) / `2`, merge([0], [1]), join(k, [*].k), -$[0].v // `2`]"},
		{`["\\windows\\x"]`, "[?equals_ignore_case(@, '\\WINDOWS\\X')] | contains(@, 'x') == not_null(`null`, `{\"a\": [1]}`)"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, document, query string) {
		once := func() (any, Meter, error) {
			m := Meter{Steps: 500_000, Strings: 1 << 20, Values: 4 << 20}
			v, err := Parse(document, &m)
			if err != nil {
				return nil, m, err
			}
			q, err := Compile(query)
			if err != nil {
				return nil, m, err
			}
			found, err := q.Search(v, &m)
			return found, m, err
		}
		start := time.Now()
		found, left, err := once()
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%q over %q took %v and left %+v", query, document, took, left)
		}
		again, leftAgain, errAgain := once()
		if (err == nil) != (errAgain == nil) || err != nil && err.Error() != errAgain.Error() || left != leftAgain {
			t.Fatalf("%q over %q: %v, %+v, then %v, %+v", query, document, err, left, errAgain, leftAgain)
		}
		if err != nil {
			return
		}
		text, err := Text(found, meter())
		if err != nil {
			return
		}
		if other, err := Text(again, meter()); err != nil || other != text {
			t.Errorf("%q over %q: %s, then %s, %v", query, document, text, other, err)
		}
		if back, err := Parse(text, meter()); err != nil || !reflect.DeepEqual(back, found) {
			t.Errorf("%q over %q: %s is read back as %v, %v", query, document, text, back, err)
		}
	})
}
