package doctor

import (
	"os"
	"strings"
)

// Where Linux has what is looked for.
const (
	pathTPM        = "/dev/tpm0"
	pathTPMManaged = "/dev/tpmrm0" // by way of the kernel's resource manager: for several users at once
	pathTPMClass   = "/sys/class/tpm/tpm0"
	pathTPMMajor   = "/sys/class/tpm/tpm0/tpm_version_major"
	pathSecurity   = "/sys/kernel/security"
	pathBootLog    = "/sys/kernel/security/tpm0/binary_bios_measurements"
	pathIMALog     = "/sys/kernel/security/ima/binary_runtime_measurements"
	pathEFI        = "/sys/firmware/efi"
	pathSecureBoot = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
	pathSGXEnclave = "/dev/sgx_enclave"
	pathSGXProvide = "/dev/sgx_provision"
	pathAESM       = "/run/aesmd/aesm.socket"
	pathAESMOld    = "/var/run/aesmd/aesm.socket"
	pathSEVGuest   = "/dev/sev-guest"
	pathTDXGuest   = "/dev/tdx_guest"
	pathConfig     = "/sys/kernel/config"
	pathTSM        = "/sys/kernel/config/tsm/report"
	pathVendor     = "/sys/class/dmi/id/sys_vendor"
	pathAssetTag   = "/sys/class/dmi/id/chassis_asset_tag"
)

// What Azure's machines say of themselves in DMI. Microsoft is the vendor of every machine of Hyper-V; the tag tells those of Azure.
const (
	vendorMicrosoft = "Microsoft Corporation"
	tagAzure        = "7783-7084-3265-9085-8269-3286-77"
)

// tpmVersion finds which TPM the kernel has. Kernels before 5.6 do not say.
func (m machine) tpmVersion() Finding {
	f := Finding{Name: TPMVersion, Path: pathTPMMajor}
	if !m.exists(pathTPMClass) {
		f.Path, f.State, f.Detail = pathTPMClass, Absent, "the kernel knows of no TPM"
		f.Remedy = "turn the TPM on in the firmware's settings (also called fTPM or PTT), or give the virtual machine a virtual TPM"
		return f
	}
	switch f.Value = m.attribute(pathTPMMajor); f.Value {
	case "":
		f.State, f.Detail = Absent, "the kernel does not say the TPM's version"
	case "2":
		f.State, f.Detail = Ready, "a TPM 2.0"
	case "1":
		f.State, f.Detail, f.Remedy = Fault, "a TPM 1.2", "only a TPM 2.0 can attest here: some machines change theirs by an update of its firmware"
	default:
		f.State, f.Detail = Fault, "an unknown version"
	}
	return f
}

// tpmDevice finds the device to use: the swtpm, or that of the resource manager, if there is one.
func (m machine) tpmDevice() Finding {
	if m.Socket != "" {
		return m.socket()
	}
	managed := m.device(TPMDevice, pathTPMManaged)
	if managed.State != Absent {
		return managed
	}
	direct := m.device(TPMDevice, pathTPM)
	switch {
	case direct.State == Ready:
		direct.Detail = "without the kernel's resource manager: one program at a time"
	case direct.State == Fault:
		direct.Remedy = "another program may have it open: end that one, or use a kernel with " + pathTPMManaged + " (4.12 or newer)"
	case direct.State == Absent && m.exists(pathTPMClass):
		managed.Detail = "the kernel has a TPM, but there is no device for it"
		managed.Remedy = "in a container, give it the device: --device " + pathTPMManaged
		return managed
	case direct.State == Absent:
		return managed
	}
	return direct
}

func (m machine) bootLog() Finding {
	f := m.log(BootLog, pathBootLog)
	switch f.State {
	case Empty:
		f.Detail = "the firmware gave the kernel a log without events"
		f.Remedy = "boot by UEFI with the TPM on, and update the firmware"
	case Absent:
		m.absentLog(&f, "the firmware gave the kernel no log", "boot by UEFI with the TPM on; some firmware and virtual machines make none")
	case Denied:
		f.Remedy = "run as root, or copy the log as root to a file that this user may read: assay attest tpm --event-log FILE"
	}
	return f
}

func (m machine) imaLog() Finding {
	f := m.log(IMALog, pathIMALog)
	switch f.State {
	case Empty:
		f.Detail = "IMA has measured nothing"
	case Absent:
		m.absentLog(&f, "the kernel does not measure files (IMA)", "if files shall be measured, boot with ima_policy=tcb on a kernel that has IMA")
	case Denied:
		f.Remedy = "run as root, or copy the list as root to a file that this user may read: assay attest tpm --ima-log FILE"
	}
	return f
}

// absentLog says why a log is not there: its file system, or the log itself.
func (m machine) absentLog(f *Finding, why, remedy string) {
	entries, err := os.ReadDir(m.at(pathSecurity))
	if err != nil || len(entries) == 0 {
		f.Detail = "securityfs is not mounted"
		f.Remedy = "mount -t securityfs securityfs " + pathSecurity + "; in a container, give it that folder read-only"
		return
	}
	f.Detail, f.Remedy = why, remedy
}

// secureBoot reads the variable of the firmware: four bytes of attributes, then 1 or 0.
func (m machine) secureBoot() Finding {
	f := Finding{Name: SecureBoot, Path: pathSecureBoot}
	b, err := m.read(pathSecureBoot, maxAttribute)
	m.outcome(&f, err)
	switch {
	case err == nil && len(b) == 5 && b[4] <= 1:
		f.Value = []string{"off", "on"}[b[4]]
		f.Detail = "as the firmware says now; what a policy believes is the log"
	case err == nil:
		f.State, f.Detail = Fault, "the variable does not have the form of one that is on or off"
	case f.State == Absent && !m.exists(pathEFI):
		f.Path, f.Detail = pathEFI, "the machine did not boot by UEFI, or this is a container"
	case f.State == Absent:
		f.Detail, f.Remedy = "the firmware has no Secure Boot, or efivarfs is not mounted", "mount -t efivarfs efivarfs /sys/firmware/efi/efivars"
	}
	if f.Value == "off" {
		f.Remedy = "turn Secure Boot on in the firmware's settings, if a policy wants it"
	}
	return f
}

func (m machine) sgx() []Finding {
	return []Finding{m.device(SGXEnclave, pathSGXEnclave), m.device(SGXProvision, pathSGXProvide), m.aesm()}
}

// aesm finds the socket of Intel's service that makes quotes.
func (m machine) aesm() Finding {
	f := Finding{Name: SGXAESM, Path: pathAESM}
	info, err := os.Stat(m.at(pathAESM))
	if err != nil {
		if old, oldErr := os.Stat(m.at(pathAESMOld)); oldErr == nil {
			f.Path, info, err = pathAESMOld, old, nil
		}
	}
	m.outcome(&f, err)
	if err == nil && info.Mode()&os.ModeSocket == 0 {
		f.State, f.Detail, f.Remedy = Fault, "not a socket", "start aesmd anew"
	}
	return f
}

func (m machine) sevGuest() Finding { return m.device(SNPGuest, pathSEVGuest) }

func (m machine) tdxGuest() Finding { return m.device(TDXGuest, pathTDXGuest) }

// tsmReport finds where the kernel (6.7 or newer) makes reports of SEV-SNP and quotes of TDX.
func (m machine) tsmReport() Finding {
	f := Finding{Name: TSMReport, Path: pathTSM}
	_, err := os.ReadDir(m.at(pathTSM))
	m.outcome(&f, err)
	switch {
	case f.State != Absent:
	case !m.exists(pathConfig):
		f.Detail, f.Remedy = "configfs is not mounted", "mount -t configfs configfs "+pathConfig
	default:
		f.Detail, f.Remedy = "the kernel makes no reports there", "use a kernel of 6.7 or newer, and load its module for the guest (sev-guest, tdx-guest)"
	}
	return f
}

func (m machine) vendor() Finding {
	f := Finding{Name: Vendor, Path: pathVendor, State: Absent, Value: m.attribute(pathVendor)}
	if f.Value != "" {
		f.State = Ready
	}
	return f
}

// azure tells a machine of Azure by what DMI says. Nothing is asked of Azure's metadata service.
func (m machine) azure() Finding {
	f := Finding{Name: Azure, Path: pathAssetTag, State: Absent}
	switch vendor, tag := m.attribute(pathVendor), m.attribute(pathAssetTag); {
	case vendor == vendorMicrosoft && tag == tagAzure:
		f.State, f.Detail = Ready, "a machine of Azure; its metadata service was not asked"
	case vendor == vendorMicrosoft:
		f.Detail = "a machine of Microsoft or of Hyper-V, without the tag of Azure"
	case strings.TrimSpace(vendor) == "":
		f.Detail = "DMI says no vendor"
	}
	return f
}
