package policy_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/assay-attestation/assay/policy"
)

// FuzzParse holds for every text: no panic; a policy parses from its own text again; errors are in order and lie
// inside the text.
func FuzzParse(f *testing.F) {
	for name := range readIndex(f) {
		f.Add(readPolicy(f, name))
	}
	for _, row := range warningRows() {
		text, _ := marked(framed(row.kind, row.section, row.rule))
		f.Add([]byte(text))
	}
	f.Add(policy.DefaultSGX())
	f.Add([]byte("\uFEFFversion=1.1;\r\rauthorizationrules{\x00};"))
	f.Add([]byte(auth(`!c:[type="a\"", value>=-c.value] && [value==f(1, "b")] => issue(claim==c)`)))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := policy.Parse(text)
		if err != nil {
			checkErrors(t, text, err)
			return
		}
		again, err := policy.Parse(p.Text())
		if err != nil || again.Hash() != policy.Hash(text) || describe(again, nil) != describe(p, nil) {
			t.Errorf("%q parsed, but not a second time: %v", text, err)
		}
		for _, kind := range []string{"SgxEnclave", "Tpm", "AzureGuest", ""} {
			checkWarnings(t, text, p.Warnings(kind))
		}
		if err := p.CheckFor("SgxEnclave"); err != nil {
			checkErrors(t, text, err)
		}
	})
}

func checkErrors(t *testing.T, text []byte, err error) {
	t.Helper()
	errs, _ := errors.AsType[policy.Errors](err)
	if len(errs) == 0 || len(errs) > policy.MaxErrors {
		t.Fatalf("%q: %d errors: %v", text, len(errs), err)
	}
	last := policy.Error{}
	for _, e := range errs {
		checkPlace(t, text, e.Line, e.Column)
		if e.Line < last.Line || e.Line == last.Line && e.Column <= last.Column {
			t.Errorf("%q: error at %d:%d after one at %d:%d", text, e.Line, e.Column, last.Line, last.Column)
		}
		if e.Failure == "" || !strings.HasPrefix(e.Rule, "policy") || !utf8.ValidString(e.Error()) || strings.Contains(e.Error(), "\n") {
			t.Errorf("%q: %#v", text, e)
		}
		if lines := strings.Split(e.Detail(), "\n"); len(lines) != 4 || !strings.HasSuffix(lines[2], "^") {
			t.Errorf("%q: detail %q", text, e.Detail())
		}
		last = *e
	}
}

// checkWarnings holds for all warnings: they are few, in order, in the text, and each fix gives a policy again.
func checkWarnings(t *testing.T, text []byte, found []policy.Warning) {
	t.Helper()
	if len(found) > policy.MaxWarnings {
		t.Fatalf("%q: %d warnings", text, len(found))
	}
	last := policy.Warning{}
	for _, w := range found {
		checkPlace(t, text, w.Line, w.Column)
		checkPlace(t, text, w.Line, w.EndColumn)
		known := slices.ContainsFunc(policy.WarningCodes(), func(c policy.WarningCode) bool { return c.Code == w.Code })
		if !known || w.Text == "" || !utf8.ValidString(w.Text) || strings.ContainsAny(w.Text+w.Fix, "\r\n") || w.EndColumn < w.Column {
			t.Errorf("%q: %+v", text, w)
		}
		if w.Line < last.Line || w.Line == last.Line && w.Column < last.Column {
			t.Errorf("%q: warning at %d:%d after one at %d:%d", text, w.Line, w.Column, last.Line, last.Column)
		}
		if w.Fix != "" {
			if _, err := policy.Parse([]byte(written(text, w))); err != nil {
				t.Errorf("%q with the fix of %+v: %v", text, w, err)
			}
		}
		last = w
	}
}

// written returns the text with the fix in place of what the warning is about.
func written(text []byte, w policy.Warning) string {
	unix := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(string(text), "\uFEFF"))
	lines := strings.Split(unix, "\n")
	line := []rune(lines[w.Line-1])
	lines[w.Line-1] = string(line[:w.Column-1]) + w.Fix + string(line[w.EndColumn-1:])
	return strings.Join(lines, "\n")
}

// checkPlace fails if a place is not in the text or right behind the end of one of its lines.
func checkPlace(t *testing.T, text []byte, line, column int) {
	t.Helper()
	unix := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(string(text), "\uFEFF"))
	lines := strings.Split(unix, "\n")
	if line < 1 || line > len(lines) || column < 1 || column > utf8.RuneCountInString(lines[line-1])+1 {
		t.Errorf("%q: place %d:%d is outside", text, line, column)
	}
}

// FuzzEvaluate holds for every policy and claims: no panic; two evaluations give the same; what is issued is grouped
// without repetition.
func FuzzEvaluate(f *testing.F) {
	for name, v := range readIndex(f) {
		for _, when := range v.ExpectedWhen {
			f.Add(readPolicy(f, name), []byte(when.Claims))
		}
	}
	f.Add([]byte(issuance(`c:[type!="x"] && d:[value>=c.value] => issue(type=c.type, value=d.issuer); => issue(claim=e);`)),
		[]byte(`[{"type":"a","value":1},{"type":"a","value":true},{"type":"b","value":"c","issuer":"CustomClaim"}]`))
	f.Add([]byte(issuance12(`c:[type=="a"] => issue(type="b", value=JsonToClaimValue(JmesPath(c.value, AppendString("x", ".*"))));`)),
		[]byte(`[{"type":"a","value":"{\"x\":{\"y\":[1,2]}}"}]`))
	f.Fuzz(func(t *testing.T, text, claimsFile []byte) {
		p, err := policy.Parse(text)
		if err != nil {
			return
		}
		claims, err := policy.ParseClaims(claimsFile)
		if err != nil {
			return
		}
		first, again := describe(p, claims), describe(p, claims)
		if first != again || strings.HasPrefix(first, "repeated: ") {
			t.Errorf("%q on %q: %s, then %s", text, claimsFile, first, again)
		}
		compareTrace(t, p, claims)
	})
}

// compareTrace holds a traced evaluation to the verdict of one that is not.
func compareTrace(t *testing.T, p *policy.Policy, claims []policy.Claim) {
	t.Helper()
	budget := policy.Budget{Claims: 1000, Steps: 100_000}
	_, err := p.Evaluate(claims, budget)
	want := "permit"
	if err != nil {
		want = verdictOf(err)
	}
	trace := p.Explain("", claims, budget)
	if string(trace.Verdict) != want || err != nil && trace.Message != err.Error() {
		t.Errorf("%q: the trace says %s, %s; the evaluation %v", p.Text(), trace.Verdict, trace.Message, err)
	}
}

// describe evaluates with a small budget and says all that came out.
func describe(p *policy.Policy, claims []policy.Claim) string {
	configuration, err := p.Configure("SgxEnclave", policy.Budget{})
	if err != nil {
		return err.Error()
	}
	o, err := p.Evaluate(claims, policy.Budget{Claims: 1000, Steps: 100_000})
	if err != nil {
		return verdictOf(err) + err.Error()
	}
	for _, groups := range [][]policy.Group{o.Issued(), o.Properties()} {
		if repeated := repetition(groups); repeated != "" {
			return "repeated: " + repeated
		}
	}
	return fmt.Sprint(o.PermittedBy(), groupText(o.Issued()), groupText(o.Properties()), groupText(configuration.Properties()))
}

// repetition returns a type or a value that is there twice, or "".
func repetition(groups []policy.Group) string {
	types := map[string]bool{}
	for _, g := range groups {
		values := map[policy.Value]bool{}
		for _, v := range g.Values {
			if values[v] {
				return g.Type + " " + v.String()
			}
			values[v] = true
		}
		if types[g.Type] || len(values) == 0 {
			return g.Type
		}
		types[g.Type] = true
	}
	return ""
}
