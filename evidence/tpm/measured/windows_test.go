package measured_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// line is an element of the claim events.
type line struct {
	EventSeq        int
	EventType       *uint32
	EventTypeString string
	PcrIndex        *uint32
	ProcessedData   json.RawMessage
	Digests         map[string]string
}

// events reads the claim events.
func events(t testing.TB, b *measured.Boot) []line {
	t.Helper()
	v, err := b.Events(measured.EventsOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return lines(t, v)
}

func lines(t testing.TB, v []byte) []line {
	t.Helper()
	var claim struct{ Events []line }
	if err := json.Unmarshal(v, &claim); err != nil {
		t.Fatalf("%v: %.200s", err, v)
	}
	for i, e := range claim.Events {
		if e.EventSeq != i+1 {
			t.Errorf("event %d has the number %d", i+1, e.EventSeq)
		}
	}
	return claim.Events
}

// windowsLogs finds the log of each claims file of vectors/policies/events by its name.
func windowsLogs(t testing.TB) (claims, logs []string) {
	t.Helper()
	claims, err := filepath.Glob(filepath.Join(vectortest.Path(t, "policies/events"), "*.claims.json"))
	if err != nil || len(claims) == 0 {
		vectortest.NoCase(t, "claims of a Windows log")
	}
	for i, c := range claims {
		name := strings.TrimSuffix(filepath.Base(c), ".claims.json")
		claims[i], logs = "policies/events/"+filepath.Base(c), append(logs, "tpm/eventlogs/"+name+".bin")
		if strings.HasPrefix(name, "windows_") {
			logs[i] = "tpm/windows/" + name + ".wbcl"
		}
	}
	return claims, logs
}

func parseFile(t testing.TB, name string) *eventlog.Log {
	t.Helper()
	l, err := eventlog.Parse(vectortest.Read(t, name), eventlog.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// quoteReplay quotes the first PCRs of a bank as a log leads to them.
func quoteReplay(t testing.TB, a tpm.Alg, pcrs int, l *eventlog.Log) *tpm.Quoted {
	t.Helper()
	b, err := eventlog.Replay(a, false, l)
	if err != nil {
		t.Fatal(err)
	}
	for i := pcrs; i < tpm.PCRCount; i++ {
		b.Values[i] = nil
	}
	return quote(t, *b)
}

// The claims of two real Windows logs are those of the vectors, byte for byte.
func TestClaimsOfRealWindowsLogs(t *testing.T) {
	claims, logs := windowsLogs(t)
	for i, file := range claims {
		t.Run(file, func(t *testing.T) {
			l := parseFile(t, logs[i])
			q := quoteReplay(t, tpm.SHA1, 16, l)
			b, err := measured.Verify([]measured.Log{{TCG: l}}, q, strict())
			if err != nil {
				t.Fatal(err)
			}
			got, err := b.Events(measured.EventsOptions{})
			if err != nil {
				t.Fatal(err)
			}
			want := claimsOf(t, file)
			same(t, "events", string(got), want["events"].(string))
			same(t, "pcrs", string(measured.PCRs(q, false)), want["pcrs"].(string))
			if b.Facts().SecureBootEnabled != want["secureBootEnabled"] {
				t.Errorf("secureBootEnabled: got %v", b.Facts().SecureBootEnabled)
			}
			if got, want := len(got), issuedLength(t, file); got != want {
				t.Errorf("a policy that issues the events: got %d characters, want %d", got, want)
			}
		})
	}
}

func claimsOf(t *testing.T, file string) map[string]any {
	t.Helper()
	var list []struct {
		Type  string
		Value any
	}
	vectortest.ReadJSON(t, file, &list)
	claims := map[string]any{}
	for _, c := range list {
		claims[c.Type] = c.Value
	}
	return claims
}

// issuedLength is the length of the claim that a policy makes which issues all events.
func issuedLength(t *testing.T, file string) int {
	t.Helper()
	var expected map[string]map[string]map[string]json.RawMessage
	vectortest.ReadJSON(t, "policies/expected-on-real-windows-logs.json", &expected)
	var out struct{ Length int }
	log := strings.TrimSuffix(filepath.Base(file), ".claims.json")
	if err := json.Unmarshal(expected["tpm-v12-issue-all-events.txt"][log]["outputEvents"], &out); err != nil {
		t.Fatal(err)
	}
	return out.Length
}

// same compares long texts and shows where they part.
func same(t *testing.T, name, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	from := max(0, i-80)
	t.Errorf("%s differ at %d:\ngot  %.200s\nwant %.200s", name, i, got[from:], want[from:])
}

// What the sample policies say of the same logs (vectors/policies/expected-on-real-windows-logs.json).
func TestFactsOfRealWindowsLogs(t *testing.T) {
	_, logs := windowsLogs(t)
	for _, name := range logs {
		l := parseFile(t, name)
		b, err := measured.Verify([]measured.Log{{TCG: l}}, quoteReplay(t, tpm.SHA1, 24, l), strict())
		if err != nil {
			t.Fatal(err)
		}
		got := b.Facts()
		got.VBSEnabled, got.IOMMUEnabled = false, false
		want := measured.Facts{SecureBootEnabled: true, BootDebuggingDisabled: true, NotSafeMode: true, NotWinPE: true}
		if got != want {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}
