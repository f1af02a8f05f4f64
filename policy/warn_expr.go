package policy

import (
	"encoding/json"

	"github.com/assay-attestation/assay/internal/jmespath"
)

// traits returns what is known of the values of an expression.
func (r *ruleView) traits(e exprNode) traits {
	switch n := e.(type) {
	case literalNode:
		return traits{kinds: kindSet(n.value.kind)}
	case referenceNode:
		return r.labelTraits(n)
	case callNode:
		return r.callTraits(n)
	}
	return traits{kinds: anyKind}
}

// labelTraits returns the traits of a label's property.
func (r *ruleView) labelTraits(n referenceNode) traits {
	c := r.labels[n.label.raw]
	switch {
	case c == nil:
		return traits{kinds: anyKind}
	case n.property.name == "value":
		return c.traits
	}
	return traits{kinds: kindSet(String), readOnly: c.traits.readOnly, digests: c.traits.digests}
}

// callTraits returns the traits of what a function gives (policy.md section 7).
func (r *ruleView) callTraits(n callNode) traits {
	t := traits{kinds: anyKind}
	for _, a := range n.args {
		t = t.madeOf(r.traits(a))
	}
	f, _ := functionNamed(n.name.raw)
	if kind, ok := f.kind(); ok {
		t.kinds = kindSet(kind)
	}
	switch f.Name {
	case "JmesPath":
		t.json = true
	case "IsSubsetOf", "ContainsOnlyValue":
		t.readOnly = false
	}
	return t
}

// expression looks at the function calls of an expression, the inner ones first.
func (w *warner) expression(r *ruleView, e exprNode) {
	n, ok := e.(callNode)
	if !ok {
		return
	}
	for _, a := range n.args {
		w.expression(r, a)
	}
	switch n.name.raw {
	case "JmesPath":
		w.strings(r, n)
		w.query(r, n)
	case "AppendString", "JsonToClaimValue":
		w.strings(r, n)
	case "NegateBool":
		w.arguments(r, n, Boolean)
	case "ContainsOnlyValue", "IsSubsetOf":
		w.members(r, n)
	}
}

// arguments finds arguments which cannot be of the kind that the function takes.
func (w *warner) arguments(r *ruleView, n callNode, want Kind) {
	for _, a := range n.args {
		if t := r.traits(a); t.kinds != 0 && !t.kinds.has(want) {
			l, _ := a.(literalNode)
			fix := ""
			if l.start.raw != "" {
				fix = converted(l.value, kindSet(want))
			}
			w.report(w.mark(a), badArgument, fix, "%s takes a %v, and this is %v: an error, which fails the whole attestation", n.name.raw, want, t.kinds)
		}
	}
}

// strings checks a function that takes strings, the first of which is JSON but for AppendString.
func (w *warner) strings(r *ruleView, n callNode) {
	w.arguments(r, n, String)
	for i, a := range n.args {
		l, ok := a.(literalNode)
		switch text, isText := l.value.Text(); {
		case !ok || !isText || n.name.raw == "AppendString":
		case i == 0 && !json.Valid([]byte(text)):
			w.report(w.mark(l), badArgument, "", "%s takes JSON text, and this is none: an error, which fails the whole attestation", n.name.raw)
		}
	}
}

// query looks at the query of JmesPath, where it is a literal.
func (w *warner) query(r *ruleView, n callNode) {
	l, ok := n.args[len(n.args)-1].(literalNode)
	if !ok || l.value.kind != String || len(w.found) >= MaxWarnings {
		return
	}
	if _, err := jmespath.Compile(l.value.text); err != nil {
		w.report(w.mark(l), badArgument, "", "%v: an error, which fails the whole attestation", err)
	}
	hex := false
	for _, found := range queryWarnings(n) {
		hex = hex || found.Code == hexDigest
		w.report(w.mark(l), found.Code, found.Fix, "%s", found.Text)
	}
	if !hex && r.traits(n.args[0]).digests && digestRun(l.value.text) {
		w.report(w.mark(l), hexDigest, "", "the query has a digest in hexadecimal digits, and those of pcrs are base64url unless the provider sets tpm_pcr_digest_text to hex")
	}
}

// queryWarnings returns what is doubtful in a JMESPath query, the second argument of the call, if it is a literal. Of
// the warnings only code, text and fix are set.
func queryWarnings(n callNode) []Warning {
	l, _ := n.args[len(n.args)-1].(literalNode)
	var found []Warning
	for _, d := range jmespath.Doubts(l.value.text) {
		found = append(found, Warning{Code: d.Code, Text: d.Text})
	}
	return found
}

// members checks a function that looks for values in a set: there must be some kind that both sides have.
func (w *warner) members(r *ruleView, n callNode) {
	left, right := r.traits(n.args[0]), r.traits(n.args[1])
	l, ok := n.args[1].(literalNode)
	text, isText := l.value.Text()
	switch {
	case left.kinds == 0 || right.kinds == 0:
	case ok && left.json && left.kinds == kindSet(String) && (!isText || !json.Valid([]byte(text))):
		w.report(w.mark(l), jsonValue, jsonLiteral(l.value),
			"the set is JSON text, as JmesPath makes it: a string in it has quotes, and everything else is a string too. JsonToClaimValue gives the value itself. So %s is always false", n.name.raw)
	case left.kinds&right.kinds == 0:
		w.report(w.mark(n.args[1]), wrongType, "", "the values are %v, and this is %v: %s is always false", left.kinds, right.kinds, n.name.raw)
	}
}
