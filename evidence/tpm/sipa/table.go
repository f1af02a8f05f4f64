package sipa

// form is how an element is written (tpm.md section 10.2).
type form uint8

const (
	formDropped form = iota // not written
	formB                   // boolean
	formO                   // boolean of one byte or more: logs give NOAUTHORITY 32
	formN                   // number
	formE                   // number with a name
	formT                   // text
	formX                   // bytes
	formR                   // structure, as bytes
	formC                   // container
	formS                   // state of DRTM: the verdict on its signature

	formArray = 0x80              // an array with one value per element, also of one element
	formXs    = formX | formArray // array of bytes
	formRs    = formR | formArray // array of structures
	formCs    = formC | formArray // array of containers
)

// row is a line of the table in tpm.md section 10.3: what policies call an element, and how it is written.
type row struct {
	name string
	form form
}

// smmLevel stands at the top level of the JSON, wherever it was measured.
const smmLevel ID = 0x000C0002

// lookup finds the row of an id; the zero row is that of all unknown ones.
func lookup(id ID) row {
	n := int(id & 0xFFFF)
	switch id >> 16 {
	case 0x4001:
		return aggregation(n)
	case 0x0002:
		return information(n)
	case 0x0004:
		return preOS(n)
	case 0x0005:
		return osParameter(n)
	case 0x0006:
		return authority(n)
	case 0x0007:
		return loadedModule(n)
	case 0x0009:
		return elam(n)
	case 0x000A:
		return vbsSetting(n)
	case 0x000C:
		return drtm(n)
	}
	return rare(id)
}

// aggregation has the containers that are measured.
func aggregation(n int) row {
	const size = 7
	if n >= size {
		return row{}
	}
	return [size]row{
		1: {"EVENT_TRUSTBOUNDARY", formC},
		2: {"EVENT_ELAM_AGGREGATION", formCs},
		3: {"EVENT_LOADEDMODULE_AGGREGATION", formCs},
		5: {"EVENT_KSR_AGGREGATION", formCs},
		6: {"EVENT_KSR_SIGNED_MEASUREMENT_AGGREGATION", formCs},
	}[n]
}

func information(n int) row {
	const size = 13
	if n >= size {
		return row{}
	}
	return [size]row{
		1:  {"EVENT_INFORMATION", formX},
		2:  {"EVENT_BOOTCOUNTER", formN},
		3:  {"EVENT_TRANSFER_CONTROL", formE},
		4:  {"EVENT_APPLICATION_RETURN", formX},
		5:  {"EVENT_BITLOCKER_UNLOCK", formE},
		6:  {"EVENT_EVENTCOUNTER", formN},
		7:  {"EVENT_COUNTERID", formN},
		8:  {"EVENT_MORBIT_NOT_CANCELABLE", formE},
		9:  {"EVENT_APPLICATION_SVN", formN},
		10: {"EVENT_SVN_CHAIN_STATUS", formE},
		11: {"EVENT_MORBIT_API_STATUS", formE},
		12: {"EVENT_IDK_GENERATION_STATUS", formE},
	}[n]
}

// preOS has the settings of the boot applications.
func preOS(n int) row {
	switch n {
	case 1:
		return row{"EVENT_BOOTDEBUGGING", formB}
	case 2:
		return row{"EVENT_BOOT_REVOCATION_LIST", formR}
	}
	return row{}
}

func osParameter(n int) row {
	const size = 0x41
	if n >= size {
		return row{}
	}
	return [size]row{
		0x01: {"EVENT_OSKERNELDEBUG", formB},
		0x02: {"EVENT_CODEINTEGRITY", formB},
		0x03: {"EVENT_TESTSIGNING", formB},
		0x04: {"EVENT_DATAEXECUTIONPREVENTION", formE},
		0x05: {"EVENT_SAFEMODE", formB},
		0x06: {"EVENT_WINPE", formB},
		0x07: {"EVENT_PHYSICALADDRESSEXTENSION", formE},
		0x08: {"EVENT_OSDEVICE", formE},
		0x09: {"EVENT_SYSTEMROOT", formT},
		0x0A: {"EVENT_HYPERVISOR_LAUNCH_TYPE", formE},
		0x0B: {"EVENT_HYPERVISOR_PATH", formT},
		0x0C: {"EVENT_HYPERVISOR_IOMMU_POLICY", formE},
		0x0D: {"EVENT_HYPERVISOR_DEBUG", formB},
		0x0E: {"EVENT_DRIVER_LOAD_POLICY", formE},
		0x0F: {"EVENT_SI_POLICY", formRs},
		0x10: {"EVENT_HYPERVISOR_MMIO_NX_POLICY", formE},
		0x11: {"EVENT_HYPERVISOR_MSR_FILTER_POLICY", formE},
		0x12: {"EVENT_VSM_LAUNCH_TYPE", formE},
		0x13: {"EVENT_OS_REVOCATION_LIST", formR},
		0x14: {"EVENT_SMT_STATUS", formE},
		0x20: {"EVENT_VSM_IDK_INFO", formR},
		0x21: {"EVENT_FLIGHTSIGNING", formB},
		0x22: {"EVENT_PAGEFILE_ENCRYPTION_ENABLED", formB},
		0x23: {"EVENT_VSM_IDKS_INFO", formR},
		0x24: {"EVENT_HIBERNATION_DISABLED", formB},
		0x25: {"EVENT_DUMPS_DISABLED", formB},
		0x26: {"EVENT_DUMP_ENCRYPTION_ENABLED", formB},
		0x27: {"EVENT_DUMP_ENCRYPTION_KEY_DIGEST", formX},
		0x28: {"EVENT_LSAISO_CONFIG", formE},
		0x29: {"EVENT_SBCP_INFO", formR},
		0x30: {"EVENT_HYPERVISOR_BOOT_DMA_PROTECTION", formB},
		0x31: {"EVENT_SI_POLICY_SIGNER", formRs},
		0x32: {"EVENT_SI_POLICY_UPDATE_SIGNER", formRs},
		0x33: {"EVENT_REFS_VOLUME_CHECKPOINT_RECORD_CHECKSUM", formX},
		0x34: {"EVENT_REFS_ROLLBACK_PROTECTION_FROZEN_VOLUME_CHECKSUM", formX},
		0x35: {"EVENT_REFS_ROLLBACK_PROTECTION_USER_PAYLOAD_HASH", formX},
		0x36: {"EVENT_REFS_ROLLBACK_PROTECTION_VERIFICATION_SUCCEEDED", formX},
		0x37: {"EVENT_REFS_ROLLBACK_PROTECTION_VOLUME_FIRST_EVER_MOUNT", formX},
		0x3A: {"EVENT_VSM_SEALED_SI_POLICY", formR},
		0x3B: {"EVENT_VSM_DRTM_KEYROLL_DETECTED", formR},
		0x3C: {"EVENT_VSM_SRTM_UNSEAL_POLICY", formR},
		0x3D: {"EVENT_VSM_SRTM_ANTI_ROLLBACK_COUNTER", formR},
		0x40: {"EVENT_VTL1_DUMP_CONFIG", formX},
	}[n]
}

func authority(n int) row {
	switch n {
	case 1:
		return row{"EVENT_NOAUTHORITY", formO}
	case 2:
		return row{"EVENT_AUTHORITYPUBKEY", formXs}
	}
	return row{}
}

func loadedModule(n int) row {
	const size = 0x10
	if n >= size {
		return row{}
	}
	return [size]row{
		0x1: {"EVENT_FILEPATH", formT},
		0x2: {"EVENT_IMAGESIZE", formN},
		0x3: {"EVENT_HASHALGORITHMID", formE},
		0x4: {"EVENT_AUTHENTICODEHASH", formX},
		0x5: {"EVENT_AUTHORITYISSUER", formT},
		0x6: {"EVENT_AUTHORITYSERIAL", formX},
		0x7: {"EVENT_IMAGEBASE", formN},
		0x8: {"EVENT_AUTHORITYPUBLISHER", formT},
		0x9: {"EVENT_AUTHORITYSHA1THUMBPRINT", formX},
		0xA: {"EVENT_IMAGEVALIDATED", formB},
		0xB: {"EVENT_MODULE_SVN", formN},
		0xC: {"EVENT_MODULE_PLUTON", formR},
		0xD: {"EVENT_MODULE_ORIGINAL_FILENAME", formT},
		0xE: {"EVENT_MODULE_VERSION", formN},
		0xF: {"EVENT_PUBLISHER_OEMNAME", formT},
	}[n]
}

// elam has the drivers that protect from malware early in the boot.
func elam(n int) row {
	const size = 5
	if n >= size {
		return row{}
	}
	return [size]row{
		1: {"EVENT_ELAM_KEYNAME", formT},
		2: {"EVENT_ELAM_CONFIGURATION", formX},
		3: {"EVENT_ELAM_POLICY", formX},
		4: {"EVENT_ELAM_MEASURED", formX},
	}[n]
}

func vbsSetting(n int) row {
	const size = 11
	if n >= size {
		return row{}
	}
	return [size]row{
		1:  {"EVENT_VBS_VSM_REQUIRED", formB},
		2:  {"EVENT_VBS_SECUREBOOT_REQUIRED", formB},
		3:  {"EVENT_VBS_IOMMU_REQUIRED", formB},
		4:  {"EVENT_VBS_MMIO_NX_REQUIRED", formB},
		5:  {"EVENT_VBS_MSR_FILTERING_REQUIRED", formB},
		6:  {"EVENT_VBS_MANDATORY_ENFORCEMENT", formB},
		7:  {"EVENT_VBS_HVCI_POLICY", formE},
		8:  {"EVENT_VBS_MICROSOFT_BOOT_CHAIN_REQUIRED", formB},
		9:  {"EVENT_VBS_DUMP_USES_AMEROOT", formB},
		10: {"EVENT_VBS_VSM_NOSECRETS_ENFORCED", formB},
	}[n]
}

func drtm(n int) row {
	const size = 5
	if n >= size {
		return row{}
	}
	return [size]row{
		1: {"EVENT_DRTM_STATE_AUTH", formS},
		2: {"EVENT_DRTM_SMM", formE}, // DRTM_SMM_LEVEL in the header
		3: {"EVENT_DRTM_AMD_SMM_HASH", formX},
		4: {"EVENT_DRTM_AMD_SMM_SIGNER_KEY", formX},
	}[n]
}

// rare has the errors and what no policy sees: elements that are not measured have names only for who asks.
func rare(id ID) row {
	switch id {
	case 0x00030001:
		return row{"ERROR_FIRMWAREFAILURE", formX}
	case 0x80030002:
		return row{"ERROR_TPMFAILURE", formDropped}
	case 0x00030003:
		return row{"ERROR_INTERNALFAILURE", formX}
	case 0x80030004:
		return row{"ERROR_KSRFAILURE", formDropped}
	case 0x00030005:
		return row{"ERROR_HYPERVISORFAILURE", formX}
	case 0x000B0001:
		return row{"EVENT_KSR_SIGNATURE", formR}
	case 0xC0010004:
		return row{"EVENT_TRUSTPOINT_AGGREGATION", formDropped}
	case 0x80080001:
		return row{"EVENT_QUOTE", formDropped}
	case 0x80080002:
		return row{"EVENT_QUOTESIGNATURE", formDropped}
	case 0x80080003:
		return row{"EVENT_AIKID", formDropped}
	case 0x80080004:
		return row{"EVENT_AIKPUBDIGEST", formDropped}
	}
	return row{}
}
