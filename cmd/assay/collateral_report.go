package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/collateral"
)

// collateralReport is the result of the collateral commands.
type collateralReport struct {
	Sound     bool       `json:"sound"` // nothing is missing, unsound or out of date
	Documents []document `json:"documents"`
	Error     *problem   `json:"error,omitzero"`
	errs      []error
}

// document is one document of a bundle.
type document struct {
	Set        string `json:"set"`
	Kind       string `json:"kind"`
	Key        string `json:"key,omitzero"` // FMSPC, id of the identity, or trust anchor
	Evaluation uint32 `json:"tcbEvaluationDataNumber,omitzero"`
	IssueDate  string `json:"issueDate,omitzero"`
	NextUpdate string `json:"nextUpdate,omitzero"`
	State      string `json:"state"` // "ok", "with-evidence", "missing", "unsound", "expired" or "not-yet-valid"
	Message    string `json:"message,omitzero"`
}

// reportCollateral verifies every document of the sets; the zero time leaves dates out of account.
func reportCollateral(sets []*collateral.Set, v *dcap.Verifier, at time.Time) *collateralReport {
	r := &collateralReport{Documents: []document{}}
	for _, s := range sets {
		for _, status := range s.Status(v) {
			r.add(status, at)
		}
	}
	if err := r.err(); err != nil {
		r.Error = problemOf(err)
	}
	r.Sound = r.Error == nil
	return r
}

func (r *collateralReport) add(s collateral.Status, at time.Time) {
	d := document{Set: s.Where, Kind: string(s.Kind), Key: s.Key, Evaluation: s.Evaluation}
	if !s.IssueDate.IsZero() {
		d.IssueDate, d.NextUpdate = stamp(s.IssueDate), stamp(s.NextUpdate)
	}
	d.State, s.Err = judge(s, at)
	if s.Err != nil {
		d.Message = s.Err.Error()
		if d.State != "with-evidence" {
			r.errs = append(r.errs, fmt.Errorf("%s of set %s: %w", s.Kind, s.Where, s.Err))
		}
	}
	r.Documents = append(r.Documents, d)
}

// judge puts the state of a document into a word. What cannot be verified without evidence is no fault.
func judge(s collateral.Status, at time.Time) (string, error) {
	skew := dcap.ClockSkew
	if s.Kind == collateral.RootCRL {
		skew = 0
	}
	switch {
	case errors.Is(s.Err, collateral.ErrNeedsEvidence):
		return "with-evidence", s.Err
	case errors.Is(s.Err, collateral.ErrAbsent):
		return "missing", s.Err
	case s.Err != nil:
		return "unsound", s.Err
	case at.IsZero():
		return "ok", nil
	case s.IssueDate.After(at.Add(skew)):
		return "not-yet-valid", fmt.Errorf("it is issued in the future, %s", stamp(s.IssueDate))
	case !at.Before(s.NextUpdate):
		return "expired", fmt.Errorf("it is past its nextUpdate %s; fetch it again", stamp(s.NextUpdate))
	}
	return "ok", nil
}

// err is the worst of what was found: unsound documents before missing ones.
func (r *collateralReport) err() error {
	var missing error
	for _, err := range r.errs {
		if !errors.Is(err, collateral.ErrAbsent) {
			return err
		}
		missing = err
	}
	return missing
}

func (r *collateralReport) print(s sheet, err error) {
	switch {
	case err != nil:
		s.heading(red, "REFUSED", "collateral")
		s.refusal(err)
	case !r.Sound:
		s.heading(yellow, "UNSOUND", "collateral that cannot be used as it is")
	default:
		s.heading(green, "SOUND", "collateral")
	}
	set := ""
	for _, d := range r.Documents {
		if d.Set != set {
			set = d.Set
			s.section("Set " + set)
		}
		fmt.Fprintf(s.w, "  %-11s  %-13s  %s\n", d.Kind, d.State, plain(d.describe()))
	}
}

func (d document) describe() string {
	if d.NextUpdate == "" {
		return d.Message
	}
	parts := []string{shortKey(d.Key)}
	if d.Evaluation != 0 {
		parts = append(parts, fmt.Sprintf("evaluation %d", d.Evaluation))
	}
	return strings.Join(append(parts, "from "+d.IssueDate+" to "+d.NextUpdate), ", ")
}

// shortKey cuts a trust anchor to what a person compares.
func shortKey(key string) string {
	if len(key) > 16 {
		return key[:16] + "…"
	}
	return key
}
