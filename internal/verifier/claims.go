package verifier

import (
	"encoding/hex"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
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
	claimCompliance    = "x-ms-compliance-status"
)

// serviceClaims are the claims that the service vouches for: those of the evidence, of the data bound to it, and what
// every token has.
func serviceClaims(s *Subject, bound []evidence.Claim, baseline string, p Policy) []evidence.Claim {
	claims := append(slices.Concat(s.Claims(), bound),
		evidence.Claim{Name: claimVersion, Value: "1.0"},
		evidence.Claim{Name: claimPolicyHash, Value: p.Hash()})
	if s.kind == enclave {
		claims = append(claims, evidence.Claim{Name: claimTCBIdentifier, Value: baseline})
	}
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
func Incoming(p *policy.Policy, c *policy.Configuration, s *Subject, runtimeData *Data) ([]policy.Claim, error) {
	var bound []evidence.Claim
	if runtimeData != nil {
		var err error
		if bound, err = presentRuntimeData(runtimeData, s); err != nil {
			return nil, err
		}
	}
	return incoming(serviceClaims(s, bound, c.TCBBaseline(), Policy{Policy: p}), s), nil
}

// incoming makes the claims that a policy sees (policy.md section 8). For an SGX policy these are fewer than the token has: those of the
// enclave's identity, each again under its old name, what is common to all types, and binary runtime data. For the others they are
// the claims of the token, objects as their JSON text, arrays as several claims. Where Intel's collateral was used, there is a claim on whether it was expired.
func incoming(service []evidence.Claim, s *Subject) []policy.Claim {
	claims := make([]policy.Claim, 0, len(service))
	add := func(name string, value policy.Value) {
		claims = append(claims, policy.Claim{Type: name, Value: value, Issuer: policy.AttestationService})
	}
	for _, c := range service {
		value, ok := scalar(c.Value)
		old := ""
		switch text, isObject := c.Value.(jsontext.Value); {
		case s.kind == enclave:
			old = oldName(c.Name)
			ok = ok && (old != "" || slices.Contains([]string{claimVersion, claimPolicyHash, "maa-ehd"}, c.Name))
		case isObject && c.Name != claimPolicySigner:
			value, ok = policy.StringValue(string(text)), true
		}
		if ok {
			add(c.Name, value)
		}
		if ok && old != "" {
			add(old, value)
		}
		if several, ok := c.Value.([]int64); ok {
			for _, n := range several {
				add(c.Name, policy.IntegerValue(n))
			}
		}
	}
	if s.standing != nil {
		add(claimExpired, policy.BooleanValue(s.standing.CollateralExpired))
	}
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
// level, but never there under a name that is reserved for the service (policy.md section 5.5). How much a policy may issue
// is bounded by its evaluation.
func tokenClaims(service []evidence.Claim, issued []policy.Group, reserved map[string]bool) result.Claims {
	claims := make(result.Claims, len(service)+len(issued)+1)
	grouped := make(result.Claims, len(issued))
	for _, g := range issued {
		grouped[g.Type] = g.Any()
		if !reserved[g.Type] {
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
