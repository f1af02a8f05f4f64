package service_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/vectortest"
)

const script = "../../deploy/replicas.sh"

// scriptTime bounds a run of the script; alone on two cores it takes half a minute.
const scriptTime = 3 * time.Minute

// freePorts finds ten neighbours that nobody listens on, and returns the first.
func freePorts(t *testing.T) int {
	t.Helper()
	for first := 18440; first < 30000; first += 10 {
		free := true
		for port := first; port < first+10 && free; port++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if free = err == nil; free {
				l.Close()
			}
		}
		if free {
			return first
		}
	}
	t.Fatal("no ten free ports")
	return 0
}

// trialDir is a directory of this run alone that the user of PostgreSQL can pass through, with a path short enough for
// sockets; t.TempDir is neither.
func trialDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "trial")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestTheWayToThreeReplicas runs the script of docs/operating.md from beginning to end.
func TestTheWayToThreeReplicas(t *testing.T) {
	for _, name := range []string{"bash", "curl", "openssl", "haproxy"} {
		if _, err := exec.LookPath(name); err != nil {
			vectortest.Missing(t, name)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), scriptTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, script)
	dir := trialDir(t)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "ASSAY="+os.Getenv(binaryVar), fmt.Sprintf("PORT=%d", freePorts(t)))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it cleans up
	cmd.WaitDelay = 20 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\nAll steps done") {
		t.Fatalf("%v\n%s", err, out)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	t.Logf("%s", out)
}

// TestTheManualNamesEveryStepOfTheScript keeps the two together.
func TestTheManualNamesEveryStepOfTheScript(t *testing.T) {
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	manual, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	steps := regexp.MustCompile(`(?m)^step '([^']+)'; (\w+)$`).FindAllStringSubmatch(string(text), -1)
	if len(steps) < 10 {
		t.Fatalf("%d steps in the script", len(steps))
	}
	for _, step := range steps {
		if step[2] != "build" && !strings.Contains(string(manual), "`"+step[2]+"`") {
			t.Errorf("the manual does not name the step %s (%s)", step[2], step[1])
		}
	}
}
