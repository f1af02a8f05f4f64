package policy_test

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/jmespath-community/go-jmespath/pkg/api"

	"github.com/assay-attestation/assay/internal/jmespath"
	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/assay-attestation/assay/policy"
)

// BenchmarkRealLog evaluates the longest of the published 1.2 policies over the claims of real Windows boot logs, by turns with parts of
// it and with what nobody can do without: the JMESPath searches alone that it makes, compiled, and over documents that are read
// already; reading the JSON of the claim events; and hashing the log once. The lowest deciles are compared, in which other load shows least.
func BenchmarkRealLog(b *testing.B) {
	p, err := policy.Parse(readPolicy(b, "tpm-v12-safemode-winpe.txt"))
	if err != nil {
		b.Fatal(err)
	}
	for name, log := range map[string]string{
		"goattest-option-rom-windows-sha1": "tpm/eventlogs/goattest-option-rom-windows-sha1.bin",
		"windows_gcp_shielded_vm":          "tpm/windows/windows_gcp_shielded_vm.wbcl",
	} {
		b.Run(name, func(b *testing.B) {
			claims, err := policy.ParseClaims(vectortest.Read(b, "policies/events/"+name+".claims.json"))
			if err != nil {
				b.Fatal(err)
			}
			raw := vectortest.Read(b, log)
			evaluate := func() {
				if _, err := p.Evaluate(claims, policy.Budget{}); err != nil {
					b.Fatal(err)
				}
			}
			t := byTurns(b, evaluate, bareSearches(b, claims), reading(b, claims), func() { sha256.Sum256(raw) })
			b.ReportMetric(0, "ns/op") // all together mean nothing
			b.ReportMetric(float64(t[0].Microseconds()), "µs/policy")
			b.ReportMetric(testing.AllocsPerRun(5, evaluate), "allocs/policy")
			b.ReportMetric(float64(t[0])/float64(t[1]), "×searches")
			b.ReportMetric(100*float64(t[2])/float64(t[0]), "%reading")
			b.ReportMetric(float64(t[0])/float64(t[3]), "×hashing")
		})
	}
}

// byTurns gives the lowest decile of how long each function takes.
func byTurns(b *testing.B, functions ...func()) []time.Duration {
	times := make([][]time.Duration, len(functions))
	for b.Loop() {
		for i, f := range functions {
			start := time.Now()
			f()
			times[i] = append(times[i], time.Since(start))
		}
	}
	var lowest []time.Duration
	for _, t := range times {
		slices.Sort(t)
		lowest = append(lowest, t[len(t)/10])
	}
	return lowest
}

// eventsOf is the text of the claim events.
func eventsOf(b *testing.B, claims []policy.Claim) string {
	b.Helper()
	for _, c := range claims {
		if text, ok := c.Value.Text(); ok && c.Type == "events" {
			return text
		}
	}
	b.Fatal("no claim events")
	return ""
}

// reading returns the reading of the claim events as policies read it.
func reading(b *testing.B, claims []policy.Claim) func() {
	b.Helper()
	text := eventsOf(b, claims)
	const plenty = 1 << 30
	return func() {
		if _, err := jmespath.Parse(text, &jmespath.Meter{Steps: plenty, Strings: plenty, Values: plenty}); err != nil {
			b.Fatal(err)
		}
	}
}

// bareSearches returns the searches of tpm-v12-safemode-winpe.txt by the library alone.
func bareSearches(b *testing.B, claims []policy.Claim) func() {
	b.Helper()
	var events any
	if err := json.Unmarshal([]byte(eventsOf(b, claims)), &events); err != nil {
		b.Fatal(err)
	}
	compile := func(query string) api.JMESPath {
		q, err := api.Compile(query)
		if err != nil {
			b.Fatal(err)
		}
		return q
	}
	boundaries := compile("Events[? EventTypeString == 'EV_EVENT_TAG' && (PcrIndex == `12` || PcrIndex == `13` || PcrIndex == `19` || PcrIndex == `20`)].ProcessedData.EVENT_TRUSTBOUNDARY")
	rest := []api.JMESPath{compile("[*].EVENT_SAFEMODE"), compile("[*].EVENT_WINPE")}
	return func() {
		found, err := boundaries.Search(events)
		if err != nil {
			b.Fatal(err)
		}
		for _, q := range rest {
			if _, err := q.Search(found); err != nil {
				b.Fatal(err)
			}
		}
	}
}
