package verifier

import (
	"crypto/sha256"
	"reflect"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/policy"
	"github.com/assay-attestation/assay/result"
)

// copies issues every claim it sees under its own name.
const copies = `version= 1.1;configurationrules{};authorizationrules{=> permit();};issuancerules{c:[type!=""] => issue(claim=c);};`

// TestIncomingIsWhatThePolicySeesInTheService has a policy tell what it saw in an appraisal, and compares that with what
// Incoming makes of the same evidence.
func TestIncomingIsWhatThePolicySeesInTheService(t *testing.T) {
	for name, data := range map[string]*Data{
		"no runtime data": nil, "binary": {Bytes: []byte("x")}, "JSON": {Bytes: []byte(`{"a":1}`), JSON: true},
	} {
		b := newBench(t, copies)
		if data != nil {
			digest := sha256.Sum256(data.Bytes)
			copy(b.desk.scenario.Enclave.ReportData[:], digest[:])
			b.request.Evidence, _ = b.desk.scenario.Quote()
			b.request.RuntimeData = data
		}
		permit, err := b.Appraise(t.Context(), b.request)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		seen := permit.Claims()[claimPolicy].(result.Claims)
		got := result.Claims{}
		for _, c := range b.incoming(t) {
			if c.Issuer != policy.AttestationService {
				t.Errorf("%s: %v, want the service as the issuer", name, c)
			}
			got[c.Type] = c.Value.Any()
		}
		if !reflect.DeepEqual(got, seen) {
			t.Errorf("%s: got %v, the service's policy saw %v", name, got, seen)
		}
		_, hasData := got["maa-ehd"]
		if hasData != (name == "binary") || got[claimPolicyHash] != policy.Hash([]byte(copies)) {
			t.Errorf("%s: claims %v", name, got)
		}
	}
}

// incoming verifies the evidence of the request without the pipeline, as a command does.
func (b *bench) incoming(t *testing.T) []policy.Claim {
	t.Helper()
	p := b.cfg.Policies[evidence.SgxEnclave]
	c, err := p.Configure("SgxEnclave")
	if err != nil {
		t.Fatal(err)
	}
	verified, err := b.verify(t.Context(), b.request, c.TCBBaseline())
	if err != nil {
		t.Fatal(err)
	}
	claims, err := Incoming(p, c, verified, b.request.RuntimeData)
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestIncomingRefusesRuntimeDataThatIsNotTheJSONItIsSaidToBe(t *testing.T) {
	p, err := policy.Parse([]byte(copies))
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, copies)
	verified, err := b.verify(t.Context(), b.request, "azuredefault")
	if err != nil {
		t.Fatal(err)
	}
	data := &Data{Bytes: []byte("{"), JSON: true}
	if _, err := Incoming(p, &policy.Configuration{}, verified, data); !check(evidence.RuntimeData)(err) {
		t.Errorf("%v, want a refusal by the check runtime-data", err)
	}
}
