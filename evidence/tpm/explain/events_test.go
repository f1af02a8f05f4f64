package explain_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/explain"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

// The types of the TCG's table that package eventlog has no name for.
const (
	application eventlog.Type = 0x80000003
	blob        eventlog.Type = 0x80000008
	blob2       eventlog.Type = 0x8000000A
	unknown     eventlog.Type = 0x9999
)

func loadOption(name string, path ...[]byte) []byte {
	p := slices.Concat(path...)
	b := binary.LittleEndian.AppendUint16([]byte{1, 0, 0, 0}, uint16(len(p)))
	return slices.Concat(b, wide(name+"\x00"), p)
}

func TestEventsAreToldInWords(t *testing.T) {
	file, end := node(4, 4, wide(`\EFI\ubuntu\shimx64.efi`+"\x00")), node(0x7F, 0xFF, nil)
	global, two := eventlog.GlobalVariable(), binary.LittleEndian.AppendUint64(nil, 2)
	for _, test := range []struct {
		name  string
		entry entry
		want  string
	}{
		{"secure boot on", entry{7, eventlog.VariableDriverConfig, variable(global, "SecureBoot", []byte{1}), nil}, "Secure Boot is on"},
		{"secure boot off", entry{7, eventlog.VariableDriverConfig, variable(global, "SecureBoot", []byte{0}), nil}, "Secure Boot is off: the variable SecureBoot is 00"},
		{"secure boot of another vendor", entry{7, eventlog.VariableDriverConfig, variable(eventlog.Shim(), "SecureBoot", []byte{1}), nil}, `the setting "SecureBoot" of vendor`},
		{"dbx", entry{7, eventlog.VariableDriverConfig, variable(eventlog.ImageSecurity(), "dbx", hashes(1, 2)), nil}, "2 hashes"},
		{"broken dbx", entry{7, eventlog.VariableDriverConfig, variable(eventlog.ImageSecurity(), "dbx", []byte{1}), nil}, "a list that cannot be read"},
		{"boot loader", entry{4, application, image(file, end), []byte("PE")}, `a program was started: \EFI\ubuntu\shimx64.efi`},
		{"path in two nodes", entry{4, application, image(node(4, 4, wide(`\EFI`)), node(4, 4, wide(`boot.efi`)), end), []byte("PE")}, `: \EFI\boot.efi`},
		{"network", entry{4, application, image(node(3, 11, make([]byte, 33)), end), []byte("PE")}, "from a network card"},
		{"path cut off", entry{4, application, image(file[:9]), []byte("PE")}, "one without a path, which another one had in memory, 4711 bytes"},
		{"no image", entry{4, application, []byte{1}, []byte("PE")}, "cannot be read"},
		{"boot entry", entry{1, eventlog.VariableBoot, variable(global, "Boot0001", loadOption("ubuntu", file, end)), nil}, `boot entry Boot0001 is "ubuntu", which starts \EFI\ubuntu\shimx64.efi`},
		{"boot order", entry{1, eventlog.VariableBoot, variable(global, "BootOrder", []byte{1, 0, 0x0A, 0}), nil}, "Boot0001, Boot000A"},
		{"firmware version", entry{0, eventlog.SCRTMVersion, wide("N40ET41W\x00"), nil}, "is N40ET41W"},
		{"no firmware version", entry{0, eventlog.SCRTMVersion, []byte{0, 0}, nil}, "none: the text is empty"},
		{"firmware", entry{0, blob, slices.Concat(two, two), []byte("code")}, "2 bytes at address 0x2"},
		{"described firmware", entry{0, blob2, slices.Concat([]byte{3}, []byte("POS"), two, two), []byte("code")}, `"POS", 2 bytes at address 0x2`},
		{"kernel", entry{8, eventlog.IPL, []byte("kernel_cmdline: root=/dev/sda\x00"), []byte("root=/dev/sda")}, `the Linux kernel is started with "root=/dev/sda"`},
		{"DMA", entry{7, eventlog.EFIAction, []byte("DMA Protection Disabled"), nil}, "(DMA) was OFF"},
		{"debug", entry{7, eventlog.EFIAction, []byte("UEFI Debug Mode"), nil}, "DEBUG MODE"},
		{"end of Windows' boot", entry{12, eventlog.Separator, []byte("WBCL"), nil}, "Windows has started"},
		{"error", entry{7, eventlog.Separator, []byte{1, 0, 0, 0}, nil}, "error"},
		{"BitLocker", entry{12, eventlog.EventTag, element(sipa.BitlockerUnlock, 4, 0, 0, 0), nil}, "BitLocker unlocked a disk by the TPM"},
		{"test signing", entry{12, eventlog.EventTag, element(sipa.TestSigning, 0), nil}, "test signing is off"},
		{"bad test signing", entry{12, eventlog.EventTag, element(sipa.TestSigning, 1), nil}, "test signing is ON"},
		{"bad code integrity", entry{12, eventlog.EventTag, element(sipa.CodeIntegrity, 0), nil}, "code integrity is OFF"},
		{"good code integrity", entry{12, eventlog.EventTag, element(sipa.CodeIntegrity, 1), nil}, "code integrity is on"},
		{"revocation list", entry{12, eventlog.EventTag, element(sipa.OSRevocationList, 0, 0, 0, 0, 0, 0, 0, 1), nil}, "revocation list of 1829-05-05"},
		{"module", entry{13, eventlog.EventTag, element(sipa.LoadedModule, slices.Concat(element(sipa.FilePath, wide(`\w.sys`)...),
			element(sipa.AuthorityPublisher, wide("Contoso")...), element(sipa.ImageValidated, 0))...), nil}, `loaded \w.sys, signed by Contoso, NOT VALIDATED`},
		{"element that overruns", entry{12, eventlog.EventTag, []byte{1, 2, 3, 4, 5, 6, 7, 8}, nil}, "tagged data"},
		{"unknown", entry{2, unknown, []byte("x"), nil}, `the unknown type 0x9999: "x"`},
		{"nothing of a terminal", entry{2, unknown, []byte("\x1b[2J"), nil}, "bytes 1b5b324a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := explained(t, test.entry)[0].Says; !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q in it", got, test.want)
			}
		})
	}
}

// TestEventsTellWhatTheirDigestsCover follows the table of tpm-evidence.md section 4.2.
func TestEventsTellWhatTheirDigestsCover(t *testing.T) {
	boot := variable(eventlog.GlobalVariable(), "Boot0001", []byte("value"))
	shim := variable(eventlog.Shim(), "Shim", []byte("cert"))
	for _, test := range []struct {
		name  string
		entry entry
		want  explain.Covers
	}{
		{"data", entry{7, eventlog.EFIAction, []byte("x"), nil}, explain.CoversData},
		{"edited data", entry{7, eventlog.EFIAction, []byte("x"), []byte("y")}, explain.CoversOther},
		{"value of a boot variable", entry{1, eventlog.VariableBoot, boot, []byte("value")}, explain.CoversValue},
		{"value of another variable", entry{7, eventlog.VariableDriverConfig, boot, []byte("value")}, explain.CoversOther},
		{"text behind a prefix", entry{8, eventlog.IPL, []byte("grub_cmd: ls\x00"), []byte("ls")}, explain.CoversText},
		{"text with its prefix", entry{8, eventlog.IPL, []byte("grub_cmd: ls\x00"), []byte("grub_cmd: ls")}, explain.CoversOther},
		{"a file", entry{9, eventlog.IPL, []byte("/boot/vmlinuz\x00"), []byte("ELF")}, explain.CoversOther},
		{"all but the last byte", entry{7, eventlog.VariableAuthority, shim, shim[:len(shim)-1]}, explain.CoversMost},
		{"not extended", entry{7, eventlog.NoAction, []byte("x"), nil}, explain.CoversNothing},
		{"outside", entry{eventlog.Outside, eventlog.EventTag, []byte("x"), nil}, explain.CoversNothing},
	} {
		e := explained(t, test.entry)[0]
		if e.Covers != test.want {
			t.Errorf("%s: got %s, want %s", test.name, e.Covers, test.want)
		}
		if hint := test.want != explain.CoversData; e.Hint() != hint { // a name, a prefix or a byte is anybody's
			t.Errorf("%s: hint %v", test.name, e.Hint())
		}
	}
}

func TestLongTextsAreCut(t *testing.T) {
	e := explained(t, entry{8, eventlog.IPL, bytes.Repeat([]byte("x"), 100_000), nil})[0]
	if len(e.Says) > 500 || !strings.Contains(e.Says, "(100000 characters)") {
		t.Errorf("%d bytes: %.60s…", len(e.Says), e.Says)
	}
}

func TestChangeOfAListNamesWhatCameAndWent(t *testing.T) {
	dbx := func(values ...byte) explain.Event {
		return explained(t, entry{7, eventlog.VariableDriverConfig, variable(eventlog.ImageSecurity(), "dbx", hashes(values...)), nil})[0]
	}
	was, now := dbx(1, 2), dbx(2, 3, 4)
	if !explain.Pairs(&was, &now, eventlog.DefaultLimits()) {
		t.Fatal("two values of dbx are no pair")
	}
	want := "dbx had 2 entries, and has 3 entries (added: 2 hashes; removed: 1 hash)"
	if got := explain.Change(&was, &now, eventlog.DefaultLimits()); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	db := explained(t, entry{7, eventlog.VariableDriverConfig, variable(eventlog.ImageSecurity(), "db", hashes(1)), nil})[0]
	if explain.Pairs(&was, &db, eventlog.DefaultLimits()) {
		t.Error("db took the place of dbx")
	}
}

func TestChangeOfFirmwareNamesBothVersions(t *testing.T) {
	e := explained(t, entry{0, eventlog.SCRTMVersion, wide("1.0\x00"), nil}, entry{0, eventlog.SCRTMVersion, wide("1.1\x00"), nil})
	want := "the version of the firmware's first code was 1.0, and is 1.1"
	if got := explain.Change(&e[0], &e[1], eventlog.DefaultLimits()); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestProgramOfTheSameNameThatChangedIsTold(t *testing.T) {
	path := image(node(4, 4, wide(`\a.efi`)), node(0x7F, 0xFF, nil))
	e := explained(t, entry{4, application, path, []byte("old")}, entry{4, application, path, []byte("new")})
	if got := explain.Change(&e[0], &e[1], eventlog.DefaultLimits()); !explain.Pairs(&e[0], &e[1], eventlog.DefaultLimits()) ||
		!strings.Contains(got, "what was measured is not") {
		t.Errorf("got %q", got)
	}
}
