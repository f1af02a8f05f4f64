package eventlog

import "strconv"

// Type is the type of an event. It is not covered by the digest: anybody can change it.
type Type uint32

// The types that have a meaning here; the others have names only (tpm.md section 7.3).
const (
	NoAction             Type = 0x3
	Separator            Type = 0x4
	Action               Type = 0x5
	EventTag             Type = 0x6
	SCRTMVersion         Type = 0x8
	CompactHash          Type = 0xC
	IPL                  Type = 0xD
	VariableDriverConfig Type = 0x80000001
	VariableBoot         Type = 0x80000002
	GPTEvent             Type = 0x80000006
	EFIAction            Type = 0x80000007
	VariableBoot2        Type = 0x8000000C
	VariableAuthority    Type = 0x800000E0
)

// Where the ranges of numbers begin that are named by one table each.
const (
	firstTXT Type = 0x400
	firstAMD Type = 0x8000
	firstHSP Type = 0x8200
	firstARM Type = 0x9000
	firstEFI Type = 0x80000000
)

// String is the name in the claim events, such as EV_SEPARATOR, or UNKNOWN for a type that the table of tpm.md section 7.3
// does not have.
func (t Type) String() string {
	name := ""
	switch {
	case t >= firstEFI:
		name = t.efi()
	case t >= firstARM:
		name = t.arm()
	case t >= firstHSP:
		name = t.hsp()
	case t >= firstAMD:
		name = t.amd()
	case t >= firstTXT:
		name = t.txt()
	default:
		name = t.pc()
	}
	if name == "" {
		return "UNKNOWN"
	}
	return name
}

// pc names the types of the TCG's specifications for PCs without EFI.
func (t Type) pc() string {
	switch t {
	case 0x0:
		return "EV_PREBOOT_CERT"
	case 0x1:
		return "EV_POST_CODE"
	case 0x2:
		return "EV_UNUSED"
	case 0x3:
		return "EV_NO_ACTION"
	case 0x4:
		return "EV_SEPARATOR"
	case 0x5:
		return "EV_ACTION"
	case 0x6:
		return "EV_EVENT_TAG"
	case 0x7:
		return "EV_S_CRTM_CONTENTS"
	case 0x8:
		return "EV_S_CRTM_VERSION"
	case 0x9:
		return "EV_CPU_MICROCODE"
	case 0xA:
		return "EV_PLATFORM_CONFIG_FLAGS"
	case 0xB:
		return "EV_TABLE_OF_DEVICES"
	case 0xC:
		return "EV_COMPACT_HASH"
	case 0xD:
		return "EV_IPL"
	case 0xE:
		return "EV_IPL_PARTITION_DATA"
	case 0xF:
		return "EV_NONHOST_CODE"
	case 0x10:
		return "EV_NONHOST_CONFIG"
	case 0x11:
		return "EV_NONHOST_INFO"
	case 0x12:
		return "EV_OMIT_BOOT_DEVICE_EVENTS"
	}
	return ""
}

// efi names those of EFI firmware.
func (t Type) efi() string {
	switch t {
	case 0x80000001:
		return "EV_EFI_VARIABLE_DRIVER_CONFIG"
	case 0x80000002:
		return "EV_EFI_VARIABLE_BOOT"
	case 0x80000003:
		return "EV_EFI_BOOT_SERVICES_APPLICATION"
	case 0x80000004:
		return "EV_EFI_BOOT_SERVICES_DRIVER"
	case 0x80000005:
		return "EV_EFI_RUNTIME_SERVICES_DRIVER"
	case 0x80000006:
		return "EV_EFI_GPT_EVENT"
	case 0x80000007:
		return "EV_EFI_ACTION"
	case 0x80000008:
		return "EV_EFI_PLATFORM_FIRMWARE_BLOB"
	case 0x80000009:
		return "EV_EFI_HANDOFF_TABLES"
	case 0x8000000A:
		return "EV_EFI_PLATFORM_FIRMWARE_BLOB2"
	case 0x8000000B:
		return "EV_EFI_HANDOFF_TABLES2"
	case 0x8000000C:
		return "EV_EFI_VARIABLE_BOOT2"
	case 0x80000010:
		return "EV_EFI_HCRTM_EVENT"
	case 0x800000E0:
		return "EV_EFI_VARIABLE_AUTHORITY"
	case 0x800000E1:
		return "EV_EFI_SPDM_FIRMWARE_BLOB"
	case 0x800000E2:
		return "EV_EFI_SPDM_FIRMWARE_CONFIG"
	}
	return ""
}

// txt names those of Intel TXT.
func (t Type) txt() string {
	switch t {
	case 0x401:
		return "EV_TXT_PCR_MAPPING"
	case 0x402:
		return "EV_TXT_HASH_START"
	case 0x403:
		return "EV_TXT_COMBINED_HASH"
	case 0x404:
		return "EV_TXT_MLE_HASH"
	case 0x40A:
		return "EV_TXT_BIOSAC_REG_DATA"
	case 0x40B:
		return "EV_TXT_CPU_SCRTM_STAT"
	case 0x40C:
		return "EV_TXT_LCP_CONTROL_HASH"
	case 0x40D:
		return "EV_TXT_ELEMENTS_HASH"
	case 0x40E:
		return "EV_TXT_STM_HASH"
	case 0x40F:
		return "EV_TXT_OSSINITDATA_CAP_HASH"
	case 0x410:
		return "EV_TXT_SINIT_PUBKEY_HASH"
	case 0x411:
		return "EV_TXT_LCP_HASH"
	case 0x412:
		return "EV_TXT_LCP_DETAILS_HASH"
	case 0x413:
		return "EV_TXT_LCP_AUTHORITIES_HASH"
	case 0x414:
		return "EV_TXT_NV_INFO_HASH"
	case 0x415:
		return "EV_TXT_COLD_BOOT_BIOS_HASH"
	case 0x416:
		return "EV_TXT_KM_HASH"
	case 0x417:
		return "EV_TXT_BPM_HASH"
	case 0x418:
		return "EV_TXT_KM_INFO_HASH"
	case 0x419:
		return "EV_TXT_BPM_INFO_HASH"
	case 0x41A:
		return "EV_TXT_BOOT_POL_HASH"
	case 0x4FE:
		return "EV_TXT_RANDOM_VALUE"
	case 0x4FF:
		return "EV_TXT_CAP_VALUE"
	}
	return ""
}

// amd names those of AMD's Secure Launch.
func (t Type) amd() string {
	switch t {
	case 0x8001:
		return "EV_AMD_SL_LOAD"
	case 0x8002:
		return "EV_AMD_SL_PSP_FW_SPLT"
	case 0x8003:
		return "EV_AMD_SL_TSME_RB_FUSE"
	case 0x8004:
		return "EV_AMD_SL_PUB_KEY"
	case 0x8005:
		return "EV_AMD_SL_SVN"
	case 0x8006:
		return "EV_AMD_SL_LOAD_1"
	case 0x8007:
		return "EV_AMD_SL_SEPARATOR"
	}
	return ""
}

// hsp names those of AMD's security processor (HSP, Pluton), as wbcl.h of the Windows SDK does.
func (t Type) hsp() string {
	const firstABL, firstVBL, firstRIB = 0x820A, 0x823C, 0x8257
	switch {
	case t >= firstABL && t < firstABL+48:
		return "EV_AMD_ABL_" + strconv.Itoa(int(t-firstABL)+1)
	case t >= firstVBL && t < firstVBL+10:
		return "EV_AMD_VBL_" + strconv.Itoa(int(t-firstVBL)+1)
	case t >= firstRIB && t < firstRIB+16:
		return "EV_AMD_PSP_DF_RIB" + strconv.Itoa(int(t-firstRIB))
	case t > firstVBL && t < firstRIB:
		return t.hspFirmware()
	}
	switch t {
	case 0x8201:
		return "EV_AMD_SPL_TABLE_ROM"
	case 0x8202:
		return "EV_AMD_PSP_BL_STAGE_1"
	case 0x8203:
		return "EV_AMD_PSP_KEYDB"
	case 0x8204:
		return "EV_AMD_SPL_TABLE_FW"
	case 0x8205:
		return "EV_AMD_PSP_BL_STAGE_2"
	case 0x8206:
		return "EV_AMD_PSP_L0_SEC_POL"
	case 0x8207:
		return "EV_AMD_PMFW0"
	case 0x8208:
		return "EV_AMD_MP2_CONFIG"
	case 0x8209:
		return "EV_AMD_MP2_FW"
	case 0x823A:
		return "EV_AMD_MID_SMU"
	case 0x823B:
		return "EV_AMD_PM_FW1"
	case 0x8267:
		return "EV_AMD_SECURE_DEBUG_UNLOCK"
	case 0x82FF:
		return "EV_AMD_PSP_BL_END"
	case 0x8300:
		return "EV_AMD_FTPM_DRV"
	case 0x8301:
		return "EV_AMD_DRTM_DRV"
	case 0x8302:
		return "EV_AMD_AGESA_DRV"
	case 0x83FF:
		return "EV_AMD_PSP_END"
	}
	return ""
}

// hspFirmware names those between the VBL and the RIB ones.
func (t Type) hspFirmware() string {
	switch t {
	case 0x8246:
		return "EV_AMD_PSP_L1_SEC_POL"
	case 0x8247:
		return "EV_AMD_IP_DISCOVERY"
	case 0x8248:
		return "EV_AMD_SYS_DRV"
	case 0x8249:
		return "EV_AMD_TOS"
	case 0x824A:
		return "EV_AMD_PSP_TOS_KEYDB"
	case 0x824B:
		return "EV_AMD_ABL_TOC"
	case 0x824C:
		return "EV_AMD_PMU1_DATA"
	case 0x824D:
		return "EV_AMD_PMU2_DATA"
	case 0x824E:
		return "EV_AMD_PMU1"
	case 0x824F:
		return "EV_AMD_PMU2"
	case 0x8250:
		return "EV_AMD_MPIO_FW"
	case 0x8251:
		return "EV_AMD_MP5"
	case 0x8252:
		return "EV_AMD_MPCCX"
	case 0x8253:
		return "EV_AMD_GMI3"
	case 0x8254:
		return "EV_AMD_TPMLITE"
	case 0x8255:
		return "EV_AMD_PSP_SPIROM_CONFIG"
	case 0x8256:
		return "EV_AMD_PSP_DF_RIB_TOC"
	}
	return ""
}

// arm names those of ARM's dynamic launch.
func (t Type) arm() string {
	switch t {
	case 0x9001:
		return "EV_ARM_PCR_SCHEMA"
	case 0x9002:
		return "EV_ARM_DCE"
	case 0x9003:
		return "EV_ARM_DCE_PUBKEY"
	case 0x9004:
		return "EV_ARM_DLME"
	case 0x9005:
		return "EV_ARM_DLME_ENTRY_POINT"
	case 0x9006:
		return "EV_ARM_DEBUG_CONFIG"
	case 0x9007:
		return "EV_ARM_NONSECURE_CONFIG"
	case 0x9008:
		return "EV_ARM_DCE_SECONDARY"
	case 0x9009:
		return "EV_ARM_TZFW"
	case 0x900A:
		return "EV_ARM_SEPARATOR"
	case 0x900B:
		return "EV_ARM_DLME_PUBKEY"
	case 0x900C:
		return "EV_ARM_DLME_SVN"
	case 0x900D:
		return "EV_ARM_NO_ACTION"
	case 0x900E:
		return "EV_ARM_SECURE_INT_DISABLE"
	}
	return ""
}
