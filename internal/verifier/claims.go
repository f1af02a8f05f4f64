package verifier

import (
	"encoding/hex"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/sgx"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/policy"
	"github.com/assay-attestation/assay/result"
)

// Claims that every token has beside those of its evidence (tokens.md section 5).
const (
	claimTCBIdentifier = "x-ms-sgx-tcbidentifier"
	claimVersion       = "x-ms-ver"
	claimPolicyHash    = "x-ms-policy-hash"
	claimOldPolicyHash = "maa-policyHash" // of 2018-09-01-preview (tokens.md section 11)
	claimPolicy        = "x-ms-policy"
	claimPolicySigner  = "x-ms-policy-signer"
	claimExpired       = "ext-collateral-expired"
)

// serviceClaims are the claims that the service vouches for: those of the evidence, of the data bound to it, and what
// every token has.
func serviceClaims(v *sgx.Verified, bound []evidence.Claim, baseline string, p Policy) []evidence.Claim {
	claims := append(append(v.Claims(), bound...),
		evidence.Claim{Name: claimTCBIdentifier, Value: baseline},
		evidence.Claim{Name: claimVersion, Value: "1.0"},
		evidence.Claim{Name: claimPolicyHash, Value: p.Hash()})
	if p.Signer != nil {
		claims = append(claims, evidence.Claim{Name: claimPolicySigner, Value: p.Signer})
	}
	return claims
}

// oldPolicyHash writes the hash of a policy in hex.
func oldPolicyHash(hash string) (string, error) {
	b, err := b64.Decode(hash)
	return hex.EncodeToString(b), err
}

// Incoming returns the claims over which Appraise evaluates p, for callers that verify evidence without a service. The
// configuration is that of p. Runtime data, nil for none, must have been found bound to the evidence; the error is an
// [evidence.Refusal] of JSON data that is none (policy.md section 8).
func Incoming(p *policy.Policy, c *policy.Configuration, v *sgx.Verified, runtimeData *Data) ([]policy.Claim, error) {
	var bound []evidence.Claim
	if runtimeData != nil {
		var err error
		if bound, err = presentRuntimeData(runtimeData); err != nil {
			return nil, err
		}
	}
	return incoming(serviceClaims(v, bound, c.TCBBaseline(), Policy{Policy: p}), v), nil
}

// incoming makes the claims that an SGX policy sees, which are fewer than the token has: those of the enclave's identity,
// each again under its old name, what is common to all types, binary runtime data, and whether expired collateral was
// used (policy.md section 8).
func incoming(service []evidence.Claim, v *sgx.Verified) []policy.Claim {
	claims := make([]policy.Claim, 0, len(service))
	add := func(name string, value policy.Value) {
		claims = append(claims, policy.Claim{Type: name, Value: value, Issuer: policy.AttestationService})
	}
	for _, c := range service {
		old := oldName(c.Name)
		value, ok := scalar(c.Value)
		if !ok || old == "" && !slices.Contains([]string{claimVersion, claimPolicyHash, "maa-ehd"}, c.Name) {
			continue
		}
		add(c.Name, value)
		if old != "" {
			add(old, value)
		}
	}
	add(claimExpired, policy.BooleanValue(v.CollateralExpired))
	return claims
}

func scalar(v any) (policy.Value, bool) {
	switch v := v.(type) {
	case string:
		return policy.StringValue(v), true
	case int64:
		return policy.IntegerValue(v), true
	case bool:
		return policy.BooleanValue(v), true
	}
	return policy.Value{}, false
}

// oldName is the name under which a policy of before 2021 knows a claim; its $ is part of the name.
func oldName(name string) string {
	switch name {
	case "x-ms-attestation-type":
		return "$tee"
	case "x-ms-sgx-mrenclave", "x-ms-sgx-mrsigner":
		return "$" + strings.TrimPrefix(name, "x-ms-")
	case "x-ms-sgx-is-debuggable", "x-ms-sgx-product-id", "x-ms-sgx-svn":
		return "$" + strings.TrimPrefix(name, "x-ms-sgx-")
	}
	return ""
}

// tokenClaims joins the service's claims and those that the policy issued. The latter stand in x-ms-policy and at top
// level, but never there under a name that is the service's own (policy.md section 5.5). How much a policy may issue
// is bounded by its evaluation.
func tokenClaims(service []evidence.Claim, issued []policy.Group) result.Claims {
	claims := make(result.Claims, len(service)+len(issued)+1)
	grouped := make(result.Claims, len(issued))
	for _, g := range issued {
		grouped[g.Type] = g.Any()
		if !reserved(g.Type) {
			claims[g.Type] = g.Any()
		}
	}
	for _, c := range service {
		claims[c.Name] = c.Value
	}
	if len(grouped) > 0 {
		claims[claimPolicy] = grouped
	}
	return claims
}

// reserved tells the names that only the service gives in an SGX token, whether this token has them or not
// (tokens.md sections 4 to 6, native.md section 2).
func reserved(name string) bool {
	return slices.Contains([]string{
		"iss", "iat", "exp", "nbf", "jti", "aud", "sub", "cnf", "nonce", "rp_data", "ver",
		claimVersion, claimPolicyHash, claimPolicy, claimTCBIdentifier,
		"x-ms-attestation-type", claimPolicySigner, "x-ms-compliance-status", "x-ms-runtime", "x-ms-inittime",
		"x-ms-sgx-is-debuggable", "x-ms-sgx-product-id", "x-ms-sgx-svn", "x-ms-sgx-mrenclave", "x-ms-sgx-mrsigner",
		"x-ms-sgx-report-data", "x-ms-sgx-collateral", "maa-attestationcollateral",
		"x-ms-sgx-config-id", "x-ms-sgx-config-svn", "x-ms-sgx-isv-extended-product-id", "x-ms-sgx-isv-family-id",
		"x-ms-sgx-ehd", "aas-ehd", "maa-ehd", result.ClaimDevelopment,
	}, name)
}
