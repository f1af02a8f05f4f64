// Package compare is what the modules that hold our verifiers against other libraries share: the classes of differences, and for TCG
// event logs the comparison itself, on real logs, on mutations of them, and on the logs of the attacks (tpm-evidence.md sections 4, 6, 9, 10).
// The libraries are in nested modules, so that nothing else depends on them; each of these calls the functions here.
package compare

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"strings"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
)

// Event is an event as a library has it.
type Event struct {
	PCR    int // as the log says; the library's form of FFFFFFFF
	Type   uint32
	Data   []byte
	Digest []byte // of the bank that was asked for, nil without one
}

// PCR is one value of a bank.
type PCR struct {
	Index int
	Hash  crypto.Hash
	Value []byte
}

// Log is a log that a library has taken.
type Log interface {
	Events(a tpm.Alg) []Event // without the record that describes a crypto-agile log
	Verify(pcrs []PCR) error  // replays the events of these PCRs; nil if each has a value that fits, or no event
}

// Parse is how a library reads a log.
type Parse func(b []byte) (Log, error)

// banks are those that the libraries know.
func banks() []tpm.Alg { return []tpm.Alg{tpm.SHA1, tpm.SHA256, tpm.SHA384} }

// ours reads a log as our verifier does.
func ours(b []byte) (*eventlog.Log, error) { return eventlog.Parse(b, eventlog.DefaultLimits()) }

// Padding is a difference that is not there without the padding at the end of the log.
const Padding = "we stop at the padding"

// Compare reads a log both ways and tells the first difference, or nothing.
func Compare(b []byte, parse Parse) string {
	diff := compareWhole(b, parse)
	if diff == "" {
		return ""
	}
	if end := len(bytes.Join(split(b), nil)); end < len(b) && compareWhole(b[:end], parse) == "" {
		return Padding + ": " + diff
	}
	return diff
}

func compareWhole(b []byte, parse Parse) string {
	l, err := ours(b)
	theirs, err2 := parse(b)
	switch {
	case err != nil && err2 != nil:
		return ""
	case err != nil:
		return "only they take it: " + refusal(err)
	case err2 != nil:
		return "only we take it: " + err2.Error()
	}
	for _, a := range banks() {
		if _, ok := l.Records()[len(l.Records())-1].Digest(a); !ok {
			continue
		}
		if diff := compareBank(l, theirs, a); diff != "" {
			return fmt.Sprintf("%s: %s", a, diff)
		}
	}
	return ""
}

// refusal is the check and the problem of a refusal, without the place.
func refusal(err error) string {
	r := (*evidence.Refusal)(nil)
	if !errors.As(err, &r) {
		return err.Error()
	}
	problem := r.Problem
	if _, after, ok := strings.Cut(problem, ", at offset "); ok {
		_, problem, _ = strings.Cut(after, ", ")
	}
	if r.Err != nil {
		problem += ": " + r.Err.Error()
	}
	return string(r.Check) + ": " + problem
}

// compareBank compares the events and then the PCRs of a bank.
func compareBank(l *eventlog.Log, theirs Log, a tpm.Alg) string {
	if diff := compareEvents(records(l), theirs.Events(a), a); diff != "" {
		return diff
	}
	b, err := eventlog.Replay(a, false, l)
	if err != nil {
		return "only they replay it: " + refusal(err)
	}
	return comparePCRs(l, theirs, b)
}

// records are those that the libraries count as events.
func records(l *eventlog.Log) []eventlog.Record {
	if l.Legacy() {
		return l.Records()
	}
	return l.Records()[1:]
}

func compareEvents(ours []eventlog.Record, theirs []Event, a tpm.Alg) string {
	if len(ours) != len(theirs) {
		return fmt.Sprintf("they have %d events, we %d", len(theirs), len(ours))
	}
	for i, r := range ours {
		digest, _ := r.Digest(a)
		if e := theirs[i]; uint32(e.PCR) != r.PCR || e.Type != uint32(r.Type) || !bytes.Equal(e.Data, r.Data) || !bytes.Equal(e.Digest, digest) {
			return fmt.Sprintf("event %d: they have PCR %d, type %#x, digest %x, %d bytes; we %d, %#x, %x, %d", i+1,
				e.PCR, e.Type, e.Digest, len(e.Data), r.PCR, uint32(r.Type), digest, len(r.Data))
		}
	}
	return ""
}

// PCRs are the values of a bank after a log, of each PCR that an event was extended into.
func PCRs(log []byte, a tpm.Alg) ([]PCR, error) {
	l, err := ours(log)
	if err != nil {
		return nil, err
	}
	b, err := eventlog.Replay(a, false, l)
	if err != nil {
		return nil, err
	}
	return extended(l, b), nil
}

func extended(l *eventlog.Log, b *tpm.Bank) []PCR {
	var pcrs []PCR
	seen := [tpm.PCRCount]bool{}
	for i := range l.Records() {
		if r := &l.Records()[i]; r.Extended() && !seen[r.PCR] {
			seen[r.PCR] = true
			pcrs = append(pcrs, PCR{int(r.PCR), b.Alg.Hash(), b.Values[r.PCR]})
		}
	}
	return pcrs
}

// comparePCRs has the library verify our values, all at once, and refuse each of them with a bit turned, if there are events.
func comparePCRs(l *eventlog.Log, theirs Log, b *tpm.Bank) string {
	pcrs := extended(l, b)
	if err := theirs.Verify(pcrs); err != nil {
		return "PCRs: " + err.Error()
	}
	for _, p := range pcrs {
		wrong := bytes.Clone(p.Value)
		wrong[0] ^= 1
		if err := theirs.Verify([]PCR{{p.Index, p.Hash, wrong}}); err == nil {
			return fmt.Sprintf("PCR %d: they verify a wrong value", p.Index)
		}
	}
	return ""
}
