package compare

import (
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// Classes are the differences that both libraries show; they have the same code. Why cites tpm-evidence.md.
func Classes() []Class {
	return []Class{
		{"^" + Padding, "we are right: firmware pads its buffer (section 4). They refuse it, or read records of PCR 0 out of zeros"},
		{"^only they take it: event-log-format: is of a PCR that does not exist", "we are right: there are 24 PCRs (section 4)"},
		{"^only they take it: event-log-format: has the header that ends a log", "we are right: only padding may follow the end (section 4)"},
		{"^only they take it: event-log-format: has too much data", "we are right: the record that describes a log is of PCR 0 (section 4), so that one of another PCR begins a SHA-1 log, which this is not"},
		{"^only they take it: event-log-bank: has no digest of a bank", "we are right: a bank with a digest less hides an event (section 4)"},
		{"^only they take it: event-log-start", "we are right: the startup locality is told once, and is 0, 3 or 4 (section 6)"},
		{`PCRs: .* failed to replay: \[(17|18|19|20|21|22)\]$`, "we are right: PCR 17 to 22 start with FF (section 6); they start all with zero"},
		{`PCRs: .* failed to replay: \[0\]$`, "both: a startup locality told after the first event of PCR 0 counts with us, and not with them; the order of what is not extended is nobody's"},
	}
}

// mutations is how many there are of each real log.
const mutations = 300

// realLogs are all real logs of the vectors, by name.
func realLogs(t *testing.T) map[string][]byte {
	t.Helper()
	var index []struct{ File string }
	vectortest.ReadJSON(t, "tpm/eventlogs/index.json", &index)
	out := map[string][]byte{}
	for _, e := range index {
		out[filepath.Base(e.File)] = vectortest.Read(t, "tpm/"+e.File)
	}
	windows, err := filepath.Glob(filepath.Join(vectortest.Path(t, "tpm/windows"), "*.wbcl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range windows {
		out[filepath.Base(file)] = vectortest.Read(t, "tpm/windows/"+filepath.Base(file))
	}
	if len(out) == 0 {
		vectortest.NoCase(t, "event log")
	}
	return out
}

// RealLogs compares all real logs. They must be read alike.
func RealLogs(t *testing.T, parse Parse) {
	t.Helper()
	for name, b := range realLogs(t) {
		if diff := Compare(b, parse); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// Mutations compares mutations of all real logs, the same ones each time.
func Mutations(t *testing.T, parse Parse, classes []Class) {
	t.Helper()
	tally := NewTally(classes)
	for name, b := range realLogs(t) {
		r, records := Random(name, 1), split(b)
		for i := range mutations {
			m := mutate(r, b, records)
			tally.Add(t, fmt.Sprintf("%s, mutation %d", name, i), Compare(m, parse))
		}
	}
	tally.EachOccurs(t)
}

// attackClasses are differences that take more than chance to make.
func attackClasses() []Class {
	return []Class{
		{"^only they take it: event-log-format: is no Spec ID record: .* is there twice", "we are right: no duplicates (section 4)"},
		{"^only they take it: event-log-bank: has two digests of a bank", "we are right: exactly one per announced algorithm (section 4)"},
	}
}

// AttackLogs compares the logs of the attacks, whose forgeries lie mostly in what logs mean and not in their form.
func AttackLogs(t *testing.T, parse Parse, classes []Class) {
	t.Helper()
	tally := NewTally(append(classes, attackClasses()...))
	for _, a := range Attacks(t) {
		if why := tally.Add(t, a.String(), Compare(a.Bytes, parse)); why != "" {
			t.Logf("%s: %s", a, why)
		}
	}
}

// Attack is a log of vectors/tpm/attacks/index.json.
type Attack struct {
	Log, Bank, Code string
	PCRs            map[string]map[string]string // what a quote would vouch for, by bank and index
	GoAttestation   string                       `json:"go_attestation_0.6.4"` // what that library did with it
	Bytes           []byte                       `json:"-"`
}

// Quoted are the PCRs of the attack's bank.
func (a Attack) Quoted(t *testing.T) []PCR {
	t.Helper()
	var out []PCR
	for index, text := range a.PCRs[a.Bank] {
		value, err := hex.DecodeString(text)
		i, err2 := strconv.Atoi(index)
		if err != nil || err2 != nil {
			t.Fatalf("%s: PCR %s: %q", a, index, text)
		}
		for _, alg := range banks() {
			if strings.EqualFold(alg.String(), a.Bank) {
				out = append(out, PCR{i, alg.Hash(), value})
			}
		}
	}
	return out
}

// Attacks are the logs of the attacks.
func Attacks(t *testing.T) []Attack {
	t.Helper()
	var list []Attack
	vectortest.ReadJSON(t, "tpm/attacks/index.json", &list)
	if len(list) == 0 {
		vectortest.NoCase(t, "attack")
	}
	for i := range list {
		list[i].Bytes = vectortest.Read(t, "tpm/attacks/"+filepath.Base(list[i].Log))
	}
	return list
}

// String names the attack.
func (a Attack) String() string { return fmt.Sprintf("%s (%s)", a.Log, a.Code) }
