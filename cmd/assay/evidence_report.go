package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/sgx"
)

// evidenceReport is the result of evidence verify (native.md section 1.3). What was learned before a refusal stays.
type evidenceReport struct {
	Verified     bool             `json:"verified"`
	Type         evidence.Type    `json:"type"`
	QuoteVersion uint16           `json:"quoteVersion,omitzero"`
	Status       dcap.Status      `json:"status,omitzero"`
	Platform     dcap.Status      `json:"platformStatus,omitzero"`
	QE           dcap.Status      `json:"qeStatus,omitzero"`
	AdvisoryIDs  []string         `json:"advisoryIds,omitzero"`
	TCBDate      string           `json:"tcbDate,omitzero"`
	Evaluation   uint32           `json:"tcbEvaluationDataNumber,omitzero"`
	ValidUntil   string           `json:"collateralValidUntil,omitzero"`
	Shortfalls   []string         `json:"shortfalls,omitzero"`
	TrustAnchor  string           `json:"trustAnchor,omitzero"`
	FMSPC        string           `json:"fmspc,omitzero"`
	Claims       claims           `json:"claims,omitzero"`
	Checks       []evidence.Entry `json:"checks"`
	NotChecked   []string         `json:"notChecked"`
	Error        *problem         `json:"error,omitzero"`
	journal      evidence.Journal
}

// claims are printed as one object, in their order.
type claims []evidence.Claim

// MarshalJSONTo writes the claims as the members of an object.
func (cs claims) MarshalJSONTo(e *jsontext.Encoder) error {
	if err := e.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, c := range cs {
		if err := errors.Join(e.WriteToken(jsontext.String(c.Name)), json.MarshalEncode(e, c.Value)); err != nil {
			return err
		}
	}
	return e.WriteToken(jsontext.EndObject)
}

// learn takes over the facts about evidence that holds.
func (r *evidenceReport) learn(v *sgx.Verified) {
	r.Status, r.Platform, r.QE = v.Status, v.Platform, v.QE
	r.AdvisoryIDs = append([]string{}, v.AdvisoryIDs...)
	r.Shortfalls = shortfalls(v.Shortfalls)
	r.TCBDate, r.ValidUntil, r.Evaluation = stamp(v.Date), stamp(v.ValidUntil), v.EvaluationNumber
	r.Claims = v.Claims()
}

func shortfalls(list []dcap.Shortfall) []string {
	words := []string{}
	for _, s := range list {
		words = append(words, s.String())
	}
	return words
}

// finish draws the journal and the verdict into the report.
func (r *evidenceReport) finish(err error) {
	var refusal *evidence.Refusal
	failed := func(e evidence.Entry) bool { return e.Outcome == evidence.Fail }
	if errors.As(err, &refusal) && !slices.ContainsFunc(r.journal.Entries, failed) {
		r.journal.Fail(refusal) //nolint:errcheck // it is err
	}
	r.Checks, r.NotChecked = append([]evidence.Entry{}, r.journal.Entries...), []string{}
	for _, e := range r.Checks {
		if e.Outcome == evidence.Skipped {
			r.NotChecked = append(r.NotChecked, string(e.Name))
		}
	}
	if r.Verified = err == nil; !r.Verified {
		r.Error = problemOf(err)
	}
}

// print shows the report to a person.
func (r *evidenceReport) print(s sheet, err error) {
	about := fmt.Sprintf("%s evidence", r.Type)
	if r.QuoteVersion != 0 {
		about += fmt.Sprintf(", quote version %d", r.QuoteVersion)
	}
	if err == nil {
		s.heading(green, "VERIFIED", about)
	} else {
		s.heading(red, "REFUSED", about)
		s.refusal(err)
	}
	if r.Status != "" {
		r.printStanding(s, err)
	}
	if len(r.Claims) > 0 {
		s.section("Claims")
		s.rows(claimRows(r.Claims)...)
	}
	if len(r.NotChecked) > 0 {
		s.section("Not checked: " + strings.Join(r.NotChecked, ", "))
	}
}

// printStanding shows how the platform stands. A status that nobody judged is shown so that it cannot be missed.
func (r *evidenceReport) printStanding(s sheet, err error) {
	if err == nil && r.Status != dcap.UpToDate && slices.Contains(r.NotChecked, string(evidence.TCBBaseline)) {
		fmt.Fprintln(s.w)
		s.heading(yellow, "TCB STATUS "+strings.ToUpper(string(r.Status)), "reported only, since --accept-status was not given")
	}
	s.section("Platform")
	s.rows(row{"status", string(r.Status)}, row{"platform", string(r.Platform)}, row{"quoting enclave", string(r.QE)},
		row{"short of", strings.Join(r.Shortfalls, ", ")}, row{"advisories", strings.Join(r.AdvisoryIDs, ", ")},
		row{"TCB date", r.TCBDate}, row{"evaluation", fmt.Sprint(r.Evaluation)}, row{"collateral until", r.ValidUntil},
		row{"FMSPC", r.FMSPC}, row{"trust anchor", r.TrustAnchor})
}

func claimRows(list []evidence.Claim) []row {
	var rows []row
	for _, c := range list {
		rows = append(rows, row{c.Name, shorten(fmt.Sprint(c.Value))})
	}
	return rows
}

// inspection is what evidence says of itself.
type inspection struct {
	Verified bool          `json:"verified"` // false: nothing here is believed
	Type     evidence.Type `json:"type"`
	Said     *statement    `json:",embed"` // nil: it could not be read
	Error    *problem      `json:"error,omitzero"`
}

// statement is what well-formed evidence says.
type statement struct {
	QuoteVersion uint16 `json:"quoteVersion"`
	Trailing     int    `json:"trailingBytes"`
	MRENCLAVE    string `json:"mrenclave"`
	MRSIGNER     string `json:"mrsigner"`
	ProductID    uint16 `json:"productId"`
	SVN          uint16 `json:"svn"`
	Debug        bool   `json:"debuggable"`
	ReportData   string `json:"reportData"`
}

// runEvidenceInspect shows the fields of evidence. Nothing is verified, so that forged evidence reads as well as real.
func runEvidenceInspect(_ context.Context, c *call) error {
	i := &inspection{}
	c.typeVar(&i.Type)
	pos, err := c.parse("FILE", "--type")
	if err != nil {
		return err
	}
	b, err := c.read(pos[0])
	if err != nil {
		return err
	}
	e, err := parseEvidence(i.Type, b)
	if err != nil {
		i.Error = problemOf(err)
	} else {
		i.Said = statementOf(e)
	}
	return c.tell(i, err)
}

func statementOf(e *sgx.Evidence) *statement {
	r := &e.Report
	return &statement{
		QuoteVersion: e.Quote.Version, Trailing: e.Quote.Trailing,
		MRENCLAVE: hex.EncodeToString(r.MRENCLAVE[:]), MRSIGNER: hex.EncodeToString(r.MRSIGNER[:]),
		ProductID: r.ProdID, SVN: r.SVN, Debug: r.Debug(), ReportData: hex.EncodeToString(r.ReportData[:]),
	}
}

func (i *inspection) print(s sheet, err error) {
	if err != nil {
		s.heading(red, "REFUSED", string(i.Type)+" evidence")
		s.refusal(err)
		return
	}
	said := i.Said
	s.heading(yellow, "UNVERIFIED", fmt.Sprintf("%s evidence, quote version %d: anybody can have written this", i.Type, said.QuoteVersion))
	s.rows(row{"MRENCLAVE", said.MRENCLAVE}, row{"MRSIGNER", said.MRSIGNER}, row{"product id", fmt.Sprint(said.ProductID)},
		row{"security version", fmt.Sprint(said.SVN)}, row{"debuggable", fmt.Sprint(said.Debug)},
		row{"report data", said.ReportData}, row{"trailing bytes", fmt.Sprint(said.Trailing)})
}
