package lsp

import (
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/assay-attestation/assay/policy"
)

const byteOrderMark = "\uFEFF"

// text is a policy text with the places of its lines and words. Places are offsets in bytes; the protocol and the
// policy language count lines and characters in ways of their own.
type text struct {
	content string
	lines   []int         // where each begins
	words   []policy.Word // without comments
	notes   []policy.Word // the comments
	utf8    bool          // the protocol counts bytes, not UTF-16 code units
}

func newText(s string, utf8 bool) text {
	t := text{content: s, lines: []int{0}, utf8: utf8}
	for i := 0; i < len(s); i++ {
		if s[i] == '\n' || s[i] == '\r' && !strings.HasPrefix(s[i:], "\r\n") {
			t.lines = append(t.lines, i+1)
		}
	}
	for _, w := range policy.Words([]byte(s)) {
		if w.Class == policy.Comment {
			t.notes = append(t.notes, w)
		} else {
			t.words = append(t.words, w)
		}
	}
	return t
}

// line returns the text of a line without its break, and the offset of its beginning.
func (t text) line(n int) (string, int) {
	start, end := t.lines[n], len(t.content)
	if n+1 < len(t.lines) {
		end = t.lines[n+1]
	}
	return strings.TrimRight(t.content[start:end], "\r\n"), start
}

// offset returns the offset of a position. What is beyond the end of a line or of the text is taken for that end.
func (t text) offset(p position) int {
	if int64(p.Line) >= int64(len(t.lines)) {
		return len(t.content)
	}
	line, start := t.line(int(p.Line))
	left := int64(p.Character)
	for i, r := range line {
		if left -= int64(t.units(r)); left < 0 {
			return start + i
		}
	}
	return start + len(line)
}

// position returns the position of an offset.
func (t text) position(offset int) position {
	n := sort.SearchInts(t.lines, offset+1) - 1
	units := 0
	for _, r := range t.content[t.lines[n]:offset] {
		units += t.units(r)
	}
	return position{uint32(n), uint32(units)}
}

// units is how much the protocol counts for a character.
func (t text) units(r rune) int {
	switch {
	case t.utf8:
		return utf8.RuneLen(r)
	case r > 0xFFFF:
		return 2
	}
	return 1
}

func (t text) span(from, to int) span { return span{t.position(from), t.position(to)} }

// character returns the offset of a place as the policy language names it: line and character, both from 1. A
// byte-order mark is no character.
func (t text) character(line, column int) int {
	if line > len(t.lines) {
		return len(t.content)
	}
	s, start := t.line(line - 1)
	if line == 1 && strings.HasPrefix(s, byteOrderMark) {
		s, start = s[len(byteOrderMark):], start+len(byteOrderMark)
	}
	for i := range s {
		if column--; column == 0 {
			return start + i
		}
	}
	return start + len(s)
}

// before returns the words that end at an offset or before it.
func (t text) before(offset int) []policy.Word {
	n := sort.Search(len(t.words), func(i int) bool { return t.words[i].End() > offset })
	return t.words[:n]
}

// at returns the index of the word that an offset is in, or else right behind; false if there is none.
func (t text) at(offset int) (int, bool) {
	n := len(t.before(offset))
	if n < len(t.words) && t.words[n].Offset <= offset {
		return n, true
	}
	return n - 1, n > 0 && t.words[n-1].End() == offset
}

// typed returns the index of the word that an offset is in or right behind, and not before; false if there is none.
func (t text) typed(offset int) (int, bool) {
	n := sort.Search(len(t.words), func(i int) bool { return t.words[i].Offset >= offset }) - 1
	return n, n >= 0 && offset <= t.words[n].End()
}

// inComment reports whether an offset is in or right behind a comment.
func (t text) inComment(offset int) bool {
	return slices.ContainsFunc(t.notes, func(w policy.Word) bool { return w.Offset < offset && offset <= w.End() })
}
