package explain_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/explain"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

// zeroSeparator ends what firmware measures into a PCR.
func zeroSeparator(pcr uint32) entry { return entry{pcr, eventlog.Separator, make([]byte, 4), nil} }

// off is the policy of a machine without Secure Boot.
func off(more ...entry) []entry {
	return append([]entry{
		{7, eventlog.VariableDriverConfig, variable(eventlog.GlobalVariable(), "SecureBoot", []byte{0}), nil}, zeroSeparator(7),
	}, more...)
}

// windowsBoot is what Windows measures, of these elements.
func windowsBoot(elements ...[]byte) []entry {
	return off(entry{12, eventlog.EventTag, slices.Concat(elements...), nil}, entry{12, eventlog.Separator, []byte("WBCL"), nil})
}

func manifestOf(texts ...string) []byte {
	b := append([]byte("SP800-155 Event3"), make([]byte, 20)...)
	for i, s := range texts {
		if i == 4 {
			b = append(b, 0, 0, 0, 0)
		}
		b = append(append(b, byte(len(s)+1)), s+"\x00"...)
	}
	return b
}

func TestSummaryTellsWhatEventsSay(t *testing.T) {
	loader := func(path string) entry {
		return entry{4, application, image(node(4, 4, wide(path)), node(0x7F, 0xFF, nil)), []byte("PE")}
	}
	for _, test := range []struct {
		name    string
		entries []entry
		about   string
		says    string
		basis   explain.Basis
	}{
		{"off", off(), "secure boot", "off: the variable SecureBoot is 00 (event 1)", explain.Measured},
		{"nothing measured", []entry{{0, eventlog.SCRTMVersion, []byte("1.0"), nil}}, "secure boot", "not told: nothing was measured", explain.Silent},
		{"no variable", []entry{zeroSeparator(7)}, "secure boot", "not told: PCR 7 has no variable", explain.Silent},
		{"no dbx", off(), "forbidden (dbx)", "the log does not have the list", explain.Silent},
		{"DMA", off(entry{7, eventlog.EFIAction, []byte("DMA Protection Disabled"), nil}), "DMA protection", "OFF", explain.Measured},
		{"DMA edited", off(entry{7, eventlog.EFIAction, []byte("DMA Protection Disabled"), []byte("x")}), "DMA protection", "no event says", explain.Silent},
		{"debug", []entry{{7, eventlog.EFIAction, []byte("UEFI Debug Mode"), nil}, zeroSeparator(7)}, "firmware debug mode", "ON", explain.Hint}, // refused
		{"version", off(entry{0, eventlog.SCRTMVersion, []byte("1.0"), nil}), "firmware", "version of its first code (CRTM): 1.0", explain.Measured},
		{"version edited", off(entry{0, eventlog.SCRTMVersion, []byte("1.0"), []byte("0.9")}), "firmware", "version of", explain.Hint},
		{"no version", off(), "firmware", "the log names no version", explain.Silent},
		{"version in another PCR", off(entry{3, eventlog.SCRTMVersion, []byte("1.0"), nil}), "firmware", "the log names no version", explain.Silent},
		{"machine", off(entry{0, eventlog.NoAction, manifestOf("Contoso", "Box", "1", "Fabrikam", "2.7"), nil}), "machine", "Contoso, Box, firmware 2.7", explain.Hint},
		{"machine cut off", off(entry{0, eventlog.NoAction, manifestOf("Contoso", "Box"), nil}), "firmware", "the log names no version", explain.Silent},
		{"loaders", off(loader(`\a.efi`), loader(`\b.efi`)), "boot loaders", `\a.efi; \b.efi`, explain.Hint},
		{"Ubuntu by its path", off(loader(`\EFI\ubuntu\shimx64.efi`)), "operating system", "probably Ubuntu Linux", explain.Hint},
		{"Windows by its path", off(loader(`\EFI\Microsoft\Boot\bootmgfw.efi`)), "operating system", "probably Windows", explain.Hint},
		{"no system", off(), "operating system", "no event tells it", explain.Silent},
		{"GRUB", off(entry{8, eventlog.IPL, []byte("grub_cmd: ls\x00"), []byte("ls")}), "operating system", "probably Linux", explain.Hint},
		{"Linux", off(entry{8, eventlog.IPL, []byte("kernel_cmdline: ro\x00"), []byte("ro")}), "kernel", `command line: "ro"`, explain.Hint},
		{"settings of no Windows", off(), "settings of Windows", "none", explain.Silent},
		{"Windows", windowsBoot(element(sipa.TestSigning, 0)), "operating system", "Windows", explain.Hint},
		{"test signing off", windowsBoot(element(sipa.TestSigning, 0)), "test signing", "off", explain.Measured},
		{"test signing both", windowsBoot(element(sipa.TestSigning, 1), element(sipa.TestSigning, 0)), "test signing", "ON", explain.Measured},
		{"code integrity both", windowsBoot(element(sipa.CodeIntegrity, 1), element(sipa.CodeIntegrity, 0)), "code integrity", "OFF", explain.Measured},
		{"silent on debugging", windowsBoot(element(sipa.TestSigning, 0)), "boot debugging", "Windows did not say", explain.Silent},
		{"DEP", windowsBoot(element(sipa.DataExecutionPrevention, 3, 0, 0, 0, 0, 0, 0, 0)), "DEP", "AlwaysOn", explain.Measured},
		{"VBS", windowsBoot(element(sipa.VSMLaunchType, 1, 0, 0, 0, 0, 0, 0, 0)), "VBS", "started (launch type 1)", explain.Measured},
		{"VBS demanded", windowsBoot(element(sipa.VBSVSMRequired, 1)), "VBS demands", "VBS itself", explain.Measured},
		{"HVCI", windowsBoot(element(sipa.VBSHVCIPolicy, 1, 0, 0, 0, 0, 0, 0, 0)), "HVCI", "HypervisorEnforcedCodeIntegrityEnable", explain.Measured},
		{"BitLocker by recovery", windowsBoot(element(sipa.BitlockerUnlock, 0x40, 0, 0, 0)), "BitLocker", "unlocked a disk by RECOVERY", explain.Measured},
		{"BitLocker by two", windowsBoot(element(sipa.BitlockerUnlock, 0x14, 0, 0, 0)), "BitLocker", "unlocked a disk by the TPM and PIN", explain.Measured},
	} {
		t.Run(test.name, func(t *testing.T) {
			findings, _ := summarize(t, logOf(t, test.entries...)) //nolint:errcheck // one is refused, as it should be
			if f := find(t, findings, test.about); !strings.HasPrefix(f.Says, test.says) || f.Basis != test.basis {
				t.Errorf("got %+v, want %q, %s", f, test.says, test.basis)
			}
		})
	}
}

// TestSettingsAfterTheBootDoNotCount has an administrator measure better ones than those of the boot.
func TestSettingsAfterTheBootDoNotCount(t *testing.T) {
	later := entry{12, eventlog.EventTag, element(sipa.TestSigning, 0), nil}
	findings, err := summarize(t, logOf(t, append(windowsBoot(element(sipa.BootDebugging, 0)), later)...))
	if f := find(t, findings, "test signing"); err != nil || f.Basis != explain.Silent {
		t.Errorf("%v: %+v", err, f)
	}
}

func TestDifferentEventsAreNoPair(t *testing.T) {
	boot := func(name, value string) entry {
		return entry{1, eventlog.VariableBoot, variable(eventlog.GlobalVariable(), name, []byte(value)), nil}
	}
	sbat := func(level string) entry {
		return entry{7, eventlog.VariableAuthority, variable(eventlog.Shim(), "SbatLevel", []byte(level)), nil}
	}
	shim := entry{7, eventlog.VariableAuthority, variable(eventlog.Shim(), "MokListTrusted", []byte{1}), nil}
	for _, test := range []struct {
		name string
		a, b entry
		want bool
	}{
		{"same variable", boot("BootOrder", "a"), boot("BootOrder", "b"), true},
		{"other variable", boot("Boot0001", "a"), boot("Boot0002", "a"), false},
		{"other PCR", zeroSeparator(1), zeroSeparator(2), false},
		{"SBAT", sbat("sbat,1"), sbat("sbat,2"), true},
		{"SBAT and keys", sbat("sbat,1"), shim, false},
		{"commands", entry{8, eventlog.IPL, []byte("grub_cmd: a"), nil}, entry{8, eventlog.IPL, []byte("grub_cmd: b"), nil}, false},
	} {
		e := explained(t, test.a, test.b)
		if got := explain.Pairs(&e[0], &e[1], eventlog.DefaultLimits()); got != test.want {
			t.Errorf("%s: got %v", test.name, got)
		}
		if test.want && explain.Change(&e[0], &e[1], eventlog.DefaultLimits()) == "" {
			t.Errorf("%s: the change is not told", test.name)
		}
	}
}
