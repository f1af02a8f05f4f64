package assaytest

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/evidence"
)

// AzureFault is a change that breaks exactly one thing in a request of an Azure guest.
type AzureFault struct {
	Name   string           // words joined by hyphens; unique among AzureFaults
	What   string           // what is wrong, for a person
	Checks []evidence.Check // the check that must refuse; more than one where any of them is right
	// Base is what the sound scenario has to be first; nil: a Linux with SEV-SNP, attested by the C++ client.
	Base  func(*AzureScenario)
	Break func(*AzureScenario)
}

// Sound gives the scenario before the fault, on a host of h's vendors with SEV-SNP.
func (f *AzureFault) Sound(h *AzureHost) *AzureScenario {
	s := h.Scenario()
	s.Host.Isolation = AzureSevSnp
	if f.Base != nil {
		f.Base(s)
	}
	return s
}

// Broken gives the scenario with the fault.
func (f *AzureFault) Broken(h *AzureHost) *AzureScenario {
	s := f.Sound(h)
	f.Break(s)
	return s
}

// AzureFaults returns all ready-made faults. For every check of an Azure guest there is at least one; for those of hardware reports, [AMDFaults] and
// [TDXFaults] have more, for those of logs, [TPMFaults].
func AzureFaults() []AzureFault {
	return slices.Concat(azureFormFaults(), azureIsolationFaults(), azureCertificateFaults(), azureQuoteFaults(), azurePCRFaults(),
		azureSealingFaults(), azureCertifyFaults(), azureRuntimeFaults(), azureLogFaults())
}

// azureStranger is a host of vendors that nobody trusts.
var azureStranger = sync.OnceValue(func() *AzureHost {
	return newAzureHost(AzureSevSnp, amdStranger().Scenario(Milan, time.Time{}), stranger().TDXScenario(time.Time{}), tpmStranger())
})

// Bases.

func useAzureTDX(s *AzureScenario)           { s.Host.Isolation = AzureTdx }
func useAzureTrustedLaunch(s *AzureScenario) { s.Host.Isolation = AzureTrustedLaunch }
func useAzureGo(s *AzureScenario)            { s.Dialect = AzureGo }
func useAzureFresh(s *AzureScenario)         { s.Fresh = true }

// azureAt changes the bytes of one part.
func azureAt(target AzurePart, change func([]byte) []byte) func(*AzureScenario) {
	return func(s *AzureScenario) {
		s.Edit.Bytes = func(p AzurePart, b []byte) []byte {
			if p != target {
				return b
			}
			return change(b)
		}
	}
}

// azureNonce changes the qualifying data of an attestation.
func azureNonce(target AzurePart, change func([]byte) []byte) func(*AzureScenario) {
	return func(s *AzureScenario) {
		s.Edit.ExtraData = func(p AzurePart, b []byte) []byte {
			if p != target {
				return b
			}
			return change(bytes.Clone(b))
		}
	}
}

// azureSignedBy has a part signed by another key.
func azureSignedBy(target AzurePart, other func(*AzureHost) crypto.Signer) func(*AzureScenario) {
	return func(s *AzureScenario) {
		s.Edit.Signer = func(p AzurePart, key crypto.Signer) crypto.Signer {
			if p != target {
				return key
			}
			return other(s.Host)
		}
	}
}

// azureArea changes a public area, before it is certified.
func azureArea(of TPMRole, change func(*tpm2.TPMTPublic)) func(*AzureScenario) {
	return func(s *AzureScenario) {
		s.Edit.PublicArea = func(r TPMRole, area *tpm2.TPMTPublic) {
			if r == of {
				change(area)
			}
		}
	}
}

func attributes(change func(*tpm2.TPMAObject)) func(*tpm2.TPMTPublic) {
	return func(area *tpm2.TPMTPublic) { change(&area.ObjectAttributes) }
}

func otherVTPMKey(h *AzureHost) crypto.Signer { return h.vtpmKey(OtherKey) }

func azureFormFaults() []AzureFault {
	request := one(evidence.GuestRequest)
	return []AzureFault{
		{"guest-not-json", "the document is no JSON", request, nil, azureAt(AzureInfo, cut(100))},
		{"guest-member-twice", "a member of the document comes twice, in other letters", request, nil, azureAt(AzureInfo, replaced(`"OSType"`, `"ostype":"TGludXg=","OSType"`))},
		{"guest-tpm-member-twice", "a member of TpmInfo comes twice", request, nil, azureAt(AzureInfo, replaced(`"PcrSet"`, `"PcrSet":[0],"PcrSet"`))},
		{"guest-base64", "a signature is not in base64", request, nil, azureAt(AzureInfo, replaced(`"PcrSignature":"`, `"PcrSignature":"!`))},
		{"guest-payload-kind", "ClientPayload is a number", request, nil, func(s *AzureScenario) { s.Payload = "7" }},
		{"guest-no-tpm", "TpmInfo is missing", request, nil, azureAt(AzureInfo, replaced(`"TpmInfo"`, `"Info"`))},
		{"guest-version-1", "the protocol is of version 1.0", one(evidence.GuestProtocol), nil, func(s *AzureScenario) { s.Version = "1.0" }},
		{"guest-version-4", "the protocol is of version 4.0", one(evidence.GuestProtocol), nil, func(s *AzureScenario) { s.Version = "4.0" }},
	}
}

func azureIsolationFaults() []AzureFault {
	kind := one(evidence.IsolationType)
	return []AzureFault{
		{"isolation-unknown", "the type of the isolation is unknown", kind, nil, azureAt(AzureInfo, replaced(`"Type":"SevSnp"`, `"Type":"Cca"`))},
		{"isolation-snp-as-tdx", "a SEV-SNP report is called a TDX quote", []evidence.Check{evidence.IsolationType, evidence.QuoteFormat}, nil,
			azureAt(AzureInfo, replaced(`"Type":"SevSnp"`, `"Type":"Tdx"`))},
		{"isolation-tdx-as-snp", "a TDX quote is called a SEV-SNP report", []evidence.Check{evidence.IsolationType, evidence.SNPFormat}, useAzureTDX,
			azureAt(AzureInfo, replaced(`"Type":"Tdx"`, `"Type":"SevSnp"`))},
		{"isolation-evidence-left", "a SEV-SNP report comes with trusted launch", kind, nil, azureAt(AzureInfo, replaced(`"Type":"SevSnp"`, `"Type":"TrustedLaunch"`))},
		{"isolation-no-evidence", "no report comes with SEV-SNP", kind, useAzureTrustedLaunch, azureAt(AzureInfo, replaced(`"Type":"TrustedLaunch"`, `"Type":"SevSnp"`))},
		{"snp-other-root", "another AMD vouches for the chip", one(evidence.UntrustedRoot), nil, func(s *AzureScenario) { s.Host.SNP.Vendor = amdStranger() }},
		{"snp-not-paravisor", "the operating system requested the report", one(evidence.PrivilegeLevel), nil, func(s *AzureScenario) { s.Host.SNP.Guest.VMPL = 2 }},
		{"tdx-other-root", "another Intel vouches for the platform", one(evidence.UntrustedRoot), useAzureTDX, func(s *AzureScenario) { s.Host.TDX.Attester = stranger() }},
		{"tdx-quote-changed", "the quote was changed after signing", one(evidence.QuoteSignature), useAzureTDX, azureAt(AzureProof, flip(48+136, 1))},
	}
}

func azureCertificateFaults() []AzureFault {
	chain, key := one(evidence.AIKCertificate), []evidence.Check{evidence.AIKKey, evidence.AIKCertificate}
	ofOtherKey := func(s *AzureScenario) {
		azureAt(AzureAKCertificate, func([]byte) []byte {
			der, _ := s.Host.AKCertificate(&s.Host.vtpmKey(OtherKey).PublicKey) // nil would be refused for AIKCertificate
			return der
		})(s)
	}
	return []AzureFault{
		{"ak-other-ca", "a stranger of the same name issued the certificate of the attestation key", chain, useAzureTrustedLaunch,
			azureSignedBy(AzureAKCertificate, func(*AzureHost) crypto.Signer { return azureStranger().TPM.Key(VTPMIssuer, P256) })},
		{"ak-expired", "the certificate of the attestation key has expired", chain, useAzureTrustedLaunch, func(s *AzureScenario) {
			s.Edit.Certificate = func(c *x509.Certificate) { c.NotAfter = c.NotBefore.AddDate(0, 9, 0) }
		}},
		{"ak-no-purpose", "the certificate does not say that it is of an attestation key", chain, useAzureTrustedLaunch, func(s *AzureScenario) {
			s.Edit.Certificate = func(c *x509.Certificate) { c.UnknownExtKeyUsage = c.UnknownExtKeyUsage[:1] }
		}},
		{"ak-no-certificate", "trusted launch without a certificate", chain, useAzureTrustedLaunch, azureAt(AzureAKCertificate, becomes(""))},
		{"ak-other-key", "the certificate is of another key", key, nil, ofOtherKey},
		{"ak-other-key-trusted-launch", "the certificate is of another key, with trusted launch", key, useAzureTrustedLaunch, ofOtherKey},
		{"ak-not-restricted", "the attestation key signs anything", one(evidence.AIKKey), nil, azureArea(VTPMAK, attributes(func(a *tpm2.TPMAObject) { a.Restricted = false }))},
		{"ak-not-fixed", "the attestation key can leave its TPM", one(evidence.AIKKey), nil, azureArea(VTPMAK, attributes(func(a *tpm2.TPMAObject) { a.FixedTPM = false }))},
		{"ak-public-longer", "a byte follows the public area of the attestation key", []evidence.Check{evidence.AttestFormat, evidence.AIKKey}, nil, azureAt(AzureAKPublic, appended("\x00"))},
	}
}

// firstAzureValue finds the digest of PCR 0.
func firstAzureValue() *regexp.Regexp { return regexp.MustCompile(`\{"Index":0,"Digest":"[^"]*"\}`) }

func azureLogFaults() []AzureFault {
	replay := one(evidence.EventLogReplay)
	logOf := func(b TPMBoot, v *TPMVendor) func([]byte) []byte {
		return func([]byte) []byte { return mustLog(b, v).Bytes() }
	}
	return []AzureFault{
		{"log-other-machine", "the log is of another machine", replay, nil, azureAt(AzureLog, logOf(SoundAzureBoot(false), tpmStranger()))},
		{"log-shorter", "the log lacks its last record", replay, nil, func(s *AzureScenario) {
			log := mustLog(SoundAzureBoot(false), s.Host.TPM)
			log.Events = log.Events[:len(log.Events)-1]
			azureAt(AzureLog, func([]byte) []byte { return log.Bytes() })(s)
		}},
		{"log-cut", "the log ends within a record", one(evidence.EventLogFormat), nil, azureAt(AzureLog, func(b []byte) []byte { return b[:len(b)-1] })},
		{"log-sha1", "the log is in the SHA-1 form", []evidence.Check{evidence.SHA1, evidence.EventLogBank}, nil, func(s *AzureScenario) {
			azureAt(AzureLog, logOf(TPMBoot{SecureBoot: true, Legacy: true}, s.Host.TPM))(s)
		}},
	}
}
