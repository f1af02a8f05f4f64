package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/internal/policytest"
	"github.com/assay-attestation/assay/policy"
)

// runPolicyEval evaluates a policy as the service would (native.md section 1.6).
func runPolicyEval(_ context.Context, c *call) error {
	in, err := readPolicyInput(c)
	if err != nil {
		return err
	}
	o, err := in.judge()
	if err != nil {
		return err
	}
	return c.tell(evaluationOf(in, o), o.Err)
}

// evaluation is the result of policy eval.
type evaluation struct {
	Verdict       policy.Verdict  `json:"verdict"`
	Type          string          `json:"type,omitzero"`
	Hash          string          `json:"hash"`
	Rule          *rulePlace      `json:"rule,omitzero"`       // that permitted or denied
	Issued        groups          `json:"issued,omitzero"`     // of a permit, like properties
	Properties    groups          `json:"properties,omitzero"` //
	Configuration groups          `json:"configuration,omitzero"`
	Evidence      *evidenceReport `json:"evidence,omitzero"`
	Notes         []string        `json:"notes"`
	Error         *problem        `json:"error,omitzero"`
	JWS           bool            `json:"jws,omitzero"` // the policy came in one; all this is of the text in it
	in            *policyInput
}

type rulePlace struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// groups are claims as a token has them, printed as one object in their order.
type groups []policy.Group

// MarshalJSONTo writes the groups as the members of an object.
func (gs groups) MarshalJSONTo(e *jsontext.Encoder) error {
	if err := e.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, g := range gs {
		if err := errors.Join(e.WriteToken(jsontext.String(g.Type)), json.MarshalEncode(e, g.Any())); err != nil {
			return err
		}
	}
	return e.WriteToken(jsontext.EndObject)
}

func evaluationOf(in *policyInput, o *policytest.Outcome) *evaluation {
	r := &evaluation{
		Verdict: o.Verdict, Type: in.kind, Hash: policy.Hash(in.text), Configuration: o.Configuration,
		Evidence: in.verification, Notes: in.notes(o), JWS: in.jws, in: in,
	}
	if o.Verdict == policy.Permitted {
		r.Issued, r.Properties = append(groups{}, o.Issued...), append(groups{}, o.Properties...)
		r.Configuration = append(groups{}, o.Configuration...)
	} else {
		r.Error = &problem{Code: o.Code, Check: o.Check, Message: o.Message, Line: o.Line, Column: o.Column}
	}
	if o.Line > 0 && o.Verdict != policy.Failed {
		r.Rule = &rulePlace{o.Line, o.Column}
	}
	return r
}

// print shows the verdict and the claims, or why there is none.
func (r *evaluation) print(s sheet, err error) {
	colour, about := green, r.in.file+" over "+r.in.over
	if err != nil {
		colour = red
	}
	s.heading(colour, strings.ToUpper(strings.ReplaceAll(string(r.Verdict), "-", " ")), about)
	s.rows(row{"type", r.Type}, row{"policy hash", r.Hash}, row{"rule", r.place()})
	if r.JWS {
		s.rows(row{"form", "JWS; evaluated is the text in it, and the signature is not looked at"})
	}
	r.printError(s, err)
	for _, part := range []struct {
		title  string
		claims groups
	}{{"Issued", r.Issued}, {"Properties", r.Properties}, {"Configuration", r.Configuration}} {
		if len(part.claims) > 0 {
			s.section(part.title)
			s.rows(groupRows(part.claims)...)
		}
	}
	if r.Evidence != nil && r.Evidence.Status != "" {
		r.Evidence.printStanding(s, err)
	}
	for _, note := range r.Notes {
		s.section("Note: " + note)
	}
}

func (r *evaluation) place() string {
	if r.Rule == nil {
		return ""
	}
	return fmt.Sprintf("line %d, column %d", r.Rule.Line, r.Rule.Column)
}

// parseErrors prints the errors of a policy text as a compiler does, and reports whether err is of that kind.
func (s sheet) parseErrors(file string, err error) bool {
	found, ok := errors.AsType[policy.Errors](err)
	for _, e := range found {
		fmt.Fprintf(s.w, "%s:%s\n", plain(file), e.Detail())
	}
	return ok
}

// printError shows why there is no permit; errors of the text as a compiler does, so that editors can jump to them.
func (r *evaluation) printError(s sheet, err error) {
	switch {
	case err == nil:
	case s.parseErrors(r.in.file, err):
	case r.Error.Check != "":
		s.refusal(err)
	default:
		s.rows(row{"code", r.Error.Code}, row{"message", r.Error.Message})
	}
}

func groupRows(gs groups) []row {
	var rows []row
	for _, g := range gs {
		texts := make([]string, len(g.Values))
		for i, v := range g.Values {
			texts[i] = fmt.Sprint(v.Any())
		}
		rows = append(rows, row{g.Type, shorten(strings.Join(texts, ", "))})
	}
	return rows
}
