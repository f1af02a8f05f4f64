package policy_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/jmespath-community/go-jmespath/pkg/api"

	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/assay-attestation/assay/policy"
)

// BenchmarkRealLog evaluates the longest of the published 1.2 policies over the claims of a real Windows boot log, by turns
// with the JMESPath searches alone that it makes: compiled, and over documents that are read already.
func BenchmarkRealLog(b *testing.B) {
	claims, err := policy.ParseClaims(vectortest.Read(b, "policies/events/goattest-option-rom-windows-sha1.claims.json"))
	if err != nil {
		b.Fatal(err)
	}
	p, err := policy.Parse(readPolicy(b, "tpm-v12-safemode-winpe.txt"))
	if err != nil {
		b.Fatal(err)
	}
	searches := bareSearches(b, claims)
	var whole, bare time.Duration
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		if _, err := p.Evaluate(claims, policy.Budget{}); err != nil {
			b.Fatal(err)
		}
		middle := time.Now()
		searches()
		whole, bare = whole+middle.Sub(start), bare+time.Since(middle)
	}
	b.ReportMetric(float64(whole)/float64(bare), "×searches")
	b.ReportMetric(float64(whole.Microseconds())/float64(b.N), "µs/policy")
}

// bareSearches returns the searches of tpm-v12-safemode-winpe.txt by the library alone.
func bareSearches(b *testing.B, claims []policy.Claim) func() {
	b.Helper()
	var events any
	for _, c := range claims {
		if text, ok := c.Value.Text(); ok && c.Type == "events" {
			if err := json.Unmarshal([]byte(text), &events); err != nil {
				b.Fatal(err)
			}
		}
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
