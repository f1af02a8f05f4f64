package api

import (
	"encoding/json"
	"testing"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/b64"
)

// FuzzEnrolmentRequest reads bodies of enrolment challenges. Whatever comes, there are two keys or a refusal that is the caller's fault.
func FuzzEnrolmentRequest(f *testing.F) {
	m, err := assaytest.WellKnownTPMVendor().Scenario().Enrolment()
	if err != nil {
		f.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{
		"ekPublic": b64.URL(m.EKPublic), "aikPublic": b64.URL(m.AIKPublic), "ekCertificate": b64.URL(m.EKCertificate), "ekChain": []string{b64.URL(m.EKChain[0])},
	})
	if err != nil {
		f.Fatal(err)
	}
	if _, err := readKeys(body); err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{string(body), "", "null", "[]", `{"ekChain":["","","","","","","","",""]}`, `{"ekPublic":1}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		k, err := readKeys(body)
		if err != nil {
			checkProblem(t, err)
			return
		}
		if k.ek == nil || k.aik == nil || len(k.chain) > 8 {
			t.Errorf("keys %v and %v, chain of %d", k.ek, k.aik, len(k.chain))
		}
		if err := k.ek.CheckEK(); err != nil {
			checkProblem(t, err)
		}
	})
}
