package explain

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
	"github.com/assay-attestation/assay/internal/binread"
)

// The ids under which the boot code of Linux measures (tpm-evidence.md section 4.1).
const (
	linuxInitrd  = 0x8f3b22ec
	linuxOptions = 0x8f3b22ed
)

// tag says what an EV_EVENT_TAG means. Where Windows measures, it is elements of settings and of modules.
func (r *reader) tag(e *Event) string {
	data := e.record.Data
	if len(data) >= 8 {
		switch binary.LittleEndian.Uint32(data) {
		case linuxInitrd:
			return "the Linux kernel loaded an initial file system (initrd): " + quoted(data[8:])
		case linuxOptions:
			return "Linux' boot code measured the options of the kernel: " + quoted([]byte(readVersion(data[8:])))
		}
	}
	if e.PCR < optionsPCR || e.PCR > authoritiesPCR { // anybody can measure the like into another one
		return "tagged data: " + quoted(data)
	}
	elements, err := sipa.Parse(data, r.depth)
	switch {
	case err != nil || len(elements) == 0:
		return "tagged data: " + quoted(data)
	case e.late:
		return "after Windows' start, by whoever could write here: " + joined(elementWords(elements))
	}
	return "Windows: " + joined(elementWords(elements))
}

// maxSettings is how many settings one event is told to have. Those of real ones have some 30.
const maxSettings = 256

func joined(words []string) string {
	if len(words) > maxSettings {
		words = append(words[:maxSettings:maxSettings], fmt.Sprintf("and %d more", len(words)-maxSettings))
	}
	return strings.Join(words, "; ")
}

// elementWords says what elements mean, those in containers as well.
func elementWords(elements []sipa.Element) []string {
	var all []string
	var modules, keys []string
	for _, e := range elements {
		switch {
		case e.ID == sipa.LoadedModule:
			modules = append(modules, readModule(e.Elements).words())
		case e.ID == sipa.AuthorityKey:
			keys = append(keys, "")
		case len(e.Elements) > 0:
			all = append(all, elementWords(e.Elements)...)
		default:
			if text := settingWords(e); text != "" {
				all = append(all, text)
			}
		}
	}
	if len(modules) > 0 {
		all = append(all, "loaded "+enumerate(modules))
	}
	if len(keys) > 0 {
		all = append(all, count(len(keys), "key")+" that signed what Windows loaded")
	}
	if len(all) == 0 {
		all = append(all, "nothing that has a name")
	}
	return all
}

// module is a program that Windows loaded.
type module struct {
	file, signer string // empty: not told
	invalid      bool
}

func readModule(elements []sipa.Element) (m module) {
	sipa.Find(elements, sipa.FilePath, func(e sipa.Element) { m.file = e.Text() })
	sipa.Find(elements, sipa.AuthorityPublisher, func(e sipa.Element) { m.signer = e.Text() })
	sipa.Find(elements, sipa.ImageValidated, func(e sipa.Element) { m.invalid = m.invalid || !e.Bool() })
	return m
}

// words names the program.
func (m module) words() string {
	text := m.file
	if text == "" {
		text = "a program of which it gives only the digest here"
	}
	if m.signer != "" {
		text += ", signed by " + m.signer
	}
	if m.invalid {
		text += ", NOT VALIDATED"
	}
	return text
}

// What begins the sentences about settings that a summary has as well.
const (
	bitlockerName   = "BitLocker "
	depName         = "data execution prevention (DEP) is "
	vbsName         = "virtualization-based security (VBS): "
	hypervisorName  = "hypervisor: "
	hvciName        = "code integrity enforced by the hypervisor (HVCI): "
	policyWords     = "code integrity policy "
	antimalwareName = "antimalware driver "
)

// settingWords says what one element means.
func settingWords(e sipa.Element) string {
	if s, ok := switchOf(e.ID); ok {
		return s.words(e.Bool())
	}
	switch n, _ := e.Uint(); e.ID {
	case sipa.BitlockerUnlock:
		return bitlockerName + bitlockerWords(e)
	case sipa.DataExecutionPrevention:
		return depName + named(e)
	case sipa.VBSHVCIPolicy:
		return hvciName + named(e)
	case sipa.OSDevice:
		return "Windows is on " + named(e)
	case sipa.SystemRoot:
		return "Windows is in " + e.Text()
	case sipa.BootCounter:
		return fmt.Sprintf("boot counter %d", n)
	case sipa.HypervisorLaunch:
		return hypervisorName + launchWords(n)
	case sipa.VSMLaunchType:
		return vbsName + launchWords(n)
	case sipa.BootRevocationList, sipa.OSRevocationList:
		return "revocation list" + revocationDate(e.Payload)
	case sipa.SIPolicy:
		return policyWords + policyName(e.Payload)
	case sipa.ELAMKeyName:
		return antimalwareName + e.Text()
	}
	return otherWords(e)
}

// otherWords gives an element by the name that policies see.
func otherWords(e sipa.Element) string {
	name, ok := strings.CutPrefix(e.ID.String(), "EVENT_")
	switch n, number := e.Uint(); {
	case !ok:
		return ""
	case e.ValueName() != "":
		return name + " " + e.ValueName()
	case number:
		return fmt.Sprintf("%s %d", name, n)
	}
	return fmt.Sprintf("%s (%d bytes)", name, len(e.Payload))
}

func launchWords(n uint64) string {
	if n == 0 {
		return "off"
	}
	return fmt.Sprintf("started (launch type %d)", n)
}

// named is a value with the name it has for policies, or by itself.
func named(e sipa.Element) string {
	n, _ := e.Uint()
	if name := e.ValueName(); name != "" {
		return name
	}
	return fmt.Sprint(n)
}

// bitlockerWords says how the disk was unlocked.
func bitlockerWords(e sipa.Element) string {
	if n, _ := e.Uint(); n == 0 {
		return "unlocked nothing: the disk of Windows was not locked by it"
	}
	return "unlocked a disk by " + strings.NewReplacer("|", " and ", "TPM", "the TPM", "CACHED", "a key kept from before (CACHED)").Replace(named(e))
}

// revocationDate reads when a revocation list was made: FILETIME, 100 ns from 1601 on (tpm.md section 10.4).
func revocationDate(b []byte) string {
	c := binread.New(b)
	const ticks, epoch = 10_000_000, 11_644_473_600
	t := c.LE64("creation time")
	if c.Err() != nil || t == 0 {
		return " without a date"
	}
	return " of " + time.Unix(int64(t/ticks)-epoch, 0).UTC().Format(time.DateOnly)
}

// policyName reads the name of a code integrity policy (tpm.md section 10.4).
func policyName(b []byte) string {
	c := binread.New(b)
	c.LE64("version")
	size := c.LE16("length of name")
	c.LE16("hash")
	c.LE32("length of digest")
	name := c.Bytes("name", int(size))
	if c.Err() != nil {
		return "that cannot be read"
	}
	return sipa.DecodeText(name)
}

// isWindows reports whether an event is one by which Windows is known: tagged data that a digest covers, or the end of its
// boot phase. One bank is enough: settings that policies see must not go unsaid.
func (r *reader) isWindows(e *Event) bool {
	if !e.record.Extended() || e.PCR < optionsPCR || e.PCR > authoritiesPCR {
		return false
	}
	return e.told == endOfBoot || e.Type == eventlog.EventTag && r.anyHashes(e.record, e.record.Data)
}
