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
	aboutShim       = "shim"
	aboutEntries    = "boot entries"
	aboutKernel     = "kernel"
	aboutOwner      = "owner of the keys (PK)"
	aboutChangers   = "may change the lists (KEK)"
	aboutAllowed    = "allowed to start (db)"
	aboutForbidden  = "forbidden (dbx)"
	aboutROMs       = "option ROMs"
	aboutMemory     = "encrypted memory"
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
	s.drivers()
	s.loaders()
	s.shim()
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
		s.add(aboutSecureBoot, Measured, "on: the variable SecureBoot is 01 (event %d), PK, KEK and db hold keys, %s. Firmware starts only what db allows", i+1, s.foundAllowed())
	default:
		_, why, _ := strings.Cut(s.events[i].Says, ": ")
		s.add(aboutSecureBoot, Measured, "off: %s (event %d). Firmware starts programs whoever signed them", why, i+1)
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
	s.list(aboutOwner, ownerWords, b.PK, "nobody: PK is empty, so that anybody may set the keys")
	s.list(aboutChangers, changersWords, b.KEK, "nobody but the owner: KEK is empty")
	s.list(aboutAllowed, allowedWords, b.DB, "nothing: db is empty")
	s.list(aboutForbidden, forbiddenWords, b.DBX, "empty: no known bad boot loader is forbidden")
}

// list tells what is in one of the lists of Secure Boot. words begin what is said about the event that has it.
func (s *summary) list(about, words string, entries []eventlog.Signature, empty string) {
	switch {
	case len(entries) > 0:
		s.add(about, Measured, "%s", signatureWords(entries))
	case slices.ContainsFunc(s.events, func(e Event) bool { return e.inPCR(secureBootPCR) && strings.HasPrefix(e.Says, words) }):
		s.add(about, Measured, "%s", empty)
	default:
		s.add(about, Silent, "the log does not have the list")
	}
}

// signer names who signed something.
func signer(text string) string { return strings.TrimPrefix(text, "signed by ") }

// signers tells what certificates firmware and boot loaders found what they started signed by.
func (s *summary) signers() {
	var names, hints []string
	for _, e := range s.events {
		text, ok := strings.CutPrefix(e.Says, "what was started is ")
		switch {
		case !ok || !e.inPCR(secureBootPCR):
		case e.Covers == CoversData && s.covers(secureBootPCR):
			names = append(names, signer(text))
		default:
			hints = append(hints, signer(text))
		}
	}
	if len(names) > 0 {
		s.add(aboutSigners, Measured, "%s", enumerate(names))
	}
	if hints = slices.DeleteFunc(hints, func(n string) bool { return slices.Contains(names, n) }); len(hints) > 0 {
		s.add(aboutSigners, Hint, "%s", enumerate(hints))
	}
	if len(names)+len(hints) == 0 {
		s.silent(aboutSigners, "no event says who signed what was started, as is usual while Secure Boot is off", secureBootPCR)
	}
}
