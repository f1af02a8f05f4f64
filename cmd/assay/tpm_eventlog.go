package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/explain"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

// judged is what the rules for policies made of a log, against a quote or without one.
type judged interface {
	explain.Boot
	Events(measured.EventsOptions) (jsontext.Value, error)
}

// logReport is the result of tpm eventlog.
type logReport struct {
	Verified    bool              `json:"verified"` // a quote vouches for the log
	Fresh       bool              `json:"nonceChecked"`
	Format      string            `json:"format,omitzero"`
	Banks       []string          `json:"banks,omitzero"`
	Summary     []explain.Finding `json:"summary,omitzero"`
	Unknowable  []string          `json:"unknowable,omitzero"`
	Events      jsontext.Value    `json:"events,omitzero"` // as policies see them
	Words       []eventWords      `json:"words,omitzero"`
	PCRs        pcrValues         `json:"pcrs,omitzero"`
	Quoted      []int             `json:"quoted,omitzero"` // the PCRs that the quote covers
	Differences []difference      `json:"differences,omitzero"`
	Checks      []evidence.Entry  `json:"checks,omitzero"` // of the quote
	Error       *problem          `json:"error,omitzero"`
	quoted      bool
	weak        bool // sha1Only
	journal     evidence.Journal
}

// eventWords is an event in words.
type eventWords struct {
	Seq     int               `json:"seq"`
	PCR     *uint32           `json:"pcr,omitzero"` // nil: of no PCR
	Type    string            `json:"type"`
	Covers  explain.Covers    `json:"covers"`
	Says    string            `json:"says"`
	Digests map[string]string `json:"digests,omitzero"` // bank, hex; none if nothing was extended
	hint    bool
}

// runTPMEventlog explains a TCG log.
func runTPMEventlog(_ context.Context, c *call) error {
	var q quoteFiles
	var wanted pcrSet
	c.quoteVar(&q)
	c.Func("pcrs", "show only these PCRs of `LIST`, such as 0,7,11-14; the summary is of all", wanted.set)
	pos, err := c.parse("FILE")
	if err != nil {
		return err
	}
	if err := q.complete(); err != nil {
		return err
	}
	b, err := c.read(pos[0])
	if err != nil {
		return err
	}
	r := &logReport{quoted: q.quote != nil, Fresh: q.fresh}
	err = r.read(b, &q, wanted)
	r.Verified = err == nil && r.quoted
	r.Checks = r.journal.Entries
	if err != nil {
		r.Error = problemOf(err)
	}
	return c.tell(r, err)
}

// complete refuses a quote of which something is missing.
func (q *quoteFiles) complete() error {
	switch {
	case q.quote == nil && q.signature == nil && q.key == nil && !q.fresh && !q.sha1:
		return nil
	case q.quote == nil:
		return usage("--quote is missing")
	case q.signature == nil:
		return usage("--signature is missing")
	case q.key == nil:
		return usage("--public is missing")
	}
	return nil
}

// read explains the log as far as it can be read. The error is why it is not to be believed.
func (r *logReport) read(b []byte, q *quoteFiles, wanted pcrSet) error {
	log, err := eventlog.Parse(b, eventlog.DefaultLimits())
	if err != nil {
		return err
	}
	if err := r.show(log, q.pcrs, wanted); err != nil {
		return err
	}
	events := explain.Events(log, eventlog.DefaultLimits(), sipa.DefaultDepth)
	j, err := r.judge(log, q)
	r.Words = wordsOf(events, log.Algs(), wanted)
	r.coverage(j)
	r.Summary, r.Unknowable = explain.Summarize(events, j), explain.Unknowable()
	if err != nil {
		return err
	}
	if r.Events, err = j.Events(measured.EventsOptions{}); err != nil {
		return err
	}
	if len(r.Differences) > 0 {
		d := r.Differences[0]
		return evidence.Refuse(evidence.EventLogReplay, "the log does not lead to the value given of PCR %d in the bank %s", d.PCR, d.Bank).
			Want(d.Value, d.Replayed).Do("give the log and the values of one boot; leave out PCRs that the running system extends, such as PCR 10 (IMA)")
	}
	if !r.quoted {
		return comparable(log, q.pcrs)
	}
	return nil
}

// show takes in form, banks and values.
func (r *logReport) show(log *eventlog.Log, values []tpm.Bank, wanted pcrSet) error {
	r.Format = "crypto-agile"
	if log.Legacy() {
		r.Format = "sha1"
	}
	banks, err := replayAll(log)
	if err != nil {
		return err
	}
	for _, b := range banks {
		r.Banks = append(r.Banks, strings.ToLower(b.Alg.String()))
	}
	r.PCRs, r.weak = valuesOf(banks, wanted), sha1Only(banks)
	if values != nil {
		r.Differences, err = unexplained(log, values)
	}
	return err
}

// judge applies the rules for policies. It gives nil, and no typed one, with an error.
func (r *logReport) judge(log *eventlog.Log, q *quoteFiles) (judged, error) {
	if !r.quoted {
		return boot(log, nil, nil)
	}
	quoted, err := q.verify(log, &r.journal)
	if err != nil {
		return nil, err
	}
	r.weak = sha1Only(quoted.Banks())
	if r.Differences, err = unexplained(log, quoted.Banks()); err != nil {
		return nil, err
	}
	return boot(log, quoted, &r.journal)
}

// coverage notes which PCRs a quote covers. Nothing vouches for what was measured into the others.
func (r *logReport) coverage(j judged) {
	if !r.quoted || j == nil {
		return
	}
	for pcr := range tpm.PCRCount {
		if j.Covers(pcr) {
			r.Quoted = append(r.Quoted, pcr)
		}
	}
	for i := range r.Words {
		w := &r.Words[i]
		w.hint = w.hint || w.PCR == nil || !j.Covers(int(*w.PCR))
	}
}

func wordsOf(events []explain.Event, banks []tpm.Alg, wanted pcrSet) []eventWords {
	var list []eventWords
	for _, e := range events {
		if !wanted.has(e.PCR) {
			continue
		}
		w := eventWords{Seq: e.Seq, Type: e.Type.String(), Covers: e.Covers, Says: e.Says, Digests: digestsOf(&e, banks), hint: e.Hint()}
		if e.PCR != eventlog.Outside {
			w.PCR = &e.PCR
		}
		list = append(list, w)
	}
	return list
}

func digestsOf(e *explain.Event, banks []tpm.Alg) map[string]string {
	var all map[string]string
	for _, a := range banks {
		if d := e.Digest(a); d != nil {
			if all == nil {
				all = map[string]string{}
			}
			all[strings.ToLower(a.String())] = hex.EncodeToString(d)
		}
	}
	return all
}

func (r *logReport) print(s sheet, err error) {
	about := fmt.Sprintf("TCG event log, %s form, banks %s", r.Format, strings.Join(r.Banks, ", "))
	if r.Format == "" {
		about = "TCG event log"
	}
	switch {
	case err != nil:
		s.heading(red, "REFUSED", about)
		s.refusal(err)
	case r.Verified:
		s.heading(green, "VERIFIED", about+": a quote vouches for PCR "+r.quotedPCRs())
		s.staleness(r.Fresh)
	default:
		s.heading(yellow, "UNVERIFIED", about+": anybody can have written this")
	}
	if r.Summary == nil {
		return
	}
	s.weakness(r.weak)
	s.section("Summary (~ rests on labels that nothing vouches for; - the log is silent)")
	s.rows(findingRows(r.Summary)...)
	s.section("What no log can tell")
	for _, text := range r.Unknowable {
		fmt.Fprintf(s.w, "  %s\n", plain(text))
	}
	printDifferences(s, r.Differences)
	printValues(s, "PCRs that the log leads to (others have their start value)", r.PCRs)
	s.section("Events (~ the digest is not of this text, or the PCR is not quoted)")
	s.rows(eventRows(r.Words)...)
}

func (r *logReport) quotedPCRs() string {
	var all []string
	for _, pcr := range r.Quoted {
		all = append(all, strconv.Itoa(pcr))
	}
	return strings.Join(all, ", ")
}

// basisMark begins a statement that nothing vouches for.
func basisMark(basis explain.Basis) string {
	return map[explain.Basis]string{explain.Measured: "  ", explain.Hint: "~ ", explain.Silent: "- "}[basis]
}

func findingRows(findings []explain.Finding) []row {
	var rows []row
	for _, f := range findings {
		rows = append(rows, row{f.About, basisMark(f.Basis) + cut(f.Says)})
	}
	return rows
}

func eventRows(words []eventWords) []row {
	var rows []row
	for _, w := range words {
		name, hint := fmt.Sprintf("%4d         ", w.Seq), "  "
		if w.PCR != nil {
			name = fmt.Sprintf("%4d  PCR %-2d ", w.Seq, *w.PCR)
		}
		if w.hint {
			hint = "~ "
		}
		rows = append(rows, row{name, hint + cut(w.Says)})
	}
	return rows
}

// longestEvent is how much of an event a person is shown; --json shows all.
const longestEvent = 1200

func cut(s string) string {
	if len(s) <= longestEvent {
		return s
	}
	return strings.ToValidUTF8(s[:longestEvent], "") + "…"
}

func printDifferences(s sheet, all []difference) {
	if len(all) == 0 {
		return
	}
	s.section("PCRs that do not have the value that the log leads to")
	for _, d := range all {
		s.rows(row{fmt.Sprintf("PCR %d %s", d.PCR, d.Bank), d.Value}, row{"the log leads to", d.Replayed})
	}
}

// printValues shows values bank by bank, but for those of PCRs that nothing was extended into.
func printValues(s sheet, title string, values pcrValues) {
	for _, bank := range slices.Sorted(maps.Keys(values)) {
		s.section(title + ", " + bank)
		var rows []row
		for i := range tpm.PCRCount {
			if v := values[bank][strconv.Itoa(i)]; strings.Trim(v, "0") != "" && strings.Trim(v, "f") != "" {
				rows = append(rows, row{fmt.Sprintf("PCR %d", i), v})
			}
		}
		s.rows(rows...)
	}
}
