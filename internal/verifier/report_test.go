package verifier

import (
	"cmp"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/attreq"
	"github.com/assay-attestation/assay/internal/explain"
	"github.com/assay-attestation/assay/policy"
)

var tpmChallenge = []byte("0123456789abcdef")

// tpmBench is a verifier that trusts the simulated maker of TPMs and knows one challenge.
func tpmBench(t *testing.T, text string) *Verifier {
	t.Helper()
	root, err := assaytest.WellKnownTPMVendor().CertificatePEM(assaytest.AIKRoot)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(root)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	seats := NewSeats(0)
	return New(Config{
		TPM: TPM{
			Challenge: func(context, provider string, now time.Time) ([]byte, error) {
				if context != "ctx" || provider != "p" || now.IsZero() {
					return nil, errors.New("unknown")
				}
				return tpmChallenge, nil
			},
			Roots: tpm.NewRoots([]tpm.Root{{Certificate: cert}}, nil), Limits: attreq.DefaultLimits(), Validity: time.Hour, Longest: 100 * time.Hour,
		},
		Policies: map[evidence.Type]Policy{evidence.Tpm: parsed(text)}, Seats: seats, Share: seats.NewShare(),
	})
}

// tpmRequest is a request with everything in it: an enclave, other keys, a resume, and claims of the client, "aas-ehd" unless named.
func tpmRequest(t *testing.T, claims ...string) ReportRequest {
	t.Helper()
	boot := assaytest.TPMBoot{Windows: true, SecureBoot: true, BootCounter: 7}
	sc, err := assaytest.WellKnownTPMVendor().BootScenario(boot)
	if err != nil {
		t.Fatal(err)
	}
	resumed, err := boot.Log(assaytest.WellKnownTPMVendor())
	if err != nil {
		t.Fatal(err)
	}
	sc.Hibernate(resumed)
	sc.VBS, sc.OtherKeys = true, []assaytest.TPMOtherKey{{Certified: true}}
	for _, name := range slices.Compact(append(claims, "aas-ehd")) {
		sc.CustomClaims = append(sc.CustomClaims, assaytest.TPMCustomClaim{Name: name, Value: `"x"`})
	}
	jws, err := sc.Request(tpmChallenge, "ctx")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	return ReportRequest{JWS: jws, ProviderID: "p", Now: now, At: now, Record: &explain.Record{Type: evidence.Tpm}}
}

const (
	asksForFewPCRs = `version= 1.2;configurationrules{=> issueproperty(type="required_pcr_mask", value=32767);};authorizationrules{=> permit();};issuancerules{`
	permitsTPM     = asksForFewPCRs + `};`
)

// TestTPMPoliciesMeetTheClaimsOfTheCatalogue: what the catalogue of package policy says of Tpm is what this package makes.
func TestTPMPoliciesMeetTheClaimsOfTheCatalogue(t *testing.T) {
	r := tpmRequest(t)
	v := tpmBench(t, permitsTPM)
	v.cfg.References = references(t, `n {"type":"Tpm","minimums":{"tpmVersion":2}}`)
	if _, err := v.AppraiseReport(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	known := policy.Claims("Tpm")
	for _, c := range r.Record.Claims {
		if !slices.ContainsFunc(known, func(info policy.ClaimInfo) bool {
			return info.Name == c.Type && info.Kind == c.Value.Kind() && info.Issuer == cmp.Or(c.Issuer, policy.AttestationService)
		}) {
			t.Errorf("the catalogue lacks %v", c)
		}
	}
	for _, info := range known {
		if !slices.ContainsFunc(r.Record.Claims, func(c policy.Claim) bool { return c.Type == info.Name }) {
			t.Errorf("%s of the catalogue is not made", info.Name)
		}
	}
	if len(r.Record.Claims) != len(known) {
		t.Errorf("%d claims are made, and the catalogue has %d", len(r.Record.Claims), len(known))
	}
}

// TestClientsCannotSpeakForTheService: a condition without an issuer must not meet a client's claim in place of the service's.
func TestClientsCannotSpeakForTheService(t *testing.T) {
	const policyText = asksForFewPCRs + `c:[issuer=="CustomClaim"] => issue(claim=c);};`
	for name, refused := range map[string]bool{"secureBootEnabled": true, "SECUREBOOTENABLED": true, "bootEvents": true, "x-ms-ver": true, "aas-ehd": false,
		"ASSAY-Reference": true, "assay-REFERENCE-anything": true, "secureboot": false} {
		v, r := tpmBench(t, policyText), tpmRequest(t, name)
		_, err := v.AppraiseReport(t.Context(), r)
		if check(evidence.TPMRequest)(err) != refused || !refused && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		v.cfg.Baseline.TPM.ClaimPrefix = "client/"
		if _, err := v.AppraiseReport(t.Context(), r); err != nil {
			t.Errorf("%s with a prefix: %v", name, err)
		}
		v.cfg.Baseline.TPM.ClaimPrefix = "Assay-reference-"
		if _, err := v.AppraiseReport(t.Context(), r); !check(evidence.TPMRequest)(err) {
			t.Errorf("%s with a prefix of reference values: %v", name, err)
		}
	}
}

// TestChecksOfAReportAreRecordedInOrder for whoever asks why.
func TestChecksOfAReportAreRecordedInOrder(t *testing.T) {
	r := tpmRequest(t)
	if _, err := tpmBench(t, permitsTPM).AppraiseReport(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	var passed []evidence.Check
	for _, e := range r.Record.Checks.Entries {
		if e.Outcome == evidence.Pass && !slices.Contains(passed, e.Name) {
			passed = append(passed, e.Name)
		}
	}
	at := -1
	for _, check := range []evidence.Check{
		evidence.TPMRequest, evidence.TPMRequestKey, evidence.TPMChallenge, evidence.AIKCertificate, evidence.AttestSignature, evidence.BootAttestation,
		evidence.CertifiedKey, evidence.VBSFormat, evidence.VBSSignature, evidence.VBSBinding,
	} {
		if i := slices.Index(passed, check); i <= at {
			t.Errorf("%s is missing or too early in %v", check, passed)
		} else {
			at = i
		}
	}
}

// TestValidityOfReports is what the policy says, or the limit; it is cut where keys cannot stay listed so long.
func TestValidityOfReports(t *testing.T) {
	r := tpmRequest(t)
	for rules, want := range map[string]time.Duration{
		``: time.Hour,
		`=> issueproperty(type="report_validity_in_minutes", value=5);`:     5 * time.Minute,
		`=> issueproperty(type="report_validity_in_minutes", value=90000);`: 100 * time.Hour,
	} {
		p, err := tpmBench(t, asksForFewPCRs+rules+"};").AppraiseReport(t.Context(), r)
		if err != nil || p.Validity() != want || p.OmitChain() {
			t.Errorf("%q: %v, want %v", rules, err, want)
		}
	}
}

// TestConfigurationIsRunBeforeTheEvidenceIsJudged: its fault is told, and not the one of the evidence.
func TestConfigurationIsRunBeforeTheEvidenceIsJudged(t *testing.T) {
	sc := assaytest.WellKnownTPMVendor().Scenario() // no log
	sc.Edit.Signer = func(p assaytest.TPMPart, key crypto.Signer) crypto.Signer {
		if p == assaytest.TPMQuote {
			return sc.Vendor.Key(assaytest.OtherKey, assaytest.RSA2048)
		}
		return key
	}
	jws, err := sc.Request(tpmChallenge, "ctx")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	_, err = tpmBench(t, `version= 1.2;configurationrules{=> issueproperty(type="required_pcr_mask", value=-1);};authorizationrules{=> permit();};issuancerules{};`).
		AppraiseReport(t.Context(), ReportRequest{JWS: jws, ProviderID: "p", Now: now, At: now})
	if _, ok := errors.AsType[*policy.EvaluationError](err); !ok {
		t.Errorf("got %v", err)
	}
	_, err = tpmBench(t, permitsTPM).AppraiseReport(t.Context(), ReportRequest{JWS: jws, ProviderID: "p", Now: now, At: now})
	if r, ok := errors.AsType[*evidence.Refusal](err); !ok || r.Check != evidence.AttestSignature {
		t.Errorf("got %v", err)
	}
}
