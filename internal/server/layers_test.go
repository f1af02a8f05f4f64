package server_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/assay-attestation/assay/"

// TestDependenciesPointOneWay holds the tree to the rules of DESIGN.md, Packages.
func TestDependenciesPointOneWay(t *testing.T) {
	for _, rule := range []struct {
		packages  string
		forbidden []string
	}{
		{"evidence/...", []string{"net/http", "database/sql", "os/exec", module + "internal/api", module + "internal/collateral", module + "policy", module + "result"}},
		{"policy/...", []string{"net/http", "net", "os/exec", module + "evidence", module + "result"}},
		{"result/...", []string{"net/http", "os/exec", module + "policy"}},
		{"relyingparty/...", []string{module + "internal/verifier", module + "policy"}},
		{"internal/jmespath/...", []string{"net/http", "os/exec", module + "policy", module + "evidence", module + "result"}},
		{"internal/explain/...", []string{"net/http", "os/exec", module + "internal/api", module + "internal/verifier", module + "result"}},
		{"internal/api/...", []string{module + "internal/config"}},
		{"internal/auth", []string{"testing", "database/sql", "os/exec", module + "internal/api", module + "internal/config", module + "policy", module + "result"}},
		{"internal/collateral/...", []string{module + "policy", module + "result", module + "internal/verifier"}},
		{"internal/lsp/...", []string{"net", "net/http", "os/exec", module + "evidence", module + "result"}},
		{"internal/seal/...", []string{"net/http", "database/sql", "os/exec"}},
		{"internal/keyring/...", []string{module + "internal/api", module + "internal/config"}},
		{"internal/audit/...", []string{"net/http", module + "policy", module + "evidence", module + "internal/api"}},
		{"internal/issuer/...", []string{"database/sql", module + "internal/api"}},
		{"internal/verifier/...", []string{"database/sql", module + "internal/api", module + "internal/issuer"}},
	} {
		deps := list(t, "-deps", module+rule.packages)
		for _, f := range rule.forbidden {
			if slices.Contains(deps, f) {
				t.Errorf("%s must not depend on %s", rule.packages, f)
			}
		}
	}
}

func TestOnlyCommandsAndTestsSimulateVendors(t *testing.T) {
	for _, p := range list(t, module+"...") {
		if strings.HasPrefix(p, module+"cmd/") || p == module+"assaytest" || p == module+"internal/dcaptest" { // the latter is for tests
			continue
		}
		if slices.Contains(list(t, "-deps", p), module+"assaytest") {
			t.Errorf("%s depends on assaytest", p)
		}
	}
}

// TestPurePackagesAskNothing looks for a clock, an environment, a disk or a network in the product files of the packages
// that must have none.
func TestPurePackagesAskNothing(t *testing.T) {
	for _, pattern := range []string{"../../evidence/*.go", "../../evidence/*/*.go", "../../policy/*.go", "../../result/*.go", "../../internal/jmespath/*.go", "../../internal/reference/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range []string{"time.Now(", "time.Since(", `"os"`, `"net"`, `"net/http"`, `"os/exec"`, `"log"`, `"log/slog"`} {
				if strings.Contains(string(text), word) {
					t.Errorf("%s contains %s", file, word)
				}
			}
		}
	}
}

func list(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	return strings.Fields(string(out))
}
