package assaytest_test

import (
	"crypto/x509"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/evidence/tdx"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
)

// judgeGuest verifies a request with the product's verifier, which trusts the vendors of h alone.
func judgeGuest(t *testing.T, h *assaytest.AzureHost, s *assaytest.AzureScenario) (*azureguest.Verified, error) {
	t.Helper()
	root, issuer := parsePEM(t, ok[[]byte](t)(h.AKRoot())), parsePEM(t, ok[[]byte](t)(h.AKIntermediate()))
	in := azureguest.Input{At: now, Roots: tpm.NewRoots([]tpm.Root{{Certificate: root}}, []*x509.Certificate{issuer})}
	bundle, err := azureguest.Parse(ok[[]byte](t)(s.AttestationInfo()), azureguest.Limits{Log: eventlog.DefaultLimits(), Depth: 8})
	if err != nil {
		return nil, err
	}
	m, err := bundle.Verify(in)
	if err != nil {
		return nil, err
	}
	switch bundle.Isolation {
	case azureguest.SevSnp:
		report, err := reportOf(t, h, bundle.Proof)
		if err != nil {
			return nil, err
		}
		return m.OnSNP(report)
	case azureguest.Tdx:
		td, err := tdOf(t, h, s, bundle.Proof)
		if err != nil {
			return nil, err
		}
		return m.OnTDX(td)
	}
	return m.OnTrustedLaunch()
}

// reportOf verifies a SEV-SNP report.
func reportOf(t *testing.T, h *assaytest.AzureHost, proof []byte) (*snp.Verified, error) {
	t.Helper()
	roots := ok[snp.Roots](t)(snp.NewRoots(ok[[]byte](t)(h.AMDRoot())))
	e, err := snp.Parse(proof)
	if err != nil {
		return nil, err
	}
	signer, err := roots.Trace(e.Chain, snp.Options{At: now})
	if err != nil {
		return nil, err
	}
	return snp.Verify(e.Report, signer, snp.Options{At: now})
}

// tdOf verifies a TDX quote with the collateral of the scenario's platform.
func tdOf(t *testing.T, h *assaytest.AzureHost, s *assaytest.AzureScenario, proof []byte) (*tdx.Verified, error) {
	t.Helper()
	v, err := trusting(h.TDX.Attester)
	if err != nil {
		t.Fatal(err)
	}
	e, err := tdx.Parse(proof)
	if err != nil {
		return nil, err
	}
	origin, in, err := endorsed(v, e.Quote, s.Host.TDX)
	if err != nil {
		return nil, err
	}
	return tdx.Verify(v, origin, e, in)
}

func TestHealthyAzureGuestsAreVerified(t *testing.T) {
	for _, isolation := range assaytest.AzureIsolations() {
		for _, dialect := range assaytest.AzureDialects() {
			for _, windows := range []bool{false, true} {
				for _, version := range []string{"2.0", "3.0"} {
					h, boot := azureHost(isolation), assaytest.SoundAzureBoot(windows)
					s := h.Scenario()
					s.Dialect, s.Boot, s.Version = dialect, &boot, version
					v, err := judgeGuest(t, h, s)
					if err != nil {
						t.Errorf("%s, %s, Windows %t, %s: %v", isolation, dialect, windows, version, err)
						continue
					}
					if v.Version() != version || !v.Recipient().Equal(&s.SealingKey().PublicKey) || (v.RuntimeData() == nil) != (isolation == assaytest.AzureTrustedLaunch) {
						t.Errorf("%s, %s: version %s, runtime data %s", isolation, dialect, v.Version(), v.RuntimeData())
					}
					if windows == (v.PCR(11) == nil) || v.PCR(7) == nil {
						t.Errorf("%s, %s, Windows %t: PCR 11 %x, PCR 7 %x", isolation, dialect, windows, v.PCR(11), v.PCR(7))
					}
				}
			}
		}
	}
}

// A scenario of nobody's making is the one that development mode believes.
func TestTheZeroScenarioIsSoundAndOfTheWellKnownVendors(t *testing.T) {
	var s assaytest.AzureScenario
	if _, err := judgeGuest(t, assaytest.WellKnownAzureHost(assaytest.AzureSevSnp, now), &s); err != nil {
		t.Error(err)
	}
	sealed := ok[string](t)(azureguest.Seal(nonRandom{}, "a.b.c", &s.SealingKey().PublicKey))
	if token, err := s.Open(sealed); err != nil || token != "a.b.c" {
		t.Errorf("opened %q (%v)", token, err)
	}
}

// nonRandom is a source of bytes that are all 7.
type nonRandom struct{}

func (nonRandom) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 7
	}
	return len(b), nil
}

func TestAFreshNonceStandsInQuoteAndCertification(t *testing.T) {
	h := azureHost(assaytest.AzureTrustedLaunch)
	for _, d := range assaytest.AzureDialects() {
		s := h.Scenario()
		s.Dialect, s.Fresh, s.Nonce = d, true, []byte("of the relying party")
		if _, err := judgeGuest(t, h, s); err != nil {
			t.Errorf("%s: %v", d, err)
		}
	}
}

func TestEachAzureFaultIsRefusedByItsCheck(t *testing.T) {
	for _, f := range assaytest.AzureFaults() {
		t.Run(f.Name, func(t *testing.T) {
			h := azureVendors()
			if _, err := judgeGuest(t, h, f.Sound(h)); err != nil {
				t.Fatalf("without the fault: %v", err)
			}
			_, err := judgeGuest(t, h, f.Broken(h))
			wantRefusal(t, err, f.Checks...)
		})
	}
}

func TestAzureStatesHoldAndSayWhatTheyAre(t *testing.T) {
	for _, state := range assaytest.AzureStates() {
		h := azureVendors()
		s := h.Scenario()
		state.Apply(s)
		if _, err := judgeGuest(t, h, s); err != nil {
			t.Errorf("%s: %v", state.Name, err)
			continue
		}
		bundle := ok[*azureguest.Bundle](t)(azureguest.Parse(ok[[]byte](t)(s.AttestationInfo()), azureguest.Limits{Log: eventlog.DefaultLimits(), Depth: 8}))
		if bundle.Isolation == azureguest.Tdx {
			td := ok[*tdx.Verified](t)(tdOf(t, h, s, bundle.Proof))
			if debug := td.Report.TDAttributes[0]&1 != 0; debug != state.Debug || string(td.Status) != state.TCB {
				t.Errorf("%s: debuggable %t, TCB %s", state.Name, debug, td.Status)
			}
			continue
		}
		if report := ok[*snp.Verified](t)(reportOf(t, h, bundle.Proof)); report.Report.Debug() != state.Debug || state.TCB != "" {
			t.Errorf("%s: debuggable %t", state.Name, report.Report.Debug())
		}
	}
}
