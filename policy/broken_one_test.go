package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

// TestOneMistakeIsOneError makes one mistake at each word of every policy of the vectors. The first error must stand at
// the mistake or at the word behind it, and no second one may follow from it.
func TestOneMistakeIsOneError(t *testing.T) {
	for name, change := range map[string]func(word string) string{
		"the word twice":  func(word string) string { return word + " " + word },
		"another word":    func(word string) string { return word + " zzz " },
		"a percent sign":  func(word string) string { return word + " % " },
		"an equals sign":  func(word string) string { return word + " = " },
		"an arrow":        func(word string) string { return word + " => " },
		"an open bracket": func(word string) string { return word + "[" },
		"a bracket":       func(word string) string { return word + "]" },
		"no-break space":  func(word string) string { return word + "\u00A0" },
	} {
		t.Run(name, func(t *testing.T) {
			wrong, cascades := 0, 0
			forEachWord(t, func(text string, w, behind policy.Word) {
				broken := text[:w.Offset] + change(w.Text) + text[w.End():]
				errs := parseErrors(broken)
				switch {
				case len(errs) == 0:
					t.Errorf("%q parses", broken)
				case !near(broken, errs[0], w, behind):
					wrong++
				case len(errs) > 1:
					cascades++
				}
			})
			if wrong > 0 || cascades > 0 {
				t.Errorf("%d errors at the wrong place, %d that follow from others", wrong, cascades)
			}
		})
	}
}

// forEachWord calls do with every policy of the vectors that parses, each of its words, and the word behind it.
func forEachWord(t *testing.T, do func(text string, w, behind policy.Word)) {
	t.Helper()
	for name, v := range readIndex(t) {
		text := readPolicy(t, name)
		if v.Kind != "text" || !v.Parses || len(text) > 4000 {
			continue
		}
		words := policy.Words(text)
		for i, w := range words {
			behind := policy.Word{Offset: len(text)}
			if i+1 < len(words) {
				behind = words[i+1]
			}
			if w.Class != policy.Comment {
				do(string(text), w, behind)
			}
		}
	}
}

func parseErrors(text string) policy.Errors {
	_, err := policy.Parse([]byte(text))
	errs, _ := errors.AsType[policy.Errors](err)
	return errs
}

// near reports whether an error stands between the beginning of the word that was changed and the end of the next one,
// both as they stand in the broken text.
func near(broken string, e *policy.Error, w, behind policy.Word) bool {
	lines := strings.SplitAfter(broken, "\n")
	at := len(strings.Join(lines[:e.Line-1], "")) + len(string([]rune(lines[e.Line-1])[:e.Column-1]))
	return at >= w.Offset && at <= behind.End()+len(w.Text)+len(" zzz ")
}
