package verifier

import (
	"crypto/sha256"
	"slices"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/explain"
	"github.com/assay-attestation/assay/policy"
)

// TestIncomingIsWhatThePolicySeesInTheService compares what Incoming makes of evidence with the claims that the record of
// an appraisal says the policy saw.
func TestIncomingIsWhatThePolicySeesInTheService(t *testing.T) {
	for name, data := range map[string]*Data{
		"no runtime data": nil, "binary": {Bytes: []byte("x")}, "JSON": {Bytes: []byte(`{"a":1}`), JSON: true},
	} {
		b := newBench(t, names17)
		b.request.Record = &explain.Record{}
		if data != nil {
			digest := sha256.Sum256(data.Bytes)
			copy(b.desk.scenario.Enclave.ReportData[:], digest[:])
			b.request.Evidence, _ = b.desk.scenario.Quote()
			b.request.RuntimeData = data
		}
		if _, err := b.Appraise(t.Context(), b.request); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p, configuration, verified := b.verified(t)
		got, err := Incoming(p, configuration, verified, data)
		if err != nil || !slices.Equal(got, b.request.Record.Claims) {
			t.Errorf("%s: got %v (%v), the service's policy saw %v", name, got, err, b.request.Record.Claims)
		}
		hasData := slices.ContainsFunc(got, func(c policy.Claim) bool { return c.Type == "maa-ehd" })
		if hasData != (name == "binary") || len(got) < 14 {
			t.Errorf("%s: claims %v", name, got)
		}
	}
}

// verified verifies the evidence of the request without the pipeline, as a command does.
func (b *bench) verified(t *testing.T) (*policy.Policy, *policy.Configuration, *Subject) {
	t.Helper()
	p := b.cfg.Policies[evidence.SgxEnclave].Policy
	c, err := p.Configure("SgxEnclave", policy.Budget{})
	if err != nil {
		t.Fatal(err)
	}
	r := b.request
	r.Record = &explain.Record{}
	verified, err := b.verify(t.Context(), r, c.TCBBaseline())
	if err != nil {
		t.Fatal(err)
	}
	return p, c, verified
}

func TestIncomingRefusesRuntimeDataThatIsNotTheJSONItIsSaidToBe(t *testing.T) {
	p, c, verified := newBench(t, permits).verified(t)
	data := &Data{Bytes: []byte("{"), JSON: true}
	if _, err := Incoming(p, c, verified, data); !check(evidence.RuntimeData)(err) {
		t.Errorf("%v, want a refusal by the check runtime-data", err)
	}
}
