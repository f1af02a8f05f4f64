package explain

import "github.com/assay-attestation/assay/evidence/tpm"

// Purpose says in a few words what is measured into a PCR (tpm-evidence.md section 4); nothing for a number that no PCR has.
func Purpose(pcr int) string {
	names := [tpm.PCRCount]string{
		0: "code of the firmware", 1: "settings of the firmware", 2: "drivers and option ROMs", 3: "settings of those", 4: "boot loaders",
		5: "partition table, course of the boot", 6: "of the machine's maker", 7: "Secure Boot", 8: "commands of the boot loader",
		9: "files of the boot loader", 10: "IMA of Linux", 11: "BitLocker, or systemd's kernel image", 12: "settings of Windows, or command line",
		13: "programs of Windows, or system extensions", 14: "keys of Windows, or of shim", 15: "systemd", 16: "for debugging",
		17: "dynamic launch", 18: "dynamic launch", 19: "dynamic launch", 20: "dynamic launch", 21: "dynamic launch", 22: "dynamic launch",
		23: "of applications",
	}
	if pcr < 0 || pcr >= tpm.PCRCount {
		return ""
	}
	return names[pcr]
}
