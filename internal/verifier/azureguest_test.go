package verifier

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/attreq"
	"github.com/assay-attestation/assay/internal/explain"
	"github.com/assay-attestation/assay/internal/strictjson"
	"github.com/assay-attestation/assay/policy"
)

// newAzureBench is a verifier that trusts the simulated vendors, and a sound request of an Azure guest but for the edits.
func newAzureBench(t *testing.T, isolation assaytest.AzureIsolation, edits ...func(*assaytest.AzureScenario)) (*bench, *assaytest.AzureScenario) {
	t.Helper()
	b := newBench(t, permits)
	host := assaytest.WellKnownAzureHost(isolation, b.request.At)
	sc := host.Scenario()
	for _, edit := range edits {
		edit(sc)
	}
	info, err := sc.AttestationInfo()
	if err != nil {
		t.Fatal(err)
	}
	amd, err := snp.NewRoots(certificateOf(t, host.AMDRoot).Raw)
	if err != nil {
		t.Fatal(err)
	}
	intel, err := dcap.NewRoots(certificateOf(t, host.IntelRoot).Raw)
	if err != nil {
		t.Fatal(err)
	}
	b.desk.dcap, b.desk.scenario = dcap.NewVerifier(intel), sc.Host.TDX
	b.cfg.DCAP, b.cfg.SNP.Signers = b.desk.dcap, NewSigners(amd)
	root := tpm.Root{Certificate: certificateOf(t, host.AKRoot)}
	b.cfg.TPM = TPM{Roots: tpm.NewRoots([]tpm.Root{root}, []*x509.Certificate{certificateOf(t, host.AKIntermediate)}), Limits: attreq.DefaultLimits()}
	b.cfg.Policies[evidence.AzureGuest] = b.cfg.Policies[evidence.SgxEnclave]
	b.request = Request{Type: evidence.AzureGuest, Evidence: info, At: b.request.At, Record: &explain.Record{}}
	return b, sc
}

// certificateOf reads the certificate in PEM that a vendor gives.
func certificateOf(t *testing.T, give func() ([]byte, error)) *x509.Certificate {
	t.Helper()
	text, err := give()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func windowsGuest(s *assaytest.AzureScenario) { boot := assaytest.SoundAzureBoot(true); s.Boot = &boot }
func protocol3(s *assaytest.AzureScenario)    { s.Version = "3.0" }

// TestPoliciesOfAzureGuestsMeetTheClaimsOfTheCatalogue: what the catalogue of package policy says of Azure guests is what this package makes, but for
// claims that only some evidence has. Arrays are several claims of one type (policy.md section 8).
func TestPoliciesOfAzureGuestsMeetTheClaimsOfTheCatalogue(t *testing.T) {
	known := policy.Claims("AzureGuest")
	for _, isolation := range assaytest.AzureIsolations() {
		b, _ := newAzureBench(t, isolation, windowsGuest, protocol3)
		made := b.seen(t)
		for _, c := range made {
			if !slices.ContainsFunc(known, func(info policy.ClaimInfo) bool {
				return info.Name == c.Type && info.Kind == c.Value.Kind() && info.Issuer == c.Issuer
			}) {
				t.Errorf("%s: the catalogue lacks %v", isolation, c)
			}
		}
		for _, info := range known {
			n := 0
			for _, c := range made {
				if c.Type == info.Name {
					n++
				}
			}
			if n == 0 && !info.Optional && info.Issuer == policy.AttestationService || n > 1 != info.Several && n > 0 {
				t.Errorf("%s: %d claims %s", isolation, n, info.Name)
			}
		}
	}
}

// nested gives the members of the object of the hardware report.
func nested(t *testing.T, p *Permit) map[string]jsontext.Value {
	t.Helper()
	text, ok := p.Claims()["x-ms-isolation-tee"].(jsontext.Value)
	if !ok {
		return nil
	}
	return membersOf(t, text)
}

// TestPermitsOfAzureGuests: what each isolation gives: the object, its type, newer claims, the recipient, arrays as they are.
func TestPermitsOfAzureGuests(t *testing.T) {
	for isolation, want := range map[assaytest.AzureIsolation]string{
		assaytest.AzureSevSnp: `"sevsnpvm"`, assaytest.AzureTdx: `"tdxvm"`, assaytest.AzureTrustedLaunch: "",
	} {
		for _, version := range []string{"2.0", "3.0"} {
			b, sc := newAzureBench(t, isolation, func(s *assaytest.AzureScenario) { s.Version = version })
			p, err := b.Appraise(t.Context(), b.request)
			if err != nil {
				t.Fatalf("%s: %v", isolation, err)
			}
			tee := nested(t, p)
			if string(tee["x-ms-attestation-type"]) != want || (tee["x-ms-runtime"] != nil) != (want != "") {
				t.Errorf("%s: object %s", isolation, tee)
			}
			if newer := tee["x-ms-sevsnpvm-page-swap-disabled"] != nil; newer != (isolation == assaytest.AzureSevSnp && version == "3.0") {
				t.Errorf("%s, %s: newer claims %t", isolation, version, newer)
			}
			if !p.Recipient().Equal(&sc.SealingKey().PublicKey) {
				t.Errorf("%s: another recipient", isolation)
			}
			if pcrs, ok := p.Claims()["x-ms-azurevm-attested-pcrs"].([]int64); !ok || !slices.Equal(pcrs, []int64{0, 1, 2, 3, 4, 5, 6, 7}) {
				t.Errorf("%s: PCRs %v", isolation, p.Claims()["x-ms-azurevm-attested-pcrs"])
			}
		}
	}
}

// TestRehearsalsOfAzureGuestsHaveTheRecipientToo: nobody else may read the token of a draft.
func TestRehearsalsOfAzureGuestsHaveTheRecipientToo(t *testing.T) {
	b, sc := newAzureBench(t, assaytest.AzureTrustedLaunch)
	r, err := b.Rehearse(t.Context(), b.request, []byte(permits))
	if err != nil || !r.Recipient().Equal(&sc.SealingKey().PublicKey) {
		t.Errorf("got %v, %v", r, err)
	}
	if _, err := b.Rehearse(t.Context(), b.request, []byte(denies)); err == nil {
		t.Error("a draft that denies is permitted")
	}
	enclave := newBench(t, permits)
	if p, err := enclave.Appraise(t.Context(), enclave.request); err != nil || p.Recipient() != nil {
		t.Errorf("an enclave's permit is for %v, %v", p.Recipient(), err)
	}
}

// TestIntelsCollateralCountsForAzureGuests: the standing of the platform decides, and is told to the policy.
func TestIntelsCollateralCountsForAzureGuests(t *testing.T) {
	b, _ := newAzureBench(t, assaytest.AzureTdx)
	if made := b.seen(t); !slices.Contains(made, policy.Claim{Type: claimExpired, Value: policy.BooleanValue(false), Issuer: policy.AttestationService}) {
		t.Errorf("no %s in %v", claimExpired, made)
	}
	b.cfg.Baseline.MinEvaluationNumber = 1 << 30
	if _, err := b.Appraise(t.Context(), b.request); !check(evidence.TCBBaseline)(err) {
		t.Errorf("got %v", err)
	}
	if len(b.desk.baselines) != 2 || b.desk.baselines[0] != "azuredefault" {
		t.Errorf("asked for %v", b.desk.baselines)
	}
}

// TestListsThatCannotBeUsedStopAzureGuestsOfSEVSNPOnly: one of TDX has none.
func TestListsThatCannotBeUsedStopAzureGuestsOfSEVSNPOnly(t *testing.T) {
	for _, isolation := range assaytest.AzureIsolations() {
		b, _ := newAzureBench(t, isolation)
		b.cfg.SNP.Unusable = evidence.Refuse(evidence.CRLSignature, "x").Blame(evidence.OfEndorsement)
		_, err := b.Appraise(t.Context(), b.request)
		if stopped := isolation == assaytest.AzureSevSnp; stopped != check(evidence.CRLSignature)(err) || !stopped && err != nil {
			t.Errorf("%s: %v", isolation, err)
		}
	}
}

// TestFaultsBetweenTheRungsOfAnAzureGuestAreRefused: isolation, hardware report and runtime data, each for its own check. Package assaytest has the faults of a
// vTPM judged, which one package does all of.
func TestFaultsBetweenTheRungsOfAnAzureGuestAreRefused(t *testing.T) {
	sound, _ := newAzureBench(t, assaytest.AzureSevSnp)
	host := assaytest.WellKnownAzureHost(assaytest.AzureSevSnp, sound.request.At)
	rungs := regexp.MustCompile(`^(isolation-|runtime-|snp-not-|tdx-quote-)`)
	for _, f := range assaytest.AzureFaults() {
		if !rungs.MatchString(f.Name) {
			continue
		}
		broken := f.Broken(host)
		info, err := broken.AttestationInfo()
		if err != nil {
			t.Fatal(err)
		}
		sound.desk.scenario = broken.Host.TDX
		sound.request.Evidence, sound.request.Record = info, &explain.Record{}
		_, err = sound.Appraise(t.Context(), sound.request)
		if !slices.ContainsFunc(f.Checks, func(want evidence.Check) bool { return check(want)(err) }) {
			t.Errorf("%s: %v, want %v", f.Name, err, f.Checks)
		}
		if entries := sound.request.Record.Checks.Entries; len(entries) == 0 || entries[len(entries)-1].Outcome != evidence.Fail {
			t.Errorf("%s: the record does not end with the check that failed: %v", f.Name, entries)
		}
	}
}

// TestDemandsOnAzureGuests: strict turns on what only closes, and off what only opens.
func TestDemandsOnAzureGuests(t *testing.T) {
	for _, tt := range []struct {
		b                                Baseline
		nonce, chain, strict, withoutRec bool
	}{
		{Baseline{}, false, false, false, false},
		{Baseline{Azure: AzureDemands{RequireNonce: true}}, true, false, false, false},
		{Baseline{Azure: AzureDemands{RequireChain: true}}, false, true, false, false},
		{Baseline{TPM: TPMDemands{WithoutAuthority: true}}, false, false, false, true},
		{Baseline{Strict: true, TPM: TPMDemands{WithoutAuthority: true}}, false, false, true, false},
		{Baseline{Strict: true, Azure: AzureDemands{RequireNonce: true}}, true, false, true, false},
	} {
		b := newBench(t, permits)
		b.cfg.Baseline = tt.b
		in := b.azureInput(Request{At: b.request.At, Record: &explain.Record{}})
		if in.RequireNonce != tt.nonce || in.RequireChain != tt.chain || in.Strict != tt.strict || in.WithoutAuthority != tt.withoutRec || !in.At.Equal(b.request.At) {
			t.Errorf("%+v: %+v", tt.b, in)
		}
	}
}

// subjectOf verifies the request of b without a policy.
func subjectOf(t *testing.T, b *bench) *Subject {
	t.Helper()
	s, err := b.verify(t.Context(), b.request, "azuredefault")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestReferenceValuesMayNameWhatStandsInObjects: claims of the hardware report under dotted names, and quoted PCRs in hex.
func TestReferenceValuesMayNameWhatStandsInObjects(t *testing.T) {
	b, _ := newAzureBench(t, assaytest.AzureSevSnp)
	facts := map[string]any{}
	for _, f := range subjectOf(t, b).facts {
		facts[f.Name] = f.Value
	}
	measurement, _ := facts["x-ms-isolation-tee.x-ms-sevsnpvm-launchmeasurement"].(string)
	if len(measurement) != 96 || facts["x-ms-isolation-tee.x-ms-sevsnpvm-vmpl"] != int64(0) {
		t.Errorf("facts %v", facts)
	}
	for n := range 24 {
		value, there := facts[fmt.Sprintf("pcr-sha256-%d", n)].(string)
		if there != (n <= 7) || there && (len(value) != 64 || strings.ToLower(value) != value) {
			t.Errorf("PCR %d: %q", n, value)
		}
	}
	launch, _ := newAzureBench(t, assaytest.AzureTrustedLaunch)
	for _, f := range subjectOf(t, launch).facts {
		if strings.HasPrefix(f.Name, "x-ms-isolation-tee") {
			t.Errorf("trusted launch has %s", f.Name)
		}
	}
}

// TestAComplianceStatusStandsInTheObject: with the claims of the report, once, and nowhere for trusted launch.
func TestAComplianceStatusStandsInTheObject(t *testing.T) {
	b, _ := newAzureBench(t, assaytest.AzureSevSnp)
	s := subjectOf(t, b)
	for _, status := range []string{"azure-compliant-cvm", "another"} {
		if err := s.comply(status); err != nil {
			t.Fatal(err)
		}
	}
	claims := serviceClaims(s, nil, "", parsed(permits))
	for _, c := range claims {
		switch c.Name {
		case "x-ms-compliance-status":
			t.Error("it stands at top level")
		case "x-ms-isolation-tee":
			if got := string(membersOf(t, c.Value.(jsontext.Value))["x-ms-compliance-status"]); got != `"azure-compliant-cvm"` {
				t.Errorf("got %s", got)
			}
		}
	}
	launch, _ := newAzureBench(t, assaytest.AzureTrustedLaunch)
	if s := subjectOf(t, launch); s.comply != nil || s.object != nil {
		t.Error("trusted launch has a hardware report")
	}
}

// TestAComplianceStatusThatIsNoTextIsAnError: what cannot be written ends the appraisal, and nothing else.
func TestAComplianceStatusThatIsNoTextIsAnError(t *testing.T) {
	b, _ := newAzureBench(t, assaytest.AzureSevSnp)
	if err := subjectOf(t, b).comply("a\xFFb"); err == nil || !strings.Contains(err.Error(), "x-ms-isolation-tee") {
		t.Errorf("got %v", err)
	}
}

// TestDebuggableAzureGuests: refuse_debuggable looks at the hardware report, of both makers.
func TestDebuggableAzureGuests(t *testing.T) {
	for isolation, edit := range map[assaytest.AzureIsolation]func(*assaytest.AzureScenario){
		assaytest.AzureSevSnp: func(s *assaytest.AzureScenario) {
			s.Host.SNP.Guest.Policy = assaytest.UsualSNPPolicy | assaytest.SNPDebugAllowed
		},
		assaytest.AzureTdx: func(s *assaytest.AzureScenario) { s.Host.TDX.TD.Attributes[0] |= 1 },
	} {
		for _, set := range []Baseline{{}, {RefuseDebuggable: true}} {
			b, _ := newAzureBench(t, isolation, edit)
			b.cfg.Baseline = set
			_, err := b.Appraise(t.Context(), b.request)
			if set.RefuseDebuggable != check(evidence.Debuggable)(err) || !set.RefuseDebuggable && err != nil {
				t.Errorf("%s, %+v: %v", isolation, set, err)
			}
		}
	}
}

// TestWhatIsNestedTooDeepDoesNotStandInATokenOfAGuest: each level of the token counts.
func TestWhatIsNestedTooDeepDoesNotStandInATokenOfAGuest(t *testing.T) {
	deep := func(n int) jsontext.Value { return jsontext.Value(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	for depth, fits := range map[int]bool{31: true, 32: false} {
		s := &Subject{claims: []evidence.Claim{{Name: "x-ms-runtime", Value: deep(depth)}}}
		if err := s.fits(); (err == nil) != fits || err != nil && !check(evidence.GuestRequest)(err) {
			t.Errorf("depth %d at top level: %v", depth, err)
		}
		s = &Subject{hardware: []evidence.Claim{{Name: "x-ms-runtime", Value: deep(depth - 1)}}}
		if err := s.fits(); (err == nil) != fits || err != nil && !check(evidence.GuestRequest)(err) {
			t.Errorf("depth %d in the object: %v", depth-1, err)
		}
	}
}

// membersOf reads an object.
func membersOf(t *testing.T, text jsontext.Value) map[string]jsontext.Value {
	t.Helper()
	members, err := strictjson.Members(text)
	if err != nil {
		t.Fatal(err)
	}
	return members
}
