package policy

import "strings"

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
	written = strings.ToLower(written)
	if len(written) < 3 || len(written) > longestWord {
		return "", false
	}
	best, least := "", 1+len(written)/4
	for _, w := range words {
		if n := edits([]rune(written), []rune(strings.ToLower(w))); n <= least {
			best, least = w, n-1
		}
	}
	for _, w := range words {
		if best == "" && shortens(written, strings.ToLower(w)) {
			best = w
		}
	}
	return best, best != ""
}

// edits counts the letters to insert, delete, replace or swap with their neighbour to make b of a.
func edits(a, b []rune) int {
	before, last, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range a {
		next[0] = i + 1
		for j := range b {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			next[j+1] = min(change, last[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, last, next = last, next, before
	}
	return last[len(b)]
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
