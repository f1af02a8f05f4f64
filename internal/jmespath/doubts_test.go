package jmespath

import (
	"slices"
	"strings"
	"testing"
)

func TestDoubts(t *testing.T) { // policy.md sections 7.1 and 16
	for _, c := range []struct {
		query string
		want  string // codes
	}{
		{"Events[?PcrIndex == `20`]", ""},
		{"Events[?PcrIndex == '20']", NumberAsString},
		{"Events[?'20' == PcrIndex]", NumberAsString},
		{"Events[?PcrIndex == '20a']", ""},
		{"Events[?Name == '20']", ""},
		{"Events[?x] | length(@) == '1'", NumberAsString},
		{"Events[?x] | length(@) == `1`", ""},
		{"Events[?x] | length(@) > `0`", ""},
		{"Events[?x] | @ != `null`", ListNotNull},
		{"Events[*].x[] | [?y] | @ != `null`", ListNotNull},
		{"Events[?x] != `null`", ListNotNull},
		{"Events[?x] == `null`", ListNotNull},
		{"Events[?x] | [0] != `null`", ""},
		{"Events[?x] | @[0].y == `null`", ""},
		{"Events[?x != `null`]", ""},
		{"Events[?x] | @ != null", ListNotNull + " " + BareWord},
		{"Events[?x != null]", BareWord},
		{"Events[?x == true]", BareWord},
		{"Events[?x == `true`]", ""},
		{"events[?x]", SmallEvents},
		{"PCRs[?Index == `7`].Digests.SHA256 | [0]", ""},
		{"PCRs[?Digests.SHA256 == 'KCk6Ow']", ""},
		{"PCRs[?Digests.SHA256 == '" + strings.Repeat("0f", 32) + "']", HexDigest},
		{"lower(x)", NotStandard},
		{"$.x", NotStandard},
		{"a + b", NotStandard},
		{"-a", NotStandard},
		{"let $x = a in $x", NotStandard},
		{"equals_ignore_case(a, b)", ""},
		{"foo[", ""},
	} {
		var codes []string
		for _, d := range Doubts(c.query) {
			codes = append(codes, d.Code)
		}
		slices.Sort(codes)
		want := strings.Fields(c.want)
		slices.Sort(want)
		if !slices.Equal(codes, want) {
			t.Errorf("%s: %v, want %v", c.query, codes, want)
		}
	}
}
