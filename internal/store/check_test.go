package store_test

import (
	"os"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/store"
	"github.com/assay-attestation/assay/internal/store/storetest"
)

func TestCheckNamesEachFault(t *testing.T) {
	cases := []struct{ name, statement, want string }{
		{"none", "SELECT 1", ""},
		{"provider", "UPDATE providers SET doc = '{' WHERE id = '1'", "provider b (1) cannot be read"},
		{"signer", `UPDATE providers SET doc = '{"signers":["?"]}' WHERE id = '1'`, "provider b (1) cannot be read"},
		{"policy", "UPDATE policies SET doc = '' WHERE provider_id = '2' AND version = 3", "version 3 of the policy of provider 2 for SgxEnclave cannot be read"},
		{"policy missing", "DELETE FROM policies WHERE provider_id = '2' AND version = 3", "version 3 of the policy of provider 2 for SgxEnclave is missing, the next is 4"},
		{"first policy missing", "DELETE FROM policies WHERE provider_id = '2' AND version = 1", "version 1 of the policy of provider 2 for SgxEnclave is missing, the next is 2"},
		{"key", "UPDATE signing_keys SET sealed = '?' WHERE id = 'Z'", "signing key Z of provider 1 cannot be read"},
		{"key of nobody", "UPDATE signing_keys SET provider_id = '9' WHERE id = 'Z'", "signing key Z is of provider 9, which is not there"},
		{"AIK certificate", "UPDATE aik_certificates SET certificate = '?'", "AIK certificate 0a of provider 1 cannot be read"},
		{"AIK certificate of nobody", "UPDATE aik_certificates SET provider_id = '9'", "AIK certificate 0a is of provider 9, which is not there"},
		{"pin", "UPDATE tpm_pins SET doc = ''", "pin ff of provider 1 cannot be read"},
		{"pin of nobody", "UPDATE tpm_pins SET provider_id = '9'", "pin ff is of provider 9, which is not there"},
		{"reference value", "UPDATE reference_values SET doc = ''", "reference value golden of provider 1 cannot be read"},
		{"reference value of nobody", "UPDATE reference_values SET provider_id = '9'", "reference value golden is of provider 9, which is not there"},
		{"audit", "UPDATE audit SET mac = '?' WHERE seq = 3", "entry 3 of the audit trail cannot be read"},
		{"audit missing", "DELETE FROM audit WHERE seq = 3", "entry 3 of the audit trail is missing, the next is 4"},
		{"audit cut off", "DELETE FROM audit WHERE seq = 12", "the audit trail ends with entry 11, its mark is that of another entry 12"},
		{"audit replaced", "UPDATE audit SET mac = '' WHERE seq = 12", "the audit trail ends with entry 12"},
		{"mark", "UPDATE state SET audit_mac = '?'", "the mark of the audit trail cannot be read"},
		{"schema", "DELETE FROM schema_version", "run assay store migrate"},
	}
	onEach(t, func(t *testing.T, s *store.Store) {
		for _, test := range cases {
			wipe(t, s)
			populate(t, s)
			if err := store.Exec(s, test.statement); err != nil {
				t.Fatal(err)
			}
			findings, err := s.Check(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if n := len(findings); test.want == "" && n > 0 || test.want != "" && (n != 1 || !strings.Contains(findings[0], test.want)) {
				t.Errorf("%s: got %q, want one with %q", test.name, findings, test.want)
			}
		}
	})
}

func TestCheckEndsAfterManyFaults(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		for range store.MaxFindings + 10 {
			if _, err := update(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		if err := store.Exec(s, "UPDATE policies SET doc = ''"); err != nil {
			t.Fatal(err)
		}
		findings, err := s.Check(t.Context())
		if err != nil || len(findings) != store.MaxFindings+1 {
			t.Errorf("%d findings, %v; want %d and a last word", len(findings), err, store.MaxFindings)
		}
	})
}

func TestCheckFindsDamageOfTheFile(t *testing.T) {
	dsn := storetest.SQLite(t)
	s := open(t, dsn)
	for range 40 {
		if _, err := update(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(dsn)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(b) / 2; i < len(b)/2+3*4096; i++ {
		b[i] ^= 0x5a
	}
	if err := os.WriteFile(dsn, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err = store.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if findings, err := s.Check(t.Context()); err != nil || len(findings) == 0 || !strings.Contains(findings[0], "damaged") {
		t.Errorf("got %q, %v", findings, err)
	}
}
