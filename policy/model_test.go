package policy_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

// The model is a second evaluator, written from policy.md sections 4 and 5 with nothing in mind but to be plain. It
// works on policies that it writes itself, so that it needs no parser.

type modelRule struct {
	conditions []modelCondition
	verb       string // permit, deny, add, issue, copy
	name       any    // a string or a modelReference
	value      any    // a policy.Value or a modelReference
	copied     int    // condition
}

type modelCondition []modelTest

type modelTest struct {
	property, relation string
	right              any // a policy.Value or a modelReference
}

// modelReference is a property of the claims that satisfied an earlier condition.
type modelReference struct {
	condition int
	property  string
}

func propertyOf(c policy.Claim, property string) policy.Value {
	switch property {
	case "type":
		return policy.StringValue(c.Type)
	case "issuer":
		return policy.StringValue(string(c.Issuer))
	case "valueType":
		return policy.StringValue(c.Value.Kind().String())
	}
	return c.Value
}

// members is the set of values that a right side stands for.
func (r modelRule) members(right any, bound [][]policy.Claim) []policy.Value {
	reference, ok := right.(modelReference)
	if !ok {
		return []policy.Value{right.(policy.Value)}
	}
	var set []policy.Value
	for _, c := range bound[reference.condition] {
		if v := propertyOf(c, reference.property); !slices.Contains(set, v) {
			set = append(set, v)
		}
	}
	return set
}

func related(a policy.Value, relation string, b policy.Value) bool {
	x, isInt := a.Int()
	y, bothInt := b.Int()
	bothInt = bothInt && isInt
	switch relation {
	case "==":
		return a == b
	case "!=":
		return a != b
	case "<":
		return bothInt && x < y
	case "<=":
		return bothInt && x <= y
	case ">":
		return bothInt && x > y
	}
	return bothInt && x >= y
}

// fires returns the claims that satisfy each condition, and whether each has some.
func (r modelRule) fires(incoming []policy.Claim) (bound [][]policy.Claim, ok bool) {
	for _, condition := range r.conditions {
		var found []policy.Claim
		for _, c := range incoming {
			if r.satisfies(c, condition, bound) {
				found = append(found, c)
			}
		}
		if len(found) == 0 {
			return nil, false
		}
		bound = append(bound, found)
	}
	return bound, true
}

func (r modelRule) satisfies(c policy.Claim, condition modelCondition, bound [][]policy.Claim) bool {
	for _, t := range condition {
		if !slices.ContainsFunc(r.members(t.right, bound), func(v policy.Value) bool {
			return related(propertyOf(c, t.property), t.relation, v)
		}) {
			return false
		}
	}
	return true
}

// made is the claims that the rule's action adds.
func (r modelRule) made(bound [][]policy.Claim) (claims []policy.Claim) {
	if r.verb == "copy" {
		return bound[r.copied]
	}
	for _, name := range r.members(r.name, bound) {
		for _, v := range r.members(r.value, bound) {
			text, _ := name.Text()
			claims = append(claims, policy.Claim{Type: text, Value: v, Issuer: policy.AttestationPolicy})
		}
	}
	return claims
}

// model evaluates both sections and describes the outcome as the function outcome does.
func model(authorization, issuance []modelRule, incoming []policy.Claim) string {
	incoming = slices.Clone(incoming)
	var denied, permitted bool
	var issued []policy.Claim
	for i, r := range append(slices.Clone(authorization), issuance...) {
		bound, ok := r.fires(incoming)
		if !ok {
			continue
		}
		denied, permitted = denied || r.verb == "deny", permitted || r.verb == "permit"
		if r.verb == "deny" || r.verb == "permit" {
			continue
		}
		for _, c := range r.made(bound) {
			if !slices.Contains(incoming, c) {
				incoming = append(incoming, c)
			}
			if i >= len(authorization) && r.verb != "add" {
				issued = append(issued, c)
			}
		}
	}
	switch {
	case denied:
		return "deny"
	case !permitted:
		return "no-permit"
	}
	return groupText(modelGroups(issued))
}

func modelGroups(issued []policy.Claim) (groups []policy.Group) {
	for _, c := range issued {
		i := slices.IndexFunc(groups, func(g policy.Group) bool { return g.Type == c.Type })
		if i < 0 {
			i = len(groups)
			groups = append(groups, policy.Group{Type: c.Type})
		}
		if !slices.Contains(groups[i].Values, c.Value) {
			groups[i].Values = append(groups[i].Values, c.Value)
		}
	}
	return groups
}

// String writes the rule in the language.
func (r modelRule) String() string {
	var conditions []string
	for i, condition := range r.conditions {
		var tests []string
		for _, t := range condition {
			tests = append(tests, fmt.Sprintf("%s%s%s", t.property, t.relation, rightText(t.right)))
		}
		conditions = append(conditions, fmt.Sprintf("l%d:[%s]", i, strings.Join(tests, ", ")))
	}
	action := r.verb + "()"
	switch r.verb {
	case "copy":
		action = fmt.Sprintf("issue(claim=l%d)", r.copied)
	case "add", "issue":
		action = fmt.Sprintf("%s(type=%s, value=%s)", r.verb, rightText(r.name), rightText(r.value))
	}
	return strings.Join(conditions, " && ") + " => " + action + ";\n"
}

func rightText(right any) string {
	if r, ok := right.(modelReference); ok {
		return fmt.Sprintf("l%d.%s", r.condition, r.property)
	}
	return fmt.Sprint(right)
}

// writer invents policies and claims over a small vocabulary, so that they meet.
type writer struct{ *rand.Rand }

func pick[T any](w writer, from ...T) T { return from[w.IntN(len(from))] }

func (w writer) value() policy.Value {
	return pick(w, policy.IntegerValue(int64(w.IntN(5)-1)), policy.IntegerValue(int64(w.IntN(80))), policy.BooleanValue(w.IntN(2) == 0),
		policy.StringValue(pick(w, "a", "b", "1", "true", "Integer", "AttestationPolicy")))
}

func (w writer) name() policy.Value { return policy.StringValue(pick(w, "a", "b", "c")) }

func (w writer) claims() (claims []policy.Claim) {
	for range w.IntN(pick(w, 2, 6, 90)) {
		name, _ := w.name().Text()
		claims = append(claims, policy.Claim{Type: name, Value: w.value(),
			Issuer: pick(w, policy.AttestationService, policy.CustomClaim)})
	}
	return claims
}

func (w writer) rule(verbs ...string) modelRule {
	r := modelRule{verb: pick(w, verbs...)}
	for i := range w.IntN(4) {
		condition := modelCondition{{"type", pick(w, "==", "!="), w.name()}}
		for range w.IntN(3) {
			condition = append(condition, w.test(i))
		}
		r.conditions = append(r.conditions, condition[w.IntN(len(condition)):])
	}
	n := len(r.conditions)
	if n == 0 && r.verb == "copy" {
		r.verb = "issue"
	}
	r.name, r.value = w.name(), w.value()
	if n > 0 {
		r.copied = w.IntN(n)
		r.name = pick[any](w, r.name, modelReference{w.IntN(n), pick(w, "type", "issuer", "valueType")})
		r.value = pick[any](w, r.value, modelReference{w.IntN(n), pick(w, "value", "type", "issuer")})
	}
	return r
}

// test invents a test for the condition after so many others.
func (w writer) test(conditions int) modelTest {
	t := modelTest{pick(w, "value", "value", "issuer", "valueType"), pick(w, "==", "!="), w.name()}
	if t.property == "value" {
		t.relation, t.right = pick(w, "==", "!=", "<", "<=", ">", ">="), w.value()
		if strings.ContainsAny(t.relation, "<>") {
			t.right = policy.IntegerValue(int64(w.IntN(5)))
		}
	}
	if conditions > 0 && w.IntN(2) == 0 {
		t.right = modelReference{w.IntN(conditions), pick(w, "value", "value", "type", "issuer", "valueType")}
	}
	return t
}

func (w writer) rules(verbs ...string) (rules []modelRule, text string) {
	for range w.IntN(6) {
		r := w.rule(verbs...)
		rules, text = append(rules, r), text+r.String()
	}
	return rules, text
}

func TestEvaluationAgreesWithThePlainModel(t *testing.T) {
	w := writer{rand.New(rand.NewPCG(1, 2))}
	verdicts := map[string]int{}
	for range 3_000 {
		authorization, authText := w.rules("permit", "permit", "permit", "deny", "add")
		issuance, issueText := w.rules("add", "issue", "issue", "copy")
		text := "version=1.0;\nauthorizationrules {\n" + authText + "};\nissuancerules {\n" + issueText + "};"
		claims := w.claims()
		want := model(authorization, issuance, claims)
		o, err := mustParse(t, text).Evaluate(claims, policy.Budget{})
		got := ""
		if err == nil {
			got = groupText(o.Issued())
		} else {
			got = verdictOf(err)
		}
		if got != want {
			t.Fatalf("%s\n%v\ngot  %s\nwant %s", text, claims, got, want)
		}
		verdicts[verdictKind(got)]++
	}
	for _, kind := range []string{"deny", "no-permit", "nothing issued", "issued", "array issued"} {
		if verdicts[kind] < 30 {
			t.Errorf("only %d of the invented policies gave %q: %v", verdicts[kind], kind, verdicts)
		}
	}
}

// verdictKind sorts outcomes, to see that the invented policies reach all of them.
func verdictKind(outcome string) string {
	switch {
	case outcome == "deny" || outcome == "no-permit":
		return outcome
	case outcome == "":
		return "nothing issued"
	case strings.Contains(outcome, "["):
		return "array issued"
	}
	return "issued"
}
