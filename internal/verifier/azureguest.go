package verifier

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/azureguest"
	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/evidence/tdx"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// AzureDemands are the settings of a provider about Azure guests (README.md section 6 of the specification). The zero value is the default.
type AzureDemands struct {
	RequireNonce   bool                        // azureguest_require_nonce
	RequireChain   bool                        // azureguest_require_ak_chain
	SecureBootKeys []azureguest.SecureBootKeys // azureguest_secureboot_keys
}

// claimHardware is the object of the claims of an Azure guest's hardware report.
const claimHardware = "x-ms-isolation-tee"

// pcrs is how many PCRs a TPM has.
const pcrs = 24

// newerProtocol is the version of the protocol whose tokens have the newer claims about SEV-SNP (tokens.md section 7).
const newerProtocol = "3.0"

// verifyAzureGuest climbs the ladder of an Azure guest: vTPM, hardware report, and the key that both name.
func (v *Verifier) verifyAzureGuest(ctx context.Context, r Request, baseline string) (*Subject, error) {
	limits := v.cfg.TPM.Limits
	bundle, err := azureguest.Parse(r.Evidence, azureguest.Limits{Log: limits.Log, Depth: limits.Depth})
	if err != nil {
		return nil, err
	}
	machine, err := bundle.Verify(v.azureInput(r))
	if err != nil {
		return nil, err
	}
	g, err := v.vouched(ctx, r, bundle, machine, baseline)
	if err != nil {
		return nil, err
	}
	return OfAzureGuest(g, v.cfg.Baseline.Azure.SecureBootKeys)
}

// azureInput is what the vTPM of a request is held against.
func (v *Verifier) azureInput(r Request) azureguest.Input {
	b := &v.cfg.Baseline
	return azureguest.Input{
		At: r.At, Roots: v.cfg.TPM.Roots, RequireNonce: b.Azure.RequireNonce, RequireChain: b.Azure.RequireChain,
		Strict: b.Strict, WithoutAuthority: b.TPM.WithoutAuthority && !b.Strict, Journal: &r.Record.Checks,
	}
}

// vouched finds who vouches for the attestation key of a machine, and verifies that.
func (v *Verifier) vouched(ctx context.Context, r Request, b *azureguest.Bundle, m *azureguest.Machine, baseline string) (g VouchedGuest, err error) {
	switch b.Isolation {
	case azureguest.SevSnp:
		if g.SNP, g.Status, err = v.verifySNP(ctx, r, b.Proof); err == nil {
			g.Guest, err = m.OnSNP(g.SNP)
		}
	case azureguest.Tdx:
		if g.TDX, err = v.verifyTDX(ctx, r, b.Proof, baseline); err == nil {
			g.Guest, err = m.OnTDX(g.TDX)
		}
	case azureguest.TrustedLaunch:
		g.Guest, err = m.OnTrustedLaunch()
	default:
		err = fmt.Errorf("no verifier for the isolation %q", b.Isolation)
	}
	return g, err
}

// VouchedGuest is a verified Azure guest with the hardware report that vouches for it; neither SNP nor TDX: it is one of trusted launch.
type VouchedGuest struct {
	Guest  *azureguest.Verified
	SNP    *snp.Verified
	Status string // the compliance status that endorsements of the SNP report earn; empty: none
	TDX    *tdx.Verified
}

// hardware is the hardware report as a subject of its own, nil for trusted launch.
func (g VouchedGuest) hardware() *Subject {
	switch {
	case g.SNP != nil:
		s := OfGuest(g.SNP, g.Status)
		if g.Guest.Version() == newerProtocol {
			s.claims = append(s.claims, g.SNP.NewerClaims()...)
		}
		return s
	case g.TDX != nil:
		return OfDomain(g.TDX)
	}
	return nil
}

// OfAzureGuest is the subject of a verified Azure guest; keys are the sets of secure-boot keys of which one must be the machine's (setting
// azureguest_secureboot_keys). The error is an [evidence.Refusal] of runtime data that is nested too deep to stand in a token.
func OfAzureGuest(g VouchedGuest, keys []azureguest.SecureBootKeys) (*Subject, error) {
	s := &Subject{kind: azureVM, claims: g.Guest.Claims(keys), recipient: g.Guest.Recipient()}
	if hardware := g.hardware(); hardware != nil {
		s.standing, s.debuggable = hardware.standing, hardware.debuggable
		s.hardware = append(hardware.claims, evidence.Claim{Name: "x-ms-runtime", Value: g.Guest.RuntimeData()})
		s.comply = func(status string) error {
			s.hardware = compliant(s.hardware, status)
			return s.nest()
		}
	}
	if err := s.fits(); err != nil {
		return nil, err
	}
	s.facts = azureFacts(g.Guest, s.hardware)
	return s, nil
}

// azureFacts are what reference values may name beside the claims: what stands in the object of the hardware report, and PCRs in lower-case hex.
func azureFacts(g *azureguest.Verified, hardware []evidence.Claim) (facts []evidence.Claim) {
	for _, c := range hardware {
		facts = append(facts, evidence.Claim{Name: claimHardware + "." + c.Name, Value: c.Value})
	}
	for i := range pcrs {
		if value := g.PCR(i); value != nil {
			facts = append(facts, evidence.Claim{Name: fmt.Sprintf("pcr-sha256-%d", i), Value: hex.EncodeToString(value)})
		}
	}
	return facts
}

// fits writes the object of the hardware report, and checks that what others wrote is JSON as deep as it will stand in the token.
func (s *Subject) fits() error {
	if err := s.nest(); err != nil {
		return err
	}
	for _, c := range s.Claims() {
		text, ok := c.Value.(jsontext.Value)
		if !ok {
			continue
		}
		if err := strictjson.Check(slices.Concat([]byte("["), text, []byte("]"))); err != nil {
			return evidence.Refuse(evidence.GuestRequest, "the claim %s cannot stand in a token", c.Name).Because(err).
				Do("send a ClientPayload and runtime data that are nested less deep")
		}
	}
	return nil
}

// nest writes the claims of the hardware report as the one object that the token has of them, if there is a report.
func (s *Subject) nest() error {
	if s.hardware == nil {
		return nil
	}
	members := make(map[string]any, len(s.hardware))
	for _, c := range s.hardware {
		members[c.Name] = c.Value
	}
	text, err := json.Marshal(members, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("writing the claim %s: %w", claimHardware, err)
	}
	s.object = []evidence.Claim{{Name: claimHardware, Value: jsontext.Value(text)}}
	return nil
}
