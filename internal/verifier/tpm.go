package verifier

import (
	"crypto"
	"crypto/x509"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/attreq"
	"github.com/assay-attestation/assay/policy"
)

// TPM is what the evidence of TPMs is held against, beside the demands of the provider.
type TPM struct {
	// Challenge opens a service context for a provider, as challenge.Keeper does.
	Challenge func(context, providerID string, now time.Time) ([]byte, error)
	Roots     *tpm.Roots
	Limits    attreq.Limits
	Validity  time.Duration // tpm_report_validity, of reports whose policy does not say
	Longest   time.Duration // validity of reports whose keys can stay listed: longer ones are cut
}

// TPMDemands are the settings of a provider about TPMs (README.md section 6 of the specification). The zero value is the default but
// for RefuseV1Basic.
type TPMDemands struct {
	AllowSHA1           bool                // tpm_allow_sha1
	RefuseV1Basic       bool                // tpm_allow_v1_basic off
	WithoutAuthority    bool                // tpm_secureboot_require_authority off
	ClaimPrefix         string              // tpm_custom_claim_prefix
	PCRsInHex           bool                // tpm_pcr_digest_text: hex
	EventDigests        bool                // tpm_event_digests
	DRTMKey             crypto.PublicKey    // tpm_drtm_signing_key; nil: none
	EmitAttestationType bool                // tpm_emit_attestation_type
	Roots               []tpm.Root          // tpm_aik_roots
	Intermediates       []*x509.Certificate // tpm_aik_intermediates
}

// tpmInput is what evidence is held against under a configuration.
func (v *Verifier) tpmInput(r ReportRequest, c *policy.Configuration) (attreq.Input, error) {
	demands, strict := v.cfg.Baseline.TPM, v.cfg.Baseline.Strict
	required, err := c.RequiredPCRs()
	return attreq.Input{
		At: r.At, Roots: v.cfg.TPM.Roots, WithoutCertificate: !c.RequiresAIKCertificate(), RequiredPCRs: required,
		AllowSHA1: demands.AllowSHA1 && !strict, AllowV1Basic: !demands.RefuseV1Basic && !strict,
		WithoutAuthority: demands.WithoutAuthority && !strict, DRTMKey: demands.DRTMKey, Journal: &r.Record.Checks,
	}, err
}

// acceptEnclave refuses a VBS enclave that can be debugged, where the provider does not want one (tpm.md section 11).
func (b *Baseline) acceptEnclave(e *attreq.Verified) error {
	enclave := e.Enclave()
	if enclave == nil || !enclave.Identity.Debuggable() || !b.refuseDebuggable() {
		return nil
	}
	return evidence.Refuse(evidence.Debuggable, "the VBS enclave is debuggable, which the provider's setting %s forbids", named("refuse_debuggable", b.RefuseDebuggable)).
		Want("Flags without 1, 2 and 4", enclave.Identity.Flags).Do("build and start the enclave without debug support")
}

// checkClientClaims refuses a claim of the client under a name of the service's or of reference values: a condition of a policy that names
// no issuer, as in most published policies, would take it for the service's own.
func checkClientClaims(e *attreq.Verified, prefix string) error {
	own := policy.Claims(string(evidence.Tpm))
	for _, c := range e.ClientClaims() {
		name := prefix + c.Name
		taken := slices.ContainsFunc(own, func(info policy.ClaimInfo) bool {
			return info.Issuer != policy.CustomClaim && strings.EqualFold(info.Name, name)
		})
		if taken || strings.HasPrefix(strings.ToLower(name), policy.ReferencePrefix) {
			return evidence.Refuse(evidence.TPMRequest, "a claim in custom_claims has the name of a claim of the service").
				Want("another name", strconv.Quote(name)).Do("rename the client's claim, or have the provider put a prefix before all of them (tpm_custom_claim_prefix)")
		}
	}
	return nil
}

// tpmIncoming makes the claims that a TPM policy sees: those of the evidence, what is common to all types, and those of the client.
func tpmIncoming(e *attreq.Verified, made []evidence.Claim, p Policy, prefix string) []policy.Claim {
	var claims []policy.Claim
	add := func(issuer policy.Issuer, name string, value any) {
		if text, ok := value.(jsontext.Value); ok {
			value = string(text)
		}
		if value, ok := scalar(value); ok {
			claims = append(claims, policy.Claim{Type: name, Value: value, Issuer: issuer})
		}
	}
	for _, c := range made {
		add(policy.AttestationService, c.Name, c.Value)
	}
	add(policy.AttestationService, policy.AttestationType, tpmType)
	add(policy.AttestationService, claimVersion, "1.0")
	add(policy.AttestationService, claimPolicyHash, p.Hash())
	for _, c := range e.ClientClaims() {
		add(policy.CustomClaim, prefix+c.Name, c.Value)
	}
	return claims
}

// tpmType is the value of the claim x-ms-attestation-type.
const tpmType = "tpm"

// reportClaims are the claims of a report in their order, without the registered ones (tokens.md section 10). What the policy issues
// under a name of the service is lost (policy.md section 5.5).
func (v *Verifier) reportClaims(e *attreq.Verified, made []evidence.Claim, p Policy, issued []policy.Group) (claims []evidence.Claim) {
	add := func(name string, value any) { claims = append(claims, evidence.Claim{Name: name, Value: value}) }
	if text, ok := e.RPData(); ok {
		add("rp_data", text)
		add("nonce", text)
	}
	add("cnf", jsontext.Value(slices.Concat([]byte(`{"jwk":`), e.Key(), []byte("}"))))
	add(claimPolicyHash, p.Hash())
	if p.Signer != nil {
		add(claimPolicySigner, p.Signer)
	}
	if v.cfg.Baseline.TPM.EmitAttestationType {
		add(policy.AttestationType, tpmType)
	}
	for _, c := range made {
		if c.Name == attreq.ClaimRequestKey || c.Name == attreq.ClaimOtherKeys {
			add(c.Name, c.Value)
		}
	}
	reserved := policy.ServiceNames(string(evidence.Tpm))
	for _, g := range issued {
		if !slices.Contains(reserved, g.Type) {
			add(g.Type, g.Any())
		}
	}
	return claims
}
