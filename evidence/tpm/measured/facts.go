package measured

import (
	"slices"

	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

// The PCRs of a dynamic launch that Windows measures the same settings into.
const (
	launchDetailsPCR   = 19
	launchAuthorityPCR = 20
)

// Facts are the scalar claims that rest on events (tpm.md section 8), each false where a PCR that its rule reads is not
// quoted. PCR 19 and 20 are among them also without the log of a dynamic launch: they could be left out of the quote, and the log with them, to
// hide what was measured there.
type Facts struct {
	SecureBootEnabled, BootDebuggingDisabled, NotSafeMode, NotWinPE, VBSEnabled, IOMMUEnabled bool
}

// And is true where both are: for the boot before hibernation and the current one.
func (f Facts) And(g Facts) Facts {
	return Facts{
		f.SecureBootEnabled && g.SecureBootEnabled, f.BootDebuggingDisabled && g.BootDebuggingDisabled, f.NotSafeMode && g.NotSafeMode,
		f.NotWinPE && g.NotWinPE, f.VBSEnabled && g.VBSEnabled, f.IOMMUEnabled && g.IOMMUEnabled,
	}
}

// Facts gives the scalar claims. A setting that was logged with different values counts with the worse one.
func (b *Boot) Facts() Facts {
	all, vbs := []int{optionsPCR, modulesPCR, launchDetailsPCR, launchAuthorityPCR}, []int{optionsPCR, launchDetailsPCR}
	debugging, safe, pe := b.count(all, sipa.BootDebugging), b.count(all, sipa.SafeMode), b.count(all, sipa.WinPE)
	required, iommu := b.count(vbs, sipa.VBSVSMRequired, sipa.VBSMandatoryEnforcement), b.count(all, sipa.VBSIOMMURequired)
	return Facts{
		SecureBootEnabled:     b.secure.Enabled,
		BootDebuggingDisabled: debugging.no > 0 && debugging.yes == 0,
		NotSafeMode:           safe.known && safe.yes == 0,
		NotWinPE:              pe.known && pe.yes == 0,
		VBSEnabled:            required.yes > 0 && required.no == 0,
		IOMMUEnabled:          iommu.yes > 0 && iommu.no == 0,
	}
}

// tally is how often settings were logged as true and as false.
type tally struct {
	known   bool // all PCRs that were looked at are quoted
	yes, no int
}

// count counts the settings of the ids in the PCRs; nothing where one of the PCRs is not quoted.
func (b *Boot) count(pcrs []int, ids ...sipa.ID) (t tally) {
	if t.known = b.quoted.has(pcrs...); !t.known {
		return t
	}
	for _, id := range ids {
		for _, s := range b.Settings(id) {
			switch {
			case !slices.Contains(pcrs, int(s.PCR)):
			case s.Element.Bool():
				t.yes++
			default:
				t.no++
			}
		}
	}
	return t
}
