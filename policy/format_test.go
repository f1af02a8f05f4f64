package policy_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

// word is what formatting keeps of a word or a comment.
type word struct {
	text    string
	ownLine bool // a comment with nothing before it on its line
}

// wordsOf is what formatting must not change: the words in their order, reserved words without regard to case, with the
// comments between them.
func wordsOf(text []byte) (words []word) {
	for _, w := range policy.Words(text) {
		kept := word{text: w.Text}
		switch w.Class {
		case policy.Comment:
			line := string(text[:w.Offset])
			line = strings.TrimPrefix(line[strings.LastIndexAny(line, "\r\n")+1:], "\uFEFF")
			kept = word{strings.TrimRight(w.Text, " \t"), strings.TrimSpace(line) == ""}
		case policy.IdentWord, policy.StringWord, policy.NumberWord:
		default:
			kept.text = w.Class
		}
		words = append(words, kept)
	}
	return words
}

// format formats a policy and checks all that must hold of the result, whatever the policy.
func format(t *testing.T, text []byte) []byte {
	t.Helper()
	out, err := policy.Format(text)
	if err != nil {
		t.Fatalf("%q: refused: %v", text, err)
	}
	if _, err := policy.Parse(out); err != nil {
		t.Fatalf("%q: the result %q does not parse: %v", text, out, err)
	}
	if again, err := policy.Format(out); err != nil || string(again) != string(out) {
		t.Errorf("%q: not the same when formatted again: %v\nfirst\n%s\nthen\n%s", text, err, out, again)
	}
	if before, after := wordsOf(text), wordsOf(out); !slices.Equal(before, after) {
		t.Errorf("%q: other words or comments\nbefore %+v\nafter  %+v", text, before, after)
	}
	checkWhiteSpace(t, string(out))
	return out
}

// checkWhiteSpace holds a formatted text to what docs/policy.md promises of every one.
func checkWhiteSpace(t *testing.T, out string) {
	t.Helper()
	if strings.HasPrefix(out, "\uFEFF") || strings.HasPrefix(out, "\n") || strings.Contains(out, "\n\n\n") || strings.Contains(out, "\r") ||
		!strings.HasSuffix(out, "\n") || strings.HasSuffix(out, "\n\n") {
		t.Errorf("byte-order mark, carriage return, or line feeds too many or too few: %q", out)
	}
	for line := range strings.Lines(out) {
		if line = strings.TrimSuffix(line, "\n"); strings.TrimRight(line, " \t") != line {
			t.Errorf("blanks at the end of the line %q", line)
		}
	}
}

func TestFormatKeepsTheWordsOfEveryVector(t *testing.T) {
	formatted := 0
	for name := range readIndex(t) {
		text := readPolicy(t, name)
		if _, err := policy.Parse(text); err != nil {
			continue
		}
		formatted++
		t.Run(name, func(t *testing.T) { format(t, text) })
	}
	if formatted < 15 {
		t.Errorf("only %d vectors were formatted", formatted)
	}
}

// sameOutcome checks that two policies say the same of the claims, and returns it: verdict, issued claims, properties.
func sameOutcome(t *testing.T, a, b []byte, claims []policy.Claim) string {
	t.Helper()
	var said [2]string
	for i, text := range [][]byte{a, b} {
		o, err := mustParse(t, string(text)).Evaluate(claims, policy.Budget{})
		if err != nil {
			said[i] = verdictOf(err)
			continue
		}
		said[i] = "permit " + groupText(o.Issued()) + groupText(o.Properties())
	}
	if said[0] != said[1] {
		t.Errorf("%s\nsays   %s\nthe formatted policy\n%s\nsays   %s", a, said[0], b, said[1])
	}
	return said[0]
}

// gap invents what may stand between two words: white space, line breaks of all kinds, comments.
func (w writer) gap() string {
	var b strings.Builder
	for range w.IntN(4) {
		b.WriteString(pick(w, " ", "  ", "\t", "\n", "\r\n", "\r", "\n\n\n", " \n \n", "// c\n", "//\r\n", "// type==\"x\"; => \t\n"))
	}
	return b.String()
}

// shaken is a policy with other white space and comments between its words.
func (w writer) shaken(text string) string {
	var b strings.Builder
	b.WriteString(pick(w, "", "\uFEFF", "\n"))
	for _, word := range policy.Words([]byte(text)) {
		spelt := word.Text
		if word.Class != policy.StringWord && word.Class != policy.IdentWord && w.IntN(4) == 0 {
			spelt = strings.ToUpper(spelt)
		}
		b.WriteString(w.gap() + spelt)
	}
	return b.String() + w.gap()
}

// call invents a function call, most of which give a value.
func (w writer) call(depth int) string {
	if depth == 0 {
		return rightText(w.value())
	}
	inner := func() string { return w.call(w.IntN(depth)) }
	switch w.IntN(6) {
	case 0:
		return "AppendString(" + pick(w, `"x\"y"`, `"\\"`, inner()) + ", " + inner() + ")"
	case 1:
		return "ContainsOnlyValue(" + inner() + "," + inner() + ")"
	case 2:
		return "IsSubsetOf( " + inner() + "," + inner() + ")"
	case 3:
		return "JsonToClaimValue(JmesPath(\"[{\\\"a\\\":1},{\\\"a\\\":[2,3]}]\", \"" + pick(w, "[0].a", "[1].a", "[*].a | length(@)", "[?a == `1`]", "b") + "\"))"
	case 4:
		return "NegateBool(IsSubsetOf(" + inner() + ", " + inner() + "))"
	}
	return "JmesPath(\"{}\", \"keys(@)\")"
}

// calling invents rules of version 1.2.
func (w writer) calling() (text string) {
	for range w.IntN(4) {
		text += pick(w, "", "!", "l:", "!l:") + "[type==" + rightText(w.name()) + "] => issue(type=\"f\", value=" + w.call(4) + ");"
	}
	return text
}

func TestFormattedPoliciesMeanTheSame(t *testing.T) {
	w := writer{rand.New(rand.NewPCG(3, 4))}
	seen := map[string]int{}
	for range 1_000 {
		_, authText := w.rules("permit", "permit", "permit", "deny", "add")
		_, issueText := w.rules("add", "issue", "issue", "copy")
		text := "version=1.2;authorizationrules{" + authText + "};issuancerules {" + issueText + w.calling() + "};"
		if w.IntN(2) == 0 {
			text = w.shaken(text)
		}
		out := format(t, []byte(text))
		said, issued, _ := strings.Cut(sameOutcome(t, []byte(text), out, w.claims()), " ")
		if seen[said]++; strings.Contains(issued, "f:") {
			seen["function"]++
		}
	}
	for _, kind := range []string{"permit", "deny", "no-permit", "error", "function"} {
		if seen[kind] < 20 {
			t.Errorf("the invented policies end too rarely in %s to compare: %v", kind, seen)
		}
	}
}

func TestFormatRefusesWhatDoesNotParse(t *testing.T) {
	for _, text := range []string{"", "version=1.0;", "version=1.0;authorizationrules{ [type=\"a\"] => permit() };", auth(`=> issue(claim=c);`), "\xff"} {
		_, want := policy.Parse([]byte(text))
		out, err := policy.Format([]byte(text))
		if err == nil || err.Error() != want.Error() || out != nil {
			t.Errorf("%q: got %q and %v, want the errors of Parse: %v", text, out, err, want)
		}
		if _, ok := errors.AsType[policy.Errors](err); !ok {
			t.Errorf("%q: error of type %T, want Errors", text, err)
		}
	}
}

// The layout makes a text without line breaks longer, so that one near the limit does not fit any more.
func TestFormatRefusesAResultAboveTheLimit(t *testing.T) {
	const frame, ruleSource, rule = "version=1.0;\nauthorizationrules\n{\n};\n", "=>permit();", "    => permit();\n"
	for _, test := range []struct {
		longest int
		want    bool
	}{{policy.MaxText, true}, {policy.MaxText + 1, false}} {
		comment := "//" + strings.Repeat("x", test.longest-len(frame)-len(rule)-len("//\n"))
		text := comment + "\nversion=1.0;authorizationrules{" + ruleSource + "};"
		out, err := policy.Format([]byte(text))
		if _, refused := errors.AsType[policy.Errors](err); refused == test.want || test.want && len(out) != policy.MaxText {
			t.Errorf("result of %d bytes: got %d bytes, %v; want it accepted: %v", test.longest, len(out), err, test.want)
		}
	}
}

// FuzzFormat holds for every text: no panic; what parses is formatted, parses again with the same words and comments,
// and is not changed a second time.
func FuzzFormat(f *testing.F) {
	for name := range readIndex(f) {
		f.Add(readPolicy(f, name))
	}
	f.Add(policy.DefaultSGX())
	f.Add([]byte("\uFEFF//a\r\rVERSION=1.1;\r\n\r\n//b\nauthorizationrules//c\n{//d\n//e\n=>permit(//f\n);};//g"))
	f.Add([]byte(auth(`c:[type=="a\\", value>=-5//x` + "\n" + `, valuetype=="Integer"] && //y` + "\n" + `[value==c.value] => issue(claim=c)`)))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := policy.Parse(text); err == nil && len(text) < policy.MaxText/8 {
			format(t, text)
		} else if out, err := policy.Format(text); err == nil && len(out) > policy.MaxText {
			t.Errorf("%q: accepted with a result of %d bytes", text, len(out))
		}
	})
}

func TestWordsKeepEveryByteThatIsNoWhiteSpace(t *testing.T) {
	for name := range readIndex(t) {
		text := readPolicy(t, name)
		at := 0
		for _, w := range policy.Words(text) {
			if strings.TrimSpace(string(text[at:w.Offset])) != "" || string(text[w.Offset:w.End()]) != w.Text {
				t.Errorf("%s: %q at offset %d, after %q", name, w.Text, w.Offset, text[at:w.Offset])
			}
			at = w.End()
		}
		if strings.TrimSpace(string(text[at:])) != "" {
			t.Errorf("%s: %q is left", name, text[at:])
		}
	}
	if words := policy.Words(make([]byte, policy.MaxText+1)); words != nil {
		t.Errorf("a text above the limit has %d words, want none", len(words))
	}
}

func TestWordsHaveTheirClass(t *testing.T) {
	const text = "\uFEFFType //c\n== \"a\\\"\" 12 label “ => \"open"
	want := []policy.Word{
		{"type", "Type", 3}, {policy.Comment, "//c", 8}, {"==", "==", 12}, {policy.StringWord, `"a\""`, 15}, {policy.NumberWord, "12", 21},
		{policy.IdentWord, "label", 24}, {"", "“ => \"", 30}, {policy.IdentWord, "open", 38},
	}
	if got := policy.Words([]byte(text)); !slices.Equal(got, want) {
		t.Errorf("%q\ngot  %v\nwant %v", text, got, want)
	}
}
