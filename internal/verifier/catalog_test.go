package verifier

import (
	"slices"
	"testing"

	"github.com/assay-attestation/assay/policy"
)

// TestPoliciesMeetTheClaimsOfTheCatalogue: what the catalogue of package policy says of SGX is what this package makes, name by
// name and kind by kind.
func TestPoliciesMeetTheClaimsOfTheCatalogue(t *testing.T) {
	p, configuration, verified := newBench(t, string(policy.DefaultSGX())).verified(t)
	made, err := Incoming(p, configuration, verified, &Data{Bytes: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"SgxEnclave", "OpenEnclave"} {
		known := slices.DeleteFunc(policy.Claims(kind), func(info policy.ClaimInfo) bool { return info.Issuer == policy.ReferenceValue })
		for _, c := range made {
			if !slices.ContainsFunc(known, func(info policy.ClaimInfo) bool {
				return info.Name == c.Type && info.Kind == c.Value.Kind() && info.Issuer == c.Issuer
			}) {
				t.Errorf("%s: the catalogue lacks %v", kind, c)
			}
		}
		if len(made) != len(known) {
			t.Errorf("%s: %d claims are made, and the catalogue has %d", kind, len(made), len(known))
		}
	}
}
