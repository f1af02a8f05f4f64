package policy

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// blank is what a token is meant as that its author took for white space or a comment, or did not see.
const blank = "<blank>"

// lookahead is how far the end of a comment or of a string is looked for that is not of the language.
const lookahead = 4 << 10

// lookalike returns the token at the beginning of rest if it is no word of the language, but plain what was meant: what
// other languages, word processors and the web write in place of a word.
func lookalike(rest string) (token, bool) {
	switch c := rest[0]; {
	case c >= utf8.RuneSelf:
		return otherCharacter(rest)
	case strings.IndexByte("=!<-:&|", c) >= 0:
		return otherSign(rest)
	case strings.IndexByte("#/`", c) >= 0:
		if t, ok := otherComment(rest); ok {
			return t, true
		}
	}
	if t, ok := otherString(rest); ok {
		return t, true
	}
	return unseenCharacter(rest)
}

// otherCharacter reads what begins with a character that is not of ASCII.
func otherCharacter(rest string) (token, bool) {
	for _, read := range []func(string) (token, bool){otherString, otherSign, wideSign, unseenCharacter, otherWord} {
		if t, ok := read(rest); ok {
			return t, true
		}
	}
	return token{}, false
}

const noOr = "conditions cannot be joined by or: write one rule for each case"

// otherSign reads a sign of another language: the longest that fits.
func otherSign(rest string) (token, bool) {
	for _, n := range [...]int{len("&amp;&amp;"), len("=&gt;"), len("===") /* and of other characters */, len("->"), len("|")} {
		if n > len(rest) || n == 1 && punctuation(rest) > 0 {
			continue
		}
		if meant, _ := signMeant(rest[:n]); meant != "" {
			return token{raw: rest[:n], meant: meant, fault: signOfOthers}, true
		}
	}
	return token{}, false
}

// signMeant returns what was meant by a sign of another language, and what to tell.
func signMeant(written string) (meant, why string) {
	switch written {
	case "=~":
		return "==", "the language has no regular expressions"
	case "!~":
		return "!=", "the language has no regular expressions"
	case "===":
		return "==", "a condition compares with '=='"
	case "!==", "<>", "≠":
		return "!=", "write '!='"
	case "=<", "≤":
		return "<=", "write '<='"
	case "≥":
		return ">=", "write '>='"
	case ":=":
		return "=", "an assignment is written with '='"
	case "->", "-->", "==>", "→", "⇒":
		return "=>", "the arrow of a rule is '=>'"
	case "=&gt;":
		return "=>", "the text is escaped for HTML"
	case "&amp;&amp;":
		return "&&", "the text is escaped for HTML"
	case "&":
		return "&&", "conditions are joined with '&&'"
	case "||", "|":
		return "&&", noOr
	case "−", "–", "—":
		return "-", "this dash is not the minus sign of the keyboard"
	}
	return "", ""
}

// otherComment reads a comment of another language, or the line that fences code in Markdown.
func otherComment(rest string) (token, bool) {
	t := token{meant: blank}
	switch {
	case strings.HasPrefix(rest, "/*"):
		t.raw, t.fault = "/*", blockComment
		if end := strings.Index(rest[2:min(len(rest), lookahead)], "*/"); end >= 0 {
			t.raw = rest[:2+end+2]
		}
	case rest[0] == '#':
		t.raw, t.fault = rest[:lineLength(rest)], hashComment
	case strings.HasPrefix(rest, "```"):
		t.raw, t.fault = rest[:lineLength(rest)], markdownFence
	default:
		return token{}, false
	}
	return t, true
}

// otherString reads a string between quotes that are not those of the language.
func otherString(rest string) (token, bool) {
	const double, single = "”“„\"", "’‘'"
	for _, q := range [...]struct{ opening, closings string }{
		{"“", double}, {"”", double}, {"„", double}, {"＂", "＂\""}, {"«", "»"}, {`\"`, `"`},
		{"‘", single}, {"’", single}, {"‚", single}, {"'", single}, {"`", "`"},
	} {
		if !strings.HasPrefix(rest, q.opening) {
			continue
		}
		line := rest[:min(len(rest), lookahead)]
		line = line[:lineLength(line)]
		end := probableEnd(line)
		if i := strings.IndexAny(line[len(q.opening):], q.closings); i >= 0 {
			i += len(q.opening)
			_, size := utf8.DecodeRuneInString(line[i:])
			end = i + size
		}
		return token{raw: line[:end], meant: stringToken, fault: otherQuote}, true
	}
	return token{}, false
}

// typographic are the quotes that word processors make of '"', otherQuotes all that strings may stand between by mistake.
const (
	typographic = "“”„"
	otherQuotes = typographic + "\"＂«»‘’‚'`\\"
)

// probableEnd returns where a string that begins a line and is not closed on it was meant to end: behind a typographic
// quote, before what would go on with the rule, or at the end of the line.
func probableEnd(line string) int {
	if i := strings.IndexAny(line[1:], typographic); i >= 0 {
		_, size := utf8.DecodeRuneInString(line[1+i:])
		return 1 + i + size
	}
	for i := 1; i < len(line); i++ {
		switch line[i] {
		case ',':
			if beginsTest(line[i+1:]) {
				return i
			}
		case ']', ')':
			behind := strings.TrimLeft(line[i:], line[i:i+1])
			if next := strings.TrimLeft(behind, " \t"); startsWith(next, "=>", "&&", ";") {
				return i
			}
			i = len(line) - len(behind) - 1
		}
	}
	return len(line)
}

// continued returns how far a string goes on that is not closed on its line: up to the quote on a later line that has no
// other to belong to, or not at all.
func continued(lines string) int {
	lines = lines[:min(len(lines), lookahead)]
	for at := 0; at < len(lines); {
		at += lineBreak(lines[at:])
		line := lines[at : at+lineLength(lines[at:])]
		quotes := strings.Count(line, `"`)
		switch {
		case beginsTest(line):
			return 0
		case quotes%2 == 1:
			return at + strings.IndexByte(line, '"') + 1
		case quotes > 0 || strings.Contains(line, ";"):
			return 0
		}
		at += len(line)
	}
	return 0
}

// beginsTest says whether text goes on with a property and a sign behind it.
func beginsTest(text string) bool {
	text = strings.TrimLeft(text, " \t")
	n := 0
	for n < len(text) && isLetter(text[n]) && n < len("valuetype") {
		n++
	}
	return isProperty(strings.ToLower(text[:n])) && startsWith(strings.TrimLeft(text[n:], " \t"), "=", "!", "<", ">")
}

func startsWith(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

func isProperty(name string) bool {
	return name == "type" || name == "value" || name == "valuetype" || name == "issuer"
}

// wideSign reads punctuation in its full-width form.
func wideSign(rest string) (token, bool) {
	narrow := ""
	for at := 0; len(narrow) < 2; {
		r, size := utf8.DecodeRuneInString(rest[at:])
		if r < '！' || r > '～' || !strings.ContainsRune(signs+"&", r-'！'+'!') {
			break
		}
		narrow += string(r - '！' + '!')
		at += size
	}
	if narrow == "" {
		return token{}, false
	}
	n := punctuation(narrow)
	return token{raw: rest[:n*len("！")], meant: narrow[:n], fault: fullWidth}, n > 0
}

// unseenCharacter reads a character that looks like nothing or like a space, and the backslashes of escaped texts.
func unseenCharacter(rest string) (token, bool) {
	r, size := utf8.DecodeRuneInString(rest)
	switch {
	case r == '\\':
		if len(rest) > 1 && strings.IndexByte("nrt", rest[1]) >= 0 {
			size = 2
		}
		return token{raw: rest[:size], meant: blank, fault: backslash}, true
	case r == 0 || unicode.IsSpace(r) || unicode.In(r, unicode.Cf, unicode.Z):
		return token{raw: rest[:size], meant: blank, fault: unseen}, true
	}
	return token{}, false
}

// otherWord reads a word with letters that are not of ASCII, some of which look like those that are, or with characters
// inside that nobody sees.
func otherWord(rest string) (token, bool) {
	unseen := func(r rune) bool { return unicode.Is(unicode.Cf, r) }
	n := strings.IndexFunc(rest, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && !unseen(r) })
	if n < 0 {
		n = len(rest)
	}
	word := strings.TrimRightFunc(rest[:n], unseen)
	return token{raw: word, meant: identToken, fault: otherLetter}, word != ""
}
