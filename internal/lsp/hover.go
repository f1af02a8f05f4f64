package lsp

import (
	"strings"

	"github.com/assay-attestation/assay/policy"
)

// hover explains the word at a position. Its result is null where there is nothing to say.
func (s *server) hover(m message) (any, error) {
	var params positionParams
	if err := m.read(&params); err != nil {
		return nil, err
	}
	d, err := s.open(params.TextDocument)
	if err != nil {
		return nil, err
	}
	n, ok := d.at(d.offset(params.Position))
	if !ok {
		return nil, nil
	}
	e := d.explain(n)
	if e.title == "" {
		return nil, nil
	}
	w := d.words[n]
	return hoverResult{e.markup(s.markdown), d.span(w.Offset, w.End())}, nil
}

// explanation is what a person is told about a word.
type explanation struct {
	title string // a piece of policy text
	kind  string // what it is, in a few words
	lines []string
}

// markup writes the explanation, with marks for headings where the editor shows them.
func (e explanation) markup(markdown bool) markup {
	m := markup{Kind: "plaintext", Value: e.title}
	if markdown {
		m = markup{Kind: "markdown", Value: codeSpan(e.title)}
	}
	if e.kind != "" {
		m.Value += " · " + e.kind
	}
	for _, line := range e.lines {
		if line != "" {
			m.Value += "\n\n" + line
		}
	}
	return m
}

// codeSpan marks text as code, whatever back-ticks are in it.
func codeSpan(s string) string {
	marks := "`"
	for strings.Contains(s, marks) {
		marks += "`"
	}
	if len(marks) > 1 {
		return marks + " " + s + " " + marks
	}
	return marks + s + marks
}

// explain finds out what a word is.
func (d *document) explain(n int) explanation {
	w, p := d.words[n], placeAfter(d.words[:n])
	switch w.Class {
	case policy.StringWord:
		return d.explainString(w, p)
	case policy.IdentWord:
		return d.explainName(n, p)
	case policy.NumberWord, "":
		return explanation{}
	}
	return explanation{title: w.Text, lines: []string{keywordMeaning(w.Class, p.section)}}.ifSaid()
}

// ifSaid is the explanation, or none if it says nothing.
func (e explanation) ifSaid() explanation {
	if strings.Join(e.lines, "") == "" {
		return explanation{}
	}
	return e
}

// explainString explains names and values that stand in strings.
func (d *document) explainString(w policy.Word, p place) explanation {
	if !p.inList() || !p.expectsExpression() {
		return explanation{}
	}
	name := content(w)
	switch p.property() {
	case "issuer":
		return explanation{title: w.Text, lines: []string{issuerMeaning(name)}}.ifSaid()
	case "type":
		if info, ok := propertyNamed(d.kind, name); ok && p.verb == "issueproperty" {
			return explainProperty(info)
		}
		if info, ok := claimNamed(d.kind, name); ok {
			return explainClaim(info)
		}
		return d.explainMade(name)
	}
	return explanation{}
}

// explainMade explains a claim that the policy makes.
func (d *document) explainMade(name string) explanation {
	for i := 0; i+2 < len(d.words); i++ {
		if d.words[i].Class == "type" && d.words[i+1].Class == "=" && d.words[i+2].Class == policy.StringWord && content(d.words[i+2]) == name {
			return explanation{name, "claim of the policy", []string{"First made in line " + d.lineOf(d.words[i].Offset) + "."}}
		}
	}
	return explanation{}
}

// explainName explains a label or a function.
func (d *document) explainName(n int, p place) explanation {
	name := d.words[n].Text
	next := ""
	if n+1 < len(d.words) {
		next = d.words[n+1].Class
	}
	if next == "(" {
		return explainFunction(name)
	}
	if next == ":" {
		return explanation{name, "label", []string{"It stands for all claims that satisfy this condition."}}
	}
	for _, l := range p.labels {
		if l.name == name {
			return explanation{name, "label", []string{d.labelMeaning(l)}}
		}
	}
	return explanation{}
}

// labelMeaning says what a label stands for.
func (d *document) labelMeaning(l label) string {
	const longest = 200
	condition := strings.Join(strings.Fields(d.content[l.start:l.end]), " ")
	if len(condition) > longest {
		condition = strings.ToValidUTF8(condition[:longest], "") + "…"
	}
	return "All claims that satisfy the condition in line " + d.lineOf(l.start) + ": " + condition
}

func explainFunction(name string) explanation {
	for _, f := range policy.Functions() {
		if f.Name == name {
			return explanation{f.Signature(), "function of version 1.2, gives " + f.Result, []string{sentence(f.Summary)}}
		}
	}
	return explanation{}
}

func explainProperty(p policy.PropertyInfo) explanation {
	return explanation{p.Name, p.Kind.String() + " property", []string{sentence(p.Meaning), "Default: " + p.Default + "."}}
}

// explainClaim tells what is known of a claim.
func explainClaim(c policy.ClaimInfo) explanation {
	e := explanation{c.Name, c.Kind.String() + " claim of issuer " + string(c.Issuer), []string{sentence(c.Meaning)}}
	add := func(given bool, line string) {
		if given {
			e.lines = append(e.lines, line)
		}
	}
	add(c.Deprecated != "", "An old name: write "+c.Deprecated+".")
	add(c.Format != "", "Format: "+c.Format+".")
	add(len(c.Values) > 0, "One of: "+strings.Join(c.Values, ", ")+".")
	add(c.Several, "There may be several claims of this type.")
	add(c.Optional, "It is not made from all evidence: a missing claim proves nothing.")
	add(c.ReadOnly, "Read-only: it can be tested and given to functions, never issued.")
	add(c.Since > 0, "From version 1.2 on.")
	return e
}
