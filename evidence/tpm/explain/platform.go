package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
)

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
		case strings.HasPrefix(e.Says, confidentialWords):
			s.addOnce(aboutMemory, strings.TrimPrefix(e.Says, confidentialWords)+", says Google's host")
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

// drivers tells how many drivers were started before the operating system, and whether cards brought them.
func (s *summary) drivers() {
	cards, own, other := 0, 0, 0
	for _, e := range s.events {
		place, ok := strings.CutPrefix(e.Says, driverWords)
		switch {
		case !ok || !e.inPCR(driversPCR):
		case strings.HasSuffix(place, memoryPlace):
			cards++
		case strings.HasSuffix(place, firmwarePlace):
			own++
		default:
			other++
		}
	}
	var parts []string
	for _, part := range []struct {
		n    int
		from string
	}{{cards, memoryPlace}, {own, firmwarePlace}, {other, "elsewhere"}} {
		if part.n > 0 {
			parts = append(parts, count(part.n, "driver")+" from "+part.from)
		}
	}
	if len(parts) == 0 {
		s.add(aboutROMs, Silent, "no event of PCR 2 says that a driver was started, of a card or of the firmware")
		return
	}
	s.add(aboutROMs, Hint, "%s", strings.Join(parts, ", "))
}

// shim tells what the boot loader shim measured of its own: revocations, and the keys of the machine's owner.
func (s *summary) shim() {
	var lists []string
	for _, e := range s.events {
		if text, ok := strings.CutPrefix(e.Says, sbatWords); ok && e.inPCR(secureBootPCR) {
			basis := Hint
			if e.Covers == CoversData {
				basis = s.basis(secureBootPCR)
			}
			s.add(aboutShim, basis, "revocations (SBAT) %s", text)
		}
		if text, ok := strings.CutPrefix(e.Says, shimList); ok && e.inPCR(authoritiesPCR) {
			lists = append(lists, text)
		}
	}
	if len(lists) > 0 {
		s.add(aboutShim, Hint, "measured %s. The log has their digests only", enumerate(lists))
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
		if text, ok := strings.CutPrefix(e.Says, kernelWords); ok {
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
		s.byPathOrSigner()
	}
	if kernel != "" {
		s.add(aboutKernel, Hint, "command line: %s", kernel)
	}
}

// byPathOrSigner guesses the operating system by the names of boot loaders and of the keys that shim has of its maker.
func (s *summary) byPathOrSigner() {
	guesses := []struct{ about, part, name, by string }{
		{aboutLoaders, `\microsoft\boot\`, "Windows", byPath}, {aboutLoaders, `\ubuntu\`, "Ubuntu Linux", byPath},
		{aboutLoaders, `\debian\`, "Debian Linux", byPath}, {aboutLoaders, `\fedora\`, "Fedora Linux", byPath},
		{aboutLoaders, "systemd", "Linux", byPath}, {aboutLoaders, "shim", "Linux", byPath}, {aboutLoaders, "grub", "Linux", byPath},
		{aboutLoaders, "linux", "Linux", byPath}, {aboutSigners, "built into shim", "Linux", "by a key that is built into the boot loader shim"},
	}
	for _, g := range guesses {
		for _, f := range s.findings {
			if f.About == g.about && strings.Contains(strings.ToLower(f.Says), g.part) {
				s.add(aboutSystem, Hint, "probably %s, %s", g.name, g.by)
				return
			}
		}
	}
	s.add(aboutSystem, Silent, "no event tells it")
}

// byPath is why an operating system is guessed.
const byPath = "by the path of a boot loader"
