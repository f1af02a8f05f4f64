package policy

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// failing says what becomes of a condition with a test that no value of the service and of rules satisfies, or every one
// where it is !=. open says that other claims may have other values.
func (c *conditionView) failing(t testNode, open bool) string {
	unequal := t.relation.name == "!="
	switch {
	case unequal && open:
		return "every claim of the service and of rules passes the test"
	case open:
		return "no claim of the service or of a rule satisfies the condition"
	}
	return c.unsatisfied(t)
}

// fail notes it.
func (c *conditionView) fail(t testNode, open bool) {
	if t.relation.name != "!=" && !open {
		c.nobody()
	}
}

// test checks one test of a condition.
func (w *warner) test(r *ruleView, c *conditionView, t testNode) {
	w.expression(r, t.right)
	l, ok := t.right.(literalNode)
	if !ok {
		w.compared(r, c, t)
		return
	}
	switch t.property.name {
	case "issuer":
		w.issuer(c, t, l)
	case "valuetype":
		w.valueType(c, t, l)
	case "value":
		w.value(c, t, l)
	}
}

// compared checks a test against something that is no literal: it needs values of a common kind.
func (w *warner) compared(r *ruleView, c *conditionView, t testNode) {
	left, right := traits{kinds: kindSet(String)}, r.traits(t.right)
	if t.property.name == "value" {
		left = c.traits
	}
	common := left.kinds & right.kinds
	if strings.ContainsAny(t.relation.name, "<>") {
		common &= kindSet(Integer)
	}
	if open := left.open || right.open; c.holds != never && common == 0 && left.kinds != 0 && right.kinds != 0 {
		w.report(w.mark(t.right), wrongType, "", "%s is %v, and what it is compared with is %v: %s",
			t.property.raw, left.kinds, right.kinds, c.failing(t, open))
		c.fail(t, open)
	}
}

// valueType checks a test of the valueType against the kinds that the claim can have.
func (w *warner) valueType(c *conditionView, t testNode, l literalNode) {
	kind, ok := namedKind(l)
	if !ok {
		fix := ""
		for _, k := range []Kind{String, Integer, Boolean} {
			if strings.EqualFold(k.String(), l.value.text) {
				fix = quoteLiteral(k.String())
			}
		}
		w.report(w.mark(l), impossibleValue, fix, "valueType is String, Integer or Boolean, spelt so: %s", c.unsatisfied(t))
		if t.relation.name == "==" {
			c.nobody()
		}
		return
	}
	if c.holds != never && !c.before.has(kind) {
		fix := ""
		if t.relation.name == "==" {
			fix = c.before.literal()
		}
		w.report(w.mark(l), wrongType, fix, "the claim %s is %v, never %v: %s", c.title(), c.before, kind, c.failing(t, c.traits.open))
		c.fail(t, c.traits.open)
	}
}

// literal returns the kind as a policy writes it, if there is only one.
func (k kinds) literal() string {
	if kind, ok := k.single(); ok {
		return quoteLiteral(kind.String())
	}
	return ""
}

// title is the name of the claim for messages.
func (c *conditionView) title() string {
	if c.name == nil {
		return "at hand"
	}
	return shorten(c.name.value.text, 80)
}

// value checks a test of the value against what the claim can have.
func (w *warner) value(c *conditionView, t testNode, l literalNode) {
	if c.holds == never || c.traits.kinds == 0 {
		return
	}
	text, isText := l.value.Text()
	fix := ""
	if !strings.ContainsAny(t.relation.name, "<>") {
		fix = jsonLiteral(l.value)
	}
	switch {
	case c.traits.json && (!isText || !json.Valid([]byte(text))):
		w.report(w.mark(l), jsonValue, fix,
			"the values of %s are JSON text, as JmesPath makes it: a string in it has quotes, and everything else is a string too. JsonToClaimValue gives the value itself. So %s", c.title(), c.failing(t, c.traits.open))
		c.fail(t, c.traits.open)
	case !c.traits.kinds.has(l.value.kind):
		w.wrongKind(c, t, l)
	case c.traits.digests && digestRun(text):
		w.report(w.mark(l), hexDigest, "", "digests of pcrs are base64url unless the provider sets tpm_pcr_digest_text to hex: %s", c.failing(t, c.traits.open))
	case c.service != nil && !c.policy:
		w.serviceValue(c, t, l)
	case isUpperHex(text):
		w.report(w.mark(l), upperCaseHex, quoteLiteral(strings.ToLower(text)),
			"the service writes hexadecimal values in lower case, and strings are compared letter by letter: %s", c.failing(t, c.traits.open))
	}
}

// jsonLiteral returns how a policy writes the JSON text of the value.
func jsonLiteral(v Value) string {
	text, err := v.MarshalJSON()
	if err != nil {
		return ""
	}
	return quoteLiteral(string(text))
}

// wrongKind says that the literal is of another kind than the claim.
func (w *warner) wrongKind(c *conditionView, t testNode, l literalNode) {
	if strings.ContainsAny(t.relation.name, "<>") {
		w.report(t.relation.mark(), wrongType, "", "the claim %s is %v, and only integers have an order: %s", c.title(), c.traits.kinds, c.failing(t, c.traits.open))
	} else {
		w.report(w.mark(l), wrongType, converted(l.value, c.traits.kinds), "the claim %s is %v, and %s is %v: %s",
			c.title(), c.traits.kinds, shorten(l.value.literal(), 80), l.value.kind, c.failing(t, c.traits.open))
	}
	c.fail(t, c.traits.open)
}

// converted returns the literal that was meant where a claim is of another kind, or "".
func converted(v Value, to kinds) string {
	kind, ok := to.single()
	switch text := v.text; {
	case !ok:
	case kind == String:
		return quoteLiteral(v.String())
	case kind == Boolean && (text == "1" || v == IntegerValue(1) || strings.EqualFold(text, "true")):
		return "true"
	case kind == Boolean && (text == "0" || v == IntegerValue(0) || strings.EqualFold(text, "false")):
		return "false"
	case kind == Integer && v.kind == String:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return strconv.FormatInt(n, 10)
		}
	}
	return ""
}

// serviceValue checks a literal of the right kind against the values that the service makes.
func (w *warner) serviceValue(c *conditionView, t testNode, l literalNode) {
	info, text := c.service, l.value.text
	if l.value.kind != String {
		text = l.value.String()
	}
	mended := info.form.mended(text)
	switch {
	case len(info.Values) > 0 && !slices.Contains(info.Values, text) && !strings.ContainsAny(t.relation.name, "<>"):
		w.report(w.mark(l), impossibleValue, info.meant(text, t.relation.name), "the claim %s is %s, nothing else: %s", info.Name, oneOf(info.Values), c.failing(t, c.traits.open))
	case l.value.kind != String || info.form.fits(text):
		return
	case mended != "" && info.form.alphabet == lowerHex:
		w.report(w.mark(l), upperCaseHex, quoteLiteral(mended),
			"the service writes hexadecimal values in lower case, and strings are compared letter by letter: %s", c.failing(t, c.traits.open))
	default:
		w.report(w.mark(l), wrongFormat, fixed(mended), "the claim %s has %s: %s", info.Name, info.form, c.failing(t, c.traits.open))
	}
	c.fail(t, c.traits.open)
}

// meant returns the value of the closed list that the text was meant to be, as a policy writes it, or "".
func (c *ClaimInfo) meant(text, relation string) string {
	meant := nearest(text, c.Values)
	if meant == "" && len(c.Values) == 1 && relation == "==" {
		meant = c.Values[0]
	}
	if c.Kind == String {
		return fixed(meant)
	}
	return meant
}

func oneOf(values []string) string { return strings.Join(values, " or ") }

// shortestHex is the length from which a literal of hexadecimal digits is taken for a digest or an identity.
const shortestHex = 32

func isUpperHex(s string) bool {
	return len(s) >= shortestHex && len(s)%2 == 0 && only(s, "0123456789abcdefABCDEF") && strings.ContainsAny(s, "ABCDEF")
}

// digestRun says whether s has a run of as many hexadecimal digits as a SHA-1 or SHA-2 digest.
func digestRun(s string) bool {
	for run := range strings.FieldsFuncSeq(s, func(r rune) bool { return !strings.ContainsRune(letters+digits+"-_", r) }) {
		switch len(run) {
		case 40, 64, 96, 128:
			if only(run, "0123456789abcdefABCDEF") {
				return true
			}
		}
	}
	return false
}
