package goeventlog

import (
	"testing"

	"github.com/google/go-eventlog/register"
	"github.com/google/go-eventlog/tcg"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/test/oracle/compare"
)

// theirs is a log as the library has it.
type theirs struct{ log *tcg.EventLog }

func parse(b []byte) (compare.Log, error) {
	l, err := tcg.ParseEventLog(b, tcg.ParseOpts{})
	return theirs{l}, err
}

func (l theirs) Events(a tpm.Alg) []compare.Event {
	var out []compare.Event
	for _, e := range l.log.Events(register.HashAlg(a)) {
		out = append(out, compare.Event{PCR: e.Index, Type: uint32(e.Type), Data: e.Data, Digest: e.Digest})
	}
	return out
}

func (l theirs) Verify(pcrs []compare.PCR) error {
	var out []register.MR
	for _, p := range pcrs {
		out = append(out, register.PCR{Index: p.Index, Digest: p.Value, DigestAlg: p.Hash})
	}
	_, err := l.log.Verify(out)
	return err
}

func TestRealLogsAreReadAlike(t *testing.T) { compare.RealLogs(t, parse) }

// classes are those of both libraries, and one of this one.
func classes() []compare.Class {
	return append(compare.Classes(), compare.Class{
		Pattern: "^only we take it: reached padding before event log EOF",
		Why:     "we are right: a record of PCR FFFFFFFF with data is one that is not extended, such as Windows' trust point (section 4)",
	})
}

func TestMutationsAreReadAlike(t *testing.T) { compare.Mutations(t, parse, classes()) }

func TestAttackLogsAreReadAlike(t *testing.T) { compare.AttackLogs(t, parse, classes()) }
