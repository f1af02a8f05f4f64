package policy_test

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

func TestPolicyKeepsItsText(t *testing.T) {
	text := []byte("\uFEFF" + auth("=> permit();") + "\r\n  ")
	want := bytes.Clone(text)
	p, err := policy.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)-5] = 'x' // the caller's memory is the caller's
	p.Text()[0] = 'x'
	if !bytes.Equal(p.Text(), want) || p.Hash() != policy.Hash(want) {
		t.Errorf("got %q, want %q", p.Text(), want)
	}
}

func TestEveryByteCountsForTheHash(t *testing.T) {
	seen := map[string]string{}
	for _, text := range []string{"", "a", "a ", "a\n", "a\r\n", "\uFEFFa"} {
		hash := policy.Hash([]byte(text))
		if other, ok := seen[hash]; ok {
			t.Errorf("%q and %q have the hash %s", text, other, hash)
		}
		seen[hash] = text
	}
}

func TestErrorsUnwrapToEachError(t *testing.T) {
	_, err := policy.Parse([]byte(auth("=> x(); => y();")))
	var errs policy.Errors
	var first *policy.Error
	if !errors.As(err, &errs) || len(errs) != 2 || !errors.As(err, &first) || first != errs[0] {
		t.Fatalf("got %v", err)
	}
	if want := errs[0].Error() + "; " + errs[1].Error(); err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}

func TestOnePolicyServesManyGoroutines(t *testing.T) {
	p := mustParse(t, string(policy.DefaultSGX()))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				if got := outcome(p, "x-ms-sgx-svn=2 x-ms-attestation-type=sgx"); got != `svn:2 tee:"sgx"` {
					t.Errorf("got %s", got)
				}
			}
		})
	}
	all.Wait()
}

func TestEvaluationAllocatesLittle(t *testing.T) {
	const most = 16
	p := mustParse(t, string(policy.DefaultSGX()))
	claims := sgxClaims()
	n := testing.AllocsPerRun(100, func() {
		if _, err := p.Evaluate(claims, policy.Budget{}); err != nil {
			t.Fatal(err)
		}
	})
	if n > most {
		t.Errorf("%.0f allocations, at most %d are expected", n, most)
	}
}

// TestPackageIsPure lists what the package needs: no evidence, no network, no files, no clock of its own.
func TestPackageIsPure(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(string(out)) {
		switch {
		case name == "os" || name == "time" || strings.HasPrefix(name, "net"):
			t.Errorf("imports %s", name)
		case strings.Contains(name, ".") && !strings.HasSuffix(name, "/internal/strictjson") && !strings.HasSuffix(name, "/internal/jmespath"):
			t.Errorf("imports %s", name)
		}
	}
}
