package main

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// recordedClaims are the claims of what Microsoft's service answered, as far as they are about policies.
func recordedClaims(t *testing.T, name string) map[string]any {
	t.Helper()
	var e struct {
		Response struct{ Body struct{ Token string } }
	}
	vectortest.ReadJSON(t, "maa/exchanges/"+name+".json", &e)
	parts := strings.Split(e.Response.Body.Token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	claims := map[string]any{}
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name := range claims {
		if !strings.HasPrefix(name, "x-ms-") {
			delete(claims, name)
		}
	}
	return claims
}

// TestAnswersOfMicrosoftsServiceAreUnderstood has recorded claims in tokens of a service at hand: the recorded ones have expired.
func TestAnswersOfMicrosoftsServiceAreUnderstood(t *testing.T) {
	s := newFakeService(t)
	for name, want := range map[string]struct {
		words, stdout, stderr string
	}{
		"policy-get-sgx-default":              {"policy get --type sgx", "x-ms-sgx-tcbidentifier", "DEFAULT  SgxEnclave"},
		"policy-get-tpm-unset":                {"policy get --type tpm", "", "NOT SET  Tpm"},
		"policy-get-oe-isolated":              {"policy get --type oe", "version=", "OpenEnclave"},
		"policy-oe-signed-2-get-after-put":    {"policy get --type oe", "version=", "signature    verifies"},
		"policy-sgx-unsigned-2-get-after-put": {"policy get --type sgx", "version=", "SET  SgxEnclave"},
		"certificates-get-aad-empty":          {"signer list", "NONE", ""},
		"certificates-add-2-get":              {"signer list", "7B5DB611BD249175A8E1DCE708164125D57FB66C", ""}, // as certificates-add-1 names it
	} {
		s.answer = says200(s.sign(s.claims(recordedClaims(t, name))))
		s.manage(t, want.words).want(t, exitOK, want.stdout, want.stderr)
		if t.Failed() {
			t.Fatal(name)
		}
	}
}
