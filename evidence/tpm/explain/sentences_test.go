package explain_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

// certificate makes a self-signed certificate.
func certificate(t testing.TB, name pkix.Name) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: name}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// signatures writes an EFI_SIGNATURE_LIST of one entry.
func signatures(kind eventlog.GUID, data []byte) []byte {
	b := binary.LittleEndian.AppendUint32(kind[:], uint32(28+16+len(data)))
	b = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, 0), uint32(16+len(data)))
	return append(append(b, make([]byte, 16)...), data...)
}

// sentence is an event and all that is said of it.
type sentence struct {
	pcr  uint32
	kind eventlog.Type
	data string
	want string
}

func (s sentence) run(t *testing.T) {
	t.Helper()
	if got := explained(t, entry{s.pcr, s.kind, []byte(s.data), nil})[0].Says; got != s.want {
		t.Errorf("PCR %d, %v, %.60q:\ngot  %s\nwant %s", s.pcr, s.kind, s.data, got, s.want)
	}
}

// TestEverySentenceAboutFirmware has an event for each sentence. The types are those of tpm.md section 7.3, the texts of events those of the TCG PC
// Client Platform Firmware Profile.
func TestEverySentenceAboutFirmware(t *testing.T) {
	table := binary.LittleEndian.AppendUint64(append(make([]byte, 56), append(make([]byte, 15), append([]byte{1}, make([]byte, 20)...)...)...), 3)
	for _, test := range []sentence{
		{0, eventlog.NoAction, "StartupLocality\x00\x03", "the TPM was started from locality 03, with which PCR 0 begins"},
		{eventlog.Outside, eventlog.NoAction, "x", "a note of the operating system beside what is measured, such as Windows' own quotes"},
		{0, eventlog.NoAction, string(manifestOf("Contoso", "Box", "1", "Fabrikam", "2.7")), "where reference values are: manufacturer Contoso, model Box, firmware version 2.7"},
		{0, eventlog.NoAction, "hello", `not measured: "hello"`},
		{0, eventlog.Separator, "\x00\x00\x00\x00", "the firmware is done with this PCR and goes on to start an operating system"},
		{7, eventlog.Separator, "\xFF\xFF\xFF\xFF", "the Secure Boot settings are complete: what follows in PCR 7 is of boot loaders"},
		{13, eventlog.Separator, "WBCL", "Windows has started: what follows in PCR 13 is not of its boot"},
		{0, eventlog.Separator, "\x01\x00\x00\x00", "the firmware tells of an error: bytes 01000000"},
		{4, eventlog.EFIAction, "Calling EFI Application from Boot Option", "the firmware starts a boot entry"},
		{4, eventlog.EFIAction, "Returning from EFI Application from Boot Option", "the boot entry ended without an operating system: the firmware goes on to another"},
		{5, eventlog.EFIAction, "Exit Boot Services Invocation", "the operating system takes the machine over from the firmware"},
		{5, eventlog.EFIAction, "Exit Boot Services Returned with Success", "the operating system has taken over"},
		{5, eventlog.EFIAction, "Exit Boot Services Returned with Failure", "the operating system could not take over yet"},
		{7, eventlog.EFIAction, "UEFI Debug Mode", "the FIRMWARE IS IN DEBUG MODE"},
		{7, eventlog.EFIAction, "DMA Protection Disabled\x00", "protection against devices that read and write memory (DMA) was OFF while the firmware ran"},
		{4, eventlog.Action, "Hello", `the firmware notes "Hello"`},
		{0, eventlog.SCRTMVersion, "1.7.4\x00", "the version of the firmware's first code is 1.7.4"},
		{0, eventlog.SCRTMVersion, "", "the version of the firmware's first code is none: the text is empty"},
		{0, eventlog.SCRTMVersion, "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10", "the version of the firmware's first code is no text, but the GUID 04030201-0605-0807-090A-0B0C0D0E0F10, whose meaning its maker knows"},
		{0, eventlog.SCRTMVersion, "M60\x00\x02\x00", `the version of the firmware's first code is "M60", and further bytes (4d3630000200)`},
		{0, eventlog.SCRTMVersion, "\xFF\xFE\xFD", "the version of the firmware's first code is no text, but the bytes fffefd"},
		{5, eventlog.GPTEvent, string(table), "the partition table of the disk that was started from (disk 00000000-0000-0000-0000-000000000001, 3 in use)"},
		{5, eventlog.GPTEvent, "short", "the partition table of the disk that was started from"},
		{11, eventlog.CompactHash, "\x10\x00\x00\x00", "Windows closes PCR 11, to which BitLocker binds the key of the disk: bytes 10000000"},
		{6, eventlog.CompactHash, "Dell 1", `the maker of the machine measured "Dell 1"`},
		{2, 0x80000004, string(image(node(4, 8, make([]byte, 20)), node(0x7F, 0xFF, nil))), "a driver of the firmware or of a card was started from an option ROM of a card or another range of memory"},
		{2, 0x80000004, string(image(node(4, 7, make([]byte, 16)), node(4, 6, make([]byte, 16)), node(0x7F, 0xFF, nil))), "a driver of the firmware or of a card was started from the firmware's own volume"},
		{2, 0x80000005, string(image(node(4, 1, make([]byte, 38)), node(0x7F, 0xFF, nil))), "a driver that stays while the operating system runs was started from a partition"},
		{4, application, string(image(node(4, 2, make([]byte, 20)), node(0x7F, 0xFF, nil))), "a program was started from a CD"},
		{4, application, string(make([]byte, 32)), "a program was started: one without a path, which another one had in memory"},
		{4, application, "x", "a program was started; what it says of it cannot be read"},
		{0, blob, "ACPI DATA", `a part of the firmware: "ACPI DATA"`},
		{0, 1, "POST CODE", `a part of the firmware: "POST CODE"`},
		{1, 0x80000009, "x", "tables that the firmware hands to the operating system, such as SMBIOS"},
		{1, 0x8000000B, "x", "tables that the firmware hands to the operating system, such as SMBIOS"},
		{0, 7, "Boot Guard", `the firmware's first code: "Boot Guard"`},
		{1, 9, "rev 1", `microcode of the processor: "rev 1"`},
		{1, 0xA, "TME=1", `settings of the machine: "TME=1"`},
		{1, 0xB, "\x00", `settings of the machine: nothing`},
		{0, 0x11, "ME", `another processor of the machine, such as the management engine: "ME"`},
		{0, 0x11, "GCE NonHostInfo\x00\x03" + strings.Repeat("\x00", 15), "Google's host says how it encrypts the memory of this virtual machine: Intel TDX"},
		{0, 0x11, "GCE NonHostInfo\x00\x77", "Google's host says how it encrypts the memory of this virtual machine: of the unknown number 119"},
		{4, 0x12, "x", "the firmware does not measure which boot devices it tries"},
		{4, 0xE, "x", `its data: "x"`},
		{4, 0x9999, "x", `an event of the unknown type 0x9999: "x"`},
	} {
		test.run(t)
	}
}

// TestEverySentenceAboutBootLoaders has an event for each sentence.
func TestEverySentenceAboutBootLoaders(t *testing.T) {
	for _, test := range []sentence{
		{8, eventlog.IPL, "grub_cmd: ls\x00", `GRUB ran the command "ls"`},
		{8, eventlog.IPL, "module_cmdline: /initrd\x00", `GRUB loads "/initrd"`},
		{8, eventlog.IPL, "kernel_cmdline: ro\x00", `the Linux kernel is started with "ro"`},
		{12, eventlog.IPL, string(wide("quiet\x00")), `the Linux kernel is started with "quiet"`},
		{8, eventlog.IPL, string(wide("initrd=a")) + "\x00", `the Linux kernel is started with "initrd=a"`}, // as old systemd-boot has it
		{5, eventlog.IPL, string(wide("loader")), `the boot loader measured the text "loader"`},
		{9, eventlog.IPL, "/boot/vmlinuz\x00", `the boot loader read the file "/boot/vmlinuz"`},
		{4, eventlog.IPL, "x", `the boot loader measured "x"`},
		{14, eventlog.IPL, "MokList\x00", "the boot loader shim measured MokList, the keys that the machine's owner added"},
		{14, eventlog.IPL, "MokListX\x00", "the boot loader shim measured MokListX, the keys that the machine's owner forbade"},
		{14, eventlog.IPL, "MokListTrusted\x00", "the boot loader shim measured MokListTrusted, whether the kernel is to trust those keys"},
		{14, eventlog.IPL, "MokSBState\x00", "the boot loader shim measured MokSBState, with which the machine's owner can SWITCH OFF shim's checks of signatures"},
		{14, eventlog.IPL, "MokDBState\x00", "the boot loader shim measured MokDBState, whether the keys of the firmware count"},
		{14, eventlog.IPL, "MokNew\x00", `the boot loader shim measured its variable "MokNew"`},
		{9, eventlog.EventTag, "\xEC\x22\x3B\x8F\x02\x00\x00\x00hi", `the Linux kernel loaded an initial file system (initrd): "hi"`},
		{9, eventlog.EventTag, "\xED\x22\x3B\x8F\x04\x00\x00\x00r\x00o\x00", `Linux' boot code measured the options of the kernel: "ro"`},
	} {
		test.run(t)
	}
}

// TestEverySentenceAboutVariables has an event for each sentence about EFI variables.
func TestEverySentenceAboutVariables(t *testing.T) {
	named, nameless := certificate(t, pkix.Name{CommonName: "Contoso CA"}), certificate(t, pkix.Name{Organization: []string{"Contoso"}})
	global, security, shim, owner := eventlog.GlobalVariable(), eventlog.ImageSecurity(), eventlog.Shim(), make([]byte, 16)
	const config, boot, authority = eventlog.VariableDriverConfig, eventlog.VariableBoot, eventlog.VariableAuthority
	for _, test := range []sentence{
		{7, config, string(variable(global, "SecureBoot", nil)), "Secure Boot is off: the variable SecureBoot is empty"},
		{7, config, string(variable(global, "SecureBoot", []byte{1})), "Secure Boot is on: the variable SecureBoot is 01"},
		{7, config, string(variable(global, "SecureBoot", []byte{1, 0})), "Secure Boot is off: the variable SecureBoot is 0100"},
		{7, config, string(variable(global, "PK", signatures(eventlog.X509(), named))), "the owner of the machine's Secure Boot keys (PK): 1 certificate (Contoso CA)"},
		{7, config, string(variable(global, "KEK", signatures(eventlog.X509(), nameless))), "who may change what is allowed to start (KEK): 1 certificate (O=Contoso)"},
		{7, config, string(variable(security, "db", signatures(eventlog.X509(), []byte("no")))), "what is allowed to start (db): 1 certificate (a certificate that cannot be read)"},
		{7, config, string(variable(security, "dbx", append(hashes(1, 2), signatures(shim, []byte("rsa"))...))), "what is forbidden to start (dbx): 2 hashes, 1 other entry"},
		{7, config, string(variable(security, "dbx", nil)), "what is forbidden to start (dbx): empty"},
		{7, config, string(variable(security, "dbx", []byte{1})), "what is forbidden to start (dbx): a list that cannot be read"},
		{7, config, string(variable(global, "AuditMode", []byte{0})), "Secure Boot's AuditMode, in which what is forbidden starts as well, is off"},
		{1, boot, string(variable(global, "DeployedMode", []byte{1})), "Secure Boot's DeployedMode, in which only the owner of the keys changes the mode, is on"},
		{7, config, string(variable(global, "SetupMode", nil)), "Secure Boot's SetupMode, in which anybody may set the keys, is not set"},
		{7, config, string(variable(shim, "SetupMode", []byte{1})), `the setting "SetupMode" of vendor 605DAB50-E046-4300-ABB6-3DD810DD8B23: bytes 01`},
		{7, config, "x", `an EFI variable that cannot be read: "x"`},
		{7, authority, "x", `an EFI variable that cannot be read: "x"`},
		{7, authority, string(variable(security, "db", append(owner, named...))), "what was started is signed by Contoso CA (an entry of db)"},
		{7, authority, string(variable(shim, "Shim", named)) + "\x00\x00\x00\x00\x00\xAF", "what was started is signed by Contoso CA (built into shim)"}, // as shim pads it
		{7, authority, string(variable(shim, "MokList", named)), "what was started is signed by Contoso CA (added by the machine's owner, MokList)"},
		{7, authority, string(variable(shim, "vendor_db", named)), "what was started is signed by Contoso CA (vendor_db)"},
		{7, authority, string(variable(shim, "Other", signatures(eventlog.X509(), named))), "the list Other: 1 certificate (Contoso CA)"},
		{7, authority, string(variable(security, "db", slices.Repeat([]byte("x"), 48))), "what was started is allowed by an entry of db: \"" + strings.Repeat("x", 48) + `"`},
		{7, authority, string(variable(security, "db", nil)), "the list db, which is empty"},
		{7, authority, string(variable(shim, "SbatLevel", []byte("sbat,1\nshim,2\n"))), `revocations that the boot loader shim applies (SBAT): "sbat,1 shim,2"`},
		{7, authority, string(variable(shim, "MokListTrusted", []byte{1})), "shim trusts the keys that the machine's owner added (MokListTrusted): bytes 01"},
		{1, boot, string(variable(global, "BootOrder", []byte{1, 0, 10, 0})), "boot entries are tried in this order: Boot0001, Boot000A"},
		{1, boot, string(variable(global, "Boot0001", loadOption("Linux"))), `boot entry Boot0001 is "Linux"`},
		{1, boot, string(variable(global, "Boot0001", []byte{1})), "boot entry Boot0001 is nothing"},
		{1, eventlog.VariableBoot2, string(variable(global, "BootNext", []byte("1"))), `the setting "BootNext" of vendor 8BE4DF61-93CA-11D2-AA0D-00E098032B8C: "1"`},
	} {
		test.run(t)
	}
}

// policyElement is SI_POLICY of tpm.md section 10.4 with a name.
func policyElement(name string) []byte {
	n := wide(name)
	b := binary.LittleEndian.AppendUint16(make([]byte, 8), uint16(len(n)))
	return append(append(b, 0x0B, 0, 0, 0, 0, 0), n...)
}

// TestEverySentenceAboutSettingsOfWindows has an element for each sentence. Values and names are those of tpm.md section 10.3.
func TestEverySentenceAboutSettingsOfWindows(t *testing.T) {
	long := func(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }
	word := func(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }
	for _, test := range []struct {
		id   sipa.ID
		data []byte
		want string
	}{
		{sipa.BootDebugging, []byte{1}, "boot debugging is ON"}, {sipa.BootDebugging, []byte{0}, "boot debugging is off"},
		{sipa.OSKernelDebug, []byte{1}, "kernel debugging is ON"}, {sipa.HypervisorDebug, []byte{1}, "hypervisor debugging is ON"},
		{sipa.CodeIntegrity, []byte{0}, "code integrity is OFF"}, {sipa.CodeIntegrity, []byte{1}, "code integrity is on"},
		{sipa.TestSigning, []byte{1}, "test signing is ON"}, {sipa.FlightSigning, []byte{1}, "flight signing is ON"},
		{sipa.SafeMode, []byte{1}, "safe mode is ON"}, {sipa.WinPE, []byte{1}, "Windows PE is ON"},
		{0x00050022, []byte{0}, "encryption of the page file is off"}, {0x00050024, []byte{1}, "prevention of hibernation is on"},
		{0x00050025, []byte{1}, "prevention of dumps is on"}, {0x00050026, []byte{1}, "encryption of dumps is on"},
		{0x00050030, []byte{1}, "DMA protection by the hypervisor is on"}, {sipa.VBSVSMRequired, []byte{1}, "a demand for virtualization-based security (VBS) is on"},
		{0x000A0002, []byte{1}, "a demand of VBS for Secure Boot is on"}, {sipa.VBSIOMMURequired, []byte{1}, "a demand of VBS for DMA protection (IOMMU) is on"},
		{0x000A0004, []byte{1}, "a demand of VBS for MMIO protection is on"}, {0x000A0005, []byte{1}, "a demand of VBS for MSR filtering is on"},
		{sipa.VBSMandatoryEnforcement, []byte{1}, "mandatory enforcement of VBS is on"}, {0x000A0008, []byte{0}, "a demand of VBS for Microsoft's boot chain is off"},
		{sipa.BitlockerUnlock, word(0), "BitLocker unlocked nothing: the disk of Windows was not locked by it"},
		{sipa.BitlockerUnlock, word(1), "BitLocker unlocked a disk by a key kept from before (CACHED)"},
		{sipa.BitlockerUnlock, word(0x14), "BitLocker unlocked a disk by the TPM and PIN"},
		{sipa.BitlockerUnlock, word(0x10000000), "BitLocker unlocked a disk by 268435456"},
		{sipa.DataExecutionPrevention, long(3), "data execution prevention (DEP) is AlwaysOn"}, {sipa.DataExecutionPrevention, long(9), "data execution prevention (DEP) is 9"},
		{sipa.VBSHVCIPolicy, long(1), "code integrity enforced by the hypervisor (HVCI): HypervisorEnforcedCodeIntegrityEnable"},
		{sipa.OSDevice, word(0x10004), "Windows is on BLOCKIO_PARTITION"}, {sipa.SystemRoot, wide(`\Windows`), `Windows is in \Windows`},
		{sipa.BootCounter, long(7), "boot counter 7"}, {sipa.HypervisorLaunch, long(0), "hypervisor: off"},
		{sipa.HypervisorLaunch, long(1), "hypervisor: started (launch type 1)"}, {sipa.VSMLaunchType, long(0), "virtualization-based security (VBS): off"},
		{sipa.VSMLaunchType, long(1), "virtualization-based security (VBS): started (launch type 1)"},
		{sipa.BootRevocationList, long(131_576_832_000_000_000), "revocation list of 2017-12-14"}, {sipa.OSRevocationList, long(0), "revocation list without a date"},
		{sipa.SIPolicy, policyElement("Contoso"), "code integrity policy Contoso"},
		{sipa.SIPolicy, []byte{1}, "code integrity policy that cannot be read"},
		{sipa.ELAMKeyName, wide("Windows Defender"), "antimalware driver Windows Defender"},
		{0x00020003, word(1), "TRANSFER_CONTROL OSLOADER"}, {0x00050014, word(1), "SMT_STATUS 1"},
		{sipa.AuthorityKey, []byte("key"), "1 key that signed what Windows loaded"},
		{sipa.LoadedModule, element(sipa.AuthorityPublisher, wide("Contoso")...), "loaded a program of which it gives only the digest here, signed by Contoso"},
		{sipa.TrustBoundary, element(sipa.LoadedModule, element(sipa.FilePath, wide("a.sys")...)...), "loaded a.sys"},
		{0x40010007, nil, "nothing that has a name"},
	} {
		got := explained(t, entry{12, eventlog.EventTag, element(test.id, test.data...), nil})[0].Says
		if want := "Windows: " + test.want; got != want {
			t.Errorf("%v %x:\ngot  %s\nwant %s", test.id, test.data, got, want)
		}
	}
}
