package assaytest_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/sgx"
)

var now = time.Date(2030, 6, 15, 12, 0, 0, 0, time.UTC)

// trusting makes the product's verifier, which trusts intel alone.
func trusting(intel *assaytest.Intel) (*dcap.Verifier, error) {
	root, err := intel.RootPEM()
	if err != nil {
		return nil, err
	}
	roots, err := dcap.NewRoots(root)
	if err != nil {
		return nil, err
	}
	return dcap.NewVerifier(roots), nil
}

// judge verifies what the scenario makes with the product's verifier, which trusts intel alone.
func judge(intel *assaytest.Intel, s *assaytest.Scenario) (*sgx.Verified, error) {
	v, err := trusting(intel)
	if err != nil {
		return nil, err
	}
	quote, err := s.Quote()
	if err != nil {
		return nil, err
	}
	parse := sgx.Parse
	if s.Type() == evidence.OpenEnclave {
		parse = sgx.ParseOpenEnclave
	}
	e, err := parse(quote)
	if err != nil {
		return nil, err
	}
	origin, in, err := endorsed(v, e.Quote, s)
	if err != nil {
		return nil, err
	}
	return sgx.Verify(v, origin, e, in)
}

// endorsed traces the quote and loads the collateral of the scenario.
func endorsed(v *dcap.Verifier, q *dcap.Quote, s *assaytest.Scenario) (origin *dcap.Origin, in dcap.Input, err error) {
	if origin, err = v.Trace(q, s.At, nil); err != nil {
		return nil, in, err
	}
	raw, err := s.Collateral()
	if err != nil {
		return nil, in, err
	}
	in = dcap.Input{Options: dcap.Options{At: s.At}}
	in.Collateral, err = load(v, origin, raw)
	return origin, in, err
}

// load checks each document that is there.
func load(v *dcap.Verifier, o *dcap.Origin, raw assaytest.Collateral) (c dcap.Collateral, err error) {
	var errs [4]error
	if raw.TCBInfo != nil && raw.TCBInfoChain != nil {
		c.TCBInfo, errs[0] = v.TCBInfo(raw.TCBInfo, raw.TCBInfoChain)
	}
	if raw.QEIdentity != nil && raw.QEIdentityChain != nil {
		c.QEIdentity, errs[1] = v.QEIdentity(raw.QEIdentity, raw.QEIdentityChain)
	}
	if raw.PCKCRL != nil {
		c.PCKCRL, errs[2] = v.PCKCRL(raw.PCKCRL, o.CA())
	}
	if raw.RootCRL != nil {
		c.RootCRL, errs[3] = v.RootCRL(raw.RootCRL, o.Anchor())
	}
	return c, errors.Join(errs[:]...)
}

func TestSoundScenariosAreUpToDate(t *testing.T) {
	for _, intel := range []*assaytest.Intel{assaytest.NewIntel(), assaytest.WellKnownIntel()} {
		for name, s := range variants(intel) {
			t.Run(name, func(t *testing.T) {
				got, err := judge(intel, s)
				if err != nil {
					t.Fatal(err)
				}
				if got.Status != "UpToDate" {
					t.Errorf("status %s, want UpToDate", got.Status)
				}
			})
		}
	}
}

// variants are the sound forms of evidence and collateral.
func variants(intel *assaytest.Intel) map[string]*assaytest.Scenario {
	all := make(map[string]*assaytest.Scenario)
	for _, version := range []uint16{3, 4, 5} {
		for _, processor := range []bool{false, true} {
			for _, tcbInfo := range []int{2, 3} {
				s := intel.Scenario(now)
				s.QuoteVersion, s.TCBInfoVersion = version, tcbInfo
				if processor {
					s.UseProcessorCA()
				}
				all[fmt.Sprintf("v%d processor=%t tcbInfo=%d", version, processor, tcbInfo)] = s
			}
		}
	}
	oe := intel.Scenario(now)
	oe.OpenEnclave = true
	all["Open Enclave"] = oe
	return all
}

func TestEachFaultIsRefusedByItsCheck(t *testing.T) {
	intel := assaytest.NewIntel()
	names := make(map[string]bool)
	for _, f := range assaytest.Faults() {
		t.Run(f.Name, func(t *testing.T) {
			if names[f.Name] || f.What == "" || len(f.Checks) == 0 {
				t.Errorf("fault %+v: no unique name, or incomplete", f)
			}
			names[f.Name] = true
			s := intel.Scenario(now)
			f.Apply(s)
			_, err := judge(intel, s)
			refusal, ok := errors.AsType[*evidence.Refusal](err)
			if !ok || !slices.Contains(f.Checks, refusal.Check) {
				t.Errorf("%s: got %v, want a refusal by %v", f.What, err, f.Checks)
			}
		})
	}
}

// Without its hooks a scenario has to pass: then the fault lies in the hook, not in the form that it was put into.
func TestFaultsStandInSoundScenarios(t *testing.T) {
	intel := assaytest.NewIntel()
	for _, f := range assaytest.Faults() {
		t.Run(f.Name, func(t *testing.T) {
			broken := intel.Scenario(now)
			f.Apply(broken)
			sound := intel.Scenario(now)
			sound.QuoteVersion, sound.OpenEnclave = broken.QuoteVersion, broken.OpenEnclave
			if _, err := judge(intel, sound); err != nil {
				t.Errorf("without the fault: %v", err)
			}
		})
	}
}

func TestEveryCheckHasAFault(t *testing.T) {
	covered := make(map[evidence.Check]bool)
	for _, f := range assaytest.Faults() {
		if len(f.Checks) == 1 {
			covered[f.Checks[0]] = true
		}
	}
	for _, check := range []evidence.Check{
		evidence.QuoteFormat, evidence.CertDataType, evidence.CollateralMissing, evidence.UntrustedRoot,
		evidence.PCKChain, evidence.PCKFormat, evidence.PCKExpired, evidence.PCKNotYetValid,
		evidence.CRLFormat, evidence.CRLSignature, evidence.CRLExpired, evidence.CRLNotYetValid, evidence.Revoked,
		evidence.TCBSigningChain, evidence.TCBInfoSignature, evidence.TCBInfoFormat, evidence.TCBInfoExpired,
		evidence.TCBInfoNotYetValid, evidence.TCBInfoMismatch, evidence.QEReportSignature, evidence.QEReportData,
		evidence.QEIdentitySignature, evidence.QEIdentityFormat, evidence.QEIdentityExpired,
		evidence.QEIdentityNotYetValid, evidence.QEIdentityMismatch, evidence.QuoteSignature, evidence.TCBNotSupported,
	} {
		if !covered[check] {
			t.Errorf("no fault is refused by %s alone", check)
		}
	}
}

func TestEachLevelGivesItsStatus(t *testing.T) {
	intel := assaytest.NewIntel()
	for _, evaluation := range []int{assaytest.StandardEvaluation, assaytest.EarlyEvaluation} {
		for _, l := range assaytest.TCBLevels(evaluation) {
			t.Run(fmt.Sprint(evaluation, l.Status, l.SVN), func(t *testing.T) {
				s := intel.Scenario(now)
				s.Evaluation = evaluation
				s.Platform.SVN, s.Platform.PCESVN = l.SVN, l.PCESVN
				got, err := judge(intel, s)
				if err != nil {
					t.Fatal(err)
				}
				if string(got.Status) != l.Status || !slices.Equal(got.AdvisoryIDs, l.Advisories) {
					t.Errorf("got %s %v, want %s %v", got.Status, got.AdvisoryIDs, l.Status, l.Advisories)
				}
			})
		}
	}
}

func TestPlatformIsOutOfDateAtEarlyEvaluation(t *testing.T) {
	intel := assaytest.NewIntel()
	s := intel.Scenario(now)
	s.Evaluation = assaytest.EarlyEvaluation
	got, err := judge(intel, s)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != "OutOfDate" {
		t.Errorf("status %s, want OutOfDate", got.Status)
	}
}

func TestWellKnownIntelIsNotTrustedByOthers(t *testing.T) {
	_, err := judge(assaytest.NewIntel(), assaytest.WellKnownIntel().Scenario(now))
	refusal, ok := errors.AsType[*evidence.Refusal](err)
	if !ok || refusal.Check != evidence.UntrustedRoot {
		t.Errorf("got %v, want a refusal by %s", err, evidence.UntrustedRoot)
	}
}
