package assaytest

import (
	"crypto"
	"regexp"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/evidence"
)

func azureQuoteFaults() []AzureFault {
	nonce, kind := one(evidence.AttestNonce), []evidence.Check{evidence.AttestType, evidence.AttestFormat}
	return []AzureFault{
		{"guest-quote-other-key", "another key signed the quote", one(evidence.AttestSignature), nil, azureSignedBy(AzureQuote, otherVTPMKey)},
		{"guest-quote-signature-bit", "a bit of the quote's signature is wrong", one(evidence.AttestSignature), nil, azureAt(AzureQuoteSignature, flipMiddle)},
		{"guest-quote-magic", "what is signed does not come from within the TPM", kind, nil, azureAt(AzureQuote, flip(0, 1))},
		{"guest-quote-longer", "a byte follows the quote", one(evidence.AttestFormat), nil, azureAt(AzureQuote, appended("\x00"))},
		{"guest-quote-nonce-other", "the quote is of another nonce", nonce, useAzureGo, azureNonce(AzureQuote, flipLast)},
		{"guest-quote-nonce-longer", "the nonce in the quote goes on", nonce, useAzureGo, azureNonce(AzureQuote, appended("\x00"))},
		{"guest-quote-nonce-unknown", "the quote is of a nonce that the request does not have", nonce, useAzureGo, func(s *AzureScenario) { s.Payload = "{}" }},
		{"guest-quote-is-certification", "a certification came as quote", kind, nil, func(s *AzureScenario) {
			m, err := s.machine()
			if err != nil {
				return
			}
			attest, _, err := m.certify(m.sealing())
			azureAt(AzureQuote, func(b []byte) []byte { return orElse(attest, err, b) })(s)
		}},
	}
}

// orElse is b where making made failed, which a test of the faults sees: nothing is changed then.
func orElse(made []byte, err error, b []byte) []byte {
	if err != nil {
		return b
	}
	return made
}

func azurePCRFaults() []AzureFault {
	selection := one(evidence.PCRSelection)
	either := []evidence.Check{evidence.PCRSelection, evidence.GuestRequest}
	return []AzureFault{
		{"guest-pcr-twice", "a value comes twice", either, nil, azureAt(AzurePCRs, replaced(`"Index":1,`, `"Index":0,`))},
		{"guest-pcr-missing", "a quoted value does not come along", selection, nil, azureAt(AzurePCRs, func(b []byte) []byte {
			return regexp.MustCompile(`\{"Index":0,"Digest":"[^"]*"\},`).ReplaceAll(b, nil)
		})},
		{"guest-pcr-short", "a value is too short", either, nil, azureAt(AzurePCRs, func(b []byte) []byte {
			return firstAzureValue().ReplaceAll(b, []byte(`{"Index":0,"Digest":"AAAA"}`))
		})},
		{"guest-pcr-changed", "a value is not the quoted one", one(evidence.PCRDigest), nil, azureAt(AzurePCRs, func(b []byte) []byte {
			return firstAzureValue().ReplaceAll(b, []byte(`{"Index":0,"Digest":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`))
		})},
		{"guest-pcr-7-unquoted", "PCR 7 is not quoted", selection, nil, func(s *AzureScenario) { s.Quoted = PCRRange(0, 6) }},
		{"guest-pcr-none", "no PCR is quoted", selection, nil, func(s *AzureScenario) { s.Quoted = []int{} }},
		{"guest-pcr-set-other", "PcrSet names PCRs that are not quoted", selection, nil, azureAt(AzureInfo, replaced(`"PcrSet":[0,`, `"PcrSet":[23,0,`))},
	}
}

// policyOf has the sealing key depend on other PCRs than the quoted ones.
func policyOf(pcrs []int) func(*AzureScenario) {
	return func(s *AzureScenario) {
		m, err := s.machine()
		if err != nil {
			return
		}
		azureArea(VTPMSealingKey, func(area *tpm2.TPMTPublic) { area.AuthPolicy.Buffer = m.policy(pcrs) })(s)
	}
}

func azureSealingFaults() []AzureFault {
	attribute := func(name, what string, change func(*tpm2.TPMAObject)) AzureFault {
		return AzureFault{name, what, one(evidence.SealingKey), nil, azureArea(VTPMSealingKey, attributes(change))}
	}
	policy := one(evidence.SealingPolicy)
	return []AzureFault{
		attribute("sealing-user-auth", "the sealing key can be used without its policy", func(a *tpm2.TPMAObject) { a.UserWithAuth = true }),
		attribute("sealing-not-fixed", "the sealing key can leave its TPM", func(a *tpm2.TPMAObject) { a.FixedTPM = false }),
		attribute("sealing-parent-not-fixed", "the sealing key can get another parent", func(a *tpm2.TPMAObject) { a.FixedParent = false }),
		attribute("sealing-imported", "the sealing key was made outside", func(a *tpm2.TPMAObject) { a.SensitiveDataOrigin = false }),
		attribute("sealing-restricted", "the sealing key is restricted", func(a *tpm2.TPMAObject) { a.Restricted = true }),
		attribute("sealing-signs", "the sealing key signs, too", func(a *tpm2.TPMAObject) { a.SignEncrypt = true }),
		attribute("sealing-no-decryption", "the sealing key does not decrypt", func(a *tpm2.TPMAObject) { a.Decrypt = false }),
		{"sealing-no-policy", "the sealing key has no policy", policy, nil, azureArea(VTPMSealingKey, func(area *tpm2.TPMTPublic) { area.AuthPolicy.Buffer = nil })},
		{"sealing-policy-fewer", "the policy is over fewer PCRs than are quoted", policy, nil, policyOf(PCRRange(0, 3))},
		{"sealing-policy-others", "the policy is over other PCRs", policy, nil, policyOf([]int{16, 23})},
	}
}

func azureCertifyFaults() []AzureFault {
	signature, kind := one(evidence.AttestSignature), []evidence.Check{evidence.AttestType, evidence.AttestFormat}
	return []AzureFault{
		{"guest-certify-other-key", "another key certified the sealing key", signature, nil, azureSignedBy(AzureCertification, otherVTPMKey)},
		{"guest-certify-signature-bit", "a bit of the certification's signature is wrong", signature, nil, azureAt(AzureCertificationSignature, flipMiddle)},
		{"guest-certify-magic", "the certification does not come from within the TPM", kind, nil, azureAt(AzureCertification, flip(0, 1))},
		{"guest-certify-nonce", "the certification is of another nonce", one(evidence.AttestNonce), nil, azureNonce(AzureCertification, appended("another nonce"))},
		{"guest-certify-nonce-fresh", "quote and certification are of different nonces", one(evidence.AttestNonce), useAzureFresh, azureNonce(AzureCertification, flipLast)},
		{"guest-certify-other", "another key was certified", one(evidence.CertifiedKey), nil, func(s *AzureScenario) {
			m, err := s.machine()
			if err != nil {
				return
			}
			other := sealingArea(&s.Host.vtpmKey(OtherKey).PublicKey, m.policy(m.quoted))
			azureAt(AzureSealingPublic, func([]byte) []byte { return sized(tpm2.Marshal(other)) })(s)
		}},
		{"guest-certify-is-quote", "the quote came as certification", kind, nil, func(s *AzureScenario) {
			m, err := s.machine()
			if err != nil {
				return
			}
			attest, _, err := m.quote()
			azureAt(AzureCertification, func(b []byte) []byte { return orElse(attest, err, b) })(s)
		}},
	}
}

func azureRuntimeFaults() []AzureFault {
	data, form := one(evidence.RuntimeData), one(evidence.HCLRuntime)
	return []AzureFault{
		{"runtime-edited", "the runtime data were changed after the report", data, nil, azureAt(AzureRuntimeSent, replaced(`"secure-boot":true`, `"secure-boot":null`))},
		{"runtime-edited-tdx", "the runtime data were changed after the quote", data, useAzureTDX, azureAt(AzureRuntimeSent, replaced(`"secure-boot":true`, `"secure-boot":null`))},
		{"runtime-upper-half", "something follows the hash in the report data", data, nil, azureAt(AzureReportData, flip(63, 1))},
		{"runtime-upper-half-tdx", "something follows the hash in the report data of the TD", data, useAzureTDX, azureAt(AzureReportData, flip(63, 1))},
		{"runtime-other-ak", "the paravisor vouches for another attestation key", one(evidence.AKBinding), nil, otherAK},
		{"runtime-other-ak-tdx", "the paravisor of a TD vouches for another attestation key", one(evidence.AKBinding), useAzureTDX, otherAK},
		{"runtime-two-aks", "the runtime data name two attestation keys", form, nil, azureAt(AzureRuntimeData, func(b []byte) []byte {
			return paravisorAK().ReplaceAll(b, []byte("$0,$0"))
		})},
		{"runtime-no-ak", "the runtime data name no attestation key", []evidence.Check{evidence.HCLRuntime, evidence.AKBinding}, nil, azureAt(AzureRuntimeData, replaced("HCLAkPub", "HCLakpub"))},
		{"runtime-member-twice", "a member of the runtime data comes twice", form, nil, azureAt(AzureRuntimeData, replaced(`"user-data"`, `"user-data":"","user-data"`))},
		{"runtime-not-json", "the runtime data are no JSON", form, nil, azureAt(AzureRuntimeData, func(b []byte) []byte { return b[:len(b)-1] })},
	}
}

// paravisorAK finds the attestation key in runtime data.
func paravisorAK() *regexp.Regexp { return regexp.MustCompile(`\{"kid":"HCLAkPub"[^}]*\}`) }

// otherAK puts another key in the place of the attestation key.
func otherAK(s *AzureScenario) {
	other := hclKey("HCLAkPub", "sign", &s.Host.vtpmKey(OtherKey).PublicKey)
	azureAt(AzureRuntimeData, func(b []byte) []byte {
		return paravisorAK().ReplaceAll(b, other)
	})(s)
}

// AzureState is a change to a sound scenario with which the evidence still holds: whoever relies on it has to look at what it says.
type AzureState struct {
	Name  string // words joined by hyphens; unique among AzureStates
	What  string // what the guest is like, for a person
	Debug bool   // the guest can be debugged
	TCB   string // status of a TDX platform; empty: there is none
	Apply func(*AzureScenario)
}

// AzureStates returns all ready-made states.
func AzureStates() []AzureState {
	tdx := func(change func(*TDXGuest)) func(*AzureScenario) {
		return func(s *AzureScenario) {
			useAzureTDX(s)
			change(s.Host.TDX.TD)
		}
	}
	return []AzureState{
		{"guest-debug", "the host can look into the SEV-SNP guest", true, "", func(s *AzureScenario) { s.Host.SNP.Guest.Policy = UsualSNPPolicy | SNPDebugAllowed }},
		{"guest-debug-td", "the host can look into the TD", true, "UpToDate", tdx(func(td *TDXGuest) { td.Attributes[0] |= 1 })},
		{"guest-tdx-out-of-date", "an old component of TDX", false, "OutOfDate", tdx(func(td *TDXGuest) { td.TEETCBSVN[2] = 5 })},
		{"guest-no-log", "the log is empty", false, "", func(s *AzureScenario) { s.NoLog = true }},
		{"guest-other-ca", "a stranger issued the certificate of the attestation key, which the report vouches for", false, "",
			azureSignedBy(AzureAKCertificate, func(*AzureHost) crypto.Signer { return azureStranger().TPM.Key(VTPMIssuer, P256) })},
	}
}
