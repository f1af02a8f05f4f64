// Package explain answers why a request was decided as it was: the checks of the evidence, the claims that the policy
// saw, and what each rule made of them (native.md section 3). A Record is what is kept of a request; its Explanation is
// worked out when somebody asks, which is possible because the evaluation of a policy is a pure function.
package explain

import (
	"strings"
	"time"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/policy"
)

// Record is what an appraisal learned. It holds claims and results of checks, never evidence bodies, keys or tokens.
type Record struct {
	Time   time.Time
	Type   evidence.Type
	Checks evidence.Journal
	Policy *policy.Policy
	Draft  bool           // the policy came with the request
	Judged bool           // the policy was asked; before that the evidence was refused, or the appraisal failed
	Claims []policy.Claim // that the policy saw, once it was asked
	Code   string         // of the error that the client got; "" for a permit
	Error  string         // its message, with all reasons
}

// Verdicts beside those of package policy.
const (
	Refused     policy.Verdict = "refused"     // the evidence, before the policy was asked
	Unavailable policy.Verdict = "unavailable" // a fault of the service or of its sources: nothing was decided
)

// Explanation is the answer to why, in the one structure that text, JSON and consoles present.
type Explanation struct {
	RequestID       string           `json:"requestId,omitzero"`
	Time            time.Time        `json:"time,omitzero"`
	AttestationType evidence.Type    `json:"attestationType,omitzero"`
	Verdict         policy.Verdict   `json:"verdict"`
	Error           *Problem         `json:"error,omitzero"`
	Checks          []evidence.Entry `json:"checks"`
	PolicyHash      string           `json:"policyHash,omitzero"`
	Draft           bool             `json:"draft,omitzero"`
	Claims          []policy.Claim   `json:"claims"`
	Policy          *policy.Trace    `json:"policy,omitzero"` // not there where the policy was not asked
	Issued          map[string]any   `json:"issued"`
	Properties      map[string]any   `json:"properties"`
	Configuration   map[string]any   `json:"configuration"`

	source *policy.Policy
}

// Problem is the error that a client got.
type Problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Explain works out the explanation of a record. The budget is that of the evaluation.
func (r *Record) Explain(budget policy.Budget) *Explanation {
	e := &Explanation{
		Time: r.Time, AttestationType: r.Type, Verdict: policy.Permitted, Checks: r.Checks.Entries, Draft: r.Draft,
		Claims: r.Claims, Issued: map[string]any{}, Properties: map[string]any{}, Configuration: map[string]any{}, source: r.Policy,
	}
	if e.Checks == nil {
		e.Checks = []evidence.Entry{}
	}
	if e.Claims == nil {
		e.Claims = []policy.Claim{}
	}
	if r.Code != "" {
		e.Verdict, e.Error = r.verdict(), &Problem{r.Code, r.Error}
	}
	if r.Policy == nil {
		return e
	}
	e.PolicyHash = r.Policy.Hash()
	if r.Judged {
		e.judged(r.Policy.Explain(string(r.Type), r.Claims, budget))
	}
	return e
}

// verdict of an error that did not come from the policy.
func (r *Record) verdict() policy.Verdict {
	switch r.Code {
	case "CollateralUnavailable", "InternalError", "TooManyRequests":
		return Unavailable
	}
	return Refused
}

func (e *Explanation) judged(t *policy.Trace) {
	e.Policy = t
	if e.Error == nil || t.Verdict != policy.Permitted && e.Verdict != Unavailable {
		e.Verdict = t.Verdict
	}
	for to, groups := range map[*map[string]any][]policy.Group{&e.Issued: t.Issued, &e.Properties: t.Properties, &e.Configuration: t.Configuration} {
		for _, g := range groups {
			(*to)[g.Type] = g.Any()
		}
	}
}

// Text writes the explanation for a person.
func (e *Explanation) Text() string {
	var b strings.Builder
	if len(e.Checks) > 0 {
		b.WriteString("evidence\n")
	}
	for _, c := range e.Checks {
		b.WriteString("  " + check(c) + "\n")
	}
	if e.Policy != nil {
		b.WriteString(e.source.Describe(e.Policy))
	} else if e.Error != nil {
		b.WriteString(string(e.Verdict) + ": " + e.Error.Message + "\n")
	}
	return b.String()
}

func check(c evidence.Entry) string {
	text := string(c.Outcome) + " " + string(c.Name)
	if c.Expected != "" {
		text += ", expected " + c.Expected
	}
	if c.Found != "" {
		text += ", found " + c.Found
	}
	return text
}
