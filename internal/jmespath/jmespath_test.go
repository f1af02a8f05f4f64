package jmespath

import (
	"strings"
	"testing"
)

func meter() *Meter { return &Meter{Steps: 20_000_000, Strings: 64 << 20, Values: 192 << 20} }

func search(t testing.TB, document, query string) (string, error) {
	t.Helper()
	return searchWith(t, document, query, meter())
}

func searchWith(t testing.TB, document, query string, m *Meter) (string, error) {
	t.Helper()
	v, err := Parse(document, m)
	if err != nil {
		t.Fatal(err)
	}
	q, err := Compile(query)
	if err != nil {
		return "", err
	}
	found, err := q.Search(v, m)
	if err != nil {
		return "", err
	}
	return Text(found, m)
}

// TestQueriesFind: expected values from jmespath.org's specification and policy.md section 7.1.
func TestQueriesFind(t *testing.T) {
	const events = `{"Events":[{"EventSeq":1,"PcrIndex":7},{"EventSeq":2,"PcrIndex":20,"Data":{"b":[1,[2]],"a":null}},{"EventSeq":3}]}`
	for _, c := range []struct{ document, query, want string }{
		{events, "Events[?PcrIndex == `20`] | length(@) == `1` && @[0].EventSeq == `2`", "true"},
		{events, "Events[?PcrIndex == `21`] | length(@) == `1` && @[0].EventSeq == `2`", "false"},
		{events, "Events[?PcrIndex == '20'] != null", "true"}, // an empty list is not null; null is a field
		{events, "Events[?PcrIndex == '20'] != `null`", "true"},
		{events, "Events[*].PcrIndex", "[7,20]"},
		{events, "Events[?Data].Data.b[]", "[1,[2]]"},
		{events, "Events[].Data.b | []", "[1,[2]]"},
		{events, "events[?EventSeq]", "null"},
		{events, "Events[0] < Events[1]", "null"},
		{events, "false.{a: b}", "null"},
		{events, "`false`.{a: b}", `{"a":null}`},
		{events, "Events[?missing] .x", "[]"},
		{events, "Events[1].Data.*", "[[1,[2]]]"}, // null is dropped
		{events, "keys(Events[1])", `["Data","EventSeq","PcrIndex"]`},
		{events, "Events[1].values(@)", `[{"a":null,"b":[1,[2]]},2,20]`},
		{events, "reverse(sort_by(Events, &EventSeq))[*].EventSeq", "[3,2,1]"},
		{events, "max_by(Events, &EventSeq).EventSeq", "3"},
		{events, "Events[::-1][].EventSeq", "[3,2,1]"},
		{`{"z":1,"a":2,"m":{"y":3,"b":4}}`, "*", `[2,{"b":4,"y":3},1]`},
		{`{"z":1,"a":2}`, "@", `{"a":2,"z":1}`},
		{`"\\windows\\x"`, "equals_ignore_case(@, '\\WINDOWS\\X')", "true"},
		{`null`, "equals_ignore_case(@, 'a')", "false"},
		{`"straße"`, "equals_ignore_case(@, 'STRASSE')", "false"},
		{`"K"`, "equals_ignore_case(@, 'k')", "true"},
		{`[1.0, 1e2, -0, 0.5, 1e21]`, "@", "[1,100,0,0.5,1000000000000000000000]"},
		{`[9223372036854775808, 1180591620717411303424, 1e-7, -0.25]`, "@", "[9223372036854775808,1180591620717411303424,1e-07,-0.25]"},
		{`[18446744073709551615, 9007199254740993]`, "@", "[18446744073709551615,9007199254740993]"},
		{`[18446744073709551615, 9007199254740993]`, "[?@ == `9007199254740993`]", "[9007199254740993]"},
		{`[18446744073709551615, 9007199254740993]`, "[?@ == `9007199254740992`]", "[]"},
		{`[18446744073709551615, 9007199254740993]`, "[?@ > `9007199254740992`] | length(@)", "2"},
		{`[18446744073709551615, 9007199254740993, 4]`, "sort(@)", "[4,9007199254740993,18446744073709551615]"},
		{`[18446744073709551615, 9007199254740993]`, "max(@)", "18446744073709551615"},
		{`[9007199254740993.0]`, "[0] == `9007199254740993`", "true"},
		{`[18446744073709551615]`, "[0] | type(@)", `"number"`},
		{`[18446744073709551615]`, "to_string([0])", `"18446744073709551615"`},
		{`["18446744073709551615","0x10","1_0","Inf"," 1","1.0"]`, "[*].not_null(to_number(@), 'no')", `[18446744073709551615,"no","no","no","no",1]`},
		{`[[1],{"a":1}]`, "contains(@, `[1]`)", "true"},
		{`[[1],{"a":1}]`, "contains(@, `{\"a\": 2}`)", "false"},
		{`{"a":"<&>é\u0001\"\\"}`, "a", `"<&>é\u0001\"\\"`},
		{`"abcdef"`, "[1:3]", `"bc"`},
		{`{"a":{"b":2,"c":[1,2]}}`, "a == `{\"c\":[1,2],\"b\":2}`", "true"},
		{`["a","b"]`, "join('-', @)", `"a-b"`},
		{`["aXbX"]`, "replace([0], 'X', 'yy')", `"ayybyy"`},
		{`{"b":1,"a":2}`, "items(@)", `[["a",2],["b",1]]`},
	} {
		got, err := search(t, c.document, c.query)
		if err != nil || got != c.want {
			t.Errorf("%s over %s\n got %s, %v\nwant %s", c.query, c.document, got, err, c.want)
		}
	}
}

func TestBadQueriesSayWhy(t *testing.T) {
	for _, c := range []struct{ query, want string }{
		{"foo[", "at offset 4"},
		{"", "the query is not JMESPath"},
		{"nothere(@)", "the query calls nothere, which is no function of JMESPath"},
		{"length(@, @)", "the query calls length with 2 arguments, expected 1"},
		{"length()", "the query calls length with 0 arguments, expected 1"},
		{"let $x in y", "the query cannot be run"},
		{"a[?b = `1`]", "the query is not JMESPath: = compares nothing, == does"},
		{"a = b", "= compares nothing"},
		{"let $x = (a = b) in $x", "= compares nothing"},
		{"abs('x')", "abs: argument 1 must be number, found string"},
		{"abs('x')[?y]", "abs: argument 1 must be number, found string"},
		{"abs('x').*", "abs: argument 1 must be number, found string"},
		{"abs('x')[]", "abs: argument 1 must be number, found string"},
		{"abs('x') == `null`", "abs: argument 1 must be number, found string"},
		{"abs(`9007199254740993`)", "argument 1 is 9007199254740993, beyond the numbers"},
		{"sum(`[9007199254740993]`)", "beyond the numbers"},
		{"sum(`[9007199254740992,2]`)", "beyond 2^53"},
		{"`9007199254740993` + `1`", "beyond the numbers"},
		{"`9007199254740992` * `2`", "beyond 2^53"},
		{"`1` / `0`", "divides by zero"},
		{"sort(`[1,\"a\"]`)", "sort: argument 1 must be"},
		{"sort_by(`[{\"a\":1},{\"a\":\"b\"}]`, &a)", "sort_by: the keys must all be numbers or all strings"},
		{"max_by(`[{\"a\":1},{}]`, &a)", "found number and null"},
		{"&a", "an expression reference stands for no value"},
		{"`1e999`", "the number 1e999 is out of range"},
		{"`[1,`", "the query is not JMESPath"},
		{"find_first('abc', 'b', `5`, `2`)", "the query cannot be run"},
		{"pad_left('x', `1048577`)", "is larger than 1048576"},
	} {
		if got, err := search(t, "{}", c.query); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %s, %v, want %q", c.query, got, err, c.want)
		}
	}
}
