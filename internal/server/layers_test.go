package server_test

import (
	"os/exec"
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
		{"evidence/...", []string{"net/http", "database/sql", "os/exec", module + "internal/api", module + "internal/collateral", module + "policy", module + "result", module + "assaytest"}},
		{"policy/...", []string{"net/http", "net", "os/exec", module + "evidence", module + "result", module + "assaytest"}},
		{"result/...", []string{"net/http", "os/exec", module + "policy", module + "assaytest"}},
		{"relyingparty/...", []string{module + "assaytest", module + "internal/verifier", module + "policy"}},
		{"internal/api/...", []string{module + "assaytest", module + "internal/config"}},
		{"internal/server/...", []string{module + "assaytest"}},
		{"internal/verifier/...", []string{"database/sql", module + "assaytest", module + "internal/api", module + "internal/issuer"}},
	} {
		deps := dependencies(t, module+rule.packages)
		for _, f := range rule.forbidden {
			if slices.Contains(deps, f) {
				t.Errorf("%s must not depend on %s", rule.packages, f)
			}
		}
	}
}

func dependencies(t *testing.T, pattern string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", pattern).Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", pattern, err)
	}
	return strings.Fields(string(out))
}
