package explain

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
)

// SameMeasured reports whether the same was measured by two events of one PCR, in all banks that both logs have, of which common is
// the list.
func SameMeasured(was, now *Event, common []tpm.Alg) bool {
	if was.PCR != now.PCR || !was.record.Extended() || !now.record.Extended() {
		return false
	}
	return !slices.ContainsFunc(common, func(a tpm.Alg) bool { return !bytes.Equal(was.Digest(a), now.Digest(a)) })
}

// Relabel says in words in what two events differ that measured the same: the place in the order, or what their logs say.
func Relabel(was, now *Event) string {
	switch {
	case was.Key(nil) == now.Key(nil):
		return was.Says + " (measured in another order)"
	case was.Says == now.Says:
		return was.Says + " (what was measured is the same, the type or the data that the log gives is not)"
	}
	return fmt.Sprintf("was: %s; is: %s (what was measured is the same, what the log says of it is not)", was.Says, now.Says)
}

// Pairs reports whether two events of one PCR tell of the same thing, so that one took the place of the other: the same EFI
// variable, the same text, or the same type where a machine measures one such event.
func Pairs(was, now *Event, limits eventlog.Limits) bool {
	if was.PCR != now.PCR || was.Type != now.Type {
		return false
	}
	switch was.Type {
	case eventlog.VariableDriverConfig, eventlog.VariableBoot, eventlog.VariableBoot2:
		a, err := eventlog.ParseVariable(was.record.Data, limits)
		b, err2 := eventlog.ParseVariable(now.record.Data, limits)
		return err == nil && err2 == nil && a.Name == b.Name && a.GUID == b.GUID
	case eventlog.SCRTMVersion, eventlog.GPTEvent:
		return true
	case eventlog.VariableAuthority:
		return strings.HasPrefix(was.Says, sbatWords) && strings.HasPrefix(now.Says, sbatWords)
	}
	return was.Says == now.Says
}

// Change says in words in what an event differs from the one that it took the place of.
func Change(was, now *Event, limits eventlog.Limits) string {
	switch {
	case was.Type == eventlog.SCRTMVersion:
		return fmt.Sprintf("the version of the firmware's first code was %s, and is %s", readVersion(was.record.Data), readVersion(now.record.Data))
	case was.Type == eventlog.GPTEvent:
		return "the partition table of the disk that was started from is another"
	case was.Says == now.Says && was.Hint():
		return was.Says + " (the label is the same, what was measured is not)"
	}
	a, err := eventlog.ParseVariable(was.record.Data, limits)
	b, err2 := eventlog.ParseVariable(now.record.Data, limits)
	if err != nil || err2 != nil {
		return fmt.Sprintf("was: %s; is: %s", was.Says, now.Says)
	}
	if text := listChange(a, b); text != "" {
		return text
	}
	return fmt.Sprintf("was: %s; is: %s", was.Says, now.Says)
}

// listChange says what came into a signature database and what went; nothing if the variable is none.
func listChange(a, b eventlog.Variable) string {
	if !slices.Contains([]string{varPK, varKEK, varDB, varDBX}, a.Name) {
		return ""
	}
	was, err := eventlog.ParseSignatureLists(a.Data)
	now, err2 := eventlog.ParseSignatureLists(b.Data)
	if err != nil || err2 != nil {
		return ""
	}
	var parts []string
	if added := without(now, was); len(added) > 0 {
		parts = append(parts, "added: "+signatureWords(added))
	}
	if removed := without(was, now); len(removed) > 0 {
		parts = append(parts, "removed: "+signatureWords(removed))
	}
	if len(parts) == 0 {
		parts = append(parts, "the same entries in another order or form")
	}
	return fmt.Sprintf("%s had %s, and has %s (%s)", a.Name, count(len(was), "entry"), count(len(now), "entry"), strings.Join(parts, "; "))
}

// without gives the entries that are not among others.
func without(entries, others []eventlog.Signature) []eventlog.Signature {
	type key struct {
		kind eventlog.GUID
		data string
	}
	seen := map[key]bool{}
	for _, s := range others {
		seen[key{s.Type, string(s.Data)}] = true
	}
	var rest []eventlog.Signature
	for _, s := range entries {
		if !seen[key{s.Type, string(s.Data)}] {
			rest = append(rest, s)
		}
	}
	return rest
}
