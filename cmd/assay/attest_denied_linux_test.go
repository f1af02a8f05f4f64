package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/assay-attestation/assay/internal/nobody"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// chmod sets the permissions of a file until the test ends.
func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(path, 0o700) })
}

// TestMissingPermissionsAreNamed for the device, the socket and each log. The one who calls may read everything else.
func TestMissingPermissionsAreNamed(t *testing.T) {
	r := newRig(t)
	chmod(t, filepath.Dir(t.TempDir()), 0o755) // above all folders of the test
	open := func(path string) string {
		chmod(t, filepath.Dir(path), 0o755)
		chmod(t, path, 0o777)
		return path
	}
	ca, token := tempFile(t, "ca", readFile(t, r.service[3])), tempFile(t, "token", readFile(t, r.service[5]))
	service := []string{"--endpoint", r.service[1], "--ca", open(ca), "--token-file", open(token)}
	socket := open(middleman(t, r.tpm, func(tpm2.TPMCC) []byte { return nil }))
	log := string(vectortest.Read(t, rigLog))
	machine := fakeRoot(t, map[string]string{"dev/tpmrm0": "", bootLogPath: log})
	ima := fakeRoot(t, map[string]string{bootLogPath: log, imaLogPath: log})
	for _, root := range []string{machine, ima} {
		chmod(t, filepath.Join(root, bootLogPath), 0o444)
	}
	chmod(t, filepath.Join(machine, "dev/tpmrm0"), 0)
	chmod(t, filepath.Join(ima, imaLogPath), 0)
	closed := tempFile(t, "log", log)
	chmod(t, closed, 0)
	for _, test := range []struct{ flags, cause, remedy string }{
		{"--root " + machine, "the TPM " + machine + "/dev/tpmrm0 is not yours to read", "run as root, or join the group of the file (usually tss)"},
		{"--swtpm " + r.tpm.Socket, "the swtpm at " + r.tpm.Socket + " is not yours to read", "run as the user of swtpm"},
		{"--swtpm " + socket + " --event-log " + closed, "the event log " + closed + " is not yours to read", "run as root: only root may read it"},
		{"--swtpm " + socket + " --root " + ima, "the IMA list /" + imaLogPath + " is not yours to read", "run as root: only root may read it"},
	} {
		for _, kind := range []string{"tpm", "azureguest"} {
			if kind == "azureguest" && strings.Contains(test.cause, "IMA") {
				continue // it reads none
			}
			args := slices.Concat([]string{"attest", kind}, service, strings.Fields(test.flags))
			nobody.Run(func() { wantTrouble(t, test.cause, test.remedy, args...) })
		}
	}
}
