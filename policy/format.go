package policy

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// The measures of the canonical layout, in columns.
const (
	indentation = 4
	// ruleWidth is up to which column a rule stands on one line.
	ruleWidth = 110
	// lineWidth is up to which column a part of a rule is not broken further.
	lineWidth = 120
)

// Format returns the policy in its canonical layout: one rule on a line where it fits, else one condition on a line, and
// lists broken behind their commas. It changes white space and the case of reserved words, and nothing else: words,
// comments and their order stay, strings are kept byte for byte, and a comment stands on a line of its own, or behind a
// word, as before. Of several blank lines between rules or sections one is kept. A byte-order mark is dropped, lines
// end with LF. Formatting what Format returned changes nothing.
//
// Every byte of a policy counts for its hash, so that the hash changes where the text does. The error is that of Parse,
// or of type Errors for a policy whose layout takes more than MaxText bytes.
func Format(text []byte) ([]byte, error) {
	if _, err := Parse(text); err != nil {
		return nil, err
	}
	l := layout{pieces: pieces(string(text), Words(text))}
	l.policy()
	if len(l.out) > MaxText {
		return nil, Errors{{Line: 1, Column: 1, Symbol: endOfText, Rule: "policy",
			Failure: fmt.Sprintf("the formatted policy has %d bytes, at most %d are allowed", len(l.out), MaxText)}}
	}
	return l.out, nil
}

// piece is a word with the comments that belong to it.
type piece struct {
	class, text string
	blank       bool     // a blank line stands before it, or before the last comment
	before      []remark // comments on lines of their own
	after       string   // the comment behind it on its line
}

// remark is a comment on a line of its own.
type remark struct {
	text  string
	blank bool // a blank line stands before it
}

// pieces joins the comments of a text to its words. The last piece is the end of the text.
func pieces(text string, words []Word) []piece {
	var found []piece
	var next piece // has the comments that wait for their word
	at := 0
	for _, w := range append(words, Word{Class: endOfText, Offset: len(text)}) {
		breaks := lineBreaks(text[at:w.Offset])
		at = w.End()
		switch {
		case w.Class != Comment:
			next.class, next.text, next.blank = w.Class, canonical(w), breaks > 1
			found, next = append(found, next), piece{}
		case breaks == 0 && len(found) > 0:
			found[len(found)-1].after = strings.TrimRight(w.Text, " \t")
		default:
			next.before = append(next.before, remark{strings.TrimRight(w.Text, " \t"), breaks > 1})
		}
	}
	dropBlanks(found)
	return found
}

// canonical returns a word as the layout writes it.
func canonical(w Word) string {
	switch {
	case w.Class == "valuetype":
		return "valueType"
	case reserved(w.Class):
		return w.Class
	}
	return w.Text
}

// dropBlanks leaves blank lines only where the layout keeps them: between rules, sections and the comments around them.
func dropBlanks(words []piece) {
	last := "{"
	for i := range words {
		w := &words[i]
		if last != ";" && last != "{" {
			w.blank = false
			for j := range w.before {
				w.before[j].blank = false
			}
		}
		if last == "{" {
			*w.firstBlank() = false
		}
		if w.class == "}" {
			w.blank = false
		}
		last = w.class
	}
}

// firstBlank is the blank line before the piece and its comments.
func (w *piece) firstBlank() *bool {
	if len(w.before) > 0 {
		return &w.before[0].blank
	}
	return &w.blank
}

// layout writes pieces. The methods up to printing take words from the pieces left.
type layout struct {
	pieces []piece
	out    []byte
	column int
	last   string // class of the last word written
	due    bool   // the next word begins a line
	indent int    // of that line
}

// policy writes the version, the sections, and the comments behind them.
func (l *layout) policy() {
	l.line(0)
	l.flat(l.take(";"), 0)
	for len(l.pieces) > 1 {
		l.section()
	}
	l.line(0)
	l.remarks(l.pieces[0], 0)
	l.out = append(l.out, '\n')
}

// take returns the words up to the first of a class.
func (l *layout) take(class string) []piece {
	n := 1 + slices.IndexFunc(l.pieces, func(w piece) bool { return w.class == class })
	words := l.pieces[:n]
	l.pieces = l.pieces[n:]
	return words
}

// section writes the keyword, the braces on lines of their own, and the rules between them.
func (l *layout) section() {
	for _, w := range l.take("{") {
		l.line(0)
		l.word(w, 0)
	}
	for l.pieces[0].class != "}" {
		l.rule(l.take(";"))
	}
	l.line(indentation)
	l.remarks(l.pieces[0], indentation)
	l.pieces[0].before = nil
	l.line(0)
	l.flat(l.take(";"), 0)
}

// rule writes a rule on one line, or each condition on one and the action behind the last or on one of its own.
func (l *layout) rule(words []piece) {
	l.line(indentation)
	if !commented(words) && indentation+width("", words) <= ruleWidth {
		l.flat(words, indentation)
		return
	}
	indent := indentation
	for words[0].class != "=>" {
		n := slices.IndexFunc(words, func(w piece) bool { return w.class == "&&" || w.class == "=>" })
		if words[n].class == "&&" {
			n++
		}
		l.line(indentation)
		l.span(words[:n], indentation, 0)
		words, indent = words[n:], 2*indentation
	}
	if indent > indentation && (l.due || len(words[0].before) > 0 || !l.fits(words, 0)) {
		l.line(indent)
	}
	l.span(words, indent, 0)
}

// commented reports whether comments stand between words.
func commented(words []piece) bool {
	last := len(words) - 1
	for i, w := range words {
		if i > 0 && len(w.before) > 0 || i < last && w.after != "" {
			return true
		}
	}
	return false
}

// fits reports whether words can stand in one line, the next or the one being written, with so many columns beside them.
func (l *layout) fits(words []piece, more int) bool {
	column, last := l.column, l.last
	if l.due {
		column, last = l.indent, ""
	}
	return !commented(words) && column+width(last, words)+more <= lineWidth
}

// span writes part of a rule. Lists in it that do not fit are broken, where tail is what must stand on the line behind.
func (l *layout) span(words []piece, indent, tail int) {
	for i := 0; i < len(words); i++ {
		list := words[i : i+listLength(words[i:])]
		rest := tail + width(list[len(list)-1].class, words[i+len(list):])
		if len(list) > 1 && !l.fits(list, rest) {
			l.list(list, indent, rest)
		} else {
			l.flat(list, indent)
		}
		i += len(list) - 1
	}
}

// listLength is the number of words from an opening bracket to the one that closes it, and 1 for other words.
func listLength(words []piece) int {
	depth := 0
	for i, w := range words {
		switch w.class {
		case "[", "(":
			depth++
		case "]", ")":
			depth--
		}
		if depth == 0 {
			return i + 1
		}
	}
	return len(words)
}

// list writes brackets and what they hold: of several items each but the first on a line of its own.
func (l *layout) list(words []piece, indent, tail int) {
	last := len(words) - 1
	l.word(words[0], indent+indentation)
	items := items(words[1:last])
	inner := indent
	if len(items) > 1 {
		inner += indentation
	}
	for i, item := range items {
		if i > 0 {
			l.line(inner)
		}
		rest := 0
		if i == len(items)-1 {
			rest = width("", words[last:]) + tail
		}
		l.span(item, inner, rest)
	}
	l.word(words[last], indent+indentation)
}

// items cuts the inside of a list behind its commas.
func items(words []piece) [][]piece {
	var found [][]piece
	start := 0
	for i := 0; i < len(words); {
		i += listLength(words[i:])
		if i == len(words) || words[i-1].class == "," {
			found = append(found, words[start:i])
			start = i
		}
	}
	return found
}

// flat writes words on one line, as far as comments allow.
func (l *layout) flat(words []piece, indent int) {
	for _, w := range words {
		l.word(w, indent+indentation)
	}
}

// line makes the next word begin a line.
func (l *layout) line(indent int) { l.due, l.indent = true, indent }

// word writes a word with its comments. Where comments break the line, it goes on with the indentation given.
func (l *layout) word(w piece, indent int) {
	l.remarks(w, indent)
	switch {
	case l.due:
		l.newLine(w.blank)
	case spaced(l.last, w.class):
		l.write(" ")
	}
	l.write(w.text)
	l.last = w.class
	if w.after != "" {
		l.write(" " + w.after)
		l.line(indent)
	}
}

// remarks writes the comments before a word, and leaves the next line due if there are any.
func (l *layout) remarks(w piece, indent int) {
	for _, c := range w.before {
		if !l.due {
			l.line(indent)
		}
		l.newLine(c.blank)
		l.write(c.text)
		l.due = true
	}
}

func (l *layout) newLine(blank bool) {
	if len(l.out) > 0 {
		l.out = append(l.out, '\n')
	}
	if blank {
		l.out = append(l.out, '\n')
	}
	l.out = append(l.out, strings.Repeat(" ", l.indent)...)
	l.due, l.column = false, l.indent
}

func (l *layout) write(text string) {
	l.out = append(l.out, text...)
	l.column += utf8.RuneCountInString(text)
}

// width is how many columns the words take behind a word of the class last, or at the beginning of a line without one.
func width(last string, words []piece) int {
	n := 0
	for _, w := range words {
		if spaced(last, w.class) {
			n++
		}
		n += utf8.RuneCountInString(w.text)
		last = w.class
	}
	return n
}

// spaced reports whether a blank stands between two words of a line.
func spaced(left, right string) bool {
	switch {
	case left == "" || left == ";" || left == "{":
		return false
	case left == "," || left == "=>" || left == "&&":
		return true
	}
	return right == "=>" || right == "&&"
}
