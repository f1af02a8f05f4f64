package policy

// ruleView is a rule as the checks for warnings see it.
type ruleView struct {
	section    sectionKind
	node       *ruleNode
	world      *world
	conditions []*conditionView
	labels     map[string]*conditionView
}

// verdict says when a condition or a rule holds.
type verdict uint8

const (
	maybe verdict = iota // it depends on the claims
	never
	always
)

// fires says when the rule's action runs.
func (r *ruleView) fires() verdict {
	out := always
	for _, c := range r.conditions {
		switch {
		case c.holds == never:
			return never
		case c.holds == maybe:
			out = maybe
		}
	}
	return out
}

// conditionView is a condition and what is known of the claims that can satisfy it.
type conditionView struct {
	node    *conditionNode
	section sectionKind
	world   *world
	name    *literalNode // what the type must be; nil if the text does not tell
	typed   bool         // there is a test of the type
	issuers issuers
	service *ClaimInfo // the claim of the service that can satisfy it, if one can
	policy  bool       // a claim of a rule before can
	other   bool       // a claim can of which nothing is known: of a client, or because the attestation type is not known
	traits  traits     // of the claims' values
	before  kinds      // of the values before the tests of valueType
	holds   verdict    // never, while the tests are looked at: no claim satisfies the brackets
	words   []string   // the tests in one spelling
	index   map[string]bool
	implied bool // another condition's claims satisfy it
	strange bool // the name was hardly meant
}

// issuers are those that the tests of a condition leave.
type issuers struct {
	service, policy, client, reference bool
	open                               bool // a test depends on claims
}

// made says whether the issuer of a claim that clients and rules do not make is left.
func (i issuers) made(info *ClaimInfo) bool {
	if info.Issuer == ReferenceValue {
		return i.reference
	}
	return i.service
}

// admits applies the tests of the issuer.
func (n *conditionNode) admits() issuers {
	i := issuers{service: true, policy: true, client: true, reference: true}
	for _, t := range n.tests {
		if t.property.name != "issuer" {
			continue
		}
		l, ok := t.right.(literalNode)
		if !ok {
			i.open = true
			continue
		}
		keep := func(who Issuer) bool { return (l.value.text == string(who)) == (t.relation.name == "==") }
		i.service = i.service && keep(AttestationService)
		i.policy = i.policy && keep(AttestationPolicy)
		i.client = i.client && keep(CustomClaim)
		i.reference = i.reference && keep(ReferenceValue)
	}
	return i
}

// view finds out what is known of a condition before its tests are looked at.
func (w *warner) view(r *ruleView, n *conditionNode) *conditionView {
	c := &conditionView{node: n, section: r.section, world: r.world, issuers: n.admits(), traits: traits{kinds: anyKind}}
	for i := range n.tests {
		if n.tests[i].property.name == "type" {
			c.typed = true
			if l, ok := n.tests[i].right.(literalNode); ok && n.tests[i].relation.name == "==" && c.name == nil {
				c.name = &l
			}
		}
	}
	c.other = c.issuers.client && w.catalog.clientClaims() && r.section != configSection && !c.ofReferences() ||
		!w.catalog.known() && (c.issuers.service || c.issuers.client || c.issuers.reference)
	if c.name != nil {
		w.sources(r, c)
	} else if info := w.visible(c, readOnlyClaim); info != nil {
		c.traits.readOnly = c.accepts(info)
		c.traits.digests = c.traits.readOnly
	}
	c.traits.readOnly = c.traits.readOnly || c.only(ReferenceValue)
	c.traits.open = c.traits.open || c.other
	c.before = c.traits.kinds
	c.traits.kinds &= n.kinds()
	return c
}

// ofReferences says whether the condition names a claim that no client can send, since it is called as those of reference values.
func (c *conditionView) ofReferences() bool { return c.name != nil && isReference(c.name.value.text) }

// sources finds out who can make the claims that the condition names, and what their values are.
func (w *warner) sources(r *ruleView, c *conditionView) {
	name := c.name.value.text
	c.service = w.visible(c, name)
	made := r.world.makes(name)
	c.policy = c.issuers.policy && made.kinds != 0
	var t traits
	if c.service != nil {
		t = c.service.traits()
	}
	if c.policy {
		t = t.join(made)
	}
	if c.service == nil && !c.policy || !w.catalog.known() && (c.issuers.service || c.issuers.reference) {
		t.kinds = anyKind
	}
	t.readOnly = t.readOnly || name == readOnlyClaim
	t.digests = t.digests || name == readOnlyClaim
	c.traits = t
}

// visible returns the claim of that name that the service makes and the condition can see, or nil.
func (w *warner) visible(c *conditionView, name string) *ClaimInfo {
	info := w.catalog.service(name)
	if info == nil || !c.issuers.made(info) || info.Since > w.minor || c.section == configSection && name != AttestationType {
		return nil
	}
	return info
}

// accepts says whether the service's claim satisfies the condition whatever its value is.
func (c *conditionView) accepts(info *ClaimInfo) bool {
	for _, t := range c.node.tests {
		if !info.certain(t) {
			return false
		}
	}
	return true
}

// kinds are those that the tests of valueType leave.
func (n *conditionNode) kinds() kinds {
	left := anyKind
	for _, t := range n.tests {
		kind, ok := namedKind(t.right)
		if ok && t.property.name == "valuetype" && t.relation.name == "==" {
			left &= kindSet(kind)
		}
	}
	return left
}

// kinds is a set of kinds of values.
type kinds uint8

const anyKind kinds = 1<<String | 1<<Integer | 1<<Boolean

func kindSet(k Kind) kinds { return 1 << k }

func (k kinds) has(kind Kind) bool { return k&kindSet(kind) != 0 }

// single returns the only kind of the set, if there is only one.
func (k kinds) single() (Kind, bool) {
	for _, kind := range []Kind{String, Integer, Boolean} {
		if k == kindSet(kind) {
			return kind, true
		}
	}
	return String, false
}

// String returns the kinds for a person: Integer or Boolean.
func (k kinds) String() string {
	out := ""
	for _, kind := range []Kind{String, Integer, Boolean} {
		if k.has(kind) {
			if out != "" {
				out += " or "
			}
			out += kind.String()
		}
	}
	return out
}

// traits is what is known of the values of claims or of an expression. The zero traits are those of no value.
type traits struct {
	kinds    kinds
	json     bool // its strings are JSON text, as JmesPath makes it
	readOnly bool // it is, or is made of, a claim that must not be issued
	digests  bool // of the claim pcrs
	open     bool // a claim of which nothing is known may be among them, or be what they are made of, after all
}

// join returns what is known of values that have the traits t or u.
func (t traits) join(u traits) traits {
	json := t.json && u.json || t.json && u.kinds == 0 || u.json && t.kinds == 0
	return traits{t.kinds | u.kinds, json, t.readOnly || u.readOnly, t.digests || u.digests, t.open || u.open}
}

// madeOf returns what is known of values that have the traits t and are made of those that have u.
func (t traits) madeOf(u traits) traits {
	t.readOnly, t.digests = t.readOnly || u.readOnly, t.digests || u.digests
	return t
}

func (c *ClaimInfo) traits() traits {
	t := traits{kinds: kindSet(c.Kind), json: c.form.alphabet == jsonText, readOnly: c.ReadOnly, digests: c.Name == readOnlyClaim}
	if c.loose {
		t.kinds = anyKind
	}
	return t
}

// world is what the rules so far have made: claims of issuer AttestationPolicy.
type world struct {
	names   []string          // in the order in which they were made
	made    map[string]traits // by name
	unnamed traits            // of the claims whose types the text does not tell
	rules   map[string]madeRule
	issued  map[string]*issuedValues
	madeAt  map[string]int // by name: the number of the last rule that makes claims of it
	anyAt   int            // the number of the last rule that makes claims
	openAt  int            // the same, of those in unnamed
	number  int            // of the rule at hand, from 1
}

func newWorld() *world {
	return &world{
		made: map[string]traits{}, rules: map[string]madeRule{}, issued: map[string]*issuedValues{},
		madeAt: map[string]int{}, number: 1,
	}
}

// makes returns the traits of the claims of a name that rules have made; without kinds if there are none.
func (s *world) makes(name string) traits { return s.made[name].join(s.unnamed) }

// take adds what the rule makes.
func (s *world) take(r *ruleView) {
	defer func() { s.number++ }()
	name, value := r.node.action.makes()
	if name == nil {
		return
	}
	t := r.traits(value)
	if t.kinds == 0 {
		t.kinds = anyKind // of a rule that never fires; that is said once
	}
	t = t.madeOf(r.traits(name))
	s.anyAt = s.number
	l, ok := name.(literalNode)
	if !ok {
		s.unnamed, s.openAt = s.unnamed.join(t), s.number
		return
	}
	text := l.value.text
	if _, again := s.made[text]; !again {
		s.names = append(s.names, text)
	}
	s.made[text], s.madeAt[text] = s.made[text].join(t), s.number
}

// makes returns the type and the value of the claims that the action makes; nil if it makes none.
func (a *actionNode) makes() (name, value exprNode) {
	for _, assign := range a.assigns {
		switch assign.property.name {
		case "type":
			name = assign.right
		case "value":
			value = assign.right
		}
	}
	return name, value
}

// makers finds for each name the line of the first rule outside configurationrules that makes claims of it.
func makers(tree *policyNode) map[string]int {
	lines := map[string]int{}
	for _, s := range tree.sections {
		if s.kind == configSection {
			continue
		}
		for i := range s.rules {
			name, _ := s.rules[i].action.makes()
			l, ok := name.(literalNode)
			if _, again := lines[l.value.text]; ok && !again {
				lines[l.value.text] = s.rules[i].start.line
			}
		}
	}
	return lines
}
