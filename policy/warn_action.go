package policy

import (
	"slices"
	"strconv"
	"strings"
)

// action looks at what a rule does.
func (w *warner) action(r *ruleView) {
	for _, a := range r.node.action.assigns {
		w.expression(r, a.right)
	}
	w.unusedLabels(r)
	a := &r.node.action
	switch verb := a.verb.name; {
	case a.copied != nil && (verb == "add" || verb == "issue" && r.section == authSection):
		w.report(a.verb.mark(), noEffect, "", "a copy keeps type, value and issuer, and claims are there once: it adds nothing")
	case verb == "issue" && r.section == authSection:
		w.report(a.verb.mark(), issueToAdd, "add", "nothing of authorizationrules reaches the token: issue does what add does")
	case verb == "issue":
		w.issue(r)
	case verb == "issueproperty":
		w.property(r)
	}
}

// unusedLabels finds labels that nothing refers to.
func (w *warner) unusedLabels(r *ruleView) {
	used := map[string]bool{}
	for _, c := range r.node.conditions {
		for _, t := range c.tests {
			labelsOf(t.right, used)
		}
	}
	for _, a := range r.node.action.assigns {
		labelsOf(a.right, used)
	}
	if copied := r.node.action.copied; copied != nil {
		used[copied.raw] = true
	}
	for _, c := range r.node.conditions {
		if c.label != nil && !used[c.label.raw] {
			w.report(c.label.mark(), unusedLabel, "", "nothing refers to the label %s", c.label.raw)
		}
	}
}

// labelsOf adds the labels of an expression to used.
func labelsOf(e exprNode, used map[string]bool) {
	switch n := e.(type) {
	case referenceNode:
		used[n.label.raw] = true
	case callNode:
		for _, a := range n.args {
			labelsOf(a, used)
		}
	}
}

// made returns the type that the action's claims have, with its place, or nil if the text does not tell; and what is
// known of them.
func (r *ruleView) made() (name *literalNode, t traits) {
	a := &r.node.action
	if a.copied != nil {
		c := r.labels[a.copied.raw]
		if c == nil {
			return nil, traits{kinds: anyKind}
		}
		if c.name == nil {
			return nil, c.traits
		}
		return &literalNode{*a.copied, c.name.value}, c.traits
	}
	left, right := a.makes()
	t = r.traits(right)
	t = t.madeOf(r.traits(left))
	if l, ok := left.(literalNode); ok {
		name = &l
	}
	return name, t
}

// issue looks at a rule that puts a claim into the token.
func (w *warner) issue(r *ruleView) {
	name, t := r.made()
	w.readOnly(r, t)
	if name == nil {
		return
	}
	text := name.value.text
	if w.catalog.reserved[text] {
		kept := "it stands only inside x-ms-policy"
		if w.catalog.kind == "Tpm" {
			kept = "it is lost"
		}
		w.report(name.start.mark(), reservedName, "",
			"%s is a name that the service gives in the token, where its own value stands; what the policy issues does not: %s", text, kept)
	}
	w.several(r, name)
}

// readOnly finds the issuing of a claim that must not be (policy.md section 5.3).
func (w *warner) readOnly(r *ruleView, t traits) {
	what := "claims of reference values and what functions make of them"
	if t.digests {
		what = "pcrs and what functions make of it"
	}
	if t.readOnly {
		w.report(r.node.action.verb.mark(), issuesReadOnly, "", "%s are read-only: to issue them is an error, which fails the whole attestation", what)
	}
}

// issuedValues are the literals that rules issue under one name: up to two different ones, of all rules and of those
// that always fire.
type issuedValues struct {
	all, steady []Value
	told        bool
}

// several finds a name under which the token will have an array (tokens.md section 5.2).
func (w *warner) several(r *ruleView, name *literalNode) {
	switch w.catalog.kind {
	case "SgxEnclave", "OpenEnclave", "Tpm":
	default:
		return
	}
	_, value := r.node.action.makes()
	l, ok := value.(literalNode)
	if !ok {
		return
	}
	issued := r.world.issued[name.value.text]
	if issued == nil {
		issued = &issuedValues{}
		r.world.issued[name.value.text] = issued
	}
	if issued.add(l.value, r.fires() == always) && !issued.told {
		issued.told = true
		w.report(w.mark(l), severalValues, "",
			"a rule before issues %s with another value: where both fire the token has an array, and SqlClient cannot read such tokens",
			shorten(name.value.text, 80))
	}
}

// add takes a value and reports whether it comes beside another one in any case in which both its rule and that of the
// other fire, at least one of which always does.
func (s *issuedValues) add(v Value, steady bool) bool {
	other := func(values []Value) bool { return slices.ContainsFunc(values, func(o Value) bool { return o != v }) }
	clash := other(s.steady) || steady && other(s.all)
	s.all = keep(s.all, v)
	if steady {
		s.steady = keep(s.steady, v)
	}
	return clash
}

// keep adds v to the values unless there are two or it is there.
func keep(values []Value, v Value) []Value {
	if len(values) == 2 || slices.Contains(values, v) {
		return values
	}
	return append(values, v)
}

// property looks at a rule that sets a property.
func (w *warner) property(r *ruleView) {
	name, t := r.made()
	if r.section == issueSection {
		w.readOnly(r, t)
	}
	if name == nil || !w.catalog.known() {
		return
	}
	info, elsewhere, names := w.propertyNamed(r.section, name.value.text)
	switch {
	case info != nil:
		w.propertyValue(r, info)
	case r.section == configSection: // CheckFor refuses it
	case len(names) == 0:
		w.report(name.start.mark(), unknownProperty, "", "tokens of %s have no properties: the rule sets nothing", w.catalog.kind)
	case elsewhere != "":
		w.report(name.start.mark(), unknownProperty, "", "the property %s is set in %s: here it sets nothing", name.value.text, elsewhere)
	default:
		meant := nearest(name.value.text, names)
		w.report(name.start.mark(), unknownProperty, fixed(meant),
			"the properties of tokens are %s: the rule sets nothing", strings.Join(names, " and "))
	}
}

// propertyNamed finds a property of a section, or the section where it is one, and the names of the section's.
func (w *warner) propertyNamed(section sectionKind, name string) (info *PropertyInfo, elsewhere string, names []string) {
	for _, p := range Properties(w.catalog.kind) {
		switch {
		case p.Section != section.keyword():
			if p.Name == name {
				elsewhere = p.Section
			}
			continue
		case p.Name == name:
			info = &p
		}
		names = append(names, p.Name)
	}
	return info, elsewhere, names
}

// propertyValue checks the value that a property gets, as far as a literal tells it.
func (w *warner) propertyValue(r *ruleView, info *PropertyInfo) {
	_, value := r.node.action.makes()
	l, ok := value.(literalNode)
	if !ok {
		return
	}
	at := w.mark(l)
	if l.value.kind != info.Kind {
		if r.section != configSection { // where CheckFor refuses it
			w.report(at, propertyValue, converted(l.value, kindSet(info.Kind)),
				"the property %s is %v, and this is %v: the service does not take it", info.Name, info.Kind, l.value.kind)
		}
		return
	}
	switch n := l.value.number; info.Name {
	case reportValidity:
		w.validity(at, n)
	case requiredPCRs:
		if n < 0 || n > allPCRs {
			w.report(at, propertyValue, strconv.Itoa(allPCRs),
				"bits 0 to 23 stand for the PCRs of a TPM; others are in no quote, and every request is refused")
		}
	case TCBIdentifier:
		w.baseline(at, l.value.text)
	}
}

// What the properties of Tpm policies may be at most (policy.md section 6).
const (
	allPCRs     = 1<<24 - 1
	maxValidity = 525600 // one year in minutes
)

func (w *warner) validity(at mark, minutes int64) {
	switch {
	case minutes > maxValidity:
		w.report(at, propertyValue, strconv.Itoa(maxValidity), "a token lives one year at most, %d minutes: that is what it gets", maxValidity)
	case minutes <= 0:
		w.report(at, propertyValue, "", "a token lives at least one minute: this is an error, which fails the whole attestation")
	}
}

// baseline checks the name of a TCB baseline.
func (w *warner) baseline(at mark, name string) {
	const standard = "azuredefault"
	if name == standard || name != "" && only(name, digits) {
		return
	}
	fix := ""
	if strings.EqualFold(name, standard) || nearest(name, []string{standard}) != "" {
		fix = quoteLiteral(standard)
	}
	w.report(at, propertyValue, fix,
		"a TCB baseline is called %s or by its TCB evaluation data number: there is no other, and every request is refused", standard)
}

// duplicate finds a rule that stands twice and does nothing the second time.
func (w *warner) duplicate(r *ruleView) {
	key := r.spelling()
	first, again := r.world.rules[key]
	if !again {
		first = madeRule{r.node.start.line, r.world.number}
	} else if !r.changedSince(first.number) {
		w.report(r.node.mark(), duplicateRule, "",
			"the same rule stands at line %d, and claims and verdicts count once: this one adds nothing", first.line)
		return
	}
	first.number = r.world.number
	r.world.rules[key] = first
}

// madeRule is where a rule stands first, and the number of the last of its repetitions.
type madeRule struct{ line, number int }

// changedSince says whether rules from that number on make claims that the rule's conditions look at.
func (r *ruleView) changedSince(number int) bool {
	for _, c := range r.conditions {
		switch {
		case c.name == nil && r.world.anyAt >= number, r.world.openAt >= number && number > 0:
			return true
		case c.name != nil && r.world.madeAt[c.name.value.text] >= number:
			return true
		}
	}
	return false
}

// spelling returns the rule in one spelling, whatever its labels are called.
func (r *ruleView) spelling() string {
	var b strings.Builder
	names := map[string]string{}
	b.WriteString(r.section.keyword())
	for i := range r.node.conditions {
		c := &r.node.conditions[i]
		if c.negated != nil {
			b.WriteByte('!')
		}
		if c.label != nil {
			names[c.label.raw] = strconv.Itoa(i)
		}
		for _, t := range c.tests {
			b.WriteString("," + t.property.name + t.relation.name + spelling(t.right, names))
		}
		b.WriteByte(';')
	}
	a := &r.node.action
	b.WriteString(a.verb.name)
	if a.copied != nil {
		b.WriteString(names[a.copied.raw])
	}
	for _, assign := range a.assigns {
		b.WriteString("," + assign.property.name + "=" + spelling(assign.right, names))
	}
	return b.String()
}
