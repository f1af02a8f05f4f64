package explain

import (
	"slices"
	"strings"

	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

// windows tells the settings of Windows. One that was logged with different values counts with the worse one.
func (s *summary) windows() {
	if !slices.ContainsFunc(s.events, func(e Event) bool { return e.system }) {
		s.silent(aboutWindows, "none (BitLocker, test signing, debugging, code integrity, VBS): only Windows measures them, and no event is of Windows",
			optionsPCR, modulesPCR)
		return
	}
	if !s.covers(optionsPCR, modulesPCR) { // a setting may stand in either
		s.add(aboutWindows, Silent, "%s", s.doubt())
		return
	}
	for _, id := range []sipa.ID{sipa.BootDebugging, sipa.OSKernelDebug, sipa.HypervisorDebug, sipa.CodeIntegrity, sipa.TestSigning,
		sipa.FlightSigning, sipa.SafeMode, sipa.WinPE} {
		t, _ := switchOf(id)
		s.toggle(t, s.boot.Settings(id), s.claim(id))
	}
	s.value("DEP", sipa.DataExecutionPrevention)
	s.value("VBS", sipa.VSMLaunchType)
	s.required()
	s.value("HVCI", sipa.VBSHVCIPolicy)
	s.value("hypervisor", sipa.HypervisorLaunch)
	s.value(aboutBitlocker, sipa.BitlockerUnlock)
	s.value("code integrity policy", sipa.SIPolicy)
	s.value("antimalware driver", sipa.ELAMKeyName)
	s.modules()
}

// modules tells how many programs Windows loaded, who signed them, and which are not validated.
func (s *summary) modules() {
	loaded := map[string]bool{}
	var signers, bad []string
	for _, m := range s.boot.Settings(sipa.LoadedModule) {
		p := readModule(m.Element.Elements)
		if p.file == "" {
			continue // PCR 12 has the digests only
		}
		loaded[p.file] = true
		if p.signer != "" {
			signers = append(signers, p.signer)
		}
		if p.invalid {
			bad = append(bad, p.file)
		}
	}
	if len(loaded) == 0 {
		return
	}
	says := count(len(loaded), "program")
	if len(signers) > 0 {
		says += ", signed by " + enumerate(signers)
	}
	if len(bad) > 0 {
		says += ". NOT VALIDATED: " + enumerate(bad)
	}
	s.add("loaded by Windows", Measured, "%s", says)
}

// toggle tells a setting that is on or off.
func (s *summary) toggle(t toggle, found []measured.Setting, claim string) {
	if len(found) == 0 {
		s.add(t.name, Silent, "Windows did not say%s", claim)
		return
	}
	on := !t.bad
	for _, f := range found {
		if f.Element.Bool() == t.bad {
			on = t.bad
		}
	}
	s.add(t.name, Measured, "%s", strings.TrimPrefix(t.words(on), t.name+" is ")+claim)
}

// The PCRs of a dynamic launch that claims for policies rest on as well (tpm.md section 8).
const (
	launchDetailsPCR   = 19
	launchAuthorityPCR = 20
)

// claim says that a scalar claim about a setting is false whatever Windows measured, since a PCR that it rests on is not quoted.
func (s *summary) claim(id sipa.ID) string {
	pcrs := []int{launchDetailsPCR, launchAuthorityPCR}
	switch id {
	case sipa.VBSVSMRequired, sipa.VBSMandatoryEnforcement:
		pcrs = pcrs[:1]
	case sipa.BootDebugging, sipa.SafeMode, sipa.WinPE, sipa.VBSIOMMURequired:
	default:
		return ""
	}
	if s.covers(pcrs...) {
		return ""
	}
	return ". Policies take the worse for granted: the quote does not cover " + numbered(pcrs)
}

// value tells the different values of a setting.
func (s *summary) value(about string, id sipa.ID) {
	var values []string
	for _, f := range s.boot.Settings(id) {
		says := settingWords(f.Element)
		for _, name := range []string{bitlockerName, depName, vbsName, hypervisorName, hvciName, policyWords, antimalwareName} {
			says = strings.TrimPrefix(says, name)
		}
		values = append(values, says)
	}
	switch {
	case len(values) == 0 && (id == sipa.SIPolicy || id == sipa.ELAMKeyName): // not every machine has one
		return
	case len(values) == 0:
		s.add(about, Silent, "Windows did not say")
		return
	}
	s.add(about, Measured, "%s", enumerate(values))
}

// required tells what Windows must have to start with VBS.
func (s *summary) required() {
	var on []string
	rests := sipa.VBSVSMRequired
	for _, d := range []struct {
		id   sipa.ID
		name string
	}{
		{sipa.VBSVSMRequired, "VBS itself"}, {sipa.VBSMandatoryEnforcement, "a stop without it"}, {vbsSecureBoot, "Secure Boot"},
		{sipa.VBSIOMMURequired, "DMA protection (IOMMU)"}, {vbsMMIO, "MMIO protection"}, {vbsMSR, "MSR filtering"}, {vbsBootChain, "Microsoft's boot chain"},
	} {
		found := s.boot.Settings(d.id)
		if len(found) > 0 && d.id == sipa.VBSIOMMURequired {
			rests = d.id
		}
		if len(found) > 0 && !slices.ContainsFunc(found, func(f measured.Setting) bool { return !f.Element.Bool() }) {
			on = append(on, d.name)
		}
	}
	if len(on) > 0 {
		s.add("VBS demands", Measured, "%s%s", enumerate(on), s.claim(rests))
	}
}
