package jmespath

import (
	"testing"
)

// specified is an example of the JMESPath specification (jmespath.org), or follows from its rules.
type specified struct{ document, query, want string }

// fails is what is wanted where the specification has an error.
const fails = "<error>"

// TestSpecification runs a search for each example.
func TestSpecification(t *testing.T) {
	for _, s := range specification() {
		got, err := search(t, s.document, s.query)
		if s.want == fails {
			if err == nil {
				t.Errorf("%s over %s: got %s, want an error", s.query, s.document, got)
			}
			continue
		}
		if err != nil || got != s.want {
			t.Errorf("%s over %s\n got %s, %v\nwant %s", s.query, s.document, got, err, s.want)
		}
	}
}

func specification() []specified {
	return append(append(grammarExamples(), projectionExamples()...), functionExamples()...)
}

func grammarExamples() []specified {
	const truths = `{"True":true,"False":false,"Number":5,"Zero":0,"EmptyList":[],"EmptyObject":{},"EmptyString":""}`
	return []specified{
		// identifiers
		{`{"foo":"value"}`, "foo", `"value"`},
		{`{"bar":"value"}`, "foo", "null"},
		{`{"foo":[0,1,2]}`, "foo", "[0,1,2]"},
		{`{"with space":"value"}`, `"with space"`, `"value"`},
		{`{"special chars: !@#":"value"}`, `"special chars: !@#"`, `"value"`},
		{`{"quote\"char":"value"}`, `"quote\"char"`, `"value"`},
		{`{"✓":"value"}`, `"\u2713"`, `"value"`},
		// sub-expressions
		{`{"foo":{"bar":"value"}}`, "foo.bar", `"value"`},
		{`{"foo":{"bar":"value"}}`, `foo."bar"`, `"value"`},
		{`{"foo":{"baz":"value"}}`, "foo.bar", "null"},
		{`{"foo":{"bar":{"baz":"value"}}}`, "foo.bar.baz", `"value"`},
		{`{"foo":["bar"]}`, "foo.bar", "null"},
		// index expressions
		{`["first","second","third"]`, "[0]", `"first"`},
		{`["first","second","third"]`, "[-1]", `"third"`},
		{`["first","second","third"]`, "[100]", "null"},
		{`["first","second","third"]`, "[-4]", "null"},
		{`{"foo":["first"]}`, "foo[0]", `"first"`},
		{`{"foo":[[0,1],[1,2]]}`, "foo[0][0]", "0"},
		{`{"0":"x"}`, "[0]", "null"},
		// or, and, not; what is false: null, false, and what is empty
		{`{"foo":"foo-value"}`, "foo || bar", `"foo-value"`},
		{`{"bar":"bar-value"}`, "foo || bar", `"bar-value"`},
		{`{"baz":"baz-value"}`, "foo || bar", "null"},
		{`{"mylist":["one","two"]}`, "override || mylist[-1]", `"two"`},
		{`{"mylist":["one","two"],"override":"yes"}`, "override || mylist[-1]", `"yes"`},
		{truths, "True && False", "false"},
		{truths, "Number && EmptyList", "[]"},
		{truths, "[!True, !False, !Number, !Zero, !EmptyList, !EmptyObject, !EmptyString, !missing]", "[false,true,false,false,true,true,true,true]"},
		{truths, "False || False && True || Number", "5"},
		{truths, "True || False && False", "true"},
		{truths, "(True || False) && False", "false"},
		{truths, "!False && False", "false"},
		{truths, "!(False && False)", "true"},
		{truths, "False && missing.x || 'x'", `"x"`},
		{truths, "Number == `5` && Zero < `1`", "true"},
		{truths, "missing && 'x' | @ == `null`", "true"},
		// comparisons
		{`{"a":[1,{"b":[2]}]}`, "a == `[1,{\"b\":[2]}]`", "true"},
		{`{"a":"1"}`, "a == `1`", "false"},
		{`{"a":"1"}`, "a != `1`", "true"},
		{`{"a":"x","b":1}`, "[a < b, a > b, a <= 'x', b >= `1`]", "[null,null,null,true]"},
		{`1`, "@ == `1.0`", "true"},
		// literals
		{`{}`, "`\"foo\"`", `"foo"`},
		{`{}`, "`\"foo\\`bar\"`", "\"foo`bar\""},
		{`{}`, "`[1, 2]`", "[1,2]"},
		{`{}`, "`{\"a\": \"b\"}`.a", `"b"`},
		{`{"a":"b","c":"d"}`, "{first: a, type: `\"mytype\"`}", `{"first":"b","type":"mytype"}`},
		{`{}`, "'foo'", `"foo"`},
		{`{}`, "'  bar  '", `"  bar  "`},
		{`{}`, "'[baz]'", `"[baz]"`},
		{`{}`, `'it\'s'`, `"it's"`},
		{`{}`, `'a\nb'`, `"a\\nb"`},
		// the current node, pipes
		{`{"foo":1}`, "@", `{"foo":1}`},
		{`{"foo":{"bar":1}}`, "@.foo | @.bar", "1"},
		{`{"foo":{"bar":{"baz":1}}}`, "foo | bar.baz", "1"},
		{`{"foo":1}`, "bar | foo", "null"},
		{`{"foo":[{"bar":[1,2]},{"bar":[3]}]}`, "foo[*].bar[0]", "[1,3]"},
		{`{"foo":[{"bar":[1,2]},{"bar":[3]}]}`, "foo[*].bar | [0]", "[1,2]"},
		{`{"a":1,"b":2}`, "a | missing || `3`", "3"},
		// multi-selects
		{`{"foo":"a","bar":"b","baz":"c"}`, "[foo,bar]", `["a","b"]`},
		{`{"foo":"a","bar":["b"]}`, "[foo,bar[0]]", `["a","b"]`},
		{`{"foo":"a","bar":"b"}`, "[foo,baz]", `["a",null]`},
		{`{"foo":"a","bar":["b"]}`, "{foo: foo, firstbar: bar[0]}", `{"firstbar":"b","foo":"a"}`},
		{`{"foo":"a","bar":{"baz":"b"}}`, `{foo: foo, "bar.baz": bar.baz}`, `{"bar.baz":"b","foo":"a"}`},
		{`{"foo":"a"}`, "{foo: foo, baz: baz}", `{"baz":null,"foo":"a"}`},
		{`{"foo":{"a":1,"b":2}}`, "foo.[b,a]", "[2,1]"},
		{`{"foo":"a"}`, "missing.[a,b]", "null"},
		{`{"foo":"a"}`, "missing.{a: b}", "null"},
		// what is no expression
		{`{}`, "foo.", fails},
		{`{}`, ".foo", fails},
		{`{}`, "foo bar", fails},
		{`{}`, "foo[0", fails},
		{`{}`, "foo.[]", fails},
		{`{}`, "foo.0", fails},
		{`{}`, "{}", fails},
		{`{}`, "foo.-11", fails},
		{`{}`, "'open", fails},
		{`{}`, "`{`", fails},
		{`{}`, "foo[a]", fails},
		{`[1,2]`, "[0:1:0]", fails},
		{`{}`, "[:2:3:4]", fails},
		{`{}`, "a = b", fails},
		{`{}`, "a && ", fails},
	}
}

func projectionExamples() []specified {
	const reserved = `{"r":[{"i":[{"s":"a"},{"s":"b"}]},{"i":[{"s":"c"}]},{"x":0}]}`
	return []specified{
		// slices
		{"[0,1,2,3]", "[0:4:1]", "[0,1,2,3]"},
		{"[0,1,2,3]", "[0:3]", "[0,1,2]"},
		{"[0,1,2,3]", "[:2]", "[0,1]"},
		{"[0,1,2,3]", "[::2]", "[0,2]"},
		{"[0,1,2,3]", "[::-1]", "[3,2,1,0]"},
		{"[0,1,2,3]", "[-2:]", "[2,3]"},
		{"[0,1,2,3]", "[100::-1]", "[3,2,1,0]"},
		{"[0,1,2,3]", "[2:1]", "[]"},
		{"[0,1,2,3]", "[10:]", "[]"},
		{`[{"a":1},{"a":2},{"b":3}]`, "[:3].a", "[1,2]"},
		{`{"a":1}`, "a[0:1]", "null"},
		// flattening
		{"[[0,1],2,[3],4,[5,[6,7]]]", "[]", "[0,1,2,3,4,5,[6,7]]"},
		{"[[0,1],2,[3],4,[5,[6,7]]]", "[][]", "[0,1,2,3,4,5,6,7]"},
		{reserved, "r[].i[].s", `["a","b","c"]`},
		{reserved, "r[*].i[*].s", `[["a","b"],["c"]]`},
		{reserved, "r[*].i[].s", `["a","b","c"]`},
		{`{"a":{}}`, "a[]", "null"},
		// list and object projections
		{`[{"foo":1},{"foo":2},{"foo":3}]`, "[*].foo", "[1,2,3]"},
		{`[{"foo":1},{"foo":2},{"bar":3}]`, "[*].foo", "[1,2]"},
		{`{"a":{"foo":1},"b":{"foo":2},"c":{"bar":1}}`, "*.foo", "[1,2]"},
		{`{"a":1}`, "[*]", "null"},
		{`[1,2]`, "*", "null"},
		{`{"a":[{"b":null},{"b":0}]}`, "a[*].b", "[0]"},
		{`{"a":[1,2]}`, "a[*].b", "[]"},
		{`{"a":{"x":{"b":[1]},"y":{"b":[2]}}}`, "a.*.b[0]", "[1,2]"},
		{`{"a":{"x":{"b":[1]},"y":{"b":[2]}}}`, "a.*.b | [0]", "[1]"},
		{`[[1,2],[3]]`, "[*][0]", "[1,3]"},
		{`[[1,2],[3]]`, "([*])[0]", "[1,2]"},
		{`[{"a":1,"b":2}]`, "[*].[a,b]", "[[1,2]]"},
		{`[{"a":1,"b":2}]`, "[*].{x: a}", `[{"x":1}]`},
		// filters
		{`{"foo":[{"bar":1},{"bar":10}]}`, "foo[?bar==`10`]", `[{"bar":10}]`},
		{`[{"bar":1},{"bar":10}]`, "[?bar==`10`]", `[{"bar":10}]`},
		{`{"foo":[{"a":1,"b":2},{"a":2,"b":2}]}`, "foo[?a==b]", `[{"a":2,"b":2}]`},
		{`{"foo":[{"a":1,"b":2},{"a":1,"b":3}]}`, "foo[?a == `1` && b == `2`]", `[{"a":1,"b":2}]`},
		{`{"foo":[{"a":1,"b":2,"c":3},{"a":3,"b":4}]}`, "foo[?(a == `1` || b == `2`) && c == `5`]", "[]"},
		{`{"foo":[{"a":1,"b":2,"c":3},{"a":3,"b":4}]}`, "foo[?a == `3` || b == `2` && c == `5`]", `[{"a":3,"b":4}]`},
		{`{"foo":[{"a":"x"},{"a":1},{}]}`, "foo[?a < `5`].a", "[1]"},
		{`{"foo":[{"a":0},{"a":""},{"a":"x"}]}`, "foo[?a].a", `[0,"x"]`},
		{`{"foo":[{"a":0},{"a":""},{"a":"x"}]}`, "foo[?!a].a", `[""]`},
		{`{"foo":[["a"],["b","c"]]}`, "foo[?length(@) > `1`][]", `["b","c"]`},
		{`{"foo":{"a":1}}`, "foo[?a]", "null"},
	}
}

func functionExamples() []specified {
	const people = `[{"n":"b","age":30},{"n":"a","age":50},{"n":"b","age":50},{"n":"a","age":10},{"n":"b","age":30}]`
	return []specified{
		{`{"foo":1,"bar":-1}`, "[abs(foo),abs(bar)]", "[1,1]"},
		{`{}`, "abs('abc')", fails},
		{"[10,15,20]", "avg(@)", "15"},
		{"[10,15]", "avg(@)", "12.5"},
		{"[]", "avg(@)", "null"},
		{"[10,false,20]", "avg(@)", fails},
		{`{}`, "[ceil(`1.001`),ceil(`1.9`),ceil(`1`),ceil(`-1.5`)]", "[2,2,1,-1]"},
		{`{}`, "ceil('abc')", fails},
		{`{}`, "[contains('foobar','foo'),contains('foobar','not'),contains('foobar',`123`)]", "[true,false,false]"},
		{`["a","b"]`, "[contains(@,'a'),contains(@,'c'),contains(@,`[\"a\"]`)]", "[true,false,false]"},
		{`{}`, "contains(`false`,'bar')", fails},
		{`{}`, "[ends_with('foobarbaz','baz'),ends_with('foobarbaz','foo'),ends_with('foobarbaz','z')]", "[true,false,true]"},
		{`{}`, "ends_with('foobarbaz',`0`)", fails},
		{`{}`, "[floor(`1.001`),floor(`1.9`),floor(`1`),floor(`-1.5`)]", "[1,1,1,-2]"},
		{`["a","b"]`, "[join(', ',@),join('',@)]", `["a, b","ab"]`},
		{`["a",false]`, "join(', ',@)", fails},
		{`["a"]`, "join(`false`,@)", fails},
		{`{"foo":"baz","bar":"bam"}`, "keys(@)", `["bar","foo"]`},
		{`{}`, "keys(@)", "[]"},
		{`["a"]`, "keys(@)", fails},
		{`[[],["a","b","c"],{},{"foo":"bar"},"abc","✓é"]`, "[*].length(@)", "[0,3,0,1,3,2]"},
		{`{}`, "length(not_there)", fails},
		{`{"array":[{"foo":"a"},{"foo":"b"},{},[],{"foo":"f"}]}`, "map(&foo, array)", `["a","b",null,null,"f"]`},
		{"[[1,2,3,[4]],[5,6,7,[8,9]]]", "map(&[], @)", "[[1,2,3,4],[5,6,7,8,9]]"},
		{"[10,15]", "[max(@),min(@)]", "[15,10]"},
		{`["a","b"]`, "[max(@),min(@)]", `["b","a"]`},
		{"[]", "[max(@),min(@)]", "[null,null]"},
		{`["a",2,"b"]`, "max(@)", fails},
		{`[10,false,20]`, "min(@)", fails},
		{people, "max_by(@, &age).n", `"a"`},
		{people, "min_by(@, &age).n", `"a"`},
		{people, "max_by(@, &missing)", fails},
		{people, "max_by(@, age)", fails},
		{`{}`, "merge(`{\"a\":\"b\"}`,`{\"c\":\"d\"}`)", `{"a":"b","c":"d"}`},
		{`{}`, "merge(`{\"a\":\"x\",\"b\":\"y\"}`,`{\"b\":\"override\",\"c\":\"z\"}`)", `{"a":"x","b":"override","c":"z"}`},
		{`{}`, "merge(`{\"a\":1}`,`[]`)", fails},
		{`{"a":null,"b":null,"c":[],"d":"foo"}`, "[not_null(no_exist,a,b,c,d),not_null(a,b,`null`,d,c),not_null(a,b)]", `[[],"foo",null]`},
		{`["a","b","c",1,2,3]`, "reverse(@)", `[3,2,1,"c","b","a"]`},
		{`"abcd✓é"`, "reverse(@)", `"é✓dcba"`},
		{`{}`, "reverse(@)", fails},
		{`["b","a","c"]`, "sort(@)", `["a","b","c"]`},
		{"[3,1,-2,2.5]", "sort(@)", "[-2,1,2.5,3]"},
		{`["é","z","✓","Z"]`, "sort(@)", `["Z","z","é","✓"]`},
		{`[1,"a","c"]`, "sort(@)", fails},
		{"[false,[]]", "sort(@)", fails},
		{"[]", "sort(@)", "[]"},
		{people, "sort_by(@, &age)[*].[age,n]", `[[10,"a"],[30,"b"],[30,"b"],[50,"a"],[50,"b"]]`},
		{people, "sort_by(@, &n)[*].age", "[50,10,30,50,30]"},
		{people, "sort_by(@, &[n])", fails},
		{`{}`, "[starts_with('foobarbaz','foo'),starts_with('foobarbaz','baz'),starts_with('foobarbaz','f')]", "[true,false,true]"},
		{"[10,15]", "sum(@)", "25"},
		{"[]", "sum(@)", "0"},
		{"[10,false]", "sum(@)", fails},
		{`{}`, "[to_array(`[1,2]`),to_array(`\"string\"`),to_array(`0`),to_array(`null`),to_array(`{}`)]", `[[1,2],["string"],[0],[null],[{}]]`},
		{`{"a":[1,{"b":"x"}]}`, "[to_string(`2`),to_string('x'),to_string(a),to_string(`null`),to_string(`true`)]", `["2","x","[1,{\"b\":\"x\"}]","null","true"]`},
		{`{}`, "[to_number('1'),to_number('-1.5'),to_number('1e2'),to_number('abc'),to_number(`7`),to_number(`true`),to_number(`[]`),to_number(`null`)]", "[1,-1.5,100,null,7,null,null,null]"},
		{`["x",1,true,null,[],{}]`, "map(&type(@), @)", `["string","number","boolean","null","array","object"]`},
		{`{"foo":"baz","bar":"bam"}`, "sort(values(@))", `["bam","baz"]`},
		{`["a"]`, "values(@)", fails},
		{`{}`, "nothere(@)", fails},
		{`{}`, "abs()", fails},
		{`{}`, "abs(`1`,`2`)", fails},
		{`{}`, "length", "null"}, // a field without parentheses
		{`{"foo":["b","a"]}`, "foo | sort(@)[0]", `"a"`},
		{`{"foo":{"bar":["b","a"]}}`, "foo.sort(bar)", `["a","b"]`},
	}
}

// TestDifferencesFromTheSpecification pins down where the library goes beyond jmespath.org, or is less strict. Policies
// that use any of this may mean something else to other implementations.
func TestDifferencesFromTheSpecification(t *testing.T) {
	for _, d := range []struct {
		specified
		standard string
	}{
		{specified{`{}`, `'\\'`, `"\\"`}, "two backslashes: in raw strings only the quote is escaped"},
		{specified{`"abc"`, "[1:]", `"bc"`}, "null: only arrays have slices"},
		{specified{`{"a":-1}`, "abs(a,)", "1"}, "an error: a comma stands before another argument"},
		{specified{`{"a":1}`, "not_null(b a)", "1"}, "an error: arguments have commas between them"},
		{specified{`{}`, "{a:@ b:@}", `{"a":{},"b":{}}`}, "an error: members have commas between them"},
		{specified{`{"a":3,"b":1}`, "a-b", "2"}, "an error: there is no arithmetic"},
		{specified{`{"a":1}`, "a.$", "<error>"}, "an error too: there is no root node"},
		{specified{`{"a":{"b":1}}`, "a | $.a.b", "1"}, "an error: there is no root node"},
		{specified{`{"a":1}`, "let $x = a in [$x]", "[1]"}, "an error: there are no variables"},
		{specified{`{"a":["x","y"]}`, "find_first(a[0], 'x')", "0"}, "an error: there is no such function"},
	} {
		got, err := search(t, d.document, d.query)
		if (err != nil) != (d.want == fails) || err == nil && got != d.want {
			t.Errorf("%s over %s: got %s, %v, want %s (standard: %s)", d.query, d.document, got, err, d.want, d.standard)
		}
	}
}
