package explain

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
)

// What separators and texts of firmware mean (tpm-evidence.md sections 5 and 6).
const (
	separatorZero = "\x00\x00\x00\x00"
	separatorOnes = "\xFF\xFF\xFF\xFF"
	endOfBoot     = "WBCL"
	debugMode     = "UEFI Debug Mode"
	dmaDisabled   = "DMA Protection Disabled"

	partitionTable = "the partition table of the disk that was started from"

	driversPCR     = 2
	secureBootPCR  = 7
	commandsPCR    = 8
	bitlockerPCR   = 11
	optionsPCR     = 12
	modulesPCR     = 13
	authoritiesPCR = 14
)

// words says what an event means.
func (r *reader) words(e *Event) string {
	data := e.record.Data
	if e.told == dmaDisabled || e.told == debugMode {
		return action([]byte(e.told))
	}
	switch e.Type {
	case eventlog.NoAction:
		return noAction(data, e.PCR)
	case eventlog.Separator:
		return separator(data, e.PCR)
	case eventlog.Action, eventlog.EFIAction:
		return action(data)
	case eventlog.SCRTMVersion:
		return "the version of the firmware's first code is " + readVersion(data)
	case eventlog.VariableDriverConfig, eventlog.VariableBoot, eventlog.VariableBoot2, eventlog.VariableAuthority:
		return r.variable(e)
	case eventlog.EventTag:
		return r.tag(e)
	case eventlog.IPL:
		return loaderText(data, e.PCR)
	case eventlog.CompactHash:
		return compactHash(data, e.PCR)
	case eventlog.GPTEvent:
		return partitionTable + partitions(data)
	}
	return described(e.Type, data)
}

// described says what an event is whose data is a label at best.
func described(t eventlog.Type, data []byte) string {
	switch t.String() {
	case "EV_EFI_BOOT_SERVICES_APPLICATION":
		return "a program was started" + imageWords(data)
	case "EV_EFI_BOOT_SERVICES_DRIVER":
		return driverWords + imageWords(data)
	case "EV_EFI_RUNTIME_SERVICES_DRIVER":
		return "a driver that stays while the operating system runs was started" + imageWords(data)
	case "EV_EFI_PLATFORM_FIRMWARE_BLOB", "EV_POST_CODE":
		return "a part of the firmware" + blobWords(data, false)
	case "EV_EFI_PLATFORM_FIRMWARE_BLOB2":
		return "a part of the firmware" + blobWords(data, true)
	case "EV_EFI_HANDOFF_TABLES", "EV_EFI_HANDOFF_TABLES2":
		return "tables that the firmware hands to the operating system, such as SMBIOS"
	case "EV_S_CRTM_CONTENTS":
		return "the firmware's first code: " + quoted(data)
	case "EV_CPU_MICROCODE":
		return "microcode of the processor: " + quoted(data)
	case "EV_PLATFORM_CONFIG_FLAGS", "EV_TABLE_OF_DEVICES":
		return "settings of the machine: " + quoted(data)
	case "EV_NONHOST_INFO", "EV_NONHOST_CODE", "EV_NONHOST_CONFIG":
		if text := confidentialMachine(data); text != "" {
			return text
		}
		return "another processor of the machine, such as the management engine: " + quoted(data)
	case "EV_OMIT_BOOT_DEVICE_EVENTS":
		return "the firmware does not measure which boot devices it tries"
	case "UNKNOWN":
		return fmt.Sprintf("an event of the unknown type 0x%X: %s", uint32(t), quoted(data))
	}
	return "its data: " + quoted(data)
}

func imageWords(data []byte) string {
	i, ok := readImage(data)
	switch {
	case !ok:
		return "; what it says of it cannot be read"
	case i.file != "":
		return `: \` + i.file
	case i.from != "":
		return " from " + i.from
	}
	if i.size == 0 {
		return ": one without a path, which another one had in memory"
	}
	return fmt.Sprintf(": one without a path, which another one had in memory, %d bytes", i.size)
}

// confidentialMachine reads how Google's hosts say that they encrypt the memory of a virtual machine: a signature of 16 bytes, and a
// number of the technology (the structure of that name in google/go-eventlog).
func confidentialMachine(data []byte) string {
	rest, ok := bytes.CutPrefix(data, []byte("GCE NonHostInfo\x00"))
	if !ok || len(rest) == 0 {
		return ""
	}
	names := []string{"none", "AMD SEV", "AMD SEV-ES", "Intel TDX", "AMD SEV-SNP"}
	if int(rest[0]) >= len(names) {
		return fmt.Sprintf("%sof the unknown number %d", confidentialWords, rest[0])
	}
	return confidentialWords + names[rest[0]]
}

// confidentialWords begin what is said about the encryption of memory.
const confidentialWords = "Google's host says how it encrypts the memory of this virtual machine: "

func blobWords(data []byte, described bool) string {
	if text := readBlob(data, described); text != "" {
		return text
	}
	return ": " + quoted(data)
}

// noAction says what an event tells that is not measured.
func noAction(data []byte, pcr uint32) string {
	switch {
	case strings.HasPrefix(string(data), "Spec ID Event03"):
		return "describes the log: the crypto-agile form"
	case pcr == 0 && strings.HasPrefix(string(data), "StartupLocality\x00"):
		return fmt.Sprintf("the TPM was started from locality %x, with which PCR 0 begins", data[len("StartupLocality\x00"):])
	case pcr == eventlog.Outside:
		return "a note of the operating system beside what is measured, such as Windows' own quotes"
	}
	if maker, model, version := manifest(data); maker != "" {
		return fmt.Sprintf("where reference values are: manufacturer %s, model %s, firmware version %s", maker, model, version)
	}
	return "not measured: " + quoted(data)
}

// separator says what a separator ends.
func separator(data []byte, pcr uint32) string {
	switch text := string(data); {
	case text == endOfBoot && pcr >= optionsPCR && pcr <= authoritiesPCR:
		return fmt.Sprintf("Windows has started: what follows in PCR %d is not of its boot", pcr)
	case text == separatorZero, text == separatorOnes:
		if pcr == secureBootPCR {
			return "the Secure Boot settings are complete: what follows in PCR 7 is of boot loaders"
		}
		return "the firmware is done with this PCR and goes on to start an operating system"
	}
	return "the firmware tells of an error: " + quoted(data)
}

// action says what a text means that firmware measures.
func action(data []byte) string {
	switch text := strings.TrimRight(string(data), "\x00"); text {
	case "Calling EFI Application from Boot Option":
		return "the firmware starts a boot entry"
	case "Returning from EFI Application from Boot Option":
		return "the boot entry ended without an operating system: the firmware goes on to another"
	case "Exit Boot Services Invocation":
		return "the operating system takes the machine over from the firmware"
	case "Exit Boot Services Returned with Success":
		return "the operating system has taken over"
	case "Exit Boot Services Returned with Failure":
		return "the operating system could not take over yet"
	case debugMode:
		return "the FIRMWARE IS IN DEBUG MODE"
	case dmaDisabled:
		return "protection against devices that read and write memory (DMA) was OFF while the firmware ran"
	}
	return "the firmware notes " + quoted(data)
}

// What begins sentences that a summary gathers.
const (
	kernelWords = "the Linux kernel is started with "
	driverWords = "a driver of the firmware or of a card was started"
)

// loaderText says what a boot loader measured.
func loaderText(data []byte, pcr uint32) string {
	prefix, text := splitText(data)
	switch {
	case prefix == grubCommand:
		return "GRUB ran the command " + quoted(text)
	case prefix == kernelCommand:
		return kernelWords + quotedTo(text, shownCommand)
	case prefix == moduleCommand:
		return "GRUB loads " + quoted(text)
	case strings.HasPrefix(string(text), "Mok"):
		return shimWords(string(text))
	case wide(data) && (pcr == commandsPCR || pcr == optionsPCR): // older and newer systemd-boot
		return kernelWords + quotedTo([]byte(readText(data)), shownCommand)
	case wide(data):
		return "the boot loader measured the text " + quoted([]byte(readText(data)))
	case pcr == 9:
		return "the boot loader read the file " + quoted(text)
	}
	return "the boot loader measured " + quoted(text)
}

// wide reports whether data is text in UTF-16.
func wide(data []byte) bool {
	return len(data) > 3 && data[1] == 0 && data[3] == 0 && readText(data) != ""
}

// shimList begins what is said about what shim measures into PCR 14.
const shimList = "the boot loader shim measured "

// shimWords says what a variable of shim is for. The log has only a digest of it.
func shimWords(name string) string {
	switch name {
	case "MokList":
		return shimList + "MokList, the keys that the machine's owner added"
	case "MokListX":
		return shimList + "MokListX, the keys that the machine's owner forbade"
	case "MokListTrusted":
		return shimList + "MokListTrusted, whether the kernel is to trust those keys"
	case "MokSBState":
		return shimList + "MokSBState, with which the machine's owner can SWITCH OFF shim's checks of signatures"
	case "MokDBState":
		return shimList + "MokDBState, whether the keys of the firmware count"
	}
	return shimList + "its variable " + quoted([]byte(name))
}

// compactHash says what a short digest stands for.
func compactHash(data []byte, pcr uint32) string {
	if pcr == bitlockerPCR {
		return "Windows closes PCR 11, to which BitLocker binds the key of the disk: " + quoted(data)
	}
	return "the maker of the machine measured " + quoted(data)
}

// inPCR reports whether the event was extended into the PCR.
func (e *Event) inPCR(pcr uint32) bool {
	return e.PCR == pcr && pcr < tpm.PCRCount && e.record.Extended()
}
