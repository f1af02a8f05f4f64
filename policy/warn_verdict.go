package policy

// verdicts follows what the authorization rules come to.
type verdicts struct {
	keyword token // authorizationrules
	permit  *ruleView
	deny    *ruleView // these two always fire
	late    *ruleView // the first deny after that permit
	permits bool      // some rule can permit
	denies  bool      // some rule can deny
}

// take adds a rule of the section.
func (v *verdicts) take(r *ruleView) {
	fires := r.fires()
	switch r.node.action.verb.name {
	case "permit":
		v.permits = v.permits || fires != never
		if fires == always && v.permit == nil {
			v.permit = r
		}
	case "deny":
		v.denies = v.denies || fires != never
		if fires == always && v.deny == nil {
			v.deny = r
		}
		if v.permit != nil && v.late == nil {
			v.late = r
		}
	}
}

// warnings returns what is doubtful in the verdict as a whole.
func (v *verdicts) warnings(w *warner) []Warning {
	switch {
	case v.deny != nil:
		return []Warning{w.warning(v.deny.node.action.verb.mark(), denyAlways, "", v.deny.steady()+"the policy refuses every request, whatever other rules permit")}
	case !v.permits:
		return []Warning{w.warning(v.keyword.mark(), noPermit, "", "no rule can permit: the policy refuses every request")}
	case v.permit != nil && !v.denies:
		return []Warning{w.warning(v.permit.node.action.verb.mark(), permitAlways, "",
			v.permit.steady()+"the policy permits everything that verifies"+w.catalog.debuggable()+": whoever relies on the token has to look at its claims")}
	case v.late != nil:
		return []Warning{w.warning(v.late.node.action.verb.mark(), denyAfterPermit, "",
			"the permit at "+place(v.permit.node.start)+" does not end the evaluation: this deny still counts, for a deny beats a permit wherever it stands. Denies are easier to see before permits")}
	}
	return nil
}

// steady begins a sentence on a rule that always fires for its conditions' sake.
func (r *ruleView) steady() string {
	if len(r.conditions) == 0 {
		return ""
	}
	return "the conditions always hold: "
}

// debuggable says what more an unconditional permit lets through.
func (c *catalog) debuggable() string {
	switch c.kind {
	case "SgxEnclave", "OpenEnclave":
		return ", debuggable enclaves included"
	case "SevSnpVm", "TdxVm":
		return ", debuggable guests included"
	}
	return ""
}
