package policy

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// longestWord is up to how many bytes a word is compared with others; longer ones are like none.
const longestWord = 40

// similar returns the word that the next token was most likely meant to be, if it is an identifier that resembles one.
func (p *parser) similar(words ...string) (string, bool) {
	if !p.is(identToken) {
		return "", false
	}
	return similar(p.tok.raw, words...)
}

// similar returns the word that resembles written most: one with few letters changed, or shortened.
func similar(written string, words ...string) (string, bool) {
	written = strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf {
			return '?' // one letter, however many bytes it has
		}
		return unicode.ToLower(r)
	}, written)
	if len(written) < 3 || len(written) > longestWord {
		return "", false
	}
	best, limit := "", 1+len(written)/4
	for _, w := range words {
		if d := distance(written, strings.ToLower(w), limit); d <= limit {
			best, limit = w, d-1
		}
	}
	for _, w := range words {
		if best == "" && shortens(written, strings.ToLower(w)) {
			best = w
		}
	}
	return best, best != ""
}

// shortens says whether written is word with letters left out, but not the first.
func shortens(written, word string) bool {
	if written[0] != word[0] {
		return false
	}
	for i := range len(word) {
		if written != "" && written[0] == word[i] {
			written = written[1:]
		}
	}
	return written == ""
}

func didYouMean(word string) string {
	if word == "valuetype" {
		word = "valueType"
	}
	return "did you mean '" + word + "'?"
}

// misspelled reports that the next token is none of the terminals, and which word it resembles.
func (p *parser) misspelled(word string, names ...string) {
	advice := didYouMean(word)
	if problem := p.tok.problem(); problem != "" {
		advice = problem + "; " + advice
	}
	p.mismatchAt(p.tok, advice, names...)
}
