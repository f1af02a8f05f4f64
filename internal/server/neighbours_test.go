package server_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/issuer"
	"github.com/assay-attestation/assay/internal/store"
)

// setText sets the text of a policy for SgxEnclave of the provider at a host, empty for the default one.
func (s *testService) setText(t *testing.T, host, text string) {
	t.Helper()
	a := s.make(t, call{method: "PUT", path: sgxPolicy, host: host, body: unsigned(policyPayload(text))})
	if a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
}

// TestPolicyOfATenantDoesNotEndTheService: configuration rules that fail are an affair of those who attest under them. Who may
// set the policy of the default provider cannot have a balancer take away the service of all.
func TestPolicyOfATenantDoesNotEndTheService(t *testing.T) {
	s := start(t, config.Config{})
	s.setText(t, "", `version=1.2;configurationrules{=> issueproperty(type="x-ms-sgx-tcbidentifier", value="10");
		c:[type=="x-ms-attestation-type"] => issueproperty(type="x-ms-sgx-tcbidentifier", value=c.value);};
		authorizationrules{=> permit();};issuancerules{};`)
	s.attest(t, s.scenario()).refused(t, http.StatusBadRequest, "PolicyEvaluationError", "", "x-ms-sgx-tcbidentifier")
	if a := s.make(t, call{method: "GET", path: "/servicehealth"}); a.status != http.StatusNoContent {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

// TestBaselineOfAPolicyIsWorkedOutOnce: anybody may ask for the baselines, and rules can be as slow as policy_time allows.
func TestBaselineOfAPolicyIsWorkedOutOnce(t *testing.T) {
	s := start(t, config.Config{})
	var rules strings.Builder
	for n := range 20 {
		fmt.Fprintf(&rules, `c:[type=="x-ms-attestation-type", value==JmesPath("[%s1]", "length(sort(map(&[@,@,@,@][0], [*])))")]`+
			` => issueproperty(type="x-ms-sgx-tcbidentifier", value="%d");`, strings.Repeat("1,", 4000), n)
	}
	s.setText(t, "", "version=1.2;configurationrules{"+rules.String()+"};authorizationrules{=> permit();};issuancerules{};")
	ask := func() time.Duration {
		began := time.Now()
		if a := s.make(t, call{method: "GET", path: "/tcbbaselines/SgxEnclave?api-version=2025-06-01"}); a.status != http.StatusOK {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
		return time.Since(began)
	}
	first, others := ask(), time.Duration(0)
	for range 20 {
		others += ask()
	}
	if others > 10*first {
		t.Errorf("the first took %v, 20 more took %v", first, others)
	}
}

// TestKeysOfATenantDoNotEndTheService: a provider that has had all the keys that it may have, by rotations in a hurry, and whose
// next one is due, keeps neither the service from starting nor other providers from their keys.
func TestKeysOfATenantDoNotEndTheService(t *testing.T) {
	cfg := config.Config{Data: t.TempDir()}
	cfg.Keys.RotateEvery, cfg.Keys.PublishLead = 2*time.Hour, time.Hour
	kept, err := store.Open(t.Context(), filepath.Join(cfg.Data, "assay.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	if err := kept.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = kept.Write(t.Context(), func(tx *store.Tx) error {
		if err := tx.AddProvider(store.Provider{ID: "first", Name: "aaa", URL: "https://aaa.attest.test"}); err != nil {
			return err
		}
		for n := range issuer.MaxKeys {
			if err := tx.AddKey(store.Key{ProviderID: "first", ID: fmt.Sprint(n), From: time.Now().Add(-90 * time.Minute)}); err != nil {
				return err
			}
		}
		return tx.AddProvider(store.Provider{ID: "last", Name: "zzz", URL: "https://zzz.attest.test"})
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg.ProviderURL = "https://{name}.attest.test"
	if a := start(t, cfg).make(t, call{method: "GET", path: "/certs", host: "zzz.attest.test"}); a.status != http.StatusOK {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}
