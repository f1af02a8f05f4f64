package assaytest

import (
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"time"
)

// AzureIsolation names what keeps a simulated guest apart from its host, in the words of a request (azure-guest.md section 2).
type AzureIsolation string

// The kinds of isolation.
const (
	AzureSevSnp        AzureIsolation = "SevSnp"
	AzureTdx           AzureIsolation = "Tdx"
	AzureTrustedLaunch AzureIsolation = "TrustedLaunch" // no hardware report
)

// AzureIsolations returns all kinds of isolation.
func AzureIsolations() []AzureIsolation {
	return []AzureIsolation{AzureSevSnp, AzureTdx, AzureTrustedLaunch}
}

// AzureHost is a simulated machine of Azure and the paravisor in it, for one guest (azure-guest.md section 1). It makes what a guest finds in
// its vTPM: the HCL report and the certificate of the attestation key, both for any key, so that software, a simulator or a real TPM can
// have it; [NewIMDS] makes the metadata service. Make one with [WellKnownAzureHost] or [NewAzureHost]; it is then sound. It is safe for
// concurrent use while nobody changes its fields.
type AzureHost struct {
	Isolation AzureIsolation
	SNP       *AMDScenario // platform and guest with SevSnp; the report data is filled in
	TDX       *Scenario    // platform and TD with Tdx; likewise
	TPM       *TPMVendor   // certifies attestation keys

	// What the paravisor says about the guest.
	VMID          string // vmUniqueId
	SecureBootOff bool

	Edit AzureEdits
}

// WellKnownAzureHost returns a host of the well-known vendors, which development mode trusts: its private keys are PUBLIC. The collateral of its
// TDX platform is valid at the time at.
func WellKnownAzureHost(isolation AzureIsolation, at time.Time) *AzureHost {
	return newAzureHost(isolation, WellKnownAMD().Scenario(Milan, at), WellKnownIntel().TDXScenario(at), wellKnownVTPM())
}

// wellKnownVTPM is kept, since its keys take time to make.
var wellKnownVTPM = sync.OnceValue(WellKnownTPMVendor)

// NewAzureHost returns a host of vendors that no other process has.
func NewAzureHost(isolation AzureIsolation, at time.Time) *AzureHost {
	return newAzureHost(isolation, NewAMD().Scenario(Milan, at), NewIntel().TDXScenario(at), NewTPMVendor())
}

func newAzureHost(isolation AzureIsolation, snp *AMDScenario, tdx *Scenario, tpm *TPMVendor) *AzureHost {
	return &AzureHost{Isolation: isolation, SNP: snp, TDX: tdx, TPM: tpm, VMID: "5A5A5A5A-0000-4000-8000-0000000000AA"}
}

// clone copies the host with all that is not shared by hosts of its vendors.
func (h *AzureHost) clone() *AzureHost {
	c, snp, tdx, td := *h, *h.SNP, *h.TDX, *h.TDX.TD
	tdx.TD = &td
	c.SNP, c.TDX = &snp, &tdx
	return &c
}

// AMDRoot returns the certificate, PEM, that a verifier has to trust for the host's SEV-SNP reports.
func (h *AzureHost) AMDRoot() ([]byte, error) { return h.SNP.Vendor.RootPEM(h.SNP.Product) }

// IntelRoot returns the certificate, PEM, that a verifier has to trust for the host's TDX quotes. Collateral is [Scenario.Collateral] of TDX.
func (h *AzureHost) IntelRoot() ([]byte, error) { return h.TDX.Attester.RootPEM() }

// AKRoot returns the certificate, PEM, that a verifier has to trust for certificates of attestation keys.
func (h *AzureHost) AKRoot() ([]byte, error) { return h.TPM.CertificatePEM(VTPMRoot) }

// AKIntermediate returns the certificate, PEM, between AKRoot and those of attestation keys. Guests do not send it, and theirs do not say where
// it is: a verifier has to have it.
func (h *AzureHost) AKIntermediate() ([]byte, error) { return h.TPM.CertificatePEM(VTPMIssuer) }

// VCEKChain returns the certificates of the chip, PEM: VCEK, ASK and ARK.
func (h *AzureHost) VCEKChain() ([]byte, error) { return h.SNP.ChainPEM() }

// Report makes the hardware report over report data: a SEV-SNP report at VMPL 0, or a TDREPORT. With TrustedLaunch there is none.
func (h *AzureHost) Report(reportData [64]byte) ([]byte, error) {
	h = h.clone()
	switch h.Isolation {
	case AzureSevSnp:
		h.SNP.Guest.ReportData = reportData
		return h.SNP.Report()
	case AzureTdx:
		h.TDX.TD.ReportData = reportData
		return h.tdreport(), nil
	}
	return nil, fmt.Errorf("isolation %q has no hardware report", h.Isolation)
}

// RuntimeData is the document of the paravisor, as recent firmware writes it (azure-guest.md section 1): the attestation key, the endorsement
// key unless it is nil, and what the guest wrote into NV index 01400002.
func (h *AzureHost) RuntimeData(ak, ek *rsa.PublicKey, userData [64]byte) []byte {
	keys := [][]byte{hclKey("HCLAkPub", "sign", ak)}
	if ek != nil {
		keys = append(keys, hclKey("HCLEkPub", "encrypt", ek))
	}
	yes := []byte("true")
	secureBoot := yes
	if h.SecureBootOff {
		secureBoot = []byte("false")
	}
	doc := object(
		member{"keys", array(keys)},
		member{"vm-configuration", object(member{"console-enabled", yes}, member{"root-cert-thumbprint", text("")}, member{"secure-boot", secureBoot},
			member{"tpm-enabled", yes}, member{"tpm-persisted", yes}, member{"vmUniqueId", text(h.VMID)})},
		member{"user-data", text(fmt.Sprintf("%X", userData))},
	)
	return h.edit(AzureRuntimeData, doc)
}

// hclKey is a key as the paravisor writes it; the order of the members is its.
func hclKey(kid, operation string, key *rsa.PublicKey) []byte {
	return object(member{"kid", text(kid)}, member{"key_ops", array([][]byte{text(operation)})}, member{"kty", text("RSA")},
		member{"e", binaryText(big4(key.E))}, member{"n", binaryText(key.N.Bytes())})
}

// reportData is what the hardware report says about runtime data: its SHA-256, then zeros.
func (h *AzureHost) reportData(runtime []byte) [64]byte {
	var data [64]byte
	digest := sha256.Sum256(runtime)
	copy(data[:], digest[:])
	return [64]byte(h.edit(AzureReportData, data[:]))
}

// Layout of a container (sev-snp.md section 4).
const (
	hclSize         = 2600 // of the NV index
	hclHardwareArea = 1184
	hclFixed        = 1236 // all that stands before the runtime data
	hclInnerHeader  = 20
	hclTypeSNP      = 2
	hclTypeTDX      = 4
)

// HCLReport is the content of NV index 01400001 of a vTPM with these keys, after the guest wrote userData into 01400002: 2600 bytes, a container with a
// hardware report and the runtime data that it vouches for (azure-guest.md section 1, sev-snp.md section 4). ek may be nil. With TrustedLaunch
// there is none.
func (h *AzureHost) HCLReport(ak, ek *rsa.PublicKey, userData [64]byte) ([]byte, error) {
	runtime := h.RuntimeData(ak, ek, userData)
	report, err := h.Report(h.reportData(runtime))
	if err != nil {
		return nil, err
	}
	if len(runtime) > hclSize-hclFixed {
		return nil, fmt.Errorf("runtime data of %d bytes: at most %d fit", len(runtime), hclSize-hclFixed)
	}
	kind := uint32(hclTypeSNP)
	if h.Isolation == AzureTdx {
		kind = hclTypeTDX
	}
	b := make([]byte, hclSize)
	copy(b, "HCLA")
	putAll32(b[4:], 2, uint32(hclFixed+len(runtime)), 2, 0) // version, size, request type, status
	copy(b[32:], report)
	putAll32(b[32+hclHardwareArea:], uint32(hclInnerHeader+len(runtime)), 1, kind, 1, uint32(len(runtime))) // size, version, type, SHA-256, size
	copy(b[hclFixed:], runtime)
	return b, nil
}

// putAll32 writes numbers, little-endian.
func putAll32(b []byte, numbers ...uint32) {
	for i, n := range numbers {
		binary.LittleEndian.PutUint32(b[4*i:], n)
	}
}
