package explain

import (
	"strings"

	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

// toggle is a setting of Windows that is on or off. If it is alarming, bad is the state that somebody who relies on the machine would
// rather not see: it is written in capitals.
type toggle struct {
	name     string
	bad      bool
	alarming bool
}

// words says how the setting stands.
func (s toggle) words(on bool) string {
	state := "off"
	if on {
		state = "on"
	}
	if on == s.bad && s.alarming {
		state = strings.ToUpper(state)
	}
	return s.name + " is " + state
}

// switchOf finds a setting of Windows that is on or off (tpm.md section 10.3).
func switchOf(id sipa.ID) (toggle, bool) {
	switch id {
	case sipa.BootDebugging:
		return toggle{"boot debugging", true, true}, true
	case sipa.OSKernelDebug:
		return toggle{"kernel debugging", true, true}, true
	case sipa.HypervisorDebug:
		return toggle{"hypervisor debugging", true, true}, true
	case sipa.CodeIntegrity:
		return toggle{"code integrity", false, true}, true
	case sipa.TestSigning:
		return toggle{"test signing", true, true}, true
	case sipa.FlightSigning:
		return toggle{"flight signing", true, true}, true
	case sipa.SafeMode:
		return toggle{"safe mode", true, true}, true
	case sipa.WinPE:
		return toggle{"Windows PE", true, true}, true
	}
	return protection(id)
}

// What Windows may demand of a machine with VBS (tpm.md section 10.3).
const (
	vbsSecureBoot sipa.ID = 0x000A0002
	vbsMMIO       sipa.ID = 0x000A0004
	vbsMSR        sipa.ID = 0x000A0005
	vbsBootChain  sipa.ID = 0x000A0008
)

// protection finds a setting that protects the running system. None of them is bad by being off.
func protection(id sipa.ID) (toggle, bool) {
	names := map[sipa.ID]string{
		0x00050022: "encryption of the page file", 0x00050024: "prevention of hibernation",
		0x00050025: "prevention of dumps", 0x00050026: "encryption of dumps", 0x00050030: "DMA protection by the hypervisor",
		sipa.VBSVSMRequired: "a demand for virtualization-based security (VBS)", vbsSecureBoot: "a demand of VBS for Secure Boot",
		sipa.VBSIOMMURequired: "a demand of VBS for DMA protection (IOMMU)", vbsMMIO: "a demand of VBS for MMIO protection",
		vbsMSR: "a demand of VBS for MSR filtering", sipa.VBSMandatoryEnforcement: "mandatory enforcement of VBS",
		vbsBootChain: "a demand of VBS for Microsoft's boot chain",
	}
	name, ok := names[id]
	return toggle{name: name}, ok
}
