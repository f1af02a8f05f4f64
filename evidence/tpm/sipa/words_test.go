package sipa_test

import (
	"testing"

	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

// TestValuesHaveTheNamesOfTheTable takes values of tpm.md section 10.3.
func TestValuesHaveTheNamesOfTheTable(t *testing.T) {
	for _, test := range []struct {
		id   sipa.ID
		data []byte
		want string
	}{
		{sipa.DataExecutionPrevention, []byte{1, 0, 0, 0, 0, 0, 0, 0}, "OptOut"},
		{sipa.BitlockerUnlock, []byte{0x14, 0, 0, 0}, "TPM|PIN"},
		{sipa.OSDevice, []byte{4, 0, 1, 0}, "BLOCKIO_PARTITION"},
		{sipa.OSDevice, []byte{9, 9, 9, 9}, ""},
		{sipa.BootCounter, []byte{1, 0, 0, 0}, ""},
		{sipa.DataExecutionPrevention, []byte{1, 0, 0}, ""},
	} {
		if got := (sipa.Element{ID: test.id, Payload: test.data}).ValueName(); got != test.want {
			t.Errorf("%v %x: got %q, want %q", test.id, test.data, got, test.want)
		}
	}
}

func TestTextsAreReadWithoutTheirNULAndWithEscapesUndone(t *testing.T) {
	for data, want := range map[string]string{
		"a\x00\"\x00\\\x00\x00\x00": `a"\`, "": "", "\xE4\x00": "ä", "\x3D\xD8\x00\xDE": "😀", "\x3D\xD8": "\uFFFD", "\x01\x00": "\x01", "x": "",
	} {
		if got := (sipa.Element{Payload: []byte(data)}).Text(); got != want {
			t.Errorf("%x: got %q, want %q", data, got, want)
		}
	}
}

// TestIDsOfWordsHaveTheNamesOfTheTable holds the ids against the names of tpm.md section 10.3.
func TestIDsOfWordsHaveTheNamesOfTheTable(t *testing.T) {
	for id, want := range map[sipa.ID]string{
		sipa.BootRevocationList: "EVENT_BOOT_REVOCATION_LIST", sipa.OSDevice: "EVENT_OSDEVICE", sipa.SystemRoot: "EVENT_SYSTEMROOT",
		sipa.HypervisorLaunch: "EVENT_HYPERVISOR_LAUNCH_TYPE", sipa.SIPolicy: "EVENT_SI_POLICY", sipa.OSRevocationList: "EVENT_OS_REVOCATION_LIST",
		sipa.AuthorityKey: "EVENT_AUTHORITYPUBKEY", sipa.FilePath: "EVENT_FILEPATH", sipa.AuthorityPublisher: "EVENT_AUTHORITYPUBLISHER",
		sipa.ImageValidated: "EVENT_IMAGEVALIDATED", sipa.LoadedModule: "EVENT_LOADEDMODULE_AGGREGATION", sipa.ELAMKeyName: "EVENT_ELAM_KEYNAME",
	} {
		if got := id.String(); got != want {
			t.Errorf("%#x: got %s, want %s", uint32(id), got, want)
		}
	}
}
