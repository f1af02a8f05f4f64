package verifier

import (
	"context"
	"crypto/sha256"
	"slices"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/internal/explain"
	"github.com/assay-attestation/assay/policy"
)

// jsonData is data that fits runtime and init data of any evidence.
const jsonData = `{"a":1}`

// newDomainBench is a verifier and a sound request of a TD with runtime data.
func newDomainBench(t *testing.T, edits ...func(*assaytest.Scenario)) *bench {
	t.Helper()
	b := newBench(t, permits)
	b.desk.scenario = b.desk.scenario.Attester.TDXScenario(b.request.At)
	sum := sha256.Sum256([]byte(jsonData))
	copy(b.desk.scenario.TD.ReportData[:], sum[:])
	for _, edit := range edits {
		edit(b.desk.scenario)
	}
	quote, err := b.desk.scenario.Quote()
	if err != nil {
		t.Fatal(err)
	}
	b.cfg.Policies[evidence.TdxVM] = b.cfg.Policies[evidence.SgxEnclave]
	nonce := "n"
	b.request = Request{
		Type: evidence.TdxVM, Evidence: quote, At: b.request.At, RuntimeData: &Data{Bytes: []byte(jsonData), JSON: true}, Nonce: &nonce, Record: &explain.Record{},
	}
	return b
}

// newGuestBench is a verifier and a sound request of a SEV-SNP guest with runtime and init data.
func newGuestBench(t *testing.T, edits ...func(*assaytest.AMDScenario)) *bench {
	t.Helper()
	b, amd := newBench(t, permits), newAMDBench(t)
	sum := sha256.Sum256([]byte(jsonData))
	copy(amd.scenario.Guest.ReportData[:], sum[:])
	copy(amd.scenario.Guest.HostData[:], sum[:])
	for _, edit := range edits {
		edit(amd.scenario)
	}
	document, err := amd.scenario.Evidence()
	if err != nil {
		t.Fatal(err)
	}
	b.cfg.SNP.Signers = NewSigners(amd.roots)
	b.cfg.Policies[evidence.SevSnpVM] = b.cfg.Policies[evidence.SgxEnclave]
	nonce, data := "n", &Data{Bytes: []byte(jsonData), JSON: true}
	b.request = Request{
		Type: evidence.SevSnpVM, Evidence: document, At: amd.at, RuntimeData: data, InitData: data, Nonce: &nonce, Record: &explain.Record{},
	}
	return b
}

// seen appraises the request of b and gives the claims that the policy saw.
func (b *bench) seen(t *testing.T) []policy.Claim {
	t.Helper()
	if _, err := b.Appraise(t.Context(), b.request); err != nil {
		t.Fatal(err)
	}
	return b.request.Record.Claims
}

// TestPoliciesOfGuestsMeetTheClaimsOfTheCatalogue: what the catalogue of package policy says of SEV-SNP and TDX is what this package makes,
// but for claims that only some evidence has.
func TestPoliciesOfGuestsMeetTheClaimsOfTheCatalogue(t *testing.T) {
	for kind, made := range map[string][]policy.Claim{"SevSnpVm": newGuestBench(t).seen(t), "TdxVm": newDomainBench(t).seen(t)} {
		known := policy.Claims(kind)
		for _, c := range made {
			if !slices.ContainsFunc(known, func(info policy.ClaimInfo) bool {
				return info.Name == c.Type && info.Kind == c.Value.Kind() && info.Issuer == c.Issuer
			}) {
				t.Errorf("%s: the catalogue lacks %v", kind, c)
			}
		}
		for _, info := range known {
			has := slices.ContainsFunc(made, func(c policy.Claim) bool { return c.Type == info.Name })
			if !has && !info.Optional {
				t.Errorf("%s: nobody makes %s", kind, info.Name)
			}
		}
	}
}

// TestPoliciesOfGuestsSeeTheirData: runtime and init data as their JSON text, and the status that an endorsement earns.
func TestPoliciesOfGuestsSeeTheirData(t *testing.T) {
	made := newGuestBench(t).seen(t)
	for _, name := range []string{"x-ms-runtime", "x-ms-inittime"} {
		if !slices.Contains(made, policy.Claim{Type: name, Value: policy.StringValue(jsonData), Issuer: policy.AttestationService}) {
			t.Errorf("no %s in %v", name, made)
		}
	}
	s := OfGuest(&snp.Verified{Report: &snp.Report{}, Signer: &snp.Signer{}}, "azure-compliant-uvm")
	if !slices.Contains(s.claims, evidence.Claim{Name: "x-ms-compliance-status", Value: "azure-compliant-uvm"}) {
		t.Errorf("claims %v", s.claims)
	}
}

// TestDebuggableGuestsAndDomains: refuse_debuggable, by itself and by strict, and neither.
func TestDebuggableGuestsAndDomains(t *testing.T) {
	for name, make := range map[string]func() *bench{
		"TD": func() *bench { return newDomainBench(t, func(s *assaytest.Scenario) { s.TD.Attributes[0] |= 1 }) },
		"guest": func() *bench {
			return newGuestBench(t, func(s *assaytest.AMDScenario) { s.Guest.Policy = assaytest.UsualSNPPolicy | assaytest.SNPDebugAllowed })
		},
	} {
		for _, set := range []Baseline{{}, {RefuseDebuggable: true}, {Strict: true}} {
			b := make()
			b.cfg.Baseline = set
			_, err := b.Appraise(t.Context(), b.request)
			if refuses := set.RefuseDebuggable || set.Strict; refuses != check(evidence.Debuggable)(err) || !refuses && err != nil {
				t.Errorf("%s, %+v: %v", name, set, err)
			}
		}
	}
}

// TestListsThatCannotBeUsedStopGuestsOnly: an enclave of the same provider is judged.
func TestListsThatCannotBeUsedStopGuestsOnly(t *testing.T) {
	b := newGuestBench(t)
	b.cfg.SNP.Unusable = evidence.Refuse(evidence.CRLSignature, "x").Blame(evidence.OfEndorsement)
	if _, err := b.Appraise(t.Context(), b.request); !check(evidence.CRLSignature)(err) {
		t.Errorf("got %v", err)
	}
	enclave := newBench(t, permits)
	enclave.cfg.SNP = b.cfg.SNP
	if _, err := enclave.Appraise(t.Context(), enclave.request); err != nil {
		t.Error(err)
	}
}

// TestAReportOfAVersionThatIsNotReadAsksNobody: the answer would not change it.
func TestAReportOfAVersionThatIsNotReadAsksNobody(t *testing.T) {
	b := newGuestBench(t)
	e, err := snp.Parse(b.request.Evidence)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	b.cfg.SNP.Chains = func(context.Context, *snp.Report) (*snp.Chain, error) { asked++; return e.Chain, nil }
	b.cfg.Baseline.SNP.FetchChains = true
	alone := &snp.Evidence{Report: e.Report}
	if _, err := b.signer(t.Context(), alone, snp.Options{At: b.request.At}); err != nil || asked != 1 {
		t.Fatalf("asked %d times, %v", asked, err)
	}
	opt := snp.Options{At: b.request.At, MinVersion: e.Report.Version + 1}
	if _, err := b.signer(t.Context(), alone, opt); !check(evidence.SNPFormat)(err) || asked != 1 {
		t.Errorf("asked %d times, %v", asked, err)
	}
}
