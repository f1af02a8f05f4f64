package explain

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

// Basis says what a finding rests on.
type Basis string

// What a finding rests on.
const (
	Measured Basis = "measured" // data that digests cover, and that the rules for policies accept
	Hint     Basis = "hint"     // labels that anybody could have written
	Silent   Basis = "silent"   // the log says nothing about it, which proves nothing
)

// Finding is a line of a summary.
type Finding struct {
	About string `json:"about"`
	Says  string `json:"says"` // it may quote what an attacker wrote
	Basis Basis  `json:"basis"`
}

// Boot is what the rules for policies made of the log: a [measured.Boot], or a [measured.Unquoted].
type Boot interface {
	SecureBoot() measured.SecureBoot
	Settings(sipa.ID) []measured.Setting
	Covers(pcr int) bool
}

// What findings are about. The names are stable.
const (
	aboutSecureBoot = "secure boot"
	aboutFirmware   = "firmware"
	aboutMachine    = "machine"
	aboutSystem     = "operating system"
	aboutLoaders    = "boot loaders"
	aboutSigners    = "signed by"
	aboutEntries    = "boot entries"
	aboutKernel     = "kernel"
	aboutKeys       = "keys of secure boot"
	aboutForbidden  = "forbidden (dbx)"
	aboutDMA        = "DMA protection"
	aboutDebug      = "firmware debug mode"
	aboutBitlocker  = "BitLocker"
	aboutWindows    = "settings of Windows"
)

// Summarize tells what a person asks first about a machine. boot is nil if the rules for policies refuse the log: then nothing
// counts as measured.
func Summarize(events []Event, boot Boot) []Finding {
	s := summary{events: events, boot: boot}
	s.secureBoot()
	s.keys()
	s.signers()
	s.firmware()
	s.loaders()
	s.system()
	s.windows()
	return s.findings
}

// Unknowable is what no log can tell, whatever it says.
func Unknowable() []string {
	return []string{
		"whether the log is of this machine and this boot: only a fresh quote by its TPM tells that",
		"what was loaded after the boot: drivers, programs and updates, without an IMA list",
		"which version and updates an operating system has, or what a digest of a program stands for: compare it with those of its maker",
		"whose a certificate is: it is called what its maker wrote into it",
		"what an administrator measured after the start: signers in PCR 7 and, where something else than Windows was started, its settings in PCR 12 to 14",
		"names and paths of programs: the digests are of the programs, and the names are labels (marked ~)",
	}
}

type summary struct {
	events   []Event
	boot     Boot
	findings []Finding
}

func (s *summary) add(about string, basis Basis, format string, args ...any) {
	s.findings = append(s.findings, Finding{about, fmt.Sprintf(format, args...), basis})
}

// covers reports whether the rules for policies accept the log, and the PCRs are quoted, or none is.
func (s *summary) covers(pcrs ...int) bool {
	return s.boot != nil && !slices.ContainsFunc(pcrs, func(pcr int) bool { return !s.boot.Covers(pcr) })
}

// basis is Measured where the PCR counts.
func (s *summary) basis(pcr int) Basis {
	if s.covers(pcr) {
		return Measured
	}
	return Hint
}

// doubt says why a PCR does not count.
func (s *summary) doubt() string {
	if s.boot == nil {
		return "NOT BELIEVED, since the log would be refused"
	}
	return "NOT BELIEVED, since the quote does not cover it"
}

// secureBoot tells the state of Secure Boot, and why.
func (s *summary) secureBoot() {
	i := slices.IndexFunc(s.events, func(e Event) bool {
		return e.inPCR(secureBootPCR) && e.Type == eventlog.VariableDriverConfig && strings.HasPrefix(e.Says, "Secure Boot is ")
	})
	switch {
	case i < 0 && s.boot == nil:
		s.add(aboutSecureBoot, Silent, "not told: no event of PCR 7 can be read as the variable SecureBoot")
	case i < 0 && !s.covers(secureBootPCR):
		s.silent(aboutSecureBoot, "not told: no event of PCR 7 is the variable SecureBoot", secureBootPCR)
	case i < 0 && !slices.ContainsFunc(s.events, func(e Event) bool { return e.inPCR(secureBootPCR) }):
		s.add(aboutSecureBoot, Silent, "not told: nothing was measured into PCR 7, which holds it. Policies take that for off")
	case i < 0:
		s.add(aboutSecureBoot, Silent, "not told: PCR 7 has no variable SecureBoot. Policies take that for off")
	case !s.covers(secureBootPCR):
		s.add(aboutSecureBoot, Hint, "%s; the log says: %s", s.doubt(), s.events[i].Says)
	case s.boot.SecureBoot().Enabled:
		s.add(aboutSecureBoot, Measured, "on: the variable SecureBoot is 01 (event %d), PK, KEK and db hold keys, %s", i+1, s.foundAllowed())
	default:
		_, why, _ := strings.Cut(s.events[i].Says, ": ")
		s.add(aboutSecureBoot, Measured, "off: %s (event %d)", why, i+1)
	}
	s.firmwareState()
}

// foundAllowed says whether what was started was found allowed by db. Boot loaders measure what their own keys allow beside it.
func (s *summary) foundAllowed() string {
	b := s.boot.SecureBoot()
	for _, found := range b.Authorities {
		if slices.ContainsFunc(b.DB, func(e eventlog.Signature) bool { return bytes.Equal(e.Data, found.Data) }) {
			return "and some image was found allowed by an entry of db"
		}
	}
	return "but no image was found allowed by an entry of db"
}

// firmwareState tells what actions in PCR 7 say, which are there only if something is wrong. A log that the rules for policies accept has no
// debug mode.
func (s *summary) firmwareState() {
	dma, debug := s.toldIn7(dmaDisabled), s.toldIn7(debugMode)
	switch {
	case dma == 0:
		s.silent(aboutDMA, "no event says that it was off; firmware that does not know it says nothing either", secureBootPCR)
	case s.covers(secureBootPCR) && s.boot.SecureBoot().DMAProtectionDisabled:
		s.add(aboutDMA, Measured, "OFF while the firmware ran: event %d says so", dma)
	default:
		s.add(aboutDMA, Hint, "OFF while the firmware ran: event %d says so", dma)
	}
	if debug == 0 {
		s.silent(aboutDebug, "no event says that it is on; firmware must measure one if it is", secureBootPCR)
		return
	}
	s.add(aboutDebug, Hint, "ON: event %d says so", debug)
}

// toldIn7 is the number of the first event of PCR 7 whose digest is of the text, 0 without.
func (s *summary) toldIn7(text string) int {
	return 1 + slices.IndexFunc(s.events, func(e Event) bool { return e.inPCR(secureBootPCR) && e.told == text })
}

// silent says what a log does not tell, and of what PCRs: events of one that is not quoted can have been left out.
func (s *summary) silent(about, says string, pcrs ...int) {
	if s.boot != nil && !s.covers(pcrs...) {
		says += ". That proves nothing at all: the quote does not cover " + numbered(pcrs)
	}
	s.add(about, Silent, "%s", says)
}

func numbered(pcrs []int) string {
	var all []string
	for _, pcr := range pcrs {
		all = append(all, strconv.Itoa(pcr))
	}
	return "PCR " + strings.Join(all, " and ")
}

// keys tells who may change what may start, and what is forbidden.
func (s *summary) keys() {
	if !s.covers(secureBootPCR) {
		return
	}
	b := s.boot.SecureBoot()
	if len(b.PK)+len(b.KEK)+len(b.DB) > 0 {
		s.add(aboutKeys, Measured, "PK: %s. KEK: %s. db: %s", signatureWords(b.PK), signatureWords(b.KEK), signatureWords(b.DB))
	} else {
		s.add(aboutKeys, Measured, "none: PK, KEK and db are empty or were not measured")
	}
	switch {
	case !slices.ContainsFunc(s.events, func(e Event) bool {
		return e.inPCR(secureBootPCR) && strings.HasPrefix(e.Says, "what is forbidden to start (dbx)")
	}):
		s.add(aboutForbidden, Silent, "the log has no dbx")
		return
	case len(b.DBX) == 0:
		s.add(aboutForbidden, Measured, "empty: no known bad boot loader is forbidden")
		return
	}
	s.add(aboutForbidden, Measured, "%s", signatureWords(b.DBX))
}

// signers tells what certificates firmware and boot loaders found what they started signed by.
func (s *summary) signers() {
	var names, hints []string
	for _, e := range s.events {
		text, ok := strings.CutPrefix(e.Says, "what was started is ")
		switch {
		case !ok || !e.inPCR(secureBootPCR):
		case e.Covers == CoversData && s.covers(secureBootPCR):
			names = append(names, strings.TrimPrefix(text, "signed by "))
		default:
			hints = append(hints, strings.TrimPrefix(text, "signed by "))
		}
	}
	if len(names) > 0 {
		s.add(aboutSigners, Measured, "%s", enumerate(names))
	}
	if len(hints) > 0 {
		s.add(aboutSigners, Hint, "%s", enumerate(hints))
	}
	if len(names)+len(hints) == 0 {
		s.silent(aboutSigners, "no event says who signed what was started", secureBootPCR)
	}
}

// firmware tells versions and makers.
func (s *summary) firmware() {
	found := false
	for _, e := range s.events {
		switch {
		case e.Type == eventlog.SCRTMVersion && e.inPCR(0):
			basis := Hint
			if e.Covers == CoversData && !e.late {
				basis = s.basis(0)
			}
			s.add(aboutFirmware, basis, "version of its first code (CRTM): %s", readVersion(e.record.Data))
			found = true
		case e.Type == eventlog.NoAction:
			if maker, model, version := manifest(e.record.Data); maker != "" {
				s.addOnce(aboutMachine, fmt.Sprintf("%s, %s, firmware %s", maker, model, version))
			}
		}
	}
	if !found {
		s.add(aboutFirmware, Silent, "the log names no version")
	}
}

// addOnce adds a hint that is not there yet.
func (s *summary) addOnce(about, says string) {
	if f := (Finding{about, says, Hint}); !slices.Contains(s.findings, f) {
		s.findings = append(s.findings, f)
	}
}

// loaders tells what was started, from where, and what the boot menu has.
func (s *summary) loaders() {
	var started, entries []string
	for _, e := range s.events {
		switch {
		case e.Type.String() == "EV_EFI_BOOT_SERVICES_APPLICATION":
			_, name, _ := strings.Cut(e.Says, "was started")
			started = append(started, strings.TrimLeft(name, ":, "))
		case strings.HasPrefix(e.Says, "boot entry Boot"):
			entries = append(entries, strings.TrimPrefix(e.Says, "boot entry "))
		}
	}
	if len(started) > 0 {
		s.add(aboutLoaders, Hint, "%s", enumerate(started))
	} else {
		s.add(aboutLoaders, Silent, "no event says that one was started")
	}
	if len(entries) > 0 {
		s.add(aboutEntries, Hint, "%s", enumerate(entries))
	}
}

// system tells what kind of operating system was started. All of it are hints: what was started is in PCR 4, and whoever administers one
// system can measure what another would have.
func (s *summary) system() {
	kernel, windows, linux := "", false, false
	for i := range s.events {
		e := &s.events[i]
		windows = windows || e.system
		linux = linux || strings.HasPrefix(e.Says, "GRUB ") || strings.HasPrefix(e.Says, "Linux' boot code ") ||
			strings.HasPrefix(e.Says, "the Linux kernel loaded ")
		if text, ok := strings.CutPrefix(e.Says, "the Linux kernel is started with "); ok {
			kernel = text
		}
	}
	switch {
	case windows && (linux || kernel != ""):
		s.add(aboutSystem, Hint, "of two: a boot loader measured Linux, and PCR 12 to 14 have settings as Windows measures them, which an administrator can write too")
	case windows:
		s.add(aboutSystem, Hint, "Windows, by the settings in PCR 12 to 14, if the boot loader is its own: an administrator of another system can write them too")
	case kernel != "":
		s.add(aboutSystem, Hint, "Linux, by what the boot loader measured")
	case linux:
		s.add(aboutSystem, Hint, "probably Linux, by what the boot loader measured")
	default:
		s.bySignerOrPath()
	}
	if kernel != "" {
		s.add(aboutKernel, Hint, "command line: %s", kernel)
	}
}

// bySignerOrPath guesses the operating system by the names of boot loaders.
func (s *summary) bySignerOrPath() {
	guesses := []struct{ part, name string }{
		{`\microsoft\boot\`, "Windows"}, {`\ubuntu\`, "Ubuntu Linux"}, {`\debian\`, "Debian Linux"}, {`\fedora\`, "Fedora Linux"}, {"systemd", "Linux"},
		{"shim", "Linux"}, {"grub", "Linux"}, {"linux", "Linux"},
	}
	for _, f := range s.findings {
		for _, g := range guesses {
			if f.About == aboutLoaders && strings.Contains(strings.ToLower(f.Says), g.part) {
				s.add(aboutSystem, Hint, "probably %s, by the path of a boot loader", g.name)
				return
			}
		}
	}
	s.add(aboutSystem, Silent, "no event tells it")
}

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
		for _, name := range []string{"BitLocker ", "data execution prevention (DEP) is ", "virtualization-based security (VBS) is ", "hypervisor is ",
			"code integrity enforced by the hypervisor (HVCI): "} {
			says = strings.TrimPrefix(says, name)
		}
		values = append(values, says)
	}
	if len(values) == 0 {
		s.add(about, Silent, "Windows did not say")
		return
	}
	s.add(about, Measured, "%s", enumerate(values))
}

// required tells what VBS must have.
func (s *summary) required() {
	var on []string
	rests := sipa.VBSVSMRequired
	for _, id := range []sipa.ID{sipa.VBSVSMRequired, sipa.VBSMandatoryEnforcement, sipa.VBSIOMMURequired} {
		t, _ := switchOf(id)
		for _, f := range s.boot.Settings(id) {
			on, rests = append(on, t.words(f.Element.Bool())), id
		}
	}
	if len(on) > 0 {
		s.add("VBS demands", Measured, "%s%s", enumerate(on), s.claim(rests))
	}
}
