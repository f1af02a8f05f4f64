package policy

// Comment is the class of comments, which are no words of the language.
const Comment = "comment"

// The classes of words that are written in many ways; the class of every other word is its spelling.
const (
	IdentWord  = identToken  // a label or the name of a function
	NumberWord = numberToken // a decimal integer without its sign
	StringWord = stringToken // a string, also one that is not closed on its line
)

// Word is a word or a comment of a policy text.
type Word struct {
	// Class is the terminal of the grammar that the word stands for (policy.md section 2): a reserved word in lower
	// case, a punctuation mark, one of the classes above, or Comment. It is empty for what is no word of the language.
	Class string
	// Text is the word as it is written, strings with their quotes and comments with their slashes.
	Text string
	// Offset is where the word begins, in bytes.
	Offset int
}

// End returns the offset behind the word's last byte.
func (w Word) End() int { return w.Offset + len(w.Text) }

// Words cuts a policy text into words and comments, in the order of the text. It is for tools that show or rewrite
// policies, takes any text, also one that does not parse, and never fails; of a text of more than MaxText bytes it
// returns nothing.
func Words(text []byte) []Word {
	if len(text) > MaxText {
		return nil
	}
	l := newLexer(string(text))
	var words []Word
	for at := l.at.offset; ; {
		t := l.next()
		words = append(words, comments(l.text, at, t.pos.offset)...)
		if t.name == endOfText {
			return words
		}
		words = append(words, Word{Class: t.name, Text: t.raw, Offset: t.pos.offset})
		at = t.end()
	}
}

// comments finds the comments between two offsets that have nothing but them and white space between them.
func comments(text string, from, to int) []Word {
	var found []Word
	for from < to {
		if text[from] != '/' {
			from++
			continue
		}
		n := lineLength(text[from:to])
		found = append(found, Word{Class: Comment, Text: text[from : from+n], Offset: from})
		from += n
	}
	return found
}
