package policytest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/assay-attestation/assay/policy"
)

// codeParsing is the code of a policy that does not parse.
const codeParsing = "PolicyParsingError"

// expectation is what a case must end in. Claims are held as a test file writes them.
type expectation struct {
	verdict policy.Verdict
	implied bool // the verdict is not written: code says it
	issued, properties,
	configuration []member
	line, column         int
	code, check, message string
}

// readExpectation reads an expectation; one with nothing in it is none.
func readExpectation(n ast.Node) (*expectation, error) {
	if m, ok := n.(*ast.MappingNode); n.Type() == ast.NullType || ok && len(m.Values) == 0 {
		return nil, nil
	}
	e := &expectation{}
	if err := (readers{
		"verdict": e.readVerdict, "code": textVar(&e.code), "check": textVar(&e.check), "message": textVar(&e.message),
		"line": numberVar(&e.line), "column": numberVar(&e.column),
		"issued": claimsVar(&e.issued), "properties": claimsVar(&e.properties), "configuration": claimsVar(&e.configuration),
	}).read(n); err != nil {
		return nil, err
	}
	if e.verdict == "" && e.code != "" {
		e.verdict, e.implied = policy.Failed, true
	}
	if problem := e.problem(); problem != "" {
		return nil, wrong(n, "expect: %s", problem)
	}
	return e, nil
}

func (e *expectation) readVerdict(n ast.Node) error {
	known := []policy.Verdict{policy.Permitted, policy.DeniedByRule, policy.NotPermitted, policy.Failed}
	text, err := textOf(n)
	if e.verdict = policy.Verdict(text); err == nil && !slices.Contains(known, e.verdict) {
		err = wrong(n, "expected one of %v, found %.40q", known, text)
	}
	return err
}

// claimsVar makes a reader of the claims that a token would have.
func claimsVar(claims *[]member) func(ast.Node) error {
	return func(n ast.Node) error {
		return eachMember(n, "a mapping of claim types to values", func(key *ast.StringNode, value ast.Node) error {
			elements, isList := elementsOf(value)
			if len(elements) == 0 {
				return wrong(value, "expected values, found an empty list: leave out what is not to be there")
			}
			texts := make([]string, len(elements))
			for i, element := range elements {
				var err error
				if texts[i], err = expectedValue(element); err != nil {
					return err
				}
			}
			*claims = append(*claims, claimMember(key.Value, texts, isList))
			return nil
		})
	}
}

// expectedValue reads a value, or the digest and the length of a long string.
func expectedValue(n ast.Node) (string, error) {
	if _, ok := n.(*ast.MappingNode); !ok {
		v, err := valueOf(n)
		return valueText(v), err
	}
	var sum string
	var length int
	err := readers{"sha256": textVar(&sum), "length": numberVar(&length)}.read(n)
	if b, wrongHex := hex.DecodeString(sum); err == nil && (wrongHex != nil || len(b) != sha256.Size || length <= written) {
		err = wrong(n, "expected a value, or sha256 (64 hex digits) and length of a string of more than %d bytes", written)
	}
	return digestText(strings.ToLower(sum), length), err
}

// problem says what makes no sense in the expectation: what would hold always, or never.
func (e *expectation) problem() string {
	refused := e.code + e.check + e.message
	claims := len(e.issued) + len(e.properties) + len(e.configuration)
	switch {
	case e.verdict == "":
		return "expected a verdict (permit, deny, no-permit, error), or the code of an error"
	case e.column > 0 && e.line == 0:
		return "a column needs its line"
	case e.verdict != policy.Permitted && claims > 0:
		return "issued, properties and configuration go with the verdict permit"
	case e.verdict == policy.Permitted && refused != "":
		return "code, check and message do not go with the verdict permit"
	case e.verdict == policy.NotPermitted && e.line > 0:
		return "no rule decides a no-permit, so that it has no line"
	case e.verdict == policy.Failed && e.code == "":
		return "the verdict error needs a code: without it any error would do, a slip in the policy included"
	case e.verdict == policy.Failed && e.line == 0 && e.check == "" && e.message == "":
		return "an error needs line, check or message, which tell it from others of its code"
	}
	return ""
}

// like returns the expectation that the outcome meets, with the members that another one has: nil, or one that it
// need not meet.
func (o *Outcome) like(want *expectation) *expectation {
	if want == nil {
		want = &expectation{}
	}
	e := &expectation{verdict: o.Verdict, implied: want.implied && o.Verdict == policy.Failed}
	if o.Verdict == policy.Permitted {
		e.issued, e.properties, e.configuration = membersOf(o.Issued), membersOf(o.Properties), membersOf(o.Configuration)
	}
	if o.Verdict == policy.Failed || want.code != "" {
		e.code = o.Code
	}
	if want.check != "" {
		e.check = o.Check
	}
	if e.message = want.message; !strings.Contains(o.Message, e.message) {
		e.message = o.beginning()
	}
	if want.line > 0 {
		e.line = o.Line
	}
	if want.column > 0 {
		e.column = o.Column
	}
	if o.Verdict == policy.Failed && e.problem() != "" {
		e.specify(o)
	}
	return e
}

// beginning is as much of the message as is written into a test file.
func (o *Outcome) beginning() string {
	if len(o.Message) <= written {
		return o.Message
	}
	return strings.ToValidUTF8(o.Message[:written], "")
}

// specify adds what tells an error from others of its code.
func (e *expectation) specify(o *Outcome) {
	switch {
	case o.Check != "":
		e.check = o.Check
	case o.Line == 0:
		e.message = o.beginning()
	case o.Code == codeParsing:
		e.line, e.column = o.Line, o.Column
	default:
		e.line = o.Line
	}
}

// membersOf writes claims as a test file does.
func membersOf(groups []policy.Group) []member {
	var list []member
	for _, g := range groups {
		texts := make([]string, len(g.Values))
		for i, v := range g.Values {
			texts[i] = valueText(v)
		}
		list = append(list, claimMember(g.Type, texts, len(texts) > 1))
	}
	return list
}

// members writes the expectation, in the order in which people read it.
func (e *expectation) members() []member {
	if e == nil {
		return nil
	}
	var list []member
	add := func(name, text string) {
		if text != "" {
			list = append(list, member{name: name, text: text})
		}
	}
	if !e.implied {
		add("verdict", string(e.verdict))
	}
	for _, claims := range []member{
		{name: "issued", members: e.issued}, {name: "properties", members: e.properties}, {name: "configuration", members: e.configuration},
	} {
		if len(claims.members) > 0 {
			list = append(list, claims)
		}
	}
	add("code", quoted(e.code))
	add("check", quoted(e.check))
	add("line", place(e.line))
	add("column", place(e.column))
	add("message", quoted(e.message))
	return list
}

// quoted writes a text; "" stands for none.
func quoted(s string) string {
	if s == "" {
		return ""
	}
	return quote(s)
}

func place(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// Difference is a member of an expectation that is not as found.
type Difference struct {
	Member string // of the expectation
	Claim  string // of issued, properties and configuration: the claim's type
	// Expected and Found are written as in a test file; "" is nothing.
	Expected, Found string
}

// lines writes the difference as a diff does: what was expected behind "- ", what was found behind "+ ".
func (d *Difference) lines() []string {
	name := d.Member
	if d.Claim != "" {
		name = strings.Repeat(" ", step) + quote(d.Claim)
	}
	var lines []string
	if d.Expected != "" {
		lines = append(lines, fmt.Sprintf("- %s: %s", name, d.Expected))
	}
	if d.Found != "" {
		lines = append(lines, fmt.Sprintf("+ %s: %s", name, d.Found))
	}
	return lines
}

// differences compares what was expected with what was found. Where the verdicts differ, the claims are not compared.
func differences(want, found *expectation) []Difference {
	list := compare(want.members(), found.members(), "")
	if want != nil && want.verdict != found.verdict {
		list = slices.DeleteFunc(list, func(d Difference) bool { return d.Claim != "" })
	}
	return list
}

// compare compares members, those of a member if parent is its name.
func compare(want, found []member, parent string) []Difference {
	var list []Difference
	for _, w := range want {
		f, _ := named(found, w.name)
		list = append(list, w.compare(f, parent)...)
	}
	for _, f := range found {
		if _, ok := named(want, f.name); !ok {
			list = append(list, member{name: f.name}.compare(f, parent)...)
		}
	}
	return list
}

// compare compares two members of one name.
func (m member) compare(found member, parent string) []Difference {
	switch {
	case m.members != nil || found.members != nil:
		return compare(m.members, found.members, m.name)
	case m.text == found.text:
		return nil
	case parent != "":
		return []Difference{{parent, m.name, m.text, found.text}}
	}
	return []Difference{{Member: m.name, Expected: m.text, Found: found.text}}
}
