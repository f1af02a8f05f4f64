package explain_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/explain"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// summarize judges a log by itself, and sums it up.
func summarize(t testing.TB, l *eventlog.Log) ([]explain.Finding, error) {
	t.Helper()
	events := explain.Events(l, eventlog.DefaultLimits(), sipa.DefaultDepth)
	u, err := measured.ReadUnquoted(l, nil, measured.Options{Depth: sipa.DefaultDepth, Limits: eventlog.DefaultLimits()})
	if err != nil {
		return explain.Summarize(events, nil), err
	}
	return explain.Summarize(events, u), nil
}

// judged judges a log that the rules for policies accept.
func judged(t testing.TB, l *eventlog.Log) *measured.Unquoted {
	t.Helper()
	u, err := measured.ReadUnquoted(l, nil, measured.Options{Depth: sipa.DefaultDepth, Limits: eventlog.DefaultLimits()})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// find gives the first finding about something.
func find(t testing.TB, findings []explain.Finding, about string) explain.Finding {
	t.Helper()
	for _, f := range findings {
		if f.About == about {
			return f
		}
	}
	t.Fatalf("nothing is said about %s: %v", about, findings)
	return explain.Finding{}
}

func TestSummaryOfEveryRealLogTellsTheSecureBootVariableOfTheIndex(t *testing.T) {
	var cases []struct {
		File       string
		SecureBoot string `json:"secureboot_variable"`
	}
	vectortest.ReadJSON(t, "tpm/eventlogs/index.json", &cases)
	if len(cases) == 0 {
		vectortest.NoCase(t, "event log")
	}
	want := map[string]string{"01": "on: the variable SecureBoot is 01", "00": "off: the variable SecureBoot is 00", "empty": "off: the variable SecureBoot is empty",
		"absent": "not told"}
	for _, c := range cases {
		t.Run(c.File, func(t *testing.T) {
			l, err := eventlog.Parse(vectortest.Read(t, "tpm/"+c.File), eventlog.DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			findings, err := summarize(t, l)
			if f := find(t, findings, "secure boot"); err != nil || want[c.SecureBoot] == "" || !strings.HasPrefix(f.Says, want[c.SecureBoot]) {
				t.Errorf("%v: got %q, want %q", err, f.Says, want[c.SecureBoot])
			}
			for _, e := range explain.Events(l, eventlog.DefaultLimits(), sipa.DefaultDepth) {
				if e.Says == "" || e.Type == eventlog.Separator && e.Covers != explain.CoversData {
					t.Errorf("event %d: %+v", e.Seq, e)
				}
			}
		})
	}
}

// TestManipulatedLogsNeverReadAsMeasured has every log that the index says to refuse summed up by itself.
func TestManipulatedLogsNeverReadAsMeasured(t *testing.T) {
	var cases []struct{ ID, Log, Expect string }
	vectortest.ReadJSON(t, "tpm/attacks/index.json", &cases)
	for _, c := range cases {
		l, err := eventlog.Parse(vectortest.Read(t, "tpm/attacks/"+c.Log), eventlog.DefaultLimits())
		if err != nil {
			continue
		}
		findings, err := summarize(t, l)
		if err == nil {
			continue // what is refused because of the replay is good in itself
		}
		for _, f := range findings {
			if f.Basis == explain.Measured {
				t.Errorf("%s: refused (%v), but %+v", c.ID, err, f)
			}
		}
	}
}

// TestWindowsSettingsOfTheIndex sums up the genuine-form logs whose settings the index lists.
func TestWindowsSettingsOfTheIndex(t *testing.T) {
	for id, want := range map[string]map[string]string{
		"sh-ok-windows":                 {"kernel debugging": "off", "secure boot": "on: ", "operating system": "Windows"},
		"sh-ok-kernel-debug":            {"kernel debugging": "ON"},
		"sh-sipa-conflict":              {"kernel debugging": "ON"},
		"sh-ok-linux":                   {"operating system": "Linux"},
		"sh-secureboot-retyped-unknown": {"secure boot": "not told: no event of PCR 7 can be read"},
		"sh-uefi-debug-mode":            {"secure boot": "NOT BELIEVED"},
		"sh-dma-protection-disabled":    {"DMA protection": "OFF"},
	} {
		findings, _ := summarize(t, attackLog(t, id)) //nolint:errcheck // one is refused, as it should be
		for about, says := range want {
			if f := find(t, findings, about); !strings.HasPrefix(f.Says, says) {
				t.Errorf("%s, %s: got %q, want %q", id, about, f.Says, says)
			}
		}
	}
}

// partial is a quote that leaves PCRs out.
type partial struct {
	explain.Boot
	without []int
}

func (p partial) Covers(pcr int) bool { return !slices.Contains(p.without, pcr) && p.Boot.Covers(pcr) }

func TestWhatIsNotQuotedIsNotBelieved(t *testing.T) {
	l := attackLog(t, "sh-ok-windows")
	events := explain.Events(l, eventlog.DefaultLimits(), sipa.DefaultDepth)
	u := judged(t, l)
	for _, f := range explain.Summarize(events, partial{u, []int{0, 7, 12}}) {
		if f.Basis == explain.Measured {
			t.Errorf("%+v", f)
		}
	}
	without13 := explain.Summarize(events, partial{u, []int{13}})
	if f := find(t, without13, "settings of Windows"); !strings.HasPrefix(f.Says, "NOT BELIEVED") {
		t.Errorf("without PCR 13: %+v", f)
	}
	if f := find(t, without13, "secure boot"); f.Basis != explain.Measured {
		t.Errorf("without PCR 13: %+v", f)
	}
}

func attackLog(t *testing.T, id string) *eventlog.Log {
	t.Helper()
	var cases []struct{ ID, Log string }
	vectortest.ReadJSON(t, "tpm/attacks/index.json", &cases)
	for _, c := range cases {
		if c.ID == id {
			l, err := eventlog.Parse(vectortest.Read(t, "tpm/attacks/"+c.Log), eventlog.DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
	}
	t.Fatalf("no attack %s", id)
	return nil
}

// FuzzEvents checks that every record of a log that can be read is told in a bounded text, and as a hint unless its digest
// covers something.
func FuzzEvents(f *testing.F) {
	for _, dir := range []string{"tpm/eventlogs", "tpm/attacks"} {
		names, err := filepath.Glob(filepath.Join(vectortest.Path(f, dir), "*.bin"))
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range names {
			if b, err := os.ReadFile(name); err == nil && len(b) < 20_000 {
				f.Add(b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := eventlog.Parse(b, eventlog.Limits{Size: 1 << 18, Records: 1000, EventData: 1 << 14, VariableName: 2048})
		if err != nil {
			return
		}
		events := explain.Events(l, eventlog.DefaultLimits(), sipa.DefaultDepth)
		if len(events) != len(l.Records()) {
			t.Fatalf("%d events of %d records", len(events), len(l.Records()))
		}
		for _, e := range events {
			if e.Says == "" || e.Covers == "" || e.Covers == explain.CoversNothing == l.Records()[e.Seq-1].Extended() {
				t.Fatalf("%+v", e)
			}
		}
		summarize(t, l) //nolint:errcheck // no panic
	})
}
