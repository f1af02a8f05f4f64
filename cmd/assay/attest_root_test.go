package main

import (
	"crypto/sha256"
	"crypto/sha512"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/internal/swtpmtest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// Where Linux keeps its logs (tpm-evidence.md section 8).
const (
	bootLogPath = "sys/kernel/security/tpm0/binary_bios_measurements"
	imaLogPath  = "sys/kernel/security/ima/binary_runtime_measurements"
)

// startProgram extends PCR 10 as a kernel does that starts a program, and gives the list of IMA with that one entry.
func startProgram(t *testing.T, s *swtpmtest.TPM) string {
	t.Helper()
	list := assaytest.IMAList{assaytest.IMAFile("/bin/init", []byte("the program"))}.Bytes()
	data := list[4+20+4+len("ima-ng")+4:] // PCR, template hash, name and length stand before it (tpm-evidence.md section 7)
	short, long := sha256.Sum256(data), sha512.Sum384(data)
	swtpmtest.Extend(t, s.Open(t), 10, map[tpm.Alg][]byte{tpm.SHA256: short[:], tpm.SHA384: long[:]})
	return string(list)
}

// TestTheLogsAreFoundWhereLinuxKeepsThem below the root of the machine, and decide what is quoted.
func TestTheLogsAreFoundWhereLinuxKeepsThem(t *testing.T) {
	r := newRig(t)
	certificate := r.certificate(t, "rsassa")
	log, list := string(vectortest.Read(t, rigLog)), startProgram(t, r.tpm)
	both, one := fakeRoot(t, map[string]string{bootLogPath: log, imaLogPath: list}), fakeRoot(t, map[string]string{bootLogPath: log})
	file := tempFile(t, "ima", list)
	for _, test := range []struct{ flags, quoted, unexplained string }{
		{"--root " + both, "0-15,17-22", ""},
		{"--root " + one, "0-9,11-15,17-22", "10"},
		{"--root " + one + " --pcrs 0-7", "0-7", ""},
		{"--event-log " + r.log + " --ima-log " + file, "0-15,17-22", ""},
	} {
		var got machineReport
		args := slices.Concat([]string{"attest", "tpm", "--swtpm", r.tpm.Socket, "--aik-cert", certificate, "--json"}, r.service, strings.Fields(test.flags))
		o := assay(t, args...)
		o.read(t, &got)
		if o.status != exitOK || !got.Verified || numbers(got.PCRs) != test.quoted || numbers(got.Unexplained) != test.unexplained {
			t.Errorf("%s: status %d, quoted %s, not explained %s: %s", test.flags, o.status, numbers(got.PCRs), numbers(got.Unexplained), o.stderr)
		}
	}
}

func TestALogThatIsMissingEmptyOrUnreadableIsNamed(t *testing.T) {
	r := newRig(t)
	log := string(vectortest.Read(t, rigLog))
	folder := fakeRoot(t, map[string]string{bootLogPath + "/file": ""})
	empty := tempFile(t, "empty", "")
	for _, test := range []struct{ flags, cause, remedy string }{
		{"--root " + t.TempDir(), "the event log /" + bootLogPath + " is not there", "mount -t securityfs"},
		{"--root " + fakeRoot(t, map[string]string{bootLogPath: ""}), "the event log /" + bootLogPath + " is empty", "SHA-256 bank"},
		{"--root " + fakeRoot(t, map[string]string{bootLogPath: log[:1000]}), "the event log /" + bootLogPath + " is none", "binary form"},
		{"--root " + folder, "the event log /" + bootLogPath + " cannot be opened", "look whether the path is right"},
		{"--root " + fakeRoot(t, map[string]string{bootLogPath: log, imaLogPath: "x"}), "the IMA list /" + imaLogPath + " is none", "binary_runtime_measurements"},
		{"--event-log " + empty, "the event log " + empty + " is empty", "SHA-256 bank"},
		{"--event-log " + r.log + " --ima-log " + empty, "the IMA list " + empty + " is empty", "leave --ima-log out"},
		{"--event-log " + vectortest.Path(t, "tpm/eventlogs/cos-85-amd-sev.bin"), "leads neither to PCR 0 nor to PCR 7", "name the right one (--event-log)"},
		{"--event-log " + vectortest.Path(t, "tpm/eventlogs/debian-10.bin"), "no SHA-256 or SHA-384 bank in common", "turn the SHA-256 bank on"},
	} {
		args := slices.Concat([]string{"attest", "tpm", "--swtpm", r.tpm.Socket}, r.service, strings.Fields(test.flags))
		wantTrouble(t, test.cause, test.remedy, args...)
	}
}

// TestTheDeviceIsThatOfTheMachine: a file is no TPM, but which one was taken can be seen.
func TestTheDeviceIsThatOfTheMachine(t *testing.T) {
	none := t.TempDir()
	managed, raw := fakeRoot(t, map[string]string{"dev/tpmrm0": "", "dev/tpm0": ""}), fakeRoot(t, map[string]string{"dev/tpm0": ""})
	silent := t.TempDir()
	if err := os.Mkdir(filepath.Join(silent, "dev"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(silent, "dev/tpmrm0")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ flags, cause, remedy string }{
		{"--root " + none, "the TPM " + none + "/dev/tpmrm0 is not there", "turn the TPM on"},
		{"--root " + silent, "the TPM " + silent + "/dev/tpmrm0 is not there", "turn the TPM on"},
		{"--root " + managed, managed + "/dev/tpmrm0 is no device", "name a device file"},
		{"--root " + raw, raw + "/dev/tpm0 is no device", "name a device file"},
		{"--root " + raw + " --device " + managed + "/dev/tpm0", managed + "/dev/tpm0 is no device", "name a device file"},
	} {
		wantTrouble(t, test.cause, test.remedy, append([]string{"attest", "tpm", "--endpoint", "https://localhost:1"}, strings.Fields(test.flags)...)...)
	}
}
