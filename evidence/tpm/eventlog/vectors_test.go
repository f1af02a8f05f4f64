package eventlog_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// pcrs are values by bank and index, as the indexes write them.
type pcrs map[string]map[string]string

// bankName is the name of a bank in the indexes.
func bankName(a tpm.Alg) string { return strings.ToLower(a.String()) }

func alg(t testing.TB, name string) tpm.Alg {
	t.Helper()
	for _, a := range []tpm.Alg{tpm.SHA1, tpm.SHA256, tpm.SHA384, tpm.SHA512} {
		if bankName(a) == name {
			return a
		}
	}
	t.Fatalf("unknown bank %q", name)
	return 0
}

func parse(t testing.TB, file string) *eventlog.Log {
	t.Helper()
	l, err := eventlog.Parse(vectortest.Read(t, file), eventlog.DefaultLimits())
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return l
}

func replay(t testing.TB, name string, l *eventlog.Log) *tpm.Bank {
	t.Helper()
	b, err := eventlog.Replay(alg(t, name), false, l)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// differing are the PCRs whose values are not as wanted.
func differing(t testing.TB, b *tpm.Bank, want map[string]string) (diff []int) {
	t.Helper()
	for index, value := range want {
		i, err := strconv.Atoi(index)
		if err != nil || i < 0 || i >= tpm.PCRCount {
			t.Fatalf("index %q", index)
		}
		if hex.EncodeToString(b.Values[i]) != value {
			diff = append(diff, i)
		}
	}
	slices.Sort(diff)
	return diff
}

type logCase struct {
	File, Format, Expect string
	Banks                []string
	Events               int
	SecureBoot           string         `json:"secureboot_variable"`
	Locality             int            `json:"startup_locality"`
	Replayed             pcrs           `json:"replayed_pcrs"`
	Types                map[string]int `json:"event_types"`
	Published            struct {
		Values      pcrs
		Unexplained map[string][]int `json:"not_explained_by_log"`
	} `json:"published_pcrs"`
}

func TestRealLogsReadAndReplayAsTheIndexSays(t *testing.T) {
	var cases []logCase
	vectortest.ReadJSON(t, "tpm/eventlogs/index.json", &cases)
	if len(cases) == 0 {
		vectortest.NoCase(t, "event log")
	}
	for _, c := range cases {
		t.Run(path.Base(c.File), func(t *testing.T) {
			if !strings.HasPrefix(c.Expect, "parses") {
				t.Fatalf("the index expects %q, which this test does not know", c.Expect)
			}
			l := parse(t, "tpm/"+c.File)
			c.checkForm(t, l)
			c.checkSecureBoot(t, l)
			c.checkReplay(t, l)
		})
	}
}

func (c *logCase) checkForm(t *testing.T, l *eventlog.Log) {
	var banks []string
	for _, a := range l.Algs() {
		banks = append(banks, bankName(a))
	}
	if l.Legacy() != (c.Format == "legacy-sha1") || !slices.Equal(banks, c.Banks) {
		t.Errorf("legacy %t with banks %v, want %s with %v", l.Legacy(), banks, c.Format, c.Banks)
	}
	if got := l.StartupLocality(); got != c.Locality {
		t.Errorf("startup locality %d, want %d", got, c.Locality)
	}
	records := l.Records()
	if !l.Legacy() {
		records = records[1:] // the index does not count the one that describes the log
	}
	types := map[string]int{}
	for _, r := range records {
		name := r.Type.String()
		if name == "UNKNOWN" {
			name = fmt.Sprintf("0x%x", uint32(r.Type))
		}
		types[name]++
	}
	if len(records) != c.Events || fmt.Sprint(types) != fmt.Sprint(c.Types) {
		t.Errorf("%d events %v, want %d %v", len(records), types, c.Events, c.Types)
	}
}

// checkSecureBoot looks for the variable, and reads every variable of the log on the way.
func (c *logCase) checkSecureBoot(t *testing.T, l *eventlog.Log) {
	found := "absent"
	for i, r := range l.Records() {
		if r.Type != eventlog.VariableDriverConfig {
			continue
		}
		v, err := eventlog.ParseVariable(r.Data, eventlog.DefaultLimits())
		if err != nil {
			t.Fatalf("record %d: %v", i+1, err)
		}
		if v.GUID == eventlog.GlobalVariable() && v.Name == "SecureBoot" {
			if found = hex.EncodeToString(v.Data); found == "" {
				found = "empty"
			}
		}
		if slices.Contains([]string{"PK", "KEK", "db", "dbx"}, v.Name) {
			checkSignatures(t, v)
		}
	}
	if found != c.SecureBoot {
		t.Errorf("variable SecureBoot: %s, want %s", found, c.SecureBoot)
	}
}

// checkSignatures checks that a real signature database has entries of the size that their type has.
func checkSignatures(t *testing.T, v eventlog.Variable) {
	list, err := eventlog.ParseSignatureLists(v.Data)
	if err != nil || len(v.Data) > 0 && len(list) == 0 {
		t.Errorf("%s: %d signatures, %v", v.Name, len(list), err)
	}
	for _, s := range list {
		switch {
		case s.Type == eventlog.X509() && len(s.Data) > 2 && s.Data[0] == 0x30:
		case s.Type == eventlog.SHA256() && len(s.Data) == 32:
		default:
			t.Errorf("%s: type %s with %d bytes", v.Name, s.Type, len(s.Data))
		}
	}
}

func (c *logCase) checkReplay(t *testing.T, l *eventlog.Log) {
	if len(c.Replayed) != len(l.Algs()) {
		t.Errorf("the index replays %d banks, the log has %d", len(c.Replayed), len(l.Algs()))
	}
	for name, want := range c.Replayed {
		if diff := differing(t, replay(t, name, l), want); diff != nil {
			t.Errorf("%s: PCR %v differ", name, diff)
		}
		if extended := touched(l); len(extended) != len(want) {
			t.Errorf("%s: PCR %v extended, want %d of them", name, extended, len(want))
		}
	}
	for name, want := range c.Published.Values {
		if diff := differing(t, replay(t, name, l), want); !slices.Equal(diff, c.Published.Unexplained[name]) {
			t.Errorf("%s: published values of PCR %v differ, want %v", name, diff, c.Published.Unexplained[name])
		}
	}
}

// touched are the PCRs that the log extends.
func touched(l *eventlog.Log) map[uint32]bool {
	extended := map[uint32]bool{}
	for _, r := range l.Records() {
		if r.Extended() {
			extended[r.PCR] = true
		}
	}
	return extended
}

func TestLogsExplainWhatWasQuotedWithThem(t *testing.T) {
	var cases []struct {
		ID, Eventlog string
		PCRs         pcrs
	}
	vectortest.ReadJSON(t, "tpm/quotes/real.json", &cases)
	some := false
	for _, c := range cases {
		if c.Eventlog == "" {
			continue
		}
		l := parse(t, "tpm/"+c.Eventlog)
		extended := touched(l)
		for name, values := range c.PCRs {
			some = true
			for _, i := range differing(t, replay(t, name, l), values) {
				if extended[uint32(i)] || values[strconv.Itoa(i)] == "" {
					t.Errorf("%s: %s PCR %d differs", c.ID, name, i)
				}
			}
		}
	}
	if !some {
		vectortest.NoCase(t, "quote with an event log")
	}
}

// refusedAs are the checks that may refuse a log for a reason of the index of attacks. Logs with any other reason parse.
func refusedAs(code string) []evidence.Check {
	switch code {
	case "TRUNCATED", "BAD_LENGTH", "BAD_SPECID", "EMPTY", "PCR_INDEX":
		return []evidence.Check{evidence.EventLogFormat}
	case "BANK_MISSING", "BANK_DUPLICATE":
		return []evidence.Check{evidence.EventLogBank}
	case "STARTUP_LOCALITY":
		return []evidence.Check{evidence.EventLogStart}
	}
	return nil
}

func TestAttacksAreRefusedOrReplayAsTheIndexSays(t *testing.T) {
	var cases []struct {
		ID, Log, Bank, Expect, Code string
		PCRs                        pcrs
		Facts                       struct {
			Locality *int `json:"startup_locality"`
		}
	}
	vectortest.ReadJSON(t, "tpm/attacks/index.json", &cases)
	if len(cases) == 0 {
		vectortest.NoCase(t, "attack")
	}
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			b, err := parseAndReplay(vectortest.Read(t, "tpm/attacks/"+c.Log), alg(t, c.Bank))
			if want := refusedAs(c.Code); want != nil {
				expectRefusal(t, err, want...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if l, err := eventlog.Parse(vectortest.Read(t, "tpm/attacks/"+c.Log), eventlog.DefaultLimits()); c.Facts.Locality != nil && (err != nil || l.StartupLocality() != *c.Facts.Locality) {
				t.Errorf("startup locality %d expected, %v", *c.Facts.Locality, err)
			}
			if diff := differing(t, b, c.PCRs[c.Bank]); (diff != nil) != (c.Code == "REPLAY") {
				t.Errorf("code %q, and PCR %v differ from the quoted ones", c.Code, diff)
			}
		})
	}
}

func parseAndReplay(log []byte, a tpm.Alg) (*tpm.Bank, error) {
	l, err := eventlog.Parse(log, eventlog.DefaultLimits())
	if err != nil {
		return nil, err
	}
	return eventlog.Replay(a, false, l)
}

func expectRefusal(t *testing.T, err error, checks ...evidence.Check) {
	t.Helper()
	var r *evidence.Refusal
	if !errors.As(err, &r) || !slices.Contains(checks, r.Check) {
		t.Fatalf("got %v, want a refusal of %v", err, checks)
	}
	if r.Remedy == "" || strings.ContainsAny(r.Error(), "\n") || bytes.ContainsAny([]byte(r.Error()), "\x00") {
		t.Errorf("the refusal does not help: %q", r.Error())
	}
}
