package api

import (
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/internal/provider"
)

// FuzzProviderBody reads bodies of both surfaces of the control plane. Whatever comes, the answer is a wish within the bounds, or
// a refusal that is the caller's fault and can be written.
func FuzzProviderBody(f *testing.F) {
	for _, body := range []string{
		``, `null`, `[]`, `{}`, `{"location":"West US","tags":{"Env":"x"},"properties":{}}`,
		`{"Location":"westus","Properties":{"PolicySigningCertificates":{"Keys":[{"kty":"RSA","X5C":["MIID"]}]},"publicNetworkAccess":null}}`,
		`{"tags":null,"settings":{"strict":true},"shared":true,"trustModel":"AAD","tpmAttestationAuthentication":"Disabled"}`,
		`{"policySigningCertificates":{"keys":[{"x5c":[""]},{}]}}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		arm, err := armMembers(body)
		var spec provider.Spec
		if err == nil {
			spec, err = arm.spec()
		}
		checkSpec(t, spec, err)
		r := &request{Request: httptest.NewRequest("PUT", "/", nil), body: body}
		spec, err = r.nativeSpec()
		checkSpec(t, spec, err)
	})
}

func checkSpec(t *testing.T, spec provider.Spec, err error) {
	t.Helper()
	if err != nil {
		if _, ok := errors.AsType[*problem](err); !ok {
			t.Errorf("not a refusal: %v", err)
		}
		checkProblem(t, err)
		return
	}
	if len(spec.Signers) > provider.MaxSigners {
		t.Errorf("%d signers", len(spec.Signers))
	}
	for _, der := range spec.Signers {
		if len(der) == 0 || len(der) > policyjws.MaxCertificate {
			t.Errorf("a signer of %d bytes", len(der))
		}
	}
}
