package service_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/assay-attestation/assay/internal/store/storetest"
)

// binaryVar names the program that the tests start. TestMain builds it once for all of them.
const binaryVar = "ASSAY_TEST_BINARY"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "assay-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "assay")
	if out, err := exec.Command("go", "build", "-o", name, "../../cmd/assay").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building assay: %v\n%s", err, out)
		return 1
	}
	if err := os.Setenv(binaryVar, name); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return storetest.Main(m)
}
