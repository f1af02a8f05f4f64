package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Location is a part of the policy text.
type Location struct {
	Line   int    `json:"line"`   // where it starts, from 1
	Column int    `json:"column"` // from 1, in characters
	Text   string `json:"text"`   // as written; a rule without its semicolon
}

// String returns the place: line 4, column 5.
func (l Location) String() string { return fmt.Sprintf("line %d, column %d", l.Line, l.Column) }

// quote returns the text on one line, shortened.
func (l Location) quote() string {
	return printable(strings.Join(strings.Fields(shorten(l.Text, 240)), " "))
}

// Outcome is what a policy that permits makes of the claims.
type Outcome struct {
	permitted  Location
	issued     []Group
	properties []Group
}

// PermittedBy returns the first rule that permitted.
func (o *Outcome) PermittedBy() Location { return o.permitted }

// Issued returns the outgoing claims for the token, grouped by type in the order of first issue (policy.md
// section 5.5). The caller must not change them.
func (o *Outcome) Issued() []Group { return o.issued }

// Properties returns what issueproperty made in issuancerules, grouped like Issued. Their names and types are not
// checked: only the attestation types for TPM and VBS read them (policy.md section 6).
func (o *Outcome) Properties() []Group { return o.properties }

// Group is the values of the claims of one type, each value once, in the order of issue. There is at least one.
type Group struct {
	Type   string
	Values []Value
}

// Any returns the group as it stands in a token: a string, int64 or bool, or a []any of them if there are several.
func (g Group) Any() any {
	if len(g.Values) == 1 {
		return g.Values[0].Any()
	}
	list := make([]any, len(g.Values))
	for i, v := range g.Values {
		list[i] = v.Any()
	}
	return list
}

// MarshalJSON returns the group's values as they stand in a token: a scalar, or an array if there are several.
func (g Group) MarshalJSON() ([]byte, error) { return json.Marshal(g.Any()) }

// group orders claims by type.
func group(claims []Claim) []Group {
	if len(claims) == 0 {
		return nil
	}
	groups := make([]Group, 0, len(claims))
	single := make([]Value, len(claims)) // one allocation for the usual case of one value each
	position := make(map[string]int, len(claims))
	for i, c := range claims {
		at, ok := position[c.Type]
		if !ok {
			at = len(groups)
			position[c.Type] = at
			groups = append(groups, Group{Type: c.Type, Values: single[i : i : i+1]})
		}
		groups[at].Values = append(groups[at].Values, c.Value)
	}
	return groups
}

// EvaluationError says why a policy could not be evaluated over the claims it met.
type EvaluationError struct {
	Rule Location // the rule that was evaluated; zero if none was
	Err  error
}

// Error returns the problem and the place of the rule.
func (e *EvaluationError) Error() string {
	if e.Rule.Line == 0 {
		return fmt.Sprintf("%s: %v", engine, e.Err)
	}
	return fmt.Sprintf("%s: the rule at %v failed: %v. The rule: %s", engine, e.Rule, e.Err, e.Rule.quote())
}

// Unwrap returns the problem.
func (e *EvaluationError) Unwrap() error { return e.Err }

// engine begins every message of a policy that does not permit.
const engine = "Policy Engine Exception"

// The texts of the two refusals, word for word those of Microsoft's service (api.md section 6.4).
const (
	DenyMessage     = "Policy Engine Exception: A Deny claim was issued, authorization failed."
	NoPermitMessage = "Policy Engine Exception: No Permit claim was issued in the authorizationrules section, authorization failed."
)

// DenialKind says in which of the two ways a policy refused.
type DenialKind uint8

// The ways to refuse. A deny counts more than any permit.
const (
	NoPermit DenialKind = iota // no rule permitted
	ByRule                     // a rule denied
)

// Message returns the fixed text of the refusal, which quotes nothing of the policy.
func (k DenialKind) Message() string {
	if k == ByRule {
		return DenyMessage
	}
	return NoPermitMessage
}

// Denied is the error of a policy that refuses.
type Denied struct {
	Kind  DenialKind
	Rule  Location         // ByRule: the first rule that denied
	Met   []ConditionTrace // ByRule: its conditions, all of which held
	Unmet []Unmet          // NoPermit: why the permit rules did not fire, maxUnmet at most
	Cut   bool             // the time was over before all that was found out
}

// Unmet says why one permit rule did not fire.
type Unmet struct {
	Rule      Location
	Condition ConditionTrace // the first that did not hold
}

// How much of a refusal is explained.
const (
	maxUnmet     = 16
	maxFound     = 8
	maxUnmetText = 3 // in the text of the error
)

// Error returns the fixed text and, in a sentence for each rule, what decided.
func (d *Denied) Error() string { return d.text(false) }

// Public is Error for those who may not read reference values (native.md section 5): it has none of them, neither names nor what the policy
// made of them.
func (d *Denied) Public() string { return d.text(true) }

func (d *Denied) text(public bool) string {
	if d.Kind == ByRule {
		return fmt.Sprintf("%s The rule at %v denies: %s%s.", DenyMessage, d.Rule, d.Rule.quote(), d.because(public))
	}
	parts := []string{NoPermitMessage}
	if len(d.Unmet) == 0 && !d.Cut {
		parts = append(parts, "The policy has no permit rule, and so refuses everything: its author has to add one.")
	}
	for _, u := range d.Unmet[:min(len(d.Unmet), maxUnmetText)] {
		parts = append(parts, u.text(public))
	}
	if len(d.Unmet) > maxUnmetText {
		parts = append(parts, "The other permit rules did not hold either.")
	}
	if d.Cut {
		parts = append(parts, outOfTime)
	}
	return strings.Join(parts, " ")
}

// outOfTime stands for reasons.
const outOfTime = "The time of the evaluation was over before all reasons were found: use fewer rules, conditions or claims, or simpler queries."

// because names the claims for which the conditions of a deny held.
func (d *Denied) because(public bool) string {
	var found []string
	for _, c := range d.Met[:min(len(d.Met), maxUnmetText)] {
		found = append(found, c.reason(public))
	}
	if d.Cut {
		return ". " + strings.TrimSuffix(outOfTime, ".")
	}
	if len(found) == 0 {
		return "; it has no condition, and so denies everything: the policy's author has to change it"
	}
	return "; " + strings.Join(found, "; ")
}

// text returns the reason as a sentence.
func (u Unmet) text(public bool) string {
	c := &u.Condition
	needs := c.Condition.quote()
	if c.Negated {
		needs = "that no claim satisfies " + strings.TrimLeft(needs, "! ")
	}
	text := fmt.Sprintf("The permit rule at %v needs %s%s; %s.", u.Rule, needs, c.against(public), c.reason(public))
	if len(c.Against) > 0 {
		text += " The rule: " + u.Rule.quote()
	}
	return text
}

// against says what the right sides of the condition stood for, where the text does not.
func (c *ConditionTrace) against(public bool) string {
	var parts []string
	for _, a := range c.Against {
		values := listValues(a.Values)
		switch {
		case public && a.readOnly:
			values = "what read-only claims have"
		case len(a.Values) == 0:
			values = "nothing"
		case len(a.Values) > 1:
			values = "one of " + values
		}
		parts = append(parts, fmt.Sprintf("%s %s %s", a.Property, a.Relation, values))
	}
	if len(parts) == 0 {
		return ""
	}
	return ", here " + strings.Join(parts, " and ")
}

// note says what does not show in claim and condition: a value of another type than asked for, or whose issuer fails.
func (c ComparedClaim) note() string {
	switch {
	case c.Asked != "":
		return fmt.Sprintf(", of type %v where the condition asks for %s", c.Claim.Value.kind, c.Asked)
	case c.Fails == "issuer":
		return ", whose issuer is " + string(c.Claim.Issuer)
	}
	return ""
}

// text is the claim and its note; in public, of reference values and what the policy made of read-only claims, where it is from.
func (c ComparedClaim) text(public bool) string {
	made := c.Claim.Issuer == AttestationPolicy && c.Claim.ReadOnly
	if public && (made || c.Claim.Issuer == ReferenceValue) {
		return fmt.Sprintf("%s (%s)", printable(shorten(c.Claim.Type, 160)), c.Claim.Issuer)
	}
	return c.Claim.String() + c.note()
}

// reason says which claims were there.
func (c *ConditionTrace) reason(public bool) string {
	var texts []string
	for _, compared := range c.Compared {
		if compared.Satisfies == (c.Holds != c.Negated) { // those that decided
			texts = append(texts, compared.text(public))
		}
	}
	if public {
		texts = slices.Compact(texts)
	}
	switch {
	case len(texts) > maxFound:
		return "found " + strings.Join(texts[:maxFound], ", ") + " and more"
	case len(texts) > 0:
		return "found " + strings.Join(texts, ", ")
	case c.Cut:
		return "too many claims were compared to say which decided"
	case c.Type != "":
		return "found no claim of that type"
	}
	return "no claim satisfies it"
}
