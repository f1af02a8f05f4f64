package jmespath

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// FuzzJmesPath holds for every document and query: no panic escapes; a second search gives the same and leaves the same
// meter; the text of what is found reads back as a value that is equal, with the same text; doubts never fail.
func FuzzJmesPath(f *testing.F) {
	document := `{"Events":[{"EventSeq":1,"PcrIndex":7,"EventTypeString":"EV_SEPARATOR"},{"PcrIndex":12,"ProcessedData":{"a":[true,"é\"",1.5e3]}}]}`
	for _, query := range vectorQueries(f) {
		f.Add(document, query)
	}
	for _, s := range specification() {
		f.Add(s.document, s.query)
	}
	f.Add(`[9007199254740993,-0,1e-9,1e21,{"b":1,"a":null}]`, "[sort(keys([4])),[0]==`9007199254740993`,to_string(@),*.a,[::-1],let]")
	f.Add(`{"a":[3,1,2]}`, "a|sort_by(@,&@)|[?@>`1`]|map(&[@,to_string(@)],@)|group_by(@,&[1])|items(@)")
	f.Add(`{"a":["x","y"],"b":"x,y"}`, "let $v = b, $w = a in [$w, split($v, ','), zip($w, $w), from_items(zip($w, $w)), items(@)]")
	f.Add(`"aXbX"`, "[replace(@, 'X', ''), pad_left(@, `9`, '-'), trim(@, 'a'), upper(@), find_last(@, 'X', `1`), reverse(@)]")
	f.Add(`[{"k":"a","v":1},{"k":"b","v":2}]`, "[group_by(@, &k), map(&v, @) | sum(@) / `2`, merge([0], [1]), join(k, [*].k), -$[0].v // `2`]")
	f.Fuzz(func(t *testing.T, document, query string) {
		first, again := small(), small()
		found, err := searchValue(document, query, first)
		found2, err2 := searchValue(document, query, again)
		if *first != *again || (err == nil) != (err2 == nil) || err != nil && err.Error() != err2.Error() {
			t.Fatalf("%q over %q: %+v %v, then %+v %v", query, document, *first, err, *again, err2)
		}
		if err == nil {
			compareText(t, found, found2)
		}
		Doubts(query)
	})
}

// small is a meter for inputs of a fuzzer.
func small() *Meter { return &Meter{Steps: 200_000, Strings: 1 << 20, Values: 4 << 20} }

func searchValue(document, query string, m *Meter) (any, error) {
	v, err := Parse(document, m)
	if err != nil {
		return nil, err
	}
	q, err := Compile(query)
	if err != nil {
		return nil, err
	}
	return q.Search(v, m)
}

// compareText compares the texts of two results, and one result with what its text reads back as.
func compareText(t *testing.T, found, found2 any) {
	t.Helper()
	m := &Meter{Steps: 1 << 40, Strings: 1 << 30, Values: 1 << 40}
	text, err := Text(found, m)
	text2, err2 := Text(found2, m)
	if text != text2 || (err == nil) != (err2 == nil) {
		t.Fatalf("%q %v, then %q %v", text, err, text2, err2)
	}
	if err != nil {
		return // an expression reference
	}
	again, err := Parse(text, m)
	if err != nil {
		if !strings.Contains(err.Error(), "nests deeper") {
			t.Fatalf("%q does not read back: %v", text, err)
		}
		return
	}
	same, err := (&caller{meter: m}).equal(found, again)
	if text3, _ := Text(again, m); text3 != text || !same || err != nil {
		t.Errorf("%q reads back as %q, equal %t, %v", text, text3, same, err)
	}
}

// vectorQueries returns the queries of all policies of the vectors.
func vectorQueries(t testing.TB) []string {
	t.Helper()
	var index map[string]struct{ Kind string }
	if err := json.Unmarshal(vectortest.Read(t, "policies/index.json"), &index); err != nil {
		t.Fatal(err)
	}
	call := regexp.MustCompile(`JmesPath\(\w+\.value, *"((?:[^"\\]|\\.)*)"`)
	var queries []string
	for name, entry := range index {
		if entry.Kind != "text" {
			continue
		}
		for _, m := range call.FindAllStringSubmatch(string(vectortest.Read(t, "policies/"+name)), -1) {
			queries = append(queries, strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(m[1]))
		}
	}
	if len(queries) < 20 {
		t.Fatalf("only %d queries found", len(queries))
	}
	return queries
}
