package clients

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// readyTimeout and stopTimeout bound the start and the end of the service.
const (
	readyTimeout = time.Minute
	stopTimeout  = 15 * time.Second
)

// service is a running `assay serve --dev`.
type service struct {
	URL string `json:"url"`
	CA  string `json:"ca"` // PEM file
	// data is the folder of its keys.
	data string
}

// goBuild compiles the command pkg of the module in dir and returns its file.
func goBuild(t *testing.T, dir, pkg string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), filepath.Base(pkg))
	cmd := exec.Command("go", "build", "-o", binary, pkg)
	cmd.Dir = dir
	run(t, cmd)
	return binary
}

// startService runs the service on a free port until the test ends. The port is known from the object that it prints
// when it is ready.
func startService(t *testing.T, assay string, flags ...string) service {
	t.Helper()
	data := t.TempDir()
	args := []string{"serve", "--dev", "--json", "--listen", "127.0.0.1:0", "--data", data}
	cmd := exec.Command(assay, append(args, flags...)...)
	var log bytes.Buffer
	cmd.Stderr = &log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopService(t, cmd, &log) })
	kill := time.AfterFunc(readyTimeout, func() { cmd.Process.Kill() })
	s := service{data: data}
	err = json.NewDecoder(stdout).Decode(&s)
	kill.Stop()
	if err != nil || s.URL == "" || s.CA == "" {
		t.Fatalf("%v: got %+v, want a JSON object with url and ca on standard output: %v", cmd.Args, s, err)
	}
	return s
}

func stopService(t *testing.T, cmd *exec.Cmd, log *bytes.Buffer) {
	cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(stopTimeout, func() { cmd.Process.Kill() })
	defer kill.Stop()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: did not stop cleanly: %v", cmd.Args, err)
	}
	if t.Failed() {
		t.Logf("log of the service:\n%s", log)
	}
}

// run runs the command to its end and returns what it printed. A command that fails ends the test.
func run(t *testing.T, cmd *exec.Cmd) []byte {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(cmd.Path), err, out)
	}
	return out
}

// installed returns a folder of the user's cache with the packages that the files pin. It is filled once for each
// content of these files, which are copied into it first; a marker says that this was finished.
func installed(t *testing.T, name string, files []string, install func(dir string)) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.New()
	contents := make([][]byte, len(files))
	for i, f := range files {
		if contents[i], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
		hash.Write(contents[i])
	}
	dir := filepath.Join(cache, "assay-test", name+"-"+hex.EncodeToString(hash.Sum(nil)[:8]))
	marker := filepath.Join(dir, "installed")
	if _, err := os.Stat(marker); err == nil {
		return dir
	}
	must(t, os.RemoveAll(dir))
	must(t, os.MkdirAll(dir, 0o755))
	for i, f := range files {
		must(t, os.WriteFile(filepath.Join(dir, filepath.Base(f)), contents[i], 0o644))
	}
	install(dir)
	must(t, os.WriteFile(marker, nil, 0o644))
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
