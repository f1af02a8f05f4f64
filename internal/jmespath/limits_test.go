package jmespath

import (
	"errors"
	"strings"
	"testing"

	"github.com/jmespath-community/go-jmespath/pkg/parsing"
)

func TestLimitsOfQueriesHoldAtTheirEdge(t *testing.T) {
	nested := func(depth int) string { return strings.Repeat("[", depth) + "b" + strings.Repeat("]", depth) }
	for _, c := range []struct {
		name  string
		query string
		want  string // of the error; "" for none
	}{
		{"longest", "a" + strings.Repeat(" ", MaxQuery-1), ""},
		{"longer", "a" + strings.Repeat(" ", MaxQuery), "(jmespath_query)"},
		{"deepest", nested(MaxNesting), ""},
		{"deeper", nested(MaxNesting + 1), "(jmespath_nesting)"},
		{"deepest parentheses", strings.Repeat("(", MaxNesting) + "@" + strings.Repeat(")", MaxNesting), ""},
		{"deeper parentheses", strings.Repeat("(", MaxNesting+1) + "@" + strings.Repeat(")", MaxNesting+1), "(jmespath_nesting)"},
		{"deepest literal", "`" + strings.Repeat("[", MaxNesting) + strings.Repeat("]", MaxNesting) + "`", ""},
		{"deeper literal", "`" + strings.Repeat("[", MaxNesting+1) + strings.Repeat("]", MaxNesting+1) + "`", "nests deeper than 32"},
		{"most signs", strings.Repeat("!", MaxNesting) + "a", ""},
		{"more signs", strings.Repeat("! ", MaxNesting+1) + "a", "(jmespath_nesting)"},
		{"brackets in a string do not nest", "'" + strings.Repeat("[", 2*MaxNesting) + "'", ""},
		{"500,000 brackets", strings.Repeat("[", 500_000), "(jmespath_query)"},
		{"as many brackets as fit", strings.Repeat("[", MaxQuery), "(jmespath_nesting)"},
		{"a long chain", "a" + strings.Repeat(".a", MaxQuery/2-1), ""},
		{"a long or", "a" + strings.Repeat("||a", MaxQuery/3-1), ""},
		{"a long pipe", "@" + strings.Repeat("|@", MaxQuery/2-1), ""},
		{"a long row of indexes", strings.Repeat("[0]", MaxQuery/3), ""},
		{"a long row of filters", strings.Repeat("[?@]", MaxQuery/4), ""},
	} {
		_, err := search(t, `{"a":[[1]]}`, c.query)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// TestQueriesCostWhatTheirTreesWeigh: two steps for each node of the tree that is run.
func TestQueriesCostWhatTheirTreesWeigh(t *testing.T) {
	for _, query := range []string{"a", "a.b[0]", "[?a == `1`].b", "*.c", "a[].b", "a[1:2].c", "sort_by(a,&b.c[*])", "[a,b,{c:d}]",
		"-a+b||!c&&d|@", "`9007199254740993`", strings.Repeat("[?@]", 100)} {
		q, err := Compile(query)
		if err != nil {
			t.Fatal(err)
		}
		if want := 2 * nodes(q.tree); q.size != want {
			t.Errorf("%s costs %d steps, want %d", query, q.size, want)
		}
	}
}

func nodes(tree parsing.ASTNode) int {
	n := 1
	for _, child := range tree.Children {
		n += nodes(child)
	}
	return n
}

// TestHugeQueriesAreRefusedBeforeAnyWork shows by allocation that nothing grows with a refused query.
func TestHugeQueriesAreRefusedBeforeAnyWork(t *testing.T) {
	for _, query := range []string{strings.Repeat("[", 500_000), strings.Repeat("a", 100<<20)} {
		if n := testing.AllocsPerRun(1, func() { _, _ = Compile(query) }); n > 20 {
			t.Errorf("%d bytes: %v allocations", len(query), n)
		}
	}
}

// TestQueriesWrittenToBeSlowEndEarly runs queries whose cost or result grows exponentially, or with the product of
// lengths, on a budget. Each must end with an error of the meter.
func TestQueriesWrittenToBeSlowEndEarly(t *testing.T) {
	list := "[" + strings.Repeat("1,", 9_999) + "1]"
	for _, c := range []struct{ name, document, query string }{
		{"products of a list with itself", list, "[*].[$[*].[$[*].[@]]]"},
		{"products by functions", list, "map(&map(&map(&@, $), $), $)"},
		{"doubling lists", "[1]", "@" + strings.Repeat("|[@,@][]", 1000)},
		{"doubling trees in text", "[1]", "@" + strings.Repeat("|[@,@,@,@]", 30)},
		{"doubling trees by to_string", "[1]", "@" + strings.Repeat("|[@,@,@,@]", 30) + "|to_string(@)"},
		{"doubling trees compared", "[1]", "[@" + strings.Repeat("|[@,@]", 500) + ",@" + strings.Repeat("|[@,@]", 500) + "] | [0]==[1]"},
		{"doubling trees searched", "[1]", "[@" + strings.Repeat("|[@,@]", 500) + ",@" + strings.Repeat("|[@,@]", 500) + "] | contains([0],[1][0])"},
		{"a large comparison for each element", list, "[*].[$ == $]"},
		{"flattening for each element", list, "[*].[$[]]"},
		{"sorting for each element", list, "[*].[sort($)]"},
		{"grouping for each element", list, "[*].[group_by($, &'a')]"},
		{"long joins", list, "join('" + strings.Repeat("x", 12_000) + "', [*].to_string(@))"},
		{"replacing nothing by much", `"` + strings.Repeat("x", 1<<20) + `"`, "replace(@, '', '" + strings.Repeat("y", 12_000) + "')"},
		{"padding for each element", list, "[*].[pad_left('', `1048576`)]"},
		{"texts for each element", list, "[*].[to_string($)]"},
		{"upper case for each element", `["` + strings.Repeat("é", 1<<16) + `"` + strings.Repeat(",1", 10_000) + "]", "[*].[upper($[0])]"},
		{"slices of a string", `"` + strings.Repeat("x", 1<<20) + `"`, "@" + strings.Repeat("[::-1]", 2700)},
		{"slices of a list", list, "@" + strings.Repeat("|[:]", 4000)},
		{"values for each element", list, "[*].[values({" + strings.Repeat("a:@,", 3000) + "b:@})]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := searchWith(t, c.document, c.query, &Meter{Steps: 2_000_000, Strings: 64 << 20})
			if !errors.Is(err, ErrSteps) && !errors.Is(err, ErrStrings) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestResultsNestNoDeeperThanDocuments(t *testing.T) {
	for depth, want := range map[int]string{32: "", 33: "the result nests deeper than 32"} {
		_, err := search(t, "1", "@"+strings.Repeat("|[@]", depth))
		if (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%d: got %v", depth, err)
		}
	}
}

func TestSearchesStopWhenNobodyWaits(t *testing.T) {
	m := meter()
	v, err := Parse("["+strings.Repeat("1,", 9_999)+"1]", m)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	close(done)
	m.Done = done
	q, err := Compile("[*].[$[*].[@]]")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Search(v, m); !errors.Is(err, ErrDone) {
		t.Errorf("got %v", err)
	}
}

func TestDocumentsHaveLimits(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, c := range []struct{ document, want string }{
		{deep(32), ""},
		{deep(33), "JSON that nests deeper than 32"},
		{strings.Repeat("[", 500_000), "JSON that nests deeper than 32"},
		{strings.Repeat("9", MaxDigits), ""},
		{strings.Repeat("9", MaxDigits+1), "a number has 401 characters"},
		{"1e999999999", "is out of range"},
		{"1e-999999999", ""},
		{`{"a":1,"a":2}`, "duplicate"},
		{"", "the text is empty"},
		{"[1", "the text ends too early"},
		{"abc", "not JSON"},
		{"1 2", "text after the end of the document"},
		{"\"\xff\"", "not JSON"},
	} {
		_, err := Parse(c.document, meter())
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", shorten(c.document), err, c.want)
		}
	}
}

// TestSameSearchCostsTheSame: equal inputs leave equal meters, whatever the order of maps.
func TestSameSearchCostsTheSame(t *testing.T) {
	var before Meter
	for i := range 50 {
		m := meter()
		v, err := Parse(`{"a":{"x":[1,2],"y":1,"z":{}},"b":{"x":[1,2],"y":2,"z":[]}}`, m)
		if err != nil {
			t.Fatal(err)
		}
		q, err := Compile("[a==b, keys(a), *, values(b), a.* | [0]]")
		if err != nil {
			t.Fatal(err)
		}
		found, err := q.Search(v, m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Text(found, m); err != nil {
			t.Fatal(err)
		}
		if i > 0 && *m != before {
			t.Fatalf("run %d left %+v, the one before %+v", i, *m, before)
		}
		before = *m
	}
}
