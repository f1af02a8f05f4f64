package policy

import "strings"

// Warning is something in a valid policy that its author hardly meant.
type Warning struct {
	Line, Column int
	Text         string
}

// shortestHex is the length from which a literal of hexadecimal digits is taken for a digest or an identity.
const shortestHex = 32

// Warnings returns what is doubtful in the policy: digests written in upper case, which never match, since the
// service writes them in lower case and strings are compared letter by letter (policy.md section 2).
func (p *Policy) Warnings() []Warning {
	var found []Warning
	for _, s := range p.tree.sections {
		for _, r := range s.rules {
			for _, c := range r.conditions {
				found = append(found, c.upperCaseHex()...)
			}
		}
	}
	return found
}

// upperCaseHex finds literals that look like hexadecimal digests in upper case.
func (n conditionNode) upperCaseHex() []Warning {
	var found []Warning
	for _, t := range n.tests {
		l, ok := t.right.(literalNode)
		if !ok || t.property.name != "value" || !isUpperHex(l.value.text) {
			continue
		}
		found = append(found, Warning{l.start.pos.line, l.start.pos.column,
			"hexadecimal values of claims are in lower case, and strings are compared letter by letter: write " +
				shorten(strings.ToLower(l.value.text), 160)})
	}
	return found
}

func isUpperHex(s string) bool {
	return len(s) >= shortestHex && len(s)%2 == 0 &&
		strings.Trim(s, "0123456789abcdefABCDEF") == "" && strings.ContainsAny(s, "ABCDEF")
}
