package lsp

import (
	"fmt"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/policy"
)

// maxNames bounds how many names of claims that the policy itself makes are offered.
const maxNames = 500

// completion offers what may stand at a position.
func (s *server) completion(m message) (any, error) {
	var params positionParams
	if err := m.read(&params); err != nil {
		return nil, err
	}
	d, err := s.open(params.TextDocument)
	if err != nil {
		return nil, err
	}
	return completionList{Items: d.complete(d.offset(params.Position))}, nil
}

// proposal is one thing that may stand at a place.
type proposal struct {
	text          string // as a policy writes it
	kind          int
	detail, about string
	deprecated    bool
}

// complete returns what may stand at an offset, in the order in which it should be shown. In a word of several lines, a string with a line break, nothing is
// offered: an edit of a completion must stay in one line.
func (d *document) complete(offset int) []completionItem {
	items := []completionItem{}
	if d.inComment(offset) {
		return items
	}
	c := d.completerAt(offset)
	at := d.span(c.from, c.to)
	if at.Start.Line != at.End.Line {
		return items
	}
	for i, p := range c.proposals() {
		items = append(items, completionItem{
			Label: p.text, Kind: p.kind, Detail: p.detail, Documentation: p.about, Deprecated: p.deprecated,
			SortText: fmt.Sprintf("%04d", i), FilterText: p.text, TextEdit: textEdit{at, p.text + c.closing},
		})
	}
	return items
}

// completer proposes words for one point of a document.
type completer struct {
	*document
	place
	after    []policy.Word // the words behind
	from, to int           // offsets of what a proposal replaces
	inString bool          // proposals stand between quotes
	closing  string        // what a proposal lacks at its end
}

// completerAt looks at what is being written at an offset.
func (d *document) completerAt(offset int) *completer {
	c := &completer{document: d, from: offset, to: offset}
	n := len(d.before(offset))
	c.after = d.words[n:]
	if i, ok := d.typed(offset); ok && replaced(d.words[i], offset) {
		w := d.words[i]
		n, c.from, c.to, c.after = i, w.Offset, w.End(), d.words[i+1:]
		if w.Class == policy.StringWord {
			c.inString = true
			c.from++
			if c.to--; !closed(w) {
				c.to, c.closing = offset, `"`
			}
		}
	}
	c.place = placeAfter(d.words[:n])
	return c
}

// replaced reports whether a word, in which an offset is, is one that a proposal takes the place of.
func replaced(w policy.Word, offset int) bool {
	switch w.Class {
	case policy.StringWord:
		return offset < w.End() || !closed(w)
	case policy.IdentWord:
		return true
	default:
		return w.Class != "" && 'a' <= w.Class[0] && w.Class[0] <= 'z' // a reserved word
	}
}

// proposals finds out what the place asks for.
func (c *completer) proposals() []proposal {
	switch {
	case c.inString:
		return c.strings()
	case c.last.Class == "." && c.before.Class == policy.IdentWord:
		return keywords("type", "value", "valueType", "issuer")
	case c.section == "":
		return c.outside()
	case c.last.Class == "=>":
		return keywords(verbsOf(c.section)...)
	case c.expectsProperty():
		return c.properties()
	case c.expectsExpression():
		return c.expressions()
	}
	return nil
}

// outside proposes what may stand outside of sections: the version, then the sections in their order.
func (c *completer) outside() []proposal {
	switch c.last.Class {
	case "":
		return []proposal{{text: "version=1.2;", kind: kindKeyword, about: keywordMeaning("version", "")}}
	case ";":
	default:
		return nil
	}
	names := []string{"configurationrules", "authorizationrules", "issuancerules"}
	if n := len(c.sections); n > 0 {
		names = names[slices.Index(names, c.sections[n-1])+1:]
	} else if c.minor == 0 {
		names = names[1:]
	}
	return keywords(names...)
}

// verbsOf returns the actions that the rules of a section may take (policy.md section 3).
func verbsOf(section string) []string {
	switch section {
	case "configurationrules":
		return []string{"issueproperty"}
	case "authorizationrules":
		return []string{"permit()", "deny()", "add"}
	}
	return []string{"issue", "add", "issueproperty"}
}

func keywords(words ...string) (list []proposal) {
	for _, w := range words {
		list = append(list, proposal{text: w, kind: kindKeyword, about: keywordMeaning(strings.TrimSuffix(w, "()"), "")})
	}
	return list
}

// properties proposes the properties that the list does not have yet.
func (c *completer) properties() (list []proposal) {
	names := []string{"type", "value", "valueType", "issuer"}
	if !c.inTests() {
		if c.verb == "permit" || c.verb == "deny" || slices.Contains(c.given, "claim") {
			return nil
		}
		if len(c.given) == 0 && len(c.labels) > 0 {
			names = append(names, "claim")
		}
	}
	for _, p := range keywords(names...) {
		if !slices.Contains(c.given, strings.ToLower(p.text)) {
			p.kind = kindProperty
			list = append(list, p)
		}
	}
	return list
}

// strings proposes the content of a string.
func (c *completer) strings() []proposal {
	list := c.expected()
	var inside []proposal
	for _, p := range list {
		if text, ok := strings.CutPrefix(p.text, `"`); ok {
			p.text = strings.TrimSuffix(text, `"`)
			inside = append(inside, p)
		}
	}
	return inside
}

// expressions proposes what a property may be compared with or given.
func (c *completer) expressions() []proposal {
	if c.property() == "claim" {
		return c.labelNames("")
	}
	list := c.expected()
	list = append(list, c.labelNames(".value")...)
	if p := c.property(); c.inList() && p != "value" && p != "" {
		list = append(list, c.labelNames("."+propertyName(p))...)
	}
	if c.minor >= 2 && (c.property() == "value" || !c.inList()) {
		for _, f := range policy.Functions() {
			list = append(list, proposal{text: f.Name, kind: kindFunction, detail: f.Signature() + " " + f.Result, about: sentence(f.Summary)})
		}
	}
	return list
}

func (c *completer) labelNames(property string) (list []proposal) {
	for _, l := range c.labels {
		list = append(list, proposal{text: l.name + property, kind: kindVariable, about: c.labelMeaning(l)})
	}
	return list
}

// expected proposes literals: names and values that the property is known to have.
func (c *completer) expected() []proposal {
	if !c.inList() {
		return nil
	}
	switch c.property() {
	case "type":
		return c.claimNames()
	case "value":
		return c.values()
	case "valuetype":
		return quoted("String", "Integer", "Boolean")
	case "issuer":
		if c.inTests() {
			return quoted(string(policy.AttestationService), string(policy.AttestationPolicy), string(policy.CustomClaim), string(policy.ReferenceValue))
		}
		return quoted(string(policy.AttestationPolicy))
	}
	return nil
}

func quoted(texts ...string) (list []proposal) {
	for _, t := range texts {
		list = append(list, proposal{text: `"` + t + `"`, kind: kindValue})
	}
	return list
}

// claimNames proposes the types of claims, or the names of properties.
func (c *completer) claimNames() (list []proposal) {
	switch {
	case c.verb == "issueproperty":
		for _, p := range policy.Properties(c.kind) {
			if p.Section == c.section {
				list = append(list, proposal{text: `"` + p.Name + `"`, kind: kindField, detail: p.Kind.String(), about: sentence(p.Meaning)})
			}
		}
		return list
	case c.inTests():
		for _, info := range slices.Concat(policy.Claims(c.kind), policy.ReferenceClaims(c.kind)) {
			if info.Since <= c.minor && (c.section != "configurationrules" || info.Name == policy.AttestationType) {
				list = append(list, proposal{text: `"` + info.Name + `"`, kind: kindField, detail: info.Kind.String(), about: sentence(info.Meaning),
					deprecated: info.Deprecated != ""})
			}
		}
	}
	for _, name := range c.madeNames(c.section) {
		own := proposal{text: `"` + name + `"`, kind: kindField, detail: "made by the policy"}
		if !slices.ContainsFunc(list, func(p proposal) bool { return p.text == own.text }) {
			list = append(list, own)
		}
	}
	return list
}

// values proposes the values of the claim or the property that the list names.
func (c *completer) values() []proposal {
	name := c.claimOfList()
	if c.verb == "issueproperty" {
		p, _ := propertyNamed(c.kind, name)
		if p.Kind == policy.Boolean {
			return literals("true", "false")
		}
		return literals(p.Default)
	}
	info, known := claimNamed(c.kind, name)
	switch {
	case len(info.Values) > 0 && info.Kind == policy.String:
		return quoted(info.Values...)
	case len(info.Values) > 0:
		return literals(info.Values...)
	case info.Kind == policy.Boolean, !known && !c.inTests():
		return literals("true", "false")
	}
	return nil
}

func literals(texts ...string) (list []proposal) {
	for _, t := range texts {
		if t != "" {
			list = append(list, proposal{text: t, kind: kindValue})
		}
	}
	return list
}

// claimOfList is the type that the list names, before the place or behind it.
func (c *completer) claimOfList() string {
	if c.claim != "" {
		return c.claim
	}
	for i := 0; i+2 < len(c.after); i++ {
		switch w := c.after[i]; w.Class {
		case "]", ")", ";", "=>":
			return ""
		case "type":
			if is := c.after[i+1].Class; (is == "==" || is == "=") && c.after[i+2].Class == policy.StringWord {
				return content(c.after[i+2])
			}
		}
	}
	return ""
}

// madeNames returns the types of claims that rules of the policy make, each once. Configuration rules and the others do
// not see each other's.
func (d *document) madeNames(section string) (names []string) {
	in, seen := "", map[string]bool{}
	for i := 0; i+2 < len(d.words) && len(names) < maxNames; i++ {
		switch w := d.words[i]; w.Class {
		case "configurationrules", "authorizationrules", "issuancerules":
			in = w.Class
		case "type":
			name := content(d.words[i+2])
			if d.words[i+1].Class == "=" && d.words[i+2].Class == policy.StringWord && !seen[name] && name != "" &&
				(in == "configurationrules") == (section == "configurationrules") {
				names, seen[name] = append(names, name), true
			}
		}
	}
	return names
}
