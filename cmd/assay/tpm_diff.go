package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/explain"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

// logDiff is the result of tpm eventlog diff.
type logDiff struct {
	Same    bool            `json:"same"` // no PCR has another value, in no bank that both logs have
	Bank    string          `json:"bank"` // the strongest in which they differ, or that they have
	Refused []refusedLog    `json:"refused,omitzero"`
	PCRs    []pcrChange     `json:"pcrs,omitzero"`
	Summary []findingChange `json:"summary,omitzero"`
	Events  []eventChange   `json:"events,omitzero"`
}

// refusedLog is a log that the rules for policies refuse.
type refusedLog struct {
	Log   string   `json:"log"` // first or second
	Error *problem `json:"error"`
	err   error
}

// pcrChange is a PCR that the logs lead to different values of.
type pcrChange struct {
	PCR  int    `json:"pcr"`
	Was  string `json:"was"`
	Now  string `json:"now"`
	Bank string `json:"bank,omitzero"` // if another one
}

// findingChange is a line of the summary that differs. What rests on labels has "~ " before it.
type findingChange struct {
	About string `json:"about"`
	Was   string `json:"was,omitzero"`
	Now   string `json:"now,omitzero"`
}

// eventChange is an event that is in one log only, or that took the place of another.
type eventChange struct {
	PCR    *uint32 `json:"pcr,omitzero"`
	Change string  `json:"change"`       // removed, added or changed
	Was    int     `json:"was,omitzero"` // its number in the first log
	Now    int     `json:"now,omitzero"` // and in the second
	Type   string  `json:"type"`
	Says   string  `json:"says"`
	hint   bool
}

// bootLog is one of the two logs.
type bootLog struct {
	log      *eventlog.Log
	events   []explain.Event
	findings []explain.Finding
	refusal  error // of the rules for policies
}

// runTPMEventlogDiff shows in what two logs differ.
func runTPMEventlogDiff(_ context.Context, c *call) error {
	pos, err := c.parse("A", "B")
	if err != nil {
		return err
	}
	var logs [2]bootLog
	for i, name := range pos {
		if logs[i], err = c.bootLog(name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	d, err := compareLogs(&logs[0], &logs[1])
	if err != nil {
		return err
	}
	return c.tell(d, nil)
}

// bootLog reads a log and explains it. One that the rules for policies refuse is compared as well.
func (c *call) bootLog(name string) (bootLog, error) {
	b, err := c.read(name)
	if err != nil {
		return bootLog{}, err
	}
	log, err := eventlog.Parse(b, eventlog.DefaultLimits())
	if err != nil {
		return bootLog{}, err
	}
	l := bootLog{log: log, events: explain.Events(log, eventlog.DefaultLimits(), sipa.DefaultDepth)}
	j, err := (&machineLogs{log: log}).judge(nil, nil)
	l.findings, l.refusal = explain.Summarize(l.events, j), err // j is nil with an error, and the summary says so
	return l, nil
}

func compareLogs(a, b *bootLog) (*logDiff, error) {
	var common []tpm.Alg
	for _, alg := range a.log.Algs() {
		if slices.Contains(b.log.Algs(), alg) {
			common = append(common, alg)
		}
	}
	if len(common) == 0 {
		return nil, badFile(fmt.Errorf("the logs have no bank in common: %v and %v", a.log.Algs(), b.log.Algs()))
	}
	slices.Sort(common)
	slices.Reverse(common) // the numbers rise with the strength
	d := &logDiff{Bank: nameOf(common[0]), Summary: compareFindings(a.findings, b.findings)}
	for i, l := range []*bootLog{a, b} {
		if l.refusal != nil {
			d.Refused = append(d.Refused, refusedLog{[]string{"first", "second"}[i], problemOf(l.refusal), l.refusal})
		}
	}
	for _, bank := range common {
		if err := d.compareValues(a.log, b.log, bank); err != nil {
			return nil, err
		}
	}
	d.Same = len(d.PCRs) == 0
	for pcr := range uint32(tpm.PCRCount) {
		d.Events = append(d.Events, compareEvents(only(a.events, pcr), only(b.events, pcr), common)...)
	}
	d.Events = append(d.Events, compareEvents(only(a.events, eventlog.Outside), only(b.events, eventlog.Outside), common)...)
	return d, nil
}

func nameOf(bank tpm.Alg) string { return strings.ToLower(bank.String()) }

// compareValues notes the PCRs that the logs lead to different values of in a bank, unless a stronger one shows it.
func (d *logDiff) compareValues(a, b *eventlog.Log, bank tpm.Alg) error {
	was, err := eventlog.Replay(bank, false, a)
	if err != nil {
		return err
	}
	now, err := eventlog.Replay(bank, false, b)
	if err != nil {
		return err
	}
	for i, v := range was.Values {
		if bytes.Equal(v, now.Values[i]) || slices.ContainsFunc(d.PCRs, func(p pcrChange) bool { return p.PCR == i }) {
			continue
		}
		if len(d.PCRs) == 0 {
			d.Bank = nameOf(bank)
		}
		c := pcrChange{PCR: i, Was: hex.EncodeToString(v), Now: hex.EncodeToString(now.Values[i])}
		if nameOf(bank) != d.Bank {
			c.Bank = nameOf(bank)
		}
		d.PCRs = append(d.PCRs, c)
	}
	return nil
}

// only gives the events of one PCR.
func only(events []explain.Event, pcr uint32) []*explain.Event {
	var list []*explain.Event
	for i := range events {
		if events[i].PCR == pcr {
			list = append(list, &events[i])
		}
	}
	return list
}

// compareEvents finds what differs in one PCR. Events that took the place of others are told once.
func compareEvents(a, b []*explain.Event, common []tpm.Alg) []eventChange {
	var removed, added []*explain.Event
	i, j := 0, 0
	for _, e := range compare(keys(a, common), keys(b, common)) {
		if e.kind != '+' {
			if e.kind == '-' {
				removed = append(removed, a[i])
			}
			i++
		}
		if e.kind != '-' {
			if e.kind == '+' {
				added = append(added, b[j])
			}
			j++
		}
	}
	return pairUp(removed, added, common)
}

func keys(events []*explain.Event, common []tpm.Alg) []string {
	var list []string
	for _, e := range events {
		list = append(list, e.Key(common))
	}
	return list
}

// maxPairs bounds the work of finding which events took the place of which.
const maxPairs = 256

// pairUp tells what was removed and what was added, and as changed what belongs together: what measured the same first.
func pairUp(removed, added []*explain.Event, common []tpm.Alg) []eventChange {
	var all []eventChange
	pair := func(belong func(was, now *explain.Event) bool, change func(was, now *explain.Event) string) {
		if len(removed) > maxPairs || len(added) > maxPairs {
			return
		}
		var rest []*explain.Event
		for _, was := range removed {
			i := slices.IndexFunc(added, func(now *explain.Event) bool { return belong(was, now) })
			if i < 0 {
				rest = append(rest, was)
				continue
			}
			all = append(all, changeOf("changed", was, change(was, added[i]), was.Seq, added[i].Seq))
			all[len(all)-1].hint = was.Hint() || added[i].Hint()
			added = slices.Delete(added, i, i+1)
		}
		removed = rest
	}
	limits := eventlog.DefaultLimits()
	pair(func(was, now *explain.Event) bool { return explain.SameMeasured(was, now, common) }, explain.Relabel)
	pair(func(was, now *explain.Event) bool { return explain.Pairs(was, now, limits) },
		func(was, now *explain.Event) string { return explain.Change(was, now, limits) })
	for _, was := range removed {
		all = append(all, changeOf("removed", was, was.Says, was.Seq, 0))
	}
	slices.SortStableFunc(all, func(a, b eventChange) int { return a.Was - b.Was })
	for _, now := range added {
		all = append(all, changeOf("added", now, now.Says, 0, now.Seq))
	}
	return all
}

func changeOf(change string, e *explain.Event, says string, was, now int) eventChange {
	c := eventChange{Change: change, Was: was, Now: now, Type: e.Type.String(), Says: says, hint: e.Hint()}
	if e.PCR != eventlog.Outside {
		c.PCR = &e.PCR
	}
	return c
}

// compareFindings finds the lines of the summaries that differ, in the order of the first.
func compareFindings(a, b []explain.Finding) []findingChange {
	was, order := saysOf(a, nil)
	now, order := saysOf(b, order)
	var all []findingChange
	for _, about := range order {
		if was[about] != now[about] {
			all = append(all, findingChange{about, was[about], now[about]})
		}
	}
	return all
}

// saysOf joins what is said about each thing, and adds the things to those in order.
func saysOf(findings []explain.Finding, order []string) (map[string]string, []string) {
	says := map[string]string{}
	for _, f := range findings {
		text := f.Says
		if f.Basis == explain.Hint {
			text = basisMark(f.Basis) + text
		}
		if says[f.About] != "" {
			text = says[f.About] + "; " + text
		}
		says[f.About] = text
		if !slices.Contains(order, f.About) {
			order = append(order, f.About)
		}
	}
	return says, order
}

func (d *logDiff) print(s sheet, _ error) {
	switch {
	case d.Same && len(d.Events)+len(d.Summary) == 0:
		s.heading(green, "SAME", "the logs lead to the same PCRs, bank "+d.Bank)
	case d.Same:
		s.heading(yellow, "SAME", "the logs lead to the same PCRs, bank "+d.Bank+", but differ in what is not measured")
	default:
		s.heading(yellow, "DIFFERENT", "bank "+d.Bank+": PCR "+d.numbers())
	}
	for _, r := range d.Refused {
		s.heading(red, "REFUSED", "the "+r.Log+" log: nothing of it counts as measured")
		s.refusal(r.err)
	}
	if len(d.Summary) > 0 {
		s.section("Summary")
		for _, f := range d.Summary {
			s.rows(row{f.About, "- " + cut(orNothing(f.Was))}, row{strings.Repeat(" ", len(f.About)), "+ " + cut(orNothing(f.Now))})
		}
	}
	if len(d.Events) > 0 {
		s.section("Events (- only in the first, + only in the second, * changed; ~ the digest is not of this text)")
		s.rows(d.rows()...)
	}
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// numbers lists the PCRs that differ.
func (d *logDiff) numbers() string {
	var all []string
	for _, p := range d.PCRs {
		all = append(all, strconv.Itoa(p.PCR))
	}
	return strings.Join(all, ", ")
}

func (d *logDiff) rows() []row {
	var rows []row
	for _, e := range d.Events {
		name, hint := map[string]string{"removed": "-", "added": "+", "changed": "*"}[e.Change], " "
		if e.PCR != nil {
			name += fmt.Sprintf(" PCR %d", *e.PCR)
		}
		if e.hint {
			hint = "~"
		}
		rows = append(rows, row{name, hint + " " + cut(e.Says)})
	}
	return rows
}
