package goattestation

import (
	"strings"
	"testing"

	"github.com/google/go-attestation/attest"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/test/oracle/compare"
)

// theirs is a log as the library has it.
type theirs struct{ log *attest.EventLog }

func parse(b []byte) (compare.Log, error) {
	l, err := attest.ParseEventLog(b)
	return theirs{l}, err
}

func (l theirs) Events(a tpm.Alg) []compare.Event {
	var out []compare.Event
	for _, e := range l.log.Events(attest.HashAlg(a)) {
		out = append(out, compare.Event{PCR: e.Index, Type: uint32(e.Type), Data: e.Data, Digest: e.Digest})
	}
	return out
}

func (l theirs) Verify(pcrs []compare.PCR) error {
	var out []attest.PCR
	for _, p := range pcrs {
		out = append(out, attest.PCR{Index: p.Index, Digest: p.Value, DigestAlg: p.Hash})
	}
	_, err := l.log.Verify(out)
	return err
}

func TestRealLogsAreReadAlike(t *testing.T) { compare.RealLogs(t, parse) }

func TestMutationsAreReadAlike(t *testing.T) { compare.Mutations(t, parse, compare.Classes()) }

func TestAttackLogsAreReadAlike(t *testing.T) { compare.AttackLogs(t, parse, compare.Classes()) }

// The index says what this version did with each attack. What it lets pass and we do not is what evidence/tpm/measured is for.
func TestTheLibraryDoesWithAttacksWhatTheIndexSays(t *testing.T) {
	for _, a := range compare.Attacks(t) {
		got := ""
		if l, err := parse(a.Bytes); err != nil {
			got = "parse: " + err.Error()
		} else if err := l.Verify(a.Quoted(t)); err != nil {
			got = "verify: " + err.Error()
		}
		want := a.GoAttestation
		if stage, _, _ := strings.Cut(want, ":"); stage != "parse" && stage != "verify" {
			want = ""
		}
		if got != want && !strings.HasPrefix(want, got) || (got == "") != (want == "") {
			t.Errorf("%s: got %q, want %q", a, got, want)
		}
	}
}
