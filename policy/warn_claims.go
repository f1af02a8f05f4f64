package policy

import (
	"slices"
	"strings"
)

// outcome says what becomes of a rule whose condition no claim can satisfy.
func (c *conditionView) outcome() string {
	if c.node.negated != nil {
		return "no claim satisfies the brackets, so that the negated condition always holds"
	}
	return "the condition never holds, and the rule never fires"
}

// lacking says what becomes of a condition whose claim neither the service nor a rule before makes.
func (c *conditionView) lacking() string {
	if c.other {
		return "only a client can send one"
	}
	return c.outcome()
}

// unsatisfied says what becomes of a condition with a test that nobody passes, or everybody where it is !=.
func (c *conditionView) unsatisfied(t testNode) string {
	if t.relation.name == "!=" {
		return "the test always holds"
	}
	return c.outcome()
}

// nobody notes that no claim can satisfy the brackets.
func (c *conditionView) nobody() { c.holds = never }

// claim checks who can make the claim that the condition asks for.
func (w *warner) claim(c *conditionView) {
	if c.holds == never || c.name == nil || !c.issuers.any() || c.only(CustomClaim) && !c.other {
		return // the tests of the issuer say what is wrong
	}
	switch present := c.service != nil || c.policy; {
	case present:
		w.present(c)
	case !c.other:
		c.nobody()
		w.absent(c)
	case w.catalog.known():
		w.misspelt(c)
	}
}

func (i issuers) any() bool { return i.service || i.policy || i.client || i.reference }

// present checks a condition whose claim is there.
func (w *warner) present(c *conditionView) {
	at, name := c.name.start.mark(), c.name.value.text
	if c.service != nil && c.service.Deprecated != "" {
		w.report(at, oldName, quoteLiteral(c.service.Deprecated), "%s is an old name of the claim %s", name, c.service.Deprecated)
	}
	if c.issuers.client && !c.issuers.open && !c.ofReferences() && w.catalog.clientClaims() && c.section != configSection {
		maker := AttestationService
		if c.service == nil {
			maker = AttestationPolicy
		}
		w.report(at, untestedIssuer, c.name.start.raw+`, issuer=="`+string(maker)+`"`,
			"a client can send a claim %s of its own, which counts as much here as that of %s: test the issuer too", shorten(name, 80), maker)
	}
}

// absent says why the claim that the condition asks for is never there.
func (w *warner) absent(c *conditionView) {
	if len(w.found) >= MaxWarnings {
		return
	}
	at, name := c.name.start.mark(), c.name.value.text
	info := w.catalog.service(name)
	line, made := w.makers[name]
	switch {
	case c.section == configSection:
		w.report(at, unverified, "",
			"configuration rules run before the evidence is verified, and see of the service's claims only %s: %s", AttestationType, c.outcome())
	case info != nil && c.issuers.made(info):
		w.tooEarly(c, info)
	case c.issuers.policy && made:
		w.late(c, line)
	case info != nil && info.Issuer == ReferenceValue:
		w.report(at, unknownClaim, "",
			"no rule before makes a claim %s, only reference values do, and the issuer is tested not to be %s: %s", name, ReferenceValue, c.outcome())
	case info != nil:
		w.report(at, unknownClaim, "",
			"no rule before makes a claim %s, only the service does, and the issuer is tested to be another: %s", name, c.outcome())
	case c.issuers.service && !c.issuers.policy && made:
		w.report(at, unknownClaim, "", "only rules make a claim %s, and the issuer is tested to be %s: %s",
			shorten(name, 80), AttestationService, c.outcome())
	default:
		w.unknown(c)
	}
}

func (w *warner) tooEarly(c *conditionView, info *ClaimInfo) {
	w.report(c.name.start.mark(), needsVersion, "", "the claim %s is there from version 1.%d on, this policy has version 1.%d: %s",
		info.Name, info.Since, w.minor, c.lacking())
}

// late says that the claim is made only by the rule on that line, which comes too late.
func (w *warner) late(c *conditionView, line int) {
	why := "does not see what it adds itself"
	if line > c.node.start.line {
		why = "sees only what the rules before it add"
	}
	w.report(c.name.start.mark(), lateClaim, "", "the rule at line %d is the first to make a claim %s, and a rule %s: %s",
		line, shorten(c.name.value.text, 80), why, c.lacking())
}

// unknown says that neither the service nor a rule before makes a claim of the name, and which one was meant.
func (w *warner) unknown(c *conditionView) {
	at, name := c.name.start.mark(), c.name.value.text
	if meant := w.catalog.folded[strings.ToLower(name)]; meant != "" {
		w.report(at, claimCase, quoteLiteral(meant), "names are compared with regard to case, and the claim is called %s: %s", meant, c.lacking())
		return
	}
	if owner := w.catalog.owner(name); owner != "" && (!c.other || strings.HasPrefix(name, "x-ms-") || strings.HasPrefix(name, "tdx_")) {
		w.report(at, foreignClaim, "", "%s is a claim of %s; this policy is for %s, where there is none%s: %s",
			name, owner, w.catalog.kind, nested(w.catalog.kind, owner), c.lacking())
		return
	}
	meant := w.meant(c)
	if meant == "" && c.other {
		return // clients call their claims as they like
	}
	w.report(at, unknownClaim, fixed(meant), "%s has no claim %s, and no rule before makes one%s: %s",
		w.catalog.kind, quoteLiteral(shorten(name, 80)), question(meant), c.lacking())
}

// nested says where a guest's token has the claims of its hardware report.
func nested(kind, owner string) string {
	if kind == "AzureGuest" && (owner == "SevSnpVm" || owner == "TdxVm") {
		return " but in the JSON text of x-ms-isolation-tee, which JmesPath of version 1.2 reads"
	}
	return ""
}

// misspelt checks a name that nobody but a client can make claims of, which may not be what was meant.
func (w *warner) misspelt(c *conditionView) {
	name := c.name.value.text
	info := w.catalog.service(name)
	line, made := w.makers[name]
	before := len(w.found)
	defer func() { c.strange = len(w.found) > before }()
	switch {
	case w.catalog.claims[name] != nil && info == nil, c.only(CustomClaim): // a claim of clients, as it should be
	case info != nil && c.issuers.made(info):
		w.tooEarly(c, info)
	case c.issuers.policy && made && line > c.node.start.line:
		w.late(c, line)
	default:
		w.unknown(c)
	}
}

// only says whether the tests leave one issuer.
func (c *conditionView) only(who Issuer) bool {
	return c.issuers == issuers{
		service: who == AttestationService, policy: who == AttestationPolicy, client: who == CustomClaim, reference: who == ReferenceValue,
	}
}

// meant returns the known name that the condition's is nearest to, or "".
func (w *warner) meant(c *conditionView) string {
	const most = 256 // names of rules that are looked through
	if w.searches == 0 {
		return ""
	}
	w.searches--
	if key, ok := strings.CutPrefix(c.name.value.text, ReferencePrefix); ok && c.issuers.reference {
		if meant := nearest(key, w.catalog.keys); meant != "" {
			return ReferencePrefix + meant
		}
	}
	var candidates []string
	if c.issuers.service || c.issuers.reference {
		candidates = w.catalog.names
	}
	if c.issuers.policy {
		candidates = slices.Concat(candidates, c.world.names[:min(len(c.world.names), most)])
	}
	return nearest(c.name.value.text, candidates)
}

func fixed(meant string) string {
	if meant == "" {
		return ""
	}
	return quoteLiteral(meant)
}

func question(meant string) string {
	if meant == "" {
		return ""
	}
	return " (was " + meant + " meant?)"
}

// issuer checks a test of the issuer against the issuers that there are.
func (w *warner) issuer(c *conditionView, t testNode, l literalNode) {
	at := w.mark(l)
	if who := Issuer(l.value.text); !who.known() {
		known := []string{string(AttestationService), string(AttestationPolicy), string(CustomClaim), string(ReferenceValue)}
		meant := nearest(l.value.text, known)
		for _, name := range known {
			if strings.EqualFold(name, l.value.text) {
				meant = name
			}
		}
		w.report(at, unknownIssuer, fixed(meant),
			"the issuers are AttestationService, AttestationPolicy, CustomClaim and ReferenceValue, spelt so: %s", c.unsatisfied(t))
		if t.relation.name == "==" {
			c.nobody()
		}
		return
	}
	switch {
	case c.holds == never || c.other:
	case c.only(CustomClaim) && w.catalog.clientClaims() && c.ofReferences():
		w.report(at, unknownIssuer, fixed(string(ReferenceValue)), "clients cannot send claims called as those of reference values: %s", c.outcome())
		c.nobody()
	case c.only(ReferenceValue) && c.section == configSection:
		w.report(at, unknownIssuer, "", "configuration rules run before there are claims of reference values: %s", c.outcome())
		c.nobody()
	case c.only(CustomClaim):
		w.report(at, unknownIssuer, "", "only requests of type Tpm carry claims of the client%s: %s", before(c.section), c.outcome())
		c.nobody()
	}
}

func before(section sectionKind) string {
	if section == configSection {
		return ", and configuration rules run before they are read"
	}
	return ""
}
