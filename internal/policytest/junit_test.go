package policytest

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// suites is JUnit's XML as a CI system reads it: nothing is shared with what writes it.
type suites struct {
	XMLName  xml.Name `xml:"testsuites"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Errors   int      `xml:"errors,attr"`
	Suite    []struct {
		Name     string `xml:"name,attr"`
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Skipped  int    `xml:"skipped,attr"`
		Case     []struct {
			Name      string  `xml:"name,attr"`
			ClassName string  `xml:"classname,attr"`
			Failure   *detail `xml:"failure"`
			Error     *detail `xml:"error"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

type detail struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// mixed is a report with a case in each status.
func mixed() *Report {
	return &Report{Files: []FileReport{
		{Name: "a/one.test.yaml", Cases: []CaseReport{
			{Name: "passes", Line: 4, Status: Passed},
			{Name: "fails <&\"\x01\n", Line: 8, Status: Failed, Differences: []Difference{{"issued", "a", `"<"`, ""}, {"line", "", "3", "4"}}, Message: "so\x00it is"},
			{Name: "lacks an expectation", Line: 12, Status: Failed, Missing: true, Differences: []Difference{{"verdict", "", "", "deny"}}},
			{Name: "is updated", Line: 16, Status: Updated, Differences: []Difference{{"line", "", "3", "4"}}},
			{Name: "is added", Line: 20, Status: Added, Missing: true},
			{Name: "is broken", Line: 24, Status: Broken, Err: errors.New("no such file")},
		}},
		{Name: "b/two.test.yaml", Err: errors.New("b/two.test.yaml:1:1: expected something")},
	}}
}

func TestJUnitIsReadBack(t *testing.T) {
	b, err := mixed().JUnit()
	if err != nil {
		t.Fatal(err)
	}
	var got suites
	if err := xml.Unmarshal(b, &got); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	if got.Tests != 7 || got.Failures != 2 || got.Errors != 2 || len(got.Suite) != 2 || !strings.HasPrefix(string(b), "<?xml ") {
		t.Fatalf("got %+v", got)
	}
	first, second := got.Suite[0], got.Suite[1]
	if first.Name != "a/one.test.yaml" || first.Tests != 6 || first.Failures != 2 || first.Errors != 1 || len(first.Case) != 6 || first.Skipped != 0 {
		t.Errorf("first suite: %+v", first)
	}
	failure := &detail{"not as expected: issued, line", "difference", "a/one.test.yaml:8\n  issued:\n-   a: \"<\"\n- line: 3\n+ line: 4\n  the service says: so\uFFFDit is\n"}
	if c := first.Case[1]; c.Name != "fails <&\"\uFFFD\n" || c.ClassName != "a/one.test.yaml" || c.Error != nil || !reflect.DeepEqual(c.Failure, failure) {
		t.Errorf("failed case: %+v, failure %+v, want %+v", c, c.Failure, failure)
	}
	if c := first.Case[2]; c.Failure == nil || c.Failure.Message != "no expectation" || !strings.Contains(c.Failure.Text, "+ verdict: deny") {
		t.Errorf("case without expectation: %+v", c)
	}
	for _, i := range []int{0, 3, 4} {
		if c := first.Case[i]; c.Failure != nil || c.Error != nil {
			t.Errorf("case %s: %+v, %+v, want a pass", c.Name, c.Failure, c.Error)
		}
	}
	if c := first.Case[5]; c.Error == nil || c.Error.Message != "no such file" || c.Failure != nil {
		t.Errorf("broken case: %+v", c)
	}
	if c := second.Case[0]; second.Errors != 1 || c.Error == nil || c.Error.Message != "b/two.test.yaml:1:1: expected something" {
		t.Errorf("broken file: %+v", second)
	}
}

func TestCasesAreCountedByStatus(t *testing.T) {
	n := mixed().Count()
	if want := (Counts{Passed: 1, Failed: 2, Updated: 1, Added: 1, Broken: 1, BrokenFiles: 1}); n != want {
		t.Errorf("got %+v, want %+v", n, want)
	}
	if n.Cases() != 6 {
		t.Errorf("%d cases, want 6", n.Cases())
	}
}

// TestJUnitKeepsToTheSchemaOfJenkins holds the elements and attributes to those of junit-10.xsd of Jenkins' xUnit plugin, as
// far as they are used here. Those in capitals must be there.
func TestJUnitKeepsToTheSchemaOfJenkins(t *testing.T) {
	schema := map[string]string{
		"testsuites": "name time tests failures errors",
		"testsuite":  "NAME TESTS FAILURES ERRORS group time skipped timestamp hostname id package file log url",
		"testcase":   "NAME time classname group",
		"failure":    "type message", "error": "type message",
	}
	b, err := mixed().JUnit()
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(b)); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		element, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		allowed := strings.Fields(schema[element.Name.Local])
		if len(allowed) == 0 {
			t.Errorf("element %s", element.Name.Local)
		}
		for _, a := range element.Attr {
			i := slices.IndexFunc(allowed, func(name string) bool { return strings.EqualFold(name, a.Name.Local) })
			if i < 0 {
				t.Fatalf("attribute %s of %s", a.Name.Local, element.Name.Local)
			}
			allowed = slices.Delete(allowed, i, i+1)
		}
		for _, left := range allowed {
			if left == strings.ToUpper(left) {
				t.Errorf("no attribute %s of %s", left, element.Name.Local)
			}
		}
	}
}
