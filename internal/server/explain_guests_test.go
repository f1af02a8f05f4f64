package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/provider"
)

// TestRequestsOfGuestsAreExplained asks what a SEV-SNP report and a TD quote would be answered with (native.md section 3).
func TestRequestsOfGuestsAreExplained(t *testing.T) {
	c := findGuest(t, "synthetic.json", "sh-milan-v3")
	s := start(t, c.config(t, "", provider.Settings{}))
	const denies = `version=1.0;authorizationrules{[type=="x-ms-attestation-type"]=>deny();};issuancerules{};`
	for _, draft := range []string{"", denies} {
		want := map[string]string{"": "permit", denies: "deny"}[draft]
		a := s.do(t, http.MethodPost, "/assay/v1/explain/SevSnpVm", text(c.body(t, "draftPolicyForAttestation", draft)))
		var e explanation
		if a.status != http.StatusOK {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
		decode(t, a.body, &e)
		if e.Verdict != want || e.AttestationType != "SevSnpVm" || e.check("snp-signature") != "pass" || strings.Contains(string(a.body), "eyJ") {
			t.Errorf("%s: %s", want, a.body)
		}
	}
	var e explanation
	decode(t, s.do(t, http.MethodPost, "/assay/v1/explain/TdxVm", text(body{"quote": "AAAA"})).body, &e)
	if e.Verdict != "refused" || e.AttestationType != "TdxVm" || e.Error == nil || e.Error.Code != "InvalidQuote" {
		t.Errorf("TD: %+v", e)
	}
}
