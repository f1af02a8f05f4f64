package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Location is a part of the policy text.
type Location struct {
	Line, Column int    // where it starts, from 1; columns count characters
	Text         string // as written; a rule without its semicolon
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
		return fmt.Sprintf("policy evaluation: %v", e.Err)
	}
	return fmt.Sprintf("policy evaluation: the rule at %v: %v", e.Rule, e.Err)
}

// Unwrap returns the problem.
func (e *EvaluationError) Unwrap() error { return e.Err }

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
	Rule  Location // ByRule: the first rule that denied
	Unmet []Unmet  // NoPermit: why the permit rules did not fire, maxUnmet at most
}

// Unmet says why one permit rule did not fire.
type Unmet struct {
	Rule      Location
	Condition Location // the first condition that no claim satisfied
	Type      string   // the claim type that it asks for; "" if it asks for none
	Found     []Claim  // the claims of that type that were there, maxFound at most
}

// How much of a refusal is explained.
const (
	maxUnmet     = 16
	maxFound     = 8
	maxUnmetText = 3 // in the text of the error
)

// Error returns the fixed text and, in a sentence for each rule, what decided.
func (d *Denied) Error() string {
	if d.Kind == ByRule {
		return fmt.Sprintf("%s The rule at %v denies: %s", DenyMessage, d.Rule, d.Rule.quote())
	}
	parts := []string{NoPermitMessage}
	if len(d.Unmet) == 0 {
		parts = append(parts, "The policy has no permit rule.")
	}
	for _, u := range d.Unmet[:min(len(d.Unmet), maxUnmetText)] {
		parts = append(parts, u.String())
	}
	if len(d.Unmet) > maxUnmetText {
		parts = append(parts, "The other permit rules did not hold either.")
	}
	return strings.Join(parts, " ")
}

// String returns the reason as a sentence.
func (u Unmet) String() string {
	found := "no claim satisfies it"
	if u.Type != "" {
		found = "found no claim of that type"
	}
	if len(u.Found) > 0 {
		texts := make([]string, len(u.Found))
		for i, c := range u.Found {
			texts[i] = c.String()
		}
		found = "found " + strings.Join(texts, ", ")
	}
	return fmt.Sprintf("The permit rule at %v needs %s; %s.", u.Rule, u.Condition.quote(), found)
}

// miss remembers, while rules run, what an explanation needs should the policy refuse.
type miss struct {
	rule   *rule
	failed int // index of the condition
	claims int // how many incoming claims there were
}

// explain says why permit rules did not fire.
func (m *machine) explain(missed []miss) []Unmet {
	unmet := make([]Unmet, len(missed))
	for i, miss := range missed {
		c := miss.rule.conditions[miss.failed]
		unmet[i] = Unmet{Rule: miss.rule.at, Condition: c.at, Type: c.claim}
		unmet[i].Found = claimsOf(m.incoming.members[:miss.claims], c.claim)
	}
	return unmet
}

// claimsOf returns the first claims of a type.
func claimsOf(claims []Claim, name string) []Claim {
	var found []Claim
	for _, c := range claims {
		if name == "" || len(found) == maxFound {
			break
		}
		if c.Type == name {
			found = append(found, c)
		}
	}
	return slices.Clip(found)
}
