package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeRoot is a folder with files, by their paths below it.
func fakeRoot(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, content := range files {
		dir := filepath.Join(root, filepath.Dir(path))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		writeFiles(t, dir, map[string]string{filepath.Base(path): content})
	}
	return root
}

// fakeMachine is a folder that looks like the files of a Linux machine with a TPM and a log.
func fakeMachine(t *testing.T) string {
	t.Helper()
	return fakeRoot(t, map[string]string{
		"dev/tpmrm0":                           "",
		"sys/class/tpm/tpm0/tpm_version_major": "2\n",
		bootLogPath:                            "a log",
	})
}

func TestDoctorSaysWhatAMachineCanAttest(t *testing.T) {
	o := assay(t, "doctor", "--root", fakeMachine(t))
	o.want(t, exitOK, "CAN  tpm: the TPM can be opened", "")
	for _, want := range []string{"CANNOT  sgx: ", "CANNOT  azureguest: ", "boot-log        ready", "skipped", "\nNotes\n"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("want %q in\n%s", want, o.stdout)
		}
	}
}

func TestDoctorEndsInARefusalWhereNothingCanAttest(t *testing.T) {
	assay(t, "doctor", "--root", t.TempDir()).want(t, exitRefused, "CANNOT  tpm: there is no TPM", "")
}

func TestDoctorTellsScriptsWhatItFound(t *testing.T) {
	var got struct {
		Root     string
		Findings []struct{ Name, Path, State, Value, Detail, Remedy string }
		Verdicts []struct {
			Kind, Answer, Why string
			Do                []string
		}
	}
	root := fakeMachine(t)
	assay(t, "doctor", "--json", "--root", root).read(t, &got)
	if got.Root != root || len(got.Findings) != 15 || len(got.Verdicts) != 5 {
		t.Fatalf("%+v", got)
	}
	if f := got.Findings[2]; f.Name != "boot-log" || f.State != "ready" || f.Value != "5" || !strings.HasPrefix(f.Path, "/sys/") {
		t.Errorf("%+v", f)
	}
	for i, kind := range []string{"tpm", "sgx", "snp", "tdx", "azureguest"} {
		v := got.Verdicts[i]
		if v.Kind != kind || (v.Answer == "can") != (kind == "tpm") || v.Why == "" {
			t.Errorf("%+v", v)
		}
	}
}

func TestDoctorNeedsAFolder(t *testing.T) {
	assay(t, "doctor", "--root", filepath.Join(t.TempDir(), "gone")).want(t, exitUsage, "", "no such file")
	assay(t, "doctor", "--root", tempFile(t, "file", "")).want(t, exitUsage, "", "not a folder")
	assay(t, "doctor", "extra").want(t, exitUsage, "", "unexpected argument")
}
