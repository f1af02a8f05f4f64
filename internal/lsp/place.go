package lsp

import (
	"slices"
	"strconv"
	"strings"

	"github.com/assay-attestation/assay/policy"
)

// place is what the words before a point of a policy say about that point. It is found out from the words alone, since
// a policy that is being written seldom parses.
type place struct {
	minor    int      // of the version
	sections []string // whose keywords came before
	section  string   // whose rules come here, or ""
	arrow    bool     // the rule has its arrow
	verb     string   // of the rule's action
	labels   []label  // of the rule's conditions, without one that is not complete
	brackets []string // that are open in the rule: "[", "(" of the action, or "f(" of a function
	given    []string // properties of the list that is open
	claim    string   // the type that the list names
	last     policy.Word
	before   policy.Word // the word before last
	pending  label       // of the condition that is open
}

// label is the name of a condition.
type label struct {
	name       string
	start, end int // offsets of the condition
}

// placeAfter follows the words from the beginning of the text.
func placeAfter(words []policy.Word) place {
	var p place
	for _, w := range words {
		p.step(w)
		p.before, p.last = p.last, w
	}
	return p
}

// step takes the next word.
func (p *place) step(w policy.Word) {
	switch w.Class {
	case "configurationrules", "authorizationrules", "issuancerules":
		p.sections = append(p.sections, w.Class)
		p.section = ""
		p.endRule()
	case "{":
		if n := len(p.sections); n > 0 {
			p.section = p.sections[n-1]
		}
		p.endRule()
	case "}":
		p.section = ""
		p.endRule()
	case ";":
		p.endRule()
	case "=>":
		p.arrow, p.brackets = true, nil
	case "permit", "deny", "add", "issue", "issueproperty":
		if p.last.Class == "=>" {
			p.verb = w.Class
		}
	case policy.NumberWord:
		if p.last.Class == "." && len(p.sections) == 0 {
			p.minor, _ = strconv.Atoi(w.Text)
		}
	default:
		p.stepInRule(w)
	}
}

// endRule forgets the rule.
func (p *place) endRule() {
	p.arrow, p.verb, p.labels, p.brackets, p.pending = false, "", nil, nil, label{}
	p.beginList()
}

func (p *place) beginList() { p.given, p.claim = nil, "" }

// stepInRule takes the next word of a condition or an action.
func (p *place) stepInRule(w policy.Word) {
	switch w.Class {
	case ":":
		p.pending = label{name: p.last.Text, start: p.last.Offset}
	case "[":
		p.brackets = []string{"["}
		p.beginList()
	case "]":
		if p.pending.end = w.End(); p.pending.name != "" && len(p.labels) < policy.MaxConditions {
			p.labels = append(p.labels, p.pending)
		}
		p.brackets, p.pending = nil, label{}
	case "(":
		if len(p.brackets) == 0 {
			p.beginList()
		}
		p.brackets = append(p.brackets, openedBy(p.last))
	case ")":
		p.brackets = p.brackets[:max(0, len(p.brackets)-1)]
	case "type", "value", "valuetype", "issuer", "claim":
		if p.inList() && slices.Contains([]string{"[", "(", ","}, p.last.Class) {
			p.given = append(p.given, w.Class)
		}
	case policy.StringWord:
		if p.inList() && p.property() == "type" && (p.last.Class == "==" || p.last.Class == "=") {
			p.claim = content(w)
		}
	}
}

// openedBy names the parenthesis behind a word.
func openedBy(w policy.Word) string {
	if w.Class == policy.IdentWord {
		return "f("
	}
	return "("
}

// inList reports whether the innermost bracket is that of a condition or of an action.
func (p *place) inList() bool {
	return len(p.brackets) == 1 && p.brackets[0] != "f("
}

// inTests reports whether the place is in the brackets of a condition.
func (p *place) inTests() bool { return len(p.brackets) > 0 && p.brackets[0] == "[" }

// property is the property whose test or assignment is being written.
func (p *place) property() string {
	if n := len(p.given); n > 0 {
		return p.given[n-1]
	}
	return ""
}

// expectsProperty reports whether a property's name comes here.
func (p *place) expectsProperty() bool {
	return p.inList() && slices.Contains([]string{"[", "(", ","}, p.last.Class)
}

// expectsExpression reports whether what comes here is what a property is compared with or given, or an argument.
func (p *place) expectsExpression() bool {
	if len(p.brackets) == 0 {
		return false
	}
	switch p.last.Class {
	case "=", "==", "!=", "<", "<=", ">", ">=":
		return p.property() != ""
	case "(", ",":
		return !p.inList()
	}
	return false
}

// content is what stands between the quotes of a string.
func content(w policy.Word) string {
	s := strings.TrimPrefix(w.Text, `"`)
	if closed(w) {
		s = s[:len(s)-1]
	}
	return s
}

// closed reports whether a string ends with its quote. One that does not goes to the end of its line.
func closed(w policy.Word) bool {
	inside, ok := strings.CutSuffix(w.Text, `"`)
	if !ok || inside == "" {
		return false
	}
	backslashes := len(inside) - len(strings.TrimRight(inside, `\`))
	return backslashes%2 == 0
}
