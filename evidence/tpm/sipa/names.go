package sipa

// appendValueName appends the name of a value of an element of form E, nothing if it has none (tpm.md section 10.3).
func appendValueName(dst []byte, id ID, v uint64) []byte {
	switch id {
	case 0x00020003:
		return append(dst, transferName(v)...)
	case BitlockerUnlock:
		return appendUnlockNames(dst, v)
	case DataExecutionPrevention:
		return append(dst, executionName(v)...)
	case 0x00050008:
		return append(dst, deviceName(v)...)
	case 0x0005000E:
		return append(dst, only(v == 1, "Default")...)
	case VBSHVCIPolicy:
		return append(dst, only(v == 1, "HypervisorEnforcedCodeIntegrityEnable")...)
	}
	return dst
}

func only(ok bool, name string) string {
	if ok {
		return name
	}
	return ""
}

// transferName says what a boot application handed over to.
func transferName(v uint64) string {
	names := [...]string{"NONE", "OSLOADER", "RESUME", "MSUTILITY", "NOSIGCHECK", "HYPERVISOR"}
	if v < uint64(len(names)) {
		return names[v]
	}
	return ""
}

func executionName(v uint64) string {
	names := [...]string{"OptIn", "OptOut", "AlwaysOff", "AlwaysOn"}
	if v < uint64(len(names)) {
		return names[v]
	}
	return ""
}

// appendUnlockNames appends the names of all flags, low bit first. A value with a flag that has no name has none.
func appendUnlockNames(dst []byte, v uint64) []byte {
	if v == 0 {
		return append(dst, "NONE"...)
	}
	start := len(dst)
	for bit := uint64(1); v != 0; bit <<= 1 {
		if v&bit == 0 {
			continue
		}
		name := unlockName(bit)
		if name == "" {
			return dst[:start]
		}
		if len(dst) > start {
			dst = append(dst, '|')
		}
		dst = append(dst, name...)
		v &^= bit
	}
	return dst
}

func unlockName(bit uint64) string {
	switch bit {
	case 0x1:
		return "CACHED"
	case 0x2:
		return "MEDIA"
	case 0x4:
		return "TPM"
	case 0x10:
		return "PIN"
	case 0x20:
		return "EXTERNAL"
	case 0x40:
		return "RECOVERY"
	case 0x80:
		return "PASSPHRASE"
	case 0x100:
		return "NBP"
	case 0x200:
		return "AUK_OSFVEINFO"
	}
	return ""
}

// deviceName says what kind of device Windows started from.
func deviceName(v uint64) string {
	switch v {
	case 0:
		return "UNKNOWN"
	case 0x10001:
		return "BLOCKIO_HARDDISK"
	case 0x10002:
		return "BLOCKIO_REMOVABLEDISK"
	case 0x10003:
		return "BLOCKIO_CDROM"
	case 0x10004:
		return "BLOCKIO_PARTITION"
	case 0x10005:
		return "BLOCKIO_FILE"
	case 0x10006:
		return "BLOCKIO_RAMDISK"
	case 0x10007:
		return "BLOCKIO_VIRTUALHARDDISK"
	case 0x20000:
		return "SERIAL"
	case 0x30000:
		return "UDP"
	case 0x40000:
		return "VMBUS"
	case 0x50000:
		return "COMPOSITE"
	case 0x60000:
		return "CIMFS"
	}
	return ""
}
