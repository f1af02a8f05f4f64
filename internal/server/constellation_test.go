package server_test

import (
	"net/http"
	"testing"

	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/policy"
)

// TestConstellationSetsAPolicy makes the one call of Constellation's command line (clients.md section 10.4): azureGuest with a lower-case a, and the JWS
// bare, as text/plain. It looks at the status alone, which must be 200.
func TestConstellationSetsAPolicy(t *testing.T) {
	s := start(t, config.Config{})
	const own = "\n    version= 1.0;\n    authorizationrules\n    {\n        // edited\n        => permit();\n    };\n    issuancerules\n    {\n    };"
	jws := b64url([]byte(`{"alg":"none"}`)) + "." + b64url([]byte(`{"AttestationPolicy":"`+b64url([]byte(own))+`"}`)) + "."
	put := func(header ...string) answer {
		return s.do(t, http.MethodPut, "/policies/azureGuest?api-version=2020-10-01", jws, append(header, "Content-Type", "text/plain; charset=utf-8")...)
	}
	put().refused(t, http.StatusUnauthorized, "Unauthorized", "")
	c := newAzureCLI(t, s)
	c.wantPolicy(t, "AzureGuest", "none", string(policy.Default("AzureGuest")))
	if a := put("Authorization", "Bearer "+s.token(t, auth.Contributor)); a.status != http.StatusOK {
		t.Errorf("got %d: %s", a.status, a.body)
	}
	c.wantPolicy(t, "AzureGuest", "none", own)
	c.wantPolicy(t, "azureGuest", "none", own)
}
