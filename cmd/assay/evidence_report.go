package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/hcl"
	"github.com/assay-attestation/assay/evidence/sgx"
	"github.com/assay-attestation/assay/evidence/tdx"
)

// evidenceReport is the result of evidence verify (native.md section 1.3). What was learned before a refusal stays.
type evidenceReport struct {
	Verified      bool          `json:"verified"`
	Type          evidence.Type `json:"type"`
	QuoteVersion  uint16        `json:"quoteVersion,omitzero"`
	Status        dcap.Status   `json:"status,omitzero"`
	Platform      dcap.Status   `json:"platformStatus,omitzero"`
	QE            dcap.Status   `json:"qeStatus,omitzero"`
	Module        dcap.Status   `json:"tdxModuleStatus,omitzero"`
	AdvisoryIDs   []string      `json:"advisoryIds,omitzero"`
	TCBDate       string        `json:"tcbDate,omitzero"`
	Evaluation    uint32        `json:"tcbEvaluationDataNumber,omitzero"`
	ValidUntil    string        `json:"collateralValidUntil,omitzero"`
	Shortfalls    []string      `json:"shortfalls,omitzero"`
	TrustAnchor   string        `json:"trustAnchor,omitzero"`
	FMSPC         string        `json:"fmspc,omitzero"`
	reportOfGuest `json:",embed"`
	Isolation     azureguest.Isolation `json:"isolation,omitzero"` // of an Azure guest
	Claims        claims               `json:"claims,omitzero"`
	Checks        []evidence.Entry     `json:"checks"`
	NotChecked    []string             `json:"notChecked"`
	Error         *problem             `json:"error,omitzero"`
	journal       evidence.Journal
}

// reportOfGuest is what evidence verify tells of SEV-SNP only.
type reportOfGuest struct {
	ReportVersion uint32 `json:"reportVersion,omitzero"`
	Product       string `json:"product,omitzero"`
	SigningKey    string `json:"signingKey,omitzero"` // VCEK or VLEK
	Provider      string `json:"cspId,omitzero"`      // of a VLEK
	TCB           string `json:"tcb,omitzero"`        // that the key was derived for
	Until         string `json:"certificateValidUntil,omitzero"`
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

// learn takes over the facts about a quote that holds.
func (r *evidenceReport) learn(v *dcap.Verified, list []evidence.Claim) {
	r.Status, r.Platform, r.QE, r.Module = v.Status, v.Platform, v.QE, v.TDXModule
	r.AdvisoryIDs = append([]string{}, v.AdvisoryIDs...)
	r.Shortfalls = shortfalls(v.Shortfalls)
	r.TCBDate, r.ValidUntil, r.Evaluation = stamp(v.Date), stamp(v.ValidUntil), v.EvaluationNumber
	r.Claims = list
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
	if r.ReportVersion != 0 {
		about += fmt.Sprintf(", report version %d", r.ReportVersion)
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
	if r.Product != "" {
		s.section("Platform")
		s.rows(row{"product", r.Product}, row{"signing key", strings.TrimSuffix(r.SigningKey+" of "+r.Provider, " of ")}, row{"TCB", r.TCB},
			row{"certificate until", r.Until}, row{"trust anchor", r.TrustAnchor})
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
		row{"TDX module", string(r.Module)},
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
	Type  evidence.Type
	Said  []said // nil: it could not be read
	Error *problem
}

// said is one thing that evidence says: its name in JSON and for people, and the value.
type said struct {
	name, label string
	value       any
}

// MarshalJSONTo writes the object, in which what evidence says are members of its own. Nothing in it is believed.
func (i *inspection) MarshalJSONTo(e *jsontext.Encoder) error {
	all := claims{{Name: "verified", Value: false}, {Name: "type", Value: i.Type}}
	for _, s := range i.Said {
		all = append(all, evidence.Claim{Name: s.name, Value: s.value})
	}
	if i.Error != nil {
		all = append(all, evidence.Claim{Name: "error", Value: i.Error})
	}
	return all.MarshalJSONTo(e)
}

// runEvidenceInspect shows the fields of evidence. Nothing is verified, so that forged evidence reads as well as real.
func runEvidenceInspect(_ context.Context, c *call) error {
	i := &inspection{}
	var chain []byte
	c.typeVar(&i.Type)
	c.chainVar(&chain)
	pos, err := c.parse("FILE", "--type")
	if err != nil {
		return err
	}
	if i.Type != evidence.SevSnpVM && chain != nil { // that of an Azure guest stands in its evidence
		return usage("--chain is for snp")
	}
	b, err := c.read(pos[0])
	if err != nil {
		return err
	}
	if i.Said, err = inspect(i.Type, b, chain); err != nil {
		i.Error = problemOf(err)
	}
	return c.tell(i, err)
}

// inspect reads what evidence of a type says.
func inspect(kind evidence.Type, b, chain []byte) ([]said, error) {
	switch {
	case kind == evidence.SevSnpVM:
		g, err := readGuest(b, chain)
		if err != nil {
			return nil, err
		}
		return guestSaid(g), nil
	case kind == evidence.TdxVM && bytes.HasPrefix(b, []byte(hclMagic)):
		return containerSaid(b)
	case kind == evidence.TdxVM:
		e, err := tdx.Parse(b)
		if err != nil {
			return nil, err
		}
		return domainSaid(e), nil
	case kind == evidence.AzureGuest:
		return azureSaid(b)
	}
	e, err := parseEnclave(kind, b)
	if err != nil {
		return nil, err
	}
	return enclaveSaid(e), nil
}

func enclaveSaid(e *sgx.Evidence) []said {
	r := &e.Report
	return []said{
		{"quoteVersion", "quote version", int64(e.Quote.Version)},
		{"trailingBytes", "trailing bytes", int64(e.Quote.Trailing)},
		{"mrenclave", "MRENCLAVE", hex.EncodeToString(r.MRENCLAVE[:])},
		{"mrsigner", "MRSIGNER", hex.EncodeToString(r.MRSIGNER[:])},
		{"productId", "product id", int64(r.ProdID)},
		{"svn", "security version", int64(r.SVN)},
		{"debuggable", "debuggable", r.Debug()},
		{"reportData", "report data", hex.EncodeToString(r.ReportData[:])},
	}
}

func domainSaid(e *tdx.Evidence) []said {
	r := &e.Report
	list := []said{
		{"quoteVersion", "quote version", int64(e.Quote.Version)},
		{"trailingBytes", "trailing bytes", int64(e.Quote.Trailing)},
		{"mrtd", "MRTD", hex.EncodeToString(r.MRTD[:])},
	}
	for n, rtmr := range r.RTMR {
		list = append(list, said{fmt.Sprintf("rtmr%d", n), fmt.Sprintf("RTMR%d", n), hex.EncodeToString(rtmr[:])})
	}
	return append(list,
		said{"mrconfigid", "MRCONFIGID", hex.EncodeToString(r.MRCONFIGID[:])},
		said{"teeTcbSvn", "TEE_TCB_SVN", hex.EncodeToString(r.TEETCBSVN[:])},
		said{"debuggable", "debuggable", r.Debug()},
		said{"reportData", "report data", hex.EncodeToString(r.ReportData[:])})
}

// containerSaid is what the container of a TDX guest on Azure says.
func containerSaid(b []byte) ([]said, error) {
	c, err := hcl.Parse(b)
	if err != nil {
		return nil, err
	}
	if c.Type != hcl.TDX {
		return nil, notDomain(c)
	}
	data := c.ReportData()
	return append([]said{{"reportData", "report data", hex.EncodeToString(data[:])}}, saidRuntime(c.RuntimeData)...), nil
}

func (i *inspection) print(s sheet, err error) {
	if err != nil {
		s.heading(red, "REFUSED", string(i.Type)+" evidence")
		s.refusal(err)
		return
	}
	s.heading(yellow, "UNVERIFIED", fmt.Sprintf("%s evidence: anybody can have written this", i.Type))
	var rows []row
	for _, said := range i.Said {
		rows = append(rows, row{said.label, fmt.Sprint(said.value)})
	}
	s.rows(rows...)
}
