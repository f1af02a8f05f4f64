package doctor_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/doctor"
	"github.com/assay-attestation/assay/internal/nobody"
)

// whole is a machine that has everything. Files stand for its devices.
func whole() map[string]string {
	return map[string]string{
		"dev/tpmrm0":                           "",
		"dev/tpm0":                             "",
		"sys/class/tpm/tpm0/tpm_version_major": "2\n",
		"sys/kernel/security/tpm0/binary_bios_measurements":                        "0123456789",
		"sys/kernel/security/ima/binary_runtime_measurements":                      "01234",
		"sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c": "\x06\x00\x00\x00\x01",
		"dev/sgx_enclave":                    "",
		"dev/sgx_provision":                  "",
		"dev/sev-guest":                      "",
		"dev/tdx_guest":                      "",
		"sys/kernel/config/tsm/report/x":     "",
		"sys/class/dmi/id/sys_vendor":        "Microsoft Corporation\n",
		"sys/class/dmi/id/chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77\n",
		"etc/group":                          "root:x:0:\ntss:x:4711:\n",
	}
}

// build writes a machine that any user may look at.
func build(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{filepath.Dir(root), root} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// examine looks at a machine that has all but the files under the names without, and the files with.
func examine(t *testing.T, without []string, with map[string]string) *doctor.Report {
	t.Helper()
	files := whole()
	for name := range files {
		for _, w := range without {
			if strings.HasPrefix(name, w) {
				delete(files, name)
			}
		}
	}
	for name, content := range with {
		files[name] = content
	}
	return look(build(t, files))
}

// look looks at a machine today.
func look(root string) *doctor.Report {
	return doctor.Examine(doctor.Place{Root: root, At: time.Now()})
}

func finding(t *testing.T, r *doctor.Report, name doctor.Name) doctor.Finding {
	t.Helper()
	for _, f := range r.Findings {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("no finding %s", name)
	return doctor.Finding{}
}

func verdict(t *testing.T, r *doctor.Report, kind string) doctor.Verdict {
	t.Helper()
	for _, v := range r.Verdicts {
		if v.Kind == kind {
			return v
		}
	}
	t.Fatalf("no verdict %s", kind)
	return doctor.Verdict{}
}

func TestAMachineWithNothingCannotAttestAndIsToldWhatToDo(t *testing.T) {
	r := look(t.TempDir())
	if r.CanAttest() {
		t.Error("it can attest")
	}
	for _, v := range r.Verdicts {
		if v.Answer != doctor.Cannot || v.Why == "" {
			t.Errorf("%+v", v)
		}
		if len(v.Do) == 0 {
			t.Errorf("%s: nothing to do", v.Kind)
		}
	}
	for _, f := range r.Findings {
		if f.State != doctor.Absent && f.State != doctor.Skipped {
			t.Errorf("%+v", f)
		}
	}
}

func TestAMachineWithEverythingCanAttestInEachWay(t *testing.T) {
	r := examine(t, nil, nil)
	for kind, want := range map[string]doctor.Answer{
		"tpm": doctor.Can, "sgx": doctor.Can, "snp": doctor.Can, "tdx": doctor.Can, "azureguest": doctor.Unknown,
	} {
		if v := verdict(t, r, kind); v.Answer != want {
			t.Errorf("%+v", v)
		}
	}
	for name, want := range map[doctor.Name]string{
		doctor.TPMVersion: "2", doctor.BootLog: "10", doctor.IMALog: "5", doctor.SecureBoot: "on", doctor.Vendor: "Microsoft Corporation",
	} {
		if f := finding(t, r, name); f.State != doctor.Ready || f.Value != want {
			t.Errorf("%+v, want the value %q", f, want)
		}
	}
	if f := finding(t, r, doctor.TPMDevice); f.Path != "/dev/tpmrm0" {
		t.Errorf("the device is %s, want that of the resource manager", f.Path)
	}
}

// Each row takes one thing away or breaks it, and says what the machine is told.
func TestWhatIsMissingIsNamedWithItsRemedy(t *testing.T) {
	secureBoot := "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
	bootLog := "sys/kernel/security/tpm0/binary_bios_measurements"
	for name, test := range map[string]struct {
		without []string
		with    map[string]string
		name    doctor.Name
		state   doctor.State
		says    string // in detail or remedy
		kind    string // of the verdict; with its answer and words of it
		answer  doctor.Answer
		why     string
	}{
		"no TPM":            {[]string{"dev/tpm", "sys/class/tpm"}, nil, doctor.TPMVersion, doctor.Absent, "virtual TPM", "tpm", doctor.Cannot, "no TPM"},
		"TPM 1.2":           {nil, map[string]string{"sys/class/tpm/tpm0/tpm_version_major": "1\n"}, doctor.TPMVersion, doctor.Fault, "TPM 2.0", "tpm", doctor.Cannot, "TPM 1.2"},
		"TPM 3":             {nil, map[string]string{"sys/class/tpm/tpm0/tpm_version_major": "3\n"}, doctor.TPMVersion, doctor.Fault, "unknown version", "tpm", doctor.Cannot, "unknown version"},
		"old kernel":        {[]string{"sys/class/tpm/tpm0/tpm_version_major"}, map[string]string{"sys/class/tpm/tpm0/dev": "10:224\n"}, doctor.TPMVersion, doctor.Absent, "does not say", "tpm", doctor.Can, "opened"},
		"a container":       {[]string{"dev/tpm"}, nil, doctor.TPMDevice, doctor.Absent, "--device /dev/tpmrm0", "tpm", doctor.Cannot, "cannot be opened"},
		"no manager":        {[]string{"dev/tpmrm0"}, nil, doctor.TPMDevice, doctor.Ready, "one program at a time", "tpm", doctor.Can, "opened"},
		"device is folder":  {[]string{"dev/tpmrm0"}, map[string]string{"dev/tpmrm0/x": ""}, doctor.TPMDevice, doctor.Fault, "neither a device", "tpm", doctor.Cannot, "cannot be opened"},
		"empty log":         {nil, map[string]string{bootLog: ""}, doctor.BootLog, doctor.Empty, "update the firmware", "tpm", doctor.Cannot, "empty"},
		"no log":            {[]string{"sys/kernel/security/tpm0"}, nil, doctor.BootLog, doctor.Absent, "boot by UEFI", "tpm", doctor.Cannot, "no log"},
		"no securityfs":     {[]string{"sys/kernel/security"}, nil, doctor.BootLog, doctor.Absent, "mount -t securityfs", "tpm", doctor.Cannot, "securityfs is not mounted"},
		"log is a folder":   {[]string{"sys/kernel/security/tpm0"}, map[string]string{bootLog + "/x": ""}, doctor.BootLog, doctor.Fault, "not a regular file", "tpm", doctor.Cannot, "fault"},
		"no IMA":            {[]string{"sys/kernel/security/ima"}, nil, doctor.IMALog, doctor.Absent, "ima_policy=tcb", "tpm", doctor.Can, "log"},
		"empty IMA":         {nil, map[string]string{"sys/kernel/security/ima/binary_runtime_measurements": ""}, doctor.IMALog, doctor.Empty, "nothing", "tpm", doctor.Can, "log"},
		"secure boot off":   {nil, map[string]string{secureBoot: "\x06\x00\x00\x00\x00"}, doctor.SecureBoot, doctor.Ready, "turn Secure Boot on", "tpm", doctor.Can, "log"},
		"secure boot 2":     {nil, map[string]string{secureBoot: "\x06\x00\x00\x00\x02"}, doctor.SecureBoot, doctor.Fault, "form", "tpm", doctor.Can, "log"},
		"secure boot short": {nil, map[string]string{secureBoot: "\x06\x00\x00\x00"}, doctor.SecureBoot, doctor.Fault, "form", "tpm", doctor.Can, "log"},
		"no efivarfs":       {[]string{secureBoot}, map[string]string{"sys/firmware/efi/runtime": ""}, doctor.SecureBoot, doctor.Absent, "mount -t efivarfs", "tpm", doctor.Can, "log"},
		"no UEFI":           {[]string{"sys/firmware"}, nil, doctor.SecureBoot, doctor.Absent, "did not boot by UEFI", "tpm", doctor.Can, "log"},
		"no enclaves":       {[]string{"dev/sgx_enclave"}, nil, doctor.SGXEnclave, doctor.Absent, "", "sgx", doctor.Cannot, "cannot be loaded"},
		"no quotes":         {[]string{"dev/sgx_provision"}, nil, doctor.SGXProvision, doctor.Absent, "", "sgx", doctor.Cannot, "nothing makes quotes"},
		"AESM is a file":    {[]string{"dev/sgx_provision"}, map[string]string{"run/aesmd/aesm.socket": ""}, doctor.SGXAESM, doctor.Fault, "not a socket", "sgx", doctor.Cannot, "nothing makes quotes"},
		"no SNP":            {[]string{"dev/sev-guest"}, nil, doctor.SNPGuest, doctor.Absent, "", "snp", doctor.Cannot, "no guest"},
		"SNP without TSM":   {[]string{"sys/kernel/config/tsm"}, nil, doctor.TSMReport, doctor.Absent, "configfs", "snp", doctor.Can, "device makes reports"},
		"no TDX":            {[]string{"dev/tdx_guest"}, nil, doctor.TDXGuest, doctor.Absent, "", "tdx", doctor.Cannot, "no trust domain"},
		"TDX without TSM":   {[]string{"sys/kernel/config/tsm"}, map[string]string{"sys/kernel/config/x": ""}, doctor.TSMReport, doctor.Absent, "6.7", "tdx", doctor.Cannot, "way to quotes"},
		"Hyper-V":           {nil, map[string]string{"sys/class/dmi/id/chassis_asset_tag": "7"}, doctor.Azure, doctor.Absent, "Hyper-V", "azureguest", doctor.Cannot, "not a machine of Azure"},
		"another vendor":    {nil, map[string]string{"sys/class/dmi/id/sys_vendor": "QEMU"}, doctor.Azure, doctor.Absent, "", "azureguest", doctor.Cannot, "not a machine of Azure"},
		"Azure, no TPM":     {[]string{"dev/tpm"}, nil, doctor.Azure, doctor.Ready, "", "azureguest", doctor.Cannot, "cannot be opened"},
	} {
		t.Run(name, func(t *testing.T) {
			r := examine(t, test.without, test.with)
			f, v := finding(t, r, test.name), verdict(t, r, test.kind)
			if f.State != test.state || !strings.Contains(f.Detail+" "+f.Remedy, test.says) {
				t.Errorf("found %+v", f)
			}
			if v.Answer != test.answer || !strings.Contains(v.Why, test.why) {
				t.Errorf("verdict %+v", v)
			}
		})
	}
}

func TestAESMMakesQuotesWhereItListens(t *testing.T) {
	files := whole()
	delete(files, "dev/sgx_provision")
	root := build(t, files)
	for _, dir := range []string{"run/aesmd", "var/run/aesmd"} {
		socket := filepath.Join(root, dir, "aesm.socket")
		if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		r := look(root)
		if v := verdict(t, r, "sgx"); v.Answer != doctor.Can || !strings.Contains(v.Why, "aesmd") {
			t.Errorf("%s: %+v", dir, v)
		}
		l.Close()
	}
}

func TestALogLongerThanIsCountedIsThere(t *testing.T) {
	root := build(t, whole())
	log := filepath.Join(root, "sys/kernel/security/tpm0/binary_bios_measurements")
	for size, value := range map[int64]string{16 << 20: "16777216", 16<<20 + 1: "16777216"} {
		if err := os.Truncate(log, size); err != nil {
			t.Fatal(err)
		}
		f := finding(t, look(root), doctor.BootLog)
		if f.State != doctor.Ready || f.Value != value || (f.Detail != "") != (size > 16<<20) {
			t.Errorf("%d bytes: %+v", size, f)
		}
	}
}

func TestWhatTheKernelSaysIsBounded(t *testing.T) {
	for size, state := range map[int]doctor.State{4096: doctor.Ready, 4097: doctor.Absent} {
		r := examine(t, nil, map[string]string{"sys/class/dmi/id/sys_vendor": strings.Repeat("v", size)})
		if f := finding(t, r, doctor.Vendor); f.State != state {
			t.Errorf("a vendor of %d bytes: %s", size, f.State)
		}
	}
}

func TestTheListOfGroupsIsBounded(t *testing.T) {
	for size, want := range map[int]string{1 << 20: "usermod -aG tss USER", 1<<20 + 1: "usermod -aG GID USER"} {
		root, gid := closed(t, "dev/tpmrm0", 0o060, "tss")
		line := "tss:x:" + gid + ":\n"
		writeGroups(t, root, line+strings.Repeat("\n", size-len(line)))
		var r *doctor.Report
		nobody.Run(func() { r = look(root) })
		if f := finding(t, r, doctor.TPMDevice); !strings.Contains(f.Remedy, strings.Replace(want, "GID", gid, 1)) {
			t.Errorf("%d bytes: %s", size, f.Remedy)
		}
	}
}

func writeGroups(t *testing.T, root, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(root, "etc/group"), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// closed is a machine on which the path has the mode. It gives the group of the path, which the machine calls by the name, if there is one.
func closed(t *testing.T, path string, mode os.FileMode, group string) (root, gid string) {
	t.Helper()
	number := os.Getgid()
	if os.Geteuid() == 0 {
		number = 4711
	}
	files := whole()
	gid = strconv.Itoa(number)
	files["etc/group"] = "daemon:x:1:\n" + group + ":x:" + gid + ":\n"
	if group == "" {
		delete(files, "etc/group")
	}
	root = build(t, files)
	path = filepath.Join(root, path)
	if err := os.Chown(path, -1, number); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(path, 0o700) })
	return root, gid
}

// GID stands for the number of the group.
func TestWhoMayNotUseADeviceIsToldWhichGroupMay(t *testing.T) {
	for name, test := range map[string]struct {
		path  string
		mode  os.FileMode
		group string
		name  doctor.Name
		says  string
		kind  string
	}{
		"a group":            {"dev/tpmrm0", 0o060, "tss", doctor.TPMDevice, "usermod -aG tss USER", "tpm"},
		"a nameless group":   {"dev/tpmrm0", 0o060, "", doctor.TPMDevice, "usermod -aG GID USER", "tpm"},
		"the owner only":     {"dev/tpmrm0", 0, "tss", doctor.TPMDevice, "run as root", "tpm"},
		"a group that reads": {"dev/tpmrm0", 0o040, "tss", doctor.TPMDevice, "run as root", "tpm"},
		"the group of root":  {"dev/sgx_enclave", 0o060, "root", doctor.SGXEnclave, "run as root", "sgx"},
		"the log":            {"sys/kernel/security/tpm0/binary_bios_measurements", 0, "root", doctor.BootLog, "copy the log as root", "tpm"},
		"a closed folder":    {"sys/kernel/security/tpm0", 0, "root", doctor.BootLog, "run as root", "tpm"},
		"SNP":                {"dev/sev-guest", 0, "root", doctor.SNPGuest, "run as root", "snp"},
		"TDX":                {"dev/tdx_guest", 0, "root", doctor.TDXGuest, "run as root", "tdx"},
	} {
		t.Run(name, func(t *testing.T) {
			root, gid := closed(t, test.path, test.mode, test.group)
			var r *doctor.Report
			nobody.Run(func() { r = look(root) })
			f, v := finding(t, r, test.name), verdict(t, r, test.kind)
			if says := strings.Replace(test.says, "GID", gid, 1); f.State != doctor.Denied || !strings.Contains(f.Remedy, says) {
				t.Errorf("found %+v", f)
			}
			if v.Answer != doctor.Cannot || !strings.Contains(v.Why, "denied") || len(v.Do) == 0 {
				t.Errorf("verdict %+v", v)
			}
		})
	}
}

func TestAListOfIMAThatIsDeniedKeepsPCR10Out(t *testing.T) {
	root, _ := closed(t, "sys/kernel/security/ima/binary_runtime_measurements", 0, "root")
	var r *doctor.Report
	nobody.Run(func() { r = look(root) })
	v := verdict(t, r, "tpm")
	if v.Answer != doctor.Can || len(v.Do) == 0 || !strings.Contains(v.Do[0], "do not quote PCR 10") {
		t.Errorf("%+v", v)
	}
}
