package server_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/internal/config"
)

const permitNobody = "version=1.0;\nauthorizationrules\n{\n  [type==\"x-ms-sgx-product-id\", value==4711] => permit();\n};"

// TestDecisionsAboutEvidenceAreInTheAuditTrailWhereThatIsWanted: each with its check or code, and neither evidence nor policies.
func TestDecisionsAboutEvidenceAreInTheAuditTrailWhereThatIsWanted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sgx.policy")
	if err := os.WriteFile(file, []byte(permitNobody), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		cfg                 config.Config
		fault               string
		status, code, check string
		records             int
	}{
		"permit":                {config.Config{Audit: config.Audit{Attest: true}}, "", "200", "", "", 1},
		"evidence refused":      {config.Config{Audit: config.Audit{Attest: true}}, "quote-signature", "400", "InvalidParameter", "quote-signature", 1},
		"refused by the policy": {config.Config{Audit: config.Audit{Attest: true}, Policies: map[string]string{"SgxEnclave": file}}, "", "400", "PolicyEvaluationError", "", 1},
		"not wanted":            {config.Config{}, "", "200", "", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, tt.cfg)
			before := len(trail(t, s.data))
			sc := s.scenario()
			if tt.fault != "" {
				sc = s.scenario(fault(t, tt.fault))
			}
			a := s.attest(t, sc)
			records := trail(t, s.data)[before:]
			if len(records) != tt.records {
				t.Fatalf("status %d, %d records, want %d", a.status, len(records), tt.records)
			}
			for _, r := range records {
				if r.OperationName != "AttestSgxEnclave" || r.ResultSignature != tt.status || r.Properties.Code != tt.code || r.Properties.Check != tt.check ||
					r.Properties.RequestID != a.header.Get("x-ms-request-id") || !strings.Contains(r.text, `"category":"Operational"`) {
					t.Errorf("status %d: %s", a.status, r.text)
				}
				if strings.Contains(r.text, "4711") || strings.Contains(r.text, "product-id") {
					t.Errorf("the record holds a part of the policy: %s", r.text)
				}
			}
		})
	}
}

// TestRecordsSayWhichIssuerACallerIsOf: ids are unique within an issuer only.
func TestRecordsSayWhichIssuerACallerIsOf(t *testing.T) {
	e := startEstate(t, config.Config{})
	second := changed(e.v2.ClaimsV2(time.Now(), application), "roles", []string{"default.reader"})
	for issuer, token := range map[string]string{entraV1: e.token("default.reader"), entraV2: e.v2.Token(second)} {
		e.send(t, sending{method: "PUT", path: "/policies/SgxEnclave?api-version=2022-08-01", token: token})
		records := denied(t, e.cfg.Data)
		if r := records[len(records)-1]; !strings.Contains(r.Identity, issuer) {
			t.Errorf("identity %s, want it to name %s", r.Identity, issuer)
		}
	}
}

// TestRefusedPoliciesAreRecordedWithTheirCheck: the word that says what was wrong with the JWS.
func TestRefusedPoliciesAreRecordedWithTheirCheck(t *testing.T) {
	e := startEstate(t, config.Config{})
	broken := b64url([]byte(`{"alg":"ES999"}`)) + ".e30.AAAA"
	e.send(t, sending{method: "PUT", path: "/policies/SgxEnclave?api-version=2022-08-01", token: e.token("default.contributor"), body: broken})
	records := trail(t, e.cfg.Data)
	if r := records[len(records)-1]; r.OperationName != "SetCurrentPolicy" || r.Properties.Check == "" {
		t.Errorf("no check: %s", r.text)
	}
}
