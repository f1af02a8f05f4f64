package main

import (
	"context"
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
	Same    bool            `json:"same"` // no PCR has another value
	Bank    string          `json:"bank"` // in which the logs were compared
	PCRs    []pcrChange     `json:"pcrs,omitzero"`
	Summary []findingChange `json:"summary,omitzero"`
	Events  []eventChange   `json:"events,omitzero"`
}

// pcrChange is a PCR that the logs lead to different values of.
type pcrChange struct {
	PCR int    `json:"pcr"`
	Was string `json:"was"`
	Now string `json:"now"`
}

// findingChange is a line of the summary that differs.
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
	j, _ := (&machineLogs{log: log}).judge(nil, nil) //nolint:errcheck // nil then, and the summary says so
	l.findings = explain.Summarize(l.events, j)
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
	bank := slices.Max(common) // the numbers rise with the strength
	d := &logDiff{Bank: strings.ToLower(bank.String()), Summary: compareFindings(a.findings, b.findings)}
	was, err := eventlog.Replay(bank, false, a.log)
	if err != nil {
		return nil, err
	}
	now, err := eventlog.Replay(bank, false, b.log)
	if err != nil {
		return nil, err
	}
	values := [2]map[string]string{}
	for i, v := range []*tpm.Bank{was, now} {
		values[i] = valuesOf([]tpm.Bank{*v}, pcrSet{})[d.Bank]
	}
	for i := range tpm.PCRCount {
		if k := strconv.Itoa(i); values[0][k] != values[1][k] {
			d.PCRs = append(d.PCRs, pcrChange{i, values[0][k], values[1][k]})
		}
	}
	d.Same = len(d.PCRs) == 0
	for pcr := range uint32(tpm.PCRCount) {
		d.Events = append(d.Events, compareEvents(only(a.events, pcr), only(b.events, pcr), bank)...)
	}
	d.Events = append(d.Events, compareEvents(only(a.events, eventlog.Outside), only(b.events, eventlog.Outside), bank)...)
	return d, nil
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
func compareEvents(a, b []*explain.Event, bank tpm.Alg) []eventChange {
	var removed, added []*explain.Event
	i, j := 0, 0
	for _, e := range compare(keys(a, bank), keys(b, bank)) {
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
	return pairUp(removed, added)
}

func keys(events []*explain.Event, bank tpm.Alg) []string {
	var list []string
	for _, e := range events {
		list = append(list, e.Key(bank))
	}
	return list
}

// maxPairs bounds the work of finding which events took the place of which.
const maxPairs = 256

// pairUp tells what was removed and what was added, and as changed what belongs together.
func pairUp(removed, added []*explain.Event) []eventChange {
	var all []eventChange
	for _, was := range removed {
		i := -1
		if len(removed) <= maxPairs && len(added) <= maxPairs {
			i = slices.IndexFunc(added, func(now *explain.Event) bool { return explain.Pairs(was, now, eventlog.DefaultLimits()) })
		}
		if i < 0 {
			all = append(all, changeOf("removed", was, was.Says, was.Seq, 0))
			continue
		}
		all = append(all, changeOf("changed", was, explain.Change(was, added[i], eventlog.DefaultLimits()), was.Seq, added[i].Seq))
		added = slices.Delete(slices.Clone(added), i, i+1)
	}
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
	case d.Same && len(d.Events) == 0:
		s.heading(green, "SAME", "the logs lead to the same PCRs, bank "+d.Bank)
		return
	case d.Same:
		s.heading(green, "SAME", "the logs lead to the same PCRs, bank "+d.Bank+", but differ in what is not measured")
	default:
		s.heading(yellow, "DIFFERENT", "bank "+d.Bank+": PCR "+d.numbers())
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
