// Package explain tells in words what a TCG event log says, for a person who has never seen one: event by event, as a summary,
// and what differs between two logs. It decides nothing. Each statement says what it rests on: on data that a digest covers, or on a label
// that anybody could have written (tpm-evidence.md section 4.2). Whether a TPM vouches for the digests is a matter of package measured.
package explain

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
)

// Covers says what of an event's data its digest is the hash of, in every bank of the log.
type Covers string

// What a digest covers (tpm-evidence.md section 4.2).
const (
	CoversData    Covers = "data"    // all of it
	CoversValue   Covers = "value"   // the value of an EFI variable, but neither its name nor its vendor
	CoversText    Covers = "text"    // the text of a boot loader, without the prefix that says what it is
	CoversMost    Covers = "most"    // all but the last byte, as the boot loader shim has it
	CoversOther   Covers = "other"   // something else, which the data only describes
	CoversNothing Covers = "nothing" // the event was not extended into a PCR
)

// Event is a record of a log in words.
type Event struct {
	Seq    int // counted from 1, as EventSeq of the claim events
	PCR    uint32
	Type   eventlog.Type
	Covers Covers
	Says   string // what it means. It may quote what an attacker wrote: it is not fit for a terminal as it is

	record *eventlog.Record
	told   string // the text that its digest is of, whatever its type and data are; empty: none that is known
	system bool   // Windows is known by it
	late   bool   // measured when what measures into the PCR had ended, by whoever could write into it then
}

// Hint reports whether something of what the event says rests on what no digest covers: all of it, the name of a variable, or
// the prefix that says what a text is.
func (e *Event) Hint() bool { return e.Covers != CoversData }

// reader goes through the records of one log.
type reader struct {
	algs   []tpm.Alg
	limits eventlog.Limits
	depth  int
	ended  [tpm.PCRCount]bool
}

// Events tells what each record of the log means. depth is the limit sipa_depth. Data that cannot be read is told as such.
func Events(l *eventlog.Log, limits eventlog.Limits, depth int) []Event {
	r := reader{algs: l.Algs(), limits: limits, depth: depth}
	list := make([]Event, 0, len(l.Records()))
	for i := range l.Records() {
		rec := &l.Records()[i]
		e := Event{Seq: i + 1, PCR: rec.PCR, Type: rec.Type, record: rec}
		e.Covers = r.covers(rec)
		r.know(&e)
		e.system = r.isWindows(&e)
		e.Says = r.words(&e)
		list = append(list, e)
	}
	return list
}

// covers finds what of the data the digests cover.
func (r *reader) covers(rec *eventlog.Record) Covers {
	switch {
	case !rec.Extended():
		return CoversNothing
	case r.hashes(rec, rec.Data):
		return CoversData
	}
	switch rec.Type {
	case eventlog.VariableBoot:
		if v, err := eventlog.ParseVariable(rec.Data, r.limits); err == nil && r.hashes(rec, v.Data) {
			return CoversValue
		}
	case eventlog.IPL:
		if _, text := splitText(rec.Data); len(text) > 0 && r.hashes(rec, text) {
			return CoversText
		}
	case eventlog.VariableAuthority:
		if n := len(rec.Data); n > 0 && r.hashes(rec, rec.Data[:n-1]) {
			return CoversMost
		}
	}
	return CoversOther
}

// know finds by the digests what an event is, since anybody can change its type: the end of a phase of the start, or a text in
// PCR 7 that is there only if something is wrong.
func (r *reader) know(e *Event) {
	if !e.record.Extended() {
		return
	}
	e.late = r.ended[e.PCR]
	for _, text := range textsOf(e.PCR) {
		if !r.anyHashes(e.record, []byte(text)) && !r.anyHashes(e.record, []byte(text+"\x00")) {
			continue
		}
		e.told = text
		r.ended[e.PCR] = r.ended[e.PCR] || text != dmaDisabled && text != debugMode
	}
}

// textsOf are the texts that are known by their digests in a PCR.
func textsOf(pcr uint32) []string {
	switch {
	case pcr == secureBootPCR:
		return []string{separatorZero, separatorOnes, dmaDisabled, debugMode}
	case pcr < secureBootPCR:
		return []string{separatorZero, separatorOnes}
	case pcr >= optionsPCR && pcr <= authoritiesPCR:
		return []string{endOfBoot}
	}
	return nil
}

// anyHashes reports whether a digest of the record, in any bank, is the hash of the data.
func (r *reader) anyHashes(rec *eventlog.Record, data []byte) bool {
	return slices.ContainsFunc(r.algs, func(a tpm.Alg) bool { return rec.Hashes(a, data) })
}

// hashes reports whether every digest of the record is the hash of the data; there is at least one.
func (r *reader) hashes(rec *eventlog.Record, data []byte) bool {
	for _, a := range r.algs {
		if !rec.Hashes(a, data) {
			return false
		}
	}
	return len(r.algs) > 0
}

// splitText splits the text of a boot loader into what says what it is, and the rest without the NUL at its end.
func splitText(data []byte) (prefix string, text []byte) {
	text = bytes.TrimSuffix(data, []byte{0})
	for _, p := range []string{grubCommand, kernelCommand, moduleCommand} {
		if rest, ok := bytes.CutPrefix(text, []byte(p)); ok {
			return p, rest
		}
	}
	return "", text
}

// The prefixes that GRUB puts before what it measures (tpm-evidence.md section 4.1).
const (
	grubCommand   = "grub_cmd: "
	kernelCommand = "kernel_cmdline: "
	moduleCommand = "module_cmdline: "
)

// Digest is what was extended into the PCR of a bank; nil if nothing was, or the log does not have the bank.
func (e *Event) Digest(a tpm.Alg) []byte {
	if !e.record.Extended() {
		return nil
	}
	d, _ := e.record.Digest(a)
	return d
}

// Key tells events apart when two logs are compared: by what was measured in the banks that both logs have, and by what the log says of it.
func (e *Event) Key(common []tpm.Alg) string {
	var measured []byte
	for _, a := range common {
		measured = append(measured, e.Digest(a)...)
	}
	if measured == nil {
		measured = e.record.Data
	}
	return fmt.Sprintf("%d/%x/%s/%s", e.Type, measured, e.Covers, e.Says)
}
