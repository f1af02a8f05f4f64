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
	"github.com/assay-attestation/assay/evidence/tpm/ima"
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
	Claim       jsontext.Value    `json:"pcrsClaim,omitzero"` // the claim pcrs as policies see it
	PCRs        pcrValues         `json:"pcrs,omitzero"`
	Quoted      []int             `json:"quoted,omitzero"` // the PCRs that the quote covers
	Differences []difference      `json:"differences,omitzero"`
	Checks      []evidence.Entry  `json:"checks,omitzero"` // of the quote
	Error       *problem          `json:"error,omitzero"`
	quoted      bool
	weak        bool        // sha1Only
	proved      *tpm.Quoted // nil without a quote that verified
	covered     *int        // how many entries of the IMA list are quoted
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

// read explains the logs as far as they can be read. The error is why they are not to be believed.
func (r *logReport) read(b []byte, q *quoteFiles, wanted pcrSet) error {
	logs, err := readLogs(b, q.list)
	if err != nil {
		return err
	}
	values, err := r.show(logs, q.pcrs, wanted)
	if err != nil {
		return err
	}
	events := explain.Events(logs.log, eventlog.DefaultLimits(), sipa.DefaultDepth)
	j, err := r.judge(logs, q)
	r.Words = wordsOf(events, logs.log.Algs(), wanted)
	r.Summary, r.Unknowable = explain.Summarize(events, j), explain.Unknowable()
	if logs.list != nil {
		r.measurements(logs, values, j, wanted)
	}
	r.coverage(j)
	if err != nil {
		return err
	}
	if r.Events, err = j.Events(measured.EventsOptions{}); err != nil {
		return err
	}
	if u, ok := j.(*measured.Unquoted); ok {
		r.Claim = u.PCRs()
	} else {
		r.Claim = measured.PCRs(r.proved, false)
	}
	if err := r.unexplained(logs, q.pcrs); err != nil || r.quoted {
		return err
	}
	return comparable(logs.log, q.pcrs)
}

// unexplained refuses logs that do not lead to the values given.
func (r *logReport) unexplained(logs *machineLogs, given []tpm.Bank) error {
	if len(r.Differences) == 0 {
		return nil
	}
	d := r.Differences[0]
	if logs.list != nil && d.PCR == ima.PCR {
		_, err := logs.covered(given)
		return err
	}
	return evidence.Refuse(evidence.EventLogReplay, "the log does not lead to the value given of PCR %d in the bank %s", d.PCR, d.Bank).
		Want(d.Value, d.Replayed).Do(remedyOf(d.PCR, logs.list != nil))
}

// measurements tells of the IMA list. values are those that the logs lead to.
func (r *logReport) measurements(logs *machineLogs, values []tpm.Bank, j judged, wanted pcrSet) {
	covered := len(logs.list.Entries())
	if r.covered != nil {
		covered = *r.covered
	}
	list := explain.Measurements(logs.list, len(logs.log.Records())+1, covered)
	for _, m := range list {
		if wanted.has(m.PCR) {
			r.Words = append(r.Words, eventWords{Seq: m.Seq, PCR: &m.PCR, Type: "IMA_MEASUREMENT_EVENT", Covers: m.Covers, Says: m.Says,
				hint: m.Covers == explain.CoversNothing})
		}
	}
	r.Summary = append(r.Summary, explain.SummarizeIMA(list, values, j)...)
}

// show takes in form, banks and values.
func (r *logReport) show(logs *machineLogs, given []tpm.Bank, wanted pcrSet) ([]tpm.Bank, error) {
	r.Format = "crypto-agile"
	if logs.log.Legacy() {
		r.Format = "sha1"
	}
	banks, err := logs.replay()
	if err != nil {
		return nil, err
	}
	for _, b := range banks {
		r.Banks = append(r.Banks, strings.ToLower(b.Alg.String()))
	}
	r.PCRs, r.weak = valuesOf(banks, wanted), sha1Only(banks)
	if given != nil {
		r.Differences, err = logs.unexplained(given)
	}
	return banks, err
}

// judge applies the rules for policies. It gives nil, and no typed one, with an error.
func (r *logReport) judge(logs *machineLogs, q *quoteFiles) (judged, error) {
	if !r.quoted {
		return logs.judge(nil, nil)
	}
	quoted, err := q.verify(logs, &r.journal)
	if err != nil {
		return nil, q.withRemedy(err, nil)
	}
	r.weak = sha1Only(quoted.Banks())
	if r.Differences, err = logs.unexplained(quoted.Banks()); err != nil {
		return nil, err
	}
	r.proved = quoted
	if logs.list != nil {
		if n, err := logs.covered(quoted.Banks()); err == nil {
			r.covered = &n
		}
	}
	j, err := logs.judge(quoted, &r.journal)
	return j, q.withRemedy(err, r.Differences)
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
	s.section("Summary (~ a hint: a label, or what any program could have measured; - the log is silent)")
	s.rows(findingRows(r.Summary)...)
	r.printLimits(s)
	printDifferences(s, r.Differences)
	r.printValues(s)
	s.section("Events in order (~ a label: the digest is of something else, such as the program itself, or the PCR is not quoted)")
	s.rows(eventRows(r.Words)...)
}

// printLimits says what the log cannot tell, and what a quote would add.
func (r *logReport) printLimits(s sheet) {
	s.section("What no log can tell")
	for _, text := range r.Unknowable {
		fmt.Fprintf(s.w, "  %s\n", plain(text))
	}
	if !r.quoted {
		s.section("What a quote would add (--quote, --signature, --public, --nonce): that the TPM of the key has these PCR values now. " +
			"Then the lines without a mark are facts.")
	}
}

// printValues shows the values in the bank that most people quote, or else in the strongest; --json has all.
func (r *logReport) printValues(s sheet) {
	const usual = "sha256"
	bank := ""
	for name := range r.PCRs { // the names rise with the strength
		bank = max(bank, name)
	}
	if _, ok := r.PCRs[usual]; ok {
		bank = usual
	}
	s.section("PCRs, the registers of a TPM, as the log leads to them (others have their start value), " + bank)
	s.rows(valueRows(r.PCRs[bank])...)
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

// eventRows shows events, those that say the same one behind the other as one.
func eventRows(words []eventWords) []row {
	var rows []row
	for len(words) > 0 {
		n := 1
		for n < len(words) && words[n-1].repeats(&words[n]) {
			n++
		}
		rows = append(rows, foldedRow(words[:n]))
		words = words[n:]
	}
	return rows
}

// repeats reports whether an event says what the one before it says, of the same PCR or of the next.
func (w *eventWords) repeats(next *eventWords) bool {
	return w.PCR != nil && next.PCR != nil && *next.PCR-*w.PCR <= 1 && next.Seq == w.Seq+1 &&
		w.Says == next.Says && w.Type == next.Type && w.hint == next.hint
}

// foldedRow shows events that say the same.
func foldedRow(words []eventWords) row {
	first, last := &words[0], &words[len(words)-1]
	name, hint := fmt.Sprintf("%4d", first.Seq), "  "
	if len(words) > 1 {
		name = fmt.Sprintf("%4d-%d", first.Seq, last.Seq)
	}
	if first.PCR != nil {
		name = fmt.Sprintf("%-8s  PCR %d", name, *first.PCR)
		if *last.PCR != *first.PCR {
			name += fmt.Sprintf("-%d", *last.PCR)
		}
	}
	if first.hint {
		hint = "~ "
	}
	says := cut(first.Says)
	if len(words) > 1 {
		says += fmt.Sprintf(" (%d events)", len(words))
	}
	return row{name, hint + says}
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
		s.rows(valueRows(values[bank])...)
	}
}

// valueRows shows what PCRs are for, and their values but those that are the start value.
func valueRows(values map[string]string) []row {
	var rows []row
	for i := range tpm.PCRCount {
		if v := values[strconv.Itoa(i)]; strings.Trim(v, "0") != "" && strings.Trim(v, "f") != "" {
			rows = append(rows, row{fmt.Sprintf("PCR %-2d  %s", i, explain.Purpose(i)), v})
		}
	}
	return rows
}
